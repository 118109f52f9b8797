//! Names and shapes of other programs, and what stays of a file.

use std::path::PathBuf;

use super::*;
use safetensors::tensor::{Dtype, TensorView};

/// Writes tensors of these names and shapes; each is filled with its place in the list.
fn write(folder: &Path, tensors: &[(String, Vec<usize>)]) -> PathBuf {
    let file = folder.join("w.safetensors");
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .zip(1..)
        .map(|((_, shape), place)| {
            (place as f32).to_le_bytes().repeat(shape.iter().product::<usize>())
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
    file
}

fn read(file: &Path, network: &str, classes: Option<usize>) -> Result<Imported, String> {
    let request = Import { file, network: Some(network), classes, class_names: None };
    import(&request, &nn::cpu()).map_err(|error| error.to_string())
}

fn shapes(network: &str, classes: usize) -> Vec<(String, Vec<usize>)> {
    nn::file_shapes(&zoo::network(network, &Options::plain(classes)).unwrap())
}

/// The old DenseNet files of torchvision: `denselayer1.norm.1.weight`.
#[test]
fn torchvisions_densenet_is_read() {
    let mut tensors = shapes("densenet121", 3);
    for (name, _) in &mut tensors {
        if name.contains("denselayer") {
            for kind in ["norm", "conv"] {
                for digit in ["1", "2"] {
                    *name = name.replace(&format!(".{kind}{digit}."), &format!(".{kind}.{digit}."));
                }
            }
        }
    }
    assert!(
        tensors.iter().any(|(name, _)| name == "features.denseblock1.denselayer1.norm.1.weight")
    );
    let folder = tempfile::tempdir().unwrap();
    let imported = read(&write(folder.path(), &tensors), "densenet121", None).unwrap();
    assert_eq!(imported.card.classes.len(), 3);
    let found = imported.model.tensors();
    for (index, (name, _)) in shapes("densenet121", 3).iter().enumerate() {
        assert_eq!(found[name].values[0], (index + 1) as f32, "{name}");
    }
}

/// Names alone: the matrices themselves are too large for a test.
#[test]
fn torchvisions_vgg_has_other_names_and_shapes() {
    let network = zoo::network("vgg16_bn", &Options::plain(5)).unwrap();
    for (theirs, shape, own, own_shape) in [
        ("classifier.0.weight", vec![4096, 25088], "pre_logits.fc1.weight", vec![4096, 512, 7, 7]),
        ("classifier.3.weight", vec![4096, 4096], "pre_logits.fc2.weight", vec![4096, 4096, 1, 1]),
        ("classifier.3.bias", vec![4096], "pre_logits.fc2.bias", vec![4096]),
        ("classifier.6.weight", vec![5, 4096], "head.fc.weight", vec![5, 4096]),
        ("features.0.weight", vec![64, 3, 3, 3], "features.0.weight", vec![64, 3, 3, 3]),
        // Of another size it is not theirs.
        ("classifier.0.weight", vec![4096, 999], "pre_logits.fc1.weight", vec![4096, 999]),
    ] {
        assert_eq!(zoo::own_name(theirs), own);
        assert_eq!(zoo::own_shape(&network, own, &shape), own_shape, "{theirs}");
    }
    for name in ["classifier.weight", "conv1.0.weight", "layer1.0.downsample.1.weight"] {
        assert_eq!(zoo::own_name(name), name);
    }
}

#[test]
fn an_auxiliary_classifier_that_is_not_wanted_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = shapes("mobilenetv1_025", 2);
    tensors.push(("AuxLogits.fc.weight".into(), vec![2, 768]));
    tensors.push(("bn1.num_batches_tracked".into(), vec![]));
    let imported = read(&write(folder.path(), &tensors), "mobilenetv1_025", None).unwrap();
    assert_eq!(imported.left_out, 1);
    // A counter is a whole number, or it is none.
    assert_eq!(imported.card.step, 0);
    assert_eq!(imported.card.validation, Validation { resize: 256, crop: 224 });
}

#[test]
fn another_number_of_classes_draws_a_new_classifier_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &shapes("mobilenetv1_025", 2));
    let plain = read(&file, "mobilenetv1_025", None).unwrap();
    let same = read(&file, "mobilenetv1_025", Some(2)).unwrap();
    let other = read(&file, "mobilenetv1_025", Some(7)).unwrap();
    assert_eq!((plain.replaced, same.replaced, other.replaced), (None, None, Some(2)));
    let [plain, same, other] = [plain, same, other].map(|imported| imported.model.tensors());
    assert!(plain == same);
    for (name, tensor) in &plain {
        assert_eq!(other[name] == *tensor, !name.starts_with("classifier."), "{name}");
    }
    assert_eq!(other["classifier.weight"].shape, [7, 256]);
    let spread = other["classifier.weight"].values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    assert!((0.1..0.16).contains(&spread), "Xavier's bound is 0.151: {spread}");

    // A body without a classifier takes a new one, where one is asked for.
    let mut body = shapes("mobilenetv1_025", 2);
    body.retain(|(name, _)| !name.starts_with("classifier."));
    let file = write(folder.path(), &body);
    assert!(read(&file, "mobilenetv1_025", None).unwrap_err().contains("classifier.bias"));
    assert_eq!(read(&file, "mobilenetv1_025", Some(4)).unwrap().model.module.classes(), 4);
}

/// What a config of timm's says of a small network: its own mean, crop, interpolation and classes.
fn config(architecture: &str, classes: usize) -> String {
    let names: Vec<String> = (0..classes).map(|class| format!("\"kind {class}\"")).collect();
    format!(
        r#"{{
            "architecture": "{architecture}", "num_classes": {classes}, "label_names": [{}],
            "pretrained_cfg": {{
                "tag": "x_in1k", "input_size": [3, 96, 96], "interpolation": "bicubic", "crop_pct": 0.96,
                "crop_mode": "center", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "license": "apache-2.0"
            }}
        }}"#,
        names.join(", ")
    )
}

#[test]
fn a_config_beside_the_file_says_what_the_weights_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &shapes("resnet18", 3));
    let unnamed = Import { file: &file, network: None, classes: None, class_names: None };
    let refused = import(&unnamed, &nn::cpu()).unwrap_err().to_string();
    assert!(refused.contains("no config.json") && refused.contains("--model"), "{refused}");

    fs::write(folder.path().join("config.json"), config("resnet18", 3)).unwrap();
    let imported = import(&unnamed, &nn::cpu()).unwrap();
    let card = &imported.card;
    assert_eq!(imported.model.module.name, "resnet18");
    assert_eq!(imported.config.as_deref(), Some(&*folder.path().join("config.json")));
    assert_eq!(card.classes, ["kind 0", "kind 1", "kind 2"]);
    assert_eq!(card.interpolation, Interpolation::Bicubic);
    assert_eq!(card.validation, Validation { resize: 100, crop: 96 });
    assert_eq!((card.normalize.mean, card.normalize.std), ([127.5; 3], [63.75; 3]));

    // Another number of classes is unnamed, and a config of another network is left alone.
    let more = Import { classes: Some(5), ..unnamed.clone() };
    assert_eq!(import(&more, &nn::cpu()).unwrap().card.classes[4], "class 4");
    fs::write(folder.path().join("config.json"), config("resnet50", 3)).unwrap();
    let named = read(&file, "resnet18", None).unwrap();
    assert_eq!((named.config, named.other_config.as_deref()), (None, Some("resnet50")));
    assert_eq!(named.card.interpolation, Interpolation::Bilinear);

    // That of another program says nothing; a broken one of timm's is named with the key.
    fs::write(folder.path().join("config.json"), r#"{"model_type": "resnet"}"#).unwrap();
    assert!(read(&file, "resnet18", None).unwrap().config.is_none());
    let squashed = config("resnet18", 3).replace("center", "squash");
    fs::write(folder.path().join("config.json"), squashed).unwrap();
    let refused = read(&file, "resnet18", None).unwrap_err();
    assert!(refused.contains("config.json") && refused.contains("crop_mode"), "{refused}");
}

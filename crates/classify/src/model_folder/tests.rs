//! Folders that come back as they were written, timm's own, and broken ones.

mod damage;
mod edits;
mod problems;

use nn::Init;
use recipe::{Normalize, Orientation, Validation};
use serde_json::json;
use zoo::{Options, Shape, StemSize};

use super::parse::network_of_timm;
use super::*;
use crate::card::Split;

fn model(name: &str, options: &Options) -> Model<Network> {
    let network = zoo::network(name, options).expect("a known name");
    let rng = |index| data::at(1, data::Stream::Init, 0, index as u64);
    Model::initialized(network, Init::Xavier, 1.0, &nn::cpu(), rng)
}

fn card(options: Options) -> Card {
    let classes: Vec<String> = (0..options.classes).map(|index| format!("kind {index}")).collect();
    Card {
        classes,
        validation: Validation { resize: 37, crop: 32 },
        normalize: Normalize { mean: [120.0, 110.5, 100.0], std: [60.0, 61.0, 62.5] },
        orientation: Orientation::Exif,
        options,
        step: 7,
        split: Split { share: 0.25, seed: 11, embedded: false },
        recipe: "mine".into(),
    }
}

#[test]
fn a_folder_comes_back_as_it_was_written() {
    let shape = Shape { blocks: [1, 2, 1, 1], channels: [8, 8, 16, 16], stem_channels: 8 };
    for (name, stem) in [("resnet18d", StemSize::Imagenet), ("resnet50", StemSize::Small)] {
        let options = Options { shape: Some(shape), stem, ..Options::plain(3) };
        let (model, card) = (model(name, &options), card(options));
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &model, &card).unwrap();
        let (read_model, read_card) = read(folder.path(), &nn::cpu()).unwrap();
        assert_eq!(read_card, card, "{name}");
        assert_eq!(read_model.module, model.module, "{name}");
        assert_eq!(read_model.tensors(), model.tensors(), "{name}");
    }
}

#[test]
fn a_folder_of_any_family_comes_back() {
    let wide = Shape { blocks: [1; 4], channels: [16; 4], stem_channels: 8 };
    let (plain, small) = (Options::plain(3), StemSize::Small);
    for (name, options) in [
        ("seresnext50_32x4d", Options { shape: Some(wide), ..plain.clone() }),
        ("mobilenetv1_025_relu6", plain.clone()),
        ("densenet121", Options { stem: small, ..plain }),
    ] {
        let (model, card) = (model(name, &options), card(options));
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &model, &card).unwrap();
        let (read_model, read_card) = read(folder.path(), &nn::cpu()).unwrap();
        assert_eq!(read_card, card, "{name}");
        assert_eq!(read_model.module, model.module, "{name}");
        assert_eq!(read_model.tensors(), model.tensors(), "{name}");
        let x = nn::Tensor::ones([2, 32, 32, 3], &nn::cpu());
        let logits = |model: &Model<Network>, x| zoo::logits(model, x).into_data();
        assert_eq!(logits(&read_model, x.clone()), logits(&model, x), "{name}");
    }
}

/// A folder as timm itself writes one: no key of ours, no counters, levels as shares of 255.
#[test]
fn a_folder_of_timms_own_is_read() {
    let options = Options::plain(4);
    let model = model("resnet18", &options);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &model, &card(options)).unwrap();
    let config = json!({
        "architecture": "resnet18",
        "num_classes": 4,
        "num_features": 512,
        "pretrained_cfg": {
            "input_size": [3, 224, 224],
            "crop_pct": 0.875,
            "mean": [0.5, 0.25, 0.125],
            "std": [0.2, 0.2, 0.2],
        },
    });
    fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
    let (read_model, card) = read(folder.path(), &nn::cpu()).unwrap();
    assert_eq!(read_model.tensors(), model.tensors());
    assert_eq!(card.validation, Validation { resize: 256, crop: 224 });
    assert_eq!(card.normalize.mean, [127.5, 63.75, 31.875]);
    assert_eq!(card.classes[3], "class 3");

    // As timm 1.0.31 writes it down, with the arguments that say nothing new.
    let usual = json!({"num_classes": 4, "in_chans": 3, "global_pool": "avg"});
    let (mut with_args, mut refused) = (config.clone(), config);
    with_args["model_args"] = usual.clone();
    fs::write(folder.path().join(CONFIG), with_args.to_string()).unwrap();
    assert_eq!(read(folder.path(), &nn::cpu()).unwrap().0.module.name, "resnet18");
    refused["model_args"] = usual;
    refused["model_args"]["act_layer"] = json!("silu");
    fs::write(folder.path().join(CONFIG), refused.to_string()).unwrap();
    let text = read(folder.path(), &nn::cpu()).unwrap_err().to_string();
    assert!(text.contains("silu") && text.contains("none of the networks"), "{text}");
}

/// timm's `mobilenetv1_100` has ReLU6, and its `resnet18` with a deep stem is our `resnet18c`.
#[test]
fn a_network_of_timms_is_found_by_its_function() {
    for (architecture, model_args, name) in [
        ("mobilenetv1_100", json!({}), "mobilenetv1_100_relu6"),
        ("mobilenetv1_100", json!({"act_layer": "relu"}), "mobilenetv1_100"),
        ("resnet18", json!({"stem_type": "deep", "stem_width": 32}), "resnet18c"),
        ("inception_v3", json!({"aux_logits": false}), "inception_v3"),
        ("inception_v3", json!({"aux_logits": true, "in_chans": 3}), "inception_v3_aux"),
        ("resnet51", json!({}), "resnet51"),
    ] {
        let found = network_of_timm(Some(architecture), model_args.as_object());
        assert_eq!(found.expect("a network"), name);
    }
}

#[test]
fn a_config_tells_timm_of_every_network() {
    for (name, first_conv, pool_size) in [
        ("resnet50d", "conv1.0", 7),
        ("inception_v3", "Conv2d_1a_3x3.conv", 8),
        ("vgg19", "features.0", 7),
        ("vgg19_bn", "features.0", 7),
        ("densenet201", "features.conv0", 7),
        ("mobilenetv1_100", "conv_stem", 7),
    ] {
        let options = Options::plain(3);
        let network = zoo::network(name, &options).expect("a known name");
        let (crop, resize) = (network.input, network.input + 5);
        let card = Card { validation: Validation { resize, crop }, ..card(options) };
        let config = config(&network, &card);
        assert_eq!(config["pretrained_cfg"]["first_conv"], first_conv, "{name}");
        assert_eq!(config["pretrained_cfg"]["pool_size"][0], pool_size, "{name}");
    }
}

#[test]
fn broken_folders_say_what_is_wrong() {
    let options = Options::plain(4);
    let (model, card) = (model("resnet18", &options), card(options));
    let folder = tempfile::tempdir().unwrap();
    let refused = || read(folder.path(), &nn::cpu()).unwrap_err().to_string();
    assert!(refused().contains("no model here"));
    write(folder.path(), &model, &card).unwrap();
    let config = fs::read_to_string(folder.path().join(CONFIG)).unwrap();
    let with = |old: &str, new: &str| {
        assert!(config.contains(old), "{old}");
        fs::write(folder.path().join(CONFIG), config.replace(old, new)).unwrap();
    };
    let architecture = "\"architecture\": \"resnet18\"";
    with(architecture, "\"architecture\": \"resnet34\"");
    assert!(
        refused()
            .contains("architecture is \"resnet34\", and trickbag.network makes it \"resnet18\"")
    );
    let other = config.replace(architecture, "\"architecture\": \"resnet34\"");
    let other = other.replace("\"network\": \"resnet18\"", "\"network\": \"resnet34\"");
    fs::write(folder.path().join(CONFIG), other).unwrap();
    assert!(refused().contains("missing"), "{}", refused());
    with("\"network\": \"resnet18\"", "\"network\": \"resnet19\"");
    assert!(refused().contains("did you mean"), "{}", refused());
    with("\"num_classes\": 4", "\"num_classes\": 5");
    assert!(
        refused().contains("label_names is a list of 4, and num_classes is 5"),
        "{}",
        refused()
    );
    let names = config.find("\"label_names\"").unwrap()..config.find("\"model_args\"").unwrap();
    let without = [&config[..names.start], &config[names.end..]].concat();
    let other = without.replace("\"num_classes\": 4", "\"num_classes\": 5");
    fs::write(folder.path().join(CONFIG), other).unwrap();
    assert!(refused().contains("fc.weight"), "{}", refused());
    fs::write(folder.path().join(CONFIG), "[]").unwrap();
    assert!(refused().contains("not the JSON of a model"), "{}", refused());
    fs::write(folder.path().join(WEIGHTS), b"12345678").unwrap();
    with("\"num_classes\": 4", "\"num_classes\": 4");
    assert!(refused().contains("not a whole safetensors file"), "{}", refused());
}

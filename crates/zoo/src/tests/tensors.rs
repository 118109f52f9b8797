//! A model to its tensors and back, and the tensors that are not a model's.

use nn::{FileTensor, Init, Mismatch, Model, Module, file_shapes};
use rand::SeedableRng;

use super::{image, numbers, tiny};
use crate::{Network, Options, Shape, StemSize, folded, logits, network};

/// A model whose every tensor differs from a fresh one's.
fn model(name: &str) -> Model<Network> {
    filled(tiny(name, StemSize::Small))
}

fn filled(network: Network) -> Model<Network> {
    let random = |index| rand_chacha::ChaCha8Rng::seed_from_u64(index as u64);
    let mut model = Model::initialized(network, Init::MsraPrelu, 0.5, &nn::cpu(), random);
    for (index, norm) in model.module.norms().into_iter().enumerate() {
        let value = |base, c| base + ((index + c) % 64) as f32 / 64.0;
        let values = |base: f32| (0..norm.channels).map(|c| value(base, c)).collect();
        model.statistics.set(&norm.name, [values(-0.5), values(0.5)], &nn::cpu());
    }
    model
}

#[test]
fn round_trip() {
    for name in ["resnet18_original", "resnet34d", "resnet50c", "resnet101"] {
        let first = model(name);
        let tensors = first.tensors();
        let second = Model::from_tensors(first.module.clone(), tensors.clone(), &nn::cpu())
            .expect("its own tensors");
        assert_eq!(second.tensors(), tensors, "{name}");
        let x =
            image((0..2 * 9 * 9 * 3).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect(), [2, 9, 9, 3]);
        assert_eq!(numbers(logits(&first, x.clone())), numbers(logits(&second, x)), "{name}");
    }
}

/// PyTorch's layout has the kernel last: element (o, i, y, x) is ours at (o, y, x, i).
#[test]
fn a_file_has_pytorchs_layout() {
    let model = model("resnet18");
    let parameter = model.parameters.iter().next().expect("a first parameter");
    let [out, kh, kw, c_in] = parameter.spec.shape[..] else { panic!("a convolution's weight") };
    let ours = numbers(parameter.value.clone());
    let FileTensor { shape, values } = &model.tensors()["conv1.weight"];
    assert_eq!(shape, &[out, c_in, kh, kw]);
    for (o, i, y, x) in [(0, 0, 0, 0), (1, 2, 0, 1), (7, 1, 2, 0), (3, 2, 2, 2)] {
        let theirs = values[((o * c_in + i) * kh + y) * kw + x];
        assert_eq!(theirs, ours[((o * kh + y) * kw + x) * c_in + i]);
    }
    assert_eq!(model.tensors()["fc.weight"].shape, [10, 20]);
}

#[test]
fn a_mismatch_lists_all_that_is_wrong() {
    let model = model("resnet50d");
    let mut tensors = model.tensors();
    tensors.remove("layer1.0.conv2.weight");
    tensors.remove("layer2.0.bn1.running_var");
    tensors.insert("head.weight".to_owned(), FileTensor { shape: vec![1], values: vec![0.0] });
    let fc = tensors.get_mut("fc.weight").expect("a classifier");
    // As many numbers in another shape.
    fc.shape.reverse();
    let norm = tensors.get_mut("bn1.running_mean").expect("a batch norm");
    *norm = FileTensor { shape: vec![3], values: vec![0.0; 3] };

    let error = Model::from_tensors(model.module, tensors, &nn::cpu()).expect_err("another's");
    assert_eq!(error.module, "resnet50d");
    assert_eq!(error.missing, ["layer1.0.conv2.weight", "layer2.0.bn1.running_var"]);
    assert_eq!(error.unexpected, ["head.weight"]);
    let misshaped = [
        ("fc.weight".to_owned(), vec![80, 10], vec![10, 80]),
        ("bn1.running_mean".to_owned(), vec![3], vec![8]),
    ];
    assert_eq!(error.misshaped, misshaped);
    let text = error.to_string();
    for part in [
        "the tensors are not those of resnet50d",
        "2 missing, such as layer1.0.conv2.weight",
        "1 unexpected, such as head.weight",
        "2 of another shape, such as fc.weight ([80, 10], not [10, 80])",
    ] {
        assert!(text.contains(part), "{part} in: {text}");
    }
    let list = error.list();
    for part in [
        "\n  2 missing:\n    layer1.0.conv2.weight\n    layer2.0.bn1.running_var",
        "\n  1 unexpected:\n    head.weight\n",
        "\n  2 of another shape:\n    fc.weight is [80, 10], not [10, 80]",
    ] {
        assert!(list.contains(part), "{part} in: {list}");
    }
}

#[test]
fn a_long_list_is_cut() {
    let nothing = std::collections::BTreeMap::new();
    let network = super::plain("densenet121");
    let count = file_shapes(&network).len();
    let list = Mismatch::check(&network, &nothing).expect_err("nothing").list();
    assert_eq!(list.lines().count(), 43);
    assert!(list.ends_with(&format!("and {} more", count - 40)), "{list}");
}

#[test]
fn tensors_tell_which_networks_they_fit() {
    for (name, expected) in [
        ("resnet18d", vec!["resnet18d"]),
        ("resnet50", vec!["resnet50_original", "resnet50"]),
        ("densenet169", vec!["densenet169"]),
    ] {
        let network = network(name, &Options::plain(7)).expect("a known name");
        let shapes = file_shapes(&network).into_iter().collect();
        assert_eq!(crate::fitting(&shapes), expected);
    }
}

/// A file that is cut in its values though its shape is right.
#[test]
#[should_panic(expected = "parameters: fc.bias [10]")]
fn values_that_do_not_fill_their_shape_panic() {
    let model = model("resnet18");
    let mut tensors = model.tensors();
    tensors.get_mut("fc.bias").expect("a classifier").values.pop();
    let _ = Model::from_tensors(model.module, tensors, &nn::cpu());
}

/// Folding the batch norms away changes nothing but roundings.
#[test]
fn a_folded_model_gives_the_same_logits() {
    for name in ["resnet18d", "resnet34", "resnet50_original", "resnet50d"] {
        assert_folds(model(name), [33, 35]);
    }
    let wide = Shape { blocks: [1; 4], channels: [16, 16, 32, 32], stem_channels: 16 };
    let wide = Options { shape: Some(wide), ..Options::plain(10) };
    for name in ["seresnet50", "seresnext50_32x4d"] {
        assert_folds(filled(network(name, &wide).expect("a known name")), [40, 33]);
    }
    for (name, size) in
        [("mobilenetv1_025_relu6", [33, 35]), ("densenet121", [32, 40]), ("inception_v3", [75, 80])]
    {
        assert_folds(filled(network(name, &Options::plain(10)).expect("a known name")), size);
    }
    for name in ["vgg16", "vgg16_bn"] {
        let mut net = crate::vgg::by_name(name).expect("a known name");
        net.hidden = 8;
        assert_folds(filled(net.network(10)), [32, 40]);
    }
}

fn assert_folds(model: Model<Network>, [height, width]: [usize; 2]) {
    let name = model.module.name.clone();
    let shape = [3, height, width, 3];
    let x = (0..shape.iter().product::<usize>()).map(|i| super::uniform(77, i as u64) as f32);
    let x = image(x.collect(), shape);
    let plain = numbers(logits(&model, x.clone()));
    let inferred = numbers(model.module.infer(&folded(&model), x));
    let largest = plain.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    assert!(largest > 0.0 && largest.is_finite(), "{name}: {plain:?}");
    for (a, b) in plain.iter().zip(&inferred) {
        assert!((a - b).abs() <= 2e-5 * largest, "{name}: {a} {b}");
    }
}

//! How timm is told to build the same function, or why it cannot.

use serde_json::{Value, json};

use super::{TINY, plain, tiny};
use crate::{Options, StemSize, Timm, network};

/// The architecture and its arguments.
fn builds(timm: &Timm) -> (&str, Value) {
    match timm {
        Timm::Builds { architecture, model_args } => {
            (architecture, Value::Object(model_args.clone()))
        }
        Timm::Cannot { why } => panic!("timm builds it, but: {why}"),
    }
}

#[test]
fn builds_by_name() {
    let deep = json!({"stem_type": "deep", "stem_width": 32});
    for (name, architecture, model_args) in [
        ("resnet18", "resnet18", json!({})),
        // A basic block has no 1×1 to stride, so timm's plain net is this one.
        ("resnet18_original", "resnet18", json!({})),
        ("resnet34_original", "resnet34", json!({})),
        ("resnet18c", "resnet18", deep.clone()),
        ("resnet34c", "resnet34", deep),
        ("resnet34d", "resnet34d", json!({})),
        ("resnet50", "resnet50", json!({})),
        ("resnet50c", "resnet50c", json!({})),
        ("resnet101c", "resnet101c", json!({})),
        ("resnet152d", "resnet152d", json!({})),
        ("resnet50s", "resnet50s", json!({})),
        ("resnext101_32x4d", "resnext101_32x4d", json!({})),
        ("seresnet50", "seresnet50", json!({})),
        ("seresnext50_32x4d", "seresnext50_32x4d", json!({})),
        ("inception_v3", "inception_v3", json!({})),
        ("inception_v3_aux", "inception_v3", json!({"aux_logits": true})),
        ("mobilenetv1_100", "mobilenetv1_100", json!({"act_layer": "relu"})),
        ("mobilenetv1_100_relu6", "mobilenetv1_100", json!({})),
        ("densenet201", "densenet201", json!({})),
        ("vgg19", "vgg19", json!({})),
        ("vgg19_bn", "vgg19_bn", json!({})),
    ] {
        assert_eq!(builds(&plain(name).timm), (architecture, model_args), "{name}");
    }
}

#[test]
fn finds_its_way_back() {
    for name in crate::names() {
        let Timm::Builds { architecture, model_args } = plain(&name).timm else { continue };
        let back = crate::by_timm(&architecture, &model_args).expect("a network");
        let network = plain(&back);
        // A basic block has no 1×1 to stride: both names are one function.
        assert_eq!(network.stages, plain(&name).stages, "{name} and {back}");
        assert_eq!(network.stem, plain(&name).stem, "{name} and {back}");
    }
    let none = serde_json::Map::new();
    let back = |architecture| crate::by_timm(architecture, &none);
    assert_eq!(back("mobilenetv1_100").as_deref(), Some("mobilenetv1_100_relu6"));
    assert_eq!(back("resnet18").as_deref(), Some("resnet18"));
    assert_eq!(back("resnet50_original"), None);
}

#[test]
fn builds_another_shape_by_arguments() {
    let deep = crate::Shape { stem_channels: 24, ..TINY };
    let flat = crate::Shape { stem_channels: 64, ..TINY };
    let (layers, channels) = (json!([1, 1, 1, 1]), json!([8, 12, 16, 20]));
    for (name, shape, architecture, stem) in [
        ("resnet50d", deep, "resnet50d", json!({"stem_width": 12})),
        ("resnet18d", deep, "resnet18d", json!({"stem_width": 12})),
        ("resnet18c", deep, "resnet18", json!({"stem_type": "deep", "stem_width": 12})),
        ("resnet50", flat, "resnet50", json!({})),
    ] {
        let options = Options { shape: Some(shape), ..Options::plain(10) };
        let network = network(name, &options).expect("a known name");
        let mut expected = stem;
        expected["layers"] = layers.clone();
        expected["channels"] = channels.clone();
        assert_eq!(builds(&network.timm), (architecture, expected), "{name}");
    }
}

#[test]
fn cannot_build_the_rest() {
    let dilated = Options { dilations: [1, 1, 2, 4], ..Options::plain(10) };
    for (network, reason) in [
        (plain("resnet50_original"), "stride 2 in the 3×3"),
        (plain("resnet152_original"), "stride 2 in the 3×3"),
        (plain("seresnet50_original"), "stride 2 in the 3×3"),
        (plain("mobilenetv1_025"), "width 1 only"),
        (tiny("resnet18d", StemSize::Small), "stem of stride 1"),
        (tiny("resnet50", StemSize::Small), "stem of stride 1"),
        (tiny("resnet50", StemSize::Imagenet), "7×7 stem has 64 channels"),
        (network("resnet50d", &dilated).expect("a known name"), "dilated"),
    ] {
        match &network.timm {
            Timm::Cannot { why } => assert!(why.contains(reason), "{}: {why}", network.name),
            builds => panic!("{}: {builds:?}", network.name),
        }
    }
}

//! Names, shapes and order of tensors against timm's state dicts; what holds of the parameters of every network.

use std::collections::BTreeMap;

use nn::{Layer, Model, Module, Parameters, Role, Statistics, file_shape};

use super::{plain, resnets, tiny};
use crate::{Network, NetworkError, Options, StemSize, network};

/// timm 1.0.31's state dicts, one tensor a line: name, type, shape.
const KEYS: [(&str, &str); 14] = [
    ("resnet18", include_str!("../../testdata/keys/resnet18.tsv")),
    ("resnet50", include_str!("../../testdata/keys/resnet50.tsv")),
    ("resnet50c", include_str!("../../testdata/keys/resnet50c.tsv")),
    ("resnet50d", include_str!("../../testdata/keys/resnet50d.tsv")),
    ("resnet101d", include_str!("../../testdata/keys/resnet101d.tsv")),
    ("resnet152d", include_str!("../../testdata/keys/resnet152d.tsv")),
    ("resnet50s", include_str!("../../testdata/keys/resnet50s.tsv")),
    ("resnext50_32x4d", include_str!("../../testdata/keys/resnext50_32x4d.tsv")),
    ("seresnet50", include_str!("../../testdata/keys/seresnet50.tsv")),
    ("seresnext50_32x4d", include_str!("../../testdata/keys/seresnext50_32x4d.tsv")),
    ("inception_v3", include_str!("../../testdata/keys/inception_v3.tsv")),
    ("mobilenetv1_100", include_str!("../../testdata/keys/mobilenetv1_100.tsv")),
    ("densenet201", include_str!("../../testdata/keys/densenet201.tsv")),
    ("vgg19_bn", include_str!("../../testdata/keys/vgg19_bn.tsv")),
];

/// Name and shape of each tensor, in timm's order; its step counters are none of ours.
fn timm(keys: &str) -> Vec<(String, Vec<usize>)> {
    keys.lines()
        .filter(|line| !line.contains("num_batches_tracked"))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, "F32", shape] = fields[..] else { panic!("not a tensor: {line}") };
            let shape = shape.split(',').map(|side| side.parse().expect("a number"));
            (name.to_owned(), shape.collect())
        })
        .collect()
}

fn is_statistic(name: &str) -> bool {
    name.ends_with("running_mean") || name.ends_with("running_var")
}

#[test]
fn learnable_tensors_are_timms_in_timms_order() {
    for (name, keys) in KEYS {
        let expected: Vec<_> =
            timm(keys).into_iter().filter(|(name, _)| !is_statistic(name)).collect();
        let parameters = plain(name).parameters();
        let found: Vec<_> =
            parameters.iter().map(|spec| (spec.name.clone(), file_shape(spec))).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn running_statistics_are_timms_in_timms_order() {
    for (name, keys) in KEYS {
        let expected: Vec<_> =
            timm(keys).into_iter().filter(|(name, _)| is_statistic(name)).collect();
        let mut found = Vec::new();
        for norm in plain(name).norms() {
            for kind in ["running_mean", "running_var"] {
                found.push((format!("{}.{kind}", norm.name), vec![norm.channels]));
            }
        }
        assert_eq!(found, expected, "{name}");
    }
}

/// The tensors that a model really holds and would write.
#[test]
fn a_model_holds_timms_tensors() {
    for (name, keys) in KEYS
        .into_iter()
        .filter(|(name, _)| ["resnet18", "resnet50d", "seresnet50", "densenet201"].contains(name))
    {
        let network = plain(name);
        let zeros = network.parameters().iter().map(|spec| vec![0.0; spec.len()]).collect();
        let model = Model {
            parameters: Parameters::new(network.parameters(), zeros, &nn::cpu()),
            statistics: Statistics::new(&network.norms(), &nn::cpu()),
            device: nn::cpu(),
            module: network,
        };
        let found: BTreeMap<_, _> =
            model.tensors().into_iter().map(|(name, tensor)| (name, tensor.shape)).collect();
        assert_eq!(found, timm(keys).into_iter().collect(), "{name}");
    }
}

/// Every network of the zoo, with ImageNet's stem and the small one, and a tiny one of each.
fn every_network() -> Vec<Network> {
    let mut networks = Vec::new();
    for name in resnets() {
        for stem in [StemSize::Imagenet, StemSize::Small] {
            let options = Options { stem, ..Options::plain(10) };
            networks.push(network(&name, &options).expect("a known name"));
            networks.push(tiny(&name, stem));
        }
    }
    networks
}

#[test]
fn only_the_classifier_has_a_bias() {
    for network in every_network() {
        let specs = network.parameters();
        let biases: Vec<_> = specs.iter().filter(|spec| spec.role == Role::Bias).collect();
        assert_eq!(biases.len(), 1, "{}", network.name);
        assert_eq!(biases[0].name, "fc.bias");
        // One weight, γ and β for each convolution, and the classifier's two.
        assert_eq!(specs.len(), 3 * network.conv_bns().len() + 2, "{}", network.name);
    }
}

#[test]
fn a_block_ends_in_the_gamma_that_may_be_zero() {
    for network in every_network() {
        let last = |layer: &Layer| match layer {
            Layer::Residual(block) => Some(format!("{}.weight", block.last.bn)),
            _ => None,
        };
        let expected: Vec<String> = network.layers().filter_map(last).collect();
        assert_eq!(expected.len(), network.stages.iter().map(|s| s.layers.len()).sum::<usize>());
        let specs = network.parameters();
        let marked = |role| role == Role::Gamma { last_in_block: true };
        let found: Vec<&String> =
            specs.iter().filter(|spec| marked(spec.role)).map(|spec| &spec.name).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>(), "{}", network.name);
        // bn2 of a basic block, bn3 of a bottleneck.
        let basic = network.name.starts_with("resnet18") || network.name.starts_with("resnet34");
        let end = if basic { ".bn2.weight" } else { ".bn3.weight" };
        assert!(found.iter().all(|name| name.ends_with(end)), "{}", network.name);
    }
}

/// The zero γ of §3.1 acts where a residual block ends, with squeeze and excitation behind it or not, and nowhere else.
#[test]
fn gammas_that_may_be_zero_end_a_residual_block() {
    for name in crate::names() {
        let network = plain(&name);
        let residual = |layer: &&Layer| matches!(layer, Layer::Residual(_));
        let blocks = network.layers().filter(residual).count();
        let marked = |role| role == Role::Gamma { last_in_block: true };
        let found = network.parameters().iter().filter(|spec| marked(spec.role)).count();
        assert_eq!(found, blocks, "{name}");
        assert_eq!(blocks > 0, name.contains("resne"), "{name}");
    }
}

#[test]
fn names_are_told_apart() {
    let all = crate::names().into_iter().map(|name| plain(&name));
    for network in every_network().into_iter().chain(all) {
        let mut names: Vec<String> =
            network.parameters().into_iter().map(|spec| spec.name).collect();
        names.extend(network.norms().into_iter().map(|norm| norm.name));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{}", network.name);
    }
}

/// timm's place for it: between the last module of stage 2 and the first of stage 3.
#[test]
fn the_auxiliary_classifier_adds_its_own_tensors() {
    let (with, without) = (plain("inception_v3_aux"), plain("inception_v3"));
    let names = |network: &Network| -> Vec<String> {
        network.parameters().into_iter().map(|spec| spec.name).collect()
    };
    let (all, known) = (names(&with), names(&without));
    let own: Vec<&String> = all.iter().filter(|name| name.starts_with("AuxLogits.")).collect();
    assert_eq!(own.len(), 8);
    assert_eq!(own[7], "AuxLogits.fc.bias");
    let at = all.iter().position(|name| name == "AuxLogits.conv0.conv.weight").expect("its first");
    assert!(all[at - 1].starts_with("Mixed_6e.") && all[at + 8].starts_with("Mixed_7a."));
    let rest: Vec<String> = all.into_iter().filter(|name| !name.starts_with("Aux")).collect();
    assert_eq!(rest, known);
    assert_eq!(with.norms().len(), without.norms().len() + 2);
}

#[test]
fn an_unknown_name_is_told_the_nearest() {
    for (name, nearest) in [
        ("resnet50e", "resnet50"),
        ("resnet-50d", "resnet50d"),
        ("ResNet18", "resnet18"),
        ("resnet152_orignal", "resnet152_original"),
        ("inceptionv3", "inception_v3"),
        ("densenet-201", "densenet201"),
        ("vgg19bn", "vgg19_bn"),
    ] {
        let error = network(name, &Options::plain(10)).expect_err("an unknown name");
        assert!(matches!(error, NetworkError::Unknown { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{name:?}")) && text.contains(&format!("{nearest:?}")));
    }
    for name in crate::names() {
        assert_eq!(plain(&name).name, name);
    }
}

#[test]
fn what_a_network_cannot_be_is_said() {
    use crate::Shape;
    let shape = Shape { blocks: [1; 4], channels: [8, 16, 32, 64], stem_channels: 8 };
    let shaped = Options { shape: Some(shape), ..Options::plain(10) };
    let small = Options { stem: StemSize::Small, ..Options::plain(10) };
    let dilated = Options { dilations: [1, 1, 2, 4], ..Options::plain(10) };
    for (name, options, part) in [
        ("mobilenetv1_100", &shaped, "network.shape"),
        ("densenet121", &dilated, "dilated"),
        ("inception_v3", &small, "network.stem"),
        ("vgg19_bn", &small, "network.stem"),
        ("resnext50_32x4d", &shaped, "16 channels"),
    ] {
        let text = network(name, options).expect_err(name).to_string();
        assert!(text.contains(name) && text.contains(part), "{text}");
    }
    for name in ["mobilenetv1_050", "densenet121", "seresnext50_32x4d", "resnext101_32x4d"] {
        assert_eq!(network(name, &small).expect("a small stem").input, 32, "{name}");
    }
}

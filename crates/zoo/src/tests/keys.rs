//! Names, shapes and order of tensors against timm's state dicts; what holds of the parameters of every network.

use std::collections::BTreeMap;

use nn::{Layer, Parameters, Role, Statistics};

use super::{plain, resnets, tiny};
use crate::model::{Model, file_shape};
use crate::{Network, NetworkError, Options, StemSize, network};

/// timm 1.0.31's state dicts, one tensor a line: name, type, shape.
const KEYS: [(&str, &str); 7] = [
    ("resnet18", include_str!("../../testdata/keys/resnet18.tsv")),
    ("resnet50", include_str!("../../testdata/keys/resnet50.tsv")),
    ("resnet50c", include_str!("../../testdata/keys/resnet50c.tsv")),
    ("resnet50d", include_str!("../../testdata/keys/resnet50d.tsv")),
    ("resnet101d", include_str!("../../testdata/keys/resnet101d.tsv")),
    ("resnet152d", include_str!("../../testdata/keys/resnet152d.tsv")),
    ("mobilenetv1_100", include_str!("../../testdata/keys/mobilenetv1_100.tsv")),
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
        for (norm, channels) in plain(name).batch_norms() {
            for kind in ["running_mean", "running_var"] {
                found.push((format!("{norm}.{kind}"), vec![channels]));
            }
        }
        assert_eq!(found, expected, "{name}");
    }
}

/// The tensors that a model really holds and would write.
#[test]
fn a_model_holds_timms_tensors() {
    for (name, keys) in
        KEYS.into_iter().filter(|(name, _)| ["resnet18", "resnet50d"].contains(name))
    {
        let network = plain(name);
        let zeros = network.parameters().iter().map(|spec| vec![0.0; spec.len()]).collect();
        let model = Model {
            parameters: Parameters::new(network.parameters(), zeros, &nn::cpu()),
            statistics: Statistics::new(&network.batch_norms(), &nn::cpu()),
            device: nn::cpu(),
            network,
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

#[test]
fn names_are_told_apart() {
    for network in every_network() {
        let mut names: Vec<String> =
            network.parameters().into_iter().map(|spec| spec.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{}", network.name);
    }
}

#[test]
fn an_unknown_name_is_told_the_nearest() {
    for (name, nearest) in [
        ("resnet50e", "resnet50"),
        ("resnet-50d", "resnet50d"),
        ("ResNet18", "resnet18"),
        ("resnet152_orignal", "resnet152_original"),
    ] {
        let error = network(name, &Options::plain(10)).expect_err("an unknown name");
        assert!(matches!(error, NetworkError::Unknown { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{name:?}")) && text.contains(&format!("{nearest:?}")));
    }
    for name in resnets() {
        assert_eq!(plain(&name).name, name);
    }
}

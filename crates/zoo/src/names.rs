//! The names and shapes that torchvision gives the tensors of networks that timm has too; ours are timm's.

use std::collections::BTreeMap;

use crate::{Network, Options, network};
use nn::{Mismatch, Module, file_shape};

/// torchvision's VGG numbers the layers of its classifier, two of which timm has as convolutions.
const VGG: [(&str, &str); 3] = [
    ("classifier.0.", "pre_logits.fc1."),
    ("classifier.3.", "pre_logits.fc2."),
    ("classifier.6.", "head.fc."),
];

/// torchvision's DenseNet files have a dot before a layer's number, which its own code takes out.
const DENSENET: [(&str, &str); 4] = [
    (".norm.1.", ".norm1."),
    (".norm.2.", ".norm2."),
    (".conv.1.", ".conv1."),
    (".conv.2.", ".conv2."),
];

/// Our name of a tensor that may have torchvision's.
pub fn own_name(name: &str) -> String {
    for (theirs, own) in VGG {
        if let Some(rest) = name.strip_prefix(theirs) {
            return format!("{own}{rest}");
        }
    }
    if name.contains("denselayer") {
        for (theirs, own) in DENSENET {
            if let Some((before, rest)) = name.split_once(theirs) {
                return format!("{before}{own}{rest}");
            }
        }
    }
    name.to_owned()
}

/// Our shape of a tensor of our name: the hidden layers of torchvision's VGG are matrices with as many numbers in the same
/// order.
pub fn own_shape(network: &Network, name: &str, shape: &[usize]) -> Vec<usize> {
    let specs = if name.starts_with("pre_logits.") { network.parameters() } else { Vec::new() };
    let own = specs.iter().find(|spec| spec.name == name).map(file_shape);
    match own {
        Some(own)
            if shape.len() == 2
                && own.iter().product::<usize>() == shape.iter().product::<usize>() =>
        {
            own
        }
        _ => shape.to_vec(),
    }
}

/// The networks whose tensors these names and shapes are.
pub fn fitting(found: &BTreeMap<String, Vec<usize>>) -> Vec<String> {
    let fits = |name: &String| {
        let plain = |classes| network(name, &Options::plain(classes)).ok();
        let Some(classifier) = plain(1).map(|network| network.classifier.name) else {
            return false;
        };
        let classes =
            found.get(&format!("{classifier}.weight")).and_then(|shape| shape.first().copied());
        let network = classes.and_then(plain);
        network.is_some_and(|network| Mismatch::check(&network, found).is_ok())
    };
    crate::names().into_iter().filter(fits).collect()
}

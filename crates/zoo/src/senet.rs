//! SE-ResNet and SE-ResNeXt (Table 1): squeeze and excitation at the end of every path A.
//!
//! `seresnet50_original` has stride 2 in the first 1×1 like the paper's plain net: Table 1's 3.9 G. timm's has it in the
//! 3×3.

use crate::resnet::ResNet;
use crate::{resnet, resnext};

const NAMES: [&str; 6] = [
    "seresnet50_original",
    "seresnet50",
    "seresnet101",
    "seresnet152",
    "seresnext50_32x4d",
    "seresnext101_32x4d",
];

pub(crate) fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

pub(crate) fn by_name(name: &str) -> Option<ResNet> {
    let body = NAMES.into_iter().find(|known| *known == name)?.strip_prefix("se")?;
    let body = resnet::by_name(body).or_else(|| resnext::by_name(body))?;
    Some(ResNet { squeeze_excitation: true, ..body })
}

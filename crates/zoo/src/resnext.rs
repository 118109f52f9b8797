//! ResNeXt (Table 1's ResNeXt-50 32×4d): a bottleneck's 3×3 in 32 groups of 4 channels and more.

use crate::resnet::{Groups, ResNet};

const GROUPS: Groups = Groups { count: 32, width: 4 };
const DEPTHS: [usize; 2] = [50, 101];

pub(crate) fn names() -> Vec<String> {
    DEPTHS.iter().map(|depth| format!("resnext{depth}_32x4d")).collect()
}

pub(crate) fn by_name(name: &str) -> Option<ResNet> {
    let depth = DEPTHS.into_iter().find(|depth| name == format!("resnext{depth}_32x4d"))?;
    Some(ResNet { groups: GROUPS, ..ResNet::of_depth(depth)? })
}

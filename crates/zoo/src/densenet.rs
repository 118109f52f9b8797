//! DenseNet (§2.2's DenseNet-201): every layer adds 32 channels to all that came before it.

use nn::{Activation, Conv, Group, Layer, Linear, Norm, Padding};
use serde_json::Map;

use crate::StemSize;
use crate::conv::{conv, window};
use crate::network::{NO_DROPOUT, Network, Stage, Timm};

/// Layers of each dense block.
const DEPTHS: [(usize, [usize; 4]); 3] =
    [(121, [6, 12, 24, 16]), (169, [6, 12, 32, 32]), (201, [6, 12, 48, 32])];

/// Channels that a layer adds.
const GROWTH: usize = 32;
/// Channels of its 1×1.
const BOTTLENECK: usize = 4 * GROWTH;
const STEM_CHANNELS: usize = 64;

pub(crate) fn names() -> Vec<String> {
    DEPTHS.iter().map(|(depth, _)| format!("densenet{depth}")).collect()
}

/// Layers of each block of the network of this name.
pub(crate) fn by_name(name: &str) -> Option<[usize; 4]> {
    DEPTHS.into_iter().find(|(depth, _)| name == format!("densenet{depth}")).map(|(_, b)| b)
}

pub(crate) fn network(name: &str, blocks: [usize; 4], classes: usize, stem: StemSize) -> Network {
    let mut c_in = STEM_CHANNELS;
    let mut stages = Vec::new();
    for (index, count) in blocks.into_iter().enumerate() {
        let mut layers = Vec::new();
        if index > 0 {
            layers.extend(transition(&format!("features.transition{index}"), c_in));
            c_in /= 2;
        }
        for layer in 1..=count {
            layers
                .push(dense(&format!("features.denseblock{}.denselayer{layer}", index + 1), c_in));
            c_in += GROWTH;
        }
        if index == 3 {
            layers.push(norm("features.norm5".into(), c_in));
        }
        let (name, stride) = (format!("stage{}", index + 1), if index == 0 { 1 } else { 2 });
        stages.push(Stage { name, layers, channels: c_in, stride });
    }
    Network {
        name: name.into(),
        input: if stem == StemSize::Small { 32 } else { 224 },
        least: if stem == StemSize::Small { 8 } else { 29 },
        stem: stem_layers(stem),
        stages,
        head: Vec::new(),
        dropout: NO_DROPOUT,
        classifier: Linear { name: "classifier".into(), c_in, c_out: classes, group: Group::Head },
        auxiliary: None,
        frozen: 0,
        timm: match stem {
            StemSize::Imagenet => {
                Timm::Builds { architecture: name.into(), model_args: Map::new() }
            }
            StemSize::Small => Timm::Cannot {
                why: "timm has no DenseNet stem of stride 1 for small images".into(),
            },
        },
    }
}

fn stem_layers(stem: StemSize) -> Vec<Layer> {
    let first = |side| conv("features.conv0", "features.norm0", side, 3, STEM_CHANNELS);
    match stem {
        StemSize::Imagenet => vec![first(7).stride(2).into(), Layer::MaxPool(window(3, 2, 1))],
        StemSize::Small => vec![first(3).into()],
    }
}

fn norm(name: String, channels: usize) -> Layer {
    Layer::Norm(Norm { name, channels, activation: Activation::Relu, frozen: false })
}

/// A convolution that is followed by no batch norm of its own: the next layer begins with one.
fn plain(name: String, side: usize, c_in: usize, c_out: usize) -> Layer {
    let (kernel, padding) = ([side; 2], Padding::Same);
    Layer::Conv(Conv { name, kernel, c_in, c_out, padding, bias: None })
}

/// BN, ReLU, 1×1, BN, ReLU, 3×3, beside the input.
fn dense(name: &str, c_in: usize) -> Layer {
    let part = |part: &str| format!("{name}.{part}");
    Layer::Branches(vec![
        Vec::new(),
        vec![
            norm(part("norm1"), c_in),
            conv(&part("conv1"), &part("norm2"), 1, c_in, BOTTLENECK).into(),
            plain(part("conv2"), 3, BOTTLENECK, GROWTH),
        ],
    ])
}

/// Half the channels and half the size.
fn transition(name: &str, c_in: usize) -> [Layer; 3] {
    [
        norm(format!("{name}.norm"), c_in),
        plain(format!("{name}.conv"), 1, c_in, c_in / 2),
        Layer::AvgPool(window(2, 2, 0)),
    ]
}

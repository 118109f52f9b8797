//! VGG (Table 8's old backbone): 3×3 convolutions in five blocks, and two wide hidden layers.
//!
//! The hidden layers are convolutions as in timm, whose 7×7 covers the whole image at 224 pixels. Smaller images are
//! stretched to it; over larger ones it slides, and the global pool takes the mean.

use nn::{Activation, Conv, Dropout, Group, Layer, Linear, Padding};
use serde_json::Map;

use crate::conv::{conv, window};
use crate::network::{Network, Stage, Timm};

/// Convolutions of each block.
const DEPTHS: [(usize, [usize; 5]); 2] = [(16, [2, 2, 3, 3, 3]), (19, [2, 2, 4, 4, 4])];
const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];
const HIDDEN: usize = 4096;
/// Side of the last block's output at 224 pixels.
const SIDE: usize = 7;
const DROPOUT: f32 = 0.5;

/// A VGG in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vgg {
    depth: usize,
    convolutions: [usize; 5],
    batch_norm: bool,
    /// Units of the first hidden layer; the second has as many as the plain net's.
    pub(crate) hidden: usize,
}

impl Vgg {
    fn name(self) -> String {
        format!("vgg{}{}", self.depth, if self.batch_norm { "_bn" } else { "" })
    }
}

fn all() -> impl Iterator<Item = Vgg> {
    DEPTHS.into_iter().flat_map(|(depth, convolutions)| {
        let net = Vgg { depth, convolutions, batch_norm: false, hidden: HIDDEN };
        [net, Vgg { batch_norm: true, ..net }]
    })
}

pub(crate) fn names() -> Vec<String> {
    all().map(Vgg::name).collect()
}

pub(crate) fn by_name(name: &str) -> Option<Vgg> {
    all().find(|net| net.name() == name)
}

impl Vgg {
    pub(crate) fn network(self, classes: usize) -> Network {
        // timm numbers the modules of one long sequence: convolution, batch norm, ReLU, pool.
        let (mut number, mut c_in) = (0, 3);
        let mut blocks = Vec::new();
        for (block, channels) in CHANNELS.into_iter().enumerate() {
            let mut layers = Vec::new();
            if block > 0 {
                layers.push(Layer::MaxPool(window(2, 2, 0)));
                number += 1;
            }
            for _ in 0..self.convolutions[block] {
                layers.push(self.convolution(number, c_in, channels));
                number += if self.batch_norm { 3 } else { 2 };
                c_in = channels;
            }
            blocks.push(layers);
        }
        let stem = blocks.remove(0);
        let stages = blocks.into_iter().zip(&CHANNELS[1..]).enumerate();
        let stages = stages.map(|(index, (layers, &channels))| Stage {
            name: format!("stage{}", index + 1),
            layers,
            channels,
            stride: 2,
        });
        Network {
            name: self.name(),
            input: 224,
            least: 32,
            stem,
            stages: stages.collect(),
            head: self.head(),
            dropout: Dropout { share: DROPOUT, index: 1 },
            classifier: Linear {
                name: "head.fc".into(),
                c_in: HIDDEN,
                c_out: classes,
                group: Group::Head,
            },
            auxiliary: None,
            frozen: 0,
            timm: Timm::Builds { architecture: self.name(), model_args: Map::new() },
        }
    }

    fn convolution(self, number: usize, c_in: usize, c_out: usize) -> Layer {
        let name = |number| format!("features.{number}");
        if self.batch_norm {
            return conv(&name(number), &name(number + 1), 3, c_in, c_out).bias().into();
        }
        Layer::Conv(biased(&name(number), 3, c_in, c_out))
    }

    fn head(self) -> Vec<Layer> {
        let first = biased("pre_logits.fc1", SIDE, CHANNELS[4], self.hidden);
        vec![
            Layer::MaxPool(window(2, 2, 0)),
            Layer::Stretch(SIDE),
            Layer::Conv(Conv { padding: Padding::None, ..first }),
            Layer::Dropout(Dropout { share: DROPOUT, index: 0 }),
            Layer::Conv(biased("pre_logits.fc2", 1, self.hidden, HIDDEN)),
        ]
    }
}

/// A convolution with a bias and a ReLU.
fn biased(name: &str, side: usize, c_in: usize, c_out: usize) -> Conv {
    let (name, bias) = (name.to_owned(), Some(Activation::Relu));
    Conv { name, kernel: [side; 2], c_in, c_out, padding: Padding::Same, bias }
}

//! MobileNet (§2.2, Table 2): depthwise 3×3 and pointwise 1×1 convolutions in turn, each with batch norm and ReLU.
//!
//! ReLU as in the paper's own code; timm's `mobilenetv1_100` has ReLU6 unless told otherwise, which is
//! `mobilenetv1_100_relu6` here.

use nn::{Group, Layer, Linear};
use serde_json::{Map, json};

use crate::StemSize;
use crate::conv::{Conv, conv};
use crate::network::{NO_DROPOUT, Network, Stage, Timm};

/// Channels, blocks and stride of each stage at width 1.
const STAGES: [(usize, usize, usize); 5] =
    [(64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)];

/// Hundredths of the channels.
const WIDTHS: [usize; 4] = [100, 75, 50, 25];

/// A MobileNet in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MobileNet {
    width: usize,
    relu6: bool,
}

impl MobileNet {
    fn name(self) -> String {
        format!("mobilenetv1_{:03}{}", self.width, if self.relu6 { "_relu6" } else { "" })
    }
}

fn all() -> impl Iterator<Item = MobileNet> {
    WIDTHS.into_iter().flat_map(|width| [false, true].map(|relu6| MobileNet { width, relu6 }))
}

pub(crate) fn names() -> Vec<String> {
    all().map(MobileNet::name).collect()
}

pub(crate) fn by_name(name: &str) -> Option<MobileNet> {
    all().find(|net| net.name() == name)
}

impl MobileNet {
    pub(crate) fn network(self, classes: usize, stem: StemSize) -> Network {
        let scaled = |channels| channels * self.width / 100;
        let mut c_in = scaled(32);
        let first = match stem {
            StemSize::Imagenet => 2,
            StemSize::Small => 1,
        };
        let stem_layers = self.activated(conv("conv_stem", "bn1", 3, 3, c_in).stride(first));
        let mut stages = Vec::new();
        for (index, (channels, blocks, stride)) in STAGES.into_iter().enumerate() {
            let channels = scaled(channels);
            let mut layers = Vec::new();
            for block in 0..blocks {
                let name = |part: &str| format!("blocks.{index}.{block}.{part}");
                let depthwise = conv(&name("conv_dw"), &name("bn1"), 3, c_in, c_in).groups(c_in);
                let stride = if block == 0 { stride } else { 1 };
                layers.extend(self.activated(depthwise.stride(stride)));
                let pointwise = conv(&name("conv_pw"), &name("bn2"), 1, c_in, channels);
                layers.extend(self.activated(pointwise));
                c_in = channels;
            }
            stages.push(Stage { name: format!("stage{}", index + 1), layers, channels, stride });
        }
        Network {
            name: self.name(),
            input: if stem == StemSize::Small { 32 } else { 224 },
            least: 1,
            stem: stem_layers,
            stages,
            head: Vec::new(),
            dropout: NO_DROPOUT,
            classifier: Linear {
                name: "classifier".into(),
                c_in,
                c_out: classes,
                group: Group::Head,
            },
            auxiliary: None,
            frozen: 0,
            timm: self.timm(stem),
        }
    }

    /// ReLU6 is a ReLU that stops at 6.
    fn activated(self, conv: Conv) -> Vec<Layer> {
        let ceiling = self.relu6.then_some(Layer::Ceiling(6.0));
        std::iter::once(conv.into()).chain(ceiling).collect()
    }

    fn timm(self, stem: StemSize) -> Timm {
        let why = match (self.width, stem) {
            (_, StemSize::Small) => "timm has no MobileNet stem of stride 1 for small images",
            (100, StemSize::Imagenet) => "",
            _ => "timm has this MobileNet in width 1 only",
        };
        if !why.is_empty() {
            return Timm::Cannot { why: why.into() };
        }
        let mut model_args = Map::new();
        if !self.relu6 {
            model_args.insert("act_layer".into(), json!("relu"));
        }
        Timm::Builds { architecture: "mobilenetv1_100".into(), model_args }
    }
}

//! §4 ResNet and its tweaks B, C and D (Figures 1 and 2).

mod block;

use nn::{Group, Layer, Linear};

use self::block::BlockShape;
use crate::conv::{conv, window};
use crate::network::{NO_DROPOUT, Network, Stage, Timm};
use crate::{Options, Shape};

/// What §4 varies. Each constant is a row of Table 5 and one edit away from the row above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tweaks {
    pub path_a: PathA,
    pub stem: Stem,
    pub path_b: PathB,
}

impl Tweaks {
    pub const ORIGINAL: Tweaks =
        Tweaks { path_a: PathA::StrideOn1x1, stem: Stem::Conv7x7, path_b: PathB::StridedConv };
    pub const B: Tweaks = Tweaks { path_a: PathA::StrideOn3x3, ..Tweaks::ORIGINAL };
    pub const C: Tweaks = Tweaks { stem: Stem::Three3x3, ..Tweaks::B };
    pub const D: Tweaks = Tweaks { path_b: PathB::PooledConv, ..Tweaks::C };
}

/// Which convolution of a bottleneck's path A has stride 2. A basic block has no 1×1, so B changes nothing there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathA {
    /// The first 1×1, which then never looks at three quarters of its input.
    StrideOn1x1,
    /// ResNet-B: the 3×3.
    StrideOn3x3,
}

/// The input stem before its max pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    Conv7x7,
    /// ResNet-C: three 3×3.
    ///
    /// Deviation: the text gives stride 2 to the first and the second, which with the max pool would shrink the image
    /// eightfold; its FLOPs (Table 5) hold with stride 2 on the first only.
    Three3x3,
}

/// How path B reaches path A's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathB {
    /// A 1×1 of stride 2.
    StridedConv,
    /// ResNet-D: a 2×2 average pool of stride 2, then a 1×1 of stride 1.
    PooledConv,
}

/// The residual block of shallow and of deep nets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// 3×3, 3×3.
    Basic,
    /// 1×1, 3×3, 1×1 with four times the channels.
    Bottleneck,
}

/// Which images the stem is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StemSize {
    /// The paper's: stride 4 in all.
    Imagenet,
    /// At most 64 pixels: 3×3 of stride 1 in place of the 7×7, and no max pool.
    Small,
}

/// A ResNet in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResNet {
    pub block: Block,
    pub tweaks: Tweaks,
    pub shape: Shape,
    pub stem_size: StemSize,
    pub dilations: [usize; 4],
    pub groups: Groups,
    /// Whether path A ends in squeeze and excitation.
    pub squeeze_excitation: bool,
}

/// Groups of the 3×3 convolution of a bottleneck: one, or ResNeXt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    pub count: usize,
    /// Channels of one group where the block has 64, and in proportion elsewhere.
    pub width: usize,
}

const DEPTHS: [(usize, Block, [usize; 4]); 5] = [
    (18, Block::Basic, [2, 2, 2, 2]),
    (34, Block::Basic, [3, 4, 6, 3]),
    (50, Block::Bottleneck, [3, 4, 6, 3]),
    (101, Block::Bottleneck, [3, 4, 23, 3]),
    (152, Block::Bottleneck, [3, 8, 36, 3]),
];

/// timm's suffixes where timm has the net, and the stem's channels; plain `resnet50` is B there. s is the authors' C
/// with a wider stem (Table 9's backbone in their code), which they have of deep nets only.
const VARIANTS: [(&str, Tweaks, usize); 5] = [
    ("_original", Tweaks::ORIGINAL, 64),
    ("", Tweaks::B, 64),
    ("c", Tweaks::C, 64),
    ("d", Tweaks::D, 64),
    ("s", Tweaks::C, 128),
];

pub(crate) fn names() -> Vec<String> {
    let variants =
        |depth| VARIANTS.iter().map(move |(suffix, ..)| format!("resnet{depth}{suffix}"));
    let names = DEPTHS.iter().flat_map(|&(depth, ..)| variants(depth));
    names.filter(|name| by_name(name).is_some()).collect()
}

pub(crate) fn by_name(name: &str) -> Option<ResNet> {
    DEPTHS.iter().find_map(|&(depth, block, _)| {
        let suffix = name.strip_prefix(&format!("resnet{depth}"))?;
        let &(_, tweaks, stem_channels) = VARIANTS.iter().find(|(known, ..)| *known == suffix)?;
        if stem_channels != 64 && block == Block::Basic {
            return None;
        }
        let plain = ResNet::of_depth(depth)?;
        Some(ResNet { tweaks, shape: Shape { stem_channels, ..plain.shape }, ..plain })
    })
}

impl ResNet {
    /// The plain net (B) of a known depth.
    pub(crate) fn of_depth(depth: usize) -> Option<ResNet> {
        let &(_, block, blocks) = DEPTHS.iter().find(|(known, ..)| *known == depth)?;
        Some(ResNet {
            block,
            tweaks: Tweaks::B,
            shape: Shape { blocks, channels: [64, 128, 256, 512], stem_channels: 64 },
            stem_size: StemSize::Imagenet,
            dilations: [1; 4],
            groups: Groups { count: 1, width: 64 },
            squeeze_excitation: false,
        })
    }

    pub(crate) fn reshaped(mut self, options: &Options) -> ResNet {
        self.stem_size = options.stem;
        self.dilations = options.dilations;
        self.shape = options.shape.unwrap_or(self.shape);
        self
    }

    /// The network as a value.
    pub fn network(&self, name: &str, classes: usize, timm: Timm) -> Network {
        let mut c_in = self.shape.stem_channels;
        let mut stages = Vec::new();
        for index in 0..4 {
            let dilation = self.dilations[index];
            let before = if index == 0 { 1 } else { self.dilations[index - 1] };
            let stride = if index == 0 || before < dilation { 1 } else { 2 };
            let channels = self.shape.channels[index] * self.expansion();
            let mut layers = Vec::new();
            for block in 0..self.shape.blocks[index] {
                layers.push(Layer::Residual(self.residual(&BlockShape {
                    name: format!("layer{}.{block}", index + 1),
                    c_in,
                    c_inner: self.shape.channels[index],
                    stride: if block == 0 { stride } else { 1 },
                    // The first block still works on the grid of the stage before.
                    first_dilation: if block == 0 { before } else { dilation },
                    dilation,
                })));
                c_in = channels;
            }
            stages.push(Stage { name: format!("stage{}", index + 1), layers, channels, stride });
        }
        Network {
            name: name.to_owned(),
            input: if self.stem_size == StemSize::Small { 32 } else { 224 },
            least: 1,
            stem: self.stem(),
            stages,
            head: Vec::new(),
            dropout: NO_DROPOUT,
            classifier: Linear { name: "fc".into(), c_in, c_out: classes, group: Group::Head },
            auxiliary: None,
            frozen: 0,
            timm,
        }
    }

    fn expansion(&self) -> usize {
        match self.block {
            Block::Basic => 1,
            Block::Bottleneck => 4,
        }
    }

    fn stem(&self) -> Vec<Layer> {
        let width = self.shape.stem_channels;
        let (stride, pool) = match self.stem_size {
            StemSize::Imagenet => (2, true),
            StemSize::Small => (1, false),
        };
        let mut layers: Vec<Layer> = match self.tweaks.stem {
            Stem::Conv7x7 => {
                let side = if self.stem_size == StemSize::Small { 3 } else { 7 };
                vec![conv("conv1", "bn1", side, 3, width).stride(stride).into()]
            }
            Stem::Three3x3 => vec![
                conv("conv1.0", "conv1.1", 3, 3, width / 2).stride(stride).into(),
                conv("conv1.3", "conv1.4", 3, width / 2, width / 2).into(),
                conv("conv1.6", "bn1", 3, width / 2, width).into(),
            ],
        };
        if pool {
            layers.push(Layer::MaxPool(window(3, 2, 1)));
        }
        layers
    }
}

//! §4 ResNet and its tweaks B, C and D (Figures 1 and 2).

use nn::{Layer, Linear, PoolOptions, Residual};

use crate::conv::conv;
use crate::network::{Network, Stage, Timm};
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
}

const DEPTHS: [(usize, Block, [usize; 4]); 5] = [
    (18, Block::Basic, [2, 2, 2, 2]),
    (34, Block::Basic, [3, 4, 6, 3]),
    (50, Block::Bottleneck, [3, 4, 6, 3]),
    (101, Block::Bottleneck, [3, 4, 23, 3]),
    (152, Block::Bottleneck, [3, 8, 36, 3]),
];

/// timm's suffixes where timm has the net; plain `resnet50` is B there.
const VARIANTS: [(&str, Tweaks); 4] =
    [("_original", Tweaks::ORIGINAL), ("", Tweaks::B), ("c", Tweaks::C), ("d", Tweaks::D)];

pub(crate) fn names() -> Vec<String> {
    let variants = |depth| VARIANTS.iter().map(move |(suffix, _)| format!("resnet{depth}{suffix}"));
    DEPTHS.iter().flat_map(|&(depth, _, _)| variants(depth)).collect()
}

pub(crate) fn by_name(name: &str) -> Option<ResNet> {
    DEPTHS.iter().find_map(|&(depth, block, blocks)| {
        let suffix = name.strip_prefix(&format!("resnet{depth}"))?;
        let &(_, tweaks) = VARIANTS.iter().find(|(known, _)| *known == suffix)?;
        let shape = Shape { blocks, channels: [64, 128, 256, 512], stem_channels: 64 };
        Some(ResNet { block, tweaks, shape, stem_size: StemSize::Imagenet, dilations: [1; 4] })
    })
}

impl ResNet {
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
            stem: self.stem(),
            stages,
            classifier: Linear { name: "fc".into(), c_in, c_out: classes },
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
            layers.push(Layer::MaxPool(PoolOptions {
                kernel: [3, 3],
                stride: [2, 2],
                padding: [1, 1],
                ceil_mode: false,
                count_include_pad: false,
            }));
        }
        layers
    }

    /// Path A and path B of one block (§4.1).
    fn residual(&self, shape: &BlockShape) -> Residual {
        let BlockShape { name, c_in, c_inner, stride, first_dilation, dilation } = shape;
        let path = |index: usize, side, c_in, c_out| {
            conv(&format!("{name}.conv{index}"), &format!("{name}.bn{index}"), side, c_in, c_out)
        };
        let c_out = c_inner * self.expansion();
        let (path_a, last) = match self.block {
            Block::Basic => (
                vec![path(1, 3, *c_in, *c_inner).stride(*stride).dilation(*first_dilation)],
                path(2, 3, *c_inner, c_out).dilation(*dilation),
            ),
            Block::Bottleneck => {
                let (on_1x1, on_3x3) = match self.tweaks.path_a {
                    PathA::StrideOn1x1 => (*stride, 1),
                    PathA::StrideOn3x3 => (1, *stride),
                };
                let first = path(1, 1, *c_in, *c_inner).stride(on_1x1);
                let second =
                    path(2, 3, *c_inner, *c_inner).stride(on_3x3).dilation(*first_dilation);
                (vec![first, second], path(3, 1, *c_inner, c_out))
            }
        };
        Residual {
            name: name.clone(),
            path_a: path_a.into_iter().map(Layer::from).collect(),
            last: last.into(),
            path_b: self.path_b(shape, c_out),
        }
    }

    fn path_b(&self, shape: &BlockShape, c_out: usize) -> Vec<Layer> {
        let BlockShape { name, c_in, stride, .. } = shape;
        if *stride == 1 && *c_in == c_out {
            return Vec::new();
        }
        // timm's module lists: D's holds the pool first, an identity where the size stays.
        let join = |first: usize, stride| {
            let (conv_name, bn_name) =
                (format!("{name}.downsample.{first}"), format!("{name}.downsample.{}", first + 1));
            conv(&conv_name, &bn_name, 1, *c_in, c_out).stride(stride).without_relu()
        };
        match self.tweaks.path_b {
            PathB::StridedConv => vec![join(0, *stride).into()],
            PathB::PooledConv if *stride == 1 => vec![join(1, 1).into()],
            PathB::PooledConv => vec![
                Layer::AvgPool(PoolOptions {
                    kernel: [*stride; 2],
                    stride: [*stride; 2],
                    padding: [0, 0],
                    ceil_mode: true,
                    count_include_pad: false,
                }),
                join(1, 1).into(),
            ],
        }
    }
}

struct BlockShape {
    name: String,
    c_in: usize,
    c_inner: usize,
    stride: usize,
    first_dilation: usize,
    dilation: usize,
}

//! One residual block (§4.1, Figures 1 and 2).

use nn::{Layer, PoolOptions, Residual, SqueezeExcitation};

use super::{Block, Groups, PathA, PathB, ResNet};
use crate::conv::{conv, window};

pub(super) struct BlockShape {
    pub(super) name: String,
    pub(super) c_in: usize,
    pub(super) c_inner: usize,
    pub(super) stride: usize,
    pub(super) first_dilation: usize,
    pub(super) dilation: usize,
}

impl Groups {
    /// Channels of a bottleneck's 3×3 in a block of `c_inner`.
    pub(crate) fn channels(self, c_inner: usize) -> usize {
        (c_inner * self.width / 64) * self.count
    }
}

/// A sixteenth, in steps of eight.
fn reduced(channels: usize) -> usize {
    ((channels / 16 + 4) / 8 * 8).max(8)
}

impl ResNet {
    /// Path A and path B of one block (§4.1).
    pub(super) fn residual(&self, shape: &BlockShape) -> Residual {
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
                let wide = self.groups.channels(*c_inner);
                let first = path(1, 1, *c_in, wide).stride(on_1x1);
                let second = path(2, 3, wide, wide).stride(on_3x3).dilation(*first_dilation);
                (vec![first, second.groups(self.groups.count)], path(3, 1, wide, c_out))
            }
        };
        Residual {
            name: name.clone(),
            path_a: path_a.into_iter().map(Layer::from).collect(),
            last: last.into(),
            squeeze_excitation: self.squeeze_excitation.then(|| SqueezeExcitation {
                name: format!("{name}.se"),
                channels: c_out,
                reduced: reduced(c_out),
            }),
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
                Layer::AvgPool(PoolOptions { ceil_mode: true, ..window(*stride, *stride, 0) }),
                join(1, 1).into(),
            ],
        }
    }
}

//! Walking through a layer: the parts that hold no others, in the order of timm's tensors.

use super::{Conv, ConvBn, Layer, Norm, SqueezeExcitation};
use crate::module::NormSpec;

/// A layer that holds no others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part<'a> {
    ConvBn {
        layer: &'a ConvBn,
        last_in_block: bool,
    },
    Conv(&'a Conv),
    Norm(&'a Norm),
    SqueezeExcitation(&'a SqueezeExcitation),
    /// One without parameters.
    Bare(&'a Layer),
}

impl Part<'_> {
    /// Its batch norm, where it has one.
    pub fn norm(&self) -> Option<NormSpec> {
        match self {
            Part::ConvBn { layer, .. } => Some(NormSpec {
                name: layer.bn.clone(),
                channels: layer.c_out,
                frozen: layer.frozen_norm,
            }),
            Part::Norm(layer) => Some(NormSpec {
                name: layer.name.clone(),
                channels: layer.channels,
                frozen: layer.frozen,
            }),
            _ => None,
        }
    }
}

impl Layer {
    /// Calls `visit(part, [h, w, c] of its input)` for every part, and returns the `[h, w, c]` of the output, for an
    /// input `[h, w, c]`.
    pub fn walk<'a>(
        &'a self,
        at: [usize; 3],
        visit: &mut dyn FnMut(Part<'a>, [usize; 3]),
    ) -> [usize; 3] {
        let chain = |layers: &'a [Layer], visit: &mut dyn FnMut(Part<'a>, [usize; 3])| {
            layers.iter().fold(at, |at, layer| layer.walk(at, visit))
        };
        match self {
            Layer::Residual(block) => {
                let inner = chain(&block.path_a, visit);
                visit(Part::ConvBn { layer: &block.last, last_in_block: true }, inner);
                if let Some(part) = &block.squeeze_excitation {
                    visit(Part::SqueezeExcitation(part), block.last.output(inner));
                }
                chain(&block.path_b, visit);
            }
            Layer::Branches(branches) => {
                for branch in branches {
                    chain(branch, visit);
                }
            }
            Layer::ConvBn(layer) => visit(Part::ConvBn { layer, last_in_block: false }, at),
            Layer::Conv(layer) => visit(Part::Conv(layer), at),
            Layer::Norm(layer) => visit(Part::Norm(layer), at),
            bare => visit(Part::Bare(bare), at),
        }
        self.output(at)
    }

    /// Every part, in the same order.
    pub fn parts<'a>(&'a self, found: &mut Vec<Part<'a>>) {
        match self {
            Layer::Residual(block) => {
                block.path_a.iter().for_each(|layer| layer.parts(found));
                found.push(Part::ConvBn { layer: &block.last, last_in_block: true });
                found.extend(block.squeeze_excitation.iter().map(Part::SqueezeExcitation));
                block.path_b.iter().for_each(|layer| layer.parts(found));
            }
            Layer::Branches(branches) => {
                branches.iter().flatten().for_each(|layer| layer.parts(found));
            }
            Layer::ConvBn(layer) => found.push(Part::ConvBn { layer, last_in_block: false }),
            Layer::Conv(layer) => found.push(Part::Conv(layer)),
            Layer::Norm(layer) => found.push(Part::Norm(layer)),
            bare => found.push(Part::Bare(bare)),
        }
    }
}

//! How a product reads its left factor. It is decided once for the whole product; each block is then
//! made ready that way.

use std::ops::Range;

use super::block::Panels;
use crate::isa::Isa;
use crate::pack::{InMemory, Operand, Order, packed_length};

/// Rows (or columns) that are widened are this much further apart than they are long, so that they do
/// not share the lines of a cache.
const SKEW: usize = 16;

/// The left factor of a product, by the way it is read.
pub(super) enum LeftFactor<'a, A: Operand> {
    /// Packed into panels.
    Packed(&'a A),
    /// Read where it is in memory; only the rows of a last panel that is not full are packed.
    InPlace(InMemory<'a>, &'a A),
    /// Halves, widened in the order they have in memory.
    Widened(InMemory<'a, A::Element>),
}

impl<'a, A: Operand> LeftFactor<'a, A> {
    /// Decides for a factor that may be read where it is if it is in memory in this order: if it is
    /// `f32`, where `in_place(stride)` says so, and if it is halves, where `widens` does.
    pub(super) fn of(
        factor: &'a A,
        order: Order,
        in_place: impl Fn(usize) -> bool,
        widens: bool,
    ) -> Self {
        let Some(memory) = factor.in_memory().filter(|memory| memory.order == order) else {
            return Self::Packed(factor);
        };
        match memory.floats() {
            Some(floats) if in_place(floats.stride) => Self::InPlace(floats, factor),
            None if widens => Self::Widened(memory),
            _ => Self::Packed(factor),
        }
    }

    /// Floats of working memory that [`Self::panels`] needs for a block.
    pub(super) fn space<const M: usize>(rows: usize, depth: usize) -> usize {
        let widened = (rows.next_multiple_of(M) + SKEW) * (depth + SKEW);
        packed_length(M, rows, depth).max(widened)
    }

    /// The panels of a block; `space` holds what is not read in place.
    pub(super) fn panels<'b, const M: usize>(
        &self,
        isa: Isa,
        rows: Range<usize>,
        inner: Range<usize>,
        space: &'b mut [f32],
    ) -> Panels<'b>
    where
        'a: 'b,
    {
        match self {
            Self::Packed(factor) => {
                factor.pack::<M>(isa, rows, inner, space);
                Panels::packed(space)
            }
            Self::InPlace(memory, factor) => {
                let (data, full) = (memory.from(rows.start, inner.start), rows.len() / M * M);
                let panels = match memory.order {
                    Order::Rows => Panels::rows(data, memory.stride),
                    Order::Columns => Panels::columns(data, memory.stride),
                };
                if full == rows.len() {
                    return panels;
                }
                factor.pack::<M>(isa, rows.start + full..rows.end, inner, space);
                panels.with_last(space)
            }
            Self::Widened(memory) => match memory.order {
                Order::Rows => {
                    let stride = inner.len() + SKEW;
                    memory.widen(isa, rows, inner, stride, space);
                    Panels::rows(space, stride)
                }
                Order::Columns => {
                    let stride = rows.len().next_multiple_of(M) + SKEW;
                    memory.widen(isa, rows, inner, stride, space);
                    Panels::columns(space, stride)
                }
            },
        }
    }
}

//! Products of many rows by a right factor that is packed whole.

use super::block::{Block, Panels, Rounding};
use super::left::LeftFactor;
use super::{Destination, KC, MC, Shape, TILE_ROWS, piece, range};
use crate::element::Element;
use crate::isa::Isa;
use crate::microkernel::{Write, tiled};
use crate::pack::{Operand, Order, packed_length};
use crate::parallel;
use crate::scratch::{self, Slot};
use crate::stream;

/// The most floats of a left factor that is packed once for all pieces of the columns.
const SHARED_LEFT: usize = 1 << 19;
/// A product is cut into at least this many tasks if it is large enough to be.
const TASKS: usize = 16;
/// The most columns of a product whose left factor is not packed.
const DIRECT_COLUMNS: usize = 256;
/// A left factor is packed where its rows are a multiple of this apart: such rows share few lines of
/// a cache.
const DIRECT_STRIDE: usize = 1024;

/// C = A·B.
pub(crate) fn multiply<A: Operand, B: Operand, F: Fn(usize) -> usize + Sync, E: Element>(
    isa: Isa,
    shape: Shape,
    left: &A,
    right: &B,
    output: &Destination<'_, F, E>,
) {
    let length = packed_right_length(isa, shape.columns, shape.inner);
    scratch::with(Slot::Shared, length, |packed| {
        pack_right(isa, [shape.columns, shape.inner], right, packed);
        multiply_packed(isa, shape, left, packed, output);
    });
}

/// The floats that a right factor takes when it is packed whole.
pub(crate) fn packed_right_length(isa: Isa, columns: usize, inner: usize) -> usize {
    fn length<const M: usize, const N: usize>(columns: usize, inner: usize) -> usize {
        packed_length(N, columns, inner)
    }
    tiled!(isa, length(columns, inner))
}

/// Packs a right factor of `[columns, inner]` whole.
pub(crate) fn pack_right(
    isa: Isa,
    [columns, inner]: [usize; 2],
    right: &impl Operand,
    packed: &mut [f32],
) {
    fn pack<const M: usize, const N: usize>(
        isa: Isa,
        [columns, inner]: [usize; 2],
        right: &impl Operand,
        packed: &mut [f32],
    ) {
        pack_whole::<N>(isa, [columns, inner], piece(inner, KC, 4), right, packed);
    }
    tiled!(isa, pack(isa, [columns, inner], right, packed));
}

/// C = A·B, by a right factor that [`pack_right`] packed.
pub(crate) fn multiply_packed<A: Operand, F: Fn(usize) -> usize + Sync, E: Element>(
    isa: Isa,
    shape: Shape,
    left: &A,
    packed: &[f32],
    output: &Destination<'_, F, E>,
) {
    tiled!(isa, multiply_tiled(isa, shape, left, packed, output));
}

fn multiply_tiled<const M: usize, const N: usize>(
    isa: Isa,
    shape: Shape,
    left: &impl Operand,
    packed: &[f32],
    output: &Destination<'_, impl Fn(usize) -> usize + Sync, impl Element>,
) {
    if shape.rows == 0 || shape.columns == 0 {
        return;
    }
    assert!(shape.inner > 0, "a product needs something to sum over");
    if let Some(finish) = &output.finish {
        finish.check(output.length, shape.columns);
    }
    let height = piece(shape.rows, MC, M);
    let blocks = shape.rows.div_ceil(height);
    let width = piece(shape.columns, shape.columns.div_ceil(TASKS.div_ceil(blocks)).max(64), N);
    // Packing a row costs as much as a few columns of its product.
    let few_columns = shape.columns <= DIRECT_COLUMNS;
    let in_place = |stride: usize| few_columns && !stride.is_multiple_of(DIRECT_STRIDE);
    let product = Product {
        shape,
        depth: piece(shape.inner, KC, 4),
        height,
        width,
        right: packed,
        left: LeftFactor::of(left, Order::Rows, in_place, few_columns),
    };
    let pieces = shape.columns.div_ceil(width);
    let run = |shared: Option<&[f32]>| {
        parallel::indices(blocks * pieces, |task| {
            product.run::<M, N>(isa, [task / pieces, task % pieces], shared, output);
        });
    };
    let length = blocks * shape.inner.div_ceil(product.depth) * product.region::<M>();
    match product.left {
        // Few rows and many columns: every piece would pack the same rows.
        LeftFactor::Packed(left) if pieces > 1 && length <= SHARED_LEFT => {
            scratch::with(Slot::SharedLeft, length, |shared| {
                product.pack_left::<M>(isa, left, shared);
                run(Some(shared));
            });
        }
        _ => run(None),
    }
}

/// What the tasks of [`multiply_packed`] share.
struct Product<'a, A: Operand> {
    shape: Shape,
    /// Inner indices of a block.
    depth: usize,
    /// Rows of a block of A.
    height: usize,
    /// Columns of a task.
    width: usize,
    /// The right factor, packed whole.
    right: &'a [f32],
    left: LeftFactor<'a, A>,
}

impl<A: Operand> Product<'_, A> {
    /// Packs all of the left factor, a region for each depth of each block.
    fn pack_left<const M: usize>(&self, isa: Isa, left: &A, shared: &mut [f32]) {
        let steps = self.shape.inner.div_ceil(self.depth);
        parallel::chunks(shared, self.region::<M>(), |part, panels| {
            let rows = range(part / steps, self.height, self.shape.rows);
            let inner = range(part % steps, self.depth, self.shape.inner);
            left.pack::<M>(isa, rows, inner, panels);
        });
    }

    /// The length of a packed region of the left factor.
    fn region<const M: usize>(&self) -> usize {
        packed_length(M, self.height, self.depth)
    }

    /// Multiplies one block of rows by one piece of the columns.
    fn run<const M: usize, const N: usize>(
        &self,
        isa: Isa,
        [block, piece]: [usize; 2],
        shared: Option<&[f32]>,
        output: &Destination<'_, impl Fn(usize) -> usize + Sync, impl Element>,
    ) {
        let (shape, depth) = (self.shape, self.depth);
        let rows = range(block, self.height, shape.rows);
        let columns = range(piece, self.width, shape.columns);
        let padded = shape.columns.next_multiple_of(N);
        let streams = output.finish.is_none()
            && depth >= shape.inner
            && shape.rows * shape.columns >= stream::STREAMED
            && !output.is_half();
        let first_write = if streams { Write::Stream } else { Write::Replace };
        let offsets = output.row_offsets(&rows, shape.columns);
        let length =
            if shared.is_some() { 0 } else { LeftFactor::<A>::space::<M>(rows.len(), depth) };
        // Sums in half precision would be rounded at each block of inner indices, so they are kept apart
        // in `f32`.
        let summed = [rows.len(), columns.len().next_multiple_of(N)];
        let sums = if output.is_half() && depth < shape.inner { summed[0] * summed[1] } else { 0 };
        let aside: [usize; TILE_ROWS] = std::array::from_fn(|row| row * summed[1]);
        scratch::with(Slot::Left, length, |packed| {
            scratch::with(Slot::Sums, sums, |sums| {
                for start in (0..shape.inner).step_by(depth) {
                    let inner = start..(start + depth).min(shape.inner);
                    let left = match shared {
                        Some(shared) => {
                            let region = block * shape.inner.div_ceil(depth) + start / depth;
                            Panels::packed(&shared[region * self.region::<M>()..])
                        }
                        None => self.left.panels::<M>(isa, rows.clone(), inner.clone(), packed),
                    };
                    let is_last = inner.end == shape.inner;
                    let block = Block {
                        isa,
                        depth: inner.len(),
                        left,
                        right: &self.right[padded * start + columns.start * inner.len()..],
                        rows: &offsets[..rows.len()],
                        first_column: columns.start,
                        columns: columns.len(),
                        write: if start > 0 { Write::Add } else { first_write },
                        ahead: [&[]; 2],
                        finish: output.finish.as_ref().filter(|_| is_last),
                    };
                    // SAFETY: the offsets were checked, and no other task has these rows and columns.
                    unsafe {
                        match output.floats() {
                            Some(data) => block.multiply::<M, N>(data),
                            None => {
                                let rounding =
                                    Rounding { data: output.data, rows: block.rows, is_last };
                                let sums = (!sums.is_empty())
                                    .then_some((&mut *sums, &aside[..rows.len()]));
                                block.multiply_rounded::<M, N, _>(&rounding, sums);
                            }
                        }
                    };
                }
            })
        });
    }
}

/// Packs every block of the right factor, `depth` inner indices each, one after the other.
fn pack_whole<const N: usize>(
    isa: Isa,
    [columns, inner]: [usize; 2],
    depth: usize,
    right: &impl Operand,
    shared: &mut [f32],
) {
    const PANELS: usize = 4;
    let padded = columns.next_multiple_of(N);
    let whole = &mut shared[..padded * inner];
    parallel::chunks(whole, padded * depth, |block, panels| {
        let inner = range(block, depth, inner);
        parallel::chunks(panels, PANELS * N * inner.len(), |part, panels| {
            let columns = range(part, PANELS * N, columns);
            right.pack::<N>(isa, columns, inner.clone(), panels);
        });
    });
}

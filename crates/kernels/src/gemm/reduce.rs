//! Products with a long inner dimension and a small result.

use std::ops::Range;

use super::block::Block;
use super::left::LeftFactor;
use super::{Destination, KC, Shape, TILE_ROWS, piece, range};
use crate::isa::Isa;
use crate::microkernel::{Write, tiled};
use crate::pack::{Operand, Order, packed_length};
use crate::parallel;
use crate::scratch::{self, Slot};

/// The least and the greatest number of columns of the tile that one task sums up.
const TILE_COLUMNS: [usize; 2] = [256, 1152];
/// Columns of B that are packed at once beside a block of A.
const PIECE_COLUMNS: usize = 256;
/// The number of tasks to aim at.
const TASKS: usize = 16;
/// The most floats to spend on partial sums.
const PARTIALS: usize = 1 << 20;
/// The greatest distance between columns of a left factor that is not packed.
const DIRECT_COLUMN_STRIDE: usize = 512;

/// C = A·B. The rows of C follow each other without a gap.
pub(crate) fn multiply_reduce<A: Operand, B: Operand>(
    isa: Isa,
    shape: Shape,
    left: &A,
    right: &B,
    out: &mut [f32],
) {
    tiled!(isa, multiply_reduce_tiled(isa, shape, left, right, out));
}

fn multiply_reduce_tiled<const M: usize, const N: usize>(
    isa: Isa,
    shape: Shape,
    left: &impl Operand,
    right: &impl Operand,
    out: &mut [f32],
) {
    assert_eq!(out.len(), shape.rows * shape.columns);
    if shape.inner == 0 {
        out.fill(0.0);
        return;
    }
    if out.is_empty() {
        return;
    }
    // First the inner dimension is cut into chunks, as many as their partial sums are worth; then the
    // result into tiles.
    let chunks = (PARTIALS / out.len()).clamp(1, TASKS);
    let chunks = chunks.min(shape.inner.div_ceil(2 * KC));
    let chunk = piece(shape.inner, shape.inner.div_ceil(chunks), KC);
    let chunks = shape.inner.div_ceil(chunk);
    let [least, most] = TILE_COLUMNS;
    let bands = shape.rows.div_ceil(TILE_ROWS);
    let stripes = TASKS.div_ceil(chunks * bands);
    let tile = [
        piece(shape.rows, TILE_ROWS, M),
        piece(shape.columns, shape.columns.div_ceil(stripes).clamp(least, most), N),
    ];
    let tiles = [shape.rows.div_ceil(tile[0]), shape.columns.div_ceil(tile[1])];
    // Columns that are near to each other are read where they are, if no other task reads them.
    let in_place = |stride: usize| tiles[0] == 1 && stride <= DIRECT_COLUMN_STRIDE;
    let left_factor = LeftFactor::of(left, Order::Columns, in_place, true);
    let sum = |partials: &mut [f32]| {
        let length = shape.rows * shape.columns;
        let stride = shape.columns;
        // SAFETY: rows of a chunk are `stride` apart, and chunks are `length` apart.
        let output = unsafe {
            Destination::new(partials, |row| row / shape.rows * length + row % shape.rows * stride)
        };
        parallel::indices(chunks * tiles[0] * tiles[1], |task| {
            let job = Job {
                shape,
                rows: range(task / tiles[1] % tiles[0], tile[0], shape.rows),
                columns: range(task % tiles[1], tile[1], shape.columns),
                inner: range(task / tiles[1] / tiles[0], chunk, shape.inner),
                first_row: task / tiles[1] / tiles[0] * shape.rows,
            };
            job.run::<M, N, _>(isa, (left, &left_factor), right, &output);
        });
    };
    if chunks == 1 {
        sum(out);
    } else {
        scratch::with(Slot::Partials, chunks * out.len(), |partials| {
            sum(partials);
            parallel::sum_in_order(partials, out);
        });
    }
}

/// One task of a [`multiply_reduce`]: a tile of the result, summed over one chunk.
struct Job {
    shape: Shape,
    rows: Range<usize>,
    columns: Range<usize>,
    inner: Range<usize>,
    /// The first row of the chunk's partial sum.
    first_row: usize,
}

impl Job {
    fn run<const M: usize, const N: usize, A: Operand>(
        &self,
        isa: Isa,
        (left, left_factor): (&A, &LeftFactor<'_, A>),
        right: &impl Operand,
        output: &Destination<'_, impl Fn(usize) -> usize + Sync>,
    ) {
        let rows = self.rows.clone();
        let placed = self.first_row + rows.start..self.first_row + rows.end;
        let offsets = output.row_offsets(&placed, self.shape.columns);
        let right_length = packed_length(N, PIECE_COLUMNS, KC);
        scratch::with(Slot::Right, right_length, |packed_right| {
            scratch::with(Slot::Left, LeftFactor::<A>::space::<M>(rows.len(), KC), |packed_left| {
                for start in self.inner.clone().step_by(KC) {
                    let inner = start..(start + KC).min(self.inner.end);
                    let panels = left_factor.panels::<M>(
                        isa,
                        rows.clone(),
                        inner.clone(),
                        &mut *packed_left,
                    );
                    let next = inner.end..(inner.end + KC).min(self.inner.end);
                    // A tile that reads only a part of a factor does not ask for what comes next of it:
                    // most of that is for other tiles.
                    let ahead = [
                        if rows.len() == self.shape.rows {
                            left.stretch(next.clone())
                        } else {
                            &[]
                        },
                        if self.columns.len() == self.shape.columns {
                            right.stretch(next)
                        } else {
                            &[]
                        },
                    ];
                    for first in self.columns.clone().step_by(PIECE_COLUMNS) {
                        let columns = first..(first + PIECE_COLUMNS).min(self.columns.end);
                        right.pack::<N>(isa, columns.clone(), inner.clone(), packed_right);
                        let block = Block {
                            isa,
                            depth: inner.len(),
                            finish: None,
                            ahead: ahead.map(|data| part(data, &columns, &self.columns)),
                            left: panels,
                            right: packed_right,
                            rows: &offsets[..rows.len()],
                            first_column: columns.start,
                            columns: columns.len(),
                            write: if start > self.inner.start {
                                Write::Add
                            } else {
                                Write::Replace
                            },
                        };
                        // SAFETY: the offsets were checked, and no other task has these rows and
                        // columns.
                        unsafe { block.multiply::<M, N>(output.data) };
                    }
                }
            });
        });
    }
}

/// The slice of `data` that is proportional to the range `columns` of `all` columns.
fn part<'a>(data: &'a [f32], columns: &Range<usize>, all: &Range<usize>) -> &'a [f32] {
    let at = |column: usize| data.len() * (column - all.start) / all.len();
    &data[at(columns.start)..at(columns.end)]
}

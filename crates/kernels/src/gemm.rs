//! Matrix products C = A·B, packed and blocked for the caches (Goto and van de Geijn 2008).
//!
//! Two drivers share one macro-kernel. [`multiply`] is for many rows and a right factor worth
//! packing whole (forward, input gradient); [`multiply_reduce`] is for a long inner dimension and a
//! small result (weight gradient), which it cuts into chunks whose partial sums are added in order.
//! Block sizes are constants and cuts depend on the shape alone: the bits of a product are the same
//! on any number of threads.

use std::marker::PhantomData;
use std::ops::Range;

use crate::element::{self, Element};
use crate::finish::{Finish, finish_tile, round_tile};
use crate::isa::{Isa, prefetch_all};
use crate::microkernel::{self, Left, MOST_ROWS, Tile, Write, tiled};
use crate::pack::{LINE, Operand, packed_length};
use crate::parallel;
use crate::scratch::{self, Slot};
use crate::stream;

/// Rows of a packed block of A.
const MC: usize = 144;
const _: () = assert!(MC.is_multiple_of(MOST_ROWS));
/// Rows that are widened are this much further apart than they are long, so that they do not share
/// the lines of a cache.
const SKEW: usize = 16;
/// Inner indices of a block; a panel of B of this depth takes half of a 32 KiB first-level cache.
const KC: usize = 256;
/// The most floats of a left factor that is packed once for all pieces of the columns.
const SHARED_LEFT: usize = 1 << 19;
/// A product is cut into at least this many tasks if it is large enough to be.
const TASKS: usize = 16;
/// Rows of the tile of a result that one task of [`multiply_reduce`] sums up; with [`KC`] they make
/// the block of A that stays packed while B goes by.
const TILE_ROWS: usize = 2 * MC;
/// The least and the greatest number of columns of that tile.
const TILE_COLUMNS: [usize; 2] = [256, 1152];
/// Columns of B that are packed at once beside it.
const PIECE_COLUMNS: usize = 256;
/// [`multiply_reduce`] aims at this many tasks.
const REDUCE_TASKS: usize = 16;
/// The most floats it spends on partial sums.
const PARTIALS: usize = 1 << 20;

/// The most columns for which the left factor is not packed, and a distance of its rows whose
/// multiples are too bad for that.
const DIRECT_COLUMNS: usize = 256;
const DIRECT_STRIDE: usize = 1024;
/// The greatest distance of the left factor's columns at which [`multiply_reduce`] does not pack
/// it.
const DIRECT_COLUMN_STRIDE: usize = 512;

/// C is `rows × columns`, and `inner` is summed over.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) inner: usize,
}

/// The result: row `i` is `columns` floats from `offset(i)` on.
pub(crate) struct Destination<'a, F, E = f32> {
    data: *mut E,
    length: usize,
    offset: F,
    finish: Option<Finish<'a>>,
    borrow: PhantomData<&'a mut [E]>,
}

// SAFETY: threads write through `data` only to rows of their own, which `Destination::new` demands be
// disjoint.
unsafe impl<F: Sync, E: Sync> Sync for Destination<'_, F, E> {}

impl<'a, F: Fn(usize) -> usize + Sync, E: Element> Destination<'a, F, E> {
    /// # Safety
    ///
    /// Rows must not overlap: for `i != j`, `offset(i)` and `offset(j)` are at least as far apart
    /// as the result has columns. (That they are inside `data` is checked.)
    pub(crate) unsafe fn new(data: &'a mut [E], offset: F) -> Self {
        let (length, data) = (data.len(), data.as_mut_ptr());
        Self { data, length, offset, finish: None, borrow: PhantomData }
    }

    fn is_half(&self) -> bool {
        element::is_half::<E>()
    }

    /// The result, where it is `f32`.
    fn floats(&self) -> Option<*mut f32> {
        (!self.is_half()).then_some(self.data.cast())
    }

    /// The same result, which [`multiply`] finishes.
    pub(crate) fn finished(self, finish: Option<Finish<'a>>) -> Self {
        Self { finish, ..self }
    }
}

/// Even cuts of `0..length` into pieces of at most `most`, whole multiples of `unit`.
pub(crate) fn piece(length: usize, most: usize, unit: usize) -> usize {
    length.div_ceil(length.div_ceil(most).max(1)).next_multiple_of(unit).max(unit)
}

fn range(index: usize, piece: usize, length: usize) -> Range<usize> {
    index * piece..((index + 1) * piece).min(length)
}

/// C = A·B, the right factor packed whole.
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

/// The length of a right factor packed whole.
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

/// C = A·B, the right factor as [`pack_right`] left it.
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
    let product = Product {
        shape,
        depth: piece(shape.inner, KC, 4),
        height,
        width,
        right: packed,
        direct: left.by_rows().filter(|&(_, stride)| worth_direct(shape, stride)),
        widened: left.half_rows() && shape.columns <= DIRECT_COLUMNS,
    };
    let pieces = shape.columns.div_ceil(width);
    let length = blocks * shape.inner.div_ceil(product.depth) * product.region::<M>();
    if pieces == 1 || product.direct.is_some() || product.widened || length > SHARED_LEFT {
        parallel::indices(blocks * pieces, |task| {
            product.run::<M, N>(isa, [task / pieces, task % pieces], left, None, output);
        });
        return;
    }
    // Few rows and many columns: every piece would pack the same rows.
    scratch::with(Slot::SharedLeft, length, |shared| {
        product.pack_left::<M>(isa, left, shared);
        let shared = Some(&*shared);
        parallel::indices(blocks * pieces, |task| {
            product.run::<M, N>(isa, [task / pieces, task % pieces], left, shared, output);
        });
    });
}

/// The length of a block of the left factor, packed or widened.
fn left_length<const M: usize>(rows: usize, depth: usize) -> usize {
    let widened = (rows.next_multiple_of(M) + SKEW) * (depth + SKEW);
    packed_length(M, rows, depth).max(widened)
}

/// Where a product goes that is in half precision.
struct Rounding<'a, E> {
    data: *mut E,
    /// Where each row of the block starts there.
    rows: &'a [usize],
    /// Whether its sums are complete.
    is_last: bool,
}

/// What the tasks of [`multiply_packed`] share.
struct Product<'a> {
    shape: Shape,
    /// Inner indices of a block, rows of a block of A, columns of a task.
    depth: usize,
    height: usize,
    width: usize,
    right: &'a [f32],
    /// The left factor, where it is not packed.
    direct: Option<(&'a [f32], usize)>,
    /// Whether the left factor's rows are widened as they are, rather than packed.
    widened: bool,
}

impl Product<'_> {
    /// Packs all of the left factor, a region for each depth of each block.
    fn pack_left<const M: usize>(&self, isa: Isa, left: &impl Operand, shared: &mut [f32]) {
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

    /// One piece of the columns of one block of rows.
    fn run<const M: usize, const N: usize>(
        &self,
        isa: Isa,
        [block, piece]: [usize; 2],
        left: &impl Operand,
        shared: Option<&[f32]>,
        output: &Destination<'_, impl Fn(usize) -> usize + Sync, impl Element>,
    ) {
        let Self { shape, depth, .. } = *self;
        let rows = range(block, self.height, shape.rows);
        let columns = range(piece, self.width, shape.columns);
        let padded = shape.columns.next_multiple_of(N);
        let streams = output.finish.is_none()
            && depth >= shape.inner
            && shape.rows * shape.columns >= stream::STREAMED
            && !output.is_half();
        let first_write = if streams { Write::Stream } else { Write::Replace };
        let offsets = row_offsets(&rows, shape.columns, output);
        let length = if shared.is_some() { 0 } else { left_length::<M>(rows.len(), depth) };
        // Sums in half precision would be rounded at each block of inner indices: they are kept aside.
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
                            Panels::Packed(&shared[region * self.region::<M>()..])
                        }
                        None => {
                            let (rows, inner) = (rows.clone(), inner.clone());
                            if self.widened {
                                Panels::widened::<M>(isa, left, rows, inner, packed)
                            } else {
                                Panels::of::<M>(isa, left, self.direct, rows, inner, packed)
                            }
                        }
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

/// Whether the micro-kernel should read the left factor where it is: packing it costs as much as
/// a few columns, but rows a large power of two apart share few lines of a cache.
fn worth_direct(shape: Shape, stride: usize) -> bool {
    shape.columns <= DIRECT_COLUMNS && !stride.is_multiple_of(DIRECT_STRIDE)
}

/// Packs every block of the right factor, one after the other, `depth` inner indices each.
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

/// Where the rows of a block start in the result.
fn row_offsets<F: Fn(usize) -> usize + Sync, E: Element>(
    rows: &Range<usize>,
    columns: usize,
    output: &Destination<'_, F, E>,
) -> [usize; TILE_ROWS] {
    let mut offsets = [0; TILE_ROWS];
    for (place, row) in offsets.iter_mut().zip(rows.clone()) {
        *place = (output.offset)(row);
        assert!(*place + columns <= output.length, "a row of a product outside its result");
    }
    offsets
}

/// C = A·B for a long inner dimension; C is dense, `shape.columns` to a row.
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
    // Chunks of the inner dimension first, as many as their partial sums are worth; then tiles.
    let chunks = (PARTIALS / out.len()).clamp(1, REDUCE_TASKS);
    let chunks = chunks.min(shape.inner.div_ceil(2 * KC));
    let chunk = piece(shape.inner, shape.inner.div_ceil(chunks), KC);
    let chunks = shape.inner.div_ceil(chunk);
    let [least, most] = TILE_COLUMNS;
    let bands = shape.rows.div_ceil(TILE_ROWS);
    let stripes = REDUCE_TASKS.div_ceil(chunks * bands);
    let tile = [
        piece(shape.rows, TILE_ROWS, M),
        piece(shape.columns, shape.columns.div_ceil(stripes).clamp(least, most), N),
    ];
    let tiles = [shape.rows.div_ceil(tile[0]), shape.columns.div_ceil(tile[1])];
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
            job.run::<M, N>(isa, left, right, &output);
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

/// One tile of one chunk of a [`multiply_reduce`].
struct Job {
    shape: Shape,
    rows: Range<usize>,
    columns: Range<usize>,
    inner: Range<usize>,
    /// The first row of the chunk's partial sum.
    first_row: usize,
}

impl Job {
    fn run<const M: usize, const N: usize>(
        &self,
        isa: Isa,
        left: &impl Operand,
        right: &impl Operand,
        output: &Destination<'_, impl Fn(usize) -> usize + Sync>,
    ) {
        let rows = self.rows.clone();
        let placed = self.first_row + rows.start..self.first_row + rows.end;
        let offsets = row_offsets(&placed, self.shape.columns, output);
        let right_length = packed_length(N, PIECE_COLUMNS, KC);
        scratch::with(Slot::Right, right_length, |packed_right| {
            scratch::with(Slot::Left, left_length::<M>(rows.len(), KC), |packed_left| {
                for start in self.inner.clone().step_by(KC) {
                    let inner = start..(start + KC).min(self.inner.end);
                    let panels = self.left_panels::<M>(isa, left, inner.clone(), &mut *packed_left);
                    let next = inner.end..(inner.end + KC).min(self.inner.end);
                    // Of a factor of which this tile reads a part, the stretch is mostly others'.
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

impl Job {
    /// The left factor where it is, if its columns are together and near enough to each other for
    /// that; else packed.
    fn left_panels<'a, const M: usize>(
        &self,
        isa: Isa,
        left: &'a impl Operand,
        inner: Range<usize>,
        packed: &'a mut [f32],
    ) -> Panels<'a> {
        let rows = self.rows.clone();
        let whole = rows.len() == self.shape.rows;
        let near = |&(_, stride): &(&[f32], usize)| whole && stride <= DIRECT_COLUMN_STRIDE;
        if left.half_columns() {
            let stride = rows.len().next_multiple_of(M) + SKEW;
            left.widen(isa, rows, inner, stride, packed);
            return Panels::WholeColumns { data: packed, stride };
        }
        let Some((data, stride)) = left.by_columns().filter(near) else {
            left.pack::<M>(isa, rows, inner, packed);
            return Panels::Packed(packed);
        };
        let full = rows.len() / M * M;
        if full < rows.len() {
            left.pack::<M>(isa, rows.start + full..rows.end, inner.clone(), packed);
        }
        Panels::Columns { data: &data[inner.start * stride + rows.start..], stride, last: packed }
    }
}

/// The part of `data` that is to all of it as `columns` are to all columns.
fn part<'a>(data: &'a [f32], columns: &Range<usize>, all: &Range<usize>) -> &'a [f32] {
    let at = |column: usize| data.len() * (column - all.start) / all.len();
    &data[at(columns.start)..at(columns.end)]
}

/// The left factor of a block.
#[derive(Clone, Copy)]
pub(crate) enum Panels<'a> {
    /// In packed panels.
    Packed(&'a [f32]),
    /// Rows in memory, `stride` apart; the rows of the last panel, if it is not full, packed.
    Rows { data: &'a [f32], stride: usize, last: &'a [f32] },
    /// Columns in memory, `stride` apart; the rows of the last panel, if it is not full, packed.
    Columns { data: &'a [f32], stride: usize, last: &'a [f32] },
    /// Rows in memory, `stride` apart, with as many after the last as fill its panel.
    WholeRows { data: &'a [f32], stride: usize },
    /// Columns in memory, `stride` apart, each with as many elements as fill the last panel.
    WholeColumns { data: &'a [f32], stride: usize },
}

impl<'a> Panels<'a> {
    fn of<const M: usize>(
        isa: Isa,
        left: &impl Operand,
        direct: Option<(&'a [f32], usize)>,
        rows: Range<usize>,
        inner: Range<usize>,
        packed: &'a mut [f32],
    ) -> Self {
        let Some((data, stride)) = direct else {
            left.pack::<M>(isa, rows, inner, packed);
            return Self::Packed(packed);
        };
        let full = rows.len() / M * M;
        if full < rows.len() {
            left.pack::<M>(isa, rows.start + full..rows.end, inner.clone(), packed);
        }
        Self::Rows { data: &data[rows.start * stride + inner.start..], stride, last: packed }
    }

    /// The rows, widened.
    fn widened<const M: usize>(
        isa: Isa,
        left: &impl Operand,
        rows: Range<usize>,
        inner: Range<usize>,
        space: &'a mut [f32],
    ) -> Self {
        let stride = inner.len() + SKEW;
        assert!(space.len() >= rows.len().next_multiple_of(M) * stride);
        left.widen(isa, rows, inner, stride, space);
        Self::WholeRows { data: space, stride }
    }

    /// Asserts that there is room for all panels of a block.
    fn check<const M: usize>(&self, rows: usize, depth: usize) {
        match *self {
            Self::Packed(data) => assert!(data.len() >= rows.next_multiple_of(M) * depth),
            Self::Rows { data, stride, last } => {
                let full = rows / M * M;
                assert!(full == 0 || data.len() >= (full - 1) * stride + depth);
                assert!(full == rows || last.len() >= M * depth);
            }
            Self::Columns { data, stride, last } => {
                let full = rows / M * M;
                assert!(full == 0 || depth == 0 || data.len() >= (depth - 1) * stride + full);
                assert!(full == rows || last.len() >= M * depth);
            }
            Self::WholeRows { data, stride } => {
                let rows = rows.next_multiple_of(M);
                assert!(rows == 0 || data.len() >= (rows - 1) * stride + depth);
            }
            Self::WholeColumns { data, stride } => {
                let rows = rows.next_multiple_of(M);
                assert!(depth == 0 || data.len() >= (depth - 1) * stride + rows);
            }
        }
    }

    /// The panel that starts at `row` and has `height` rows.
    #[inline(always)]
    fn panel<const M: usize>(&self, row: usize, height: usize, depth: usize) -> Left {
        match *self {
            Self::Packed(data) => Left { start: data[row * depth..].as_ptr(), row: 1, step: M },
            Self::Rows { data, stride, .. } if height == M => {
                Left { start: data[row * stride..].as_ptr(), row: stride, step: 1 }
            }
            Self::WholeRows { data, stride } => {
                Left { start: data[row * stride..].as_ptr(), row: stride, step: 1 }
            }
            Self::Columns { data, stride, .. } if height == M => {
                Left { start: data[row..].as_ptr(), row: 1, step: stride }
            }
            Self::WholeColumns { data, stride } => {
                Left { start: data[row..].as_ptr(), row: 1, step: stride }
            }
            Self::Rows { last, .. } | Self::Columns { last, .. } => {
                Left { start: last.as_ptr(), row: 1, step: M }
            }
        }
    }
}

/// The macro-kernel's work: a block of A times packed panels of B.
pub(crate) struct Block<'a> {
    pub(crate) isa: Isa,
    pub(crate) depth: usize,
    pub(crate) left: Panels<'a>,
    pub(crate) right: &'a [f32],
    /// Where each row of the result starts.
    pub(crate) rows: &'a [usize],
    pub(crate) first_column: usize,
    pub(crate) columns: usize,
    pub(crate) write: Write,
    /// What is packed next: it is asked for meanwhile.
    pub(crate) ahead: [&'a [f32]; 2],
    /// What follows, if this is the last block of the product. Its residual has rows where the
    /// result has.
    pub(crate) finish: Option<&'a Finish<'a>>,
}

impl Block<'_> {
    /// # Safety
    ///
    /// For each offset in `rows`, the `columns` floats of `data` from `first_column` after it are
    /// valid for writing, and no one else uses them meanwhile; the finish is one for this result.
    pub(crate) unsafe fn multiply<const M: usize, const N: usize>(&self, data: *mut f32) {
        let start = |row: usize, column: usize| {
            // SAFETY: inside the result, the caller's promise.
            unsafe { data.add(self.rows[row] + self.first_column + column) }
        };
        // SAFETY: the caller's promise.
        unsafe { self.multiply_to::<M, N>(start, |_, _, _, _| {}) };
        if self.write == Write::Stream {
            stream::fence();
        }
    }

    /// The same for a result in half precision. Where the product has more blocks than this, `sums`
    /// are a place for it and where its rows start there.
    ///
    /// # Safety
    ///
    /// As [`Self::multiply`], of the data that is rounded to.
    unsafe fn multiply_rounded<const M: usize, const N: usize, E: Element>(
        &self,
        rounding: &Rounding<'_, E>,
        sums: Option<(&mut [f32], &[usize])>,
    ) {
        let done = |starts: &[*mut f32; M], row: usize, column: usize, width: usize| {
            if rounding.is_last {
                let rows = &rounding.rows[row..rounding.rows.len().min(row + M)];
                // SAFETY: the caller's promise for the tile, which was just written.
                unsafe {
                    let column = self.first_column + column;
                    round_tile(self.isa, starts, rounding.data, rows, column, width);
                }
            }
        };
        match sums {
            Some((sums, rows)) => {
                let width = self.columns.next_multiple_of(N);
                assert!(rows.iter().all(|start| start + width <= sums.len()));
                let sums = sums.as_mut_ptr();
                let start = |row: usize, column: usize| sums.wrapping_add(rows[row] + column);
                // SAFETY: inside of the sums, as asserted.
                unsafe { self.multiply_to::<M, N>(start, done) };
            }
            None => {
                let mut tile = [[0.0f32; N]; M];
                let tile = tile.as_flattened_mut().as_mut_ptr();
                // SAFETY: each panel of rows starts a tile anew.
                unsafe {
                    self.multiply_to::<M, N>(|row, _| tile.wrapping_add(row % M * N), done);
                }
            }
        }
    }

    /// The product, its row `row` from `column` on at `start(row, column)`; calls `done(starts, first
    /// row, first column, columns)` for each tile.
    ///
    /// # Safety
    ///
    /// What `start` gives is valid for writing the row's columns of a tile, and no one else uses them
    /// meanwhile; the finish is one for this result.
    #[inline(always)]
    unsafe fn multiply_to<const M: usize, const N: usize>(
        &self,
        start: impl Fn(usize, usize) -> *mut f32,
        done: impl Fn(&[*mut f32; M], usize, usize, usize),
    ) {
        let depth = self.depth;
        self.left.check::<M>(self.rows.len(), depth);
        assert!(self.right.len() >= self.columns.next_multiple_of(N) * depth);
        let tiles = self.columns.div_ceil(N) * self.rows.len().div_ceil(M);
        let mut ahead = self.ahead.map(|data| {
            let lines = data.len().div_ceil(LINE).div_ceil(tiles.max(1));
            data.chunks((lines * LINE).max(1))
        });
        self.isa.run(|| {
            for column in (0..self.columns).step_by(N) {
                let right = &self.right[column * depth..];
                for (panel, rows) in self.rows.chunks(M).enumerate() {
                    // Filled in its place: a copy would wait for these stores one by one.
                    let mut tile = Tile {
                        rows: [std::ptr::null_mut(); M],
                        height: rows.len(),
                        width: N.min(self.columns - column),
                        write: self.write,
                    };
                    for (row, place) in tile.rows.iter_mut().enumerate() {
                        *place = start(panel * M + row.min(rows.len() - 1), column);
                    }
                    let left = self.left.panel::<M>(panel * M, rows.len(), depth);
                    if let Some(finish) = self.finish {
                        finish.prefetch(rows, self.first_column + column, tile.width);
                    }
                    for ahead in &mut ahead {
                        prefetch_all(ahead.next().unwrap_or(&[]));
                    }
                    // SAFETY: the assertions above cover the panels, the caller's promise the tile.
                    unsafe {
                        microkernel::multiply::<M, N>(self.isa, depth, left, right.as_ptr(), &tile);
                    }
                    if let Some(finish) = self.finish {
                        let column = self.first_column + column;
                        // SAFETY: the caller's promise for the tile and for the finish.
                        unsafe {
                            finish_tile(self.isa, finish, &tile.rows, rows, column, tile.width);
                        }
                    }
                    done(&tile.rows, panel * M, column, tile.width);
                }
            }
        });
    }
}

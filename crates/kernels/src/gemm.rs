//! Matrix products C = A·B, packed and blocked for the caches (Goto and van de Geijn 2008).
//!
//! Two drivers share one macro-kernel. [`multiply`] is for many rows and a right factor worth
//! packing whole (forward, input gradient); [`multiply_reduce`] is for a long inner dimension and a
//! small result (weight gradient), which it cuts into chunks whose partial sums are added in order.
//! Block sizes are constants and cuts depend on the shape alone: the bits of a product are the same
//! on any number of threads.

use std::marker::PhantomData;
use std::ops::Range;

use crate::isa::Isa;
use crate::microkernel::{self, MR, NR, Tile};
use crate::pack::{Operand, packed_length};
use crate::parallel;
use crate::scratch::{self, Slot};

/// Rows of a packed block of A.
const MC: usize = 144;
/// Inner indices of a block; a panel of B of this depth takes half of a 32 KiB first-level cache.
const KC: usize = 256;
/// A product is cut into at least this many tasks if it is large enough to be.
const TASKS: usize = 16;
/// Rows of the tile of a result that one task of [`multiply_reduce`] sums up; with [`KC`] they make
/// the block of A that stays packed while B goes by.
const TILE_ROWS: usize = 2 * MC;
/// The least and the greatest number of columns of that tile.
const TILE_COLUMNS: [usize; 2] = [256, 1152];
/// Columns of B that are packed at once beside it.
const PIECE_COLUMNS: usize = 128;
/// [`multiply_reduce`] aims at this many tasks.
const REDUCE_TASKS: usize = 16;
/// The most floats it spends on partial sums.
const PARTIALS: usize = 1 << 20;

/// C is `rows × columns`, and `inner` is summed over.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) inner: usize,
}

/// The result: row `i` is `columns` floats from `offset(i)` on.
pub(crate) struct Output<'a, F> {
    data: *mut f32,
    length: usize,
    offset: F,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: threads write through `data` only to rows of their own, which `Output::new` demands be
// disjoint.
unsafe impl<F: Sync> Sync for Output<'_, F> {}

impl<'a, F: Fn(usize) -> usize + Sync> Output<'a, F> {
    /// # Safety
    ///
    /// Rows must not overlap: for `i != j`, `offset(i)` and `offset(j)` are at least as far apart
    /// as the result has columns. (That they are inside `data` is checked.)
    pub(crate) unsafe fn new(data: &'a mut [f32], offset: F) -> Self {
        Self { data: data.as_mut_ptr(), length: data.len(), offset, borrow: PhantomData }
    }
}

/// Even cuts of `0..length` into pieces of at most `most`, whole multiples of `unit`.
fn piece(length: usize, most: usize, unit: usize) -> usize {
    length.div_ceil(length.div_ceil(most).max(1)).next_multiple_of(unit).max(unit)
}

fn range(index: usize, piece: usize, length: usize) -> Range<usize> {
    index * piece..((index + 1) * piece).min(length)
}

/// C = A·B, the right factor packed whole.
pub(crate) fn multiply<A: Operand, B: Operand, F: Fn(usize) -> usize + Sync>(
    isa: Isa,
    shape: Shape,
    left: &A,
    right: &B,
    output: &Output<'_, F>,
) {
    if shape.rows == 0 || shape.columns == 0 {
        return;
    }
    assert!(shape.inner > 0, "a product needs something to sum over");
    let depth = piece(shape.inner, KC, 4);
    let padded = shape.columns.next_multiple_of(NR);
    scratch::with(Slot::Shared, packed_length(NR, padded, shape.inner), |shared| {
        pack_whole(isa, shape, depth, right, shared);
        let shared = &*shared;
        let height = piece(shape.rows, MC, MR);
        let blocks = shape.rows.div_ceil(height);
        let width =
            piece(shape.columns, shape.columns.div_ceil(TASKS.div_ceil(blocks)).max(64), NR);
        let pieces = shape.columns.div_ceil(width);
        parallel::indices(blocks * pieces, |task| {
            let rows = range(task / pieces, height, shape.rows);
            let columns = range(task % pieces, width, shape.columns);
            scratch::with(Slot::Left, packed_length(MR, rows.len(), depth), |packed| {
                let offsets = row_offsets(&rows, shape.columns, output);
                for start in (0..shape.inner).step_by(depth) {
                    let inner = start..(start + depth).min(shape.inner);
                    left.pack::<MR>(isa, rows.clone(), inner.clone(), packed);
                    let block = Block {
                        isa,
                        depth: inner.len(),
                        left: packed,
                        right: &shared[padded * start + columns.start * inner.len()..],
                        rows: &offsets[..rows.len()],
                        first_column: columns.start,
                        columns: columns.len(),
                        accumulate: start > 0,
                    };
                    // SAFETY: the offsets were checked, and no other task has these rows and
                    // columns.
                    unsafe { block.multiply(output.data) };
                }
            });
        });
    });
}

/// Packs every block of the right factor, one after the other, `depth` inner indices each.
fn pack_whole<B: Operand>(isa: Isa, shape: Shape, depth: usize, right: &B, shared: &mut [f32]) {
    const PANELS: usize = 4;
    let padded = shape.columns.next_multiple_of(NR);
    let whole = &mut shared[..padded * shape.inner];
    parallel::chunks(whole, padded * depth, |block, panels| {
        let inner = range(block, depth, shape.inner);
        parallel::chunks(panels, PANELS * NR * inner.len(), |part, panels| {
            let columns = range(part, PANELS * NR, shape.columns);
            right.pack::<NR>(isa, columns, inner.clone(), panels);
        });
    });
}

/// Where the rows of a block start in the result.
fn row_offsets<F: Fn(usize) -> usize + Sync>(
    rows: &Range<usize>,
    columns: usize,
    output: &Output<'_, F>,
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
        piece(shape.rows, TILE_ROWS, MR),
        piece(shape.columns, shape.columns.div_ceil(stripes).clamp(least, most), NR),
    ];
    let tiles = [shape.rows.div_ceil(tile[0]), shape.columns.div_ceil(tile[1])];
    let sum = |partials: &mut [f32]| {
        let length = shape.rows * shape.columns;
        let stride = shape.columns;
        // SAFETY: rows of a chunk are `stride` apart, and chunks are `length` apart.
        let output = unsafe {
            Output::new(partials, |row| row / shape.rows * length + row % shape.rows * stride)
        };
        parallel::indices(chunks * tiles[0] * tiles[1], |task| {
            let job = Job {
                shape,
                rows: range(task / tiles[1] % tiles[0], tile[0], shape.rows),
                columns: range(task % tiles[1], tile[1], shape.columns),
                inner: range(task / tiles[1] / tiles[0], chunk, shape.inner),
                first_row: task / tiles[1] / tiles[0] * shape.rows,
            };
            job.run(isa, left, right, &output);
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
    fn run<A: Operand, B: Operand, F: Fn(usize) -> usize + Sync>(
        &self,
        isa: Isa,
        left: &A,
        right: &B,
        output: &Output<'_, F>,
    ) {
        let rows = self.rows.clone();
        let placed = self.first_row + rows.start..self.first_row + rows.end;
        let offsets = row_offsets(&placed, self.shape.columns, output);
        let right_length = packed_length(NR, PIECE_COLUMNS, KC);
        scratch::with(Slot::Right, right_length, |packed_right| {
            scratch::with(Slot::Left, packed_length(MR, rows.len(), KC), |packed_left| {
                for start in self.inner.clone().step_by(KC) {
                    let inner = start..(start + KC).min(self.inner.end);
                    left.pack::<MR>(isa, rows.clone(), inner.clone(), packed_left);
                    for first in self.columns.clone().step_by(PIECE_COLUMNS) {
                        let columns = first..(first + PIECE_COLUMNS).min(self.columns.end);
                        right.pack::<NR>(isa, columns.clone(), inner.clone(), packed_right);
                        let block = Block {
                            isa,
                            depth: inner.len(),
                            left: packed_left,
                            right: packed_right,
                            rows: &offsets[..rows.len()],
                            first_column: columns.start,
                            columns: columns.len(),
                            accumulate: start > self.inner.start,
                        };
                        // SAFETY: the offsets were checked, and no other task has these rows and
                        // columns.
                        unsafe { block.multiply(output.data) };
                    }
                }
            });
        });
    }
}

/// The macro-kernel's work: a packed block of A times packed panels of B.
struct Block<'a> {
    isa: Isa,
    depth: usize,
    left: &'a [f32],
    right: &'a [f32],
    /// Where each row of the result starts.
    rows: &'a [usize],
    first_column: usize,
    columns: usize,
    accumulate: bool,
}

impl Block<'_> {
    /// # Safety
    ///
    /// For each offset in `rows`, the `columns` floats of `data` from `first_column` after it are
    /// valid for writing, and no one else uses them meanwhile.
    unsafe fn multiply(&self, data: *mut f32) {
        let depth = self.depth;
        assert!(self.left.len() >= self.rows.len().next_multiple_of(MR) * depth);
        assert!(self.right.len() >= self.columns.next_multiple_of(NR) * depth);
        self.isa.run(|| {
            for column in (0..self.columns).step_by(NR) {
                let right = &self.right[column * depth..];
                for (panel, rows) in self.rows.chunks(MR).enumerate() {
                    let left = &self.left[panel * MR * depth..];
                    let mut starts = [data; MR];
                    for (start, &offset) in starts.iter_mut().zip(rows) {
                        // SAFETY: inside the result, the caller's promise.
                        *start = unsafe { data.add(offset + self.first_column + column) };
                    }
                    let tile = Tile {
                        rows: starts,
                        height: rows.len(),
                        width: NR.min(self.columns - column),
                        accumulate: self.accumulate,
                    };
                    // SAFETY: the assertions above cover the panels, the caller's promise the tile.
                    unsafe {
                        microkernel::multiply(
                            self.isa,
                            depth,
                            left.as_ptr(),
                            right.as_ptr(),
                            &tile,
                        );
                    }
                }
            }
        });
    }
}

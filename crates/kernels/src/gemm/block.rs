//! The macro-kernel: a block of A times packed panels of B.

use crate::element::Element;
use crate::finish::{Finish, finish_tile, round_tile};
use crate::isa::{Isa, prefetch_all};
use crate::microkernel::{self, Left, Tile, Write};
use crate::pack::LINE;
use crate::stream;

/// The left factor of a block, in panels of as many rows as a tile has.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    data: &'a [f32],
    layout: Layout,
    /// The last panel, packed, where `data` does not have all of its rows.
    last: Option<&'a [f32]>,
}

/// How the panels of a block follow each other in memory.
#[derive(Clone, Copy)]
enum Layout {
    /// Each panel is packed.
    Packed,
    /// Row by row, this far apart.
    Rows(usize),
    /// Column by column, this far apart.
    Columns(usize),
}

impl<'a> Panels<'a> {
    pub(crate) fn packed(data: &'a [f32]) -> Self {
        Self { data, layout: Layout::Packed, last: None }
    }

    /// Rows in memory, `stride` apart, with as many after the last as fill its panel.
    pub(crate) fn rows(data: &'a [f32], stride: usize) -> Self {
        Self { data, layout: Layout::Rows(stride), last: None }
    }

    /// Columns in memory, `stride` apart, each with as many elements as fill the last panel.
    pub(crate) fn columns(data: &'a [f32], stride: usize) -> Self {
        Self { data, layout: Layout::Columns(stride), last: None }
    }

    /// The same panels, except that the last one, which is not full, is `last`, packed.
    pub(crate) fn with_last(self, last: &'a [f32]) -> Self {
        Self { last: Some(last), ..self }
    }

    /// Asserts that there is room for all panels of a block.
    fn check<const M: usize>(&self, rows: usize, depth: usize) {
        let mut rows = rows.next_multiple_of(M);
        if let Some(last) = self.last {
            assert!(last.len() >= M * depth);
            rows -= M;
        }
        if rows == 0 || depth == 0 {
            return;
        }
        let needed = match self.layout {
            Layout::Packed => rows * depth,
            Layout::Rows(stride) => (rows - 1) * stride + depth,
            Layout::Columns(stride) => (depth - 1) * stride + rows,
        };
        assert!(self.data.len() >= needed);
    }

    /// The panel that starts at `row` and has `height` rows.
    #[inline(always)]
    fn panel<const M: usize>(&self, row: usize, height: usize, depth: usize) -> Left {
        if let Some(last) = self.last
            && height < M
        {
            return Left { start: last.as_ptr(), row: 1, step: M };
        }
        match self.layout {
            Layout::Packed => Left { start: self.data[row * depth..].as_ptr(), row: 1, step: M },
            Layout::Rows(stride) => {
                Left { start: self.data[row * stride..].as_ptr(), row: stride, step: 1 }
            }
            Layout::Columns(stride) => {
                Left { start: self.data[row..].as_ptr(), row: 1, step: stride }
            }
        }
    }
}

/// Where a product in half precision goes.
pub(super) struct Rounding<'a, E> {
    pub(super) data: *mut E,
    /// Where each row of the block starts there.
    pub(super) rows: &'a [usize],
    /// Whether the sums of the block are complete.
    pub(super) is_last: bool,
}

/// A block of A, the packed panels of B that it is multiplied by, and what becomes of the product.
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
    /// What is packed next. It is prefetched meanwhile.
    pub(crate) ahead: [&'a [f32]; 2],
    /// What follows the product, if this is its last block. The rows of the residual are where those
    /// of the result are.
    pub(crate) finish: Option<&'a Finish<'a>>,
}

impl Block<'_> {
    /// Multiplies into `data`.
    ///
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

    /// Multiplies into a result in half precision. Where the product has more blocks than this one,
    /// its sums are kept in `sums`, whose second part says where the rows start there.
    ///
    /// # Safety
    ///
    /// As [`Self::multiply`], of the data that is rounded to.
    pub(super) unsafe fn multiply_rounded<const M: usize, const N: usize, E: Element>(
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

    /// Multiplies and writes row `row` of the product from `column` on to `start(row, column)`. Calls
    /// `done(starts, first row, first column, columns)` for each tile.
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

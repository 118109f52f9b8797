//! Matrix products C = A·B, packed and blocked for the caches (Goto and van de Geijn 2008).
//!
//! Two drivers share one macro-kernel, [`Block`]. [`multiply`] is for many rows and a right factor
//! worth packing whole (forward, input gradient); [`multiply_reduce`] is for a long inner dimension
//! and a small result (weight gradient): it cuts the inner dimension into chunks and adds their
//! partial sums in order. Block sizes are constants and cuts depend on the shape alone, so the bits
//! of a product are the same on any number of threads.

mod block;
mod forward;
mod left;
mod reduce;

use std::marker::PhantomData;
use std::ops::Range;

use crate::element::{self, Element};
use crate::finish::Finish;
use crate::microkernel::MOST_ROWS;
pub(crate) use block::{Block, Panels};
pub(crate) use forward::{multiply, multiply_packed, pack_right, packed_right_length};
pub(crate) use reduce::multiply_reduce;

/// Rows of a packed block of A.
const MC: usize = 144;
const _: () = assert!(MC.is_multiple_of(MOST_ROWS));
/// Inner indices of a block; a panel of B of this depth takes half of a 32 KiB first-level cache.
const KC: usize = 256;
/// Rows of the tile of a result that one task of [`multiply_reduce`] sums up; with [`KC`] they make
/// the block of A that stays packed while B goes by.
const TILE_ROWS: usize = 2 * MC;

/// C is `rows × columns`, and `inner` is summed over.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) inner: usize,
}

/// Where a product goes: row `i` is `columns` elements from `offset(i)` on.
pub(crate) struct Destination<'a, F, E = f32> {
    data: *mut E,
    length: usize,
    offset: F,
    finish: Option<Finish<'a>>,
    borrow: PhantomData<&'a mut [E]>,
}

// SAFETY: threads write through `data` only to rows of their own, which `Destination::new` demands
// be disjoint.
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

    /// The same place for a product that [`multiply`] finishes.
    pub(crate) fn finished(self, finish: Option<Finish<'a>>) -> Self {
        Self { finish, ..self }
    }

    fn is_half(&self) -> bool {
        element::is_half::<E>()
    }

    /// The start of the result, where it is `f32`.
    fn floats(&self) -> Option<*mut f32> {
        (!self.is_half()).then_some(self.data.cast())
    }

    /// Where the rows of a block start in the result, checked to be inside.
    fn row_offsets(&self, rows: &Range<usize>, columns: usize) -> [usize; TILE_ROWS] {
        let mut offsets = [0; TILE_ROWS];
        for (place, row) in offsets.iter_mut().zip(rows.clone()) {
            *place = (self.offset)(row);
            assert!(*place + columns <= self.length, "a row of a product outside its result");
        }
        offsets
    }
}

/// The length of the pieces when `0..length` is cut evenly into pieces of at most `most`, rounded up
/// to a multiple of `unit`.
pub(crate) fn piece(length: usize, most: usize, unit: usize) -> usize {
    length.div_ceil(length.div_ceil(most).max(1)).next_multiple_of(unit).max(unit)
}

fn range(index: usize, piece: usize, length: usize) -> Range<usize> {
    index * piece..((index + 1) * piece).min(length)
}

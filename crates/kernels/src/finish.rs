//! What follows a product before it is written for good: the sum with a bias and a residual, and
//! the rectifier.

use crate::batch_norm::Activation;
use crate::element::Element;
use crate::isa::prefetch;
use crate::lanes::{Lanes, laned};
use crate::pack::LINE;

/// `y = max(y + bias [+ residual], floor)`; what is not a number stays so.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// For each column of the result.
    pub(crate) bias: &'a [f32],
    /// As long as the result.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) floor: f32,
}

laned! {
    /// Finishes a tile: `width` columns from `column` on of rows that are at `places` in memory and at
    /// `offsets` in the result.
    ///
    /// # Safety
    ///
    /// For each offset, the places of the columns are valid and no one else uses them; the finish has
    /// been checked for the result they are in.
    pub(crate) unsafe fn finish_tile[][](
        finish: &Finish<'_>,
        places: &[*mut f32],
        offsets: &[usize],
        column: usize,
        width: usize,
    ) = finish_tile_of
}

/// # Safety
///
/// As [`finish_tile`].
#[inline(always)]
unsafe fn finish_tile_of<V: Lanes>(
    finish: &Finish<'_>,
    places: &[*mut f32],
    offsets: &[usize],
    column: usize,
    width: usize,
) {
    let whole = width / V::COUNT * V::COUNT;
    for (&place, &offset) in places.iter().zip(offsets) {
        let at = offset + column;
        // SAFETY: the caller's promise, for columns below `width`.
        unsafe {
            for lane in (0..whole).step_by(V::COUNT) {
                let y = V::load(place.add(lane));
                finish.lanes(y, at + lane, column + lane).store(place.add(lane));
            }
            for lane in whole..width {
                let y = f32::load(place.add(lane));
                finish.lanes(y, at + lane, column + lane).store(place.add(lane));
            }
        }
    }
}

laned! {
    /// Rounds a tile: `width` columns of rows that are at `places` in memory, to `column` on of rows
    /// that start at `offsets` in `data`.
    ///
    /// # Safety
    ///
    /// The places are valid for reading `width` floats; for each offset, as many elements of `data`
    /// from the column on are valid for writing, and no one else uses them.
    pub(crate) unsafe fn round_tile[E: Element][E](
        places: &[*mut f32],
        data: *mut E,
        offsets: &[usize],
        column: usize,
        width: usize,
    ) = round_tile_of
}

/// # Safety
///
/// As [`round_tile`].
#[inline(always)]
unsafe fn round_tile_of<V: Lanes, E: Element>(
    places: &[*mut f32],
    data: *mut E,
    offsets: &[usize],
    column: usize,
    width: usize,
) {
    let whole = width / V::COUNT * V::COUNT;
    for (&place, &offset) in places.iter().zip(offsets) {
        // SAFETY: the caller's promise, for columns below `width`.
        unsafe {
            let to = data.add(offset + column);
            for lane in (0..whole).step_by(V::COUNT) {
                E::store(V::load(place.add(lane)), to.add(lane));
            }
            for lane in whole..width {
                *to.add(lane) = E::rounded(*place.add(lane));
            }
        }
    }
}

/// The least value an activation gives.
pub(crate) fn floor(activation: Activation) -> f32 {
    match activation {
        Activation::Identity => f32::NEG_INFINITY,
        Activation::Relu => 0.0,
    }
}

impl Finish<'_> {
    /// Finishes a vector that starts at `at` in the result and at `column` in the row.
    ///
    /// # Safety
    ///
    /// The bias has the vector's columns, and the residual is as long as the result.
    #[inline(always)]
    pub(crate) unsafe fn lanes<V: Lanes>(&self, y: V, at: usize, column: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            let mut y = y.add(V::load(self.bias.as_ptr().add(column)));
            if let Some(residual) = self.residual {
                y = y.add(V::load(residual.as_ptr().add(at)));
            }
            y.at_least(self.floor)
        }
    }

    /// Asks for the residual of a tile.
    #[inline(always)]
    pub(crate) fn prefetch(&self, offsets: &[usize], column: usize, width: usize) {
        let Some(residual) = self.residual else { return };
        for offset in offsets {
            for lane in (0..width).step_by(LINE) {
                prefetch(residual.as_ptr().wrapping_add(offset + column + lane));
            }
        }
    }

    /// Asserts that it is for a result of `length` and rows of `columns`.
    pub(crate) fn check(&self, length: usize, columns: usize) {
        assert_eq!(self.bias.len(), columns);
        assert!(self.residual.is_none_or(|residual| residual.len() == length));
    }
}

//! Working memory that is kept between calls: each thread owns a few buffers that only grow, so that
//! no training step pays for fresh pages again.

use std::cell::RefCell;

/// One cache line; makes every buffer start on one, so that no panel's vector load straddles two.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// Floats that start on a cache line, kept as long as their owner.
#[derive(Debug)]
pub(crate) struct Floats {
    lines: Vec<Line>,
    length: usize,
}

impl Floats {
    pub(crate) fn zeros(length: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); length.div_ceil(LINE)], length }
    }
}

impl std::ops::Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `Line` is `repr(C)` over `[f32; LINE]` of exactly its size, so the lines are at
        // least `length` initialised floats.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl std::ops::DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}

/// What a buffer is for. A thread never needs two of the same at once, except when it steals
/// another kernel's call while it waits; that call then allocates its own.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    /// The packed block of the left factor.
    Left,
    /// The packed block of the right factor.
    Right,
    /// A left factor packed whole and shared between threads.
    SharedLeft,
    /// A right factor packed whole and shared between threads.
    Shared,
    /// A convolution's weights in the form its forward product reads.
    Weights,
    /// Partial sums of the chunks.
    Partials,
    /// A block of a product whose result is in half precision.
    Sums,
    /// An image with its border of zeros.
    Padded,
    /// Weights of merged groups.
    Wide,
    /// Weights, or their gradient, transformed by Winograd's algorithm.
    Transformed,
    /// Tiles transformed by it.
    Tiles,
    /// The same, shared between threads.
    SharedTiles,
    /// Activations in half precision, widened: as many as a kernel reads at once.
    First,
    Second,
    Third,
    /// A result before it is rounded to half precision.
    Result,
}

thread_local! {
    static BUFFERS: RefCell<[Vec<Line>; 16]> = const {
        RefCell::new([const { Vec::new() }; 16])
    };
}

/// Calls `body` with a buffer of `length` floats whose contents are left from earlier use.
pub(crate) fn with<R>(slot: Slot, length: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut lines = BUFFERS.with_borrow_mut(|all| std::mem::take(&mut all[slot as usize]));
    if lines.len() * LINE < length {
        lines.clear();
        lines.resize(length.div_ceil(LINE), Line([0.0; LINE]));
    }
    // SAFETY: `Line` is `repr(C)` over `[f32; LINE]` of exactly its size, so the lines are
    // `lines.len() * LINE >= length` initialised floats, borrowed mutably through `lines`.
    let floats = unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), length) };
    let result = body(floats);
    BUFFERS.with_borrow_mut(|all| {
        let kept = &mut all[slot as usize];
        if kept.len() < lines.len() {
            *kept = lines;
        }
    });
    result
}

//! Convolution of stride 1 with fewer multiplications (Lavin and Gray 2015, arXiv 1509.09308):
//! tiles of inputs and the weights are transformed, multiplied element by element, which over
//! channels is a matrix product for each element, and transformed back.
//!
//! Tiles are squares, or lines where the kernel is one row or one column. A kernel of more taps than
//! a tile has is cut into parts. Each part is a convolution of the same tiles, its inputs further on,
//! and the sum over parts is one with the sum over channels: 1×7 with 64 channels is 1×4 with 128.
//!
//! A task takes a block of tiles through all three steps in its own working memory, so that the
//! transformed image never exists as a whole. The weight gradient sums over the tiles: it takes block
//! after block, and each element of the transformed gradient is a task.

mod gradient;
mod method;
mod plan;
mod scheme;
#[cfg(test)]
mod tests;
mod vectors;

use std::ops::Range;

use super::Conv2d;
use crate::element::Element;
use crate::finish::Finish;
use crate::gemm::{Block, Panels, piece};
use crate::isa::{Isa, prefetch};
use crate::lanes::{Lanes, laned};
use crate::microkernel::{Write, tiled};
use crate::pack::{Operand, packed_length};
use crate::parallel;
use crate::scratch::{self, Slot};
use crate::stream;
pub(super) use gradient::weight_grad;
pub(super) use method::{Method, method, prepared_method};
use method::{Tile, UNIT};
use plan::{Places, Plan};
use scheme::{Four, FourByFour, Scheme, Three, TwoByTwo};
use vectors::{of_elements, of_pixels, to_elements};

/// Tiles of a block, for few channels and for many. Both are several times the rows of any
/// micro-kernel. With few channels, so few tiles stay in a second-level cache; with many, the weights
/// do not stay in it, and so many tiles make it worth reading them.
const TILES: [usize; 2] = [24, 48];
/// The most channels, of inputs and results together, that are few.
const FEW: usize = 128;
/// Rows of a matrix of one element are this much further apart than the channels, so that they do
/// not share the lines of a cache.
const SKEW: usize = 16;

/// A product is cut into at least this many tasks if it is large enough to be.
const TASKS: usize = 16;

/// Calls a function with the scheme of a method, its elements, results and taps.
macro_rules! by_scheme {
    ($method:expr, $function:ident [$($generic:ident),*] ($($argument:expr),* $(,)?)) => {
        match $method {
            Method::Direct => unreachable!("the direct product has no tiles"),
            Method::TwoByTwo => $function::<TwoByTwo, 16, 4, 9, $($generic),*>($($argument),*),
            Method::FourByFour => $function::<FourByFour, 36, 16, 9, $($generic),*>($($argument),*),
            Method::Three => $function::<Three, 6, 3, 4, $($generic),*>($($argument),*),
            Method::Four => $function::<Four, 6, 4, 3, $($generic),*>($($argument),*),
        }
    };
}
use by_scheme;

/// Where results go, and what follows them.
struct Target<'a, E> {
    places: Places<E>,
    finish: Option<Finish<'a>>,
}

/// The length of the transformed weights of a convolution. Here and below, `which` is not `Direct`.
pub(super) fn transformed_length(isa: Isa, d: &Conv2d, which: Method) -> usize {
    length_of(isa, &forward_plan(d, which))
}

fn length_of(isa: Isa, plan: &Plan) -> usize {
    fn padded<const R: usize, const N: usize>(outputs: usize) -> usize {
        outputs.next_multiple_of(N)
    }
    plan.tile.elements() * plan.depth() * tiled!(isa, padded(plan.to.channels))
}

fn forward_plan(d: &Conv2d, which: Method) -> Plan {
    Plan::forward(d, tile(d, which))
}

fn tile(d: &Conv2d, which: Method) -> Tile {
    which.tile(d.kernel).expect("a method that fits the kernel")
}

/// Transforms weights, a factor whose outer index is a channel of the result and whose inner index
/// is a tap and an input channel, into panels for each element.
pub(super) fn transform(
    isa: Isa,
    d: &Conv2d,
    which: Method,
    w: &impl Operand,
    weights: &mut [f32],
) {
    by_scheme!(which, transform_by[](isa, &forward_plan(d, which), w, weights));
}

fn transform_by<S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize>(
    isa: Isa,
    plan: &Plan,
    w: &impl Operand,
    weights: &mut [f32],
) {
    tiled!(isa, transform_all[S, A, M, T](isa, plan, w, weights));
}

fn transform_all<
    const R: usize,
    const N: usize,
    S: Scheme<A, M, T>,
    const A: usize,
    const M: usize,
    const T: usize,
>(
    isa: Isa,
    plan: &Plan,
    w: &impl Operand,
    weights: &mut [f32],
) {
    parallel::chunks(weights, A * plan.depth() * N, |index, panel| {
        let outer = index * N..((index + 1) * N).min(plan.to.channels);
        transform_weights::<N, S, A, M, T>(isa, plan, outer, w, panel);
    });
}

/// The convolution of `x` by weights that [`transform`] wrote.
pub(super) fn forward<E: Element>(
    isa: Isa,
    d: &Conv2d,
    which: Method,
    x: &[E],
    weights: &[f32],
    finish: Option<Finish<'_>>,
    y: &mut [E],
) {
    let result = Target { places: Places::of(y), finish };
    by_scheme!(which, run[E](isa, &forward_plan(d, which), x, weights, result));
}

/// The gradient of the input, with the weights' outer index an input channel and their inner index a
/// tap, the last first, and an output channel.
pub(super) fn input_grad<E: Element>(
    d: &Conv2d,
    which: Method,
    dy: &[E],
    w: &impl Operand,
    dx: &mut [E],
) {
    let isa = Isa::current();
    let result = Target { places: Places::of(dx), finish: None };
    let plan = Plan::backward(d, tile(d, which));
    scratch::with(Slot::Transformed, length_of(isa, &plan), |weights| {
        by_scheme!(which, transform_by[](isa, &plan, w, weights));
        by_scheme!(which, run[E](isa, &plan, dy, weights, result));
    });
}

fn run<S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize, E: Element>(
    isa: Isa,
    plan: &Plan,
    x: &[E],
    weights: &[f32],
    y: Target<'_, E>,
) {
    tiled!(isa, run_tiled[S, A, M, T, E](isa, plan, x, weights, y));
}

fn run_tiled<
    const R: usize,
    const N: usize,
    S: Scheme<A, M, T>,
    const A: usize,
    const M: usize,
    const T: usize,
    E: Element,
>(
    isa: Isa,
    plan: &Plan,
    x: &[E],
    weights: &[f32],
    y: Target<'_, E>,
) {
    let (depth, outputs) = (plan.depth(), plan.to.channels);
    assert!(weights.len() >= A * depth * outputs.next_multiple_of(N));
    let most = if depth + outputs <= FEW { TILES[0] } else { TILES[1] };
    let job = Job { plan, x, weights, y, tiles: piece(plan.tiles, most, R) };
    if let Some(finish) = &job.y.finish {
        finish.check(job.y.places.length, outputs);
    }
    let blocks = plan.tiles.div_ceil(job.tiles);
    let size = A * job.tiles * (depth + SKEW);
    let stripes = TASKS.div_ceil(blocks).min(outputs.div_ceil(N));
    if stripes == 1 {
        parallel::indices(blocks, |block| {
            scratch::with(Slot::SharedTiles, size, |before| {
                let first = block * job.tiles;
                for tile in first..(first + job.tiles).min(plan.tiles) {
                    job.transform::<S, A, M, T>(isa, tile, Places::of(before), 0);
                }
                job.multiply::<R, N, S, A, M, T>(isa, first, 0..outputs, before);
            });
        });
        return;
    }
    // Few tiles: each block is transformed once, and its products are cut into columns.
    let width = outputs.div_ceil(N).div_ceil(stripes) * N;
    let stripes = outputs.div_ceil(width);
    scratch::with(Slot::SharedTiles, blocks * size, |before| {
        let places = Places::of(before);
        let together = plan.tiles.div_ceil(TASKS);
        parallel::indices(plan.tiles.div_ceil(together), |part| {
            for tile in part * together..((part + 1) * together).min(plan.tiles) {
                job.transform::<S, A, M, T>(isa, tile, places, tile / job.tiles * size);
            }
        });
        let before = &*before;
        parallel::indices(blocks * stripes, |task| {
            let (block, first) = (task / stripes, task % stripes * width);
            let columns = first..(first + width).min(outputs);
            let before = &before[block * size..][..size];
            job.multiply::<R, N, S, A, M, T>(isa, block * job.tiles, columns, before);
        });
    });
}

/// Transforms the weights of one panel, into a panel for each element.
fn transform_weights<
    const N: usize,
    S: Scheme<A, M, T>,
    const A: usize,
    const M: usize,
    const T: usize,
>(
    isa: Isa,
    plan: &Plan,
    outer: Range<usize>,
    w: &impl Operand,
    panel: &mut [f32],
) {
    let (inputs, count) = (plan.from.channels, plan.kernel[0] * plan.kernel[1]);
    let (size, apart) = (inputs * N, plan.depth() * N);
    // Behind the last tap one of zeros, for those outside of the kernel.
    scratch::with(Slot::Right, packed_length(N, N, (count + 1) * inputs), |packed| {
        for tap in 0..count {
            let inner = tap * inputs..(tap + 1) * inputs;
            w.pack::<N>(isa, outer.clone(), inner, &mut packed[tap * size..]);
        }
        packed[count * size..][..size].fill(0.0);
        for part in 0..plan.parts() {
            let taps = plan.tile.taps_of::<T>(plan.kernel, part).map(|tap| &packed[tap * size..]);
            let panel = &mut panel[part * size..];
            assert!(panel.len() >= (A - 1) * apart + size);
            assert!(taps.iter().all(|tap| tap.len() >= size));
            // SAFETY: the lengths were asserted.
            unsafe { weights::<S, A, M, T>(isa, &taps, size, panel, apart) };
        }
    });
}

/// Transforms weights.
///
/// # Safety
///
/// Each of `taps` has `size` floats, a multiple of every vector, and `to` as many for each element,
/// `apart` from the last.
#[inline(always)]
unsafe fn weights_of<
    V: Lanes,
    S: Scheme<A, M, T>,
    const A: usize,
    const M: usize,
    const T: usize,
>(
    taps: &[&[f32]; T],
    size: usize,
    to: &mut [f32],
    apart: usize,
) {
    let taps = taps.map(<[f32]>::as_ptr);
    for at in (0..size).step_by(V::COUNT) {
        // SAFETY: `at` and a vector are within `size`.
        let values = unsafe { of_pixels::<V, f32, T>(&taps, at) };
        // SAFETY: the caller's promise.
        unsafe { to_elements(&S::weight(values), to.as_mut_ptr().add(at), apart) };
    }
}

laned! {
    /// # Safety
    ///
    /// As [`weights_of`].
    unsafe fn weights[S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize][S, A, M, T](
        taps: &[&[f32]; T],
        size: usize,
        to: &mut [f32],
        apart: usize,
    ) = weights_of
}

/// What the tasks of a convolution share.
struct Job<'a, E> {
    plan: &'a Plan,
    x: &'a [E],
    weights: &'a [f32],
    y: Target<'a, E>,
    /// Tiles of a task.
    tiles: usize,
}

impl<E: Element> Job<'_, E> {
    /// Transforms the inputs of one tile into its place in its block, which starts at `block` in
    /// `before`.
    fn transform<S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize>(
        &self,
        isa: Isa,
        tile: usize,
        before: Places,
        block: usize,
    ) {
        let (inputs, depth) = (self.plan.from.channels, self.plan.depth());
        let stride = depth + SKEW;
        let size = self.tiles * stride;
        let place = block + tile % self.tiles * stride;
        let to = before.at(place, (A - 1) * size + depth);
        for part in 0..self.plan.parts() {
            let spread = Spread { apart: size, first: part * inputs, width: usize::MAX, panel: 0 };
            let pixels = self.plan.inputs::<A, E>(self.x, tile, part);
            let (ahead, count) = self.plan.ahead::<A, E>(self.x, tile, part);
            let ahead = &ahead[..count];
            // SAFETY: each pixel has `inputs` floats, and each element of the tile's has a row of
            // as many for each part, which no other tile has, checked to be inside.
            unsafe { inputs_to::<S, A, M, T, E>(isa, &pixels, ahead, inputs, to, spread) };
        }
    }

    /// The products of a block of transformed tiles, of which `first` is the first, for some columns
    /// of the result.
    fn multiply<
        const R: usize,
        const N: usize,
        S: Scheme<A, M, T>,
        const A: usize,
        const M: usize,
        const T: usize,
    >(
        &self,
        isa: Isa,
        first: usize,
        columns: Range<usize>,
        before: &[f32],
    ) {
        let depth = self.plan.depth();
        let count = self.tiles.min(self.plan.tiles - first);
        let (stride, out_stride) = (depth + SKEW, columns.len() + SKEW);
        let (size, out_size) = (self.tiles * stride, self.tiles * out_stride);
        let rows: Vec<usize> = (0..count).map(|tile| tile * out_stride).collect();
        scratch::with(Slot::Tiles, A * out_size, |after| {
            for element in 0..A {
                for column in columns.clone().step_by(N) {
                    let panel = (column / N * A + element) * depth * N;
                    let block = Block {
                        isa,
                        depth,
                        left: Panels::rows(&before[element * size..], stride),
                        right: &self.weights[panel..][..depth * N],
                        rows: &rows,
                        first_column: column - columns.start,
                        columns: N.min(columns.end - column),
                        write: Write::Replace,
                        ahead: [&[]; 2],
                        finish: None,
                    };
                    let after = &mut after[element * out_size..][..out_size];
                    // SAFETY: rows are `out_stride` apart, more than the columns, and all are
                    // inside.
                    unsafe { block.multiply::<R, N>(after.as_mut_ptr()) };
                }
            }
            for tile in 0..count {
                let from = after[tile * out_stride..].as_ptr();
                let places = self.plan.targets::<M, E>(self.y.places, first + tile);
                let columns = columns.clone();
                // SAFETY: each element of the tile's has a row of these columns from here on, and no
                // one else writes them.
                unsafe {
                    outputs_from::<S, A, M, T, E>(isa, &places, columns, from, out_size, &self.y)
                };
            }
        });
        if self.y.places.streams() {
            stream::fence();
        }
    }
}

/// Where transformed tiles go. Elements are `apart` from each other. `width` channels of an element are
/// together, and the next ones follow `panel` further on. The first channel given is channel `first`.
#[derive(Clone, Copy)]
struct Spread {
    apart: usize,
    first: usize,
    width: usize,
    panel: usize,
}

/// Transforms the inputs of a tile, and prefetches the pixels `ahead` meanwhile.
///
/// # Safety
///
/// Each of `pixels` is valid for reading `channels` floats, a multiple of every vector and of it
/// within `spread.width`; `to` is valid for writing the places of `spread`.
#[inline(always)]
unsafe fn inputs_of<
    V: Lanes,
    S: Scheme<A, M, T>,
    const A: usize,
    const M: usize,
    const T: usize,
    E: Element,
>(
    pixels: &[*const E; A],
    ahead: &[*const E],
    channels: usize,
    to: *mut f32,
    spread: Spread,
) {
    let mut first = 0;
    while first < channels {
        let place = spread.first + first;
        let (panel, place) = (place / spread.width, place % spread.width);
        let last = channels.min(first + (spread.width - place));
        let to = to.wrapping_add(panel * spread.panel + place);
        for channel in (first..last).step_by(V::COUNT) {
            for pixel in ahead {
                prefetch(pixel.wrapping_add(channel));
            }
            // SAFETY: the channels are below `channels`; the places are the caller's promise.
            unsafe {
                let tile = of_pixels::<V, E, A>(pixels, channel);
                to_elements(&S::input(tile), to.add(channel - first), spread.apart);
            }
        }
        first = last;
    }
}

laned! {
    /// # Safety
    ///
    /// As [`inputs_of`].
    unsafe fn inputs_to[S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize, E: Element][S, A, M, T, E](
        pixels: &[*const E; A],
        ahead: &[*const E],
        channels: usize,
        to: *mut f32,
        spread: Spread,
    ) = inputs_of
}

/// Transforms a tile back and writes the pixels inside of the image: the `places` that are not null.
///
/// # Safety
///
/// `from` is valid for reading `columns`, some channels of the result, for each element, `apart` from
/// the last; `places` are pixels of `y`, and no one else writes these channels there.
#[inline(always)]
unsafe fn outputs_of<
    V: Lanes,
    S: Scheme<A, M, T>,
    const A: usize,
    const M: usize,
    const T: usize,
    E: Element,
>(
    places: &[*mut E; M],
    columns: Range<usize>,
    from: *const f32,
    apart: usize,
    y: &Target<'_, E>,
) {
    let streams = y.places.streams();
    for channel in columns.clone().step_by(V::COUNT) {
        // SAFETY: the caller's promise.
        let elements = unsafe { of_elements::<V, A>(from.add(channel - columns.start), apart) };
        let done = S::output(elements);
        for (&place, &value) in places.iter().zip(&done) {
            if place.is_null() {
                continue;
            }
            // SAFETY: inside of `y` and this tile's, the caller's promise; aligned if `y` is,
            // because channels come in whole vectors.
            unsafe {
                let place = place.add(channel);
                let mut value = value;
                if let Some(finish) = &y.finish {
                    let at = place.offset_from(y.places.start) as usize;
                    value = finish.lanes(value, at, channel);
                }
                if streams {
                    E::stream(value, place);
                } else {
                    E::store(value, place);
                }
            }
        }
    }
}

laned! {
    /// # Safety
    ///
    /// As [`outputs_of`].
    unsafe fn outputs_from[S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize, E: Element][S, A, M, T, E](
        places: &[*mut E; M],
        columns: Range<usize>,
        from: *const f32,
        apart: usize,
        y: &Target<'_, E>,
    ) = outputs_of
}

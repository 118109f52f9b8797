//! 3×3 convolution of stride 1 with fewer multiplications (Lavin and Gray 2015, arXiv 1509.09308):
//! tiles of inputs and the weights are transformed, multiplied element by element, which over
//! channels is a matrix product for each element, and transformed back.
//!
//! A task takes a block of tiles through all three steps in its own working memory, so no transformed
//! image is ever whole. For the weight gradient, whose sum goes over the tiles, blocks are taken one
//! after the other and each element of the transformed gradient is a task.

mod gradient;
mod scheme;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::Conv2d;
use crate::element::{self, Element};
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
use scheme::{Four, Scheme, Two, both};

/// The most channels it is for: a panel of packed weights is one block deep.
const MOST_CHANNELS: usize = 512;
/// Channels come in whole vectors of every instruction set.
const UNIT: usize = 16;
/// Tiles of a block: several times the rows of any micro-kernel, so few that those of a few channels
/// stay in a second-level cache, and so many that the weights of many channels, which do not, are
/// worth reading.
const TILES: [usize; 2] = [24, 48];
/// A few channels, of inputs and results together.
const FEW: usize = 128;
/// Rows of a matrix of one element are this much further apart than the channels, so that they do
/// not share the lines of a cache.
const SKEW: usize = 16;

/// A product is cut into at least this many tasks if it is large enough to be.
const TASKS: usize = 16;

/// What else costs as much as how many multiply-adds: packing a weight for the direct product, and,
/// for each element of a tile, transforming an input or a result, and packing and transforming a
/// weight; and reading a prepared weight from memory.
const PACKING: usize = 5;
const TILE: usize = 8;
const WEIGHT: usize = 15;
const READING: usize = 10;

static ZEROS: [f32; MOST_CHANNELS] = [0.0; MOST_CHANNELS];

/// How a convolution is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Direct,
    /// F(2×2, 3×3).
    Two,
    /// F(4×4, 3×3).
    Four,
}

/// The cheapest method by a count of multiply-adds, in which transforms weigh as measured.
pub(super) fn method(d: &Conv2d) -> Method {
    cheapest(d, PACKING, WEIGHT)
}

/// The cheapest method by weights that are prepared.
pub(super) fn prepared_method(d: &Conv2d) -> Method {
    cheapest(d, READING, READING)
}

/// `packing` and `weight` are what a weight costs the direct product, and an element of a
/// transformed one the others.
fn cheapest(d: &Conv2d, packing: usize, weight: usize) -> Method {
    let fits = |channels: usize| channels.is_multiple_of(UNIT) && channels <= MOST_CHANNELS;
    let plain = d.kernel == [3, 3] && d.stride == [1, 1] && d.dilation == [1, 1] && d.groups == 1;
    let padded = d.padding[0] <= 2 && d.padding[1] <= 2;
    if !(plain && padded && fits(d.c_in) && fits(d.c_out) && d.y_len() > 0 && d.c_in > 0) {
        return Method::Direct;
    }
    let direct = (d.positions() + packing) * 9 * d.c_in * d.c_out;
    let cost = |side: usize| {
        let tiles = d.n * d.out_h().div_ceil(side) * d.out_w().div_ceil(side);
        let elements = (side + 2) * (side + 2);
        let tile = d.c_in * d.c_out + TILE * (d.c_in + d.c_out);
        elements * (tiles * tile + weight * d.c_in * d.c_out)
    };
    let (two, four) = (cost(2), cost(4));
    if direct <= two.min(four) {
        Method::Direct
    } else if two <= four {
        Method::Two
    } else {
        Method::Four
    }
}

/// A convolution as Winograd's algorithm sees it: from an image to one of the same number of
/// images.
#[derive(Clone, Copy)]
struct Plan {
    from: Extent,
    to: Extent,
    padding: [usize; 2],
    /// Rows and columns of tiles of an image of `to`, and tiles of the batch.
    grid: [usize; 2],
    tiles: usize,
}

#[derive(Clone, Copy)]
struct Extent {
    h: usize,
    w: usize,
    channels: usize,
}

impl Plan {
    fn of(n: usize, from: Extent, to: Extent, padding: [usize; 2], side: usize) -> Self {
        let grid = [to.h.div_ceil(side), to.w.div_ceil(side)];
        Self { from, to, padding, grid, tiles: n * grid[0] * grid[1] }
    }

    /// The forward product's plan.
    fn forward(d: &Conv2d, side: usize) -> Self {
        let from = Extent { h: d.h, w: d.w, channels: d.c_in };
        let to = Extent { h: d.out_h(), w: d.out_w(), channels: d.c_out };
        Self::of(d.n, from, to, d.padding, side)
    }

    /// The input gradient's: from `dy` to `dx`, the weights turned around.
    fn backward(d: &Conv2d, side: usize) -> Self {
        let Self { from, to, .. } = Self::forward(d, side);
        Self::of(d.n, to, from, d.padding.map(|padding| 2 - padding), side)
    }

    /// The image a tile is in, and its first row and column there.
    fn place(&self, tile: usize, side: usize) -> [usize; 3] {
        let [rows, columns] = self.grid;
        [tile / (rows * columns), tile / columns % rows * side, tile % columns * side]
    }

    /// Where the pixels that a tile of results comes from start.
    fn inputs<const A: usize, E>(&self, x: &[E], tile: usize) -> [[*const E; A]; A] {
        let [image, top, left] = self.place(tile, A - 2);
        let [above, before] = self.padding;
        self.from.pixels(x, image, [top.wrapping_sub(above), left.wrapping_sub(before)])
    }

    /// Where the pixels of a tile of results start.
    fn results<const M: usize, E>(&self, y: &[E], tile: usize) -> [[*const E; M]; M] {
        let [image, top, left] = self.place(tile, M);
        self.to.pixels(y, image, [top, left])
    }
}

impl Extent {
    /// Where the pixels of a square start; those outside of the image are zeros.
    fn pixels<const L: usize, E>(
        &self,
        data: &[E],
        image: usize,
        [top, left]: [usize; 2],
    ) -> [[*const E; L]; L] {
        let mut pixels = [[ZEROS.as_ptr().cast(); L]; L];
        for (i, row) in pixels.iter_mut().enumerate() {
            for (j, pixel) in row.iter_mut().enumerate() {
                // A negative coordinate is a huge one.
                let (y, x) = (top.wrapping_add(i), left.wrapping_add(j));
                if y < self.h && x < self.w {
                    let start = ((image * self.h + y) * self.w + x) * self.channels;
                    *pixel = data[start..][..self.channels].as_ptr();
                }
            }
        }
        pixels
    }
}

/// Memory that tasks write to in disjoint places.
struct Places<E = f32> {
    start: *mut E,
    length: usize,
}

impl<E> Clone for Places<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Places<E> {}

// SAFETY: a pointer and its bound; whoever writes through it promises that places are disjoint.
unsafe impl<E: Sync> Sync for Places<E> {}
// SAFETY: as above.
unsafe impl<E: Send> Send for Places<E> {}

impl<E> Places<E> {
    fn of(data: &mut [E]) -> Self {
        Self { start: data.as_mut_ptr(), length: data.len() }
    }

    /// Whether to write past the caches: it is large, and vectors of whole cache lines are aligned.
    fn streams(&self) -> bool
    where
        E: Element,
    {
        !element::is_half::<E>()
            && self.length >= stream::STREAMED
            && self.start.addr().is_multiple_of(64)
    }

    /// The `count` floats from `at` on, checked to be inside.
    fn at(&self, at: usize, count: usize) -> *mut E {
        assert!(at + count <= self.length);
        self.start.wrapping_add(at)
    }
}

/// Where results go, and what follows them.
struct Target<'a, E> {
    places: Places<E>,
    finish: Option<Finish<'a>>,
}

/// The length of the transformed weights of a convolution from and to so many channels; `which` is
/// not `Direct`, here and below.
pub(super) fn transformed_length(isa: Isa, which: Method, [inputs, outputs]: [usize; 2]) -> usize {
    fn padded<const R: usize, const N: usize>(outputs: usize) -> usize {
        outputs.next_multiple_of(N)
    }
    let elements = if which == Method::Two { 16 } else { 36 };
    elements * inputs * tiled!(isa, padded(outputs))
}

/// Transforms weights, a factor whose outer index is a channel of the result and whose inner index
/// is a tap and an input channel, into panels for each element.
pub(super) fn transform(
    isa: Isa,
    which: Method,
    channels: [usize; 2],
    w: &impl Operand,
    weights: &mut [f32],
) {
    match which {
        Method::Two => tiled!(isa, transform_all[Two, 4, 2](isa, channels, w, weights)),
        _ => tiled!(isa, transform_all[Four, 6, 4](isa, channels, w, weights)),
    }
}

fn transform_all<
    const R: usize,
    const N: usize,
    S: Scheme<A, M>,
    const A: usize,
    const M: usize,
>(
    isa: Isa,
    [inputs, outputs]: [usize; 2],
    w: &impl Operand,
    weights: &mut [f32],
) {
    parallel::chunks(weights, A * A * inputs * N, |index, panel| {
        let outer = index * N..((index + 1) * N).min(outputs);
        transform_weights::<N, S, A, M>(isa, inputs, outer, w, panel);
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
    let plan = Plan::forward(d, if which == Method::Two { 2 } else { 4 });
    run(isa, &plan, which, x, weights, result);
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
    let plan = Plan::backward(d, if which == Method::Two { 2 } else { 4 });
    let channels = [d.c_out, d.c_in];
    let length = transformed_length(isa, which, channels);
    scratch::with(Slot::Transformed, length, |weights| {
        transform(isa, which, channels, w, weights);
        run(isa, &plan, which, dy, weights, result);
    });
}

fn run<E: Element>(
    isa: Isa,
    plan: &Plan,
    which: Method,
    x: &[E],
    weights: &[f32],
    y: Target<'_, E>,
) {
    match which {
        Method::Two => tiled!(isa, run_tiled[Two, 4, 2, E](isa, plan, x, weights, y)),
        _ => tiled!(isa, run_tiled[Four, 6, 4, E](isa, plan, x, weights, y)),
    }
}

fn run_tiled<
    const R: usize,
    const N: usize,
    S: Scheme<A, M>,
    const A: usize,
    const M: usize,
    E: Element,
>(
    isa: Isa,
    plan: &Plan,
    x: &[E],
    weights: &[f32],
    y: Target<'_, E>,
) {
    let (inputs, outputs) = (plan.from.channels, plan.to.channels);
    assert!(weights.len() >= A * A * inputs * outputs.next_multiple_of(N));
    let most = if inputs + outputs <= FEW { TILES[0] } else { TILES[1] };
    let job = Job { plan, x, weights, y, tiles: piece(plan.tiles, most, R) };
    if let Some(finish) = &job.y.finish {
        finish.check(job.y.places.length, outputs);
    }
    let blocks = plan.tiles.div_ceil(job.tiles);
    let size = A * A * job.tiles * (inputs + SKEW);
    let stripes = TASKS.div_ceil(blocks).min(outputs.div_ceil(N));
    if stripes == 1 {
        parallel::indices(blocks, |block| {
            scratch::with(Slot::SharedTiles, size, |before| {
                let first = block * job.tiles;
                for tile in first..(first + job.tiles).min(plan.tiles) {
                    job.transform::<S, A, M>(isa, tile, Places::of(before), 0);
                }
                job.multiply::<R, N, S, A, M>(isa, first, 0..outputs, before);
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
                job.transform::<S, A, M>(isa, tile, places, tile / job.tiles * size);
            }
        });
        let before = &*before;
        parallel::indices(blocks * stripes, |task| {
            let (block, first) = (task / stripes, task % stripes * width);
            let columns = first..(first + width).min(outputs);
            let before = &before[block * size..][..size];
            job.multiply::<R, N, S, A, M>(isa, block * job.tiles, columns, before);
        });
    });
}

/// Transforms the weights of one panel, into a panel for each element.
fn transform_weights<const N: usize, S: Scheme<A, M>, const A: usize, const M: usize>(
    isa: Isa,
    inputs: usize,
    outer: Range<usize>,
    w: &impl Operand,
    panel: &mut [f32],
) {
    let size = inputs * N;
    scratch::with(Slot::Right, packed_length(N, N, 9 * inputs), |packed| {
        for tap in 0..9 {
            let inner = tap * inputs..(tap + 1) * inputs;
            w.pack::<N>(isa, outer.clone(), inner, &mut packed[tap * size..]);
        }
        assert!(packed.len() >= 9 * size && panel.len() == A * A * size);
        // SAFETY: the lengths were asserted.
        unsafe { weights::<S, A, M>(isa, packed, size, panel) };
    });
}

/// # Safety
///
/// `from` is nine times `size` long, a multiple of every vector, and `to` `A * A` times.
#[inline(always)]
unsafe fn weights_of<V: Lanes, S: Scheme<A, M>, const A: usize, const M: usize>(
    from: &[f32],
    size: usize,
    to: &mut [f32],
) {
    for at in (0..size).step_by(V::COUNT) {
        let mut taps = [[V::zero(); 3]; 3];
        for (tap, value) in taps.as_flattened_mut().iter_mut().enumerate() {
            // SAFETY: below nine times `size`.
            *value = unsafe { V::load(from.as_ptr().add(tap * size + at)) };
        }
        let done = both!(V, 3, A, taps, S::weight);
        for (element, value) in done.as_flattened().iter().enumerate() {
            // SAFETY: below `A * A` times `size`.
            unsafe { value.store(to.as_mut_ptr().add(element * size + at)) };
        }
    }
}

laned! {
    /// # Safety
    ///
    /// As [`weights_of`].
    unsafe fn weights[S: Scheme<A, M>, const A: usize, const M: usize][S, A, M](from: &[f32], size: usize, to: &mut [f32]) = weights_of
}

/// What all tasks share.
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
    fn transform<S: Scheme<A, M>, const A: usize, const M: usize>(
        &self,
        isa: Isa,
        tile: usize,
        before: Places,
        block: usize,
    ) {
        let inputs = self.plan.from.channels;
        let stride = inputs + SKEW;
        let size = self.tiles * stride;
        let place = block + tile % self.tiles * stride;
        let pixels = self.plan.inputs::<A, E>(self.x, tile);
        let next = self.plan.inputs::<A, E>(self.x, (tile + 1).min(self.plan.tiles - 1));
        let spread = Spread { apart: size, width: inputs, panel: 0 };
        let to = before.at(place, (A * A - 1) * size + inputs);
        // SAFETY: each pixel has `inputs` floats, and each element of the tile's has a row of as
        // many, which no other tile has, checked to be inside.
        unsafe { inputs_to::<S, A, M, E>(isa, &pixels, &next, inputs, to, spread) };
    }

    /// The products of a block of transformed tiles, of which `first` is the first, for some columns
    /// of the result.
    fn multiply<const R: usize, const N: usize, S: Scheme<A, M>, const A: usize, const M: usize>(
        &self,
        isa: Isa,
        first: usize,
        columns: Range<usize>,
        before: &[f32],
    ) {
        let inputs = self.plan.from.channels;
        let count = self.tiles.min(self.plan.tiles - first);
        let (stride, out_stride) = (inputs + SKEW, columns.len() + SKEW);
        let (size, out_size) = (self.tiles * stride, self.tiles * out_stride);
        let rows: Vec<usize> = (0..count).map(|tile| tile * out_stride).collect();
        scratch::with(Slot::Tiles, A * A * out_size, |after| {
            for element in 0..A * A {
                for column in columns.clone().step_by(N) {
                    let panel = (column / N * A * A + element) * inputs * N;
                    let block = Block {
                        isa,
                        depth: inputs,
                        left: Panels::WholeRows { data: &before[element * size..], stride },
                        right: &self.weights[panel..][..inputs * N],
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
                let (tile, columns) = (first + tile, columns.clone());
                // SAFETY: each element of the tile's has a row of these columns from here on, and no
                // one else writes them.
                unsafe {
                    outputs_from::<S, A, M, E>(
                        isa, self.plan, tile, columns, from, out_size, &self.y,
                    )
                };
            }
        });
        if self.y.places.streams() {
            stream::fence();
        }
    }
}

/// Where transformed tiles go: elements are `apart`, and of each, `width` channels are together,
/// the next `panel` further on.
#[derive(Clone, Copy)]
struct Spread {
    apart: usize,
    width: usize,
    panel: usize,
}

/// # Safety
///
/// Each of `pixels` is valid for reading `channels` floats, a multiple of every vector and of it
/// within `spread.width`; `to` is valid for writing the places of `spread`.
#[inline(always)]
unsafe fn inputs_of<V: Lanes, S: Scheme<A, M>, const A: usize, const M: usize, E: Element>(
    pixels: &[[*const E; A]; A],
    next: &[[*const E; A]; A],
    channels: usize,
    to: *mut f32,
    spread: Spread,
) {
    for (panel, first) in (0..channels).step_by(spread.width).enumerate() {
        let last = (first + spread.width).min(channels);
        for channel in (first..last).step_by(V::COUNT) {
            // The first two columns of the next tile are the last two of this one.
            for row in next {
                for pixel in &row[2..] {
                    prefetch(pixel.wrapping_add(channel));
                }
            }
            let mut tile = [[V::zero(); A]; A];
            for row in 0..A {
                for column in 0..A {
                    // SAFETY: below `channels`.
                    tile[row][column] = unsafe { E::load::<V>(pixels[row][column].add(channel)) };
                }
            }
            let done = both!(V, A, A, tile, S::input);
            let place = panel * spread.panel + channel - first;
            for (element, value) in done.as_flattened().iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { value.store(to.add(element * spread.apart + place)) };
            }
        }
    }
}

laned! {
    /// # Safety
    ///
    /// As [`inputs_of`].
    unsafe fn inputs_to[S: Scheme<A, M>, const A: usize, const M: usize, E: Element][S, A, M, E](
        pixels: &[[*const E; A]; A],
        next: &[[*const E; A]; A],
        channels: usize,
        to: *mut f32,
        spread: Spread,
    ) = inputs_of
}

/// Transforms a tile back and writes what is inside of the image.
///
/// # Safety
///
/// `from` is valid for reading `columns`, some channels of `plan.to`, for each element, `apart` from the
/// last; no one else writes them in this tile of `y`.
#[inline(always)]
unsafe fn outputs_of<V: Lanes, S: Scheme<A, M>, const A: usize, const M: usize, E: Element>(
    plan: &Plan,
    tile: usize,
    columns: Range<usize>,
    from: *const f32,
    apart: usize,
    y: &Target<'_, E>,
) {
    let Extent { h, w, channels } = plan.to;
    let [image, top, left] = plan.place(tile, M);
    let (tall, long) = (M.min(h - top), M.min(w - left));
    let streams = y.places.streams();
    let mut places = [[std::ptr::null_mut(); M]; M];
    for (i, row) in places.iter_mut().enumerate().take(tall) {
        let start = ((image * h + top + i) * w + left) * channels;
        let line = y.places.at(start, long * channels);
        for (j, place) in row.iter_mut().enumerate().take(long) {
            *place = line.wrapping_add(j * channels);
        }
    }
    for channel in columns.clone().step_by(V::COUNT) {
        let mut elements = [[V::zero(); A]; A];
        for (element, value) in elements.as_flattened_mut().iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *value = unsafe { V::load(from.add(element * apart + channel - columns.start)) };
        }
        let done = both!(V, A, M, elements, S::output);
        for row in 0..tall {
            for column in 0..long {
                // SAFETY: checked to be inside of `y`, and this tile's, the caller's promise;
                // aligned if `y` is, because channels come in whole vectors.
                unsafe {
                    let place = places[row][column].add(channel);
                    let mut value = done[row][column];
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
}

laned! {
    /// # Safety
    ///
    /// As [`outputs_of`].
    unsafe fn outputs_from[S: Scheme<A, M>, const A: usize, const M: usize, E: Element][S, A, M, E](
        plan: &Plan,
        tile: usize,
        columns: Range<usize>,
        from: *const f32,
        apart: usize,
        y: &Target<'_, E>,
    ) = outputs_of
}

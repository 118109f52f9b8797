//! §2.1 step 2 and validation: "resize …" by bilinear or bicubic interpolation, antialiased when shrinking.
//!
//! The same bits as Pillow on 8-bit images. Along an axis from m to n samples, scale s = max(m/n, 1), output x
//! has its centre at c = (x + ½) m/n and weighs input t by f(|t + ½ − c|/s), normalised to sum 1 and rounded to 22
//! fractional bits. Bilinear: f(d) = 1 − d up to 1. Bicubic (Keys, a = −½): f(d) = (a + 2) d³ − (a + 3) d² + 1 up to 1,
//! and a (d³ − 5 d² + 8 d − 4) up to 2. Along the rows first, rounded to 8 bits, then along the columns; the other
//! way round when the height loses more than twice as many pixels as the width, as Pillow does from version 13 on. An
//! axis that keeps its length is left alone.

use recipe::Interpolation;

use crate::image::{Cut, RgbImage};

/// Fractional bits of a weight: 8 bits of pixel and 2 of headroom fill 32.
const FRACTION: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (FRACTION - 1);

/// A rectangle of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Region {
    /// All of an image.
    pub fn whole(image: &RgbImage) -> Region {
        Region { left: 0, top: 0, width: image.width, height: image.height }
    }
}

/// Resizes a whole image, bilinearly.
pub fn resize(image: &RgbImage, width: usize, height: usize) -> RgbImage {
    resize_region(image, Region::whole(image), [width, height], Interpolation::Bilinear)
}

/// Width and height in proportion when the shorter edge becomes `side`: the longer one ⌊side · long/short⌋, as in
/// torchvision.
pub(crate) fn to_shorter(width: usize, height: usize, side: usize) -> [usize; 2] {
    let longer = ((side * width.max(height)) as f64 / width.min(height) as f64) as usize;
    if width <= height { [side, longer] } else { [longer, side] }
}

/// Cuts a region out of an image and resizes it to a width and height: no pixel outside the region bleeds in.
pub fn resize_region(
    image: &RgbImage,
    region: Region,
    size: [usize; 2],
    interpolation: Interpolation,
) -> RgbImage {
    let [width, height] = size;
    let window = Region { left: 0, top: 0, width, height };
    let geometry = Geometry { region, size, window, mirrored: false };
    let mut pixels = Vec::new();
    Resizer::default().run(image.into(), &geometry, interpolation, &mut pixels);
    RgbImage { width, height, pixels }
}

/// How an image becomes a sample: which pixels are resized to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The part that is cut out of the image.
    pub region: Region,
    /// Width and height that the region is resized to.
    pub size: [usize; 2],
    /// The part of the resized region that is the sample.
    pub window: Region,
    /// Whether the window is flipped left to right.
    pub mirrored: bool,
}

impl Geometry {
    /// The part of the image on which the window depends.
    pub(crate) fn needed(&self, interpolation: Interpolation) -> Region {
        let Geometry { region, size, window, .. } = self;
        let reach = |input: usize, output: usize, first: usize, count: usize| {
            let filter = Filter::new(input, output, interpolation);
            let (from, _) = filter.span(first);
            (from, filter.span(first + count - 1).1 - from)
        };
        let (left, width) = reach(region.width, size[0], window.left, window.width);
        let (top, height) = reach(region.height, size[1], window.top, window.height);
        Region { left: region.left + left, top: region.top + top, width, height }
    }
}

/// Pixels of a region of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    region: Region,
    pixels: &'a [u8],
}

impl<'a> From<&'a RgbImage> for View<'a> {
    fn from(image: &'a RgbImage) -> View<'a> {
        View { region: Region::whole(image), pixels: &image.pixels }
    }
}

impl<'a> From<&'a Cut> for View<'a> {
    fn from(cut: &'a Cut) -> View<'a> {
        View { region: cut.region, pixels: &cut.pixels }
    }
}

/// Resizes, keeping the memory of weights and of the rows between the two passes.
#[derive(Debug, Default)]
pub(crate) struct Resizer {
    horizontal: Axis,
    vertical: Axis,
    rows: Vec<u8>,
    strip: Vec<[u8; LANES]>,
}

impl Resizer {
    /// Writes the window of the geometry to `out`.
    pub(crate) fn run(
        &mut self,
        image: View,
        geometry: &Geometry,
        interpolation: Interpolation,
        out: &mut Vec<u8>,
    ) {
        let Geometry { region, size, window, mirrored } = *geometry;
        let (held, needed) = (image.region, geometry.needed(interpolation));
        assert!(
            needed.left >= held.left
                && needed.top >= held.top
                && needed.left + needed.width <= held.left + held.width
                && needed.top + needed.height <= held.top + held.height,
            "{region:?} needs {needed:?} of the image, which is not within {held:?}"
        );
        assert!(
            window.left + window.width <= size[0] && window.top + window.height <= size[1],
            "{window:?} leaves the result of {size:?}"
        );
        let filter = |input, output| Filter::new(input, output, interpolation);
        self.horizontal.prepare(filter(region.width, size[0]), window.left, window.width);
        self.vertical.prepare(filter(region.height, size[1]), window.top, window.height);
        let stride = held.width * 3;
        let first = (needed.top - held.top) * stride + (needed.left - held.left) * 3;
        let source = Source { pixels: &image.pixels[first..], stride, rows: needed.height };
        let loss = |before: usize, after: usize| before as i64 - after as i64;
        let (width_loss, height_loss) = (loss(region.width, size[0]), loss(region.height, size[1]));
        let columns_first = height_loss > 0 && height_loss > 2 * width_loss;
        let Resizer { horizontal, vertical, rows, strip } = self;
        let axes = (&*horizontal, &*vertical);
        // Compiled for every instruction set that pulp knows; in whole numbers, so with the same bits on each.
        pulp::Arch::new().dispatch(Passes {
            source,
            axes,
            columns_first,
            mirrored,
            strip,
            rows,
            out,
        });
    }
}

/// The two passes over a region.
struct Passes<'a> {
    source: Source<'a>,
    /// Horizontal and vertical.
    axes: (&'a Axis, &'a Axis),
    columns_first: bool,
    mirrored: bool,
    strip: &'a mut Vec<[u8; LANES]>,
    rows: &'a mut Vec<u8>,
    out: &'a mut Vec<u8>,
}

impl pulp::NullaryFnOnce for Passes<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Passes { source, axes: (horizontal, vertical), mirrored, strip, rows, out, .. } = self;
        if vertical.keeps {
            horizontal.along_rows(&source, mirrored, strip, out);
        } else if self.columns_first {
            let stride = horizontal.reach().len() * 3;
            vertical.along_columns(&source, stride, rows);
            let shortened = Source { pixels: rows, stride, rows: vertical.spans.len() };
            horizontal.along_rows(&shortened, mirrored, strip, out);
        } else {
            let stride = horizontal.spans.len() * 3;
            horizontal.along_rows(&source, mirrored, strip, rows);
            let narrowed = Source { pixels: rows, stride, rows: source.rows };
            vertical.along_columns(&narrowed, stride, out);
        }
    }
}

/// The pixels a pass reads: rows from the first one needed, each from the first column needed.
struct Source<'a> {
    pixels: &'a [u8],
    stride: usize,
    rows: usize,
}

/// Rows that the horizontal pass takes side by side.
const STRIP: usize = 16;
/// Sums that stay in registers.
const LANES: usize = STRIP * 3;

/// Weights along one axis, for a window of the outputs.
#[derive(Debug, Default)]
struct Axis {
    /// The filter, the first output and the number of outputs that the weights are for.
    key: Option<(Filter, usize, usize)>,
    /// Input and output have the same length: a copy.
    keeps: bool,
    /// First input and number of inputs of each output.
    spans: Vec<(usize, usize)>,
    /// Room for `room` weights for each output.
    weights: Vec<i32>,
    room: usize,
    exact: Vec<f64>,
}

/// The weights of an axis, before they are normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Filter {
    input: usize,
    output: usize,
    interpolation: Interpolation,
    /// Inputs for each output.
    step: f64,
    /// The factor by which the weights are spread out, at least 1.
    scale: f64,
    /// The distance from which on weights are zero, in inputs.
    support: f64,
}

impl Filter {
    fn new(input: usize, output: usize, interpolation: Interpolation) -> Filter {
        let step = input as f64 / output as f64;
        let scale = step.max(1.0);
        let radius = match interpolation {
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        };
        Filter { input, output, interpolation, step, scale, support: radius * scale }
    }

    /// Input and output have the same length: a copy.
    fn keeps(&self) -> bool {
        self.input == self.output
    }

    /// The centre of output `x`, in inputs.
    fn center(&self, x: usize) -> f64 {
        (x as f64 + 0.5) * self.step
    }

    /// First input of output `x`, and one past its last.
    fn span(&self, x: usize) -> (usize, usize) {
        if self.keeps() {
            return (x, x + 1);
        }
        let center = self.center(x);
        let start = (center - self.support + 0.5).max(0.0) as usize;
        (start, ((center + self.support + 0.5) as usize).min(self.input))
    }

    /// The weights of output `x`, one for each input of its span.
    fn weights(&self, x: usize, into: &mut Vec<f64>) {
        let (center, inverse) = (self.center(x), 1.0 / self.scale);
        let (start, end) = self.span(x);
        into.clear();
        into.extend((start..end).map(|tap| {
            let distance = ((tap as f64 - center + 0.5) * inverse).abs();
            match self.interpolation {
                Interpolation::Bilinear => (1.0 - distance).max(0.0),
                Interpolation::Bicubic => bicubic(distance),
            }
        }));
    }
}

/// Keys' cubic with a = −½ at a distance, in the order of operations of Pillow.
fn bicubic(d: f64) -> f64 {
    const A: f64 = -0.5;
    match d {
        ..1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
        1.0..2.0 => (((d - 5.0) * d + 8.0) * d - 4.0) * A,
        _ => 0.0,
    }
}

impl Axis {
    /// Makes the weights of `count` outputs from `first` on, unless they are there already.
    fn prepare(&mut self, filter: Filter, first: usize, count: usize) {
        let key = Some((filter, first, count));
        if self.key == key {
            return;
        }
        self.key = key;
        self.keeps = filter.keeps();
        self.spans.clear();
        if self.keeps {
            self.spans.extend((first..first + count).map(|x| (x, 1)));
            return;
        }
        self.room = filter.support.ceil() as usize * 2 + 1;
        self.weights.clear();
        self.weights.resize(count * self.room, 0);
        for (x, weights) in (first..first + count).zip(self.weights.chunks_exact_mut(self.room)) {
            let (start, end) = filter.span(x);
            filter.weights(x, &mut self.exact);
            let sum: f64 = self.exact.iter().sum();
            for (weight, exact) in weights.iter_mut().zip(&self.exact) {
                let exact = exact / sum * f64::from(1 << FRACTION);
                // Half away from zero.
                *weight = (exact + 0.5_f64.copysign(exact)) as i32;
            }
            self.spans.push((start, end - start));
        }
    }

    /// The inputs that the window's outputs read.
    fn reach(&self) -> std::ops::Range<usize> {
        match (self.spans.first(), self.spans.last()) {
            (Some(&(first, _)), Some(&(last, count))) => first..last + count,
            _ => 0..0,
        }
    }

    /// The horizontal pass where the width stays.
    #[inline(always)]
    fn copy_rows(&self, source: &Source, mirrored: bool, out: &mut [u8]) {
        let width = self.spans.len() * 3;
        for (y, to) in out.chunks_exact_mut(width).enumerate() {
            let from = &source.pixels[y * source.stride..][..width];
            if mirrored {
                let pixels = to.chunks_exact_mut(3).zip(from.chunks_exact(3).rev());
                pixels.for_each(|(to, from)| to.copy_from_slice(from));
            } else {
                to.copy_from_slice(from);
            }
        }
    }

    /// The horizontal pass. A pixel's weights are the same in every row, so a strip of rows is turned on its side: the pixels
    /// of all its rows that a weight multiplies are then a run of bytes.
    #[inline(always)]
    fn along_rows(
        &self,
        source: &Source,
        mirrored: bool,
        strip: &mut Vec<[u8; LANES]>,
        out: &mut Vec<u8>,
    ) {
        let outputs = self.spans.len();
        out.resize(source.rows * outputs * 3, 0);
        if out.is_empty() {
            return;
        }
        if self.keeps {
            return self.copy_rows(source, mirrored, out);
        }
        let reach = self.reach();
        strip.resize(reach.len(), [0; LANES]);
        let (out, _) = out.as_chunks_mut::<3>();
        for (block, to) in out.chunks_mut(STRIP * outputs).enumerate() {
            for row in 0..to.len() / outputs {
                let from = (block * STRIP + row) * source.stride;
                let (from, _) = source.pixels[from..][..reach.len() * 3].as_chunks::<3>();
                for (lanes, pixel) in strip.iter_mut().zip(from) {
                    lanes.as_chunks_mut::<3>().0[row] = *pixel;
                }
            }
            let weights = self.weights.chunks_exact(self.room);
            for (x, (&(start, count), weights)) in self.spans.iter().zip(weights).enumerate() {
                let taps = &strip[start - reach.start..][..count];
                let values = weigh(&weights[..count], |k| &taps[k]);
                let x = if mirrored { outputs - 1 - x } else { x };
                for (row, pixel) in to.chunks_exact_mut(outputs).zip(values.as_chunks::<3>().0) {
                    row[x] = *pixel;
                }
            }
        }
    }

    /// The vertical pass, over `width` bytes of each row.
    #[inline(always)]
    fn along_columns(&self, source: &Source, width: usize, out: &mut Vec<u8>) {
        out.resize(self.spans.len() * width, 0);
        if width == 0 {
            return;
        }
        let first = self.reach().start;
        let weights = self.weights.chunks_exact(self.room);
        for ((to, &(start, count)), weights) in
            out.chunks_exact_mut(width).zip(&self.spans).zip(weights)
        {
            let row = |k: usize| &source.pixels[(start - first + k) * source.stride..][..width];
            let (lanes, rest) = to.as_chunks_mut::<LANES>();
            let left = lanes.len() * LANES;
            for (block, to) in lanes.iter_mut().enumerate() {
                *to = weigh(&weights[..count], |k| &row(k).as_chunks::<LANES>().0[block]);
            }
            for (x, to) in (left..).zip(rest) {
                let taps = weights[..count].iter().enumerate();
                let sum: i32 = taps.map(|(k, weight)| weight * i32::from(row(k)[x])).sum();
                *to = round(HALF + sum);
            }
        }
    }
}

/// The weighted sum of runs of bytes, of which `tap(k)` goes with weight k.
#[inline(always)]
fn weigh<'a>(weights: &[i32], tap: impl Fn(usize) -> &'a [u8; LANES]) -> [u8; LANES] {
    let mut sums = [HALF; LANES];
    // Four at a time, so that the sums seldom leave the registers.
    let (fours, rest) = weights.as_chunks::<4>();
    for (k, four) in fours.iter().enumerate() {
        add(&mut sums, *four, [0, 1, 2, 3].map(|at| tap(k * 4 + at)));
    }
    let done = fours.len() * 4;
    match *rest {
        [a, b, c] => add(&mut sums, [a, b, c], [0, 1, 2].map(|at| tap(done + at))),
        [a, b] => add(&mut sums, [a, b], [0, 1].map(|at| tap(done + at))),
        [a] => add(&mut sums, [a], [tap(done)]),
        _ => {}
    }
    let mut rounded = [0; LANES];
    for (to, &sum) in rounded.iter_mut().zip(&sums) {
        *to = round(sum);
    }
    rounded
}

#[inline(always)]
fn add<const N: usize>(sums: &mut [i32; LANES], weights: [i32; N], taps: [&[u8; LANES]; N]) {
    for (lane, sum) in sums.iter_mut().enumerate() {
        for (weight, values) in weights.iter().zip(taps) {
            *sum += weight * i32::from(values[lane]);
        }
    }
}

/// From fixed point to 8 bits; weights below 0 can overstep both ends.
#[inline(always)]
fn round(sum: i32) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}

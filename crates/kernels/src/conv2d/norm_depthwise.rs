//! A batch norm, its activation and the depthwise convolution behind them, in one pass: the rows that a
//! row of the result reads are normalised into a small ring just before, and never written to memory.
//!
//! The backward pass goes through the image once for the gradient behind the activation, the sums that
//! the gradients of the batch norm need of it, and the gradient of the weights, one row at a time, while
//! all three are in a cache. Once the sums are known, a second pass turns it into the gradient of `x`, in
//! place.

use super::{Conv2d, depthwise};
use crate::batch_norm::{
    Activation, BatchNorm, GammaBeta, MERGED, MeanVariance, Moments, fold, merge_sums, moments_of,
    normalise_chunk, shares, spread_factors,
};
use crate::check;
use crate::finish::floor;
use crate::isa::{Isa, vectorised};
use crate::output::Output;
use crate::parallel;
use crate::scratch::{self, Slot};
use crate::stream;
use depthwise::{Place, Side};

/// The least number of tasks, if the image has as many rows.
const TASKS: usize = 32;
/// The least rows of a band: at its edges, rows are normalised twice.
const BAND: usize = 4;

/// The dims of both: `convolution` is depthwise, and the batch norm is over its input's channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormDepthwise {
    pub convolution: Conv2d,
    pub epsilon: f32,
    pub activation: Activation,
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormDepthwiseSaved<'a> {
    pub x: &'a [f32],
    pub affine: GammaBeta<'a>,
    pub statistics: MeanVariance<'a>,
    pub w: &'a [f32],
}

/// Where the gradients go. Each is as long as the values it belongs to.
#[derive(Debug)]
pub struct NormDepthwiseGradients<'a> {
    pub dx: Output<'a, f32>,
    pub dgamma: &'a mut [f32],
    pub dbeta: &'a mut [f32],
    pub dw: &'a mut [f32],
}

/// How an image batch is cut into tasks: groups of whole images, or bands of one.
struct Cuts {
    images: usize,
    bands: usize,
}

impl NormDepthwise {
    /// The batch norm over `x`.
    pub fn norm(&self) -> BatchNorm {
        let Conv2d { n, h, w, c_in: channels, .. } = self.convolution;
        let Self { epsilon, activation, .. } = *self;
        BatchNorm { rows: n * h * w, channels, epsilon, activation }
    }

    fn cuts(&self, rows: usize) -> Cuts {
        let images = self.convolution.n.div_ceil(TASKS).max(1);
        let bands = if images > 1 { 1 } else { TASKS.div_ceil(self.convolution.n.max(1)) };
        Cuts { images, bands: bands.min(rows.div_ceil(BAND)).max(1) }
    }

    /// Rows of the input that a row of the result reads.
    fn reach(&self) -> usize {
        self.convolution.dilation[0] * (self.convolution.kernel[0] - 1) + 1
    }

    #[track_caller]
    fn check<const N: usize>(
        &self,
        operation: &str,
        [x, w, y]: [usize; 3],
        parameters: [(&str, usize); N],
    ) {
        let d = &self.convolution;
        assert!(d.is_depthwise(), "{operation}: not a depthwise convolution: {d:?}");
        d.check(operation, x, w, y);
        for (name, found) in parameters {
            check::length(operation, name, found, d.c_in);
        }
    }
}

/// `y = depthwise(act(γ (x − μ) / √(σ² + ε) + β), w)` by the statistics of the batch, which are
/// written to `moments`.
#[track_caller]
pub fn norm_depthwise<'a>(
    d: &NormDepthwise,
    x: &[f32],
    affine: GammaBeta<'_>,
    w: &[f32],
    y: impl Into<Output<'a, f32>>,
    moments: Moments<'_>,
) {
    let y = &mut *y.into().writer();
    let Moments { mean, variance } = moments;
    let parameters = [
        ("gamma", affine.gamma.len()),
        ("beta", affine.beta.len()),
        ("mean", mean.len()),
        ("variance", variance.len()),
    ];
    d.check("norm_depthwise", [x.len(), w.len(), y.len()], parameters);
    let isa = Isa::current();
    let norm = d.norm();
    moments_of(isa, &norm, x, mean, variance);
    if y.is_empty() {
        return;
    }
    let conv = &d.convolution;
    let side = Side::of_input(conv, x);
    let [height, row] = [conv.out_h(), conv.out_w() * conv.c_out];
    let cuts = d.cuts(height);
    let rows = height.div_ceil(cuts.bands);
    let streams = depthwise::streams(conv.c_out, y);
    scratch::with(Slot::Shared, 3 * norm.width(), |wide| {
        let factors = spread_factors(&norm, affine, MeanVariance { mean, variance }, wide);
        depthwise::turned(conv, w, |turned| {
            let weights = turned.split_at(w.len()).into();
            let place = Place { start: 0, finish: None, streams };
            let fill = |image: usize, first: usize, y: &mut [f32]| {
                Ring::of(isa, d, factors, |ring| {
                    for (at, y) in (first..).zip(y.chunks_exact_mut(row)) {
                        ring.advance(&side, image, at);
                        side.row(isa, at, |line| ring.line(line), weights, &place, y);
                    }
                });
            };
            parallel::chunks(y, cuts.images * height * row, |group, y| {
                let band = if cuts.images == 1 { rows * row } else { y.len() };
                parallel::chunks(y, band, |band, y| {
                    for (image, y) in (group * cuts.images..).zip(y.chunks_mut(rows * row)) {
                        fill(image, band * rows, y);
                    }
                    if streams {
                        stream::fence();
                    }
                });
            });
        });
    });
}

/// The rows of an image that are normalised at the moment.
struct Ring<'a> {
    isa: Isa,
    factors: [&'a [f32]; 3],
    floor: f32,
    /// Rows that a row of the result reads, rows there is room for, and their length.
    reach: usize,
    room: usize,
    length: usize,
    /// How far on the next row of the result reads.
    step: usize,
    padding: usize,
    /// The first row of the image that is not there yet.
    next: usize,
    rows: &'a mut [f32],
}

impl Ring<'_> {
    /// Calls `body` with an empty one.
    fn of(isa: Isa, d: &NormDepthwise, factors: [&[f32]; 3], body: impl FnOnce(&mut Ring<'_>)) {
        let conv = &d.convolution;
        let (reach, length) = (d.reach(), conv.w * conv.c_in);
        let room = reach.min(conv.h);
        scratch::with(Slot::Left, room * length, |rows| {
            body(&mut Ring {
                isa,
                factors,
                floor: floor(d.activation),
                reach,
                room,
                length,
                step: conv.stride[0],
                padding: conv.padding[0],
                next: 0,
                rows,
            });
        });
    }

    /// Normalises what row `y` of the result reads and is not there.
    fn advance(&mut self, side: &Side<'_, f32>, image: usize, y: usize) {
        let first = (y * self.step).saturating_sub(self.padding);
        let end = (y * self.step + self.reach).saturating_sub(self.padding);
        self.next = self.next.max(first);
        while self.next < end.min(side.lines()) {
            let place = self.next % self.room * self.length;
            let (row, x) = (&mut self.rows[place..][..self.length], side.line(image, self.next));
            normalise_chunk(self.isa, x, self.factors, None, self.floor, row);
            self.next += 1;
        }
    }

    fn line(&self, line: usize) -> &[f32] {
        debug_assert!(line < self.next && line + self.room >= self.next);
        &self.rows[line % self.room * self.length..][..self.length]
    }
}

/// The gradients of [`norm_depthwise`].
#[track_caller]
pub fn norm_depthwise_backward(
    d: &NormDepthwise,
    saved: NormDepthwiseSaved<'_>,
    dy: &[f32],
    gradients: NormDepthwiseGradients<'_>,
) {
    let NormDepthwiseSaved { x, affine, statistics, w } = saved;
    let NormDepthwiseGradients { dx, dgamma, dbeta, dw } = gradients;
    let dx = &mut *dx.writer();
    let parameters = [
        ("gamma", affine.gamma.len()),
        ("beta", affine.beta.len()),
        ("mean", statistics.mean.len()),
        ("variance", statistics.variance.len()),
        ("dgamma", dgamma.len()),
        ("dbeta", dbeta.len()),
    ];
    d.check("norm_depthwise_backward", [x.len(), w.len(), dy.len()], parameters);
    check::length("norm_depthwise_backward", "dx", dx.len(), x.len());
    check::length("norm_depthwise_backward", "dw", dw.len(), w.len());
    let isa = Isa::current();
    let norm = d.norm();
    let width = norm.width();
    if x.is_empty() {
        dgamma.fill(0.0);
        dbeta.fill(0.0);
        dw.fill(0.0);
        return;
    }
    scratch::with(Slot::Shared, 5 * width, |wide| {
        let (forward, backward) = wide.split_at_mut(3 * width);
        let factors = spread_factors(&norm, affine, statistics, forward);
        first_pass(isa, d, [x, dy, w], factors, [&mut *dx, dgamma, dbeta, dw]);
        let [shifts, slopes] = shares(&norm, affine, statistics, true, (dgamma, dbeta), backward);
        let factors = [factors[0], factors[1], shifts, slopes];
        parallel::chunks(dx, norm.chunk::<f32>(), |index, dx| {
            settle_chunk(isa, &x[index * norm.chunk::<f32>()..][..dx.len()], factors, dx);
        });
    });
}

/// Into `dx` the gradient behind the activation, its sums into `products` and `sums`, and `dw`.
fn first_pass(
    isa: Isa,
    d: &NormDepthwise,
    [x, dy, w]: [&[f32]; 3],
    factors: [&[f32]; 3],
    [dx, products, sums, dw]: [&mut [f32]; 4],
) {
    let (conv, norm) = (&d.convolution, d.norm());
    let cuts = d.cuts(conv.h);
    let rows = conv.h.div_ceil(cuts.bands);
    let bands = conv.h.div_ceil(rows);
    let (image, pair) = (conv.h * conv.w * conv.c_in, 2 * conv.c_in);
    let tasks = conv.n.div_ceil(cuts.images) * bands;
    scratch::with(Slot::Partials, tasks * pair, |partials| {
        scratch::with(Slot::SharedTiles, (tasks + 1) * dw.len(), |turned| {
            let (turned, partial_weights) = turned.split_at_mut(dw.len());
            depthwise::turned(conv, w, |weights| {
                let passage = Passage {
                    isa,
                    d,
                    factors,
                    input: Side::of_input(conv, x),
                    output: Side::of_output(conv, dy),
                    weights: weights.split_at(w.len()).into(),
                    rows,
                    bands,
                };
                let groups = (&mut *dx, cuts.images * image);
                let (partials, weights) =
                    ((&mut *partials, bands * pair), (&mut *partial_weights, bands * dw.len()));
                parallel::chunks3(groups, partials, weights, |group, dx, partials, weights| {
                    let band = if bands == 1 { dx.len() } else { rows * conv.w * conv.c_in };
                    let (partials, weights) = ((partials, pair), (weights, w.len()));
                    parallel::chunks3((dx, band), partials, weights, |band, dx, sums, dw| {
                        passage.run([group * cuts.images, band], dx, sums, dw);
                    });
                });
            });
            parallel::sum_in_order(partial_weights, turned);
            depthwise::transpose(turned, conv.kernel[0] * conv.kernel[1], dw);
        });
        let partials = &*partials;
        parallel::chunks2((products, MERGED), (sums, MERGED), |index, products, sums| {
            merge_sums(&norm, partials, index * MERGED, products, sums);
        });
    });
}

/// What the tasks of [`first_pass`] share.
struct Passage<'a> {
    isa: Isa,
    d: &'a NormDepthwise,
    factors: [&'a [f32]; 3],
    input: Side<'a, f32>,
    output: Side<'a, f32>,
    /// And the zeros of a pixel outside.
    weights: [&'a [f32]; 2],
    /// Rows of a band of the input, and bands of an image.
    rows: usize,
    bands: usize,
}

impl Passage<'_> {
    /// One band of each image from `first` on: its part of `dx`, its sums and its part of the weights'
    /// gradient.
    fn run(&self, [first, band]: [usize; 2], dx: &mut [f32], sums: &mut [f32], dw: &mut [f32]) {
        let conv = &self.d.convolution;
        let width = self.factors[0].len();
        let row = conv.w * conv.c_in;
        let out_rows = conv.out_h().div_ceil(self.bands);
        let outputs = band * out_rows..((band + 1) * out_rows).min(conv.out_h());
        dw.fill(0.0);
        scratch::with(Slot::Right, 2 * width + row, |space| {
            let (space, g) = space.split_at_mut(2 * width);
            space.fill(0.0);
            for (image, dx) in (first..).zip(dx.chunks_mut(self.rows * row)) {
                Ring::of(self.isa, self.d, self.factors, |ring| {
                    let mut outputs = outputs.clone();
                    for (at, dx) in (band * self.rows..).zip(dx.chunks_exact_mut(row)) {
                        while outputs.start < outputs.end && outputs.start * conv.stride[0] <= at {
                            self.add(ring, image, outputs.start, dw);
                            outputs.start += 1;
                        }
                        self.gradient([image, at], g, dx, space);
                    }
                    for at in outputs {
                        self.add(ring, image, at, dw);
                    }
                });
            }
            let (product, sum) = sums.split_at_mut(conv.c_in);
            fold(&space[..width], product);
            fold(&space[width..], sum);
        });
    }

    /// What one row of the output gives to the weights.
    fn add(&self, ring: &mut Ring<'_>, image: usize, at: usize, dw: &mut [f32]) {
        ring.advance(&self.input, image, at);
        let dy = self.output.line(image, at);
        self.input.add(self.isa, at, |line| ring.line(line), self.weights[1], dy, dw);
    }

    /// One row of the gradient behind the activation, and its sums.
    fn gradient(&self, [image, at]: [usize; 2], g: &mut [f32], dx: &mut [f32], space: &mut [f32]) {
        let place = Place { start: 0, finish: None, streams: false };
        let line = |line| self.output.line(image, line);
        self.output.row(self.isa, at, line, self.weights, &place, g);
        let (isa, x, factors) = (self.isa, self.input.line(image, at), self.factors);
        match self.d.activation {
            Activation::Identity => mask_and_sum::<false>(isa, x, g, factors, dx, space),
            Activation::Relu => mask_and_sum::<true>(isa, x, g, factors, dx, space),
        }
    }
}

vectorised! {
    /// What ReLU let through of `g`, and Σ g (x − μ) and Σ g of that, added to `space`. Not in place:
    /// that would become a masked store, which is slow on AMD's machines.
    fn mask_and_sum<const RELU: bool>(
        x: &[f32],
        g: &[f32],
        factors: [&[f32]; 3],
        through: &mut [f32],
        space: &mut [f32],
    ) {
        let width = factors[0].len();
        let (products, sums) = space.split_at_mut(width);
        for (row, through) in through.chunks_mut(width).enumerate() {
            let at = row * width;
            let length = through.len();
            let [means, scales, betas] = factors.map(|factor| &factor[..length]);
            let (x, g) = (&x[at..][..length], &g[at..][..length]);
            let (products, sums) = (&mut products[..length], &mut sums[..length]);
            for k in 0..length {
                let (x, value) = (x[k] - means[k], g[k]);
                let open = !RELU || x * scales[k] + betas[k] > 0.0;
                let value = if open { value } else { 0.0 };
                through[k] = value;
                products[k] += value * x;
                sums[k] += value;
            }
        }
    }
}

vectorised! {
    /// dx = γ/σ g − shift − (x − μ) slope, in the place of g; `factors` are the means, scales, shifts
    /// and slopes, a width of each.
    fn settle_chunk(x: &[f32], factors: [&[f32]; 4], dx: &mut [f32]) {
        let width = factors[0].len();
        for (x, dx) in x.chunks(width).zip(dx.chunks_mut(width)) {
            let length = x.len();
            let [means, scales, shifts, slopes] = factors.map(|factor| &factor[..length]);
            let dx = &mut dx[..length];
            for k in 0..length {
                dx[k] = dx[k] * scales[k] - shifts[k] - (x[k] - means[k]) * slopes[k];
            }
        }
    }
}

//! Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167, algorithms 1 and 2):
//! y = act(γ (x − μ) / √(σ² + ε) + β [+ residual]), fused with the ReLU and the residual sum that
//! follow it.
//!
//! σ² is the biased variance. It is summed in chunks of rows, and the chunks are merged in `f64` (Chan,
//! Golub and LeVeque 1983). Each chunk is summed around the mean of its first few rows, or around its
//! own mean where that is far away, so that σ² is accurate even when |μ| is far greater than σ.

mod backward;

pub use backward::{batch_norm_eval_backward, batch_norm_train_backward};
pub(crate) use backward::{merge_sums, shares};

use crate::check;
use crate::element::{self, Element};
use crate::isa::{Isa, vectorised};
use crate::output::Output;
use crate::parallel;
use crate::scratch::{self, Slot};
use crate::stream;

/// The activation that follows the normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Identity,
    Relu,
}

/// The dims of a batch norm; `x`, `y` and `residual` are `[rows, channels]`, where an image's rows
/// are its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    pub rows: usize,
    pub channels: usize,
    pub epsilon: f32,
    pub activation: Activation,
}

/// γ and β, each `[channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GammaBeta<'a, T = f32> {
    pub gamma: &'a [T],
    pub beta: &'a [T],
}

/// μ and the biased σ², each `[channels]`, to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanVariance<'a, T = f32> {
    pub mean: &'a [T],
    pub variance: &'a [T],
}

/// μ and the biased σ², each `[channels]`, to write.
#[derive(Debug, PartialEq)]
pub struct Moments<'a, T = f32> {
    pub mean: &'a mut [T],
    pub variance: &'a mut [T],
}

/// What the backward pass needs of the forward pass: its input, γ and β, and the statistics it
/// normalised by. Where ReLU followed the sum with a residual, its output too: it is zero where ReLU
/// let nothing through. Without a residual `x` tells that, and the output need not be kept.
/// Activations are numbers of type `T`, parameters and statistics of type `P`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormSaved<'a, T = f32, P = f32> {
    pub x: &'a [T],
    pub y: Option<&'a [T]>,
    pub affine: GammaBeta<'a, P>,
    pub statistics: MeanVariance<'a, P>,
}

/// The gradients of a batch norm; `dresidual` is given if and only if a residual was.
#[derive(Debug)]
pub struct BatchNormGradients<'a, T = f32, P = f32> {
    pub dx: Output<'a, T>,
    pub dgamma: &'a mut [P],
    pub dbeta: &'a mut [P],
    pub dresidual: Option<Output<'a, T>>,
}

/// Channels merged by one task.
pub(crate) const MERGED: usize = 64;
/// Rows whose mean the chunk's moments are summed around.
const LEAD: usize = 8;
/// The squares are summed again where the square of that mean's distance from the chunk's exceeds σ²
/// by more than this factor. The sum of a single pass may lose this factor of precision.
const FAR: f32 = 4.0;

impl BatchNorm {
    /// Rows of a chunk: about 64 Ki elements, which stay in a second-level cache between the two
    /// passes over them; half as many where they are halves that are widened there.
    fn chunk_rows<E: Element>(&self) -> usize {
        let elements = if element::is_half::<E>() { 32 * 1024 } else { 64 * 1024 };
        (elements / self.channels.max(1)).clamp(8, 1024)
    }

    pub(crate) fn chunk<E: Element>(&self) -> usize {
        self.chunk_rows::<E>() * self.channels
    }

    fn chunks<E: Element>(&self) -> usize {
        self.rows.div_ceil(self.chunk_rows::<E>())
    }

    /// The length of the loops over channels: a whole row, or several short ones, so that the loop is
    /// long enough to be worth entering.
    pub(crate) fn width(&self) -> usize {
        self.channels * (512 / self.channels.max(1)).max(1)
    }

    fn length(&self) -> usize {
        self.rows * self.channels
    }

    #[track_caller]
    pub(crate) fn check<const N: usize, const M: usize>(
        &self,
        operation: &str,
        activations: [(&str, usize); N],
        parameters: [(&str, usize); M],
    ) {
        for (name, found) in activations {
            check::length(operation, name, found, self.length());
        }
        for (name, found) in parameters {
            check::length(operation, name, found, self.channels);
        }
    }

    fn inverse_deviation(&self, variance: f32) -> f32 {
        1.0 / (variance + self.epsilon).sqrt()
    }
}

/// The unbiased variance n/(n−1)·σ², which PyTorch's running variance averages; σ² itself for one
/// row, where it is not defined.
pub fn unbiased(variance: f32, rows: usize) -> f32 {
    if rows > 1 { (f64::from(variance) * rows as f64 / (rows - 1) as f64) as f32 } else { variance }
}

/// Normalises by the statistics of the batch itself, which are written to `moments`.
#[track_caller]
pub fn batch_norm_train<'a, E: Element>(
    d: &BatchNorm,
    x: &[E],
    affine: GammaBeta<'_>,
    residual: Option<&[E]>,
    y: impl Into<Output<'a, E>>,
    moments: Moments<'_>,
) {
    let y = &mut *y.into().writer();
    let Moments { mean, variance } = moments;
    check_forward(d, "batch_norm_train", x, &affine, residual, y);
    d.check("batch_norm_train", [], [("mean", mean.len()), ("variance", variance.len())]);
    let isa = Isa::current();
    moments_of(isa, d, x, mean, variance);
    normalise(isa, d, x, affine, MeanVariance { mean, variance }, (residual, y));
}

/// The moments of `x`, or zeros if `x` is empty.
pub(crate) fn moments_of<E: Element>(
    isa: Isa,
    d: &BatchNorm,
    x: &[E],
    mean: &mut [f32],
    variance: &mut [f32],
) {
    if d.length() == 0 {
        mean.fill(0.0);
        variance.fill(0.0);
        return;
    }
    let triple = 3 * d.channels;
    scratch::with(Slot::Partials, d.chunks::<E>() * triple, |partials| {
        parallel::chunks(partials, triple, |index, sums| {
            let part = &x[index * d.chunk::<E>()..((index + 1) * d.chunk::<E>()).min(x.len())];
            element::read(isa, Slot::First, part, |part| {
                scratch::with(Slot::Left, 3 * d.width(), |space| {
                    let (sums, origin) = sums.split_at_mut(2 * d.channels);
                    origin.copy_from_slice(&part[..d.channels]);
                    chunk_moments(isa, part, sums, space);
                });
            });
        });
        let partials = &*partials;
        parallel::chunks2((mean, MERGED), (variance, MERGED), |index, mean, variance| {
            merge_moments(isa, d, d.chunk_rows::<E>(), partials, index * MERGED, mean, variance);
        });
    });
}

/// Normalises by given statistics, such as the running ones.
#[track_caller]
pub fn batch_norm_eval<'a, E: Element>(
    d: &BatchNorm,
    x: &[E],
    affine: GammaBeta<'_>,
    statistics: MeanVariance<'_>,
    residual: Option<&[E]>,
    y: impl Into<Output<'a, E>>,
) {
    let y = &mut *y.into().writer();
    check_forward(d, "batch_norm_eval", x, &affine, residual, y);
    let MeanVariance { mean, variance } = statistics;
    d.check("batch_norm_eval", [], [("mean", mean.len()), ("variance", variance.len())]);
    normalise(Isa::current(), d, x, affine, statistics, (residual, y));
}

#[track_caller]
fn check_forward<E>(
    d: &BatchNorm,
    operation: &str,
    x: &[E],
    affine: &GammaBeta<'_>,
    residual: Option<&[E]>,
    y: &[E],
) {
    d.check(
        operation,
        [("x", x.len()), ("y", y.len()), ("residual", residual.map_or(x.len(), <[E]>::len))],
        [("gamma", affine.gamma.len()), ("beta", affine.beta.len())],
    );
}

vectorised! {
    /// The chunk's moments about its first row: in `sums`, first the mean of x − x₀, then the sum of
    /// squares about that mean. One pass around the mean of the first few rows gives both, unless that
    /// mean is so far away that the squares about it say little about those around the true one.
    fn chunk_moments(x: &[f32], sums: &mut [f32], space: &mut [f32]) {
        let channels = sums.len() / 2;
        let (means, squares) = sums.split_at_mut(channels);
        let width = space.len() / 3;
        let (origins, totals) = space.split_at_mut(width);
        let (totals, total_squares) = totals.split_at_mut(width);
        let lead = (x.len() / channels).min(LEAD);
        means.fill(0.0);
        for row in x[..lead * channels].chunks_exact(channels) {
            for ((mean, &x), &first) in means.iter_mut().zip(row).zip(x) {
                *mean += (x - first) / lead as f32;
            }
        }
        for (mean, &first) in means.iter_mut().zip(x) {
            *mean += first;
        }
        repeat(means, origins);
        totals.fill(0.0);
        total_squares.fill(0.0);
        let mut groups = x.chunks_exact(4 * width);
        for group in &mut groups {
            let rows = quarters(group, width);
            for k in 0..width {
                let [a, b, c, e] = rows.map(|row| row[k] - origins[k]);
                totals[k] += (a + b) + (c + e);
                total_squares[k] += (a * a + b * b) + (c * c + e * e);
            }
        }
        for row in groups.remainder().chunks(width) {
            for (k, &x) in row.iter().enumerate() {
                let x = x - origins[k];
                totals[k] += x;
                total_squares[k] += x * x;
            }
        }
        fold(totals, means);
        fold(total_squares, squares);
        let rows = (x.len() / channels) as f32;
        let mut far = false;
        for (k, (mean, square)) in means.iter_mut().zip(&mut *squares).enumerate() {
            let shift = *mean / rows;
            let shifted = shift * shift * rows;
            *square -= shifted;
            far |= shifted > FAR * *square;
            *mean = (origins[k] - x[k]) + shift;
        }
        if !far {
            return;
        }
        for copy in origins.chunks_exact_mut(channels) {
            for ((origin, mean), &first) in copy.iter_mut().zip(&*means).zip(x) {
                *origin = first + mean;
            }
        }
        totals.fill(0.0);
        let origins = &origins[..width];
        for_four_rows(x, totals, |k, x| (x - origins[k]) * (x - origins[k]));
        fold(totals, squares);
    }
}

/// Adds up `term(k, x[.. + k])` for rows of the width of `totals`, four at a time, so that the
/// totals are loaded and stored once for four.
#[inline(always)]
fn for_four_rows(x: &[f32], totals: &mut [f32], term: impl Fn(usize, f32) -> f32) {
    let width = totals.len();
    let mut groups = x.chunks_exact(4 * width);
    for group in &mut groups {
        let [a, b, c, e] = quarters(group, width);
        for k in 0..width {
            totals[k] += (term(k, a[k]) + term(k, b[k])) + (term(k, c[k]) + term(k, e[k]));
        }
    }
    for row in groups.remainder().chunks(width) {
        for (k, (total, &x)) in totals.iter_mut().zip(row).enumerate() {
            *total += term(k, x);
        }
    }
}

/// Fills `wide` with copies of `values`.
fn repeat(values: &[f32], wide: &mut [f32]) {
    for copy in wide.chunks_exact_mut(values.len()) {
        copy.copy_from_slice(values);
    }
}

/// Adds up the copies that [`repeat`] made.
pub(crate) fn fold(wide: &[f32], values: &mut [f32]) {
    values.fill(0.0);
    for copy in wide.chunks_exact(values.len()) {
        for (value, copy) in values.iter_mut().zip(copy) {
            *value += copy;
        }
    }
}

/// Four rows as four slices of the same known length.
#[inline(always)]
fn quarters(group: &[f32], width: usize) -> [&[f32]; 4] {
    let (a, rest) = group.split_at(width);
    let (b, rest) = rest.split_at(width);
    let (c, e) = rest.split_at(width);
    [a, b, c, &e[..width]]
}

vectorised! {
    /// Merges the moments of the chunks, in order, for the channels from `first` on.
    fn merge_moments(
        d: &BatchNorm,
        chunk_rows: usize,
        partials: &[f32],
        first: usize,
        mean: &mut [f32],
        variance: &mut [f32],
    ) {
        let width = mean.len();
        let mut means = [0.0f64; MERGED];
        let mut squares = [0.0f64; MERGED];
        let mut count = 0.0f64;
        for (index, sums) in partials.chunks_exact(3 * d.channels).enumerate() {
            let rows = chunk_rows.min(d.rows - index * chunk_rows) as f64;
            let origin = &sums[2 * d.channels + first..][..width];
            let shift = &sums[first..][..width];
            let square = &sums[d.channels + first..][..width];
            let share = rows / (count + rows);
            let weight = count * share;
            for k in 0..width {
                let apart = f64::from(origin[k]) + f64::from(shift[k]) - means[k];
                means[k] += apart * share;
                squares[k] += f64::from(square[k]) + apart * apart * weight;
            }
            count += rows;
        }
        for k in 0..width {
            mean[k] = means[k] as f32;
            variance[k] = (squares[k] / count) as f32;
        }
    }
}

fn normalise<E: Element>(
    isa: Isa,
    d: &BatchNorm,
    x: &[E],
    affine: GammaBeta<'_>,
    statistics: MeanVariance<'_>,
    (residual, y): (Option<&[E]>, &mut [E]),
) {
    if d.length() == 0 {
        return;
    }
    let width = d.width();
    scratch::with(Slot::Shared, 3 * width, |wide| {
        let factors = spread_factors(d, affine, statistics, wide);
        // The rectifier is chosen outside the loops: max(v, −∞) is v.
        let floor = match d.activation {
            Activation::Identity => f32::NEG_INFINITY,
            Activation::Relu => 0.0,
        };
        parallel::chunks(y, d.chunk::<E>(), |index, part| {
            let start = index * d.chunk::<E>();
            let x = &x[start..][..part.len()];
            let residual = residual.map(|residual| &residual[start..][..part.len()]);
            rows(isa, d, width, part, |at, row| {
                let (x, length) = (&x[at..][..row.len()], row.len());
                element::read(isa, Slot::First, x, |x| match residual {
                    None => normalise_chunk(isa, x, factors, None, floor, row),
                    Some(residual) => {
                        let residual = &residual[at..][..length];
                        element::read(isa, Slot::Second, residual, |residual| {
                            normalise_chunk(isa, x, factors, Some(residual), floor, row);
                        });
                    }
                });
            });
        });
    });
}

/// μ, γ/σ and β in `wide`, a width of each: y = (x − μ) γ/σ + β.
pub(crate) fn spread_factors<'a>(
    d: &BatchNorm,
    affine: GammaBeta<'_>,
    statistics: MeanVariance<'_>,
    wide: &'a mut [f32],
) -> [&'a [f32]; 3] {
    let width = d.width();
    let (means, rest) = wide.split_at_mut(width);
    let (scales, betas) = rest.split_at_mut(width);
    repeat(statistics.mean, means);
    repeat(affine.gamma, scales);
    for copy in scales.chunks_exact_mut(d.channels) {
        for (scale, &variance) in copy.iter_mut().zip(statistics.variance) {
            *scale *= d.inverse_deviation(variance);
        }
    }
    repeat(affine.beta, betas);
    [means, scales, betas]
}

/// Calls `body(start, row)` to write each `width` of `to`. A large result is written past the caches, and
/// halves are rounded, by way of a row of working memory; else one call writes all of `to`.
fn rows<E: Element>(
    isa: Isa,
    d: &BatchNorm,
    width: usize,
    to: &mut [E],
    body: impl Fn(usize, &mut [f32]),
) {
    let streams = d.length() * size_of::<E>() >= stream::STREAMED * size_of::<f32>();
    if !streams && let Some(to) = E::as_floats_mut(to) {
        return body(0, to);
    }
    scratch::with(Slot::Left, width, |space| {
        for (index, to) in to.chunks_mut(width).enumerate() {
            let row = &mut space[..to.len()];
            body(index * width, row);
            if streams {
                element::round_past(isa, row, to);
            } else {
                element::round(isa, row, to);
            }
        }
    });
    if streams {
        stream::fence();
    }
}

vectorised! {
    /// `factors` are the means, the scales and the betas, a width of each.
    pub(crate) fn normalise_chunk(
        x: &[f32],
        factors: [&[f32]; 3],
        residual: Option<&[f32]>,
        floor: f32,
        y: &mut [f32],
    ) {
        let width = factors[0].len();
        for (row, y) in y.chunks_mut(width).enumerate() {
            let (at, length) = (row * width, y.len());
            let x = &x[at..][..length];
            let [means, scales, betas] = factors;
            let (means, scales, betas) = (&means[..length], &scales[..length], &betas[..length]);
            if let Some(residual) = residual {
                let residual = &residual[at..][..length];
                for k in 0..length {
                    let v = (x[k] - means[k]) * scales[k] + betas[k] + residual[k];
                    y[k] = if v < floor { floor } else { v };
                }
            } else {
                for k in 0..length {
                    let v = (x[k] - means[k]) * scales[k] + betas[k];
                    y[k] = if v < floor { floor } else { v };
                }
            }
        }
    }
}

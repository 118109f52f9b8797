//! Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167, algorithms 1 and 2):
//! y = act(γ (x − μ) / √(σ² + ε) + β [+ residual]), fused with the ReLU and the residual sum that
//! follow it.
//!
//! σ² is the biased variance. It is summed in chunks of rows, each around the mean of its first
//! few, or its own where that lies far out, and the chunks are merged in `f64` (Chan, Golub and LeVeque
//! 1983), so that it is accurate when |μ| is far greater than σ.

use crate::check;
use crate::isa::{Isa, vectorised};
use crate::parallel;
use crate::scratch::{self, Slot};
use crate::stream;

/// What follows the normalisation.
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
pub struct Affine<'a, T = f32> {
    pub gamma: &'a [T],
    pub beta: &'a [T],
}

/// μ and the biased σ², each `[channels]`, to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics<'a, T = f32> {
    pub mean: &'a [T],
    pub variance: &'a [T],
}

/// μ and the biased σ², each `[channels]`, to write.
#[derive(Debug, PartialEq)]
pub struct Moments<'a, T = f32> {
    pub mean: &'a mut [T],
    pub variance: &'a mut [T],
}

/// What the backward pass needs of the forward pass: its input, γ and β, the statistics it
/// normalised by, and, where ReLU followed the sum with a residual, its output, whose zeros are
/// where ReLU let nothing through. Without a residual that is told by `x`, and the output need not
/// be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormSaved<'a, T = f32> {
    pub x: &'a [T],
    pub y: Option<&'a [T]>,
    pub affine: Affine<'a, T>,
    pub statistics: Statistics<'a, T>,
}

/// The gradients of a batch norm; `dresidual` is given if and only if a residual was.
#[derive(Debug, PartialEq)]
pub struct BatchNormGradients<'a, T = f32> {
    pub dx: &'a mut [T],
    pub dgamma: &'a mut [T],
    pub dbeta: &'a mut [T],
    pub dresidual: Option<&'a mut [T]>,
}

/// Channels merged by one task.
pub(crate) const MERGED: usize = 64;
/// Rows whose mean the chunk's moments are summed around.
const LEAD: usize = 8;
/// By how much the square of that mean's distance from the chunk's may exceed σ² before the squares
/// are summed again: so many times rounding's error is what one look may cost.
const FAR: f32 = 4.0;

impl BatchNorm {
    /// Rows of a chunk: about 64 Ki elements, which stay in a second-level cache between the two
    /// looks at them.
    fn chunk_rows(&self) -> usize {
        (64 * 1024 / self.channels.max(1)).clamp(8, 1024)
    }

    pub(crate) fn chunk(&self) -> usize {
        self.chunk_rows() * self.channels
    }

    fn chunks(&self) -> usize {
        self.rows.div_ceil(self.chunk_rows())
    }

    /// The width at which loops run: whole rows, several where they are short, so that the loop
    /// over channels is long enough to be worth entering.
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
pub fn batch_norm_train(
    d: &BatchNorm,
    x: &[f32],
    affine: Affine<'_>,
    residual: Option<&[f32]>,
    y: &mut [f32],
    moments: Moments<'_>,
) {
    let Moments { mean, variance } = moments;
    check_forward(d, "batch_norm_train", x, &affine, residual, y);
    d.check("batch_norm_train", [], [("mean", mean.len()), ("variance", variance.len())]);
    let isa = Isa::current();
    moments_of(isa, d, x, mean, variance);
    normalise(isa, d, x, affine, Statistics { mean, variance }, (residual, y));
}

/// The moments of `x`, zeros if there is none.
pub(crate) fn moments_of(
    isa: Isa,
    d: &BatchNorm,
    x: &[f32],
    mean: &mut [f32],
    variance: &mut [f32],
) {
    if d.length() == 0 {
        mean.fill(0.0);
        variance.fill(0.0);
        return;
    }
    let pair = 2 * d.channels;
    scratch::with(Slot::Partials, d.chunks() * pair, |partials| {
        parallel::chunks(partials, pair, |index, sums| {
            let part = &x[index * d.chunk()..((index + 1) * d.chunk()).min(x.len())];
            scratch::with(Slot::Left, 3 * d.width(), |space| {
                chunk_moments(isa, part, sums, space);
            });
        });
        let partials = &*partials;
        parallel::chunks2((mean, MERGED), (variance, MERGED), |index, mean, variance| {
            merge_moments(isa, d, x, partials, index * MERGED, mean, variance);
        });
    });
}

/// Normalises by given statistics, such as the running ones.
#[track_caller]
pub fn batch_norm_eval(
    d: &BatchNorm,
    x: &[f32],
    affine: Affine<'_>,
    statistics: Statistics<'_>,
    residual: Option<&[f32]>,
    y: &mut [f32],
) {
    check_forward(d, "batch_norm_eval", x, &affine, residual, y);
    let Statistics { mean, variance } = statistics;
    d.check("batch_norm_eval", [], [("mean", mean.len()), ("variance", variance.len())]);
    normalise(Isa::current(), d, x, affine, statistics, (residual, y));
}

#[track_caller]
fn check_forward(
    d: &BatchNorm,
    operation: &str,
    x: &[f32],
    affine: &Affine<'_>,
    residual: Option<&[f32]>,
    y: &[f32],
) {
    d.check(
        operation,
        [("x", x.len()), ("y", y.len()), ("residual", residual.map_or(x.len(), <[f32]>::len))],
        [("gamma", affine.gamma.len()), ("beta", affine.beta.len())],
    );
}

vectorised! {
    /// The chunk's moments about its first row: in `sums`, first the mean of x − x₀, then the sum of
    /// squares about that mean. Both come of one look around the mean of the first few rows, unless
    /// that lies so far out that the squares about it say little of those about the mean.
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

/// Adds up what [`repeat`] spread.
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
        x: &[f32],
        partials: &[f32],
        first: usize,
        mean: &mut [f32],
        variance: &mut [f32],
    ) {
        let width = mean.len();
        let mut means = [0.0f64; MERGED];
        let mut squares = [0.0f64; MERGED];
        let mut count = 0.0f64;
        for (index, sums) in partials.chunks_exact(2 * d.channels).enumerate() {
            let start = index * d.chunk_rows();
            let rows = d.chunk_rows().min(d.rows - start) as f64;
            let origin = &x[start * d.channels + first..][..width];
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

fn normalise(
    isa: Isa,
    d: &BatchNorm,
    x: &[f32],
    affine: Affine<'_>,
    statistics: Statistics<'_>,
    (residual, y): (Option<&[f32]>, &mut [f32]),
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
        parallel::chunks(y, d.chunk(), |index, part| {
            let start = index * d.chunk();
            let x = &x[start..][..part.len()];
            let residual = residual.map(|residual| &residual[start..][..part.len()]);
            if d.length() < stream::STREAMED {
                return normalise_chunk(isa, x, factors, residual, floor, part);
            }
            streamed(isa, width, part, |at, row| {
                let residual = residual.map(|residual| &residual[at..][..row.len()]);
                normalise_chunk(isa, &x[at..][..row.len()], factors, residual, floor, row);
            });
        });
    });
}

/// μ, γ/σ and β in `wide`, a width of each: y = (x − μ) γ/σ + β.
pub(crate) fn spread_factors<'a>(
    d: &BatchNorm,
    affine: Affine<'_>,
    statistics: Statistics<'_>,
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

/// Writes `to` past the caches, as `body(start, row)` gives it for each `width` of it.
fn streamed(isa: Isa, width: usize, to: &mut [f32], body: impl Fn(usize, &mut [f32])) {
    scratch::with(Slot::Left, width, |space| {
        for (index, to) in to.chunks_mut(width).enumerate() {
            let row = &mut space[..to.len()];
            body(index * width, row);
            stream::copy(isa, row, to);
        }
    });
    stream::fence();
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

/// The gradients of [`batch_norm_train`]: the statistics depend on `x`.
#[track_caller]
pub fn batch_norm_train_backward(
    d: &BatchNorm,
    saved: BatchNormSaved<'_>,
    dy: &[f32],
    gradients: BatchNormGradients<'_>,
) {
    backward("batch_norm_train_backward", d, saved, dy, gradients, true);
}

/// The gradients of [`batch_norm_eval`]: the statistics are constants.
#[track_caller]
pub fn batch_norm_eval_backward(
    d: &BatchNorm,
    saved: BatchNormSaved<'_>,
    dy: &[f32],
    gradients: BatchNormGradients<'_>,
) {
    backward("batch_norm_eval_backward", d, saved, dy, gradients, false);
}

/// With g = dy where the activation let through, else 0: dβ = Σ g, dγ = Σ g x̂, and
/// dx = γ/σ (g − Σ g / n − x̂ Σ g x̂ / n), the last two terms only if the statistics are of x.
#[track_caller]
fn backward(
    operation: &str,
    d: &BatchNorm,
    saved: BatchNormSaved<'_>,
    dy: &[f32],
    gradients: BatchNormGradients<'_>,
    of_batch: bool,
) {
    check_backward(operation, d, &saved, dy, &gradients);
    let BatchNormGradients { dx, dgamma, dbeta, dresidual } = gradients;
    let BatchNormSaved { x, y, affine, statistics } = saved;
    let isa = Isa::current();
    dgamma.fill(0.0);
    dbeta.fill(0.0);
    if d.length() == 0 {
        return;
    }
    let mask = match (d.activation, y) {
        (Activation::Identity, _) => Mask::Open,
        (Activation::Relu, None) => Mask::ByInput,
        (Activation::Relu, Some(y)) => Mask::ByOutput(y),
    };
    let width = d.width();
    scratch::with(Slot::Shared, 5 * width, |wide| {
        let (forward, factors) = wide.split_at_mut(3 * width);
        let forward = spread_factors(d, affine, statistics, forward);
        let sums = (&mut *dgamma, &mut *dbeta);
        let dresidual = backward_sums(isa, d, (x, mask, dy), forward, sums, dresidual);
        let factors = shares(d, affine, statistics, of_batch, (dgamma, dbeta), factors);
        // The gradient of the residual is what the activation let through.
        let (dy, mask) = match dresidual {
            Some(through) => (through, Mask::Open),
            None => (dy, mask),
        };
        let ([means, scales, betas], [shifts, slopes]) = (forward, factors);
        input_gradient(isa, d, (x, mask, dy), [means, scales, betas, shifts, slopes], dx);
    });
}

/// From Σ g (x − μ) and Σ g, dγ and dβ in their place; and what they take from each g: a shift and a
/// slope in x − μ, a width of each.
pub(crate) fn shares<'a>(
    d: &BatchNorm,
    affine: Affine<'_>,
    statistics: Statistics<'_>,
    of_batch: bool,
    (dgamma, dbeta): (&mut [f32], &mut [f32]),
    wide: &'a mut [f32],
) -> [&'a [f32]; 2] {
    let width = d.width();
    let (shifts, slopes) = wide.split_at_mut(width);
    for (k, dgamma) in dgamma.iter_mut().enumerate() {
        let inverse = d.inverse_deviation(statistics.variance[k]);
        *dgamma *= inverse;
        let share = if of_batch { affine.gamma[k] * inverse / d.rows as f32 } else { 0.0 };
        for at in (k..width).step_by(d.channels) {
            shifts[at] = dbeta[k] * share;
            slopes[at] = *dgamma * inverse * share;
        }
    }
    [shifts, slopes]
}

#[track_caller]
fn check_backward(
    operation: &str,
    d: &BatchNorm,
    saved: &BatchNormSaved<'_>,
    dy: &[f32],
    gradients: &BatchNormGradients<'_>,
) {
    let BatchNormGradients { dx, dgamma, dbeta, dresidual } = gradients;
    d.check(
        operation,
        [
            ("x", saved.x.len()),
            ("y", saved.y.map_or(dy.len(), <[f32]>::len)),
            ("dy", dy.len()),
            ("dx", dx.len()),
            ("dresidual", dresidual.as_ref().map_or(dy.len(), |dresidual| dresidual.len())),
        ],
        [
            ("gamma", saved.affine.gamma.len()),
            ("beta", saved.affine.beta.len()),
            ("mean", saved.statistics.mean.len()),
            ("variance", saved.statistics.variance.len()),
            ("dgamma", dgamma.len()),
            ("dbeta", dbeta.len()),
        ],
    );
    assert!(
        d.activation == Activation::Identity || dresidual.is_none() || saved.y.is_some(),
        "{operation}: with a residual, y tells where ReLU let through"
    );
}

/// How a pass knows where ReLU let through.
#[derive(Clone, Copy)]
enum Mask<'a> {
    /// There was none.
    Open,
    /// The output is positive.
    ByOutput(&'a [f32]),
    /// What the input becomes is positive: the forward pass, computed again to the bit.
    ByInput,
}

impl<'a> Mask<'a> {
    /// The output if the mask needs it, else `x` in its place.
    fn output(self, x: &'a [f32]) -> &'a [f32] {
        if let Mask::ByOutput(y) = self { y } else { x }
    }
}

/// The names of the masks where loops are compiled for each.
const OPEN: u8 = 0;
const BY_OUTPUT: u8 = 1;
const BY_INPUT: u8 = 2;

/// The gradient behind the activation.
#[inline(always)]
fn masked<const MASK: u8>(x: f32, y: f32, dy: f32, [mean, scale, beta]: [f32; 3]) -> f32 {
    let open = match MASK {
        OPEN => true,
        BY_OUTPUT => y > 0.0,
        _ => (x - mean) * scale + beta > 0.0,
    };
    if open { dy } else { 0.0 }
}

/// Σ g (x − μ) and Σ g, in chunks that are merged in order; on the way, g is written to `through` if
/// it is wanted, and given back.
fn backward_sums<'a>(
    isa: Isa,
    d: &BatchNorm,
    (x, mask, dy): (&[f32], Mask<'_>, &[f32]),
    factors: [&[f32]; 3],
    (products, sums): (&mut [f32], &mut [f32]),
    through: Option<&'a mut [f32]>,
) -> Option<&'a [f32]> {
    let pair = 2 * d.channels;
    let width = factors[0].len();
    let output = mask.output(x);
    scratch::with(Slot::Partials, d.chunks() * pair, |partials| {
        let sum = |index: usize, partial: &mut [f32]| {
            let range = index * d.chunk()..((index + 1) * d.chunk()).min(dy.len());
            let (x, y, dy) = (&x[range.clone()], &output[range.clone()], &dy[range]);
            scratch::with(Slot::Left, 2 * width, |space| {
                match mask {
                    Mask::Open => chunk_sums::<OPEN>(isa, x, y, dy, factors, space),
                    Mask::ByOutput(_) => chunk_sums::<BY_OUTPUT>(isa, x, y, dy, factors, space),
                    Mask::ByInput => chunk_sums::<BY_INPUT>(isa, x, y, dy, factors, space),
                }
                let (products, sums) = space.split_at(width);
                let (product, sum) = partial.split_at_mut(d.channels);
                fold(products, product);
                fold(sums, sum);
            });
        };
        let through = match through {
            None => {
                parallel::chunks(partials, pair, sum);
                None
            }
            Some(through) => {
                let chunks = (&mut *through, d.chunk());
                parallel::chunks2((partials, pair), chunks, |index, partial, through| {
                    sum(index, partial);
                    let start = index * d.chunk();
                    let range = start..start + through.len();
                    let rectified = matches!(mask, Mask::ByOutput(_));
                    let (y, dy) = (&output[range.clone()], &dy[range]);
                    pass_on(isa, d, rectified.then_some(y), dy, through);
                });
                Some(&*through)
            }
        };
        let partials = &*partials;
        parallel::chunks2((products, MERGED), (sums, MERGED), |index, products, sums| {
            merge_sums(d, partials, index * MERGED, products, sums);
        });
        through
    })
}

/// Adds up the sums of the chunks, in order, for the channels from `first` on.
pub(crate) fn merge_sums(
    d: &BatchNorm,
    partials: &[f32],
    first: usize,
    products: &mut [f32],
    sums: &mut [f32],
) {
    let width = products.len();
    let mut totals = [[0.0f64; MERGED]; 2];
    for partial in partials.chunks_exact(2 * d.channels) {
        for (total, start) in totals.iter_mut().zip([first, d.channels + first]) {
            for (total, &value) in total.iter_mut().zip(&partial[start..][..width]) {
                *total += f64::from(value);
            }
        }
    }
    for k in 0..width {
        products[k] = totals[0][k] as f32;
        sums[k] = totals[1][k] as f32;
    }
}

/// Writes a chunk of the gradient behind the activation, rectified by `y` if it is given.
fn pass_on(isa: Isa, d: &BatchNorm, y: Option<&[f32]>, dy: &[f32], through: &mut [f32]) {
    let masked = |at: usize, to: &mut [f32]| {
        let dy = &dy[at..][..to.len()];
        match y.map(|y| &y[at..][..to.len()]) {
            None => to.copy_from_slice(dy),
            Some(y) => isa.run(|| {
                for ((to, &y), &dy) in to.iter_mut().zip(y).zip(dy) {
                    *to = if y > 0.0 { dy } else { 0.0 };
                }
            }),
        }
    };
    if d.length() < stream::STREAMED {
        masked(0, through);
    } else {
        streamed(isa, d.width(), through, masked);
    }
}

vectorised! {
    /// One chunk's Σ g (x − μ) and Σ g, both as wide as the factors: means, scales and betas.
    fn chunk_sums<const MASK: u8>(
        x: &[f32],
        y: &[f32],
        dy: &[f32],
        factors: [&[f32]; 3],
        space: &mut [f32],
    ) {
        let width = factors[0].len();
        let [means, scales, betas] = factors;
        let (scales, betas) = (&scales[..width], &betas[..width]);
        space.fill(0.0);
        let (products, sums) = space.split_at_mut(width);
        let sums = &mut sums[..width];
        let whole = x.len() / (4 * width) * (4 * width);
        for start in (0..whole).step_by(4 * width) {
            let x = quarters(&x[start..][..4 * width], width);
            let y = quarters(&y[start..][..4 * width], width);
            let dy = quarters(&dy[start..][..4 * width], width);
            for k in 0..width {
                let factors = [means[k], scales[k], betas[k]];
                let a = masked::<MASK>(x[0][k], y[0][k], dy[0][k], factors);
                let b = masked::<MASK>(x[1][k], y[1][k], dy[1][k], factors);
                let c = masked::<MASK>(x[2][k], y[2][k], dy[2][k], factors);
                let e = masked::<MASK>(x[3][k], y[3][k], dy[3][k], factors);
                let mean = means[k];
                products[k] += (a * (x[0][k] - mean) + b * (x[1][k] - mean))
                    + (c * (x[2][k] - mean) + e * (x[3][k] - mean));
                sums[k] += (a + b) + (c + e);
            }
        }
        for start in (whole..x.len()).step_by(width) {
            for k in 0..width.min(x.len() - start) {
                let (x, factors) = (x[start + k], [means[k], scales[k], betas[k]]);
                let g = masked::<MASK>(x, y[start + k], dy[start + k], factors);
                products[k] += g * (x - means[k]);
                sums[k] += g;
            }
        }
    }
}

/// `factors` are the means, scales, betas, shifts and slopes, a width of each.
fn input_gradient(
    isa: Isa,
    d: &BatchNorm,
    (x, mask, dy): (&[f32], Mask<'_>, &[f32]),
    factors: [&[f32]; 5],
    dx: &mut [f32],
) {
    let output = mask.output(x);
    parallel::chunks(dx, d.chunk(), |index, dx| {
        let start = index * d.chunk();
        let gradient = |at: usize, dx: &mut [f32]| {
            let range = start + at..start + at + dx.len();
            let (x, y, dy) = (&x[range.clone()], &output[range.clone()], &dy[range]);
            match mask {
                Mask::Open => gradient_chunk::<OPEN>(isa, x, y, dy, factors, dx),
                Mask::ByOutput(_) => gradient_chunk::<BY_OUTPUT>(isa, x, y, dy, factors, dx),
                Mask::ByInput => gradient_chunk::<BY_INPUT>(isa, x, y, dy, factors, dx),
            }
        };
        if d.length() < stream::STREAMED {
            gradient(0, dx);
        } else {
            streamed(isa, factors[0].len(), dx, gradient);
        }
    });
}

vectorised! {
    fn gradient_chunk<const MASK: u8>(
        x: &[f32],
        y: &[f32],
        dy: &[f32],
        factors: [&[f32]; 5],
        dx: &mut [f32],
    ) {
        let width = factors[0].len();
        for (row, dx) in dx.chunks_mut(width).enumerate() {
            let (at, length) = (row * width, dx.len());
            let (x, y, dy) = (&x[at..][..length], &y[at..][..length], &dy[at..][..length]);
            let [means, scales, betas, shifts, slopes] = factors;
            let (means, scales, betas) = (&means[..length], &scales[..length], &betas[..length]);
            let (shifts, slopes) = (&shifts[..length], &slopes[..length]);
            for k in 0..length {
                let g = masked::<MASK>(x[k], y[k], dy[k], [means[k], scales[k], betas[k]]);
                dx[k] = g * scales[k] - shifts[k] - (x[k] - means[k]) * slopes[k];
            }
        }
    }
}

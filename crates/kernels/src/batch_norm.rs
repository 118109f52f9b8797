//! Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167, algorithms 1 and 2):
//! y = act(γ (x − μ) / √(σ² + ε) + β [+ residual]), fused with the ReLU and the residual sum that
//! follow it.
//!
//! σ² is the biased variance. It is summed in chunks of rows, each around its own first row and
//! then around its own mean, and the chunks are merged in `f64` (Chan, Golub and LeVeque 1983), so
//! that it is accurate when |μ| is far greater than σ.

use crate::check;
use crate::element::{self, Element};
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
/// be kept. Activations are numbers of type `T`, parameters and statistics of type `P`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormSaved<'a, T = f32, P = f32> {
    pub x: &'a [T],
    pub y: Option<&'a [T]>,
    pub affine: Affine<'a, P>,
    pub statistics: Statistics<'a, P>,
}

/// The gradients of a batch norm; `dresidual` is given if and only if a residual was.
#[derive(Debug, PartialEq)]
pub struct BatchNormGradients<'a, T = f32, P = f32> {
    pub dx: &'a mut [T],
    pub dgamma: &'a mut [P],
    pub dbeta: &'a mut [P],
    pub dresidual: Option<&'a mut [T]>,
}

/// Channels merged by one task.
const MERGED: usize = 64;

impl BatchNorm {
    /// Rows of a chunk: about 64 Ki elements, which stay in a second-level cache between the two
    /// looks at them; half as many where they are widened there.
    fn chunk_rows<E: Element>(&self) -> usize {
        let elements = if element::is_half::<E>() { 32 * 1024 } else { 64 * 1024 };
        (elements / self.channels.max(1)).clamp(8, 1024)
    }

    fn chunk<E: Element>(&self) -> usize {
        self.chunk_rows::<E>() * self.channels
    }

    fn chunks<E: Element>(&self) -> usize {
        self.rows.div_ceil(self.chunk_rows::<E>())
    }

    /// The width at which loops run: whole rows, several where they are short, so that the loop
    /// over channels is long enough to be worth entering.
    fn width(&self) -> usize {
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
pub fn batch_norm_train<E: Element>(
    d: &BatchNorm,
    x: &[E],
    affine: Affine<'_>,
    residual: Option<&[E]>,
    y: &mut [E],
    moments: Moments<'_>,
) {
    let Moments { mean, variance } = moments;
    check_forward(d, "batch_norm_train", x, &affine, residual, y);
    d.check("batch_norm_train", [], [("mean", mean.len()), ("variance", variance.len())]);
    let isa = Isa::current();
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
                scratch::with(Slot::Left, 2 * d.width(), |space| {
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
    normalise(isa, d, x, affine, Statistics { mean, variance }, (residual, y));
}

/// Normalises by given statistics, such as the running ones.
#[track_caller]
pub fn batch_norm_eval<E: Element>(
    d: &BatchNorm,
    x: &[E],
    affine: Affine<'_>,
    statistics: Statistics<'_>,
    residual: Option<&[E]>,
    y: &mut [E],
) {
    check_forward(d, "batch_norm_eval", x, &affine, residual, y);
    let Statistics { mean, variance } = statistics;
    d.check("batch_norm_eval", [], [("mean", mean.len()), ("variance", variance.len())]);
    normalise(Isa::current(), d, x, affine, statistics, (residual, y));
}

#[track_caller]
fn check_forward<E>(
    d: &BatchNorm,
    operation: &str,
    x: &[E],
    affine: &Affine<'_>,
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
    /// squares about that mean.
    fn chunk_moments(x: &[f32], sums: &mut [f32], space: &mut [f32]) {
        let channels = sums.len() / 2;
        let (means, squares) = sums.split_at_mut(channels);
        let width = space.len() / 2;
        let (origins, totals) = space.split_at_mut(width);
        repeat(&x[..channels], origins);
        totals.fill(0.0);
        for_four_rows(x, totals, |k, x| x - origins[k]);
        fold(totals, means);
        let share = 1.0 / (x.len() / channels) as f32;
        for mean in &mut *means {
            *mean *= share;
        }
        for copy in origins.chunks_exact_mut(channels) {
            for (origin, mean) in copy.iter_mut().zip(&*means) {
                *origin += mean;
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
fn fold(wide: &[f32], values: &mut [f32]) {
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
    affine: Affine<'_>,
    statistics: Statistics<'_>,
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
fn spread_factors<'a>(
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

/// Writes `to` as `body(start, row)` gives it for each `width` of it, past the caches where it is large;
/// all at once where neither that nor rounding asks for rows aside.
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
    fn normalise_chunk(
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
pub fn batch_norm_train_backward<E: Element>(
    d: &BatchNorm,
    saved: BatchNormSaved<'_, E>,
    dy: &[E],
    gradients: BatchNormGradients<'_, E>,
) {
    backward("batch_norm_train_backward", d, saved, dy, gradients, true);
}

/// The gradients of [`batch_norm_eval`]: the statistics are constants.
#[track_caller]
pub fn batch_norm_eval_backward<E: Element>(
    d: &BatchNorm,
    saved: BatchNormSaved<'_, E>,
    dy: &[E],
    gradients: BatchNormGradients<'_, E>,
) {
    backward("batch_norm_eval_backward", d, saved, dy, gradients, false);
}

/// With g = dy where the activation let through, else 0: dβ = Σ g, dγ = Σ g x̂, and
/// dx = γ/σ (g − Σ g / n − x̂ Σ g x̂ / n), the last two terms only if the statistics are of x.
#[track_caller]
fn backward<E: Element>(
    operation: &str,
    d: &BatchNorm,
    saved: BatchNormSaved<'_, E>,
    dy: &[E],
    gradients: BatchNormGradients<'_, E>,
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
        let (shifts, slopes) = factors.split_at_mut(width);
        for (k, dgamma) in dgamma.iter_mut().enumerate() {
            let inverse = d.inverse_deviation(statistics.variance[k]);
            *dgamma *= inverse;
            let share = if of_batch { affine.gamma[k] * inverse / d.rows as f32 } else { 0.0 };
            for at in (k..width).step_by(d.channels) {
                shifts[at] = dbeta[k] * share;
                slopes[at] = *dgamma * inverse * share;
            }
        }
        // The gradient of the residual is what the activation let through.
        let (dy, mask) = match dresidual {
            Some(through) => (through, Mask::Open),
            None => (dy, mask),
        };
        let [means, scales, betas] = forward;
        input_gradient(isa, d, (x, mask, dy), [means, scales, betas, shifts, slopes], dx);
    });
}

#[track_caller]
fn check_backward<E>(
    operation: &str,
    d: &BatchNorm,
    saved: &BatchNormSaved<'_, E>,
    dy: &[E],
    gradients: &BatchNormGradients<'_, E>,
) {
    let BatchNormGradients { dx, dgamma, dbeta, dresidual } = gradients;
    d.check(
        operation,
        [
            ("x", saved.x.len()),
            ("y", saved.y.map_or(dy.len(), <[E]>::len)),
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
enum Mask<'a, E> {
    /// There was none.
    Open,
    /// The output is positive.
    ByOutput(&'a [E]),
    /// What the input becomes is positive: the forward pass, computed again to the bit.
    ByInput,
}

impl<'a, E> Mask<'a, E> {
    /// The output if the mask needs it, else `x` in its place.
    fn output(self, x: &'a [E]) -> &'a [E] {
        if let Mask::ByOutput(y) = self { y } else { x }
    }

    /// Calls `body` with `x`, the output if the mask needs it and `x` else, and `dy`, as `f32`.
    fn floats(
        self,
        isa: Isa,
        (x, y, dy): (&[E], &[E], &[E]),
        body: impl FnOnce(&[f32], &[f32], &[f32]),
    ) where
        E: Element,
    {
        element::read(isa, Slot::First, x, |x| {
            element::read(isa, Slot::Second, dy, |dy| match self {
                Mask::ByOutput(_) => element::read(isa, Slot::Third, y, |y| body(x, y, dy)),
                Mask::Open | Mask::ByInput => body(x, x, dy),
            });
        });
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
fn backward_sums<'a, E: Element>(
    isa: Isa,
    d: &BatchNorm,
    (x, mask, dy): (&[E], Mask<'_, E>, &[E]),
    factors: [&[f32]; 3],
    (products, sums): (&mut [f32], &mut [f32]),
    through: Option<&'a mut [E]>,
) -> Option<&'a [E]> {
    let pair = 2 * d.channels;
    let width = factors[0].len();
    let output = mask.output(x);
    scratch::with(Slot::Partials, d.chunks::<E>() * pair, |partials| {
        let sum = |index: usize, partial: &mut [f32]| {
            let range = index * d.chunk::<E>()..((index + 1) * d.chunk::<E>()).min(dy.len());
            let (x, y, dy) = (&x[range.clone()], &output[range.clone()], &dy[range]);
            scratch::with(Slot::Left, 2 * width, |space| {
                mask.floats(isa, (x, y, dy), |x, y, dy| match mask {
                    Mask::Open => chunk_sums::<OPEN>(isa, x, y, dy, factors, space),
                    Mask::ByOutput(_) => chunk_sums::<BY_OUTPUT>(isa, x, y, dy, factors, space),
                    Mask::ByInput => chunk_sums::<BY_INPUT>(isa, x, y, dy, factors, space),
                });
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
                let chunks = (&mut *through, d.chunk::<E>());
                parallel::chunks2((partials, pair), chunks, |index, partial, through| {
                    sum(index, partial);
                    let start = index * d.chunk::<E>();
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
fn merge_sums(
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
fn pass_on<E: Element>(isa: Isa, d: &BatchNorm, y: Option<&[E]>, dy: &[E], through: &mut [E]) {
    rows(isa, d, d.width(), through, |at, to| {
        element::read(isa, Slot::First, &dy[at..][..to.len()], |dy| match y {
            None => to.copy_from_slice(dy),
            Some(y) => element::read(isa, Slot::Second, &y[at..][..to.len()], |y| {
                isa.run(|| {
                    for ((to, &y), &dy) in to.iter_mut().zip(y).zip(dy) {
                        *to = if y > 0.0 { dy } else { 0.0 };
                    }
                });
            }),
        });
    });
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
fn input_gradient<E: Element>(
    isa: Isa,
    d: &BatchNorm,
    (x, mask, dy): (&[E], Mask<'_, E>, &[E]),
    factors: [&[f32]; 5],
    dx: &mut [E],
) {
    let output = mask.output(x);
    parallel::chunks(dx, d.chunk::<E>(), |index, dx| {
        let start = index * d.chunk::<E>();
        let gradient = |at: usize, dx: &mut [f32]| {
            let range = start + at..start + at + dx.len();
            let (x, y, dy) = (&x[range.clone()], &output[range.clone()], &dy[range]);
            mask.floats(isa, (x, y, dy), |x, y, dy| match mask {
                Mask::Open => gradient_chunk::<OPEN>(isa, x, y, dy, factors, dx),
                Mask::ByOutput(_) => gradient_chunk::<BY_OUTPUT>(isa, x, y, dy, factors, dx),
                Mask::ByInput => gradient_chunk::<BY_INPUT>(isa, x, y, dy, factors, dx),
            });
        };
        rows(isa, d, factors[0].len(), dx, gradient);
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

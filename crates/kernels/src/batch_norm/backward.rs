//! The gradients of a batch norm, with the activation and the residual behind it.

use super::{
    Activation, BatchNorm, BatchNormGradients, BatchNormSaved, GammaBeta, MERGED, MeanVariance,
    fold, quarters, rows, spread_factors,
};
use crate::element::{self, Element};
use crate::isa::{Isa, vectorised};
use crate::output::Output;
use crate::parallel;
use crate::scratch::{self, Slot};

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
    let dx = &mut *dx.writer();
    let mut dresidual = dresidual.map(Output::writer);
    let dresidual = dresidual.as_deref_mut();
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

/// Turns Σ g (x − μ) and Σ g into dγ and dβ, in place. Returns what these take from each g: a shift and
/// a slope in x − μ, a width of each.
pub(crate) fn shares<'a>(
    d: &BatchNorm,
    affine: GammaBeta<'_>,
    statistics: MeanVariance<'_>,
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
        "{operation}: with a residual, y has to be given, since it tells where ReLU let through"
    );
}

/// How a pass knows where ReLU let the gradient through.
#[derive(Clone, Copy)]
enum Mask<'a, E> {
    /// There was no ReLU.
    Open,
    /// Where the output is positive.
    ByOutput(&'a [E]),
    /// Where the normalised input is positive: the forward pass is computed again, to the bit.
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

/// The masks as constants, since loops are compiled for each.
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

/// Σ g (x − μ) and Σ g, in chunks that are merged in order. On the way g is written to `through`, if that
/// is given, and returned.
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

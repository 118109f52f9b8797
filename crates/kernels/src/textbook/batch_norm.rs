//! Batch normalisation by its definition (arXiv 1502.03167, algorithm 1, and the gradients below it).

use super::{Real, zero};
use crate::{
    Activation, BatchNorm, BatchNormGradients, BatchNormSaved, GammaBeta, MeanVariance, Moments,
    Output,
};

/// The twin of [`crate::batch_norm_train`].
pub fn batch_norm_train<T: Real>(
    d: &BatchNorm,
    x: &[T],
    affine: GammaBeta<'_, T>,
    residual: Option<&[T]>,
    y: &mut [T],
    moments: Moments<'_, T>,
) {
    let Moments { mean, variance } = moments;
    let count = T::of(d.rows as f64);
    mean.fill(zero());
    variance.fill(zero());
    for (at, &value) in x.iter().enumerate() {
        mean[at % d.channels] += value / count;
    }
    for (at, &value) in x.iter().enumerate() {
        let away = value - mean[at % d.channels];
        variance[at % d.channels] += away * away / count;
    }
    batch_norm_eval(d, x, affine, MeanVariance { mean, variance }, residual, y);
}

/// The twin of [`crate::batch_norm_eval`].
pub fn batch_norm_eval<T: Real>(
    d: &BatchNorm,
    x: &[T],
    affine: GammaBeta<'_, T>,
    statistics: MeanVariance<'_, T>,
    residual: Option<&[T]>,
    y: &mut [T],
) {
    for (at, &value) in x.iter().enumerate() {
        let k = at % d.channels;
        let deviation = (statistics.variance[k] + T::of(f64::from(d.epsilon))).sqrt();
        let mut sum = affine.gamma[k] * (value - statistics.mean[k]) / deviation + affine.beta[k];
        if let Some(residual) = residual {
            sum += residual[at];
        }
        let cut = d.activation == Activation::Relu && sum < zero();
        y[at] = if cut { zero() } else { sum };
    }
}

/// The twin of [`crate::batch_norm_train_backward`].
pub fn batch_norm_train_backward<T: Real>(
    d: &BatchNorm,
    saved: BatchNormSaved<'_, T, T>,
    dy: &[T],
    gradients: BatchNormGradients<'_, T, T>,
) {
    let BatchNormGradients { dx, dgamma, dbeta, dresidual } = gradients;
    let dx = &mut *dx.writer();
    let inner = BatchNormGradients {
        dx: (&mut *dx).into(),
        dgamma: &mut *dgamma,
        dbeta: &mut *dbeta,
        dresidual,
    };
    batch_norm_eval_backward(d, saved, dy, inner);
    let count = T::of(d.rows as f64);
    for (at, dx) in dx.iter_mut().enumerate() {
        let k = at % d.channels;
        let deviation = (saved.statistics.variance[k] + T::of(f64::from(d.epsilon))).sqrt();
        let normalised = (saved.x[at] - saved.statistics.mean[k]) / deviation;
        *dx -= saved.affine.gamma[k] / deviation * (dbeta[k] + normalised * dgamma[k]) / count;
    }
}

/// The twin of [`crate::batch_norm_eval_backward`].
pub fn batch_norm_eval_backward<T: Real>(
    d: &BatchNorm,
    saved: BatchNormSaved<'_, T, T>,
    dy: &[T],
    gradients: BatchNormGradients<'_, T, T>,
) {
    let BatchNormGradients { dx, dgamma, dbeta, dresidual } = gradients;
    let dx = &mut *dx.writer();
    let mut dresidual = dresidual.map(Output::writer);
    dgamma.fill(zero());
    dbeta.fill(zero());
    for (at, dx) in dx.iter_mut().enumerate() {
        let k = at % d.channels;
        let deviation = (saved.statistics.variance[k] + T::of(f64::from(d.epsilon))).sqrt();
        let normalised = (saved.x[at] - saved.statistics.mean[k]) / deviation;
        let before = saved.affine.gamma[k] * normalised + saved.affine.beta[k];
        let output = saved.y.map_or(before, |y| y[at]);
        let cut = d.activation == Activation::Relu && output <= zero();
        let g = if cut { zero() } else { dy[at] };
        dgamma[k] += g * normalised;
        dbeta[k] += g;
        *dx = g * saved.affine.gamma[k] / deviation;
        if let Some(dresidual) = &mut dresidual {
            dresidual[at] = g;
        }
    }
}

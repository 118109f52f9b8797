//! Batch normalisation over random shapes, and far from zero.

use super::{Random, assert_close, assert_results, results, wide};
use crate::{
    Activation, BatchNorm, BatchNormGradients, BatchNormSaved, GammaBeta, MeanVariance, Moments,
    batch_norm_eval, batch_norm_eval_backward, batch_norm_train, batch_norm_train_backward,
    textbook, unbiased,
};

/// The inputs of a case.
struct Case {
    d: BatchNorm,
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    residual: Option<Vec<f32>>,
    dy: Vec<f32>,
}

fn random_case(random: &mut Random, rows: usize, channels: usize) -> Case {
    let activation = if random.flip() { Activation::Relu } else { Activation::Identity };
    let length = rows * channels;
    Case {
        d: BatchNorm { rows, channels, epsilon: 1e-5, activation },
        x: random.numbers(length),
        gamma: random.numbers(channels),
        beta: random.numbers(channels),
        residual: random.flip().then(|| random.numbers(length)),
        dy: random.numbers(length),
    }
}

fn kernels(case: &Case, train: bool, statistics: &[Vec<f32>; 2]) -> Vec<Vec<f32>> {
    let Case { d, x, gamma, beta, residual, dy } = case;
    let nan = |length| vec![f32::NAN; length];
    let [mut mean, mut variance] = statistics.clone();
    let mut y = nan(x.len());
    let affine = GammaBeta { gamma, beta };
    if train {
        let moments = Moments { mean: &mut mean, variance: &mut variance };
        batch_norm_train(d, x, affine, residual.as_deref(), &mut y, moments);
    } else {
        let statistics = MeanVariance { mean: &mean, variance: &variance };
        batch_norm_eval(d, x, affine, statistics, residual.as_deref(), &mut y);
    }
    let (mut dx, mut dgamma, mut dbeta) = (nan(x.len()), nan(d.channels), nan(d.channels));
    let mut dresidual = residual.as_ref().map(|_| nan(x.len()));
    let statistics = MeanVariance { mean: &mean, variance: &variance };
    let kept = residual.is_some().then_some(&y[..]);
    let saved = BatchNormSaved { x, y: kept, affine, statistics };
    let gradients = BatchNormGradients {
        dx: (&mut dx).into(),
        dgamma: &mut dgamma,
        dbeta: &mut dbeta,
        dresidual: dresidual.as_mut().map(Into::into),
    };
    if train {
        batch_norm_train_backward(d, saved, dy, gradients);
    } else {
        batch_norm_eval_backward(d, saved, dy, gradients);
    }
    vec![y, mean, variance, dx, dgamma, dbeta, dresidual.unwrap_or_default()]
}

fn textbooks(case: &Case, train: bool, statistics: &[Vec<f32>; 2]) -> Vec<Vec<f64>> {
    let d = &case.d;
    let [x, gamma, beta, dy] = [&case.x, &case.gamma, &case.beta, &case.dy].map(|v| wide(v));
    let residual = case.residual.as_ref().map(|residual| wide(residual));
    let zeros = |length| vec![0.0; length];
    let [mut mean, mut variance] = statistics.each_ref().map(|v| wide(v));
    let mut y = zeros(x.len());
    let affine = GammaBeta { gamma: &gamma, beta: &beta };
    if train {
        let moments = Moments { mean: &mut mean, variance: &mut variance };
        textbook::batch_norm_train(d, &x, affine, residual.as_deref(), &mut y, moments);
    } else {
        let statistics = MeanVariance { mean: &mean, variance: &variance };
        textbook::batch_norm_eval(d, &x, affine, statistics, residual.as_deref(), &mut y);
    }
    let (mut dx, mut dgamma, mut dbeta) = (zeros(x.len()), zeros(d.channels), zeros(d.channels));
    let mut dresidual = residual.as_ref().map(|_| zeros(x.len()));
    let statistics = MeanVariance { mean: &mean, variance: &variance };
    let saved = BatchNormSaved { x: &x, y: Some(&y), affine, statistics };
    let gradients = BatchNormGradients {
        dx: (&mut dx).into(),
        dgamma: &mut dgamma,
        dbeta: &mut dbeta,
        dresidual: dresidual.as_mut().map(Into::into),
    };
    if train {
        textbook::batch_norm_train_backward(d, saved, &dy, gradients);
    } else {
        textbook::batch_norm_eval_backward(d, saved, &dy, gradients);
    }
    vec![y, mean, variance, dx, dgamma, dbeta, dresidual.unwrap_or_default()]
}

#[test]
fn random_shapes() {
    let mut random = Random::new(5);
    let mut sizes: Vec<(usize, usize)> =
        (0..30).map(|_| (random.of(3..=50), random.of(1..=70))).collect();
    sizes.extend([(1, 5), (2, 1), (2500, 3), (5000, 20), (150, 600), (20, 2048)]);
    for (rows, channels) in sizes {
        let case = random_case(&mut random, rows, channels);
        for train in [true, false] {
            let variance = random.numbers(channels).iter().map(|v| 1.1 + v).collect();
            let statistics = [random.numbers(channels), variance];
            let expected = textbooks(&case, train, &statistics);
            let what = format!("{:?} train {train}", case.d);
            // One or two rows leave differences of nearly equal numbers.
            let tolerance = if rows < 3 { 1e-3 } else { 2e-5 };
            assert_results(&what, || kernels(&case, train, &statistics), &expected, tolerance);
        }
    }
}

#[test]
fn is_accurate_far_from_zero() {
    let mut random = Random::new(6);
    for (rows, channels) in [(30_000, 4), (4_000, 64), (700, 300)] {
        let mut case = random_case(&mut random, rows, channels);
        case.d.activation = Activation::Identity;
        case.residual = None;
        for x in &mut case.x {
            *x += 1e4;
        }
        // The first row of all is no guide to the rest.
        case.x[0] = -1e4;
        let statistics = [vec![0.0; channels], vec![0.0; channels]];
        let expected = textbooks(&case, true, &statistics);
        for found in results(|| kernels(&case, true, &statistics)) {
            for (what, index, tolerance) in [("mean", 1, 1e-7), ("variance", 2, 1e-5)] {
                for (&found, &expected) in found[index].iter().zip(&expected[index]) {
                    assert_close(what, &[found], &[expected], tolerance);
                }
            }
            // The mean, rounded to f32, is off by up to 5e-4 of the deviation.
            assert_close("y", &found[0], &expected[0], 3e-3);
        }
    }
}

#[test]
fn the_unbiased_variance_is_pytorchs() {
    assert_eq!(unbiased(3.0, 4), 4.0);
    assert_eq!(unbiased(3.0, 1), 3.0);
}

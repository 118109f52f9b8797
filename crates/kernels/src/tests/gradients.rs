//! The textbook's backward passes against finite differences of its forward passes, in `f64`.

use super::detection::{LOSSES, dims, regions};
use super::{Random, wide};
use crate::{
    Activation, BatchNorm, BatchNormGradients, BatchNormSaved, Bilinear, Conv2d, GammaBeta,
    GlobalPool, LinearDims, MeanVariance, Moments, Pool2d, RoiAlign, textbook,
};

/// Asserts that `gradient` is that of `forward`'s result weighted by `dy`, at `x`.
#[track_caller]
pub(super) fn assert_gradient(
    what: &str,
    x: &[f64],
    dy: &[f64],
    gradient: &[f64],
    forward: impl Fn(&[f64]) -> Vec<f64>,
) {
    const STEP: f64 = 1e-5;
    let weighted = |x: &[f64]| -> f64 {
        let y = forward(x);
        assert_eq!(y.len(), dy.len());
        y.iter().zip(dy).map(|(y, dy)| y * dy).sum()
    };
    let mut x = x.to_vec();
    for at in 0..x.len() {
        let centre = x[at];
        x[at] = centre + STEP;
        let above = weighted(&x);
        x[at] = centre - STEP;
        let below = weighted(&x);
        x[at] = centre;
        let expected = (above - below) / (2.0 * STEP);
        let error = (gradient[at] - expected).abs();
        assert!(
            error < 1e-6 * (1.0 + expected.abs()),
            "{what}: [{at}] is {}, not {expected}",
            gradient[at]
        );
    }
}

pub(super) fn numbers(random: &mut Random, length: usize) -> Vec<f64> {
    wide(&random.numbers(length))
}

/// The result of a function that writes into a slice of `length`.
pub(super) fn out(length: usize, write: impl FnOnce(&mut [f64])) -> Vec<f64> {
    let mut out = vec![0.0; length];
    write(&mut out);
    out
}

#[test]
fn of_convolution() {
    let mut random = Random::new(20);
    for (stride, padding, dilation, groups) in
        [([1, 1], [1, 1], [1, 1], 1), ([2, 1], [0, 2], [1, 2], 2), ([3, 2], [2, 1], [2, 1], 4)]
    {
        let d = Conv2d {
            n: 2,
            h: 6,
            w: 5,
            c_in: 4,
            c_out: 4,
            kernel: [3, 2],
            stride,
            padding,
            dilation,
            groups,
        };
        let (x, w) = (numbers(&mut random, d.x_len()), numbers(&mut random, d.w_len()));
        let dy = numbers(&mut random, d.y_len());
        let dx = out(x.len(), |dx| textbook::conv2d_input_grad(&d, &dy, &w, dx));
        let dw = out(w.len(), |dw| textbook::conv2d_weight_grad(&d, &x, &dy, dw));
        let forward =
            |x: &[f64], w: &[f64]| out(dy.len(), |y| textbook::conv2d_forward(&d, x, w, y));
        assert_gradient("input", &x, &dy, &dx, |x| forward(x, &w));
        assert_gradient("weight", &w, &dy, &dw, |w| forward(&x, w));
    }
}

#[test]
fn of_linear() {
    let mut random = Random::new(21);
    let d = LinearDims { rows: 3, c_in: 4, c_out: 5 };
    let [x, w, b, dy] = [12, 20, 5, 15].map(|length| numbers(&mut random, length));
    let forward = |x: &[f64], w: &[f64], b: &[f64]| {
        out(15, |y| textbook::linear_forward(&d, x, w, Some(b), y))
    };
    let dx = out(12, |dx| textbook::linear_input_grad(&d, &dy, &w, dx));
    let dw = out(20, |dw| textbook::linear_weight_grad(&d, &x, &dy, dw));
    let db = out(5, |db| textbook::linear_bias_grad(&d, &dy, db));
    assert_gradient("input", &x, &dy, &dx, |x| forward(x, &w, &b));
    assert_gradient("weight", &w, &dy, &dw, |w| forward(&x, w, &b));
    assert_gradient("bias", &b, &dy, &db, |b| forward(&x, &w, b));
}

fn norm(d: &BatchNorm, train: bool, inputs: [&[f64]; 4], y: &mut [f64]) -> [Vec<f64>; 2] {
    let [x, gamma, beta, residual] = inputs;
    let (mut mean, mut variance) = (vec![0.1; d.channels], vec![0.5; d.channels]);
    let affine = GammaBeta { gamma, beta };
    if train {
        let moments = Moments { mean: &mut mean, variance: &mut variance };
        textbook::batch_norm_train(d, x, affine, Some(residual), y, moments);
    } else {
        let statistics = MeanVariance { mean: &mean, variance: &variance };
        textbook::batch_norm_eval(d, x, affine, statistics, Some(residual), y);
    }
    [mean, variance]
}

#[test]
fn of_batch_norm() {
    let mut random = Random::new(22);
    for (train, activation) in [
        (true, Activation::Identity),
        (true, Activation::Relu),
        (false, Activation::Identity),
        (false, Activation::Relu),
    ] {
        let d = BatchNorm { rows: 7, channels: 3, epsilon: 1e-3, activation };
        let [x, residual, dy] = [21; 3].map(|length| numbers(&mut random, length));
        let [gamma, beta] = [3; 2].map(|length| numbers(&mut random, length));
        let mut y = vec![0.0; 21];
        let [mean, variance] = norm(&d, train, [&x, &gamma, &beta, &residual], &mut y);
        let affine = GammaBeta { gamma: &gamma, beta: &beta };
        let statistics = MeanVariance { mean: &mean, variance: &variance };
        let mut found = [vec![0.0; 21], vec![0.0; 3], vec![0.0; 3], vec![0.0; 21]];
        let [dx, dgamma, dbeta, dresidual] = &mut found;
        let saved = BatchNormSaved { x: &x, y: Some(&y), affine, statistics };
        let (dx, dresidual) = (dx.into(), Some(dresidual.into()));
        let gradients = BatchNormGradients { dx, dgamma, dbeta, dresidual };
        if train {
            textbook::batch_norm_train_backward(&d, saved, &dy, gradients);
        } else {
            textbook::batch_norm_eval_backward(&d, saved, &dy, gradients);
        }
        let inputs = [&x[..], &gamma, &beta, &residual];
        for (at, found) in found.iter().enumerate() {
            let what = format!("{d:?}, train {train}, input {at}");
            assert_gradient(&what, inputs[at], &dy, found, |value| {
                let mut inputs = inputs;
                inputs[at] = value;
                out(21, |y| {
                    norm(&d, train, inputs, y);
                })
            });
        }
    }
}

#[test]
fn of_pools() {
    let mut random = Random::new(23);
    for (ceil_mode, count_include_pad) in [(false, false), (true, false), (true, true)] {
        let d = Pool2d {
            n: 1,
            h: 6,
            w: 7,
            c: 2,
            kernel: [3, 2],
            stride: [2, 2],
            padding: [1, 1],
            ceil_mode,
            count_include_pad,
        };
        let (x, dy) = (numbers(&mut random, d.x_len()), numbers(&mut random, d.y_len()));
        let mut argmax = vec![0; dy.len()];
        out(dy.len(), |y| textbook::max_pool_forward(&d, &x, y, &mut argmax));
        let dx = out(x.len(), |dx| textbook::max_pool_backward(&d, &argmax, &dy, dx));
        assert_gradient("maximum", &x, &dy, &dx, |x| {
            let mut argmax = vec![0; dy.len()];
            out(dy.len(), |y| textbook::max_pool_forward(&d, x, y, &mut argmax))
        });
        let dx = out(x.len(), |dx| textbook::avg_pool_backward(&d, &dy, dx));
        assert_gradient("mean", &x, &dy, &dx, |x| {
            out(dy.len(), |y| textbook::avg_pool_forward(&d, x, y))
        });
    }
    let d = GlobalPool { n: 2, hw: 5, c: 3 };
    let (x, dy) = (numbers(&mut random, 30), numbers(&mut random, 6));
    let dx = out(30, |dx| textbook::global_avg_pool_backward(&d, &dy, dx));
    assert_gradient("global mean", &x, &dy, &dx, |x| {
        out(6, |y| textbook::global_avg_pool_forward(&d, x, y))
    });
}

#[test]
fn of_cross_entropy() {
    let mut random = Random::new(24);
    let (z, p) = (numbers(&mut random, 12), numbers(&mut random, 12));
    let forward = |z: &[f64]| {
        let mut softmax = vec![0.0; 12];
        vec![textbook::cross_entropy_forward(3, 4, z, &p, &mut softmax)]
    };
    let softmax = out(12, |softmax| {
        textbook::cross_entropy_forward(3, 4, &z, &p, softmax);
    });
    let dz = out(12, |dz| textbook::cross_entropy_backward(3, 4, &softmax, &p, 0.3, dz));
    assert_gradient("logits", &z, &[0.3], &dz, forward);
}

#[test]
fn of_relu_and_resize() {
    let mut random = Random::new(25);
    let (x, dy) = (numbers(&mut random, 20), numbers(&mut random, 20));
    let y = out(20, |y| textbook::relu(&x, y));
    let dx = out(20, |dx| textbook::relu_backward(&y, &dy, dx));
    assert_gradient("relu", &x, &dy, &dx, |x| out(20, |y| textbook::relu(x, y)));
    for align_corners in [false, true] {
        let d = Bilinear { n: 1, h: 4, w: 5, c: 2, out_h: 7, out_w: 3, align_corners };
        let (x, dy) = (numbers(&mut random, 40), numbers(&mut random, 42));
        let dx = out(40, |dx| textbook::bilinear_backward(&d, &dy, dx));
        assert_gradient("resize", &x, &dy, &dx, |x| {
            out(42, |y| textbook::bilinear_forward(&d, x, y))
        });
    }
}

#[test]
fn of_roi_align() {
    let mut random = Random::new(41);
    for (samples, half_pixel) in [(2, false), (0, true), (1, true), (3, false)] {
        let d = RoiAlign { regions: 3, ..dims(&mut random, samples, half_pixel) };
        let boxes = regions(&mut random, &d);
        let (x, dy) = (numbers(&mut random, d.x_len()), numbers(&mut random, d.y_len()));
        let dx = out(x.len(), |dx| textbook::roi_align_backward(&d, &boxes, &dy, dx));
        let forward = |x: &[f64]| out(dy.len(), |y| textbook::roi_align_forward(&d, x, &boxes, y));
        assert_gradient("features", &x, &dy, &dx, forward);
    }
}

#[test]
fn of_losses_of_numbers() {
    let mut random = Random::new(42);
    for loss in LOSSES {
        let [x, target, weight] = [9, 9, 9].map(|length| numbers(&mut random, length));
        let dx = out(9, |dx| {
            textbook::point_loss_backward(loss, [&x, &target, &weight], 0.7, dx);
        });
        assert_gradient("x", &x, &[0.7], &dx, |x| {
            vec![textbook::point_loss_forward(loss, x, &target, &weight)]
        });
    }
}

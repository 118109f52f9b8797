//! §3.2: operations on halves against their default bodies, what they store their results as, and the ways through
//! autodiff that only precision takes.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::Tensor;
use kernels::{Activation, BatchNorm, DropoutDraw, Excite, GlobalPool};

use super::{ACTIVATIONS, Random, assert_close, conv_shapes, flat, numbers, pool_shapes, wide};
use crate::Precision;
use crate::ops::batch_norm::{
    BatchNormOp, Optional, Saved, Statistics, composed_backward, composed_eval, composed_train,
};
use crate::ops::concat::{Branches, ConcatOp, composed_concat};
use crate::ops::conv2d::{
    Conv2dOp, composed_conv2d, composed_conv2d_input_grad, composed_conv2d_weight_grad,
};
use crate::ops::conv2d_bias::{Conv2dBiasOp, composed_bias_backward, composed_conv2d_bias};
use crate::ops::excite::{ExciteOp, Excited, composed_excite, composed_excite_backward};
use crate::ops::flex::{contiguous, floats};
use crate::ops::pool::{
    PoolOp, composed_avg_pool, composed_avg_pool_backward, composed_global_pool,
    composed_global_pool_backward, composed_max_pool, composed_max_pool_backward,
};
use crate::ops::precision::{StoredOp, precision_of, precision_of_primitive, stored};
use crate::ops::unary::{Unary, UnaryOp, composed_unary, composed_unary_backward};
use crate::{PoolOptions, avg_pool, fork, global_avg_pool};

/// The halves, and a step of their rounding as a share of the greatest number: two sums in another order may fall to
/// neighbours.
const HALVES: [(Precision, f64); 2] =
    [(Precision::F16, 1.0 / 1024.0), (Precision::Bf16, 1.0 / 128.0)];

/// Up to rounding, and stored alike.
#[track_caller]
fn assert_same(what: &str, found: FlexTensor, expected: FlexTensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    assert_eq!(found.dtype(), expected.dtype(), "{what}");
    let tolerance = if precision_of_primitive(&found) == Precision::F32 { 2e-5 } else { tolerance };
    let [found, expected] =
        [found, expected].map(|tensor| contiguous(Flex::stored_op(tensor, Precision::F32)));
    assert_close(what, floats(&found), &wide(floats(&expected)), tolerance);
}

#[test]
fn convolutions() {
    let mut random = Random::new(40);
    for (index, (precision, step)) in HALVES.into_iter().cycle().take(24).enumerate() {
        let groups = random.of(1..=4);
        let channels = match index % 3 {
            0 => [groups * 5, groups * 5, groups * 5],
            _ => [groups * random.of(1..=9), groups * random.of(1..=9), groups],
        };
        let d = random.conv2d(channels);
        let [x_shape, w_shape, y_shape] = conv_shapes(&d);
        let [x, dy] =
            [x_shape, y_shape].map(|shape| Flex::stored_op(random.tensor(&shape), precision));
        let (w, b) = (random.tensor(&w_shape), random.tensor(&[d.c_out]));
        let what = |part| format!("{part} of {d:?} in {precision:?}");
        let y = Flex::nhwc_conv2d(x.clone(), w.clone(), d);
        assert_same(&what("y"), y, composed_conv2d::<Flex>(x.clone(), w.clone(), d), step);
        let dx = Flex::nhwc_conv2d_input_grad(dy.clone(), w.clone(), d);
        let expected = composed_conv2d_input_grad::<Flex>(dy.clone(), w.clone(), d);
        assert_same(&what("dx"), dx, expected, step);
        let dw = Flex::nhwc_conv2d_weight_grad(x.clone(), dy.clone(), d);
        let expected = composed_conv2d_weight_grad::<Flex>(x.clone(), dy.clone(), d);
        assert_same(&what("dw"), dw, expected, step);
        for activation in ACTIVATIONS {
            let y = Flex::conv2d_bias_op(x.clone(), w.clone(), b.clone(), activation, d);
            let expected =
                composed_conv2d_bias::<Flex>(x.clone(), w.clone(), b.clone(), activation, d);
            assert_same(&what("y with a bias"), y.clone(), expected, step);
            let found = Flex::bias_backward_op(y.clone(), dy.clone(), activation, d);
            let expected = composed_bias_backward::<Flex>(y, dy.clone(), activation, d);
            assert_same(&what("dz"), found.0, expected.0, 0.0);
            assert_same(&what("db"), found.1, expected.1, step);
        }
    }
}

#[test]
fn batch_norms() {
    let mut random = Random::new(41);
    for (precision, step) in HALVES {
        for (shape, activation) in [([3, 5, 6, 7], ACTIVATIONS[0]), ([4, 9, 9, 40], ACTIVATIONS[1])]
        {
            for add in [false, true] {
                let [n, h, w, channels] = shape;
                let dims = BatchNorm { rows: n * h * w, channels, epsilon: 1e-5, activation };
                let mut half = || Flex::stored_op(random.tensor(&shape), precision);
                let (x, dy, residual) = (half(), half(), half());
                let (gamma, beta) = (random.tensor(&[channels]), random.tensor(&[channels]));
                let residual = || -> Optional<Flex> {
                    if add { Optional::Present(residual.clone()) } else { Optional::Absent }
                };
                let what = |part| format!("{part} of {dims:?} {add} in {precision:?}");
                let (y, mean, variance) = Flex::batch_norm_train_op(
                    x.clone(),
                    gamma.clone(),
                    beta.clone(),
                    residual(),
                    dims,
                );
                let expected = composed_train::<Flex>(
                    x.clone(),
                    gamma.clone(),
                    beta.clone(),
                    residual(),
                    dims,
                );
                assert_same(&what("y"), y.clone(), expected.0, step);
                assert_same(&what("mean"), mean.clone(), expected.1, step);
                assert_same(&what("variance"), variance.clone(), expected.2, step);
                let [g, b, m, v] = [&gamma, &beta, &mean, &variance].map(FlexTensor::clone);
                let found = Flex::batch_norm_eval_op(x.clone(), g, b, m, v, residual(), dims);
                let given = [&gamma, &beta, &mean, &variance].map(FlexTensor::clone);
                let expected = composed_eval::<Flex>(x.clone(), given, residual(), dims);
                assert_same(&what("y by given statistics"), found, expected, step);
                let y = if add { Optional::Present(y) } else { Optional::Absent };
                let saved = Saved { x, y, gamma, beta, mean, variance };
                let batch = Statistics::Batch;
                let found =
                    Flex::batch_norm_backward_op(saved.clone(), dy.clone(), batch, add, dims);
                let expected = composed_backward::<Flex>(saved, dy, batch, add, dims);
                assert_same(&what("dx"), found.0, expected.0, step);
                assert_same(&what("dγ"), found.1, expected.1, step);
                assert_same(&what("dβ"), found.2, expected.2, step);
                if let (Optional::Present(found), Optional::Present(expected)) =
                    (found.3, expected.3)
                {
                    assert_same(&what("dresidual"), found, expected, 0.0);
                }
            }
        }
    }
}

#[test]
fn pools() {
    let mut random = Random::new(42);
    for (index, (precision, step)) in HALVES.into_iter().cycle().take(20).enumerate() {
        let d = random.pool(index % 3 == 0, index % 4 < 2);
        let [x, dy] =
            pool_shapes(&d).map(|shape| Flex::stored_op(random.tensor(&shape), precision));
        let what = |part| format!("{part} of {d:?} in {precision:?}");
        let (y, argmax) = Flex::nhwc_max_pool(x.clone(), d);
        let (expected, their_argmax) = composed_max_pool::<Flex>(x.clone(), d);
        assert_same(&what("largest"), y, expected, 0.0);
        let dx = Flex::nhwc_max_pool_backward(argmax, dy.clone(), d);
        let expected = composed_max_pool_backward::<Flex>(their_argmax, dy.clone(), d);
        assert_same(&what("dx of the largest"), dx, expected, step);
        let y = Flex::nhwc_avg_pool(x.clone(), d);
        assert_same(&what("mean"), y, composed_avg_pool::<Flex>(x, d), step);
        let dx = Flex::nhwc_avg_pool_backward(dy.clone(), d);
        assert_same(&what("dx of the mean"), dx, composed_avg_pool_backward::<Flex>(dy, d), step);
    }
    for (precision, step) in HALVES {
        let (d, size) = (GlobalPool { n: 3, hw: 35, c: 20 }, [5, 7]);
        let x = Flex::stored_op(random.tensor(&[3, 5, 7, 20]), precision);
        let dy = random.tensor(&[3, 20]);
        let y = Flex::nhwc_global_pool(x.clone(), size, d);
        assert_same("the mean of images", y, composed_global_pool::<Flex>(x, d), step);
        let dx = Flex::nhwc_global_pool_backward(dy.clone(), size, d, precision);
        let expected = composed_global_pool_backward::<Flex>(dy, size, d, precision);
        assert_same("dx of the mean of images", dx, expected, step);
    }
}

#[test]
fn the_rest() {
    let mut random = Random::new(43);
    for (precision, step) in HALVES {
        let shape = [2, 4, 5, 9];
        let mut half = || Flex::stored_op(random.tensor(&shape), precision);
        let [x, residual, dy] = [half(), half(), half()];
        let y = Flex::concat_op(Branches::new(vec![x.clone(), dy.clone()]));
        let expected = composed_concat::<Flex>(Branches::new(vec![x.clone(), dy.clone()]));
        assert_same("concat", y.clone(), expected, 0.0);
        let back = Flex::concat_backward_op(y, [9, 9, 0, 0]).list();
        for (back, part) in back.into_iter().zip([&x, &dy]) {
            assert_same("concat and back", back, part.clone(), 0.0);
        }
        for unary in [Unary::Dropout(DropoutDraw { share: 0.4, key: 4 }), Unary::AtMost(0.5)] {
            let y = Flex::unary_op(x.clone(), unary);
            let what = format!("{unary:?} in {precision:?}");
            assert_same(&what, y.clone(), composed_unary::<Flex>(x.clone(), unary), step);
            let dx = Flex::unary_backward_op(y.clone(), dy.clone(), unary);
            assert_same(&what, dx, composed_unary_backward::<Flex>(y, dy.clone(), unary), step);
        }
        let z = random.tensor(&[2, 9]);
        let dims = Excite { n: 2, hw: 20, c: 9, activation: Activation::Relu };
        let y = Flex::excite_op(x.clone(), z.clone(), residual.clone(), dims);
        let expected = composed_excite::<Flex>(x.clone(), z.clone(), residual, dims);
        assert_same("excitation", y.clone(), expected, step);
        let saved = Excited { x, z, y };
        let found = Flex::excite_backward_op(saved.clone(), dy.clone(), dims);
        let expected = composed_excite_backward::<Flex>(saved, dy, dims);
        assert_same("dx of an excitation", found.0, expected.0, 2.0 * step);
        // The kernel reads back what it stored for the residual.
        let (found, expected) = (floats(&found.1).to_vec(), wide(floats(&expected.1)));
        assert_close("dz", &found, &expected, 2.0 * step);
    }
}

/// Up to the mean over the pixels all is stored as the images are; the gradients go the same way back.
#[test]
fn what_is_stored_how() {
    let options = PoolOptions {
        kernel: [2; 2],
        stride: [2; 2],
        padding: [0; 2],
        ceil_mode: false,
        count_include_pad: false,
    };
    for (precision, step) in HALVES {
        let values = Random::new(44).numbers(2 * 4 * 4 * 3);
        let leaf = flat(values.clone()).autodiff().require_grad();
        let x: Tensor<4> = stored(leaf.clone().reshape([2, 4, 4, 3]), precision);
        assert_eq!(precision_of(&x), precision);
        let y = avg_pool(x, options);
        assert_eq!(precision_of(&y), precision);
        let mean = global_avg_pool(y);
        assert_eq!(precision_of(&mean), Precision::F32);
        let gradients = (mean.clone() * mean.clone()).sum().backward();
        let found = numbers(leaf.grad(&gradients).expect("a tracked leaf has a gradient"));
        let mean = numbers(mean.inner());
        let expected: Vec<f64> = (0..values.len())
            .map(|at| f64::from(mean[at / 48 * 3 + at % 3]) * 2.0 / 16.0)
            .collect();
        assert_close(&format!("{precision:?}"), &found, &expected, step);
    }
}

/// Both ways' gradients come back as one, however x is stored, and where x is no leaf.
#[test]
fn forks_add_what_comes_back() {
    for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
        let mut random = Random::new(45);
        let (values, r, r2) = (random.numbers(24), random.numbers(24), random.numbers(24));
        let leaf = flat(values).autodiff().require_grad();
        let x: Tensor<4> = stored(leaf.clone().reshape([1, 2, 3, 4]), precision);
        let (one, rest) = fork(x);
        let (other, third) = fork(rest);
        let dot = |x: Tensor<4>, r: &[f32]| -> Tensor<1> {
            (stored(x, Precision::F32).reshape([-1]) * flat(r.to_vec())).sum()
        };
        let loss = dot(one, &r) + dot(other, &r2) + dot(third, &r);
        let gradients = loss.backward();
        let found = numbers(leaf.grad(&gradients).expect("a gradient"));
        let expected: Vec<f64> = wide(&r).iter().zip(wide(&r2)).map(|(a, b)| 2.0 * a + b).collect();
        let tolerance = if precision == Precision::F32 { 1e-6 } else { 0.02 };
        assert_close(&format!("{precision:?}"), &found, &expected, tolerance);
    }
    // Without a gradient asked for there is no graph.
    let (one, other) = fork(flat(vec![1.0; 4]).reshape([1, 2, 2, 1]));
    assert!(!one.is_autodiff() && !other.is_autodiff());
}

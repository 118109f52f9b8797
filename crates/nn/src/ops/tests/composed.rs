//! The kernels' path against the default bodies, both on the CPU: shapes, forward and every gradient.

mod branches;
mod detection;
mod maps;

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use kernels::{Activation, BatchNorm, Conv2d, GlobalPool, NormDepthwise, Pool2d};

use super::{ACTIVATIONS, Random, assert_close, conv_shapes, pool_shapes, wide};
use crate::Precision;
use crate::ops::batch_norm::{
    BatchNormOp, Optional, Saved, Statistics, composed_backward, composed_eval, composed_train,
};
use crate::ops::conv2d::{
    Conv2dOp, composed_conv2d, composed_conv2d_input_grad, composed_conv2d_weight_grad,
};
use crate::ops::cross_entropy::{
    CrossEntropyOp, composed_cross_entropy, composed_cross_entropy_backward,
};
use crate::ops::flex::{self, contiguous, floats};
use crate::ops::linear::{LinearOp, composed_linear, composed_linear_backward};
use crate::ops::norm_depthwise::{
    NormDepthwiseOp, composed_norm_depthwise, composed_norm_depthwise_backward,
};
use crate::ops::pool::{
    PoolOp, composed_avg_pool, composed_avg_pool_backward, composed_global_pool,
    composed_global_pool_backward, composed_max_pool, composed_max_pool_backward,
};

const TOLERANCE: f64 = 1e-5;

#[track_caller]
fn assert_same(what: &str, found: FlexTensor, expected: FlexTensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let (found, expected) = (contiguous(found), contiguous(expected));
    assert_close(what, floats(&found), &wide(floats(&expected)), tolerance);
}

#[test]
fn conv2d() {
    let mut random = Random::new(1);
    let mut cases = Vec::new();
    for index in 0..60 {
        let groups = random.of(1..=4);
        let channels = match index % 4 {
            0 => [groups * 5, groups * 5, groups * 5],
            1 => [1, random.of(1..=9), 1],
            _ => [groups * random.of(1..=5), groups * random.of(1..=5), groups],
        };
        cases.push(random.conv2d(channels));
    }
    // An image of one pixel, a whole stem, a dilated 3×3 and a wide depthwise 3×3.
    for (size, c_in, c_out, side, stride, dilation, groups) in [
        (1, 1, 1, 1, 1, 1, 1),
        (1, 3, 7, 3, 1, 1, 1),
        (21, 3, 16, 7, 2, 1, 1),
        (9, 24, 17, 3, 1, 4, 1),
        (13, 40, 40, 3, 2, 1, 40),
    ] {
        cases.push(Conv2d {
            n: 2,
            h: size,
            w: size,
            c_in,
            c_out,
            kernel: [side; 2],
            stride: [stride; 2],
            padding: [dilation * (side - 1) / 2; 2],
            dilation: [dilation; 2],
            groups,
        });
    }
    for d in cases {
        let [x, w, dy] = conv_shapes(&d).map(|shape| random.tensor(&shape));
        let what = |part| format!("{part} of {d:?}");
        assert_same(
            &what("y"),
            Flex::nhwc_conv2d(x.clone(), w.clone(), d),
            composed_conv2d::<Flex>(x.clone(), w.clone(), d),
            TOLERANCE,
        );
        assert_same(
            &what("dx"),
            Flex::nhwc_conv2d_input_grad(dy.clone(), w.clone(), d),
            composed_conv2d_input_grad::<Flex>(dy.clone(), w, d),
            TOLERANCE,
        );
        assert_same(
            &what("dw"),
            Flex::nhwc_conv2d_weight_grad(x.clone(), dy.clone(), d),
            composed_conv2d_weight_grad::<Flex>(x, dy, d),
            TOLERANCE,
        );
    }
}

/// The tensors of one batch norm.
struct Norm {
    shape: [usize; 4],
    dims: BatchNorm,
    x: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    residual: Option<FlexTensor>,
    /// Running statistics, for evaluation.
    mean: FlexTensor,
    variance: FlexTensor,
}

impl Norm {
    fn new(random: &mut Random, shape: [usize; 4], activation: Activation, add: bool) -> Norm {
        let [n, h, w, channels] = shape;
        let variance = random.numbers(channels).iter().map(|value| 1.5 + value).collect();
        Norm {
            shape,
            dims: BatchNorm { rows: n * h * w, channels, epsilon: 1e-5, activation },
            x: random.tensor(&shape),
            gamma: random.tensor(&[channels]),
            beta: random.tensor(&[channels]),
            residual: add.then(|| random.tensor(&shape)),
            mean: random.tensor(&[channels]),
            variance: flex::tensor(variance, &[channels]),
        }
    }

    fn residual(&self) -> Optional<Flex> {
        self.residual.clone().map_or(Optional::Absent, Optional::Present)
    }

    /// Forward by both; y, mean and variance of the kernels.
    fn forward(&self, statistics: Statistics, tolerance: f64) -> [FlexTensor; 3] {
        let Norm { shape, dims, x, gamma, beta, mean, variance, .. } = self;
        let what = |part| format!("{part} of {shape:?} {dims:?} {statistics:?}");
        let [x, gamma, beta] = [x, gamma, beta].map(FlexTensor::clone);
        let [mean, variance] = [mean, variance].map(FlexTensor::clone);
        match statistics {
            Statistics::Batch => {
                let (y, mean, variance) = Flex::batch_norm_train_op(
                    x.clone(),
                    gamma.clone(),
                    beta.clone(),
                    self.residual(),
                    *dims,
                );
                let expected = composed_train::<Flex>(x, gamma, beta, self.residual(), *dims);
                assert_same(&what("y"), y.clone(), expected.0, tolerance);
                // A mean is a small rest of large numbers.
                assert_same(&what("mean"), mean.clone(), expected.1, 10.0 * tolerance);
                assert_same(&what("variance"), variance.clone(), expected.2, tolerance);
                [y, mean, variance]
            }
            Statistics::Running => {
                let y = Flex::batch_norm_eval_op(
                    x.clone(),
                    gamma.clone(),
                    beta.clone(),
                    mean.clone(),
                    variance.clone(),
                    self.residual(),
                    *dims,
                );
                let given = [gamma, beta, mean.clone(), variance.clone()];
                let expected = composed_eval::<Flex>(x, given, self.residual(), *dims);
                assert_same(&what("y"), y.clone(), expected, tolerance);
                [y, mean, variance]
            }
        }
    }

    /// Backward by both, from the kernels' forward: near zero the two might not agree on ReLU's mask.
    fn check(&self, random: &mut Random, statistics: Statistics) {
        // Two rows leave differences of nearly equal numbers.
        let tolerance = if self.dims.rows < 3 { 1e-3 } else { TOLERANCE };
        let [y, mean, variance] = self.forward(statistics, tolerance);
        let y = self.residual.as_ref().map_or(Optional::Absent, |_| Optional::Present(y));
        let (gamma, beta) = (self.gamma.clone(), self.beta.clone());
        let saved = Saved { x: self.x.clone(), y, gamma, beta, mean, variance };
        let dy = random.tensor(&self.shape);
        let add = self.residual.is_some();
        let found =
            Flex::batch_norm_backward_op(saved.clone(), dy.clone(), statistics, add, self.dims);
        let expected = composed_backward::<Flex>(saved, dy, statistics, add, self.dims);
        let what = |part| format!("{part} of {:?} {:?} {statistics:?}", self.shape, self.dims);
        assert_same(&what("dx"), found.0, expected.0, tolerance);
        assert_same(&what("dγ"), found.1, expected.1, tolerance);
        assert_same(&what("dβ"), found.2, expected.2, tolerance);
        match (found.3, expected.3) {
            (Optional::Present(found), Optional::Present(expected)) if add => {
                assert_same(&what("dresidual"), found, expected, 0.0);
            }
            (Optional::Absent, Optional::Absent) if !add => {}
            _ => panic!("{}", what("a residual's gradient where none is, or none")),
        }
    }
}

#[test]
fn batch_norm() {
    let mut random = Random::new(2);
    let mut shapes = vec![[4, 1, 1, 1], [2, 1, 1, 3], [7, 1, 1, 5], [1, 9, 7, 1], [3, 40, 31, 20]];
    for _ in 0..8 {
        let [height, width] = random.pair(2..=9);
        shapes.push([random.of(1..=4), height, width, random.of(1..=70)]);
    }
    for shape in shapes {
        for activation in ACTIVATIONS {
            for add in [false, true] {
                let norm = Norm::new(&mut random, shape, activation, add);
                norm.check(&mut random, Statistics::Batch);
                norm.check(&mut random, Statistics::Running);
            }
        }
    }
}

#[test]
fn norm_depthwise() {
    let mut random = Random::new(12);
    for index in 0..30 {
        let channels = random.of(2..=40);
        let convolution = random.conv2d([channels; 3]);
        let activation = ACTIVATIONS[index % 2];
        let dims = NormDepthwise { convolution, epsilon: 1e-5, activation };
        let [x_shape, w_shape, y_shape] = conv_shapes(&convolution);
        let (x, w, dy) =
            (random.tensor(&x_shape), random.tensor(&w_shape), random.tensor(&y_shape));
        let [gamma, beta] = [(); 2].map(|()| random.tensor(&[channels]));
        // One or two rows leave differences of nearly equal numbers.
        let tolerance = if dims.norm().rows < 3 { 1e-3 } else { 10.0 * TOLERANCE };
        let what = |part| format!("{part} of {dims:?}");
        let (y, mean, variance) =
            Flex::norm_depthwise_train_op(x.clone(), gamma.clone(), beta.clone(), w.clone(), dims);
        let given = [gamma.clone(), beta.clone(), w.clone()];
        let expected = composed_norm_depthwise::<Flex>(x.clone(), given, dims);
        assert_same(&what("y"), y, expected.0, tolerance);
        assert_same(&what("mean"), mean.clone(), expected.1, tolerance);
        assert_same(&what("variance"), variance.clone(), expected.2, tolerance);
        let saved = Saved { x, y: Optional::Absent, gamma, beta, mean, variance };
        let found = Flex::norm_depthwise_backward_op(saved.clone(), w.clone(), dy.clone(), dims);
        let expected = composed_norm_depthwise_backward::<Flex>(saved, w, dy, dims);
        assert_same(&what("dx"), found.0, expected.0, tolerance);
        assert_same(&what("dγ"), found.1, expected.1, tolerance);
        assert_same(&what("dβ"), found.2, expected.2, tolerance);
        assert_same(&what("dw"), found.3, expected.3, tolerance);
    }
}

/// Random pools, of one pixel too, with and without the two options.
fn pools(random: &mut Random) -> Vec<Pool2d> {
    let mut pools = Vec::new();
    for (ceil_mode, count_include_pad) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        pools.extend((0..20).map(|_| random.pool(ceil_mode, count_include_pad)));
        pools.push(Pool2d {
            n: 2,
            h: 1,
            w: 1,
            c: 1,
            kernel: [2; 2],
            stride: [2; 2],
            padding: [1; 2],
            ceil_mode,
            count_include_pad,
        });
    }
    pools
}

#[test]
fn max_pool() {
    let mut random = Random::new(3);
    for d in pools(&mut random) {
        let [x, dy] = pool_shapes(&d).map(|shape| random.tensor(&shape));
        let (y, argmax) = Flex::nhwc_max_pool(x.clone(), d);
        let (expected, their_argmax) = composed_max_pool::<Flex>(x, d);
        assert_same(&format!("y of {d:?}"), y, expected, 0.0);
        assert_same(
            &format!("dx of {d:?}"),
            Flex::nhwc_max_pool_backward(argmax, dy.clone(), d),
            composed_max_pool_backward::<Flex>(their_argmax, dy, d),
            TOLERANCE,
        );
    }
}

#[test]
fn avg_pool() {
    let mut random = Random::new(4);
    for d in pools(&mut random) {
        let [x, dy] = pool_shapes(&d).map(|shape| random.tensor(&shape));
        assert_same(
            &format!("y of {d:?}"),
            Flex::nhwc_avg_pool(x.clone(), d),
            composed_avg_pool::<Flex>(x, d),
            TOLERANCE,
        );
        assert_same(
            &format!("dx of {d:?}"),
            Flex::nhwc_avg_pool_backward(dy.clone(), d),
            composed_avg_pool_backward::<Flex>(dy, d),
            TOLERANCE,
        );
    }
}

#[test]
fn global_pool() {
    let mut random = Random::new(5);
    for [n, height, width, c] in [[1, 1, 1, 1], [3, 1, 1, 5], [2, 7, 5, 1], [4, 6, 9, 70]] {
        let d = GlobalPool { n, hw: height * width, c };
        let (x, dy) = (random.tensor(&[n, height, width, c]), random.tensor(&[n, c]));
        assert_same(
            &format!("y of {d:?}"),
            Flex::nhwc_global_pool(x.clone(), [height, width], d),
            composed_global_pool::<Flex>(x, d),
            TOLERANCE,
        );
        assert_same(
            &format!("dx of {d:?}"),
            Flex::nhwc_global_pool_backward(dy.clone(), [height, width], d, Precision::F32),
            composed_global_pool_backward::<Flex>(dy, [height, width], d, Precision::F32),
            TOLERANCE,
        );
    }
}

#[test]
fn linear() {
    let mut random = Random::new(6);
    let mut shapes = vec![[1, 1, 1], [1, 33, 1], [9, 1, 4]];
    shapes.extend((0..20).map(|_| [random.of(1..=9), random.of(1..=70), random.of(1..=40)]));
    for [rows, c_in, c_out] in shapes {
        let (x, w) = (random.tensor(&[rows, c_in]), random.tensor(&[c_out, c_in]));
        let (b, dy) = (random.tensor(&[c_out]), random.tensor(&[rows, c_out]));
        let what = |part| format!("{part} of {rows} rows, {c_in} → {c_out}");
        assert_same(
            &what("y"),
            Flex::linear_op(x.clone(), w.clone(), b.clone()),
            composed_linear::<Flex>(x.clone(), w.clone(), b),
            TOLERANCE,
        );
        let found = Flex::linear_backward_op(x.clone(), w.clone(), dy.clone());
        let expected = composed_linear_backward::<Flex>(x, w, dy);
        assert_same(&what("dx"), found.0, expected.0, TOLERANCE);
        assert_same(&what("dw"), found.1, expected.1, TOLERANCE);
        assert_same(&what("db"), found.2, expected.2, TOLERANCE);
    }
}

#[test]
fn cross_entropy() {
    let mut random = Random::new(7);
    for [rows, classes] in [[1, 1], [1, 10], [5, 7], [9, 1000], [64, 3]] {
        let z: Vec<f32> = random.numbers(rows * classes).iter().map(|z| 9.0 * z).collect();
        // Rows need not sum to one for the two to agree.
        let p = random.numbers(rows * classes).iter().map(|p| p.abs()).collect();
        let (z, p) = (flex::tensor(z, &[rows, classes]), flex::tensor(p, &[rows, classes]));
        let what = |part| format!("{part} of {rows} rows, {classes} classes");
        let (loss, softmax) = Flex::cross_entropy(z.clone(), p.clone());
        let expected = composed_cross_entropy::<Flex>(z, p.clone());
        assert_same(&what("loss"), loss, expected.0, TOLERANCE);
        assert_same(&what("softmax"), softmax.clone(), expected.1, TOLERANCE);
        let dloss = random.tensor(&[1]);
        assert_same(
            &what("dz"),
            Flex::cross_entropy_backward(softmax.clone(), p.clone(), dloss.clone()),
            composed_cross_entropy_backward::<Flex>(softmax, p, dloss),
            TOLERANCE,
        );
    }
}

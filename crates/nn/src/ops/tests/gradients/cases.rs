//! Each operation as a function of flat inputs: by the public function, and by the textbook.

use burn::tensor::Tensor;
use kernels::{
    BatchNorm, BatchNormGradients, BatchNormSaved, Conv2d, GlobalPool, LinearDims, MeanVariance,
    Moments, NormDepthwise, Pool2d, textbook,
};

mod branches;
mod detection;
mod maps;

use super::super::super::norm_depthwise_train;
use super::super::{ACTIVATIONS, Random, conv_shapes, flat, pool_shapes, wide};
use crate::{
    Affine, ConvOptions, PoolOptions, avg_pool, batch_norm_eval, batch_norm_train, conv2d,
    cross_entropy, global_avg_pool, linear, max_pool,
};

type Facade = Box<dyn Fn(Shaped, &[Tensor<1>]) -> Tensor<1>>;
type Forward = Box<dyn Fn(&[Vec<f64>]) -> Vec<f64>>;
type Backward = Box<dyn Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>>>;

/// An operation; every input may get a gradient.
pub(super) struct Case {
    pub name: String,
    pub lengths: Vec<usize>,
    /// Flat y by the public function.
    pub facade: Facade,
    /// y by the textbook.
    pub forward: Forward,
    /// Gradients of the inputs for dy, by the textbook.
    pub backward: Backward,
}

/// How a case's flat input becomes an operation's input.
#[derive(Clone, Copy)]
pub(super) enum Shaped {
    Whole,
    /// As the end of a tensor twice as wide.
    View,
}

impl Shaped {
    fn tensor<const D: usize>(self, input: &Tensor<1>, shape: [usize; D]) -> Tensor<D> {
        let whole: Tensor<D> = input.clone().reshape(shape);
        match self {
            Shaped::Whole => whole,
            Shaped::View => {
                let width = shape[D - 1];
                Tensor::cat(vec![whole.clone(), whole], D - 1).narrow(D - 1, width, width)
            }
        }
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for channels in
        [[1, 1, 1], [3, 4, 1], [5, 2, 1], [4, 6, 2], [6, 3, 3], [4, 4, 4], [5, 5, 5], [8, 3, 1]]
    {
        cases.push(conv2d_case(random.conv2d(channels)));
    }
    let one_pixel = Conv2d {
        n: 3,
        h: 1,
        w: 1,
        c_in: 2,
        c_out: 3,
        kernel: [1; 2],
        stride: [1; 2],
        padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
    };
    cases.push(conv2d_case(one_pixel));
    for activation in ACTIVATIONS {
        for add in [false, true] {
            for shape in [[2, 3, 2, 5], [5, 1, 1, 3], [1, 4, 3, 1]] {
                let [n, h, w, channels] = shape;
                let dims = BatchNorm { rows: n * h * w, channels, epsilon: 1e-5, activation };
                let name = format!("batch norm {shape:?}, {activation:?}, residual {add}");
                cases.push(batch_norm_train_case(&name, dims, shape, add));
                cases.push(batch_norm_eval_case(&name, dims, shape, add, random));
            }
        }
    }
    for (ceil_mode, count_include_pad) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let (max, average) =
            (random.pool(ceil_mode, count_include_pad), random.pool(ceil_mode, count_include_pad));
        cases.push(max_pool_case(max));
        cases.push(avg_pool_case(average));
    }
    for shape in [[2, 3, 5, 4], [3, 1, 1, 2], [1, 2, 3, 1]] {
        cases.push(global_pool_case(shape));
    }
    for [rows, c_in, c_out] in [[1, 1, 1], [3, 5, 4], [4, 9, 1], [5, 1, 3]] {
        cases.push(linear_case(LinearDims { rows, c_in, c_out }));
    }
    for [rows, classes] in [[1, 2], [4, 7], [6, 1]] {
        cases.push(cross_entropy_case(rows, classes, random));
    }
    for activation in ACTIVATIONS {
        for (c, kernel, stride) in [(3, [3, 3], [1, 1]), (9, [3, 2], [2, 1])] {
            let image = Conv2d { n: 2, h: 5, w: 4, c_in: c, c_out: c, groups: c, ..one_pixel };
            let convolution = Conv2d { kernel, stride, padding: [1; 2], ..image };
            cases.push(norm_depthwise_case(NormDepthwise {
                convolution,
                epsilon: 1e-5,
                activation,
            }));
        }
    }
    cases.extend(branches::cases(random));
    cases.extend(maps::cases(random));
    cases.extend(detection::cases(random));
    cases
}

fn zeros(length: usize) -> Vec<f64> {
    vec![0.0; length]
}

fn filled(length: usize, fill: impl FnOnce(&mut [f64])) -> Vec<f64> {
    let mut values = zeros(length);
    fill(&mut values);
    values
}

fn conv2d_case(d: Conv2d) -> Case {
    let [x_shape, w_shape, _] = conv_shapes(&d);
    let options = ConvOptions {
        stride: d.stride,
        padding: d.padding,
        dilation: d.dilation,
        groups: d.groups,
    };
    Case {
        name: format!("{d:?}"),
        lengths: vec![d.x_len(), d.w_len()],
        facade: Box::new(move |shaped, inputs| {
            let (x, w) = (shaped.tensor(&inputs[0], x_shape), shaped.tensor(&inputs[1], w_shape));
            conv2d(x, w, options).reshape([-1])
        }),
        forward: Box::new(move |inputs| {
            filled(d.y_len(), |y| textbook::conv2d_forward(&d, &inputs[0], &inputs[1], y))
        }),
        backward: Box::new(move |inputs, dy| {
            let (x, w) = (&inputs[0], &inputs[1]);
            vec![
                filled(d.x_len(), |dx| textbook::conv2d_input_grad(&d, dy, w, dx)),
                filled(d.w_len(), |dw| textbook::conv2d_weight_grad(&d, x, dy, dw)),
            ]
        }),
    }
}

/// x, γ, β and, with `add`, the residual.
fn norm_lengths(d: &BatchNorm, add: bool) -> Vec<usize> {
    let length = d.rows * d.channels;
    let mut lengths = vec![length, d.channels, d.channels];
    lengths.extend(add.then_some(length));
    lengths
}

fn affine(inputs: &[Tensor<1>]) -> Affine {
    Affine { gamma: inputs[1].clone(), beta: inputs[2].clone(), epsilon: 1e-5 }
}

fn textbook_affine(inputs: &[Vec<f64>]) -> kernels::GammaBeta<'_, f64> {
    kernels::GammaBeta { gamma: &inputs[1], beta: &inputs[2] }
}

/// y, mean and variance.
fn textbook_train(d: &BatchNorm, inputs: &[Vec<f64>]) -> [Vec<f64>; 3] {
    let (mut mean, mut variance) = (zeros(d.channels), zeros(d.channels));
    let residual = inputs.get(3).map(Vec::as_slice);
    let y = filled(inputs[0].len(), |y| {
        let moments = Moments { mean: &mut mean, variance: &mut variance };
        textbook::batch_norm_train(d, &inputs[0], textbook_affine(inputs), residual, y, moments);
    });
    [y, mean, variance]
}

type TextbookBackward =
    fn(&BatchNorm, BatchNormSaved<'_, f64, f64>, &[f64], BatchNormGradients<'_, f64, f64>);

fn textbook_norm_backward(
    backward: TextbookBackward,
    d: &BatchNorm,
    inputs: &[Vec<f64>],
    [y, mean, variance]: [&[f64]; 3],
    dy: &[f64],
) -> Vec<Vec<f64>> {
    let mut gradients: Vec<Vec<f64>> = inputs.iter().map(|input| zeros(input.len())).collect();
    let [dx, dgamma, dbeta, rest @ ..] = gradients.as_mut_slice() else {
        unreachable!("x, γ and β")
    };
    let (dx, dresidual) = (dx.into(), rest.first_mut().map(Into::into));
    backward(
        d,
        BatchNormSaved {
            x: &inputs[0],
            y: Some(y),
            affine: textbook_affine(inputs),
            statistics: kernels::MeanVariance { mean, variance },
        },
        dy,
        BatchNormGradients { dx, dgamma, dbeta, dresidual },
    );
    gradients
}

pub(super) fn batch_norm_train_case(
    name: &str,
    d: BatchNorm,
    shape: [usize; 4],
    add: bool,
) -> Case {
    Case {
        name: format!("{name}, train"),
        lengths: norm_lengths(&d, add),
        facade: Box::new(move |shaped, inputs| {
            let residual = inputs.get(3).map(|residual| shaped.tensor(residual, shape));
            let x = shaped.tensor(&inputs[0], shape);
            batch_norm_train(x, affine(inputs), residual, d.activation).0.reshape([-1])
        }),
        forward: Box::new(move |inputs| {
            let [y, _, _] = textbook_train(&d, inputs);
            y
        }),
        backward: Box::new(move |inputs, dy| {
            let [y, mean, variance] = textbook_train(&d, inputs);
            let backward = textbook::batch_norm_train_backward::<f64>;
            textbook_norm_backward(backward, &d, inputs, [&y, &mean, &variance], dy)
        }),
    }
}

fn norm_depthwise_case(d: NormDepthwise) -> Case {
    let (conv, norm) = (d.convolution, d.norm());
    let [x_shape, w_shape, _] = conv_shapes(&conv);
    let options = ConvOptions {
        stride: conv.stride,
        padding: conv.padding,
        dilation: conv.dilation,
        groups: conv.groups,
    };
    Case {
        name: format!("{d:?}"),
        lengths: [norm_lengths(&norm, false), vec![conv.w_len()]].concat(),
        facade: Box::new(move |shaped, inputs| {
            let (x, w) = (shaped.tensor(&inputs[0], x_shape), shaped.tensor(&inputs[3], w_shape));
            let activation = d.activation;
            norm_depthwise_train(x, affine(inputs), activation, w, options).0.reshape([-1])
        }),
        forward: Box::new(move |inputs| {
            let [z, _, _] = textbook_train(&norm, &inputs[..3]);
            filled(conv.y_len(), |y| textbook::conv2d_forward(&conv, &z, &inputs[3], y))
        }),
        backward: Box::new(move |inputs, dy| {
            let [z, mean, variance] = textbook_train(&norm, &inputs[..3]);
            let w = &inputs[3];
            let dz = filled(conv.x_len(), |dz| textbook::conv2d_input_grad(&conv, dy, w, dz));
            let backward = textbook::batch_norm_train_backward::<f64>;
            let statistics = [&z[..], &mean, &variance];
            let mut gradients =
                textbook_norm_backward(backward, &norm, &inputs[..3], statistics, &dz);
            gradients.push(filled(conv.w_len(), |dw| {
                textbook::conv2d_weight_grad(&conv, &z, dy, dw);
            }));
            gradients
        }),
    }
}

fn batch_norm_eval_case(
    name: &str,
    d: BatchNorm,
    shape: [usize; 4],
    add: bool,
    random: &mut Random,
) -> Case {
    let mean = random.numbers(d.channels);
    let variance: Vec<f32> = random.numbers(d.channels).iter().map(|v| 1.5 + v).collect();
    let statistics = [flat(mean.clone()), flat(variance.clone())];
    let [mean, variance] = [wide(&mean), wide(&variance)];
    let forward = move |inputs: &[Vec<f64>], mean: &[f64], variance: &[f64]| {
        let residual = inputs.get(3).map(Vec::as_slice);
        let statistics = MeanVariance { mean, variance };
        let affine = textbook_affine(inputs);
        filled(inputs[0].len(), |y| {
            textbook::batch_norm_eval(&d, &inputs[0], affine, statistics, residual, y);
        })
    };
    let (mean2, variance2) = (mean.clone(), variance.clone());
    Case {
        name: format!("{name}, eval"),
        lengths: norm_lengths(&d, add),
        facade: Box::new(move |shaped, inputs| {
            let residual = inputs.get(3).map(|residual| shaped.tensor(residual, shape));
            let x = shaped.tensor(&inputs[0], shape);
            let statistics = statistics.clone();
            batch_norm_eval(x, affine(inputs), statistics, residual, d.activation).reshape([-1])
        }),
        forward: Box::new(move |inputs| forward(inputs, &mean, &variance)),
        backward: Box::new(move |inputs, dy| {
            let y = forward(inputs, &mean2, &variance2);
            let backward = textbook::batch_norm_eval_backward::<f64>;
            textbook_norm_backward(backward, &d, inputs, [&y, &mean2, &variance2], dy)
        }),
    }
}

fn pool_options(d: &Pool2d) -> PoolOptions {
    PoolOptions {
        kernel: d.kernel,
        stride: d.stride,
        padding: d.padding,
        ceil_mode: d.ceil_mode,
        count_include_pad: d.count_include_pad,
    }
}

fn max_pool_case(d: Pool2d) -> Case {
    let [shape, _] = pool_shapes(&d);
    let forward = move |x: &[f64]| {
        let mut argmax = vec![0; d.y_len()];
        let y = filled(d.y_len(), |y| textbook::max_pool_forward(&d, x, y, &mut argmax));
        (y, argmax)
    };
    Case {
        name: format!("max {d:?}"),
        lengths: vec![d.x_len()],
        facade: Box::new(move |shaped, inputs| {
            max_pool(shaped.tensor(&inputs[0], shape), pool_options(&d)).reshape([-1])
        }),
        forward: Box::new(move |inputs| forward(&inputs[0]).0),
        backward: Box::new(move |inputs, dy| {
            let (_, argmax) = forward(&inputs[0]);
            vec![filled(d.x_len(), |dx| textbook::max_pool_backward(&d, &argmax, dy, dx))]
        }),
    }
}

fn avg_pool_case(d: Pool2d) -> Case {
    let [shape, _] = pool_shapes(&d);
    Case {
        name: format!("average {d:?}"),
        lengths: vec![d.x_len()],
        facade: Box::new(move |shaped, inputs| {
            avg_pool(shaped.tensor(&inputs[0], shape), pool_options(&d)).reshape([-1])
        }),
        forward: Box::new(move |inputs| {
            filled(d.y_len(), |y| textbook::avg_pool_forward(&d, &inputs[0], y))
        }),
        backward: Box::new(move |_, dy| {
            vec![filled(d.x_len(), |dx| textbook::avg_pool_backward(&d, dy, dx))]
        }),
    }
}

fn global_pool_case(shape: [usize; 4]) -> Case {
    let [n, height, width, c] = shape;
    let d = GlobalPool { n, hw: height * width, c };
    let length = n * height * width * c;
    Case {
        name: format!("{d:?}"),
        lengths: vec![length],
        facade: Box::new(move |shaped, inputs| {
            global_avg_pool(shaped.tensor(&inputs[0], shape)).reshape([-1])
        }),
        forward: Box::new(move |inputs| {
            filled(n * c, |y| textbook::global_avg_pool_forward(&d, &inputs[0], y))
        }),
        backward: Box::new(move |_, dy| {
            vec![filled(length, |dx| textbook::global_avg_pool_backward(&d, dy, dx))]
        }),
    }
}

fn linear_case(d: LinearDims) -> Case {
    let (x_len, w_len) = (d.rows * d.c_in, d.c_out * d.c_in);
    Case {
        name: format!("{d:?}"),
        lengths: vec![x_len, w_len, d.c_out],
        facade: Box::new(move |shaped, inputs| {
            let x = shaped.tensor(&inputs[0], [d.rows, d.c_in]);
            let w = shaped.tensor(&inputs[1], [d.c_out, d.c_in]);
            linear(x, w, shaped.tensor(&inputs[2], [d.c_out])).reshape([-1])
        }),
        forward: Box::new(move |inputs| {
            let [x, w, b] = inputs else { unreachable!("x, w and b") };
            filled(d.rows * d.c_out, |y| textbook::linear_forward(&d, x, w, Some(b), y))
        }),
        backward: Box::new(move |inputs, dy| {
            vec![
                filled(x_len, |dx| textbook::linear_input_grad(&d, dy, &inputs[1], dx)),
                filled(w_len, |dw| textbook::linear_weight_grad(&d, &inputs[0], dy, dw)),
                filled(d.c_out, |db| textbook::linear_bias_grad(&d, dy, db)),
            ]
        }),
    }
}

/// The target is a constant: a distribution in each row.
fn cross_entropy_case(rows: usize, classes: usize, random: &mut Random) -> Case {
    let mut target: Vec<f32> = random.numbers(rows * classes).iter().map(|p| 1.5 + p).collect();
    for row in target.chunks_exact_mut(classes) {
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|p| *p /= sum);
    }
    let (p, p2, constant) = (wide(&target), wide(&target), flat(target));
    let forward = move |z: &[f64], p: &[f64]| {
        let mut softmax = zeros(rows * classes);
        let loss = textbook::cross_entropy_forward(rows, classes, z, p, &mut softmax);
        (loss, softmax)
    };
    Case {
        name: format!("cross entropy of {rows} rows, {classes} classes"),
        lengths: vec![rows * classes],
        facade: Box::new(move |shaped, inputs| {
            let target = constant.clone().reshape([rows, classes]);
            cross_entropy(shaped.tensor(&inputs[0], [rows, classes]), target)
        }),
        forward: Box::new(move |inputs| vec![forward(&inputs[0], &p).0]),
        backward: Box::new(move |inputs, dy| {
            let (_, softmax) = forward(&inputs[0], &p2);
            let dz = filled(rows * classes, |dz| {
                textbook::cross_entropy_backward(rows, classes, &softmax, &p2, dy[0], dz);
            });
            vec![dz]
        }),
    }
}

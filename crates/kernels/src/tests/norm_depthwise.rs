//! A batch norm and the depthwise convolution behind it in one, over random shapes.

use super::conv2d::random_dims;
use super::{Random, assert_results, wide};
use crate::{
    Activation, BatchNormGradients, BatchNormSaved, Conv2d, GammaBeta, MeanVariance, Moments,
    NormDepthwise, NormDepthwiseGradients, NormDepthwiseSaved, batch_norm_train, conv2d_forward,
    norm_depthwise, norm_depthwise_backward, textbook,
};

/// x, γ, β, w and dy.
type Inputs = [Vec<f32>; 5];

fn inputs(d: &Conv2d, random: &mut Random) -> Inputs {
    let lengths = [d.x_len(), d.c_in, d.c_in, d.w_len(), d.y_len()];
    lengths.map(|length| random.numbers(length))
}

fn kernels(d: &NormDepthwise, [x, gamma, beta, w, dy]: &Inputs) -> Vec<Vec<f32>> {
    let [mut y, mut mean, mut variance, mut dx, mut dgamma, mut dbeta, mut dw] =
        [dy, gamma, beta, x, gamma, beta, w].map(|like| vec![f32::NAN; like.len()]);
    let affine = GammaBeta { gamma, beta };
    let moments = Moments { mean: &mut mean, variance: &mut variance };
    norm_depthwise(d, x, affine, w, &mut y, moments);
    let statistics = MeanVariance { mean: &mean, variance: &variance };
    let gradients = NormDepthwiseGradients {
        dx: (&mut dx).into(),
        dgamma: &mut dgamma,
        dbeta: &mut dbeta,
        dw: &mut dw,
    };
    norm_depthwise_backward(d, NormDepthwiseSaved { x, affine, statistics, w }, dy, gradients);
    vec![y, mean, variance, dx, dgamma, dbeta, dw]
}

/// One after the other, by the book.
fn textbooks(d: &NormDepthwise, inputs: &Inputs) -> Vec<Vec<f64>> {
    let [x, gamma, beta, w, dy] = inputs.each_ref().map(|values| wide(values));
    let [mut z, mut mean, mut variance, mut y, mut dz, mut dx, mut dgamma, mut dbeta, mut dw] =
        [&x, &gamma, &beta, &dy, &x, &x, &gamma, &beta, &w].map(|like| vec![0.0; like.len()]);
    let (conv, norm) = (&d.convolution, &d.norm());
    let affine = GammaBeta { gamma: &gamma, beta: &beta };
    let moments = Moments { mean: &mut mean, variance: &mut variance };
    textbook::batch_norm_train(norm, &x, affine, None, &mut z, moments);
    textbook::conv2d_forward(conv, &z, &w, &mut y);
    textbook::conv2d_weight_grad(conv, &z, &dy, &mut dw);
    textbook::conv2d_input_grad(conv, &dy, &w, &mut dz);
    let statistics = MeanVariance { mean: &mean, variance: &variance };
    let saved = BatchNormSaved { x: &x, y: Some(&z), affine, statistics };
    let gradients = BatchNormGradients {
        dx: (&mut dx).into(),
        dgamma: &mut dgamma,
        dbeta: &mut dbeta,
        dresidual: None,
    };
    textbook::batch_norm_train_backward(norm, saved, &dz, gradients);
    vec![y, mean, variance, dx, dgamma, dbeta, dw]
}

fn cases(random: &mut Random) -> Vec<NormDepthwise> {
    let mut convolutions: Vec<Conv2d> = (0..60).map(|_| random_dims(random, true)).collect();
    let wide = Conv2d { n: 3, h: 23, w: 21, c_in: 64, c_out: 64, groups: 64, ..convolutions[0] };
    let same = Conv2d { kernel: [3; 2], padding: [1; 2], dilation: [1; 2], ..wide };
    convolutions.push(Conv2d { stride: [1; 2], ..same });
    convolutions.push(Conv2d { stride: [2; 2], ..same });
    // More images than tasks, and images of one pixel.
    convolutions.push(Conv2d { n: 75, h: 5, w: 4, stride: [1; 2], ..same });
    convolutions.push(Conv2d { n: 70, h: 1, w: 1, stride: [1; 2], ..same });
    let with = |convolution| {
        let activation = if random.flip() { Activation::Relu } else { Activation::Identity };
        NormDepthwise { convolution, epsilon: 1e-5, activation }
    };
    convolutions.into_iter().map(with).collect()
}

#[test]
fn random_shapes() {
    let mut random = Random::new(7);
    for d in cases(&mut random) {
        let inputs = inputs(&d.convolution, &mut random);
        let expected = textbooks(&d, &inputs);
        // One or two rows leave differences of nearly equal numbers.
        let tolerance = if d.norm().rows < 3 { 1e-3 } else { 5e-5 };
        assert_results(&format!("{d:?}"), || kernels(&d, &inputs), &expected, tolerance);
    }
}

/// What is never written has the bits that it would have.
#[test]
fn forward_is_both_to_the_bit() {
    let mut random = Random::new(8);
    for d in cases(&mut random) {
        let inputs = inputs(&d.convolution, &mut random);
        let [x, gamma, beta, w, dy] = &inputs;
        let [mut z, mut y, mut mean, mut variance] =
            [x, dy, gamma, beta].map(|like| vec![f32::NAN; like.len()]);
        let moments = Moments { mean: &mut mean, variance: &mut variance };
        batch_norm_train(&d.norm(), x, GammaBeta { gamma, beta }, None, &mut z, moments);
        conv2d_forward(&d.convolution, &z, w, &mut y);
        assert_eq!(kernels(&d, &inputs)[..3], [y, mean, variance], "{d:?}");
    }
}

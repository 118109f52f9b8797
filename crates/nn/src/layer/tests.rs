//! What a layer says of itself, and what it does to a tensor.

use burn::tensor::TensorData;
use rand::{Rng, SeedableRng};

use super::*;
use crate::{Init, Parameters, cpu, cross_entropy, global_avg_pool};

fn conv(name: &str, side: usize, c_in: usize, c_out: usize) -> ConvBn {
    ConvBn {
        conv: format!("{name}.conv"),
        bn: format!("{name}.bn"),
        kernel: [side; 2],
        c_in,
        c_out,
        stride: 1,
        dilation: 1,
        groups: 1,
        activation: Activation::Relu,
    }
}

fn pool(side: usize, stride: usize, padding: usize, ceil_mode: bool) -> PoolOptions {
    PoolOptions {
        kernel: [side; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        ceil_mode,
        count_include_pad: false,
    }
}

/// Path A halves the image in its last convolution; path B by a pool.
fn block() -> Residual {
    Residual {
        name: "block".to_owned(),
        path_a: vec![Layer::ConvBn(conv("a", 3, 4, 5))],
        last: ConvBn { stride: 2, ..conv("last", 3, 5, 6) },
        path_b: vec![
            Layer::AvgPool(pool(2, 2, 0, true)),
            Layer::ConvBn(ConvBn { activation: Activation::Identity, ..conv("b", 1, 4, 6) }),
        ],
    }
}

/// Every kind of layer over 4 channels.
fn layers() -> Vec<Layer> {
    let identity = Residual {
        name: "identity".to_owned(),
        path_a: Vec::new(),
        last: conv("last", 3, 4, 4),
        path_b: Vec::new(),
    };
    vec![
        Layer::ConvBn(conv("plain", 3, 4, 7)),
        Layer::ConvBn(ConvBn { stride: 2, ..conv("strided", 7, 4, 3) }),
        Layer::ConvBn(ConvBn { dilation: 3, groups: 2, ..conv("dilated", 3, 4, 6) }),
        Layer::ConvBn(ConvBn { groups: 4, stride: 2, ..conv("depthwise", 3, 4, 4) }),
        Layer::MaxPool(pool(3, 2, 1, false)),
        Layer::AvgPool(pool(2, 2, 0, true)),
        Layer::Residual(block()),
        Layer::Residual(identity),
    ]
}

struct Net {
    layers: Vec<Layer>,
    parameters: Parameters,
    statistics: Statistics,
}

impl Net {
    fn new(layers: Vec<Layer>) -> Net {
        let (mut specs, mut found) = (Vec::new(), Vec::new());
        layers.iter().for_each(|layer| layer.parameters(&mut specs));
        layers.iter().for_each(|layer| layer.conv_bns(&mut found));
        let norms: Vec<(String, usize)> =
            found.iter().map(|layer| (layer.bn.clone(), layer.c_out)).collect();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(21);
        let values = specs.iter().map(|spec| Init::Xavier.values(spec, 1.0, &mut random)).collect();
        let parameters = Parameters::new(specs, values, &cpu());
        Net { layers, parameters, statistics: Statistics::new(&norms, &cpu()) }
    }

    fn forward(&mut self, mode: Mode, leaves: &Leaves, x: Tensor<4>) -> Tensor<4> {
        chain(&self.layers, &mut Pass { mode, leaves, statistics: &mut self.statistics }, x)
    }

    fn statistics(&self) -> Vec<Vec<f32>> {
        self.statistics.iter().flat_map(|(_, pair)| pair.clone().map(numbers)).collect()
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_into_vec().expect("tensors here are f32")
}

fn image(shape: [usize; 4]) -> Tensor<4> {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(22);
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), &cpu())
}

#[test]
fn a_layer_tells_the_shape_of_its_output() {
    for layer in layers() {
        for [height, width] in [[9, 7], [8, 8], [2, 3]] {
            let mut net = Net::new(vec![layer.clone()]);
            let leaves = net.parameters.constant();
            let [out_h, out_w, c_out] = layer.output([height, width, 4]);
            for mode in [Mode::Train, Mode::Eval] {
                let y = net.forward(mode, &leaves, image([2, height, width, 4]));
                assert_eq!(y.dims(), [2, out_h, out_w, c_out], "{layer:?}");
            }
            assert_eq!(out_h, height.div_ceil(layer.stride()), "{layer:?}");
        }
    }
}

#[test]
fn evaluation_leaves_the_running_statistics_alone() {
    let mut net = Net::new(vec![Layer::Residual(block())]);
    let leaves = net.parameters.constant();
    let fresh = net.statistics();
    let x = image([3, 6, 5, 4]);
    let first = numbers(net.forward(Mode::Eval, &leaves, x.clone()));
    assert_eq!(net.statistics(), fresh);
    assert_eq!(numbers(net.forward(Mode::Eval, &leaves, x.clone())), first);

    let trained = numbers(net.forward(Mode::Train, &leaves, x.clone()));
    assert_ne!(trained, first);
    assert!(net.statistics().iter().zip(&fresh).all(|(moved, fresh)| moved != fresh));
    // The batch's own statistics do not depend on the running ones.
    assert_eq!(numbers(net.forward(Mode::Train, &leaves, x.clone())), trained);
    assert_ne!(numbers(net.forward(Mode::Eval, &leaves, x)), first);
}

#[test]
fn running_statistics_hold_no_graph() {
    let mut net = Net::new(vec![Layer::Residual(block())]);
    let leaves = net.parameters.tracked();
    let y = net.forward(Mode::Train, &leaves, image([2, 6, 6, 4]));
    assert!(y.is_tracked());
    let mut all = net.statistics.iter().flat_map(|(_, pair)| pair);
    assert!(all.all(|statistic| !statistic.is_autodiff()));
}

#[test]
fn an_identity_block_adds_its_input() {
    let mut net = Net::new(vec![layers()[7].clone()]);
    let specs: Vec<ParameterSpec> = net.parameters.iter().map(|p| p.spec.clone()).collect();
    // With weights and β of 0 nothing comes out of path A.
    let value = |spec: &ParameterSpec| f32::from(matches!(spec.role, Role::Gamma { .. }));
    let values = specs.iter().map(|spec| vec![value(spec); spec.len()]).collect();
    let without_path_a = Parameters::new(specs, values, &cpu()).constant();
    let x = image([2, 5, 3, 4]);
    let expected: Vec<f32> = numbers(x.clone()).iter().map(|value| value.max(0.0)).collect();
    assert_eq!(numbers(net.forward(Mode::Train, &without_path_a, x.clone())), expected);
    let leaves = net.parameters.constant();
    assert_ne!(numbers(net.forward(Mode::Train, &leaves, x)), expected);
}

#[test]
fn every_parameter_gets_a_gradient() {
    let mut net = Net::new(vec![Layer::Residual(block())]);
    let leaves = net.parameters.tracked();
    let y = net.forward(Mode::Train, &leaves, image([2, 7, 7, 4]));
    let target =
        Tensor::from_data([[1.0f32, 0., 0., 0., 0., 0.], [0., 0., 0.5, 0.5, 0., 0.]], &cpu());
    let loss = cross_entropy(global_avg_pool(y), target);
    for (parameter, gradient) in net.parameters.iter().zip(leaves.gradients(loss)) {
        let gradient = numbers(gradient);
        assert_eq!(gradient.len(), parameter.spec.len());
        assert!(gradient.iter().any(|&value| value != 0.0), "{}", parameter.spec.name);
    }
}

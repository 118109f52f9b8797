//! What a layer says of itself, and what it does to a tensor.

use burn::tensor::TensorData;
use rand::{Rng, SeedableRng};

use super::*;
use crate::module::NormSpec;
use crate::pass::Draw;
use crate::statistics::Statistics;
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
        padding: Padding::Same,
        bias: false,
        epsilon: EPSILON,
        activation: Activation::Relu,
        frozen_norm: false,
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
        squeeze_excitation: None,
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
        squeeze_excitation: None,
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
        Layer::Residual(Residual { squeeze_excitation: Some(excitation()), ..block() }),
        Layer::Conv(biased()),
        Layer::Conv(Conv { bias: None, ..biased() }),
        Layer::Norm(norm()),
        Layer::Branches(vec![
            Vec::new(),
            vec![Layer::Norm(norm()), Layer::ConvBn(conv("c", 1, 4, 3)), Layer::Ceiling(0.5)],
            vec![Layer::Conv(biased())],
        ]),
        Layer::Dropout(Dropout { share: 0.25, index: 0 }),
    ]
}

fn excitation() -> SqueezeExcitation {
    SqueezeExcitation { name: "se".to_owned(), channels: 6, reduced: 2 }
}

fn biased() -> Conv {
    Conv {
        name: "biased".to_owned(),
        kernel: [1, 3],
        c_in: 4,
        c_out: 5,
        padding: Padding::Same,
        bias: Some(Activation::Relu),
    }
}

fn norm() -> Norm {
    Norm { name: "norm".to_owned(), channels: 4, activation: Activation::Relu, frozen: false }
}

struct Net {
    layers: Vec<Layer>,
    parameters: Parameters,
    statistics: Statistics,
}

impl Net {
    fn new(layers: Vec<Layer>) -> Net {
        let (mut specs, mut parts) = (Vec::new(), Vec::new());
        layers.iter().for_each(|layer| layer.parameters(&mut specs));
        layers.iter().for_each(|layer| layer.parts(&mut parts));
        let norms: Vec<NormSpec> = parts.iter().filter_map(Part::norm).collect();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(21);
        let values = specs
            .iter()
            .map(|spec| crate::init::values(Init::Xavier, spec, 1.0, &mut random))
            .collect();
        let parameters = Parameters::new(specs, values, &cpu());
        Net { layers, parameters, statistics: Statistics::new(&norms, &cpu()) }
    }

    /// A training pass, behind which the running statistics move.
    fn train(&mut self, leaves: &Leaves, x: Tensor<4>) -> Tensor<4> {
        let observations = Observations::default();
        let pass = Pass::training(leaves, &self.statistics, &observations, Draw::default());
        let y = chain(&self.layers, &pass, x);
        self.statistics.observe(&observations.into_table());
        y
    }

    fn evaluate(&self, leaves: &Leaves, x: Tensor<4>) -> Tensor<4> {
        chain(&self.layers, &Pass::evaluation(leaves, &self.statistics), x)
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
            let x = || image([2, height, width, 4]);
            for y in [net.train(&leaves, x()), net.evaluate(&leaves, x())] {
                assert_eq!(y.dims(), [2, out_h, out_w, c_out], "{layer:?}");
            }
            assert_eq!(out_h, height.div_ceil(layer.stride()), "{layer:?}");
        }
    }
}

#[test]
fn layers_without_a_border_or_with_a_least_size_tell_theirs() {
    for (layer, input, expected) in [
        (Layer::ConvBn(ConvBn { padding: Padding::None, ..conv("c", 3, 4, 7) }), [9, 5], [7, 3]),
        (Layer::Conv(Conv { padding: Padding::None, ..biased() }), [4, 6], [4, 4]),
        (Layer::Stretch(5), [2, 3], [5, 5]),
        (Layer::Stretch(5), [9, 3], [9, 5]),
        (Layer::Stretch(5), [5, 8], [5, 8]),
    ] {
        let net = Net::new(vec![layer.clone()]);
        let leaves = net.parameters.constant();
        let [out_h, out_w, c_out] = layer.output([input[0], input[1], 4]);
        assert_eq!([out_h, out_w], expected, "{layer:?}");
        let y = net.evaluate(&leaves, image([2, input[0], input[1], 4]));
        assert_eq!(y.dims(), [2, out_h, out_w, c_out], "{layer:?}");
    }
}

/// PyTorch's windows: from ⌊i·3/5⌋ to ⌈(i + 1)·3/5⌉.
#[test]
fn stretching_averages_pytorchs_windows() {
    let x = image([1, 3, 5, 4]);
    let values = numbers(x.clone());
    let y = numbers(stretch(x, 5));
    for (row, window) in [0..1, 0..2, 1..2, 1..3, 2..3].into_iter().enumerate() {
        for at in 0..5 * 4 {
            let mean = window.clone().map(|from| values[from * 20 + at]).sum::<f32>()
                / window.len() as f32;
            assert!((y[row * 20 + at] - mean).abs() < 1e-6, "row {row}");
        }
    }
}

/// A bias before a batch norm changes its running mean, and nothing else in training.
#[test]
fn a_bias_before_a_batch_norm_moves_the_mean() {
    let layer = |bias| vec![Layer::ConvBn(ConvBn { bias, ..conv("c", 3, 4, 5) })];
    let (mut without, mut with) = (Net::new(layer(false)), Net::new(layer(true)));
    let bias: Vec<f32> = (0..5).map(|c| c as f32 - 1.5).collect();
    let mut values: Vec<Vec<f32>> =
        without.parameters.iter().map(|p| numbers(p.value.clone())).collect();
    values.insert(1, bias.clone());
    let specs = with.parameters.iter().map(|p| p.spec.clone()).collect();
    with.parameters = Parameters::new(specs, values, &cpu());
    let (plain, biased) = (without.parameters.constant(), with.parameters.constant());
    let x = image([3, 6, 5, 4]);
    assert_eq!(numbers(with.train(&biased, x.clone())), numbers(without.train(&plain, x.clone())));
    for (c, (with, without)) in
        with.statistics()[0].iter().zip(&without.statistics()[0]).enumerate()
    {
        assert!((with - without - 0.1 * bias[c]).abs() < 1e-6, "channel {c}");
    }
    let found = numbers(with.evaluate(&biased, x.clone()));
    let expected = numbers(without.evaluate(&plain, x.clone()));
    // Running means are 0.9 of nothing and 0.1 of the batch's: nine tenths of the bias show.
    assert_ne!(found, expected);
    let gradients = with.parameters.tracked();
    let loss = with.train(&gradients, x).sum();
    assert_eq!(numbers(gradients.gradients(loss).remove(1)), vec![0.0; 5]);
}

/// In a chain a batch norm is fused into the depthwise convolution behind it; one by one it is not.
#[test]
fn fused_batch_norms_give_what_single_ones_give() {
    let depthwise = |name, stride| ConvBn { groups: 6, stride, ..conv(name, 3, 6, 6) };
    let layers = |bias| {
        let d = ConvBn { bias, ..conv("d", 1, 6, 6) };
        let all = [conv("a", 1, 4, 6), depthwise("b", 1), depthwise("c", 2), d, depthwise("e", 1)];
        all.map(Layer::ConvBn).to_vec()
    };
    gradients_reach([layers(false), vec![Layer::ConvBn(conv("last", 1, 6, 6))]].concat());
    let layers = layers(true);
    let (mut whole, mut single) = (Net::new(layers.clone()), Net::new(layers.clone()));
    let (leaves, x) = (whole.parameters.constant(), image([3, 7, 6, 4]));
    let fused = numbers(whole.train(&leaves, x.clone()));
    let observations = Observations::default();
    let pass = Pass::training(&leaves, &single.statistics, &observations, Draw::default());
    let y = layers.iter().fold(x, |x, layer| layer.forward(&pass, x));
    assert_eq!(fused, numbers(y));
    single.statistics.observe(&observations.into_table());
    assert_eq!(whole.statistics(), single.statistics());
}

#[test]
fn dropout_acts_in_training_only_and_anew_in_each_step() {
    let dropout = |index| Dropout { share: 0.5, index };
    let net = Net::new(Vec::new());
    let leaves = net.parameters.constant();
    let x = Tensor::<2>::ones([4, 500], &cpu());
    let pass = Pass::evaluation(&leaves, &net.statistics);
    assert_eq!(numbers(dropout(0).forward(&pass, x.clone())), vec![1.0; 2000]);
    let observations = Observations::default();
    let run = |index, draw| {
        let pass = Pass::training(&leaves, &net.statistics, &observations, draw);
        numbers(dropout(index).forward(&pass, x.clone()))
    };
    let draw = Draw { seed: 1, step: 1, part: 0 };
    let first = run(0, draw);
    assert!(first.iter().all(|&value| value == 0.0 || value == 2.0));
    assert_eq!(run(0, draw), first, "a step done again");
    assert_ne!(run(0, Draw { step: 2, ..draw }), first, "another step");
    assert_ne!(run(0, Draw { part: 1, ..draw }), first, "another part");
    assert_ne!(run(1, draw), first, "another layer");
}

#[test]
fn a_forward_pass_moves_nothing_and_training_reports_what_it_observed() {
    let mut net = Net::new(vec![Layer::Residual(block())]);
    let leaves = net.parameters.constant();
    let fresh = net.statistics();
    let x = image([3, 6, 5, 4]);
    let first = numbers(net.evaluate(&leaves, x.clone()));
    assert_eq!(net.statistics(), fresh);
    assert_eq!(numbers(net.evaluate(&leaves, x.clone())), first);

    let trained = numbers(net.train(&leaves, x.clone()));
    assert_ne!(trained, first);
    assert!(net.statistics().iter().zip(&fresh).all(|(moved, fresh)| moved != fresh));
    // The batch's own statistics do not depend on the running ones.
    assert_eq!(numbers(net.train(&leaves, x.clone())), trained);
    assert_ne!(numbers(net.evaluate(&leaves, x)), first);
}

#[test]
fn running_statistics_hold_no_graph() {
    let mut net = Net::new(vec![Layer::Residual(block())]);
    let leaves = net.parameters.tracked();
    let y = net.train(&leaves, image([2, 6, 6, 4]));
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
    assert_eq!(numbers(net.train(&without_path_a, x.clone())), expected);
    let leaves = net.parameters.constant();
    assert_ne!(numbers(net.train(&leaves, x)), expected);
}

#[test]
fn every_parameter_gets_a_gradient() {
    let excited = Residual { squeeze_excitation: Some(excitation()), ..block() };
    gradients_reach(vec![Layer::Residual(block())]);
    gradients_reach(vec![Layer::Residual(excited)]);
    let branch = vec![Layer::Norm(norm()), Layer::ConvBn(conv("c", 1, 4, 1)), Layer::Ceiling(9.0)];
    let last = Conv { c_in: 10, c_out: 6, name: "last".to_owned(), ..biased() };
    gradients_reach(vec![
        Layer::Branches(vec![Vec::new(), branch, vec![Layer::Conv(biased())]]),
        Layer::Stretch(9),
        Layer::Dropout(Dropout { share: 0.1, index: 3 }),
        Layer::Conv(last),
    ]);
}

fn gradients_reach(layers: Vec<Layer>) {
    let mut net = Net::new(layers);
    let leaves = net.parameters.tracked();
    let y = net.train(&leaves, image([2, 7, 7, 4]));
    let target =
        Tensor::from_data([[1.0f32, 0., 0., 0., 0., 0.], [0., 0., 0.5, 0.5, 0., 0.]], &cpu());
    let loss = cross_entropy(global_avg_pool(y), target);
    for (parameter, gradient) in net.parameters.iter().zip(leaves.gradients(loss)) {
        let gradient = numbers(gradient);
        assert_eq!(gradient.len(), parameter.spec.len());
        assert!(gradient.iter().any(|&value| value != 0.0), "{}", parameter.spec.name);
    }
}

/// Weights before, between and behind frozen batch norms train; the norms use their running statistics and keep γ and β.
#[test]
fn weights_between_frozen_batch_norms_train() {
    let frozen = |layer: ConvBn| ConvBn { frozen_norm: true, ..layer };
    let depthwise = ConvBn { groups: 6, ..conv("b", 3, 6, 6) };
    let layers = |freeze: bool| {
        let all = [conv("a", 1, 4, 6), depthwise.clone(), conv("c", 3, 6, 6)];
        let all = all.map(|layer| if freeze { frozen(layer) } else { layer });
        [
            all.map(Layer::ConvBn).to_vec(),
            vec![Layer::Norm(Norm { channels: 6, frozen: freeze, ..norm() })],
        ]
        .concat()
    };
    let mut net = Net::new(layers(true));
    let free = Net::new(layers(false));
    let names: Vec<&str> = net.parameters.trainable().map(|p| p.spec.name.as_str()).collect();
    assert_eq!(names, ["a.conv.weight", "b.conv.weight", "c.conv.weight"]);
    let x = image([2, 7, 7, 4]);
    let leaves = net.parameters.tracked();
    let before = net.statistics();
    let y = net.train(&leaves, x.clone());
    assert_eq!(net.statistics(), before);
    let constant = free.parameters.constant();
    assert_eq!(numbers(y.clone()), numbers(free.evaluate(&constant, x.clone())));
    // The same weights get the gradients of evaluation.
    let gradients = leaves.gradients(y.sum());
    let tracked = free.parameters.tracked();
    let loss = free.evaluate(&tracked, x).sum();
    let all = tracked.gradients(loss);
    let weights = free.parameters.iter().zip(all).filter(|(p, _)| p.spec.name.contains("conv."));
    for ((parameter, expected), found) in weights.zip(gradients) {
        let found = numbers(found);
        assert_eq!(found, numbers(expected), "{}", parameter.spec.name);
        assert!(found.iter().any(|&value| value != 0.0));
    }
}

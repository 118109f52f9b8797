//! A step and an evaluation of FCN on ResNet-50-B against torchvision's `fcn_resnet50` in f64 (`refs/torch_fcn.py`, which
//! describes all formulas). A tensor may be off by eight times the error of PyTorch's own f32.

use std::sync::Arc;

use nn::{
    ClassMaps, Draw, FileTensor, FileTensors, Model, Observations, Pass, Tensor, TensorData,
    file_shapes, map_cross_entropy, to_file_tensor,
};
use safetensors::SafeTensors;
use zoo::Options;

use crate::network::Segmenter;

const ALLOWED: f64 = 8.0;
const CLASSES: usize = 21;
const SIDE: usize = 64;
const BATCH: usize = 2;
const KEPT: usize = 60;

/// Element i of tensor t of `refs/torch_formula.py`.
pub(super) fn uniform(t: u64, i: u64) -> f64 {
    const LOW: u64 = 0xFFFF_FFFF;
    let mut h = (i * 2_654_435_761 + (t + 1) * 40_503 * 65_537) & LOW;
    h ^= h >> 16;
    h = (h * 0x45d_9f3b) & LOW;
    h ^= h >> 16;
    h as f64 / 4_294_967_296.0 - 0.5
}

fn fill(t: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let value = |u: f64| match name.rsplit_once('.').expect("layer.tensor").1 {
        "weight" if shape.len() >= 2 => (2.0 * u) * (3.0 / fan_in).sqrt(),
        "weight" => 0.35 + 0.14 * u,
        "running_var" => 1.0 + 0.4 * u,
        "running_mean" => 0.2 * u,
        _ if name.ends_with(".4.bias") => 0.2 * u,
        _ => 1.0 + 0.2 * u,
    };
    (0..shape.iter().product::<usize>()).map(|i| value(uniform(t, i as u64)) as f32).collect()
}

fn model() -> Model<Segmenter> {
    let options = Options { dilations: [1, 1, 2, 4], ..Options::plain(1) };
    let network = zoo::network("resnet50", &options).expect("a known name");
    let segmenter = Segmenter::new(network, CLASSES, true).expect("a ResNet").without_dropout();
    let model = model_of(segmenter);
    assert_eq!(model.tensors().len(), 279, "torchvision's tensors without its counters");
    model
}

/// A segmenter whose tensors are formulas of their place in the order of names.
pub(super) fn model_of(segmenter: Segmenter) -> Model<Segmenter> {
    let mut shapes = file_shapes(&segmenter);
    shapes.sort();
    let tensors: FileTensors = shapes
        .into_iter()
        .enumerate()
        .map(|(t, (name, shape))| {
            let values = fill(t as u64, &name, &shape);
            (name, FileTensor { shape, values })
        })
        .collect();
    Model::from_tensors(segmenter, tensors, &nn::cpu()).expect("torchvision's names and shapes")
}

fn images() -> Tensor<4> {
    let mut values = Vec::new();
    for n in 0..BATCH {
        for at in 0..SIDE * SIDE {
            let value = |c: usize| {
                (4.0 * uniform(1_000_006, ((n * 3 + c) * SIDE * SIDE + at) as u64)) as f32
            };
            values.extend((0..3).map(value));
        }
    }
    Tensor::from_data(TensorData::new(values, [BATCH, SIDE, SIDE, 3]), &nn::cpu())
}

fn maps() -> Arc<ClassMaps> {
    let class = |at: usize| {
        let class = ((uniform(1_000_007, at as u64) + 0.5) * 26.0).floor() as u16;
        if usize::from(class) < CLASSES { class } else { ClassMaps::IGNORED }
    };
    let classes = (0..BATCH * SIDE * SIDE).map(class).collect();
    Arc::new(ClassMaps { n: BATCH, height: SIDE, width: SIDE, classes })
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_into_vec().expect("tensors here are f32")
}

/// Every tensor of the file, as f32 computes it.
fn measured() -> Vec<(String, Vec<f32>)> {
    let model = model();
    let leaves = model.parameters.constant();
    let pass = Pass::evaluation(&leaves, &model.statistics);
    let (z, auxiliary) = model.module.forward_both(&pass, images());
    let auxiliary = auxiliary.expect("it has an auxiliary head");
    let mut found = vec![
        ("logits".to_owned(), numbers(z)),
        ("auxiliary_logits".to_owned(), numbers(auxiliary)),
    ];
    for (prefix, corners) in [("centers", false), ("corners", true)] {
        let (leaves, observations) = (model.parameters.tracked(), Observations::default());
        let pass = Pass::training(&leaves, &model.statistics, &observations, Draw::default());
        let (z, auxiliary) = model.module.forward_both(&pass, images());
        let losses = [z, auxiliary.expect("it has an auxiliary head")]
            .map(|z| map_cross_entropy(z, &maps(), corners));
        let values = losses.iter().flat_map(|loss| numbers(loss.clone().inner())).collect();
        found.push((format!("{prefix}.losses"), values));
        let [head, auxiliary] = losses;
        let gradients = leaves.gradients(head + auxiliary * 0.5);
        for (parameter, gradient) in model.parameters.iter().zip(gradients) {
            let FileTensor { values, .. } = to_file_tensor(&parameter.spec, &gradient);
            found.push((format!("{prefix}.{}", parameter.spec.name), values));
        }
    }
    found
}

#[test]
fn a_step_and_an_evaluation_are_torchvisions() {
    let bytes = include_bytes!("../../testdata/fcn_resnet50.safetensors");
    let file = SafeTensors::deserialize(bytes).expect("a safetensors file");
    let read = |name: &str| -> Vec<f64> {
        let view = file.tensor(name).unwrap_or_else(|_| panic!("{name} is in the file"));
        let (values, _) = view.data().as_chunks::<8>();
        values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
    };
    let measured = measured();
    assert_eq!(measured.len() * 2, file.len(), "a tensor of the file has no counterpart");
    let mut failures = Vec::new();
    for (name, found) in measured {
        let (exact, facts) = (read(&name), read(&format!("{name}.facts")));
        let found: Vec<f32> = found.iter().copied().step_by(found.len().div_ceil(KEPT)).collect();
        assert_eq!(found.len(), exact.len(), "{name}");
        let differences = found.iter().zip(&exact).map(|(&a, b)| (f64::from(a) - b).abs());
        let ours = differences.fold(0.0, f64::max);
        // An f32 that happens to be exact is no measure.
        let theirs = facts[0].max(1e-7 * facts[1]);
        println!("{name:60} {:8.1e} ratio {:5.2}", ours / facts[1], ours / theirs);
        // A NaN is no pass.
        if ours.is_nan() || ours > ALLOWED * theirs {
            failures.push(format!("{name}: {ours:.1e}, PyTorch's f32 {theirs:.1e}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

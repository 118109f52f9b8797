//! A step of each network against timm's on PyTorch in f64 (`refs/timm_vectors.py`, which describes all formulas).

use nn::{Leaves, Mode, Pass, Tensor, TensorData, cross_entropy};
use safetensors::{Dtype, SafeTensors};

use super::{image, numbers, plain, uniform};
use crate::model::file_shape;
use crate::{FileTensor, FileTensors, Model, Network, to_file_tensor};

/// A tensor may be off by this many times the error of PyTorch's own f32.
const ALLOWED: f64 = 8.0;

const VECTORS: [(&str, &[u8]); 5] = [
    ("resnet18", include_bytes!("../../testdata/resnet18.safetensors")),
    ("resnet18d", include_bytes!("../../testdata/resnet18d.safetensors")),
    ("resnet50", include_bytes!("../../testdata/resnet50.safetensors")),
    ("resnet50c", include_bytes!("../../testdata/resnet50c.safetensors")),
    ("resnet50d", include_bytes!("../../testdata/resnet50d.safetensors")),
];

const BATCH: usize = 4;
const SIDE: usize = 64;
const CLASSES: usize = 1000;
/// The first classes of the logits are in the file.
const KEPT_CLASSES: usize = 100;

/// Tensor t, in PyTorch's layout. A 50-layer net keeps the inputs of its ReLUs away from zero.
fn fill(t: u64, name: &str, shape: &[usize], calm: bool) -> Vec<f32> {
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let (_, leaf) = name.rsplit_once('.').expect("layer.tensor");
    let value = |u: f64| match leaf {
        "weight" if shape.len() >= 2 => (2.0 * u) * (3.0 / fan_in).sqrt(),
        "weight" if calm => 0.35 + 0.14 * u,
        "weight" | "running_var" => 1.0 + 0.4 * u,
        "bias" if calm && name != "fc.bias" => 1.0 + 0.2 * u,
        "bias" | "running_mean" => 0.2 * u,
        _ => panic!("no formula for {name}"),
    };
    (0..shape.iter().product::<usize>()).map(|i| value(uniform(t, i as u64)) as f32).collect()
}

fn model(network: Network) -> Model {
    let calm = !network.name.starts_with("resnet18");
    let mut shapes: Vec<(String, Vec<usize>)> =
        network.parameters().iter().map(|spec| (spec.name.clone(), file_shape(spec))).collect();
    for (norm, channels) in network.batch_norms() {
        for kind in ["running_mean", "running_var"] {
            shapes.push((format!("{norm}.{kind}"), vec![channels]));
        }
    }
    shapes.sort();
    let tensors: FileTensors = shapes
        .into_iter()
        .enumerate()
        .map(|(t, (name, shape))| {
            let values = fill(t as u64, &name, &shape, calm);
            (name, FileTensor { shape, values })
        })
        .collect();
    Model::from_tensors(network, tensors, &nn::cpu()).expect("all tensors, rightly shaped")
}

/// x `[n, h, w, 3]`, whose numbers are counted in NCHW order.
fn images() -> Tensor<4> {
    let nchw = |n, c, at| ((n * 3 + c) * SIDE * SIDE + at) as u64;
    let mut values = Vec::new();
    for n in 0..BATCH {
        for at in 0..SIDE * SIDE {
            values.extend((0..3).map(|c| (4.0 * uniform(1_000_006, nchw(n, c, at))) as f32));
        }
    }
    image(values, [BATCH, SIDE, SIDE, 3])
}

fn targets() -> Tensor<2> {
    let mut p = vec![0.0f32; BATCH * CLASSES];
    for (r, row) in p.chunks_exact_mut(CLASSES).enumerate() {
        row[(37 * r + 5) % CLASSES] = 0.9;
        row[(91 * r + 400) % CLASSES] = 0.1;
    }
    Tensor::from_data(TensorData::new(p, [BATCH, CLASSES]), &nn::cpu())
}

/// Name and values of what the file holds of a step, as f32 computes it.
fn measure(model: &mut Model) -> Vec<(String, Vec<f32>)> {
    let kept = |z: Tensor<2>| numbers(z.narrow(1, 0, KEPT_CLASSES));
    let mut found = vec![("eval.logits".to_owned(), kept(model.logits(images())))];
    let leaves: Leaves = model.parameters.tracked();
    let mut pass =
        Pass { mode: Mode::Train, leaves: &leaves, statistics: &mut model.statistics, noise: 0 };
    let z = model.network.forward(&mut pass, images());
    found.push(("train.logits".to_owned(), kept(z.clone().inner())));
    let loss = cross_entropy(z, targets());
    found.push(("train.loss".to_owned(), numbers(loss.clone().inner())));
    for (parameter, gradient) in model.parameters.iter().zip(leaves.gradients(loss)) {
        let FileTensor { values, .. } = to_file_tensor(&parameter.spec, &gradient);
        let step = if values.len() > 10_000 { 7 } else { 1 };
        let values = values.into_iter().step_by(step).collect();
        found.push((format!("grad.{}", parameter.spec.name), values));
    }
    for (norm, [mean, variance]) in model.statistics.iter() {
        for (kind, statistic) in [("running_mean", mean), ("running_var", variance)] {
            found.push((format!("running.{norm}.{kind}"), numbers(statistic.clone())));
        }
    }
    found
}

fn read(file: &SafeTensors, name: &str) -> Option<Vec<f64>> {
    let view = file.tensor(name).ok()?;
    assert_eq!(view.dtype(), Dtype::F64);
    let (values, _) = view.data().as_chunks::<8>();
    Some(values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}

/// max |found − exact| / max |exact|.
fn error(found: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let greatest = exact.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let differences = found.iter().zip(exact).map(|(&a, b)| (f64::from(a) - b).abs());
    differences.fold(0.0, f64::max) / greatest
}

fn check(name: &str) {
    let (_, bytes) = VECTORS.into_iter().find(|(known, _)| *known == name).expect("vectors");
    let file = SafeTensors::deserialize(bytes).expect("a safetensors file");
    let (mut compared, mut failures) = (0, Vec::new());
    for (tensor, found) in measure(&mut model(plain(name))) {
        let Some(exact) = read(&file, &tensor) else { continue };
        let theirs = read(&file, &format!("{tensor}.error")).expect("an error")[0];
        let ours = error(&found, &exact);
        let ratio = ours / theirs;
        println!("{name:10} {tensor:36} {ours:8.1e} {theirs:8.1e} ratio {ratio:5.2}");
        compared += 2;
        // A NaN is no pass.
        if ratio.is_nan() || ratio > ALLOWED {
            failures.push(format!("{tensor}: {ours:.1e}, PyTorch's f32 {theirs:.1e}"));
        }
    }
    assert_eq!(compared, file.len(), "{name}: a tensor of the file has no counterpart");
    assert!(failures.is_empty(), "{name}: {failures:#?}");
}

#[test]
fn resnet18() {
    check("resnet18");
}

#[test]
fn resnet18d() {
    check("resnet18d");
}

#[test]
fn resnet50() {
    check("resnet50");
}

#[test]
fn resnet50c() {
    check("resnet50c");
}

#[test]
fn resnet50d() {
    check("resnet50d");
}

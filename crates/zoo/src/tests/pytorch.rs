//! A step of each network against timm's on PyTorch in f64 (`refs/timm_vectors.py`, `refs/timm_zoo_vectors.py`, which
//! describe all formulas).

use nn::{
    Draw, FileTensor, FileTensors, Layer, Model, Observations, Pass, Tensor, TensorData,
    cross_entropy, file_shapes, to_file_tensor,
};
use safetensors::{Dtype, SafeTensors};

use super::{image, numbers, plain, uniform};
use crate::Network;

/// A tensor may be off by this many times the error of PyTorch's own f32.
const ALLOWED: f64 = 8.0;

pub(super) const CLASSES: usize = 1000;
/// The first classes of the logits are in the file.
const KEPT_CLASSES: usize = 100;

/// What the script calls the formulas of its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Formula {
    Wild,
    /// Keeps the inputs of ReLUs away from zero.
    Calm,
    /// Wild, and 3 more in every bias but the classifier's.
    Lifted,
}

/// A network, its file, and what the script fed it.
struct Case {
    name: &'static str,
    file: &'static [u8],
    batch: usize,
    side: usize,
    formula: Formula,
    /// t of the images.
    image: u64,
    /// Of a gradient of so many numbers every how manieth is in the file.
    step: fn(usize) -> usize,
}

/// The cases of `refs/timm_vectors.py`.
fn residual(name: &'static str, file: &'static [u8]) -> Case {
    let formula = if name.starts_with("resnet18") { Formula::Wild } else { Formula::Calm };
    let step = |count| if count > 10_000 { 7 } else { 1 };
    Case { name, file, batch: 4, side: 64, formula, image: 1_000_006, step }
}

/// Those of `refs/timm_zoo_vectors.py`, where no more is said of them.
fn other(name: &'static str, file: &'static [u8]) -> Case {
    let step = |count: usize| count.div_ceil(500);
    Case { name, file, batch: 4, side: 64, formula: Formula::Calm, image: 1_000_006, step }
}

/// Those of them that are brief.
fn brief(name: &'static str, file: &'static [u8]) -> Case {
    let formula = match name {
        _ if name.ends_with("_relu6") => Formula::Lifted,
        "resnet18_original" => Formula::Wild,
        _ => Formula::Calm,
    };
    let image = match name {
        "resnext101_32x4d" => 1_000_040,
        _ => 1_000_006,
    };
    let step = |count: usize| count.div_ceil(100);
    Case { formula, image, step, ..other(name, file) }
}

macro_rules! vectors {
    ($name:literal) => {
        include_bytes!(concat!("../../testdata/", $name, ".safetensors"))
    };
}

/// Tensor t, in PyTorch's layout.
fn fill(t: u64, name: &str, shape: &[usize], formula: Formula) -> Vec<f32> {
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let (_, leaf) = name.rsplit_once('.').expect("layer.tensor");
    let calm = formula == Formula::Calm;
    let value = |u: f64| match leaf {
        "weight" if shape.len() >= 2 => (2.0 * u) * (3.0 / fan_in).sqrt(),
        "weight" if calm => 0.35 + 0.14 * u,
        "weight" | "running_var" => 1.0 + 0.4 * u,
        "bias" if calm && name != "fc.bias" => 1.0 + 0.2 * u,
        "bias" | "running_mean" => 0.2 * u,
        _ => panic!("no formula for {name}"),
    };
    let lifted = formula == Formula::Lifted && leaf == "bias" && name != "classifier.bias";
    let lift = if lifted { 3.0 } else { 0.0 };
    (0..shape.iter().product::<usize>())
        .map(|i| value(uniform(t, i as u64)) as f32 + lift)
        .collect()
}

pub(super) fn model(network: Network, formula: Formula) -> Model<Network> {
    let mut shapes = file_shapes(&network);
    shapes.sort();
    let tensors: FileTensors = shapes
        .into_iter()
        .enumerate()
        .map(|(t, (name, shape))| {
            let values = fill(t as u64, &name, &shape, formula);
            (name, FileTensor { shape, values })
        })
        .collect();
    Model::from_tensors(network, tensors, &nn::cpu()).expect("all tensors, rightly shaped")
}

/// x `[n, h, w, 3]`, whose numbers are counted in NCHW order.
fn images(Case { batch, side, image: t, .. }: &Case) -> Tensor<4> {
    let nchw = |n, c, at| ((n * 3 + c) * side * side + at) as u64;
    let mut values = Vec::new();
    for n in 0..*batch {
        for at in 0..side * side {
            values.extend((0..3).map(|c| (4.0 * uniform(*t, nchw(n, c, at))) as f32));
        }
    }
    image(values, [*batch, *side, *side, 3])
}

fn targets(batch: usize) -> Tensor<2> {
    let mut p = vec![0.0f32; batch * CLASSES];
    for (r, row) in p.chunks_exact_mut(CLASSES).enumerate() {
        row[(37 * r + 5) % CLASSES] = 0.9;
        row[(91 * r + 400) % CLASSES] = 0.1;
    }
    Tensor::from_data(TensorData::new(p, [batch, CLASSES]), &nn::cpu())
}

/// timm drops nothing unless it is told to.
fn without_dropout(mut network: Network) -> Network {
    network.dropout.share = 0.0;
    network.head.retain(|layer| !matches!(layer, Layer::Dropout(_)));
    network
}

/// Name and values of what the file holds of a step, as f32 computes it.
fn measure(model: &mut Model<Network>, case: &Case) -> Vec<(String, Vec<f32>)> {
    let kept = |z: Tensor<2>| numbers(z.narrow(1, 0, KEPT_CLASSES));
    let mut found = vec![("eval.logits".to_owned(), kept(crate::logits(model, images(case))))];
    let (leaves, observations) = (model.parameters.tracked(), Observations::default());
    let pass = Pass::training(&leaves, &model.statistics, &observations, Draw::default());
    let (z, auxiliary) = model.module.forward_both(&pass, images(case));
    found.push(("train.logits".to_owned(), kept(z.clone().inner())));
    let mut loss = cross_entropy(z, targets(case.batch));
    if let Some(z) = auxiliary {
        loss = loss + cross_entropy(z, targets(case.batch)) * 0.4;
    }
    found.push(("train.loss".to_owned(), numbers(loss.clone().inner())));
    for (parameter, gradient) in model.parameters.iter().zip(leaves.gradients(loss)) {
        let FileTensor { values, .. } = to_file_tensor(&parameter.spec, &gradient);
        let step = (case.step)(values.len());
        let values = values.into_iter().step_by(step).collect();
        found.push((format!("grad.{}", parameter.spec.name), values));
    }
    model.statistics.observe(&observations.into_table());
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

fn check(case: &Case) {
    check_network(case, plain(case.name));
}

fn check_network(case: &Case, network: Network) {
    let mut model = model(without_dropout(network), case.formula);
    compare(case.name, case.file, measure(&mut model, case));
}

/// Compares what f32 computes with a file of PyTorch's f64 results, by the rule of eight.
pub(super) fn compare(name: &str, file: &[u8], measured: Vec<(String, Vec<f32>)>) {
    let file = SafeTensors::deserialize(file).expect("a safetensors file");
    let (mut compared, mut failures) = (0, Vec::new());
    for (tensor, found) in measured {
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

macro_rules! cases {
    ($($test:ident: $case:expr;)*) => {
        $(
            #[test]
            fn $test() {
                check(&$case);
            }
        )*
    };
}

cases! {
    resnet18: residual("resnet18", vectors!("resnet18"));
    resnet18d: residual("resnet18d", vectors!("resnet18d"));
    resnet50: residual("resnet50", vectors!("resnet50"));
    resnet50c: residual("resnet50c", vectors!("resnet50c"));
    resnet50d: residual("resnet50d", vectors!("resnet50d"));
    resnet50s: other("resnet50s", vectors!("resnet50s"));
    resnet50_original: other("resnet50_original", vectors!("resnet50_original"));
    resnext50: other("resnext50_32x4d", vectors!("resnext50_32x4d"));
    seresnet50: other("seresnet50", vectors!("seresnet50"));
    seresnet50_original: other("seresnet50_original", vectors!("seresnet50_original"));
    seresnext50: other("seresnext50_32x4d", vectors!("seresnext50_32x4d"));
    inception_v3: Case {
        side: 107, image: 1_000_013, ..other("inception_v3", vectors!("inception_v3"))
    };
    inception_v3_aux: Case {
        batch: 2, side: 299, ..other("inception_v3_aux", vectors!("inception_v3_aux"))
    };
    mobilenetv1_100: other("mobilenetv1_100", vectors!("mobilenetv1_100"));
    mobilenetv1_100_relu6: Case {
        formula: Formula::Lifted, ..other("mobilenetv1_100_relu6", vectors!("mobilenetv1_100_relu6"))
    };
    mobilenetv1_025: other("mobilenetv1_025", vectors!("mobilenetv1_025"));
    densenet121: other("densenet121", vectors!("densenet121"));
    densenet201: other("densenet201", vectors!("densenet201"));
    resnet18_original: brief("resnet18_original", vectors!("resnet18_original"));
    resnet18c: brief("resnet18c", vectors!("resnet18c"));
    resnet34_original: brief("resnet34_original", vectors!("resnet34_original"));
    resnet34: brief("resnet34", vectors!("resnet34"));
    resnet34c: brief("resnet34c", vectors!("resnet34c"));
    resnet34d: brief("resnet34d", vectors!("resnet34d"));
    resnet101_original: brief("resnet101_original", vectors!("resnet101_original"));
    resnet101: brief("resnet101", vectors!("resnet101"));
    resnet101c: brief("resnet101c", vectors!("resnet101c"));
    resnet101d: brief("resnet101d", vectors!("resnet101d"));
    resnet101s: brief("resnet101s", vectors!("resnet101s"));
    resnet152_original: brief("resnet152_original", vectors!("resnet152_original"));
    resnet152: brief("resnet152", vectors!("resnet152"));
    resnet152c: brief("resnet152c", vectors!("resnet152c"));
    resnet152d: brief("resnet152d", vectors!("resnet152d"));
    resnet152s: brief("resnet152s", vectors!("resnet152s"));
    resnext101_32x4d: brief("resnext101_32x4d", vectors!("resnext101_32x4d"));
    seresnet101: brief("seresnet101", vectors!("seresnet101"));
    seresnet152: brief("seresnet152", vectors!("seresnet152"));
    seresnext101_32x4d: brief("seresnext101_32x4d", vectors!("seresnext101_32x4d"));
    mobilenetv1_025_relu6: brief("mobilenetv1_025_relu6", vectors!("mobilenetv1_025_relu6"));
    mobilenetv1_050: brief("mobilenetv1_050", vectors!("mobilenetv1_050"));
    mobilenetv1_050_relu6: brief("mobilenetv1_050_relu6", vectors!("mobilenetv1_050_relu6"));
    mobilenetv1_075: brief("mobilenetv1_075", vectors!("mobilenetv1_075"));
    mobilenetv1_075_relu6: brief("mobilenetv1_075_relu6", vectors!("mobilenetv1_075_relu6"));
    densenet169: brief("densenet169", vectors!("densenet169"));
}

/// With 64 units in the first hidden layer, of 4096.
fn check_vgg(case: &Case) {
    let mut net = crate::vgg::by_name(case.name).expect("a known name");
    net.hidden = 64;
    check_network(case, net.network(CLASSES));
}

#[test]
fn vgg19() {
    check_vgg(&Case { formula: Formula::Wild, ..other("vgg19", vectors!("vgg19")) });
}

#[test]
fn vgg19_bn() {
    check_vgg(&Case { side: 32, image: 1_000_046, ..other("vgg19_bn", vectors!("vgg19_bn")) });
}

#[test]
fn vgg16() {
    let case = brief("vgg16", vectors!("vgg16"));
    check_vgg(&Case { side: 32, image: 1_000_043, ..case });
}

#[test]
fn vgg16_bn() {
    let case = brief("vgg16_bn", vectors!("vgg16_bn"));
    check_vgg(&Case { side: 32, image: 1_000_046, ..case });
}

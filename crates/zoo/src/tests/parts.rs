//! A step over a batch of eight parts, each with batch norm statistics of its own, against PyTorch in f64
//! (`refs/parts.py`, which describes all formulas).

use nn::{
    BatchMean, Contribution, Draw, FileTensor, Observations, Pass, Tensor, TensorData, Tree,
    cross_entropy, to_file_tensor,
};

use super::pytorch::{CLASSES, Formula, compare, model};
use super::{image, numbers, plain, uniform};

const PARTS: usize = 8;
const ROWS: usize = 4;
const SIDE: usize = 64;
/// t of the images.
const IMAGE: u64 = 1_000_035;

fn images(part: usize) -> Tensor<4> {
    let nchw = |n, c, at| ((n * 3 + c) * SIDE * SIDE + at) as u64;
    let mut values = Vec::new();
    for n in part * ROWS..(part + 1) * ROWS {
        for at in 0..SIDE * SIDE {
            values.extend((0..3).map(|c| (4.0 * uniform(IMAGE, nchw(n, c, at))) as f32));
        }
    }
    image(values, [ROWS, SIDE, SIDE, 3])
}

fn targets(part: usize) -> Tensor<2> {
    let mut p = vec![0.0f32; ROWS * CLASSES];
    for (row, p) in p.chunks_exact_mut(CLASSES).enumerate() {
        let r = part * ROWS + row;
        p[(37 * r + 5) % CLASSES] = 0.9;
        p[(91 * r + 400) % CLASSES] = 0.1;
    }
    Tensor::from_data(TensorData::new(p, [ROWS, CLASSES]), &nn::cpu())
}

/// Name and values of what the file holds of the step, as f32 computes it.
fn measure() -> Vec<(String, Vec<f32>)> {
    let mut model = model(plain("resnet18d"), Formula::Calm);
    let (mut tree, mut losses) = (Tree::default(), Vec::new());
    for part in 0..PARTS {
        let (leaves, observations) = (model.parameters.tracked(), Observations::default());
        let pass = Pass::training(&leaves, &model.statistics, &observations, Draw::default());
        let loss = cross_entropy(model.module.forward(&pass, images(part)), targets(part));
        losses.extend(numbers(loss.clone().inner()));
        tree.add(Contribution::of_part(leaves, loss.into(), observations, None));
    }
    let batch = BatchMean::of(tree.sum(), PARTS, None);
    let mut found = vec![("train.losses".to_owned(), losses)];
    found.push(("train.loss".to_owned(), vec![batch.read().loss]));
    let (gradients, observed) = batch.into_means(1.0);
    for (parameter, gradient) in model.parameters.iter().zip(&gradients) {
        let FileTensor { values, .. } = to_file_tensor(&parameter.spec, gradient);
        let step = values.len().div_ceil(500);
        let values = values.into_iter().step_by(step).collect();
        found.push((format!("grad.{}", parameter.spec.name), values));
    }
    model.statistics.observe(&observed);
    for (norm, [mean, variance]) in model.statistics.iter() {
        for (kind, statistic) in [("running_mean", mean), ("running_var", variance)] {
            found.push((format!("running.{norm}.{kind}"), numbers(statistic.clone())));
        }
    }
    found
}

#[test]
fn eight_parts_are_one_step_as_pytorch_makes_it() {
    compare("parts", include_bytes!("../../testdata/parts.safetensors"), measure());
}

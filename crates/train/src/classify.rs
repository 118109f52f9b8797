//! Image classification: the task of §2 to §5.

use std::sync::Arc;
use std::time::Duration;

use data::{
    Batch, BatchParts, Dataset, Resources, Skipped, TrainLoader, ValidationLoader, ValidationShare,
};
use nn::{Leaves, Mode, Pass, Tensor, TensorData, cross_entropy, stored};
use recipe::{Normalize, Recipe, Validation};
use zoo::Model;

use crate::algorithm::{self, Ending};
use crate::error::TrainError;
use crate::examples::{self, Examples, Position};
use crate::plan::{Plan, precision};
use crate::predictions::Prediction;
use crate::run::Run;
use crate::state::State;
use crate::task::{Evaluation, Task};
use crate::teacher::Teacher;

/// Images of a validation batch, whatever the recipe's: the same model then gives the same bits in `train` and `eval`.
const VALIDATION_BATCH: usize = 50;

/// Share of an auxiliary classifier's loss (Inception-V3), as torchvision trains it.
const AUXILIARY_SHARE: f32 = 0.4;

/// The classification of a plan's images.
pub struct Classify {
    recipe: Recipe,
    dataset: Arc<Dataset>,
    steps_per_epoch: u64,
    /// The step of the next batch.
    step: u64,
    teacher: Option<Teacher>,
    loader: TrainLoader,
    /// Of the last batch.
    skipped: Vec<Skipped>,
    resources: Resources,
}

impl Classify {
    /// Goes on from `step`. Training and validation have a loader each, so each has half of the memory.
    pub fn new(plan: &Plan, step: u64, resources: Resources) -> Result<Classify, TrainError> {
        let resources = Resources { memory: resources.memory / 2, ..resources };
        let loader = TrainLoader::new(
            plan.dataset.clone(),
            plan.recipe.preprocess.clone(),
            plan.recipe.data.on_bad_sample,
            plan.recipe.seed,
            BatchParts::whole(plan.recipe.train.batch),
            step,
            resources,
        )?;
        let teacher = plan.recipe.distillation.as_ref();
        Ok(Classify {
            recipe: plan.recipe.clone(),
            dataset: plan.dataset.clone(),
            steps_per_epoch: plan.steps_per_epoch,
            step,
            teacher: teacher.map(|recipe| Teacher::load(recipe, &nn::cpu())).transpose()?,
            loader,
            skipped: Vec::new(),
            resources,
        })
    }
}

impl Task for Classify {
    type Part = Examples;

    fn batch(&mut self) -> Result<Vec<Examples>, TrainError> {
        let mut batch = self.loader.next()?;
        self.skipped = std::mem::take(&mut batch.skipped);
        let position = Position { epoch: self.step / self.steps_per_epoch, step: self.step };
        self.step += 1;
        Ok(examples::examples(&self.recipe, self.dataset.classes.len(), position, batch))
    }

    fn loss(&self, model: &mut Model, leaves: &Leaves, part: Examples) -> Tensor<1> {
        let p = Tensor::from_data(part.targets, &model.device);
        let x: Tensor<4> = Tensor::from_data(part.images, &model.device);
        let (statistics, noise) = (&mut model.statistics, part.noise);
        let mut pass = Pass { mode: Mode::Train, leaves, statistics, noise };
        // The teacher sees the images as they are.
        let images = stored(x.clone(), precision(&self.recipe));
        let (z, auxiliary) = model.network.forward_both(&mut pass, images);
        let loss = match &self.teacher {
            Some(teacher) => teacher.loss(z, p.clone(), x),
            None => cross_entropy(z, p.clone()),
        };
        with_auxiliary(loss, auxiliary, p)
    }

    fn evaluate(&mut self, model: &mut Model) -> Result<Evaluation, TrainError> {
        let (validation, normalize) = (self.recipe.validation, self.recipe.preprocess.normalize);
        evaluate(model, &self.dataset, validation, normalize, self.resources)
    }

    fn skipped(&mut self) -> Vec<Skipped> {
        std::mem::take(&mut self.skipped)
    }

    fn waited(&self) -> Duration {
        self.loader.waited()
    }
}

/// The loss, and beside it that of an auxiliary classifier, where there is one.
pub fn with_auxiliary(loss: Tensor<1>, z: Option<Tensor<2>>, p: Tensor<2>) -> Tensor<1> {
    match z {
        Some(z) => loss + cross_entropy(z, p) * AUXILIARY_SHARE,
        None => loss,
    }
}

/// Takes a run to its end, its model written, or to where a signal stops it, which gives None.
pub fn train_to_end(
    run: &mut Run,
    state: &mut State,
    resources: Resources,
) -> Result<Option<Evaluation>, TrainError> {
    let mut task = Classify::new(run.plan(), state.step, resources)?;
    if algorithm::train(&mut task, state, run)? == Ending::Stopped {
        run.pause();
        return Ok(None);
    }
    run.save(state)?;
    run.finish(state)?;
    match run.last_evaluation() {
        Some(evaluation) => Ok(Some(evaluation.clone())),
        None => task.evaluate(state.evaluated()).map(Some),
    }
}

/// Accuracy and mean loss over the validation part, each image counted once. It is in f32 whatever precision the model was
/// trained in: the master weights are f32, and inference keeps no activations.
pub fn evaluate(
    model: &mut Model,
    dataset: &Arc<Dataset>,
    validation: Validation,
    normalize: Normalize,
    resources: Resources,
) -> Result<Evaluation, TrainError> {
    let batch = VALIDATION_BATCH;
    let share = ValidationShare::WHOLE;
    let mut loader =
        ValidationLoader::new(dataset.clone(), (validation, normalize), batch, share, resources)?;
    let (mut loss, mut first, mut five, mut count) = (0.0, 0u64, 0u64, 0u64);
    let mut predictions = Vec::with_capacity(dataset.validation.len());
    while let Some(batch) = loader.next()? {
        let labels = batch.annotations.clone();
        let x = Tensor::from_data(images(batch), &model.device);
        let logits = rows(model.logits(x));
        for (z, &label) in logits.iter().zip(&labels) {
            let rank = rank(z, label as usize);
            first += u64::from(rank < 1);
            five += u64::from(rank < 5);
            loss += negative_log_likelihood(z, label as usize);
            predictions.push(Prediction::of(z, label));
        }
        count += labels.len() as u64;
    }
    let percent = |hits: u64| 100.0 * hits as f64 / count as f64;
    Ok(Evaluation {
        loss: loss / count as f64,
        top1: percent(first),
        top5: percent(five),
        images: count,
        predictions,
    })
}

/// The images of a batch as a tensor `[n, side, side, 3]`.
fn images(batch: Batch) -> TensorData {
    let n = batch.annotations.len();
    let side = (batch.images.len() / (3 * n)).isqrt();
    TensorData::new(batch.images, [n, side, side, 3])
}

/// Logits by image.
pub fn rows(logits: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, classes] = logits.dims();
    let values: Vec<f32> = logits.into_data().try_into_vec().expect("logits are f32");
    values.chunks_exact(classes).map(<[f32]>::to_vec).collect()
}

/// How many classes beat the true one; of equal logits the lower index counts as first. NaN beats everything, so that
/// a broken model scores nothing.
fn rank(z: &[f32], label: usize) -> usize {
    let own = z[label];
    let beats = |(class, &other): (usize, &f32)| {
        class != label && (other > own || (other == own && class < label) || other.is_nan())
    };
    if own.is_nan() { z.len() } else { z.iter().enumerate().filter(|&each| beats(each)).count() }
}

fn negative_log_likelihood(z: &[f32], label: usize) -> f64 {
    let largest = z.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(f64::from(b)));
    let sum: f64 = z.iter().map(|&value| (f64::from(value) - largest).exp()).sum();
    sum.ln() - (f64::from(z[label]) - largest)
}

/// Probabilities of logits.
pub fn softmax(z: &[f32]) -> Vec<f64> {
    let largest = z.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(f64::from(b)));
    let powers: Vec<f64> = z.iter().map(|&value| (f64::from(value) - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_the_classes_ahead() {
        for (z, label, expected) in [
            (vec![1.0, 3.0, 2.0], 1, 0),
            (vec![1.0, 3.0, 2.0], 0, 2),
            (vec![2.0, 2.0, 2.0], 0, 0),
            (vec![2.0, 2.0, 2.0], 2, 2),
            (vec![f32::NAN, 2.0], 1, 1),
            (vec![1.0, f32::NAN], 1, 2),
        ] {
            assert_eq!(rank(&z, label), expected, "{z:?} {label}");
        }
    }

    #[test]
    fn softmax_of_large_logits_is_finite() {
        let p = softmax(&[1000.0, 999.0]);
        assert!((p[0] - 1.0 / (1.0 + (-1.0f64).exp())).abs() < 1e-12);
        assert!((negative_log_likelihood(&[0.0, 0.0], 1) - 2.0f64.ln()).abs() < 1e-12);
    }
}

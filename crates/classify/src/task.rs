//! Image classification: the task of §2 to §5.

use std::sync::Arc;

use data::Dataset;
use nn::{Loss, Model, Pass, Precision, Tensor, TensorData, cross_entropy, stored};
use recipe::Recipe;
use train::Task;
use zoo::Network;

use crate::answer::Answer;
use crate::error::ClassifyError;
use crate::examples::Examples;
use crate::measure::Accuracy;
use crate::teacher::Teacher;

/// Share of an auxiliary classifier's loss (Inception-V3), as torchvision trains it.
const AUXILIARY_SHARE: f32 = 0.4;

/// The classification of images by a network, perhaps with a teacher.
#[derive(Debug)]
pub struct Classify {
    precision: Precision,
    teacher: Option<Teacher>,
    /// Where the validation images come from; None where nothing is evaluated.
    dataset: Option<Arc<Dataset>>,
}

/// A batch of validation images and their labels.
#[derive(Clone, Debug)]
pub struct Question {
    /// `[n, side, side, 3]`.
    pub images: TensorData,
    pub labels: Vec<u32>,
}

impl Classify {
    /// The task of a recipe, with its teacher loaded.
    pub fn new(
        recipe: &Recipe,
        dataset: Arc<Dataset>,
        device: &nn::Device,
    ) -> Result<Classify, ClassifyError> {
        let teacher = recipe.distillation.as_ref();
        let teacher = teacher.map(|by| Teacher::load(by, device)).transpose()?;
        Ok(Classify { precision: recipe.train.precision, teacher, dataset: Some(dataset) })
    }

    /// A task without a teacher and without validation images, for benchmarks and checks.
    pub fn bare(precision: Precision) -> Classify {
        Classify { precision, teacher: None, dataset: None }
    }

    /// A task for evaluation alone.
    pub(crate) fn of_validation(dataset: Arc<Dataset>) -> Classify {
        Classify { dataset: Some(dataset), ..Classify::bare(Precision::F32) }
    }
}

impl Task for Classify {
    type Module = Network;
    type Part = Examples;
    type Question = Question;
    type Answer = Answer;
    type Measure = Accuracy;

    fn loss(&self, model: &Model<Network>, pass: &Pass, part: Examples) -> Loss {
        let p: Tensor<2> = Tensor::from_data(part.targets, &model.device);
        let x: Tensor<4> = Tensor::from_data(part.images, &model.device);
        let images = stored(x.clone(), self.precision);
        let (z, auxiliary) = model.module.forward_both(pass, images);
        let mut loss: Loss = match &self.teacher {
            None => cross_entropy(z, p.clone()).into(),
            Some(teacher) => {
                // The teacher sees the images in f32.
                let [labels, teacher] = teacher.terms(z, p.clone(), x);
                let total = labels.clone() + teacher.clone();
                Loss { total, terms: vec![("labels", labels), ("teacher", teacher)] }
            }
        };
        if let Some(z) = auxiliary {
            if loss.terms.is_empty() {
                loss.terms.push(("labels", loss.total.clone()));
            }
            let auxiliary = cross_entropy(z, p) * AUXILIARY_SHARE;
            loss.total = loss.total + auxiliary.clone();
            loss.terms.push(("auxiliary", auxiliary));
        }
        loss
    }

    /// Answers in f32, however the model was trained: the master weights are f32, and inference keeps no activations.
    fn answers(&self, model: &Model<Network>, question: Question) -> Vec<Answer> {
        let x = Tensor::from_data(question.images, &model.device);
        let logits = rows(zoo::logits(model, x));
        logits.iter().zip(question.labels).map(|(z, label)| Answer::of(z, label)).collect()
    }

    fn measure(&self, answers: Vec<Answer>) -> Accuracy {
        Accuracy::of(answers, self.dataset.clone())
    }
}

/// The rows of the logits, one for each image.
pub fn rows(logits: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, classes] = logits.dims();
    let values: Vec<f32> = logits.into_data().try_into_vec().expect("logits are f32");
    values.chunks_exact(classes).map(<[f32]>::to_vec).collect()
}

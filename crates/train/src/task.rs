//! The interface between Algorithm 1 and a task: its loss, answers and measure, and the feeds of its data.

use std::path::Path;
use std::time::Duration;

use nn::{Loss, Model, Module, Pass};
use record::{MeasureColumns, SkipRow};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// A task, such as classification: pure functions of a model and of images with their annotations. It holds neither a
/// loader nor a step.
pub trait Task {
    type Module: Module;
    /// What one training pass takes: a part of a batch.
    type Part;
    /// A batch of validation images.
    type Question;
    /// The model's answer for one validation image, with all that the measure needs.
    type Answer: Serialize + DeserializeOwned;
    type Measure: Measure;

    /// The mean loss of a part in a training pass.
    fn loss(&self, model: &Model<Self::Module>, pass: &Pass, part: Self::Part) -> Loss;

    /// The model's answers, one for each validation image of a batch, in their order.
    fn answers(&self, model: &Model<Self::Module>, question: Self::Question) -> Vec<Self::Answer>;

    /// Computes the measure of all answers, which come in the order of the validation images.
    fn measure(&self, answers: Vec<Self::Answer>) -> Self::Measure;
}

/// The result of an evaluation: a headline, other named numbers, and details for the report.
pub trait Measure {
    /// Names, units and direction of the numbers.
    fn columns() -> MeasureColumns;

    /// The numbers, in the columns' order.
    fn values(&self) -> Vec<f64>;

    /// Writes the details of the evaluation after `step` steps into the run folder, over those of an earlier one.
    fn write_details(&self, folder: &Path, step: u64) -> Result<(), TrainError>;
}

/// The training data, part by part: a part is a function of the seed, the step and its index.
pub trait Feed<P> {
    /// Part `index` of the batch of `step`. A rank asks for its own parts in their order, step by step.
    fn part(&mut self, step: u64, index: usize) -> Result<Fed<P>, TrainError>;
}

/// A part, with its skipped images and the time that it took.
#[derive(Debug)]
pub struct Fed<P> {
    pub part: P,
    /// Images that could not be decoded, and those that stood in for them.
    pub skipped: Vec<Skip>,
    /// Time that the caller waited for the part.
    pub waited: Duration,
}

/// A training image that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    pub image: String,
    /// The image that took its place.
    pub stand_in: String,
    pub reason: String,
}

impl Skip {
    /// The row of `bad_samples.jsonl`; `step` counts the steps done, the one with this image included.
    pub(crate) fn row(self, step: u64) -> SkipRow {
        let Skip { image, stand_in, reason } = self;
        SkipRow { step, image, reason, stand_in }
    }
}

/// The validation data, batch by batch.
pub trait ValidationFeed<Q> {
    /// This rank's batches, each with its number; over all ranks every batch comes once.
    fn batches(&mut self)
    -> Result<impl Iterator<Item = Result<(u64, Q), TrainError>>, TrainError>;
}

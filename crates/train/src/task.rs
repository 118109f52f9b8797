//! What a task gives to Algorithm 1.

use std::time::Duration;

use data::Skipped;
use nn::{Leaves, Tensor};
use zoo::Model;

use crate::error::TrainError;
use crate::predictions::Prediction;

/// Classification, detection and segmentation differ in these and in nothing else.
pub trait Task {
    /// What one pass through the network takes.
    type Part;

    /// The batch of the next step, in the equal parts that the recipe asks for.
    fn batch(&mut self) -> Result<Vec<Self::Part>, TrainError>;

    /// The mean loss `[1]` of a part in train mode, which also moves the running statistics.
    fn loss(&self, model: &mut Model, leaves: &Leaves, part: Self::Part) -> Tensor<1>;

    /// The measure of a model over the validation images, each counted once.
    fn evaluate(&mut self, model: &mut Model) -> Result<Evaluation, TrainError>;

    /// Training images that the last batch was to have and that could not be decoded; asked once for each batch.
    fn skipped(&mut self) -> Vec<Skipped>;

    /// Total time spent waiting for data.
    fn waited(&self) -> Duration;
}

/// How well a model does on validation images.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    pub loss: f64,
    /// Percent.
    pub top1: f64,
    pub top5: f64,
    pub images: u64,
    /// Of each image, in the order of the dataset.
    pub predictions: Vec<Prediction>,
}

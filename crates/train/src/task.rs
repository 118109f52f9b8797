//! What a task gives to Algorithm 1.

use std::time::Duration;

use nn::{Leaves, Tensor};
use zoo::Model;

use crate::error::TrainError;

/// Classification, detection and segmentation differ in these and in nothing else.
pub trait Task {
    type Batch;

    /// The batch of the next step.
    fn batch(&mut self) -> Result<Self::Batch, TrainError>;

    /// The loss `[1]` of a batch in train mode, which also moves the running statistics.
    fn loss(&self, model: &mut Model, leaves: &Leaves, batch: Self::Batch) -> Tensor<1>;

    /// The measure of a model over the validation images, each counted once.
    fn evaluate(&mut self, model: &mut Model) -> Result<Evaluation, TrainError>;

    /// Total time spent waiting for data.
    fn waited(&self) -> Duration;
}

/// How well a model does on validation images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    pub loss: f64,
    /// Percent.
    pub top1: f64,
    pub top5: f64,
    pub images: u64,
}

//! Batches for Algorithm 1: "images ← uniformly random sample b images; X, y ← preprocess(images)".
//!
//! Step s of a run is batch s mod ⌊N/b⌋ of epoch ⌊s / ⌊N/b⌋⌋; the images that do not fill a batch are left out of that
//! epoch. A batch is a function of its step alone, so a run resumes by its step number.

use std::sync::Arc;
use std::time::Duration;

use recipe::{Normalize, OnBadSample, Preprocess, Validation};

use crate::augment::Sample;
use crate::random::{self, Stream};
use crate::workers::{Position, Task, Workers};
use crate::{DataError, Dataset, Part, Resources, Times, sampler};

/// Images ready for the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// [b, size, size, 3].
    pub images: Vec<f32>,
    pub labels: Vec<u32>,
    /// The image's number in its part.
    pub indices: Vec<u32>,
    /// The images that could not be decoded, in the order of their places. Always empty in validation.
    pub skipped: Vec<Skipped>,
}

/// An image that could not be decoded, and the one in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Numbers in the training part.
    pub index: u32,
    pub stand_in: u32,
    pub reason: String,
}

/// How many images in a row may fail to stand in for a bad one before the data is taken to be bad as a whole.
const STAND_INS: u32 = 32;

/// Training batches, without end.
#[derive(Debug)]
pub struct TrainLoader {
    workers: Workers,
}

impl TrainLoader {
    /// Starts the threads of `resources`, such as a number of them, on the batch of step `first_step`.
    ///
    /// Under [`OnBadSample::Skip`] the place of an image that does not decode is taken by one drawn from all training
    /// images, a function of the seed, the epoch and the bad image alone: batches keep their size, and are the same for any
    /// number of threads and after a resume. What cannot be read at all stops the loader still: it may be readable at
    /// another time, and the batch would be another one then.
    pub fn new(
        dataset: Arc<Dataset>,
        preprocess: Preprocess,
        on_bad_sample: OnBadSample,
        seed: u64,
        batch: usize,
        first_step: u64,
        resources: impl Into<Resources>,
    ) -> Result<TrainLoader, DataError> {
        let steps_per_epoch = TrainLoader::steps_per_epoch(&dataset, batch)?;
        let epoch = first_step / steps_per_epoch;
        let order = sampler::order(seed, epoch, dataset.train.len());
        let position = Position { step: first_step, epoch, order };
        let task = Training { dataset, preprocess, on_bad_sample, seed, batch, steps_per_epoch };
        Ok(TrainLoader { workers: Workers::start(task, position, resources.into())? })
    }

    /// Whole batches in an epoch; an error when there is none.
    pub fn steps_per_epoch(dataset: &Dataset, batch: usize) -> Result<u64, DataError> {
        assert!(batch > 0, "a batch holds at least one image");
        let images = dataset.train.len();
        if images < batch {
            return Err(DataError::TooFewImages { name: dataset.name.clone(), images, batch });
        }
        Ok((images / batch) as u64)
    }

    /// The batch of the next step.
    #[allow(clippy::should_implement_trait)] // Never ends, and can fail.
    pub fn next(&mut self) -> Result<Batch, DataError> {
        self.workers.next()?.ok_or(DataError::Stopped)
    }

    /// Time spent inside [`TrainLoader::next`], that is the time the loader made the caller wait.
    pub fn waited(&self) -> Duration {
        self.workers.waited()
    }

    /// Where the time of the batches made so far went.
    pub fn times(&self) -> Times {
        self.workers.times()
    }

    /// Gives a used batch's memory back for another one.
    pub fn recycle(&self, batch: Batch) {
        self.workers.recycle(batch);
    }
}

struct Training {
    dataset: Arc<Dataset>,
    preprocess: Preprocess,
    on_bad_sample: OnBadSample,
    seed: u64,
    batch: usize,
    steps_per_epoch: u64,
}

impl Task for Training {
    fn part(&self) -> &Part {
        &self.dataset.train
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn values(&self) -> usize {
        self.preprocess.size * self.preprocess.size * 3
    }

    fn next_batch(&self, position: &mut Position) -> Option<Vec<u32>> {
        let epoch = position.step / self.steps_per_epoch;
        if epoch != position.epoch {
            position.epoch = epoch;
            position.order = sampler::order(self.seed, epoch, self.dataset.train.len());
        }
        let first = (position.step % self.steps_per_epoch) as usize * self.batch;
        position.step += 1;
        Some(position.order[first..first + self.batch].to_vec())
    }

    fn sample(&self, epoch: u64, index: u32, width: usize, height: usize) -> Sample {
        let mut rng = random::at(self.seed, Stream::Augment, epoch, u64::from(index));
        Sample::train(&self.preprocess, width, height, &mut rng)
    }

    fn stand_ins(&self, epoch: u64, index: u32) -> Vec<u32> {
        match self.on_bad_sample {
            OnBadSample::Stop => Vec::new(),
            OnBadSample::Skip => {
                let mut rng = random::at(self.seed, Stream::StandIn, epoch, u64::from(index));
                let images = self.part().len() as u64;
                (0..STAND_INS).map(|_| random::below(&mut rng, images) as u32).collect()
            }
        }
    }
}

/// Every validation image once, in order; the last batch may be short.
#[derive(Debug)]
pub struct ValidationLoader {
    workers: Workers,
}

impl ValidationLoader {
    pub fn new(
        dataset: Arc<Dataset>,
        validation: Validation,
        normalize: Normalize,
        batch: usize,
        resources: impl Into<Resources>,
    ) -> Result<ValidationLoader, DataError> {
        assert!(batch > 0, "a batch holds at least one image");
        let task = Validating { dataset, validation, normalize, batch };
        Ok(ValidationLoader {
            workers: Workers::start(task, Position::default(), resources.into())?,
        })
    }

    /// The next batch; nothing when every image was given.
    #[allow(clippy::should_implement_trait)] // The order of Result and Option is for `?`.
    pub fn next(&mut self) -> Result<Option<Batch>, DataError> {
        self.workers.next()
    }

    /// Time spent inside [`ValidationLoader::next`].
    pub fn waited(&self) -> Duration {
        self.workers.waited()
    }

    /// Where the time of the batches made so far went.
    pub fn times(&self) -> Times {
        self.workers.times()
    }

    /// Gives a used batch's memory back for another one.
    pub fn recycle(&self, batch: Batch) {
        self.workers.recycle(batch);
    }
}

struct Validating {
    dataset: Arc<Dataset>,
    validation: Validation,
    normalize: Normalize,
    batch: usize,
}

impl Task for Validating {
    fn part(&self) -> &Part {
        &self.dataset.validation
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn values(&self) -> usize {
        self.validation.crop * self.validation.crop * 3
    }

    fn next_batch(&self, position: &mut Position) -> Option<Vec<u32>> {
        let first = position.step as usize * self.batch;
        let last = (first + self.batch).min(self.part().len());
        position.step += 1;
        (first < last).then(|| (first as u32..last as u32).collect())
    }

    fn sample(&self, _: u64, _: u32, width: usize, height: usize) -> Sample {
        Sample::validation(&self.validation, &self.normalize, width, height)
    }
}

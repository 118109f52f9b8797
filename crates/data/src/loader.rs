//! Batches for Algorithm 1: "images ← uniformly random sample b images; X, y ← preprocess(images)".
//!
//! Step s of a run is batch s mod ⌊N/b⌋ of epoch ⌊s / ⌊N/b⌋⌋. A batch is a function of its step alone, so a run resumes by
//! its step number. It is handed out in P equal parts: part i holds the images i·b/P .. (i+1)·b/P of the batch, and a
//! process that needs only some of the parts decodes only their images.
//!
//! Deviation: Algorithm 1 samples every batch on its own. Here an epoch is a permutation of the images, which is cut into
//! batches; the N mod b images at its end do not fill a batch and are left out of that epoch, other ones in each epoch.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use recipe::OnBadSample;

use crate::augment::Sample;
use crate::random::{self, Stream};
use crate::workers::{LoaderWork, NextBatch, Supply, Workers};
use crate::{Annotation, DataError, Dataset, Preparation, Resources, Times, sampler};

/// Images ready for the network: one part of a training step's batch, or one validation batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<P = u32> {
    /// The training step, or the number of the validation batch, both counted from 0.
    pub step: u64,
    /// Which part of the step's batch this is; always 0 in validation.
    pub part: usize,
    /// The values of all images, one after the other: height × width × 3 of each.
    pub images: Vec<f32>,
    /// Height and width of each image.
    pub sizes: Vec<[usize; 2]>,
    /// The annotation of each image, as it is after crop, scale and flip.
    pub annotations: Vec<P>,
    /// Each image's number in its set.
    pub indices: Vec<u32>,
    /// The images that could not be decoded, in the order of their places. Always empty in validation.
    pub skipped: Vec<Skipped>,
}

/// How a step's batch is cut into equal parts, and which of them this process prepares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchParts {
    /// Images of a step, over all its parts.
    pub batch: usize,
    /// Number of parts: a power of two that divides `batch`.
    pub parts: usize,
    /// The neighbouring parts that this process prepares, at least one.
    pub mine: Range<usize>,
}

impl BatchParts {
    /// A batch of one part.
    pub fn whole(batch: usize) -> BatchParts {
        BatchParts { batch, parts: 1, mine: 0..1 }
    }

    /// Images of one part.
    pub fn images(&self) -> usize {
        self.batch / self.parts
    }

    /// Panics unless every promise of the fields holds.
    fn check(&self) {
        let BatchParts { batch, parts, mine } = self;
        assert!(*batch > 0, "a batch holds at least one image");
        assert!(
            parts.is_power_of_two() && batch.is_multiple_of(*parts),
            "a batch of {batch} images in {parts} parts"
        );
        assert!(!mine.is_empty() && mine.end <= *parts, "parts {mine:?} of {parts}");
    }
}

/// Which of the validation batches this process prepares: those whose number leaves the remainder `rank` when divided by
/// `size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidationShare {
    pub rank: usize,
    pub size: usize,
}

impl ValidationShare {
    /// Every batch.
    pub const WHOLE: ValidationShare = ValidationShare { rank: 0, size: 1 };
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

/// Training batches, part by part, without end.
#[derive(Debug)]
pub struct TrainLoader<A: Annotation = u32> {
    workers: Workers<A::Prepared>,
}

impl<A: Annotation> TrainLoader<A> {
    /// Starts the threads of `resources` (a number of threads will do) on the first of this process's parts of step
    /// `first_step`.
    ///
    /// Under [`OnBadSample::Skip`] the place of an image that does not decode is taken by one drawn from all training
    /// images, a function of the seed, the epoch and the bad image alone: batches keep their size, and are the same for any
    /// number of threads, for any cut into parts and after a resume. A file that cannot be read at all still stops the
    /// loader: it may be readable at another time, and the batch would be another one then.
    pub fn new(
        dataset: Arc<Dataset<A>>,
        preparation: impl Into<Preparation>,
        on_bad_sample: OnBadSample,
        seed: u64,
        parts: BatchParts,
        first_step: u64,
        resources: impl Into<Resources>,
    ) -> Result<TrainLoader<A>, DataError> {
        parts.check();
        let steps_per_epoch = TrainLoader::steps_per_epoch(&dataset, parts.batch)?;
        let epoch = first_step / steps_per_epoch;
        let preparation = preparation.into();
        let size = preparation.size();
        let supply = Supply { batch: parts.images(), size, set: |dataset| &dataset.train, dataset };
        let images = supply.set().len();
        let work = Training {
            preparation,
            on_bad_sample,
            seed,
            steps_per_epoch,
            images,
            step: first_step,
            part: parts.mine.start,
            order: sampler::order(seed, epoch, images),
            epoch,
            parts,
        };
        Ok(TrainLoader { workers: Workers::start(work, supply, resources.into())? })
    }

    /// Whole batches in an epoch; an error when there is none.
    pub fn steps_per_epoch(dataset: &Dataset<A>, batch: usize) -> Result<u64, DataError> {
        assert!(batch > 0, "a batch holds at least one image");
        let images = dataset.train.len();
        if images < batch {
            return Err(DataError::TooFewImages { name: dataset.name.clone(), images, batch });
        }
        Ok((images / batch) as u64)
    }

    /// The next part: each of this process's parts of a step in order, then those of the next step.
    #[allow(clippy::should_implement_trait)] // Never ends, and can fail.
    pub fn next(&mut self) -> Result<Batch<A::Prepared>, DataError> {
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
}

/// Training's images, and how far it has come.
struct Training {
    preparation: Preparation,
    on_bad_sample: OnBadSample,
    seed: u64,
    parts: BatchParts,
    steps_per_epoch: u64,
    /// Number of training images.
    images: usize,
    /// Step and part of the next batch.
    step: u64,
    part: usize,
    /// An epoch and its order.
    epoch: u64,
    order: Vec<u32>,
}

impl LoaderWork for Training {
    fn next_batch(&mut self) -> Option<NextBatch> {
        let epoch = self.step / self.steps_per_epoch;
        if epoch != self.epoch {
            self.epoch = epoch;
            self.order = sampler::order(self.seed, epoch, self.images);
        }
        let (step, part) = (self.step, self.part);
        let batch = (step % self.steps_per_epoch) as usize * self.parts.batch;
        let count = self.parts.images();
        let indices = self.order[batch + part * count..][..count].to_vec();
        self.part += 1;
        if self.part == self.parts.mine.end {
            self.part = self.parts.mine.start;
            self.step += 1;
        }
        Some(NextBatch { step, part, epoch, indices })
    }

    fn sample(&self, epoch: u64, index: u32, width: usize, height: usize) -> Sample {
        let mut rng = random::at(self.seed, Stream::Augment, epoch, u64::from(index));
        self.preparation.sample(width, height, &mut rng)
    }

    fn stand_ins(&self, epoch: u64, index: u32) -> Vec<u32> {
        match self.on_bad_sample {
            OnBadSample::Stop => Vec::new(),
            OnBadSample::Skip => {
                let mut rng = random::at(self.seed, Stream::StandIn, epoch, u64::from(index));
                let images = self.images as u64;
                (0..STAND_INS).map(|_| random::below(&mut rng, images) as u32).collect()
            }
        }
    }
}

/// The validation images in order, each once over all shares; the last batch may be short.
#[derive(Debug)]
pub struct ValidationLoader<A: Annotation = u32> {
    workers: Workers<A::Prepared>,
}

impl<A: Annotation> ValidationLoader<A> {
    /// Starts the threads of `resources` on the first batch of `share`. Nothing is drawn: images are not flipped.
    pub fn new(
        dataset: Arc<Dataset<A>>,
        preparation: impl Into<Preparation>,
        batch: usize,
        share: ValidationShare,
        resources: impl Into<Resources>,
    ) -> Result<ValidationLoader<A>, DataError> {
        assert!(batch > 0, "a batch holds at least one image");
        let ValidationShare { rank, size } = share;
        assert!(rank < size, "share {rank} of {size}");
        let preparation = preparation.into().fixed();
        let sample = preparation.size();
        let supply = Supply { batch, size: sample, set: |dataset| &dataset.validation, dataset };
        let images = supply.set().len();
        let work = Validating { preparation, images, batch, number: rank, stride: size };
        Ok(ValidationLoader { workers: Workers::start(work, supply, resources.into())? })
    }

    /// The next batch of the share; None when all of them were given.
    #[allow(clippy::should_implement_trait)] // The order of Result and Option is for `?`.
    pub fn next(&mut self) -> Result<Option<Batch<A::Prepared>>, DataError> {
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
}

/// Validation's images, and how far it has come.
struct Validating {
    preparation: Preparation,
    /// Number of validation images.
    images: usize,
    batch: usize,
    /// The next batch, and the distance to the one after it.
    number: usize,
    stride: usize,
}

impl LoaderWork for Validating {
    fn next_batch(&mut self) -> Option<NextBatch> {
        let first = self.number * self.batch;
        let last = (first + self.batch).min(self.images);
        let step = self.number as u64;
        self.number += self.stride;
        let indices = || (first as u32..last as u32).collect();
        (first < last).then(|| NextBatch { step, part: 0, epoch: 0, indices: indices() })
    }

    fn sample(&self, epoch: u64, index: u32, width: usize, height: usize) -> Sample {
        // The steps that are left draw nothing from it.
        let mut rng = random::at(0, Stream::Augment, epoch, u64::from(index));
        self.preparation.sample(width, height, &mut rng)
    }
}

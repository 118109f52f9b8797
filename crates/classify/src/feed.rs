//! What feeds the task: parts of training batches, and validation batches, from the loaders of a dataset.

use std::sync::Arc;
use std::time::Duration;

use data::{
    Batch, BatchParts, DataError, Dataset, Resources, TrainLoader, ValidationLoader,
    ValidationShare,
};
use nn::TensorData;
use recipe::{Normalize, Recipe, Validation};
use train::{Fed, Feed, Skip, TrainError};
use world::World;

use crate::error::ClassifyError;
use crate::examples::{self, Examples, Position};
use crate::plan::Plan;
use crate::task::Question;

/// The size of every validation batch, whatever the recipe: so a model gives the same bits in `train` and `eval`.
const VALIDATION_BATCH: usize = 50;

/// The feed of this rank's training and validation images.
pub struct ImageFeed {
    recipe: Recipe,
    dataset: Arc<Dataset>,
    steps_per_epoch: u64,
    loader: TrainLoader,
    waited: Duration,
    validation: ValidationImages,
}

impl ImageFeed {
    /// The feed from `step` on. Training and validation have a loader each, so each has half of the memory.
    pub fn new(
        plan: &Plan,
        step: u64,
        resources: Resources,
        world: &World,
    ) -> Result<ImageFeed, ClassifyError> {
        let resources = Resources { memory: resources.memory / 2, ..resources };
        let Plan { recipe, dataset, .. } = plan;
        let train = &recipe.train;
        let loader = TrainLoader::new(
            dataset.clone(),
            recipe.preprocess.clone(),
            recipe.data.on_bad_sample,
            recipe.seed,
            BatchParts { batch: train.batch, parts: train.parts, mine: world.share(train.parts)? },
            step,
            resources,
        )?;
        Ok(ImageFeed {
            recipe: recipe.clone(),
            dataset: dataset.clone(),
            steps_per_epoch: plan.steps_per_epoch,
            loader,
            waited: Duration::ZERO,
            validation: ValidationImages {
                dataset: dataset.clone(),
                validation: recipe.validation(),
                normalize: recipe.preprocess.normalize,
                resources,
                share: ValidationShare { rank: world.rank(), size: world.size() },
            },
        })
    }
}

impl Feed<Examples> for ImageFeed {
    fn part(&mut self, step: u64, index: usize) -> Result<Fed<Examples>, TrainError> {
        let mut batch = self.loader.next().map_err(TrainError::task)?;
        assert_eq!((batch.step, batch.part), (step, index), "parts are taken in order");
        let before = std::mem::replace(&mut self.waited, self.loader.waited());
        let skip = |skipped: data::Skipped| {
            let [image, stand_in] = [skipped.index, skipped.stand_in]
                .map(|number| self.dataset.train.name(number as usize));
            Skip { image, stand_in, reason: skipped.reason }
        };
        let skipped = std::mem::take(&mut batch.skipped).into_iter().map(skip).collect();
        let position = Position { epoch: step / self.steps_per_epoch, step, part: index };
        let part = examples::examples(&self.recipe, self.dataset.classes.len(), position, batch);
        Ok(Fed { part, skipped, waited: self.waited - before })
    }
}

impl train::ValidationFeed<Question> for ImageFeed {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, Question), TrainError>>, TrainError> {
        self.validation.batches()
    }
}

/// This rank's validation images.
pub(crate) struct ValidationImages {
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) validation: Validation,
    pub(crate) normalize: Normalize,
    pub(crate) resources: Resources,
    pub(crate) share: ValidationShare,
}

impl train::ValidationFeed<Question> for ValidationImages {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, Question), TrainError>>, TrainError> {
        let mut loader = ValidationLoader::new(
            self.dataset.clone(),
            (self.validation, self.normalize),
            VALIDATION_BATCH,
            self.share,
            self.resources,
        )
        .map_err(TrainError::task)?;
        let next = move || loader.next().transpose();
        Ok(std::iter::from_fn(next).map(|batch: Result<Batch, DataError>| {
            let batch = batch.map_err(TrainError::task)?;
            Ok((batch.step, question(batch)))
        }))
    }
}

fn question(batch: Batch) -> Question {
    let [height, width] = batch.sizes[0];
    let images = TensorData::new(batch.images, [batch.sizes.len(), height, width, 3]);
    Question { images, labels: batch.annotations }
}

/// A feed that gives the same examples again and again: for benchmarks.
pub struct Repeated(pub Examples);

impl Feed<Examples> for Repeated {
    fn part(&mut self, _: u64, _: usize) -> Result<Fed<Examples>, TrainError> {
        Ok(Fed { part: self.0.clone(), skipped: Vec::new(), waited: Duration::ZERO })
    }
}

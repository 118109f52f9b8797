//! What feeds the task: one training image a part, and one validation image a batch, from the loaders of a dataset.

use std::sync::Arc;
use std::time::Duration;

use data::{
    Batch, BatchParts, BoundingBox, Boxes, DataError, Dataset, Resources, SampleBoxes, ShorterSide,
    TrainLoader, ValidationLoader, ValidationShare,
};
use nn::TensorData;
use recipe::Recipe;
use train::{Fed, Feed, Skip, TrainError};
use world::World;

use crate::error::DetectError;
use crate::plan::{DetectPlan, shorter_side};
use crate::task::{TrainingScene, UnseenScene};

/// The feed of this rank's training and validation images.
pub struct SceneFeed {
    dataset: Arc<Dataset<Boxes>>,
    loader: TrainLoader<Boxes>,
    waited: Duration,
    validation: ValidationScenes,
}

impl SceneFeed {
    /// The feed from `step` on. Training and validation have a loader each, so each has half of the memory.
    pub fn new(
        plan: &DetectPlan,
        step: u64,
        resources: Resources,
        world: &World,
    ) -> Result<SceneFeed, DetectError> {
        let resources = Resources { memory: resources.memory / 2, ..resources };
        let DetectPlan { recipe, dataset, .. } = plan;
        let train = &recipe.train;
        let loader = TrainLoader::new(
            dataset.clone(),
            shorter_side(recipe),
            recipe.data.on_bad_sample,
            recipe.seed,
            BatchParts { batch: train.batch, parts: train.parts, mine: world.share(train.parts)? },
            step,
            resources,
        )?;
        let share = ValidationShare { rank: world.rank(), size: world.size() };
        let validation = ValidationScenes::new(recipe, dataset.clone(), resources, share);
        Ok(SceneFeed { dataset: dataset.clone(), loader, waited: Duration::ZERO, validation })
    }
}

impl Feed<TrainingScene> for SceneFeed {
    fn part(&mut self, step: u64, index: usize) -> Result<Fed<TrainingScene>, TrainError> {
        let mut batch = self.loader.next().map_err(TrainError::task)?;
        assert_eq!((batch.step, batch.part), (step, index), "parts are taken in order");
        let before = std::mem::replace(&mut self.waited, self.loader.waited());
        let skip = |skipped: data::Skipped| {
            let [image, stand_in] = [skipped.index, skipped.stand_in]
                .map(|number| self.dataset.train.name(number as usize));
            Skip { image, stand_in, reason: skipped.reason }
        };
        let skipped = std::mem::take(&mut batch.skipped).into_iter().map(skip).collect();
        Ok(Fed { part: training_scene(batch), skipped, waited: self.waited - before })
    }
}

/// The one image of a part. Crowds are no targets; what lies outside of the image, or is empty after resizing, is left out.
fn training_scene(batch: Batch<SampleBoxes>) -> TrainingScene {
    let Batch { images, sizes, annotations, .. } = batch;
    let [height, width] = sizes[0];
    let boxes = annotations[0].boxes.clipped(width, height);
    let counts = |one: &&BoundingBox| !one.crowd && one.area() > 0.0;
    let objects = boxes.0.iter().filter(counts).map(|one| (one.corners, one.class)).collect();
    TrainingScene { image: TensorData::new(images, [1, height, width, 3]), objects }
}

impl train::ValidationFeed<UnseenScene> for SceneFeed {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, UnseenScene), TrainError>>, TrainError> {
        self.validation.batches()
    }
}

/// This rank's validation images, one by one: others in a batch would change what is found in them.
pub(crate) struct ValidationScenes {
    dataset: Arc<Dataset<Boxes>>,
    preparation: ShorterSide,
    resources: Resources,
    share: ValidationShare,
}

impl ValidationScenes {
    pub(crate) fn new(
        recipe: &Recipe,
        dataset: Arc<Dataset<Boxes>>,
        resources: Resources,
        share: ValidationShare,
    ) -> ValidationScenes {
        let preparation = ShorterSide { flip: None, ..shorter_side(recipe) };
        ValidationScenes { dataset, preparation, resources, share }
    }
}

impl train::ValidationFeed<UnseenScene> for ValidationScenes {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, UnseenScene), TrainError>>, TrainError> {
        let mut loader = ValidationLoader::new(
            self.dataset.clone(),
            self.preparation.clone(),
            1,
            self.share,
            self.resources,
        )
        .map_err(TrainError::task)?;
        let next = move || loader.next().transpose();
        Ok(std::iter::from_fn(next).map(|batch: Result<Batch<SampleBoxes>, DataError>| {
            let Batch { step, images, sizes, annotations, .. } = batch.map_err(TrainError::task)?;
            let [height, width] = sizes[0];
            let original = annotations[0].original.map(|edge| edge as f32);
            let image = TensorData::new(images, [1, height, width, 3]);
            Ok((step, UnseenScene { image, original }))
        }))
    }
}

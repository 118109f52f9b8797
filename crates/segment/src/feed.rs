//! What feeds the task: parts of crops from a loader, and validation images one by one.

use std::sync::Arc;
use std::time::Duration;

use data::{
    Batch, BatchParts, DataError, Dataset, GaussianBlur, Mask, MaskFile, Resources, ScaledCrop,
    TrainLoader, ValidationShare,
};
use nn::{ClassMaps, TensorData};
use recipe::{Blur, Recipe};
use train::{Fed, Feed, Skip, TrainError};
use world::World;

use crate::error::SegmentError;
use crate::plan::SegmentPlan;
use crate::task::{Crops, LabelledPicture};

/// What training images become.
pub(crate) fn scaled_crop(recipe: &Recipe) -> ScaledCrop {
    let settings = recipe.segmentation();
    let blur = |Blur { probability, radius }| GaussianBlur { probability, radius };
    ScaledCrop {
        crop: settings.crop,
        shorter: settings.shorter,
        flip: recipe.preprocess.flip,
        blur: settings.blur.map(blur),
        normalize: recipe.preprocess.normalize,
    }
}

/// The feed of this rank's training and validation images.
pub struct CropFeed {
    dataset: Arc<Dataset<MaskFile>>,
    loader: TrainLoader<MaskFile>,
    crop: usize,
    waited: Duration,
    validation: ValidationPictures,
}

impl CropFeed {
    /// The feed from `step` on.
    pub fn new(
        plan: &SegmentPlan,
        step: u64,
        resources: Resources,
        world: &World,
    ) -> Result<CropFeed, SegmentError> {
        let SegmentPlan { recipe, dataset, .. } = plan;
        let train = &recipe.train;
        let loader = TrainLoader::new(
            dataset.clone(),
            scaled_crop(recipe),
            recipe.data.on_bad_sample,
            recipe.seed,
            BatchParts { batch: train.batch, parts: train.parts, mine: world.share(train.parts)? },
            step,
            resources,
        )?;
        let share = ValidationShare { rank: world.rank(), size: world.size() };
        let validation = ValidationPictures { dataset: dataset.clone(), share };
        let crop = recipe.segmentation().crop;
        Ok(CropFeed { dataset: dataset.clone(), loader, crop, waited: Duration::ZERO, validation })
    }
}

impl Feed<Crops> for CropFeed {
    fn part(&mut self, step: u64, index: usize) -> Result<Fed<Crops>, TrainError> {
        let mut batch = self.loader.next().map_err(TrainError::task)?;
        assert_eq!((batch.step, batch.part), (step, index), "parts are taken in order");
        let before = std::mem::replace(&mut self.waited, self.loader.waited());
        let skip = |skipped: data::Skipped| {
            let [image, stand_in] = [skipped.index, skipped.stand_in]
                .map(|number| self.dataset.train.name(number as usize));
            Skip { image, stand_in, reason: skipped.reason }
        };
        let skipped = std::mem::take(&mut batch.skipped).into_iter().map(skip).collect();
        let part = crops(batch, self.crop);
        Ok(Fed { part, skipped, waited: self.waited - before })
    }
}

/// The crops of a part. The border of a small image is ignored.
fn crops(batch: Batch<Mask<u16>>, crop: usize) -> Crops {
    let n = batch.annotations.len();
    let classes = batch.annotations.iter().flat_map(|mask| mask.padded(crop, crop).indices);
    let maps = ClassMaps { n, height: crop, width: crop, classes: classes.collect() };
    let images = TensorData::new(batch.images, [n, crop, crop, 3]);
    Crops { images, maps: Arc::new(maps) }
}

impl train::ValidationFeed<LabelledPicture> for CropFeed {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, LabelledPicture), TrainError>>, TrainError> {
        self.validation.batches()
    }
}

/// This rank's validation images.
pub(crate) struct ValidationPictures {
    pub(crate) dataset: Arc<Dataset<MaskFile>>,
    pub(crate) share: ValidationShare,
}

impl train::ValidationFeed<LabelledPicture> for ValidationPictures {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, LabelledPicture), TrainError>>, TrainError> {
        let set = &self.dataset.validation;
        let ValidationShare { rank, size } = self.share;
        let picture = |index: usize| -> Result<(u64, LabelledPicture), DataError> {
            let image = set.image(index)?;
            let truth = set.annotation(index).read([image.width, image.height]);
            let truth = truth.map_err(|fault| DataError::Annotation {
                name: set.name(index),
                reason: fault.reason(),
            })?;
            Ok((index as u64, LabelledPicture { image, truth }))
        };
        Ok((rank..set.len())
            .step_by(size)
            .map(move |index| picture(index).map_err(TrainError::task)))
    }
}

/// A feed that gives the same crops again and again: for benchmarks.
pub struct RepeatedCrops(pub Crops);

impl Feed<Crops> for RepeatedCrops {
    fn part(&mut self, _: u64, _: usize) -> Result<Fed<Crops>, TrainError> {
        Ok(Fed { part: self.0.clone(), skipped: Vec::new(), waited: Duration::ZERO })
    }
}

//! The plan of a run, from its recipe and its data: everything about a run that is known before its first step.

use std::path::Path;
use std::sync::Arc;

use data::{Dataset, Fingerprint, MaskFile, TrainLoader};
use nn::Precision;
use recipe::{Mistake, NormScope, Recipe, RecipeErrors, Schedule};
use train::{Course, ImageFacts, Measure, RunSources};
use zoo::Options;

use crate::error::SegmentError;
use crate::measure::MeanIou;
use crate::network::Segmenter;
use crate::origin;

/// Dilations of the stages that keep stride 8 (§6.2).
const DILATIONS: [usize; 4] = [1, 1, 2, 4];

/// A recipe with its dataset, segmenter and schedule, before the first step.
#[derive(Debug)]
pub struct SegmentPlan {
    pub recipe: Recipe,
    pub dataset: Arc<Dataset<MaskFile>>,
    pub segmenter: Segmenter,
    pub schedule: Schedule,
    pub steps_per_epoch: u64,
}

impl SegmentPlan {
    /// Opens the data and refuses, before the first step, what cannot be trained. A run that is resumed does not need the
    /// model that it once began with.
    pub fn new(
        recipe: Recipe,
        data: Option<&Path>,
        resumed: bool,
    ) -> Result<SegmentPlan, SegmentError> {
        let dataset = Arc::new(open(&recipe, data)?);
        let segmenter = segmenter(&recipe, dataset.classes.len())?;
        let steps_per_epoch = TrainLoader::steps_per_epoch(&dataset, recipe.train.batch)?;
        if dataset.validation.is_empty() {
            return Err(SegmentError::NothingToValidate { dataset: dataset.name.clone() });
        }
        let mut mistakes = norm_scope(&recipe, &segmenter);
        if !resumed {
            mistakes.extend(origin::check(&recipe, &segmenter));
        }
        let schedule = schedule(&recipe, steps_per_epoch, mistakes)?;
        Ok(SegmentPlan { recipe, dataset, segmenter, schedule, steps_per_epoch })
    }

    /// What the journal of a run needs to know of it, and the bytes of all images as they are stored.
    pub(crate) fn course(&self) -> Result<(Course, u64), SegmentError> {
        let Fingerprint { training, validation, bytes, names, sizes } =
            self.dataset.fingerprint()?;
        let images = ImageFacts { training, validation, names, sizes };
        let course = Course {
            recipe: self.recipe.clone(),
            schedule: self.schedule.clone(),
            steps_per_epoch: self.steps_per_epoch,
            measure: MeanIou::columns(),
            dataset: self.dataset.name.clone(),
            classes: self.dataset.classes.clone(),
            sources: RunSources { images, teacher: None, origin: None },
        };
        Ok((course, bytes))
    }

    /// Bytes that training will hold, by rule of thumb, as for a classifier: outputs of the convolutions and their gradients.
    pub fn memory_estimate(&self) -> u64 {
        memory(&self.recipe, self.recipe.part_images(), self.dataset.classes.len())
    }
}

/// Bytes that a part of `images` crops takes while it is trained.
fn memory(recipe: &Recipe, images: usize, classes: usize) -> u64 {
    let crop = recipe.segmentation().crop;
    let Ok(network) = network(recipe) else { return 0 };
    let cost = zoo::cost(&network, crop);
    let bytes = if recipe.train.precision == Precision::F32 { 4 } else { 2 };
    let logits = (crop / 8).pow(2) * classes * 4 * 8;
    let input = crop * crop * 3 * 4 * 3;
    bytes * images as u64 * cost.activations * 7 / 2 + (images * (logits + input)) as u64
}

/// Norms over the whole batch need it in one part; what that takes of memory is said.
fn norm_scope(recipe: &Recipe, segmenter: &Segmenter) -> Vec<Mistake> {
    let parts = recipe.train.parts;
    if recipe.segmentation().norm == NormScope::Part || parts == 1 {
        return Vec::new();
    }
    let gigabytes = memory(recipe, recipe.train.batch, segmenter.classes) as f64 / 1e9;
    let message = format!("norms over the whole batch need it in one part, not in {parts}");
    let mend = format!(
        "set train.parts to 1, which takes about {gigabytes:.1} GB, or write segment.norm = \"part\""
    );
    vec![Mistake::with_data(recipe, "segment.norm", message, &mend)]
}

/// The network of a recipe, dilated as it says. Its classifier is not used; one class makes it small.
fn network(recipe: &Recipe) -> Result<zoo::Network, zoo::NetworkError> {
    let choice = &recipe.network;
    let shape = choice.shape.as_ref().map(|shape| zoo::Shape {
        blocks: shape.blocks,
        channels: shape.channels,
        stem_channels: shape.stem_channels,
    });
    let stem = match choice.stem {
        recipe::StemChoice::Imagenet => zoo::StemSize::Imagenet,
        recipe::StemChoice::Small => zoo::StemSize::Small,
    };
    let dilations = if recipe.segmentation().dilated { DILATIONS } else { [1; 4] };
    zoo::network(&choice.model, &Options { shape, stem, dilations, ..Options::plain(1) })
}

/// The segmenter of a recipe.
pub(crate) fn segmenter(recipe: &Recipe, classes: usize) -> Result<Segmenter, SegmentError> {
    let mut network = network(recipe)?;
    let freeze = recipe.init.as_ref().and_then(|init| init.freeze.as_ref());
    if let Some(feature) = freeze {
        let known: Vec<String> = network.features().into_iter().map(|one| one.name).collect();
        network = network.frozen_up_to(feature).ok_or_else(|| {
            let message = format!("{} has no feature '{feature}'", recipe.network.model);
            let mend = format!("it has {}", known.join(", "));
            RecipeErrors::new(vec![Mistake::with_data(recipe, "init.freeze", message, &mend)])
        })?;
    }
    Segmenter::new(network, classes, recipe.segmentation().auxiliary > 0.0)
}

/// The dataset at a path.
fn open(recipe: &Recipe, data: Option<&Path>) -> Result<Dataset<MaskFile>, SegmentError> {
    let Some(path) = data else { return Err(SegmentError::NoData { recipe: recipe.name.clone() }) };
    let whole = open_masks(recipe, path)?;
    Ok(match recipe.data.limit {
        Some(limit) => whole.thinned(limit),
        None => whole,
    })
}

/// The dataset at a path, with what a recipe says of held-out images and orientation.
pub(crate) fn open_masks(recipe: &Recipe, path: &Path) -> Result<Dataset<MaskFile>, SegmentError> {
    let dataset = Dataset::with_masks(path, recipe.data.split, recipe.data.split_seed)?;
    Ok(dataset.oriented(recipe.data.orientation))
}

/// The schedule, or every mistake of the recipe that only the data and other models show.
fn schedule(
    recipe: &Recipe,
    steps_per_epoch: u64,
    mut mistakes: Vec<Mistake>,
) -> Result<Schedule, RecipeErrors> {
    match Schedule::new(recipe, steps_per_epoch) {
        Ok(schedule) if mistakes.is_empty() => Ok(schedule),
        Ok(_) => Err(RecipeErrors::new(mistakes)),
        Err(errors) => {
            mistakes.extend(errors.mistakes);
            Err(RecipeErrors::new(mistakes))
        }
    }
}

//! The plan of a run, from its recipe and its data: everything about a run that is known before its first step.

use std::path::Path;
use std::sync::Arc;

use data::{BadBox, Boxes, Dataset, Fingerprint, ShorterSide, TrainLoader};
use recipe::{Mistake, Recipe, RecipeErrors, Schedule};
use train::{Course, ImageFacts, Measure, RunSources};
use zoo::Options;

use crate::average_precision::AveragePrecision;
use crate::error::DetectError;
use crate::network::Detector;
use crate::origin;
use recipe::{Detection, DetectorNorms, OnBadBox};

/// A recipe with its dataset, detector and schedule, before the first step.
#[derive(Debug)]
pub struct DetectPlan {
    pub recipe: Recipe,
    pub dataset: Arc<Dataset<Boxes>>,
    pub detector: Detector,
    pub schedule: Schedule,
    pub steps_per_epoch: u64,
}

impl DetectPlan {
    /// Opens the data and refuses, before the first step, what cannot be trained. A run that is resumed does not need the
    /// model that it once began with.
    pub fn new(
        recipe: Recipe,
        data: Option<&Path>,
        resumed: bool,
    ) -> Result<DetectPlan, DetectError> {
        let dataset = Arc::new(open(&recipe, data)?);
        let detector = detector(&recipe, dataset.classes.len())?;
        let (batch, parts) = (recipe.train.batch, recipe.train.parts);
        if batch != parts {
            return Err(DetectError::Parts { batch, parts });
        }
        let steps_per_epoch = TrainLoader::steps_per_epoch(&dataset, batch)?;
        for (set, part) in [(&dataset.train, "training"), (&dataset.validation, "validation")] {
            let name = || dataset.name.clone();
            if set.is_empty() {
                return Err(DetectError::NothingToValidate { dataset: name() });
            }
            let has_object = |index| set.annotation(index).0.iter().any(|one| !one.crowd);
            if !(0..set.len()).any(has_object) {
                return Err(DetectError::NoObjects { dataset: name(), part });
            }
        }
        let mistakes = if resumed { Vec::new() } else { origin::check(&recipe, &detector) };
        let schedule = schedule(&recipe, steps_per_epoch, mistakes)?;
        Ok(DetectPlan { recipe, dataset, detector, schedule, steps_per_epoch })
    }

    /// What the journal of a run needs to know of it, and the bytes of all images as they are stored.
    pub(crate) fn course(&self) -> Result<(Course, u64), DetectError> {
        let Fingerprint { training, validation, bytes, names, sizes } =
            self.dataset.fingerprint()?;
        let images = ImageFacts { training, validation, names, sizes };
        let course = Course {
            recipe: self.recipe.clone(),
            schedule: self.schedule.clone(),
            steps_per_epoch: self.steps_per_epoch,
            measure: AveragePrecision::columns(),
            dataset: self.dataset.name.clone(),
            classes: self.dataset.classes.clone(),
            sources: RunSources { images, teacher: None, origin: None },
        };
        Ok((course, bytes))
    }
}

/// The `[detect]` of a recipe of detection.
pub(crate) fn settings(recipe: &Recipe) -> &Detection {
    recipe.detect.as_ref().expect("a recipe of detection")
}

/// What training images become; validation's are not flipped.
pub(crate) fn shorter_side(recipe: &Recipe) -> ShorterSide {
    let Detection { side, longest, .. } = *settings(recipe);
    let preprocess = &recipe.preprocess;
    ShorterSide { side, longest, flip: preprocess.flip, normalize: preprocess.normalize }
}

/// The detector of a recipe.
pub(crate) fn detector(recipe: &Recipe, classes: usize) -> Result<Detector, DetectError> {
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
    // The classifier is not used; one class makes it small.
    let mut network = zoo::network(&choice.model, &Options { shape, stem, ..Options::plain(1) })?;
    let freeze = recipe.init.as_ref().and_then(|init| init.freeze.as_ref());
    if let Some(feature) = freeze {
        let known: Vec<String> = network.features().into_iter().map(|one| one.name).collect();
        network = network.frozen_up_to(feature).ok_or_else(|| {
            let message = format!("{} has no feature '{feature}'", choice.model);
            let mend = format!("it has {}", known.join(", "));
            RecipeErrors::new(vec![Mistake::with_data(recipe, "init.freeze", message, &mend)])
        })?;
    }
    let settings = settings(recipe).clone();
    let norms_frozen = settings.norms == DetectorNorms::Frozen && recipe.init.is_some();
    Detector::new(network, settings, classes, norms_frozen)
}

/// The dataset at a path.
fn open(recipe: &Recipe, data: Option<&Path>) -> Result<Dataset<Boxes>, DetectError> {
    let Some(path) = data else { return Err(DetectError::NoData { recipe: recipe.name.clone() }) };
    let whole = open_boxes(recipe, path)?;
    Ok(match recipe.data.limit {
        Some(limit) => whole.thinned(limit),
        None => whole,
    })
}

/// The dataset at a path, with what a recipe says of bad boxes, held-out images and orientation.
pub(crate) fn open_boxes(recipe: &Recipe, path: &Path) -> Result<Dataset<Boxes>, DetectError> {
    let bad_box = match settings(recipe).on_bad_box {
        OnBadBox::Stop => BadBox::Stops,
        OnBadBox::Drop => BadBox::Dropped,
    };
    let dataset = Dataset::with_boxes(path, recipe.data.split, recipe.data.split_seed, bad_box)?;
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

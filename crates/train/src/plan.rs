//! A recipe met with its data: everything about a run that is known before its first step.

use std::path::Path;
use std::sync::Arc;

use data::{Dataset, TrainLoader};
use nn::{Part, Precision};
use recipe::{Clip, Mistake, Optimizer, Recipe, RecipeErrors, Schedule, Source};
use zoo::{Network, Options, Shape, StemSize};

use crate::error::TrainError;
use crate::origin;
use crate::teacher;

/// A run to be.
#[derive(Debug)]
pub struct Plan {
    pub recipe: Recipe,
    pub dataset: Arc<Dataset>,
    pub network: Network,
    pub schedule: Schedule,
    pub steps_per_epoch: u64,
}

impl Plan {
    /// Opens the data and refuses, before the first step, what cannot be trained. A run that is resumed does not need the
    /// model that it once began with.
    pub fn new(recipe: Recipe, data: Option<&Path>, resume: bool) -> Result<Plan, TrainError> {
        let dataset = Arc::new(open(&recipe, data)?);
        Plan::on(recipe, dataset, resume)
    }

    /// The same, on data that are open already.
    pub fn on(recipe: Recipe, dataset: Arc<Dataset>, resume: bool) -> Result<Plan, TrainError> {
        let network =
            zoo::network(&recipe.network.model, &options(&recipe, dataset.classes.len()))?;
        for side in [recipe.preprocess.size, recipe.validation.crop] {
            zoo::check_side(&network, side)?;
        }
        let steps_per_epoch = TrainLoader::steps_per_epoch(&dataset, recipe.train.batch)?;
        if dataset.validation.is_empty() {
            return Err(TrainError::NothingToValidate { dataset: dataset.name.clone() });
        }
        let (network, mut mistakes) = match origin::frozen(&recipe, &network) {
            Ok(frozen) => (frozen, Vec::new()),
            Err(mistake) => (network, vec![mistake]),
        };
        if !resume {
            mistakes.extend(origin::check(&recipe, &network));
        }
        let schedule = schedule(&recipe, &dataset, steps_per_epoch, mistakes)?;
        check_batch_norms(&network, &recipe)?;
        Ok(Plan { recipe, dataset, network, schedule, steps_per_epoch })
    }

    /// How the network differs from its name's own.
    pub fn options(&self) -> Options {
        options(&self.recipe, self.dataset.classes.len())
    }

    /// Bytes that training will hold, by rule of thumb: each convolution's output before and after its batch norm,
    /// half as much again and more for gradients on their way; parameters beside gradient and velocity. What was seen
    /// lay between 0.8 (ResNet-50-D, 224 px) and 1.5 times it (ResNet-18-D, 128 px, with validation).
    pub fn memory_estimate(&self) -> u64 {
        let cost = zoo::cost(&self.network, self.recipe.preprocess.size);
        let images = images_at_once(&self.recipe) as u64;
        let input = (self.recipe.preprocess.size as u64).pow(2) * 3;
        let bytes = if precision(&self.recipe) == Precision::F32 { 4 } else { 2 };
        bytes * images * cost.activations * 7 / 2 + 4 * (3 * images * input + 3 * cost.parameters)
    }
}

/// What a recipe stores activations in (§3.2).
pub fn precision(recipe: &Recipe) -> Precision {
    match recipe.train.precision {
        recipe::Precision::F32 => Precision::F32,
        recipe::Precision::F16 => Precision::F16,
        recipe::Precision::Bf16 => Precision::Bf16,
    }
}

/// The images of a pass through the network.
fn images_at_once(recipe: &Recipe) -> usize {
    recipe.part_images()
}

/// The keys of `[update]` whose values training does not know yet.
fn unsupported(recipe: &Recipe) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut complain = |key, message: &str, mend| {
        mistakes.push(Mistake::with_data(recipe, key, message.to_owned(), mend));
    };
    if !matches!(recipe.update.optimizer, Optimizer::Nag { .. }) {
        complain("update.optimizer", "only nag can train yet", "write nag = { momentum = 0.9 }");
    }
    if let Some(Clip::Value(_)) = recipe.update.clip {
        complain("update.clip", "only a norm can be clipped yet", "write clip = { norm = 2.0 }");
    }
    mistakes
}

/// The schedule, or every mistake of the recipe that only the data and other models show.
fn schedule(
    recipe: &Recipe,
    dataset: &Dataset,
    steps_per_epoch: u64,
    mut mistakes: Vec<Mistake>,
) -> Result<Schedule, RecipeErrors> {
    mistakes.extend(recipe::check_classes(recipe, dataset.classes.len()));
    mistakes.extend(teacher::check(recipe, &dataset.classes));
    mistakes.extend(unsupported(recipe));
    let schedule = Schedule::new(recipe, steps_per_epoch);
    match schedule {
        Ok(schedule) if mistakes.is_empty() => Ok(schedule),
        Ok(_) => Err(RecipeErrors::new(mistakes)),
        Err(errors) => {
            mistakes.extend(errors.mistakes);
            Err(RecipeErrors::new(mistakes))
        }
    }
}

/// The dataset that a recipe names, or that `data` holds.
pub fn open(recipe: &Recipe, data: Option<&Path>) -> Result<Dataset, TrainError> {
    let recipe_name = || recipe.name.clone();
    let whole = match (recipe.data.source, data) {
        (Source::FashionMnist, None) => Dataset::fashion_mnist(),
        (Source::FashionMnist, Some(_)) => {
            return Err(TrainError::NeedlessData { recipe: recipe_name() });
        }
        (Source::Path, Some(path)) => {
            let dataset = Dataset::open(path, recipe.data.split, recipe.seed)?;
            dataset.oriented(recipe.data.orientation)
        }
        (Source::Path, None) => return Err(TrainError::NoData { recipe: recipe_name() }),
    };
    Ok(match recipe.data.limit {
        Some(limit) => whole.limited(limit),
        None => whole,
    })
}

pub(crate) fn options(recipe: &Recipe, classes: usize) -> Options {
    let stem = match recipe.network.stem {
        recipe::StemChoice::Imagenet => StemSize::Imagenet,
        recipe::StemChoice::Small => StemSize::Small,
    };
    let shape = recipe.network.shape.as_ref().map(|shape| Shape {
        blocks: shape.blocks,
        channels: shape.channels,
        stem_channels: shape.stem_channels,
    });
    Options { stem, shape, ..Options::plain(classes) }
}

fn check_batch_norms(network: &Network, recipe: &Recipe) -> Result<(), TrainError> {
    let (batch, size) = (images_at_once(recipe), recipe.preprocess.size);
    let (mut lonely, mut at) = (None, [size, size, 3]);
    for layer in network.layers() {
        at = layer.walk(at, &mut |part, input| {
            let (name, [height, width, _]) = match part {
                Part::ConvBn { layer, .. } => (&layer.bn, layer.output(input)),
                Part::Norm(layer) => (&layer.name, input),
                _ => return,
            };
            if batch * height * width == 1 {
                lonely.get_or_insert_with(|| name.clone());
            }
        });
    }
    match lonely {
        Some(layer) => Err(TrainError::OneValuePerChannel { layer, batch, size }),
        None => Ok(()),
    }
}

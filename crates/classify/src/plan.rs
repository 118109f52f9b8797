//! The plan of a run, from its recipe and its data: everything about a run that is known before its first step.

use std::path::Path;
use std::sync::Arc;

use data::{Dataset, TrainLoader};
use nn::{Part, Precision};
use recipe::{Mistake, Recipe, RecipeErrors, Schedule, Source};
use train::{Course, Measure, RunSources};
use zoo::{Network, Options};

use crate::error::ClassifyError;
use crate::measure::Accuracy;
use crate::{network, origin, teacher};

/// Whether a run begins anew or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    New,
    Resumed,
}

/// A recipe with its dataset, network and schedule, before the first step.
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
    pub fn new(
        recipe: Recipe,
        data: Option<&Path>,
        beginning: Beginning,
    ) -> Result<Plan, ClassifyError> {
        let dataset = Arc::new(open(&recipe, data)?);
        Plan::on(recipe, dataset, beginning)
    }

    /// Plans a run on data that are already open.
    pub fn on(
        recipe: Recipe,
        dataset: Arc<Dataset>,
        beginning: Beginning,
    ) -> Result<Plan, ClassifyError> {
        let network = network::of(&recipe, dataset.classes.len())?;
        for side in [recipe.preprocess.side(), recipe.validation().crop] {
            zoo::check_side(&network, side)?;
        }
        let steps_per_epoch = TrainLoader::steps_per_epoch(&dataset, recipe.train.batch)?;
        if dataset.validation.is_empty() {
            return Err(ClassifyError::NothingToValidate { dataset: dataset.name.clone() });
        }
        let (network, mut mistakes) = match origin::frozen(&recipe, &network) {
            Ok(frozen) => (frozen, Vec::new()),
            Err(mistake) => (network, vec![mistake]),
        };
        if beginning == Beginning::New {
            mistakes.extend(origin::check(&recipe, &network));
        }
        let schedule = schedule(&recipe, &dataset, steps_per_epoch, mistakes)?;
        check_batch_norms(&network, &recipe)?;
        Ok(Plan { recipe, dataset, network, schedule, steps_per_epoch })
    }

    /// The differences of the network from the standard one of its name.
    pub fn options(&self) -> Options {
        network::options(&self.recipe, self.dataset.classes.len())
    }

    /// What the journal of a run needs to know of it.
    pub(crate) fn course(&self, sources: RunSources) -> Course {
        Course {
            recipe: self.recipe.clone(),
            schedule: self.schedule.clone(),
            steps_per_epoch: self.steps_per_epoch,
            measure: Accuracy::columns(),
            dataset: self.dataset.name.clone(),
            classes: self.dataset.classes.clone(),
            sources,
        }
    }

    /// Bytes that training will hold, by rule of thumb: each convolution's output before and after its batch norm,
    /// half as much again and more for gradients on their way; parameters beside gradient and velocity. Measured
    /// use lay between 0.8 (ResNet-50-D, 224 px) and 1.5 times the estimate (ResNet-18-D, 128 px, with validation).
    pub fn memory_estimate(&self) -> u64 {
        let cost = zoo::cost(&self.network, self.recipe.preprocess.side());
        let images = self.recipe.part_images() as u64;
        let input = (self.recipe.preprocess.side() as u64).pow(2) * 3;
        let bytes = if self.recipe.train.precision == Precision::F32 { 4 } else { 2 };
        bytes * images * cost.activations * 7 / 2 + 4 * (3 * images * input + 3 * cost.parameters)
    }
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
pub fn open(recipe: &Recipe, data: Option<&Path>) -> Result<Dataset, ClassifyError> {
    let recipe_name = || recipe.name.clone();
    let whole = match (recipe.data.source, data) {
        (Source::FashionMnist, None) => Dataset::fashion_mnist(),
        (Source::FashionMnist, Some(_)) => {
            return Err(ClassifyError::NeedlessData { recipe: recipe_name() });
        }
        (Source::Path, Some(path)) => {
            let dataset = Dataset::open(path, recipe.data.split, recipe.data.split_seed)?;
            dataset.oriented(recipe.data.orientation)
        }
        (Source::Path, None) => return Err(ClassifyError::NoData { recipe: recipe_name() }),
    };
    Ok(match recipe.data.limit {
        Some(limit) => whole.limited(limit),
        None => whole,
    })
}

fn check_batch_norms(network: &Network, recipe: &Recipe) -> Result<(), ClassifyError> {
    let (images, size) = (recipe.part_images(), recipe.preprocess.side());
    let (mut lonely, mut at) = (None, [size, size, 3]);
    for layer in network.layers() {
        at = layer.walk(at, &mut |part, input| {
            let (name, [height, width, _]) = match part {
                Part::ConvBn { layer, .. } => (&layer.bn, layer.output(input)),
                Part::Norm(layer) => (&layer.name, input),
                _ => return,
            };
            if images * height * width == 1 {
                lonely.get_or_insert_with(|| name.clone());
            }
        });
    }
    match lonely {
        Some(layer) => Err(ClassifyError::OneValuePerChannel { layer, images, size }),
        None => Ok(()),
    }
}

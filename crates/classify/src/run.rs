//! A run of classification from its first step to its model folder.

use data::{Dataset, Resources, ValidationShare};
use nn::Model;
use recipe::{Normalize, Validation};
use record::names;
use std::sync::Arc;
use train::{Ending, Journal, Start, State};
use world::World;
use zoo::Network;

use crate::card::{Card, Split};
use crate::error::ClassifyError;
use crate::feed::{ImageFeed, ValidationImages};
use crate::measure::Accuracy;
use crate::plan::Plan;
use crate::task::Classify;
use crate::{model_folder, origin, sources};

/// A run under way: its plan, its journal and its state.
pub struct Run {
    pub plan: Plan,
    pub journal: Journal,
    pub state: State<Network>,
    /// Bytes of all images as they are stored.
    pub bytes: u64,
}

impl Run {
    /// Begins a run in a new folder, or resumes the run in the folder.
    pub fn start(plan: Plan, start: &Start, world: &World) -> Result<Run, ClassifyError> {
        let (found, bytes) = sources::of(&plan)?;
        let course = plan.course(found);
        let (mut journal, checkpoint) = Journal::start(course, start, &zoo::names(), world)?;
        let (recipe, network) = (&plan.recipe, &plan.network);
        let state = match checkpoint {
            Some(checkpoint) => State::restored(recipe, network.clone(), checkpoint, start.device)?,
            None => {
                let classes = &plan.dataset.classes;
                let (model, notes) = origin::first(recipe, network, classes, start.device)?;
                let notes = notes.into_iter().chain(sources::split_notes(recipe));
                notes.for_each(|note| journal.note(&note));
                State::initial(recipe, model)
            }
        };
        if let [only] = plan.dataset.classes.as_slice() {
            journal.note(&format!(
                "note: {only} is the only class, so every answer is right and nothing is learned; a classifier needs two"
            ));
        }
        Ok(Run { plan, journal, state, bytes })
    }

    /// Trains to the end of the run, writes its model and returns the values of the last evaluation; None where
    /// somebody stopped the run.
    pub fn train_to_end(
        &mut self,
        resources: Resources,
        world: &mut World,
    ) -> Result<Option<Vec<f64>>, ClassifyError> {
        let Run { plan, journal, state, .. } = self;
        let task = Classify::new(&plan.recipe, plan.dataset.clone(), &state.model.device)?;
        let mut feed = ImageFeed::new(plan, state.step, resources, world)?;
        let ending = train::train(&task, &mut feed, state, world, journal)?;
        if ending == Ending::Stopped {
            journal.close();
            return Ok(None);
        }
        journal.save(state)?;
        journal.close();
        let values = match journal.last_evaluation() {
            Some(values) => values.to_vec(),
            // The run was through before this session.
            None => {
                let measure = train::evaluate(&task, &mut feed, state.evaluated(), world)?;
                let values = train::Measure::values(&measure);
                journal.check_evaluation(&values, state.step)?;
                values
            }
        };
        if world.rank() == 0 {
            let folder = journal.folder().join(names::MODEL);
            model_folder::write(&folder, state.evaluated(), &card(plan, state.step))?;
        }
        Ok(Some(values))
    }
}

/// The card of the model that a run has trained.
fn card(plan: &Plan, step: u64) -> Card {
    let recipe = &plan.recipe;
    Card {
        classes: plan.dataset.classes.clone(),
        validation: recipe.validation(),
        normalize: recipe.preprocess.normalize,
        orientation: recipe.data.orientation,
        options: plan.options(),
        step,
        split: Split {
            share: recipe.data.split,
            seed: recipe.data.split_seed,
            embedded: recipe.data.source == recipe::Source::FashionMnist,
        },
        recipe: recipe.name.clone(),
    }
}

/// Accuracy and mean loss over the validation images of a dataset, each image counted once.
pub fn evaluate(
    model: &Model<Network>,
    dataset: &Arc<Dataset>,
    validation: Validation,
    normalize: Normalize,
    resources: Resources,
) -> Result<Accuracy, ClassifyError> {
    let dataset = dataset.clone();
    let task = Classify::of_validation(dataset.clone());
    let share = ValidationShare::WHOLE;
    let mut feed = ValidationImages { dataset, validation, normalize, resources, share };
    Ok(train::evaluate(&task, &mut feed, model, &mut World::alone())?)
}

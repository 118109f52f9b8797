//! A run of classification from its first step to its model folder.

use data::{Dataset, Preparation, Resources, ValidationShare};
use nn::{Device, Model};
use record::names;
use std::sync::Arc;
use train::checkpoint::Checkpoint;
use train::{Control, Ending, Journal, Start, State, first_does, together};
use world::World;
use zoo::Network;

use crate::card::Card;
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
    /// Begins a run in a new folder, or resumes the run in the folder. All ranks call it.
    pub fn start(plan: Plan, start: &Start, world: &mut World) -> Result<Run, ClassifyError> {
        let ((found, bytes), _) = together(world, sources::of(&plan), Control::default())?;
        let course = plan.course(found);
        let (mut journal, checkpoint) = Journal::start(course, start, &zoo::names(), world)?;
        let state = first_state(&plan, checkpoint, start.device);
        let ((state, notes), _) = together(world, state, Control::default())?;
        notes.iter().for_each(|note| journal.note(note));
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
        let task = Classify::new(&plan.recipe, plan.dataset.clone(), &state.model.device);
        let feed = ImageFeed::new(plan, state.step, resources, world);
        let both = task.and_then(|task| Ok((task, feed?)));
        let ((task, mut feed), _) = together(world, both, Control::default())?;
        let ending = train::train(&task, &mut feed, state, world, journal)?;
        if ending == Ending::Stopped {
            journal.close();
            return Ok(None);
        }
        journal.save(state, world)?;
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
        let folder = journal.folder().join(names::MODEL);
        let card = Card::of_run(&plan.recipe, &plan.dataset.classes, state.step);
        first_does(world, || model_folder::write(&folder, state.evaluated(), &card))?;
        Ok(Some(values))
    }
}

/// The state that a run begins with, with notes on where it comes from, or the state of a checkpoint.
fn first_state(
    plan: &Plan,
    checkpoint: Option<Checkpoint>,
    device: &Device,
) -> Result<(State<Network>, Vec<String>), ClassifyError> {
    let (recipe, network) = (&plan.recipe, &plan.network);
    if let Some(checkpoint) = checkpoint {
        let state = State::restored(recipe, network.clone(), checkpoint, device)?;
        return Ok((state, Vec::new()));
    }
    let (model, notes) = origin::first(recipe, network, &plan.dataset.classes, device)?;
    let notes = notes.into_iter().chain(sources::split_notes(recipe));
    Ok((State::initial(recipe, model), notes.collect()))
}

/// Accuracy and mean loss over the validation images of a dataset, each image counted once.
pub fn evaluate(
    model: &Model<Network>,
    dataset: &Arc<Dataset>,
    preparation: Preparation,
    resources: Resources,
) -> Result<Accuracy, ClassifyError> {
    let dataset = dataset.clone();
    let task = Classify::of_validation(dataset.clone());
    let share = ValidationShare::WHOLE;
    let mut feed = ValidationImages { dataset, preparation, resources, share };
    Ok(train::evaluate(&task, &mut feed, model, &mut World::alone())?)
}

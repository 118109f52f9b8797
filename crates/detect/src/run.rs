//! A run of detection from its first step to its model folder.

use std::path::Path;
use std::sync::Arc;

use data::{Boxes, Dataset, Resources, RgbImage, ValidationShare};
use nn::{Device, Model, Precision, TensorData};
use record::names;
use train::checkpoint::Checkpoint;
use train::{Control, Ending, Journal, Start, State, first_does, together};
use world::World;

use crate::answers::FoundBox;
use crate::average_precision::AveragePrecision;
use crate::error::DetectError;
use crate::feed::{SceneFeed, ValidationScenes};
use crate::model_folder::{self, DetectorCard};
use crate::network::Detector;
use crate::origin;
use crate::plan::{self, DetectPlan};
use crate::task::{Detect, UnseenScene, detect};
use recipe::DetectorNorms;

/// A run under way: its plan, its journal and its state.
pub struct DetectRun {
    pub plan: DetectPlan,
    pub journal: Journal,
    pub state: State<Detector>,
    /// Bytes of all images as they are stored.
    pub bytes: u64,
}

impl DetectRun {
    /// Begins a run in a new folder, or resumes the run in the folder. All ranks call it.
    pub fn start(
        plan: DetectPlan,
        start: &Start,
        world: &mut World,
    ) -> Result<DetectRun, DetectError> {
        let ((course, bytes), _) = together(world, plan.course(), Control::default())?;
        let (mut journal, checkpoint) = Journal::start(course, start, &zoo::names(), world)?;
        let state = first_state(&plan, checkpoint, start.device);
        let ((state, notes), _) = together(world, state, Control::default())?;
        notes.iter().for_each(|note| journal.note(note));
        Ok(DetectRun { plan, journal, state, bytes })
    }

    /// Trains to the end of the run, writes its model and returns the values of the last evaluation; None where
    /// somebody stopped the run.
    pub fn train_to_end(
        &mut self,
        resources: Resources,
        world: &mut World,
    ) -> Result<Option<Vec<f64>>, DetectError> {
        let DetectRun { plan, journal, state, .. } = self;
        let task = Detect::new(plan.recipe.train.precision, plan.dataset.clone());
        let feed = SceneFeed::new(plan, state.step, resources, world);
        let (mut feed, _) = together(world, feed, Control::default())?;
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
        let card = DetectorCard {
            classes: plan.dataset.classes.clone(),
            recipe: plan.recipe.clone(),
            step: state.step,
        };
        let folder = journal.folder().join(names::MODEL);
        first_does(world, || model_folder::write(&folder, state.evaluated(), &card))?;
        Ok(Some(values))
    }
}

/// The state that a run begins with, with notes on it, or the state of a checkpoint.
fn first_state(
    plan: &DetectPlan,
    checkpoint: Option<Checkpoint>,
    device: &Device,
) -> Result<(State<Detector>, Vec<String>), DetectError> {
    let (recipe, detector) = (&plan.recipe, &plan.detector);
    if let Some(checkpoint) = checkpoint {
        let state = State::restored(recipe, detector.clone(), checkpoint, device)?;
        return Ok((state, Vec::new()));
    }
    let (model, mut notes) = origin::first(recipe, detector, &plan.dataset.classes, device)?;
    notes.extend(notes_on(plan));
    Ok((State::initial(recipe, model), notes))
}

/// Remarks on the data and on the network of a new run.
fn notes_on(plan: &DetectPlan) -> Vec<String> {
    let mut notes: Vec<String> = plan
        .dataset
        .left_out
        .iter()
        .filter(|left| left.reason.starts_with("its box"))
        .map(|left| format!("note: {}: {}", left.name, left.reason))
        .collect();
    if plan.recipe.init.is_none() && plan::settings(&plan.recipe).norms == DetectorNorms::Frozen {
        let text = "note: without trained weights (init.from) the batch norms are trained: frozen random ones would \
                    switch normalisation off";
        notes.push(text.to_owned());
    }
    notes
}

/// The precision of a trained detector over the validation images of a path.
pub fn evaluate(
    model: &Model<Detector>,
    card: &DetectorCard,
    path: &Path,
    resources: Resources,
) -> Result<AveragePrecision, DetectError> {
    let dataset = Arc::new(validation(card, path)?);
    let task = Detect::new(Precision::F32, dataset.clone());
    let mut feed = ValidationScenes::new(&card.recipe, dataset, resources, ValidationShare::WHOLE);
    Ok(train::evaluate(&task, &mut feed, model, &mut World::alone())?)
}

/// The dataset at a path, whose classes are the model's.
fn validation(card: &DetectorCard, path: &Path) -> Result<Dataset<Boxes>, DetectError> {
    let dataset = plan::open_boxes(&card.recipe, path)?;
    if dataset.classes != card.classes {
        return Err(DetectError::OtherClasses {
            dataset: dataset.name,
            ours: dataset.classes.join(", "),
            theirs: card.classes.join(", "),
        });
    }
    if dataset.validation.is_empty() {
        return Err(DetectError::NothingToValidate { dataset: dataset.name });
    }
    Ok(dataset)
}

/// The objects that a trained detector finds in an image.
pub fn predict(model: &Model<Detector>, card: &DetectorCard, image: &RgbImage) -> Vec<FoundBox> {
    let (values, [width, height]) = plan::shorter_side(&card.recipe).sample(image);
    let original = [image.width as f32, image.height as f32];
    let image = TensorData::new(values, [1, height, width, 3]);
    detect(model, UnseenScene { image, original })
}

//! A run of segmentation from its first step to its model folder.

use std::path::Path;
use std::sync::Arc;

use data::{Dataset, Mask, MaskFile, Resources, RgbImage, ValidationShare};
use nn::{Device, Model};
use record::names;
use train::checkpoint::Checkpoint;
use train::{Control, Ending, Journal, Start, State, first_does, together};
use world::World;

use crate::error::SegmentError;
use crate::feed::{CropFeed, ValidationPictures};
use crate::measure::MeanIou;
use crate::model_folder::{self, SegmenterCard};
use crate::network::Segmenter;
use crate::origin;
use crate::plan::{self, SegmentPlan};
use crate::scoring::Scorer;
use crate::task::Segment;

/// A run under way: its plan, its journal and its state.
pub struct SegmentRun {
    pub plan: SegmentPlan,
    pub journal: Journal,
    pub state: State<Segmenter>,
    /// Bytes of all images as they are stored.
    pub bytes: u64,
}

impl SegmentRun {
    /// Begins a run in a new folder, or resumes the run in the folder. All ranks call it.
    pub fn start(
        plan: SegmentPlan,
        start: &Start,
        world: &mut World,
    ) -> Result<SegmentRun, SegmentError> {
        let ((course, bytes), _) = together(world, plan.course(), Control::default())?;
        let (mut journal, checkpoint) = Journal::start(course, start, &zoo::names(), world)?;
        let state = first_state(&plan, checkpoint, start.device);
        let ((state, notes), _) = together(world, state, Control::default())?;
        notes.iter().for_each(|note| journal.note(note));
        Ok(SegmentRun { plan, journal, state, bytes })
    }

    /// Trains to the end of the run, writes its model and returns the values of the last evaluation; None where
    /// somebody stopped the run.
    pub fn train_to_end(
        &mut self,
        resources: Resources,
        world: &mut World,
    ) -> Result<Option<Vec<f64>>, SegmentError> {
        let SegmentRun { plan, journal, state, .. } = self;
        let task = Segment::new(&plan.recipe, plan.dataset.clone());
        let feed = CropFeed::new(plan, state.step, resources, world);
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
        let card = card(plan, state.step);
        let folder = journal.folder().join(names::MODEL);
        first_does(world, || model_folder::write(&folder, state.evaluated(), &card))?;
        Ok(Some(values))
    }
}

/// The state that a run begins with, with notes on where it comes from, or the state of a checkpoint.
fn first_state(
    plan: &SegmentPlan,
    checkpoint: Option<Checkpoint>,
    device: &Device,
) -> Result<(State<Segmenter>, Vec<String>), SegmentError> {
    let (recipe, segmenter) = (&plan.recipe, &plan.segmenter);
    if let Some(checkpoint) = checkpoint {
        let state = State::restored(recipe, segmenter.clone(), checkpoint, device)?;
        return Ok((state, Vec::new()));
    }
    let (model, notes) = origin::first(recipe, segmenter, &plan.dataset.classes, device)?;
    Ok((State::initial(recipe, model), notes))
}

fn card(plan: &SegmentPlan, step: u64) -> SegmenterCard {
    let SegmentPlan { recipe, dataset, .. } = plan;
    SegmenterCard {
        classes: dataset.classes.clone(),
        recipe: recipe.clone(),
        step,
        behind_zero: dataset.validation.annotation(0).values().is_behind_zero(),
    }
}

/// Pixel accuracy and mean IoU of a trained segmenter over the validation images of a path.
pub fn evaluate(
    model: &Model<Segmenter>,
    card: &SegmenterCard,
    path: &Path,
) -> Result<MeanIou, SegmentError> {
    let dataset = Arc::new(validation(card, path)?);
    let task = Segment::new(&card.recipe, dataset.clone());
    let mut feed = ValidationPictures { dataset, share: ValidationShare::WHOLE };
    Ok(train::evaluate(&task, &mut feed, model, &mut World::alone())?)
}

/// The dataset at a path, whose classes are the model's.
fn validation(card: &SegmenterCard, path: &Path) -> Result<Dataset<MaskFile>, SegmentError> {
    let dataset = plan::open_masks(&card.recipe, path)?;
    if dataset.classes != card.classes {
        return Err(SegmentError::OtherClasses {
            dataset: dataset.name,
            ours: dataset.classes.join(", "),
            theirs: card.classes.join(", "),
        });
    }
    if dataset.validation.is_empty() {
        return Err(SegmentError::NothingToValidate { dataset: dataset.name });
    }
    Ok(dataset)
}

/// The class of every pixel of an image by a trained segmenter.
pub fn predict(model: &Model<Segmenter>, card: &SegmenterCard, image: &RgbImage) -> Mask<u16> {
    let indices = Scorer::new(model, &card.recipe).answer(image);
    Mask { width: image.width, height: image.height, indices }
}

//! The measure of a model over all validation images, each counted once.

use nn::Model;
use world::World;

use crate::control::{Control, together};
use crate::error::TrainError;
use crate::gather::gathered;
use crate::task::{Task, ValidationFeed};

/// Validation batches: the number of each, with its answers.
type Numbered<A> = Vec<(u64, Vec<A>)>;

/// Evaluates a model. Every rank answers its own batches; all answers are gathered and put in the order of the images, so
/// that each rank gets the measure of all of them.
pub fn evaluate<T: Task>(
    task: &T,
    validation: &mut impl ValidationFeed<T::Question>,
    model: &Model<T::Module>,
    world: &mut World,
) -> Result<T::Measure, TrainError> {
    let own = answers(task, validation, model);
    let (own, _) = together(world, own, Control::default())?;
    let mut numbered = match world.size() {
        1 => own,
        _ => gathered(&own, world)?,
    };
    numbered.sort_by_key(|(number, _)| *number);
    Ok(task.measure(numbered.into_iter().flat_map(|(_, answers)| answers).collect()))
}

fn answers<T: Task>(
    task: &T,
    validation: &mut impl ValidationFeed<T::Question>,
    model: &Model<T::Module>,
) -> Result<Numbered<T::Answer>, TrainError> {
    let answer = |batch| {
        let (number, question) = batch?;
        Ok((number, task.answers(model, question)))
    };
    validation.batches()?.map(answer).collect()
}

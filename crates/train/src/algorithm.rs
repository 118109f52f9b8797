//! Algorithm 1: train a neural network with mini-batch stochastic gradient descent.

use world::World;

use crate::error::TrainError;
use crate::evaluate::evaluate;
use crate::guard::guarded;
use crate::journal::Journal;
use crate::signal;
use crate::state::State;
use crate::step::step;
use crate::task::{Feed, Task, ValidationFeed};

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Finished,
    /// Somebody asked the run to stop; a checkpoint holds everything up to here.
    Stopped,
}

/// Takes `state` from its step to the end of the schedule. This is the only loop, whatever the task.
pub fn train<T: Task, F: Feed<T::Part> + ValidationFeed<T::Question>>(
    task: &T,
    feed: &mut F,
    state: &mut State<T::Module>,
    world: &mut World,
    journal: &mut Journal,
) -> Result<Ending, TrainError> {
    guarded(world, journal, |world, journal| {
        while state.step < journal.schedule().total_steps() {
            let hyper = journal.hyper(state.step); // the rate and the numbers of the update
            let report = step(task, feed, state, world, &hyper, || journal.asks())?;
            let agreed = report.agreed;
            journal.record_step(report, world)?;
            if journal.schedule().evaluate_at(state.step - 1) {
                let measure = evaluate(task, feed, state.evaluated(), world)?;
                journal.record_evaluation(state, &measure, world)?;
            }
            if agreed.stop.is_some() || agreed.checkpoint || journal.checkpoint_is_due(state) {
                journal.save(state, world)?;
            }
            if let Some(signal) =
                agreed.stop.filter(|_| state.step < journal.schedule().total_steps())
            {
                signal::adopt(signal);
                return Ok(Ending::Stopped);
            }
        }
        Ok(Ending::Finished)
    })
}

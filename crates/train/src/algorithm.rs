//! Algorithm 1: train a neural network with mini-batch stochastic gradient descent.

use crate::error::TrainError;
use crate::run::Run;
use crate::signal;
use crate::state::State;
use crate::task::Task;

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Finished,
    /// Ctrl-C or SIGTERM; a checkpoint holds everything up to here.
    Stopped,
}

/// Takes `state` from its step to the end of the schedule. One loop for every task, and no other.
pub fn train<T: Task>(
    task: &mut T,
    state: &mut State,
    run: &mut Run,
) -> Result<Ending, TrainError> {
    while state.step < run.schedule().total_steps() {
        let batch = task.batch()?; // X, y ← preprocess(b random images)
        let leaves = state.model.parameters.tracked();
        let loss = task.loss(&mut state.model, &leaves, batch); // z ← forward(net, X); ℓ ← loss(z, y)
        let loss_value = run.finite(loss.clone().into_scalar(), state.step)?;
        let gradients = leaves.gradients(loss); // grad ← backward(ℓ)
        let rate = run.schedule().rate(state.step);
        let hyper = |role| run.nag(role, rate);
        state.velocity.update(&mut state.model.parameters, gradients, hyper); // update(net, grad)
        let evaluate = run.schedule().evaluate_at(state.step);
        state.step += 1;

        run.record_step(state, loss_value, rate, task.waited())?;
        if evaluate {
            let evaluation = task.evaluate(&mut state.model)?;
            run.record_evaluation(state, evaluation)?;
        }
        let stop = signal::stop_requested();
        if stop || run.checkpoint_is_due(state) {
            run.save(state)?;
        }
        if stop && state.step < run.schedule().total_steps() {
            return Ok(Ending::Stopped);
        }
    }
    Ok(Ending::Finished)
}

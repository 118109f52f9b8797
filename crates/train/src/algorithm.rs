//! Algorithm 1: train a neural network with mini-batch stochastic gradient descent.

use nn::Gradients;

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
        let batch = task.batch()?; // X, y ← preprocess(b random images), in equal parts
        let mut gradients = Gradients::of_loss_times(state.loss_scale());
        for part in batch {
            let leaves = state.model.parameters.tracked();
            let loss = task.loss(&mut state.model, &leaves, part); // z ← forward(net, X); ℓ ← loss(z, y)
            gradients.add(leaves, loss); // grad ← backward(ℓ)
        }
        let loss = run.finite(gradients.loss(), state.step)?;
        let rate = run.schedule().rate(state.step);
        state.update(run.clipped(gradients), |spec| run.nag(spec, rate)); // update(net, grad)
        let evaluate = run.schedule().evaluate_at(state.step - 1);

        run.record_step(state, loss, rate, task.waited())?;
        run.record_skipped(state, task.skipped())?;
        if evaluate {
            let evaluation = task.evaluate(state.evaluated())?;
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

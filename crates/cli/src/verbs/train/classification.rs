//! `trickbag train` of a classifier.

use anyhow::Result;
use classify::{Accuracy, Beginning, ClassifyError, Plan, Run};
use record::{Best, MeasureColumns};
use train::{Journal, Measure};
use world::World;

use super::{Command, Resolved, TaskRun, dry_run, to_end};
use crate::args::Train;
use crate::output::{self, grouped};
use crate::ranks;
use crate::verbs::{self, bad_images};

pub(crate) fn run(command: &Command, resolved: Resolved, world: &mut World) -> Result<()> {
    let args = command.args;
    let Resolved { recipe, text } = resolved;
    let beginning = if args.resume { Beginning::Resumed } else { Beginning::New };
    let plan = Plan::new(recipe, args.data.as_deref(), beginning).map_err(|error| match error {
        ClassifyError::Recipe(errors) => text.located(errors).into(),
        other => other.into(),
    });
    let plan = ranks::together(world, plan)?;
    if args.dry_run {
        return if world.rank() == 0 { dry_run::print(&plan, args.json) } else { Ok(()) };
    }
    let environment = verbs::environment(command.threads, &plan.dataset, world);
    let name = plan.recipe.name.clone();
    to_end(command, &name, environment, world, |start, world| Ok(Run::start(plan, start, world)?))
}

impl TaskRun for Run {
    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn steps(&self) -> [u64; 2] {
        [self.state.step, self.plan.schedule.total_steps()]
    }

    fn best(&self) -> Option<Best> {
        self.state.best
    }

    fn columns(&self) -> MeasureColumns {
        Accuracy::columns()
    }

    fn introduce(&self, _world: &World) {
        introduce(self);
    }

    fn train_to_end(&mut self, command: &Command, world: &mut World) -> Result<Option<Vec<f64>>> {
        let ended = Run::train_to_end(self, command.threads.loader(), world);
        Ok(ended.map_err(|error| match world.size() {
            1 => name_all_bad(error, self, command.args),
            _ => error,
        })?)
    }
}

/// The error with every bad image named, where it is about one.
fn name_all_bad(error: ClassifyError, run: &Run, args: &Train) -> ClassifyError {
    match error {
        ClassifyError::Data(found) => {
            bad_images::name_all(found, &run.plan.dataset, args.threads.loader().threads).into()
        }
        other => other,
    }
}

/// The first lines of a run: what is trained on what.
fn introduce(run: &Run) {
    let Run { plan, state, journal, bytes } = run;
    let (recipe, dataset) = (&plan.recipe, &plan.dataset);
    let cost = zoo::cost(&plan.network, recipe.preprocess.side());
    output::note(&format!(
        "{}: {} ({:.2} M parameters, {:.3} G multiply-adds at {size_px}×{size_px})",
        recipe.name,
        plan.network.name,
        cost.parameters as f64 / 1e6,
        cost.multiply_adds as f64 / 1e9,
        size_px = recipe.preprocess.side(),
    ));
    output::note(&format!(
        "{}: {} training and {} validation images in {} classes, {}",
        dataset.name,
        grouped(dataset.train.len() as u64),
        grouped(dataset.validation.len() as u64),
        dataset.classes.len(),
        output::bytes(*bytes),
    ));
    let decayed = |parameter: &&nn::Parameter| recipe.update.decay_on.acts_on(parameter.spec.role);
    let parameters = &state.model.parameters;
    output::note(&format!(
        "{} steps of {} images; rate {} after {} steps of warm-up; weight decay on {} of {} tensors; run folder {}",
        grouped(plan.schedule.total_steps()),
        recipe.train.batch,
        plan.schedule.initial_rate(),
        plan.schedule.warmup_steps(),
        parameters.trainable().filter(decayed).count(),
        parameters.trainable().count(),
        journal.folder().display(),
    ));
    if let Some(feature) = recipe.init.as_ref().and_then(|init| init.freeze.as_ref()) {
        output::note(&format!(
            "frozen up to {feature}: {} of {} tensors do not change, and their batch norms work as in evaluation",
            plan.network.frozen_parameters(),
            parameters.iter().count(),
        ));
    }
}

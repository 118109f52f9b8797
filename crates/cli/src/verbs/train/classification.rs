//! `trickbag train` of a classifier.

use anyhow::Result;
use classify::{Accuracy, Beginning, ClassifyError, Plan, Run};
use record::{Best, MeasureColumns};
use train::{Journal, Measure};
use world::World;

use super::{Resolved, TaskRun, dry_run, to_end};
use crate::args::Train;
use crate::output::{self, grouped};
use crate::verbs::{self, bad_images};

pub(crate) fn run(args: &Train, resolved: Resolved) -> Result<()> {
    let (recipe, text) = resolved.apart();
    let beginning = if args.resume { Beginning::Resumed } else { Beginning::New };
    let plan = Plan::new(recipe, args.data.as_deref(), beginning).map_err(|error| match error {
        ClassifyError::Recipe(errors) => Resolved::located(&text, errors, args).into(),
        other => other,
    })?;
    if args.dry_run {
        return dry_run::print(&plan, args.json);
    }
    let environment = verbs::environment(args.threads, &plan.dataset);
    let name = plan.recipe.name.clone();
    to_end(args, &name, environment, |start, world| Ok(Run::start(plan, start, world)?))
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

    fn introduce(&self) {
        introduce(self);
    }

    fn train_to_end(&mut self, args: &Train, world: &mut World) -> Result<Option<Vec<f64>>> {
        let ended = Run::train_to_end(self, args.threads.loader(), world);
        Ok(ended.map_err(|error| name_all_bad(error, self, args))?)
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
    if state.step > 0 {
        output::note(&format!("resuming at step {}", grouped(state.step)));
    }
}

//! `trickbag train`: from a recipe to a run folder.

pub(crate) mod dry_run;
pub(crate) mod place;

use std::path::Path;

use anyhow::Result;
use classify::{Accuracy, Beginning, ClassifyError, Plan, Run};
use recipe::Recipe;
use record::names;
use serde_json::{Map, json};
use train::{Measure, Start, TrainError, resume, signal};
use world::World;

use crate::args::Train;
use crate::output::{self, Stopped, Usage, grouped};
use crate::verbs::{bad_images, recipes, report};

pub(crate) fn run(args: &Train) -> Result<()> {
    super::use_threads(args.threads.compute())?;
    let Resolved { recipe, text, file } = resolve(args)?;
    let beginning = if args.resume { Beginning::Resumed } else { Beginning::New };
    let plan = Plan::new(recipe, args.data.as_deref(), beginning).map_err(|error| match error {
        ClassifyError::Recipe(errors) => errors.located(&text, &file, &args.edits).into(),
        other => other,
    })?;
    if args.dry_run {
        return dry_run::print(&plan, args.json);
    }
    signal::install()?;
    let folder = place::of(args, &plan.recipe.name)?;
    let device = nn::cpu();
    let start = Start {
        folder: &folder,
        resume: args.resume,
        device: &device,
        environment: super::environment(args.threads, &plan),
    };
    let mut world = World::alone();
    let mut run = Run::start(plan, &start, &world)?;
    introduce(&run);
    let ended = run
        .train_to_end(args.threads.loader(), &mut world)
        .map_err(|error| name_all_bad(error, &run, args))?;
    let Some(values) = ended else {
        tell_stop(args, &run);
        return Err(Stopped::by_signal().into());
    };
    let folder = run.journal.folder();
    let page = report::write(&[folder], &folder.join(names::REPORT))?;
    summarize(args, &run, &values, &page);
    Ok(())
}

/// Where a signal stopped the run, and how it goes on.
fn tell_stop(args: &Train, run: &Run) {
    let folder = run.journal.folder();
    let data = args.data.as_ref();
    let data = data.map_or(String::new(), |path| format!(" --data {}", output::shell_word(path)));
    let command = format!("trickbag train --resume --out {}{data}", output::shell_word(folder));
    let step = run.state.step;
    output::note(&format!("stopped at step {step}; go on with: {command}"));
    if args.json {
        output::json(&json!({
            "run": folder.display().to_string(),
            "stopped_by": Stopped::by_signal().0.name(),
            "steps": step,
            "total_steps": run.plan.schedule.total_steps(),
            "resume": command,
        }));
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

/// A recipe, and the text it was read from.
struct Resolved {
    recipe: Recipe,
    text: String,
    file: String,
}

/// The recipe of the command line, or of the run to resume where none is given.
fn resolve(args: &Train) -> Result<Resolved> {
    let (text, file) = source(args)?;
    let recipe = recipe::parse_with_edits(&text, &file, &args.edits, &zoo::names())?;
    Ok(Resolved { recipe, text, file })
}

/// The text of the recipe, and its name in messages.
fn source(args: &Train) -> Result<(String, String)> {
    if args.resume && args.recipe.is_none() {
        let folder = args.out.clone().unwrap_or_else(|| place::newest("quickstart"));
        let text = resume::recipe_of(&folder)?
            .ok_or_else(|| TrainError::NoRun { folder: folder.clone() })?;
        let file = folder.join(names::RECIPE).display().to_string();
        return Ok((text, file));
    }
    let name = args.recipe.as_deref().unwrap_or("quickstart");
    let path = Path::new(name);
    match recipes::text(name)? {
        Some(text) => Ok((text, name.to_owned())),
        None if path.is_file() => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Usage(format!("{name}: cannot be read: {error}")))?;
            Ok((text, name.to_owned()))
        }
        None => Err(recipes::unknown(name).into()),
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

fn summarize(args: &Train, run: &Run, values: &[f64], page: &Path) {
    let Run { journal, state, .. } = run;
    let columns = Accuracy::columns();
    let seconds = journal.worked().as_secs_f64();
    let model = journal.folder().join(names::MODEL);
    let (bad_images, skips) = journal.skipped().unwrap_or_default();
    if args.json {
        let mut summary = Map::new();
        let mut add = |key: &str, value| summary.insert(key.to_owned(), value);
        add("run", json!(journal.folder().display().to_string()));
        add("model", json!(model.display().to_string()));
        add("report", json!(page.display().to_string()));
        add("steps", json!(state.step));
        for (column, &value) in columns.columns().iter().zip(values) {
            let count = column.unit == record::Unit::Count;
            add(&column.name, if count { json!(value as u64) } else { json!(value) });
        }
        let best = format!("best_{}", columns.headline().name);
        add(&best, json!(state.best.map(|best| best.value)));
        add("seconds", json!(seconds));
        add("bad_images", json!(bad_images));
        add("skips", json!(skips));
        output::json(&summary.into());
        return;
    }
    output::print(&format!(
        "{}, after {} steps in {}",
        columns.say(values),
        grouped(state.step),
        output::duration(seconds),
    ));
    if bad_images > 0 {
        output::print(&format!(
            "{} bad images were skipped, {} times in all: {}",
            grouped(bad_images),
            grouped(skips),
            journal.folder().join(names::BAD_SAMPLES).display(),
        ));
    }
    output::print(&format!("model: {}", model.display()));
    output::print(&format!("report: {}", page.display()));
}

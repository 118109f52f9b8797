//! `trickbag train`: from a recipe to a run folder.

pub(crate) mod dry_run;
mod fitting;
pub(crate) mod place;

use std::path::{Path, PathBuf};

use anyhow::Result;
use classify::{Accuracy, Beginning, ClassifyError, Plan, Run};
use recipe::Recipe;
use record::names;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use train::{Measure, Start, TrainError, resume, signal};
use world::World;

use crate::args::Train;
use crate::output::{self, Stopped, Usage, grouped};
use crate::ranks;
use crate::verbs::{bad_images, import, recipes, report};

use fitting::Fitting;

pub(crate) fn run(args: &Train) -> Result<()> {
    ranks::run(&args.ranks, |world| on_rank(args, world))
}

/// Trains as one of the ranks, or alone.
fn on_rank(args: &Train, world: &mut World) -> Result<()> {
    let threads = args.threads.among(world.neighbours());
    ranks::together(world, super::use_threads(threads.compute()))?;
    let plan = plan(args, world)?;
    world.share(plan.recipe.train.parts)?;
    if args.dry_run {
        return if world.rank() == 0 { dry_run::print(&plan, args.json) } else { Ok(()) };
    }
    signal::install()?;
    let folder = folder(args, &plan.recipe.name, world)?;
    let device = nn::cpu();
    let environment = super::environment(threads, &plan, world);
    let start = Start { folder: &folder, resume: args.resume, device: &device, environment };
    let mut run = Run::start(plan, &start, world)?;
    ranks::goes_on_by(&resuming(args, &run));
    introduce(&run, world);
    let ended = run.train_to_end(threads.loader(), world).map_err(|error| match world.size() {
        1 => name_all_bad(error, &run, args),
        _ => error,
    })?;
    let Some(values) = ended else {
        tell_stop(args, &run);
        return Err(Stopped::by_signal().into());
    };
    let folder = run.journal.folder();
    let page = folder.join(names::REPORT);
    ranks::first_does(world, || report::write(&[folder], &page).map(drop))?;
    summarize(args, &run, &values, &page);
    Ok(())
}

/// The plan of the run. A recipe file is read, and a published model fetched, by rank 0 alone.
fn plan(args: &Train, world: &mut World) -> Result<Plan> {
    let text = ranks::first_does(world, || source(args))?;
    let resolved = ranks::together(world, resolve(args, text))?;
    let Resolved { mut recipe, text, file, edits } = resolved;
    if let Some(init) = &mut recipe.init {
        init.from = ranks::first_does(world, || import::settled_origin(&init.from))?;
    }
    let beginning = if args.resume { Beginning::Resumed } else { Beginning::New };
    let planned = Plan::new(recipe, args.data.as_deref(), beginning).map_err(|error| match error {
        ClassifyError::Recipe(errors) => errors.located(&text, &file, &edits).into(),
        other => other.into(),
    });
    ranks::together(world, planned)
}

/// The folder of the run, which rank 0 chooses. The others know it only for their messages.
fn folder(args: &Train, name: &str, world: &mut World) -> Result<PathBuf> {
    let mut chosen = None;
    let shown = ranks::first_does(world, || {
        let folder = place::of(args, name)?;
        Ok(chosen.insert(folder).to_string_lossy().into_owned())
    })?;
    Ok(chosen.unwrap_or_else(|| shown.into()))
}

/// The command by which a run goes on.
fn resuming(args: &Train, run: &Run) -> String {
    let folder = output::shell_word(run.journal.folder());
    let data = args.data.as_ref();
    let data = data.map_or(String::new(), |path| format!(" --data {}", output::shell_word(path)));
    format!("trickbag train --resume --out {folder}{data}")
}

/// Where a signal stopped the run, and how it goes on.
fn tell_stop(args: &Train, run: &Run) {
    let folder = run.journal.folder();
    let command = resuming(args, run);
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
    edits: Vec<String>,
}

/// The text of a recipe, its name in messages, and the edits that come before the user's.
#[derive(Serialize, Deserialize)]
struct Text {
    text: String,
    file: String,
    edits: Vec<String>,
}

/// The recipe of the command line, or of the run to resume where none is given.
fn resolve(args: &Train, Text { text, file, mut edits }: Text) -> Result<Resolved> {
    edits.extend_from_slice(&args.edits);
    let recipe = recipe::parse_with_edits(&text, &file, &edits, &zoo::names())?;
    Ok(Resolved { recipe, text, file, edits })
}

/// The recipe that is given; else that of the run to resume, the one that fits the data, or the quickstart.
fn source(args: &Train) -> Result<Text> {
    let plain = |text, file| Text { text, file, edits: Vec::new() };
    if args.resume && args.recipe.is_none() && (args.out.is_some() || args.data.is_none()) {
        let folder = args.out.clone().unwrap_or_else(|| place::newest("quickstart"));
        let text = resume::recipe_of(&folder)?
            .ok_or_else(|| TrainError::NoRun { folder: folder.clone() })?;
        let file = folder.join(names::RECIPE).display().to_string();
        return Ok(plain(text, file));
    }
    if let (None, Some(data)) = (&args.recipe, &args.data) {
        let Fitting { name, why, edits } = fitting::of(data, &args.edits, args.threads.compute())?;
        output::note(&format!("no recipe is named: {name} is taken, since {why}"));
        let text = recipe::builtin(name).expect("a built-in recipe").to_owned();
        return Ok(Text { text, file: name.to_owned(), edits });
    }
    let name = args.recipe.as_deref().unwrap_or("quickstart");
    let path = Path::new(name);
    match recipes::text(name)? {
        Some(text) => Ok(plain(text, name.to_owned())),
        None if path.is_file() => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Usage(format!("{name}: cannot be read: {error}")))?;
            Ok(plain(text, name.to_owned()))
        }
        None => Err(recipes::unknown(name).into()),
    }
}

/// The first lines of a run: what is trained on what.
fn introduce(run: &Run, world: &World) {
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
    if world.size() > 1 {
        let each = recipe.train.parts / world.size();
        let hosts = ranks::hosts(world);
        let (ranks, parts) = (world.size(), recipe.train.parts);
        output::note(&format!(
            "{ranks} ranks, {each} of the {parts} parts of a batch each: {hosts}"
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
    if let Some(best) = state.best.filter(|best| best.step < state.step) {
        output::print(&format!(
            "its best {} was {:.2}, at step {}: `trickbag eval {} --best` and others take that model",
            columns.headline().name,
            best.value,
            grouped(best.step),
            output::shell_word(journal.folder()),
        ));
    }
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

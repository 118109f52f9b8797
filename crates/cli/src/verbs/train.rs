//! `trickbag train`: from a recipe to a run folder.

pub(crate) mod dry_run;

use std::path::{Path, PathBuf};

use anyhow::Result;
use recipe::Recipe;
use serde_json::json;
use train::classify::train_to_end;
use train::run::{self, Run, Start};
use train::{Evaluation, Plan, State, TrainError, signal};

use crate::args::Train;
use crate::output::{self, Usage, grouped};
use crate::verbs::{bad_images, recipes, report};

pub(crate) fn run(args: &Train) -> Result<()> {
    super::use_threads(args.threads.compute());
    let Resolved { recipe, text, file } = resolve(args)?;
    let folder = folder(args, &recipe.name);
    let plan =
        Plan::new(recipe, args.data.as_deref(), args.resume).map_err(|error| match error {
            TrainError::Recipe(errors) => errors.located(&text, &file, &args.edits).into(),
            other => other,
        })?;
    if args.dry_run {
        return dry_run::print(&plan, args.json);
    }
    signal::install()?;
    let device = nn::cpu();
    let start = Start {
        folder: &folder,
        resume: args.resume,
        device: &device,
        environment: super::environment(args.threads, &plan),
    };
    let (mut run, mut state) = Run::start(plan, &start)?;
    introduce(&run, &state);
    let ended = train_to_end(&mut run, &mut state, args.threads.loader())
        .map_err(|error| name_all_bad(error, &run, args))?;
    match ended {
        None => {
            output::note(&format!(
                "stopped at step {}; go on with: trickbag train --resume --out {}{}",
                state.step,
                folder.display(),
                args.data
                    .as_ref()
                    .map_or(String::new(), |path| format!(" --data {}", path.display()))
            ));
        }
        Some(evaluation) => {
            let page = report::write(&[run.folder()], &run.folder().join(record::names::REPORT))?;
            summarize(args, &run, &state, &evaluation, &page);
        }
    }
    Ok(())
}

/// The error with every bad image named, where it is about one.
fn name_all_bad(error: TrainError, run: &Run, args: &Train) -> TrainError {
    match error {
        TrainError::Data(found) => {
            bad_images::name_all(found, &run.plan().dataset, args.threads.loader().threads).into()
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

/// The text of the recipe, and what mistakes call it.
fn source(args: &Train) -> Result<(String, String)> {
    if args.resume && args.recipe.is_none() {
        let folder = args.out.clone().unwrap_or_else(|| newest("quickstart"));
        let text =
            run::recipe_of(&folder).ok_or_else(|| TrainError::NoRun { folder: folder.clone() })?;
        let file = folder.join("recipe.toml").display().to_string();
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

/// The run folder: as given, else the first free one of the recipe's name, or the newest one to resume.
fn folder(args: &Train, name: &str) -> PathBuf {
    match &args.out {
        Some(folder) => folder.clone(),
        None if args.resume => newest(name),
        None => numbered(name).find(|folder| !folder.exists()).expect("numbers do not end"),
    }
}

fn newest(name: &str) -> PathBuf {
    let used = numbered(name).take_while(|folder| folder.exists()).last();
    used.unwrap_or_else(|| Path::new("runs").join(name))
}

/// runs/NAME, runs/NAME-2, runs/NAME-3, …
fn numbered(name: &str) -> impl Iterator<Item = PathBuf> {
    (1..).map(move |number: u32| match number {
        1 => Path::new("runs").join(name),
        _ => Path::new("runs").join(format!("{name}-{number}")),
    })
}

/// The first lines of a run: what is trained on what.
fn introduce(run: &Run, state: &State) {
    let plan = run.plan();
    let (recipe, dataset) = (&plan.recipe, &plan.dataset);
    let size = dataset.train.bytes().and_then(|a| Ok(a + dataset.validation.bytes()?));
    let size = size.map_or(String::new(), |count| format!(", {}", output::bytes(count)));
    let cost = zoo::cost(&plan.network, recipe.preprocess.size);
    output::note(&format!(
        "{}: {} ({:.2} M parameters, {:.3} G multiply-adds at {size_px}×{size_px})",
        recipe.name,
        plan.network.name,
        cost.parameters as f64 / 1e6,
        cost.multiply_adds as f64 / 1e9,
        size_px = recipe.preprocess.size,
    ));
    output::note(&format!(
        "{}: {} training and {} validation images in {} classes{size}",
        dataset.name,
        grouped(dataset.train.len() as u64),
        grouped(dataset.validation.len() as u64),
        dataset.classes.len(),
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
        run.folder().display(),
    ));
    if let Some(feature) = recipe.init.as_ref().and_then(|init| init.freeze.as_ref()) {
        output::note(&format!(
            "frozen up to {feature}: {} of {} tensors stay as they are, and their batch norms as in evaluation",
            plan.network.frozen_parameters(),
            parameters.iter().count(),
        ));
    }
    if state.step > 0 {
        output::note(&format!("resuming at step {}", grouped(state.step)));
    }
}

fn summarize(args: &Train, run: &Run, state: &State, evaluation: &Evaluation, page: &Path) {
    let Evaluation { loss, top1, top5, images, .. } = evaluation;
    let seconds = run.worked().as_secs_f64();
    let model = run.folder().join("model");
    let (bad_images, skips) = run.skipped().unwrap_or_default();
    if args.json {
        output::json(&json!({
            "run": run.folder().display().to_string(),
            "model": model.display().to_string(),
            "report": page.display().to_string(),
            "steps": state.step,
            "top1": top1,
            "top5": top5,
            "loss": loss,
            "images": images,
            "best_top1": state.best.map(|best| best.value),
            "seconds": seconds,
            "bad_images": bad_images,
            "skips": skips,
        }));
        return;
    }
    output::print(&format!(
        "top-1 {top1:.2} %, top-5 {top5:.2} % on {images} validation images, after {} steps in {}",
        grouped(state.step),
        output::duration(seconds),
    ));
    if bad_images > 0 {
        output::print(&format!(
            "{} bad images were skipped, {} times in all: {}",
            grouped(bad_images),
            grouped(skips),
            run.folder().join(record::names::BAD_SAMPLES).display(),
        ));
    }
    output::print(&format!("model: {}", model.display()));
    output::print(&format!("report: {}", page.display()));
}

//! `trickbag train`: from a recipe to a run folder.

pub(crate) mod classification;
pub(crate) mod detection;
pub(crate) mod dry_run;
mod fitting;
pub(crate) mod place;
pub(crate) mod segmentation;

use std::path::{Path, PathBuf};

use anyhow::Result;
use recipe::{Recipe, RecipeErrors};
use record::{Best, MeasureColumns, names};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use train::{Journal, Start, TrainError, resume, signal};
use world::World;

use crate::args::{Threads, Train};
use crate::output::{self, Stopped, Usage, grouped};
use crate::ranks;
use crate::tasks;
use crate::verbs::{import, recipes, report};

use fitting::Fitting;

pub(crate) fn run(args: &Train) -> Result<()> {
    ranks::run(&args.ranks, |world| on_rank(args, world))
}

/// Trains as one of the ranks, or alone. A recipe file is read, and a published model fetched, by rank 0 alone.
fn on_rank(args: &Train, world: &mut World) -> Result<()> {
    let threads = args.threads.among(world.neighbours());
    ranks::together(world, super::use_threads(threads.compute()))?;
    let text = ranks::first_does(world, || source(args))?;
    let mut resolved = ranks::together(world, resolve(args, text))?;
    if let Some(init) = &mut resolved.recipe.init {
        init.from = ranks::first_does(world, || import::settled_origin(&init.from))?;
    }
    world.share(resolved.recipe.train.parts)?;
    tasks::train(&Command { args, threads }, resolved, world)
}

/// The command line of a run, and the threads of this rank.
pub(crate) struct Command<'a> {
    pub(crate) args: &'a Train,
    pub(crate) threads: Threads,
}

/// A run of any task, as this verb sees it.
pub(crate) trait TaskRun {
    fn journal(&self) -> &Journal;

    /// Steps done, and the steps of the whole run.
    fn steps(&self) -> [u64; 2];

    fn best(&self) -> Option<Best>;

    fn columns(&self) -> MeasureColumns;

    /// Prints the first lines of the run: what is trained on what.
    fn introduce(&self, world: &World);

    /// Trains to the end; the values of the last evaluation, or None where somebody stopped the run.
    fn train_to_end(&mut self, command: &Command, world: &mut World) -> Result<Option<Vec<f64>>>;
}

/// Starts a run in its folder, trains it to its end, and says how it ended.
pub(crate) fn to_end<R: TaskRun>(
    command: &Command,
    name: &str,
    environment: Value,
    world: &mut World,
    begin: impl FnOnce(&Start, &mut World) -> Result<R>,
) -> Result<()> {
    signal::install()?;
    let args = command.args;
    let folder = folder(args, name, world)?;
    let device = nn::cpu();
    let start = Start { folder: &folder, resume: args.resume, device: &device, environment };
    let mut run = begin(&start, world)?;
    ranks::goes_on_by(&resuming(args, &run));
    run.introduce(world);
    if world.size() > 1 {
        output::note(&format!(
            "{} ranks share the parts of each batch: {}",
            world.size(),
            ranks::hosts(world)
        ));
    }
    let [step, _] = run.steps();
    if step > 0 {
        output::note(&format!("resuming at step {}", grouped(step)));
    }
    let Some(values) = run.train_to_end(command, world)? else {
        tell_stop(args, &run);
        return Err(Stopped::by_signal().into());
    };
    let folder = run.journal().folder();
    let page = folder.join(names::REPORT);
    ranks::first_does(world, || report::write(&[folder], &page).map(drop))?;
    summarize(args, &run, &values, &page);
    Ok(())
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
fn resuming(args: &Train, run: &impl TaskRun) -> String {
    let folder = output::shell_word(run.journal().folder());
    let data = args.data.as_ref();
    let data = data.map_or(String::new(), |path| format!(" --data {}", output::shell_word(path)));
    format!("trickbag train --resume --out {folder}{data}")
}

/// Where a signal stopped the run, and how it goes on.
fn tell_stop(args: &Train, run: &impl TaskRun) {
    let folder = run.journal().folder();
    let command = resuming(args, run);
    let [step, total] = run.steps();
    output::note(&format!("stopped at step {step}; go on with: {command}"));
    if args.json {
        output::json(&json!({
            "run": folder.display().to_string(),
            "stopped_by": Stopped::by_signal().0.name(),
            "steps": step,
            "total_steps": total,
            "resume": command,
        }));
    }
}

/// A recipe, and the text it was read from.
pub(crate) struct Resolved {
    pub(crate) recipe: Recipe,
    pub(crate) text: RecipeText,
}

/// The text of a recipe, its name in messages, and the edits on it.
#[derive(Serialize, Deserialize)]
pub(crate) struct RecipeText {
    text: String,
    file: String,
    edits: Vec<String>,
}

impl RecipeText {
    /// Mistakes of the recipe that only its data show, with their lines.
    pub(crate) fn located(&self, errors: RecipeErrors) -> RecipeErrors {
        errors.located(&self.text, &self.file, &self.edits)
    }
}

/// Reads the recipe of the command line, or of the run to resume where none is given.
fn resolve(args: &Train, mut text: RecipeText) -> Result<Resolved> {
    text.edits.extend_from_slice(&args.edits);
    let recipe = recipe::parse_with_edits(&text.text, &text.file, &text.edits, &zoo::names())?;
    Ok(Resolved { recipe, text })
}

/// The recipe that is given; else that of the run to resume, the one that fits the data, or the quickstart.
fn source(args: &Train) -> Result<RecipeText> {
    let plain = |text, file| RecipeText { text, file, edits: Vec::new() };
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
        return Ok(RecipeText { text, file: name.to_owned(), edits });
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

fn summarize(args: &Train, run: &impl TaskRun, values: &[f64], page: &Path) {
    let (journal, columns, [step, _]) = (run.journal(), run.columns(), run.steps());
    let seconds = journal.worked().as_secs_f64();
    let model = journal.folder().join(names::MODEL);
    let (bad_images, skips) = journal.skipped().unwrap_or_default();
    if args.json {
        let mut summary = Map::new();
        let mut add = |key: &str, value| summary.insert(key.to_owned(), value);
        add("run", json!(journal.folder().display().to_string()));
        add("model", json!(model.display().to_string()));
        add("report", json!(page.display().to_string()));
        add("steps", json!(step));
        for (column, &value) in columns.columns().iter().zip(values) {
            let count = column.unit == record::Unit::Count;
            add(&column.name, if count { json!(value as u64) } else { json!(value) });
        }
        let best = format!("best_{}", columns.headline().name);
        add(&best, json!(run.best().map(|best| best.value)));
        add("seconds", json!(seconds));
        add("bad_images", json!(bad_images));
        add("skips", json!(skips));
        output::json(&summary.into());
        return;
    }
    output::print(&format!(
        "{}, after {} steps in {}",
        columns.say(values),
        grouped(step),
        output::duration(seconds),
    ));
    if let Some(best) = run.best().filter(|best| best.step < step) {
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

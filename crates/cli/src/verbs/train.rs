//! `trickbag train`: from a recipe to a run folder.

pub(crate) mod classification;
pub(crate) mod detection;
pub(crate) mod dry_run;
pub(crate) mod place;
pub(crate) mod segmentation;

use std::path::Path;

use anyhow::Result;
use recipe::{Recipe, RecipeErrors};
use record::{Best, MeasureColumns, names};
use serde_json::{Map, Value, json};
use train::{Journal, Start, TrainError, resume, signal};
use world::World;

use crate::args::Train;
use crate::output::{self, Stopped, Usage, grouped};
use crate::tasks;
use crate::verbs::{recipes, report};

pub(crate) fn run(args: &Train) -> Result<()> {
    super::use_threads(args.threads.compute())?;
    tasks::train(args, resolve(args)?)
}

/// A run of any task, as this verb sees it.
pub(crate) trait TaskRun {
    fn journal(&self) -> &Journal;

    /// Steps done, and the steps of the whole run.
    fn steps(&self) -> [u64; 2];

    fn best(&self) -> Option<Best>;

    fn columns(&self) -> MeasureColumns;

    /// Prints the first lines of the run: what is trained on what.
    fn introduce(&self);

    /// Trains to the end; the values of the last evaluation, or None where somebody stopped the run.
    fn train_to_end(&mut self, args: &Train, world: &mut World) -> Result<Option<Vec<f64>>>;
}

/// Starts a run in its folder, trains it to its end, and says how it ended.
pub(crate) fn to_end<R: TaskRun>(
    args: &Train,
    name: &str,
    environment: Value,
    begin: impl FnOnce(&Start, &World) -> Result<R>,
) -> Result<()> {
    signal::install()?;
    let folder = place::of(args, name)?;
    let device = nn::cpu();
    let start = Start { folder: &folder, resume: args.resume, device: &device, environment };
    let mut world = World::alone();
    let mut run = begin(&start, &world)?;
    run.introduce();
    let Some(values) = run.train_to_end(args, &mut world)? else {
        tell_stop(args, &run);
        return Err(Stopped::by_signal().into());
    };
    let folder = run.journal().folder();
    let page = report::write(&[folder], &folder.join(names::REPORT))?;
    summarize(args, &run, &values, &page);
    Ok(())
}

/// Where a signal stopped the run, and how it goes on.
fn tell_stop(args: &Train, run: &impl TaskRun) {
    let folder = run.journal().folder();
    let data = args.data.as_ref();
    let data = data.map_or(String::new(), |path| format!(" --data {}", output::shell_word(path)));
    let command = format!("trickbag train --resume --out {}{data}", output::shell_word(folder));
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
    text: String,
    file: String,
}

impl Resolved {
    /// Mistakes of the recipe that only its data show, with their lines.
    pub(crate) fn located(
        text: &(String, String),
        errors: RecipeErrors,
        args: &Train,
    ) -> RecipeErrors {
        errors.located(&text.0, &text.1, &args.edits)
    }

    /// The recipe, and its text with the text's name.
    pub(crate) fn apart(self) -> (Recipe, (String, String)) {
        (self.recipe, (self.text, self.file))
    }
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

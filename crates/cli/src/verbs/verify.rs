//! `trickbag verify`: what of a run, a model or a packed copy is as it was written.

use std::fs;
use std::path::Path;

use anyhow::Result;
use classify::model_folder;
use recipe::Recipe;
use record::{MeasureColumns, PredictionRow, names};
use serde_json::{Map, Value, json};
use train::checkpoint;
use train::log::verify as logs;

use crate::args::Verify;
use crate::output::{self, Usage};
use crate::tasks;

/// A file or folder that was looked at: what it holds, or what is wrong with it and what to do.
struct Checked {
    file: String,
    outcome: Result<String, String>,
}

impl Checked {
    fn of(path: &Path, outcome: Result<String, String>) -> Checked {
        Checked { file: path.display().to_string(), outcome }
    }
}

pub(crate) fn run(args: &Verify) -> Result<()> {
    let path = args.path.as_path();
    let (kind, files) = if path.join(names::RECIPE).exists() {
        ("run", run_folder(path))
    } else if let Some(files) = data::verify_pack(path) {
        ("pack", files.into_iter().map(packed).collect())
    } else if path.join("config.json").exists() || path.join("model.safetensors").exists() {
        ("model", vec![model(path)])
    } else {
        let text = "there is no run, model or packed copy; give a folder that holds recipe.toml, config.json or index.pack";
        return Err(Usage(format!("{}: {text}", path.display())).into());
    };
    let broken = files.iter().filter(|checked| checked.outcome.is_err()).count();
    match args.json {
        true => output::json(&as_json(path, kind, &files)),
        false => output::print(&as_table(&files)),
    }
    match broken {
        0 => Ok(()),
        _ => anyhow::bail!("{}: {broken} of {} are not sound", path.display(), files.len()),
    }
}

fn as_json(path: &Path, kind: &str, files: &[Checked]) -> Value {
    let file = |Checked { file, outcome }: &Checked| {
        let (Ok(detail) | Err(detail)) = outcome;
        json!({"file": file, "sound": outcome.is_ok(), "detail": detail})
    };
    json!({
        "path": path.display().to_string(),
        "kind": kind,
        "sound": files.iter().all(|checked| checked.outcome.is_ok()),
        "files": files.iter().map(file).collect::<Value>(),
    })
}

fn as_table(files: &[Checked]) -> String {
    let rows = files.iter().map(|Checked { file, outcome }| {
        let word = if outcome.is_ok() { "sound" } else { "BROKEN" };
        let (Ok(detail) | Err(detail)) = outcome;
        vec![word.to_owned(), file.clone(), detail.clone()]
    });
    output::table(&rows.collect::<Vec<_>>())
}

fn packed(file: data::PackFile) -> Checked {
    Checked::of(&file.path, file.problem.map_or(Ok("its hash fits".to_owned()), Err))
}

fn model(folder: &Path) -> Checked {
    if let Some(outcome) = tasks::described_model(folder) {
        return Checked::of(folder, outcome);
    }
    let facts = model_folder::verify(folder, &nn::cpu()).map_err(|error| error.to_string());
    let outcome = facts.map(|facts| {
        let checksum = match facts.has_checksum {
            true => "its checksum fits",
            false => "another program wrote it, without a checksum",
        };
        let parameters = output::grouped(facts.parameters as u64);
        format!("{} with {parameters} parameters; {checksum}", facts.network)
    });
    Checked::of(folder, outcome)
}

/// The files of a run, in the order in which it writes them.
fn run_folder(folder: &Path) -> Vec<Checked> {
    let (file, recipe) = (folder.join(names::RECIPE), recipe(folder));
    let told =
        recipe.as_ref().map(|recipe| format!("recipe {}", recipe.name)).map_err(String::clone);
    let mut files = vec![Checked::of(&file, told)];
    let facts = facts(folder);
    let measure = facts.as_ref().ok().and_then(MeasureColumns::of_run);
    files.push(Checked::of(&folder.join(names::RUN), facts.map(|_| "whole".to_owned())));
    let measure = measure.unwrap_or_else(MeasureColumns::classification);
    for log in logs::verify(folder, &measure) {
        files.push(Checked::of(&log.path, log.problem.map_or(Ok("whole rows".to_owned()), Err)));
    }
    for (step, path) in checkpoint::list(&folder.join(names::CHECKPOINTS)) {
        files.push(Checked::of(&path, saved(&path, step, recipe.as_ref().ok())));
    }
    let predictions = folder.join(names::PREDICTIONS);
    if predictions.exists() {
        files.push(Checked::of(&predictions, rows(&predictions)));
    }
    let trained = folder.join(names::MODEL);
    if trained.exists() {
        files.push(model(&trained));
    }
    files
}

fn recipe(folder: &Path) -> Result<Recipe, String> {
    let path = folder.join(names::RECIPE);
    let text = text(&path)?;
    let recipe = recipe::parse(&text, &path.display().to_string(), &zoo::names());
    recipe.map_err(|errors| format!("{errors}; take back the change"))
}

fn facts(folder: &Path) -> Result<Map<String, Value>, String> {
    serde_json::from_str(&text(&folder.join(names::RUN))?)
        .map_err(|error| format!("not a JSON object: {error}; copy the run folder again"))
}

/// A checkpoint is whole, of the step in its name, and of the recipe beside it.
fn saved(path: &Path, step: u64, recipe: Option<&Recipe>) -> Result<String, String> {
    let checkpoint = checkpoint::load(path).map_err(|error| error.to_string())?;
    if checkpoint.step != step {
        let found = checkpoint.step;
        return Err(format!(
            "it is of step {found}; give the file its own name back, or delete it"
        ));
    }
    let own = recipe::parse(&checkpoint.facts.recipe, "its recipe", &zoo::names());
    let differences = match (own, recipe) {
        (Ok(own), Some(recipe)) => recipe::diff(&own, recipe),
        (Err(errors), _) => vec![errors.to_string()],
        (Ok(_), None) => Vec::new(),
    };
    match differences.as_slice() {
        [] => Ok(format!("step {step}; its checksum fits")),
        _ => Err(format!(
            "it was saved by another recipe than recipe.toml, which was changed since: {}; take back the change",
            differences.join(", ")
        )),
    }
}

fn rows(path: &Path) -> Result<String, String> {
    let text = text(path)?;
    match text.lines().position(|line| PredictionRow::read(line).is_none()) {
        None => Ok(format!("{} whole rows", output::grouped(text.lines().count() as u64))),
        Some(line) => Err(format!(
            "line {} cannot be read; the next evaluation of a resumed run writes the file again",
            line + 1
        )),
    }
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path)
        .map_err(|error| format!("cannot be read: {error}; check that it is there and is text"))
}

//! A run folder, read for the report: what is missing or damaged becomes a note, and only a folder that is no run is
//! an error.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use recipe::Recipe;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::prediction::{Prediction, surest_mistakes};

/// What training left in a folder.
#[derive(Clone, Debug)]
pub struct Run {
    pub folder: PathBuf,
    /// The folder's own name.
    pub name: String,
    pub recipe_text: String,
    /// None where the text is no recipe that this program knows; a note then says why.
    pub recipe: Option<Recipe>,
    pub train: Vec<TrainRow>,
    pub evaluations: Vec<EvaluationRow>,
    /// Class names by label; empty where nothing tells them.
    pub classes: Vec<String>,
    /// Of `run.json`, but for the classes.
    pub environment: Vec<(String, String)>,
    pub predictions: Vec<Prediction>,
    /// The surest mistakes, each with its PNG where there is one.
    pub mistakes: Vec<(Prediction, Option<Vec<u8>>)>,
    /// What could not be read, for people.
    pub notes: Vec<String>,
}

/// A row of `metrics.jsonl` about training. What was not finite is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct TrainRow {
    pub step: u64,
    #[serde(deserialize_with = "number")]
    pub epoch: f64,
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    #[serde(deserialize_with = "number")]
    pub rate: f64,
    #[serde(deserialize_with = "number")]
    pub images_per_second: f64,
    /// The part of the time that the loop waited for data, 0 to 1.
    #[serde(deserialize_with = "number")]
    pub wait_share: f64,
    /// Seconds of work since the start of the run.
    #[serde(deserialize_with = "number")]
    pub seconds: f64,
}

/// A row about one pass over the validation images; accuracies in percent.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct EvaluationRow {
    pub step: u64,
    #[serde(deserialize_with = "number")]
    pub epoch: f64,
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    #[serde(deserialize_with = "number")]
    pub top1: f64,
    #[serde(deserialize_with = "number")]
    pub top5: f64,
    pub images: u64,
    #[serde(deserialize_with = "number")]
    pub seconds: f64,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Train(TrainRow),
    Evaluation(EvaluationRow),
    /// What a later version may add.
    #[serde(other)]
    Other,
}

/// A folder that no report can be made of.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("{}: no such folder; give the folder of a run, such as runs/quickstart", folder.display())]
    Missing { folder: PathBuf },

    #[error(
        "{}: no run here (there is no recipe.toml); give a folder that `trickbag train` wrote",
        folder.display()
    )]
    NotARun { folder: PathBuf },

    #[error("{}: cannot be read: {cause}", path.display())]
    Read { path: PathBuf, cause: std::io::Error },
}

/// Thumbnails that a run keeps at most.
pub(crate) const MISTAKES: usize = 24;
/// A thumbnail is a few kilobytes; what is larger is none.
const THUMBNAIL_LIMIT: u64 = 100_000;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

impl Run {
    /// Reads the folder. `models` are the names of networks that a recipe may have.
    pub fn read(folder: &Path, models: &[String]) -> Result<Run, ReportError> {
        if !folder.is_dir() {
            return Err(ReportError::Missing { folder: folder.to_owned() });
        }
        let mut notes = Vec::new();
        let recipe_file = folder.join("recipe.toml");
        let recipe_text = text(&recipe_file)?
            .ok_or_else(|| ReportError::NotARun { folder: folder.to_owned() })?;
        let recipe = recipe::parse(&recipe_text, "recipe.toml", models);
        let recipe = recipe.map_err(|error| notes.push(error.to_string())).ok();
        let (classes, environment) = environment(folder, &mut notes)?;
        let (train, evaluations) = metrics(folder, &mut notes)?;
        let (classes, predictions) = predictions(folder, classes, &mut notes)?;
        let surest = surest_mistakes(&predictions, MISTAKES).into_iter();
        let mistakes = surest.map(|each| (each.clone(), thumbnail(folder, each.index))).collect();
        Ok(Run {
            folder: folder.to_owned(),
            name: name(folder),
            recipe_text,
            recipe,
            train,
            evaluations,
            classes,
            environment,
            predictions,
            mistakes,
            notes,
        })
    }

    /// The last evaluation.
    pub(crate) fn last(&self) -> Option<&EvaluationRow> {
        self.evaluations.last()
    }

    /// The evaluation of the highest top-1, the earlier of equal ones.
    pub(crate) fn best(&self) -> Option<&EvaluationRow> {
        let better = |best: Option<&EvaluationRow>, row: &EvaluationRow| {
            best.is_none_or(|best| row.top1 > best.top1)
        };
        self.evaluations
            .iter()
            .fold(None, |best, row| if better(best, row) { Some(row) } else { best })
    }

    /// Median images per second of training; NaN without rows.
    pub(crate) fn images_per_second(&self) -> f64 {
        let mut speeds: Vec<f64> =
            self.train.iter().map(|row| row.images_per_second).filter(|v| v.is_finite()).collect();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Percent of the training time spent waiting for data; NaN without rows.
    pub(crate) fn wait_percent(&self) -> f64 {
        let shares: Vec<f64> =
            self.train.iter().map(|row| row.wait_share).filter(|v| v.is_finite()).collect();
        100.0 * shares.iter().sum::<f64>() / shares.len() as f64
    }

    /// Seconds of work.
    pub(crate) fn seconds(&self) -> f64 {
        let rows = self.train.iter().map(|row| row.seconds);
        rows.chain(self.evaluations.iter().map(|row| row.seconds)).fold(f64::NAN, f64::max)
    }

    /// Steps done.
    pub(crate) fn steps(&self) -> u64 {
        self.train.last().map_or(0, |row| row.step)
    }

    /// What a class is called.
    pub(crate) fn class(&self, label: usize) -> String {
        self.classes.get(label).cloned().unwrap_or_else(|| format!("class {label}"))
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Option::<f64>::deserialize(deserializer).map(|value| value.unwrap_or(f64::NAN))
}

fn name(folder: &Path) -> String {
    let whole = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().unwrap_or(folder.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The text of a file; None where there is none. Bytes that are no UTF-8 become `�`.
fn text(path: &Path) -> Result<Option<String>, ReportError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(ReportError::Read { path: path.to_owned(), cause }),
    }
}

/// Classes, and everything else that `run.json` tells.
type Environment = (Vec<String>, Vec<(String, String)>);

fn environment(folder: &Path, notes: &mut Vec<String>) -> Result<Environment, ReportError> {
    let Some(text) = text(&folder.join("run.json"))? else {
        notes.push("run.json is missing: where the run was computed is not known".to_owned());
        return Ok(Environment::default());
    };
    let Ok(Value::Object(facts)) = serde_json::from_str(&text) else {
        notes.push("run.json is damaged: where the run was computed is not known".to_owned());
        return Ok(Environment::default());
    };
    let list = facts.get("classes").and_then(Value::as_array).cloned().unwrap_or_default();
    let classes: Vec<String> =
        list.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
    let facts = facts.into_iter().filter(|(key, _)| key != "classes").map(|(key, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (key.replace('_', " "), value)
    });
    let mut facts: Vec<(String, String)> = facts.collect();
    facts.push(("classes".to_owned(), classes.len().to_string()));
    Ok((classes, facts))
}

/// The rows of `metrics.jsonl`, by kind.
type Metrics = (Vec<TrainRow>, Vec<EvaluationRow>);

fn metrics(folder: &Path, notes: &mut Vec<String>) -> Result<Metrics, ReportError> {
    let Some(text) = text(&folder.join("metrics.jsonl"))? else {
        notes.push("metrics.jsonl is missing: nothing was logged yet".to_owned());
        return Ok(Metrics::default());
    };
    let (mut train, mut evaluations, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(Line::Train(row)) => train.push(row),
            Ok(Line::Evaluation(row)) => evaluations.push(row),
            Ok(Line::Other) => {}
            Err(_) => damaged.push(index + 1),
        }
    }
    note_damage("metrics.jsonl", &damaged, notes);
    Ok((train, evaluations))
}

fn predictions(
    folder: &Path,
    classes: Vec<String>,
    notes: &mut Vec<String>,
) -> Result<(Vec<String>, Vec<Prediction>), ReportError> {
    let Some(text) = text(&folder.join("predictions.jsonl"))? else {
        return Ok((classes, Vec::new()));
    };
    let (mut predictions, mut damaged) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let known = |each: &Prediction| {
            classes.is_empty() || each.label.max(each.predicted) < classes.len()
        };
        match Prediction::read(index, line).filter(known) {
            Some(prediction) => predictions.push(prediction),
            None => damaged.push(index + 1),
        }
    }
    note_damage("predictions.jsonl", &damaged, notes);
    Ok((classes, predictions))
}

fn note_damage(file: &str, lines: &[usize], notes: &mut Vec<String>) {
    let list = |lines: &[usize]| lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    match lines {
        [] => {}
        [line] => notes.push(format!("line {line} of {file} cannot be read and is left out")),
        lines if lines.len() <= 5 => {
            notes.push(format!("lines {} of {file} cannot be read and are left out", list(lines)));
        }
        lines => notes.push(format!(
            "{} lines of {file} cannot be read and are left out, the first of them {}",
            lines.len(),
            list(&lines[..5])
        )),
    }
}

fn thumbnail(folder: &Path, index: usize) -> Option<Vec<u8>> {
    let path = folder.join("mistakes").join(format!("{index:06}.png"));
    let small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= THUMBNAIL_LIMIT);
    fs::read(path).ok().filter(|bytes| small && bytes.starts_with(PNG))
}

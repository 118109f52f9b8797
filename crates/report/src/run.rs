//! A run folder, read for the report. What is missing or damaged in it becomes a note; only a folder that is no run is an
//! error.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use recipe::Recipe;
use record::{
    EvaluationRow, MeasureColumn, MeasureColumns, MetricsRow, PrecisionRow, PredictionRow,
    TrainRow, Unit, names, surest_mistakes,
};
use serde_json::Value;

use crate::segmented::{self, Segmented, is_segmentation};

/// What training left in a folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    pub folder: PathBuf,
    /// The folder's own name.
    pub name: String,
    pub recipe_text: String,
    /// None where the text is no recipe that this program knows; a note then says why.
    pub recipe: Option<Recipe>,
    /// The columns of the evaluations' values.
    pub measure: MeasureColumns,
    pub train: Vec<TrainRow>,
    pub evaluations: Vec<EvaluationRow>,
    /// Class names by label; empty where nothing tells them.
    pub classes: Vec<String>,
    /// What `run.json` tells beside the classes and the columns of the measure.
    pub environment: Vec<(String, String)>,
    /// A classifier's answers for the validation images.
    pub predictions: Vec<PredictionRow>,
    /// A detector's precision for each class that has objects.
    pub precision: Vec<PrecisionRow>,
    /// The surest mistakes, each with its PNG where there is one.
    pub mistakes: Vec<(PredictionRow, Option<Vec<u8>>)>,
    /// A segmenter's results by class and its worst pictures; None for other tasks.
    pub segmented: Option<Segmented>,
    /// What could not be read, in words.
    pub notes: Vec<String>,
}

/// Why no report can be made of a folder.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("{}: no such folder; give the folder of a run, such as runs/quickstart", folder.display())]
    Missing { folder: PathBuf },

    #[error(
        "{}: no run here (there is no recipe.toml); give a folder that `trickbag train` wrote",
        folder.display()
    )]
    NotARun { folder: PathBuf },

    #[error("{}: cannot be read: {cause}; check that it is there and may be read", path.display())]
    Read { path: PathBuf, cause: std::io::Error },
}

/// The largest thumbnail in bytes. One has a few kilobytes; a larger file is something else.
const THUMBNAIL_LIMIT: u64 = 100_000;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

impl RunFolder {
    /// Reads the folder. `models` are the names of the networks that a recipe may have.
    pub fn read(folder: &Path, models: &[String]) -> Result<RunFolder, ReportError> {
        if !folder.is_dir() {
            return Err(ReportError::Missing { folder: folder.to_owned() });
        }
        let mut notes = Vec::new();
        let recipe_file = folder.join(names::RECIPE);
        let recipe_text = text(&recipe_file)?
            .ok_or_else(|| ReportError::NotARun { folder: folder.to_owned() })?;
        let recipe = recipe::parse(&recipe_text, names::RECIPE, models);
        let recipe = recipe.map_err(|error| notes.push(error.to_string())).ok();
        let Facts { classes, measure, environment } = facts(folder, &mut notes)?;
        let (train, evaluations) = metrics(folder, &measure, &mut notes)?;
        let numbered = match is_classification(&measure) {
            true => predictions(folder, classes.len(), &mut notes)?,
            false => Vec::new(),
        };
        let surest = surest_mistakes(numbered.iter().map(|(_, row)| row)).into_iter();
        let mistake = |place: usize| {
            let (line, row) = &numbered[place];
            (row.clone(), thumbnail(folder, *line))
        };
        let mistakes = surest.map(mistake).collect();
        let segmented = is_segmentation(&measure).then(|| segmented::read(folder, &mut notes));
        let segmented = segmented.transpose()?;
        let predictions = numbered.into_iter().map(|(_, row)| row).collect();
        let precision = precision(folder, classes.len(), &mut notes)?;
        Ok(RunFolder {
            folder: folder.to_owned(),
            name: name(folder),
            recipe_text,
            recipe,
            measure,
            train,
            evaluations,
            classes,
            environment,
            predictions,
            precision,
            mistakes,
            segmented,
            notes,
        })
    }

    /// The last evaluation.
    pub(crate) fn last(&self) -> Option<&EvaluationRow> {
        self.evaluations.last()
    }

    /// The evaluation with the best headline, the earlier of equal ones; None where none is finite.
    pub(crate) fn best(&self) -> Option<&EvaluationRow> {
        let headline = |row: &EvaluationRow| self.measure.headline_value(&row.values);
        self.evaluations.iter().fold(None, |best, row| {
            let improves = self.measure.improves(best.map(headline), headline(row));
            if improves { Some(row) } else { best }
        })
    }

    /// The value of a column in a row of this run; NaN where this run has no such column.
    pub(crate) fn value(&self, row: &EvaluationRow, column: &MeasureColumn) -> f64 {
        self.measure.value(&row.values, &column.name).unwrap_or(f64::NAN)
    }

    /// Whether the run trained a classifier.
    pub(crate) fn is_classification(&self) -> bool {
        is_classification(&self.measure)
    }

    /// The median of the images per second of training; NaN without rows.
    pub(crate) fn images_per_second(&self) -> f64 {
        let mut speeds: Vec<f64> =
            self.train.iter().map(|row| row.images_per_second).filter(|v| v.is_finite()).collect();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The percentage of the training time spent waiting for data; NaN without rows.
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

    /// Steps whose loss or gradient was not finite.
    pub(crate) fn skipped_steps(&self) -> u64 {
        self.train.iter().map(|row| row.skipped).sum()
    }

    /// The name of a class.
    pub(crate) fn class(&self, label: usize) -> String {
        self.classes.get(label).cloned().unwrap_or_else(|| format!("class {label}"))
    }
}

/// The columns that the tables and curves of these runs show, each name once: those of results, in the order for people.
pub(crate) fn result_columns(runs: &[RunFolder]) -> Vec<&MeasureColumn> {
    let mut columns: Vec<&MeasureColumn> = Vec::new();
    for column in runs.iter().flat_map(|run| run.measure.for_people()) {
        let known = columns.iter().any(|other| other.name == column.name);
        if column.unit != Unit::Count && !known {
            columns.push(column);
        }
    }
    columns
}

/// Whether the measure is a classifier's, whose answers are labels.
fn is_classification(measure: &MeasureColumns) -> bool {
    measure.column("top1").is_some()
}

fn name(folder: &Path) -> String {
    let whole = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().unwrap_or(folder.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The text of a file; None where there is no file. Bytes that are no UTF-8 become `�`.
pub(crate) fn text(path: &Path) -> Result<Option<String>, ReportError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(ReportError::Read { path: path.to_owned(), cause }),
    }
}

/// What `run.json` tells.
struct Facts {
    classes: Vec<String>,
    measure: MeasureColumns,
    environment: Vec<(String, String)>,
}

impl Facts {
    /// What is assumed where `run.json` cannot be read.
    fn unknown() -> Facts {
        let measure = MeasureColumns::classification();
        Facts { classes: Vec::new(), measure, environment: Vec::new() }
    }
}

fn facts(folder: &Path, notes: &mut Vec<String>) -> Result<Facts, ReportError> {
    let file = names::RUN;
    let Some(text) = text(&folder.join(file))? else {
        notes.push(format!("{file} is missing: where the run was computed is not known"));
        return Ok(Facts::unknown());
    };
    let parsed = serde_json::from_str(&text).ok();
    let Some(Value::Object(mut facts)) = parsed else {
        notes.push(format!("{file} is damaged: where the run was computed is not known"));
        return Ok(Facts::unknown());
    };
    let measure = MeasureColumns::of_run(&facts).unwrap_or_else(|| {
        notes.push(format!(
            "{file} does not tell the columns of the measure: taken for those of classification"
        ));
        MeasureColumns::classification()
    });
    facts.shift_remove(names::MEASURE_KEY);
    let list = facts.shift_remove("classes");
    let list = list.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let classes: Vec<String> =
        list.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
    let facts = facts.into_iter().map(|(key, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (key.replace('_', " "), value)
    });
    let mut environment: Vec<(String, String)> = facts.collect();
    environment.push(("classes".to_owned(), classes.len().to_string()));
    Ok(Facts { classes, measure, environment })
}

/// The rows of `metrics.jsonl`, by kind.
type Metrics = (Vec<TrainRow>, Vec<EvaluationRow>);

fn metrics(
    folder: &Path,
    measure: &MeasureColumns,
    notes: &mut Vec<String>,
) -> Result<Metrics, ReportError> {
    let Some(text) = text(&folder.join(names::METRICS_JSONL))? else {
        notes.push(format!("{} is missing: nothing was logged yet", names::METRICS_JSONL));
        return Ok(Metrics::default());
    };
    let (mut train, mut evaluations, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        match MetricsRow::read(line, measure) {
            Some(MetricsRow::Train(row)) => train.push(row),
            Some(MetricsRow::Evaluation(row)) => evaluations.push(row),
            Some(MetricsRow::Other) => {}
            None => damaged.push(index + 1),
        }
    }
    note_damage(names::METRICS_JSONL, &damaged, notes);
    Ok((train, evaluations))
}

/// The rows of `predictions.jsonl`, each with its line counted from 0. With 0 classes, any label may be.
fn predictions(
    folder: &Path,
    classes: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<(usize, PredictionRow)>, ReportError> {
    let Some(text) = text(&folder.join(names::PREDICTIONS))? else {
        return Ok(Vec::new());
    };
    let (mut predictions, mut damaged) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let known =
            |row: &PredictionRow| classes == 0 || (row.label.max(row.predicted) as usize) < classes;
        match PredictionRow::read(line).filter(known) {
            Some(row) => predictions.push((index, row)),
            None => damaged.push(index + 1),
        }
    }
    note_damage(names::PREDICTIONS, &damaged, notes);
    Ok(predictions)
}

/// The rows of `precision.jsonl`, which only detectors leave.
fn precision(
    folder: &Path,
    classes: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<PrecisionRow>, ReportError> {
    let text = text(&folder.join(names::PRECISION))?.unwrap_or_default();
    let (mut rows, mut damaged) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        match PrecisionRow::read(line).filter(|row| (row.class as usize) < classes) {
            Some(row) => rows.push(row),
            None => damaged.push(index + 1),
        }
    }
    note_damage(names::PRECISION, &damaged, notes);
    Ok(rows)
}

pub(crate) fn note_damage(file: &str, lines: &[usize], notes: &mut Vec<String>) {
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

/// The PNG of the image on a line of `predictions.jsonl`, where there is one.
fn thumbnail(folder: &Path, line: usize) -> Option<Vec<u8>> {
    png(&folder.join(names::MISTAKES).join(names::mistake(line)), THUMBNAIL_LIMIT)
}

/// The bytes of a PNG of at most `limit` bytes; None where there is none.
pub(crate) fn png(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let small = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= limit);
    fs::read(path).ok().filter(|bytes| small && bytes.starts_with(PNG))
}

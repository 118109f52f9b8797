//! A table of the paper beside what an ablation measured, as Markdown and as JSON: the published number, ours as mean ±
//! sd (n), and the difference from the row that a row builds on, paired by seed.

mod markdown;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use recipe::ablation::{Ablation, Planned};
use recipe::tables::published::measures;
use recipe::tables::{TableMeasure, published};
use record::{MeasureColumns, Outcome, names};
use serde_json::{Map, Value, json};

use crate::run::ReportError;
use crate::statistics::{Paired, Summary};

pub use markdown::markdown;

/// An ablation and the results it has so far.
#[derive(Clone, Debug)]
pub struct Results<'a> {
    pub ablation: &'a Ablation,
    pub seeds: Vec<u64>,
    /// Names and values of where and how it ran, for the caption.
    pub facts: Vec<(String, String)>,
    /// The finished runs of each cell, by seed.
    finished: Vec<BTreeMap<u64, Finished>>,
}

/// What a run came to, and the columns of its values.
#[derive(Clone, Debug)]
struct Finished {
    measure: MeasureColumns,
    outcome: Outcome,
}

impl<'a> Results<'a> {
    /// Reads the results in the folder of an ablation.
    pub fn read(
        folder: &Path,
        ablation: &'a Ablation,
        seeds: &[u64],
        facts: Vec<(String, String)>,
    ) -> Result<Results<'a>, ReportError> {
        let mut finished = Vec::new();
        for cell in &ablation.cells {
            let mut of_cell = BTreeMap::new();
            for &seed in seeds {
                let run = folder.join(names::run_folder(&cell.name, seed));
                if let Some(run) = Finished::read(&run)? {
                    of_cell.insert(seed, run);
                }
            }
            finished.push(of_cell);
        }
        Ok(Results { ablation, seeds: seeds.to_vec(), facts, finished })
    }

    /// The finished runs of the cell at a place, or of the one that is the same run.
    fn at(&self, column: usize, row: usize) -> Option<&BTreeMap<u64, Finished>> {
        let index = self.index(self.ablation.cell(column, row)?);
        Some(&self.finished[index])
    }

    fn index(&self, cell: &Planned) -> usize {
        let here = |other: &Planned| (other.column, other.row) == (cell.column, cell.row);
        self.ablation.cells.iter().position(here).expect("a cell of the ablation")
    }

    /// The measured values, seed by seed.
    fn values(&self, column: usize, row: usize, measure: TableMeasure) -> BTreeMap<u64, f64> {
        let runs = self.at(column, row).into_iter().flatten();
        let value = |(&seed, run): (&u64, &Finished)| Some((seed, run.value(measure)?));
        runs.filter_map(value).collect()
    }

    fn summary(&self, column: usize, row: usize, measure: TableMeasure) -> Option<Summary> {
        let values: Vec<f64> = self.values(column, row, measure).into_values().collect();
        Summary::of(&values)
    }

    /// The number of seeds whose loss became NaN or infinite.
    fn diverged(&self, column: usize, row: usize) -> usize {
        let runs = self.at(column, row).into_iter().flatten();
        runs.filter(|(_, run)| run.diverged()).count()
    }

    /// The difference of a row from the one it builds on, over the seeds that both have.
    fn difference(&self, column: usize, row: usize, measure: TableMeasure) -> Option<Paired> {
        let from = self.ablation.table.rows[row].from?;
        let (ours, theirs) =
            (self.values(column, row, measure), self.values(column, from, measure));
        let pairs = ours.iter().filter_map(|(seed, value)| Some(value - theirs.get(seed)?));
        Paired::of(&pairs.collect::<Vec<_>>())
    }

    /// Whether a row and the one it builds on are one run here.
    fn same_as_its_parent(&self, column: usize, row: usize) -> bool {
        let cell = |row| self.ablation.cell(column, row).map(|cell| self.index(cell));
        let from = self.ablation.table.rows[row].from;
        cell(row).is_some() && from.is_some_and(|from| cell(from) == cell(row))
    }

    /// The published number.
    fn number(&self, column: usize, row: usize, measure: TableMeasure) -> Option<f64> {
        let table = &self.ablation.table;
        let numbers = published(table.name, table.rows[row].title, table.columns[column].title);
        numbers.into_iter().find(|each| each.measure == measure).map(|each| each.value)
    }

    /// The published difference from the row that a row builds on.
    fn number_difference(&self, column: usize, row: usize, measure: TableMeasure) -> Option<f64> {
        let from = self.ablation.table.rows[row].from?;
        Some(self.number(column, row, measure)? - self.number(column, from, measure)?)
    }

    /// The rows to show: those of the paper, and ours that ran.
    fn rows(&self, column: usize) -> Vec<usize> {
        let table = &self.ablation.table;
        let published = |row: usize| {
            let column = table.columns[column].title;
            !published(table.name, table.rows[row].title, column).is_empty()
        };
        let ran = |row| self.at(column, row).is_some_and(|runs| !runs.is_empty());
        (0..table.rows.len()).filter(|&row| published(row) || ran(row)).collect()
    }

    fn measures(&self) -> &'static [TableMeasure] {
        measures(self.ablation.table.name)
    }

    /// Everything as plain data.
    pub fn json(&self) -> Value {
        let Ablation { table, preset, left_out, .. } = self.ablation;
        let columns = table.columns.iter().enumerate().map(|(column, of)| {
            let rows = self.rows(column).into_iter().map(|row| self.row_json(column, row));
            json!({
                "name": of.name,
                "title": preset.column_title(of.title),
                "rows": rows.collect::<Vec<_>>(),
            })
        });
        let facts: Map<String, Value> =
            self.facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "table": table.name,
            "title": table.title,
            "preset": preset.name,
            "proxy": preset.proxy,
            "caption": preset.caption(),
            "seeds": self.seeds,
            "facts": facts,
            "left_out": left_out,
            "columns": columns.collect::<Vec<_>>(),
        })
    }

    fn row_json(&self, column: usize, row: usize) -> Value {
        let of = &self.ablation.table.rows[row];
        let (mut numbers, mut ours, mut differences) = (Map::new(), Map::new(), Map::new());
        for &measure in self.measures() {
            if let Some(value) = self.number(column, row, measure) {
                numbers.insert(measure.key().to_owned(), json!(value));
            }
            if let Some(Summary { n, mean, sd }) = self.summary(column, row, measure) {
                let values: Vec<f64> = self.values(column, row, measure).into_values().collect();
                let key = if measure == TableMeasure::Throughput {
                    "images_per_second"
                } else {
                    measure.key()
                };
                let summary = json!({ "n": n, "mean": mean, "sd": sd, "values": values });
                ours.insert(key.to_owned(), summary);
            }
            if !is_accuracy(measure) {
                continue;
            }
            if let Some(Paired { n, mean, interval, p }) = self.difference(column, row, measure) {
                let published = self.number_difference(column, row, measure);
                let paired = json!({ "published": published, "n": n, "mean": mean, "interval": interval, "p": p });
                differences.insert(measure.key().to_owned(), paired);
            }
        }
        json!({
            "name": of.name,
            "title": of.title,
            "from": of.from.map(|from| self.ablation.table.rows[from].name),
            "proxy": self.ablation.preset.proxy,
            "published": numbers,
            "ours": ours,
            "diverged": self.diverged(column, row),
            "difference": differences,
        })
    }
}

/// Whether differences of this measure are shown.
fn is_accuracy(measure: TableMeasure) -> bool {
    matches!(measure, TableMeasure::Top1 | TableMeasure::Top5)
}

impl Finished {
    /// Reads a run folder; None where the run is not finished.
    fn read(folder: &Path) -> Result<Option<Finished>, ReportError> {
        let result = folder.join(names::RESULT);
        let Some(text) = text(&result)? else { return Ok(None) };
        let measure = measure(&folder.join(names::RUN))?;
        match Outcome::read(&text, &measure) {
            Ok(outcome) => Ok(Some(Finished { measure, outcome })),
            Err(error) => Err(ReportError::Read { path: result, cause: error.into() }),
        }
    }

    fn diverged(&self) -> bool {
        !self.measure.headline_value(&self.outcome.values).is_finite()
    }

    /// The value in the unit of the published number, but throughput in images per second.
    fn value(&self, measure: TableMeasure) -> Option<f64> {
        let outcome = &self.outcome;
        let column = |name| self.measure.value(&outcome.values, name);
        let value = match measure {
            TableMeasure::TimePerEpoch => outcome.seconds_per_epoch.map(|seconds| seconds / 60.0),
            TableMeasure::Parameters => Some(outcome.parameters as f64 / 1e6),
            TableMeasure::MultiplyAdds => Some(outcome.multiply_adds as f64 / 1e9),
            TableMeasure::Throughput => outcome.images_per_second,
            TableMeasure::MeanAveragePrecision => column("map"),
            measure => column(measure.key()),
        };
        value.filter(|value| value.is_finite())
    }
}

/// The columns that a `run.json` tells; those of classification where it is missing.
fn measure(path: &Path) -> Result<MeasureColumns, ReportError> {
    let Some(text) = text(path)? else { return Ok(MeasureColumns::classification()) };
    let facts: Result<Map<String, Value>, _> = serde_json::from_str(&text);
    let failed = |cause| ReportError::Read { path: path.to_owned(), cause };
    let facts = facts.map_err(|error| failed(error.into()))?;
    MeasureColumns::of_run(&facts)
        .ok_or_else(|| failed(std::io::Error::other("it does not tell the columns of the measure")))
}

/// The text of a file; None where there is no file.
fn text(path: &Path) -> Result<Option<String>, ReportError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(ReportError::Read { path: path.to_owned(), cause }),
    }
}

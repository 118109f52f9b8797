//! A table of the paper beside what an ablation measured, as Markdown and as JSON: published, ours as mean ± sd (n), and
//! the difference from the row that a row builds on, paired by seed.

mod markdown;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use recipe::ablation::{Ablation, Planned};
use recipe::tables::published::measures;
use recipe::tables::{TableMeasure, published};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::run::ReportError;
use crate::statistics::{Paired, Summary};

pub use markdown::markdown;

/// What a run came to: its `result.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Outcome {
    /// Percent; None where the loss became NaN or infinite.
    pub top1: Option<f64>,
    pub top5: Option<f64>,
    pub parameters: u64,
    pub multiply_adds: u64,
    pub images_per_second: Option<f64>,
    pub seconds_per_epoch: Option<f64>,
    /// All work.
    pub seconds: f64,
}

/// An ablation and the results it has so far.
#[derive(Clone, Debug)]
pub struct Results<'a> {
    pub ablation: &'a Ablation,
    pub seeds: Vec<u64>,
    /// Where and how it ran, for the caption: name and value.
    pub facts: Vec<(String, String)>,
    /// Of each cell, by seed.
    outcomes: Vec<BTreeMap<u64, Outcome>>,
}

impl<'a> Results<'a> {
    /// Reads the results in the folder of an ablation.
    pub fn read(
        folder: &Path,
        ablation: &'a Ablation,
        seeds: &[u64],
        facts: Vec<(String, String)>,
    ) -> Result<Results<'a>, ReportError> {
        let mut outcomes = Vec::new();
        for cell in &ablation.cells {
            let mut of_cell = BTreeMap::new();
            for &seed in seeds {
                let run = folder.join("runs").join(&cell.name).join(format!("seed-{seed}"));
                if let Some(outcome) = outcome(&run.join("result.json"))? {
                    of_cell.insert(seed, outcome);
                }
            }
            outcomes.push(of_cell);
        }
        Ok(Results { ablation, seeds: seeds.to_vec(), facts, outcomes })
    }

    /// The results of the cell at a place, or of the one that is the same run.
    fn at(&self, column: usize, row: usize) -> Option<&BTreeMap<u64, Outcome>> {
        let index = self.index(self.ablation.cell(column, row)?);
        Some(&self.outcomes[index])
    }

    fn index(&self, cell: &Planned) -> usize {
        let here = |other: &Planned| (other.column, other.row) == (cell.column, cell.row);
        self.ablation.cells.iter().position(here).expect("a cell of the ablation")
    }

    /// What was measured, seed by seed.
    fn values(&self, column: usize, row: usize, measure: TableMeasure) -> BTreeMap<u64, f64> {
        let outcomes = self.at(column, row).into_iter().flatten();
        let value = |(&seed, outcome): (&u64, &Outcome)| Some((seed, value(outcome, measure)?));
        outcomes.filter_map(value).collect()
    }

    fn summary(&self, column: usize, row: usize, measure: TableMeasure) -> Option<Summary> {
        let values: Vec<f64> = self.values(column, row, measure).into_values().collect();
        Summary::of(&values)
    }

    /// Seeds whose loss became NaN or infinite.
    fn diverged(&self, column: usize, row: usize) -> usize {
        let outcomes = self.at(column, row).into_iter().flatten();
        outcomes.filter(|(_, outcome)| outcome.top1.is_none()).count()
    }

    /// How a row differs from the one it builds on, over the seeds that both have.
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
        let ran = |row| self.at(column, row).is_some_and(|outcomes| !outcomes.is_empty());
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

/// What differences are shown of.
fn is_accuracy(measure: TableMeasure) -> bool {
    matches!(measure, TableMeasure::Top1 | TableMeasure::Top5)
}

/// In the unit of the published number, but for throughput, which is in images per second.
fn value(outcome: &Outcome, measure: TableMeasure) -> Option<f64> {
    match measure {
        TableMeasure::Top1 => outcome.top1,
        TableMeasure::Top5 => outcome.top5,
        TableMeasure::TimePerEpoch => outcome.seconds_per_epoch.map(|seconds| seconds / 60.0),
        TableMeasure::Parameters => Some(outcome.parameters as f64 / 1e6),
        TableMeasure::MultiplyAdds => Some(outcome.multiply_adds as f64 / 1e9),
        TableMeasure::Throughput => outcome.images_per_second,
        _ => None,
    }
}

fn outcome(path: &Path) -> Result<Option<Outcome>, ReportError> {
    let failed = |cause| ReportError::Read { path: path.to_owned(), cause };
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| failed(error.into())),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(failed(cause)),
    }
}

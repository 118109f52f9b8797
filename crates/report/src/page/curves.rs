//! Curves over the epochs: the loss and its parts, the measure, rate, gradient norm, throughput, waiting for data.

use record::{LOSS, MeasureColumn, TrainRow, Unit};

use crate::chart::{Axis, Chart, Line, Series};
use crate::page::summary;
use crate::run::{RunFolder, result_columns};
use crate::text::{axis, capitalized, escape};

const SIZE: [f64; 2] = [440.0, 270.0];
/// How many points all curves of a chart have together, how many one curve has at most, and how many at least.
const POINTS: usize = 6_000;
const MOST_POINTS: usize = 400;
const FEWEST_POINTS: usize = 2;

/// The charts, with the names of the runs above them where there are several.
pub(super) fn section(runs: &[RunFolder]) -> String {
    let mut html = String::new();
    if runs.len() > 1 {
        html += "<p class=\"legend\">";
        for (index, run) in runs.iter().enumerate() {
            html += &format!("<span>{}{}</span> ", summary::swatch(index), escape(&run.name));
        }
        html += "</p>\n";
    }
    html += "<div class=\"charts\">\n";
    for chart in charts(runs) {
        html += &format!("<figure>{}</figure>\n", chart.inline(SIZE));
    }
    super::section("Curves", &(html + "</div>\n"))
}

/// A chart to be: its title, the label of its vertical axis, the values which that has to reach, and its curves.
struct Plan {
    title: String,
    unit: String,
    reach: &'static [f64],
    curves: Vec<Curve>,
}

/// A curve of each run: its name where it stands beside others, its line, and where its points come from.
struct Curve {
    name: String,
    line: Line,
    source: Source,
}

/// Tells the value of a row about training, where it has one.
type OfTraining = dyn Fn(&TrainRow) -> Option<f64>;

enum Source {
    Train(Box<OfTraining>),
    /// The column of an evaluation.
    Evaluation(MeasureColumn),
}

impl Plan {
    fn new(title: &str, unit: &str, curves: Vec<Curve>) -> Plan {
        Plan { title: title.to_owned(), unit: unit.to_owned(), reach: &[], curves }
    }

    /// A chart of one curve about training, from 0 on.
    fn of_training(
        title: &str,
        unit: &str,
        name: &str,
        value: impl Fn(&TrainRow) -> Option<f64> + 'static,
    ) -> Plan {
        Plan { reach: &[0.0], ..Plan::new(title, unit, vec![Curve::training(name, value)]) }
    }
}

impl Curve {
    fn training(name: &str, value: impl Fn(&TrainRow) -> Option<f64> + 'static) -> Curve {
        Curve { name: name.to_owned(), line: Line::Solid, source: Source::Train(Box::new(value)) }
    }

    fn evaluation(name: &str, column: &MeasureColumn) -> Curve {
        let source = Source::Evaluation(column.clone());
        Curve { name: name.to_owned(), line: Line::Dotted, source }
    }

    /// The points of a run, in the order of its epochs.
    fn points(&self, run: &RunFolder) -> Vec<(f64, f64)> {
        match &self.source {
            Source::Train(value) => {
                run.train.iter().filter_map(|row| Some((row.epoch, value(row)?))).collect()
            }
            Source::Evaluation(column) => {
                run.evaluations.iter().map(|row| (row.epoch, run.value(row, column))).collect()
            }
        }
    }
}

/// All charts that these runs have points for. One run has related curves in one chart; several have a chart a curve.
fn charts(runs: &[RunFolder]) -> Vec<Chart> {
    let mut plan = losses(runs);
    plan.extend(terms(runs));
    plan.extend(results(runs));
    plan.push(Plan::of_training("Learning rate", "rate", "rate", |row| Some(row.rate)));
    type Optional = (&'static str, fn(&TrainRow) -> Option<f64>);
    let optional: [Optional; 2] =
        [("Gradient norm", |row| row.gradient_norm), ("Loss scale", |row| row.loss_scale)];
    for (title, value) in optional {
        if runs.iter().flat_map(|run| &run.train).any(|row| value(row).is_some()) {
            let unit = title.to_lowercase();
            plan.push(Plan::of_training(title, &unit, &unit, value));
        }
    }
    let per_second = "images per second";
    plan.push(Plan::of_training("Throughput", per_second, per_second, |row| {
        Some(row.images_per_second)
    }));
    plan.push(Plan::of_training("Waiting for data", "% of the time", "waiting", |row| {
        Some(100.0 * row.wait_share)
    }));
    plan.iter().map(|plan| chart(runs, plan)).collect()
}

/// The loss of training, and of validation where the measure has one.
fn losses(runs: &[RunFolder]) -> Vec<Plan> {
    let column = result_columns(runs).into_iter().find(|column| column.name == LOSS);
    let unit = column.map_or("loss", axis);
    let training = Curve::training("training", |row| Some(row.loss));
    let validation = column.map(|column| Curve::evaluation("validation", column));
    if runs.len() == 1 {
        return vec![Plan::new("Loss", unit, [training].into_iter().chain(validation).collect())];
    }
    let validation = validation.map(|curve| Plan::new("Validation loss", unit, vec![curve]));
    let training = Plan::new("Training loss", unit, vec![training]);
    [training].into_iter().chain(validation).collect()
}

/// The named parts of the training loss, where a run has them.
fn terms(runs: &[RunFolder]) -> Vec<Plan> {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.train).flat_map(|row| &row.terms) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let curve = |name: &String| {
        let wanted = name.clone();
        Curve::training(&name.replace('_', " "), move |row| {
            row.terms.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
        })
    };
    let curves = names.into_iter().map(curve);
    match runs {
        [_] => {
            let curves: Vec<Curve> = curves.collect();
            let any = !curves.is_empty();
            any.then(|| Plan::new("Parts of the training loss", "loss", curves))
                .into_iter()
                .collect()
        }
        _ => curves
            .map(|curve| Plan::new(&format!("Training loss: {}", curve.name), "loss", vec![curve]))
            .collect(),
    }
}

/// The columns of the measure beside the loss: percentages, which share a chart where there is one run, then others.
fn results(runs: &[RunFolder]) -> Vec<Plan> {
    let columns = result_columns(runs).into_iter().filter(|column| column.name != LOSS);
    let (percentages, others): (Vec<_>, Vec<_>) =
        columns.partition(|column| column.unit == Unit::Percent);
    let curve = |column: &MeasureColumn| Curve::evaluation(&column.title, column);
    let alone = |column: &MeasureColumn| {
        Plan::new(&capitalized(&column.full_title), axis(column), vec![curve(column)])
    };
    let mut plan = Vec::new();
    if runs.len() == 1 && percentages.len() > 1 {
        let curves = percentages.into_iter().map(curve).collect();
        plan.push(Plan::new("Accuracy", "%", curves));
    } else {
        plan.extend(percentages.into_iter().map(alone));
    }
    plan.extend(others.into_iter().map(alone));
    plan
}

fn chart(runs: &[RunFolder], plan: &Plan) -> Chart {
    let Plan { title, unit, reach, curves } = plan;
    let limit = (POINTS / (runs.len() * curves.len())).clamp(FEWEST_POINTS, MOST_POINTS);
    let mut series = Vec::new();
    for run in runs {
        for curve in curves {
            let points = curve.points(run);
            let name = if runs.len() > 1 { run.name.clone() } else { curve.name.clone() };
            // Dots are for few points.
            let line = if points.len() > 60 { Line::Solid } else { curve.line };
            series.push(Series {
                name,
                color: series.len(),
                line,
                points: thinned(&points, limit),
            });
        }
    }
    let (x, y) = (Axis::new("epoch", &[0.0]), Axis::new(unit, reach));
    let legend = runs.len() == 1 && curves.len() > 1;
    Chart { title: title.clone(), x, y, series, marks: Vec::new(), legend }
}

/// At most `limit` points, each the mean of as many neighbors as that takes.
fn thinned(points: &[(f64, f64)], limit: usize) -> Vec<(f64, f64)> {
    let neighbors = points.len().div_ceil(limit).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let sum = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / chunk.len() as f64, sum.1 / chunk.len() as f64)
    };
    points.chunks(neighbors).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_means_and_leaves_few_points_alone() {
        let points: Vec<(f64, f64)> = (0..10).map(|i| (f64::from(i), f64::from(i * i))).collect();
        assert_eq!(thinned(&points, 10), points);
        let thin = thinned(&points, 4);
        assert_eq!(thin, [(1.0, 5.0 / 3.0), (4.0, 50.0 / 3.0), (7.0, 149.0 / 3.0), (9.0, 81.0)]);
        assert!(thinned(&[], 4).is_empty());
    }
}

//! Curves over the epochs: loss, accuracy, rate, throughput, waiting for data.

use crate::chart::{Axis, Chart, Line, Series};
use crate::page::summary;
use crate::run::{EvaluationRow, Run, TrainRow};
use crate::text::escape;

const SIZE: [f64; 2] = [440.0, 270.0];
/// Points of all curves of a chart together, of one curve at most, and of one at least.
const POINTS: usize = 6_000;
const MOST_POINTS: usize = 400;
const FEWEST_POINTS: usize = 2;

/// The charts, with the names of the runs above them where there are several.
pub(super) fn section(runs: &[Run]) -> String {
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

/// A curve of one run: its name, its line, and where its points come from.
type Curve = (&'static str, Line, Source);

#[derive(Clone, Copy)]
enum Source {
    Train(fn(&TrainRow) -> f64),
    Evaluation(fn(&EvaluationRow) -> f64),
}

use Source::{Evaluation, Train};

fn charts(runs: &[Run]) -> Vec<Chart> {
    let train_loss: Curve = ("training", Line::Solid, Train(|row| row.loss));
    let loss: Curve = ("validation", Line::Dotted, Evaluation(|row| row.loss));
    let top1: Curve = ("top-1", Line::Dotted, Evaluation(|row| row.top1));
    let top5: Curve = ("top-5", Line::Dotted, Evaluation(|row| row.top5));
    let rate: Curve = ("rate", Line::Solid, Train(|row| row.rate));
    let speed: Curve = ("images per second", Line::Solid, Train(|row| row.images_per_second));
    let wait: Curve = ("waiting", Line::Solid, Train(|row| 100.0 * row.wait_share));
    let mut plan: Vec<(&str, &str, &[f64], Vec<Curve>)> = match runs {
        [_] => vec![
            ("Loss", "cross entropy", &[], vec![train_loss, loss]),
            ("Accuracy", "%", &[], vec![top1, top5]),
        ],
        _ => vec![
            ("Training loss", "cross entropy", &[], vec![train_loss]),
            ("Validation loss", "cross entropy", &[], vec![loss]),
            ("Top-1 accuracy", "%", &[], vec![top1]),
            ("Top-5 accuracy", "%", &[], vec![top5]),
        ],
    };
    plan.push(("Learning rate", "rate", &[0.0], vec![rate]));
    plan.push(("Throughput", "images per second", &[0.0], vec![speed]));
    plan.push(("Waiting for data", "% of the time", &[0.0], vec![wait]));
    plan.into_iter()
        .map(|(title, unit, reach, curves)| chart(runs, title, unit, reach, &curves))
        .collect()
}

fn chart(runs: &[Run], title: &str, unit: &str, reach: &[f64], curves: &[Curve]) -> Chart {
    let limit = (POINTS / (runs.len() * curves.len())).clamp(FEWEST_POINTS, MOST_POINTS);
    let mut series = Vec::new();
    for run in runs {
        for &(name, line, source) in curves {
            let points: Vec<(f64, f64)> = match source {
                Train(value) => run.train.iter().map(|row| (row.epoch, value(row))).collect(),
                Evaluation(value) => {
                    run.evaluations.iter().map(|row| (row.epoch, value(row))).collect()
                }
            };
            let name = if runs.len() > 1 { run.name.clone() } else { name.to_owned() };
            // Dots are for few points.
            let line = if points.len() > 60 { Line::Solid } else { line };
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
    Chart { title: title.to_owned(), x, y, series, marks: Vec::new(), legend }
}

/// At most `limit` points: each the mean of as many neighbors as that takes.
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

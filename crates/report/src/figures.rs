//! Figures 3 and 4: learning rate schedules, validation curves, and the gaps of label smoothing.

use std::f64::consts::PI;

use recipe::{Smoothing, Spread};
use record::EvaluationRow;
use tricks::label_smoothing::{largest_epsilon, optimal_gap};
use tricks::{cosine_decay, step_decay, warmup};

use crate::chart::{Axis, Chart, Line, Series};
use crate::run::RunFolder;
use crate::text::{grouped, rounded, titled_axis};

/// §5.1: batches of 1,024 of ImageNet's 1,281,167 images.
const STEPS_PER_EPOCH: u64 = 1251;
const EPOCHS: u64 = 120;
const WARMUP_EPOCHS: u64 = 5;
/// §3.1 linear scaling: 0.1 × 1024 / 256.
const INITIAL_RATE: f64 = 0.4;

/// Figure 3a: the rate of step decay and of cosine decay over 120 epochs, both after 5 epochs of warm-up.
pub fn figure_3a() -> String {
    let points = |rate: fn(u64) -> f64| {
        // A tenth of an epoch is less than a pixel; the step before each fall keeps it upright.
        let tenth = STEPS_PER_EPOCH / 10;
        let mut steps: Vec<u64> = (0..=EPOCHS * 10).map(|index| index * tenth).collect();
        steps.extend(step_points().into_iter().flat_map(|point| [point - 1, point]));
        steps.push(EPOCHS * STEPS_PER_EPOCH - 1);
        steps.sort_unstable();
        steps.dedup();
        let epoch = |step| step as f64 / STEPS_PER_EPOCH as f64;
        steps.into_iter().map(|step| (epoch(step), rate(step))).collect::<Vec<_>>()
    };
    let cosine = Series { name: "cosine".into(), points: points(cosine_rate), ..Series::default() };
    let step = Series {
        name: "step decay".into(),
        color: 1,
        line: Line::Dashed,
        points: points(step_rate),
    };
    Chart {
        title: "Learning rate schedule (batch 1,024, 5 epochs of warm-up)".into(),
        x: Axis::new("epoch", &[0.0, EPOCHS as f64]),
        y: Axis::new("learning rate", &[0.0]),
        series: vec![cosine, step],
        legend: true,
        ..Chart::default()
    }
    .file()
}

fn step_points() -> [u64; 3] {
    [30, 60, 90].map(|epoch| epoch * STEPS_PER_EPOCH)
}

fn step_rate(step: u64) -> f64 {
    let warmup = warmup::factor(step, WARMUP_EPOCHS * STEPS_PER_EPOCH);
    INITIAL_RATE * warmup * step_decay::factor(step, &step_points(), 0.1)
}

fn cosine_rate(step: u64) -> f64 {
    let warmup_steps = WARMUP_EPOCHS * STEPS_PER_EPOCH;
    let (after, total) =
        (step.saturating_sub(warmup_steps), EPOCHS * STEPS_PER_EPOCH - warmup_steps);
    INITIAL_RATE * warmup::factor(step, warmup_steps) * cosine_decay::factor(after, total)
}

/// Figure 3b: top-1 accuracy on validation images over the epochs of each run; the headline of the first run's measure
/// where that is not a classifier's.
pub fn figure_3b(runs: &[RunFolder]) -> String {
    let column = runs.first().map(|run| run.measure.headline());
    let mut series = Vec::new();
    for (color, run) in runs.iter().enumerate() {
        let value = |row: &EvaluationRow| column.map_or(f64::NAN, |column| run.value(row, column));
        let points = run.evaluations.iter().map(|row| (row.epoch, value(row))).collect();
        let line = if color == 1 { Line::Dashed } else { Line::Solid };
        series.push(Series { name: run.name.clone(), color, line, points });
    }
    Chart {
        title: "Validation accuracy".into(),
        x: Axis::new("epoch", &[0.0]),
        y: Axis::new(&column.map_or(String::new(), titled_axis), &[]),
        series,
        legend: true,
        ..Chart::default()
    }
    .file()
}

/// Figure 4a: the theoretical gap as ε moves, for each number of classes.
pub fn figure_4a(classes: &[usize]) -> String {
    let mut series = Vec::new();
    for (color, &k) in classes.iter().enumerate() {
        let end = largest_epsilon(k);
        // Close together where the curve is steep, at both ends.
        let epsilon = |index: usize| end * 0.5 * (1.0 - (PI * index as f64 / 400.0).cos());
        let mut points: Vec<(f64, f64)> =
            (1..400).map(epsilon).map(|epsilon| (epsilon, optimal_gap(epsilon, k))).collect();
        points.retain(|&(epsilon, _)| epsilon >= 1e-3);
        points.push((end, 0.0));
        let line = Line::Solid;
        series.push(Series { name: format!("K = {}", grouped(k as u64)), color, line, points });
    }
    let at = 0.1;
    let mark = classes.first().map(|&k| {
        let gap = optimal_gap(at, k);
        (at, format!("ε = {at}, K = {}: {gap:.2}", grouped(k as u64)))
    });
    Chart {
        title: "Theoretical gap between the true class and the others".into(),
        x: Axis::new("ε", &[0.0, 1.0]),
        y: Axis::new("log((K−1)(1−ε)/ε)", &[0.0]),
        series,
        marks: mark.into_iter().collect(),
        legend: true,
    }
    .file()
}

const BINS: usize = 60;

/// Figure 4b: how the gap between the largest logit and the mean of the others is distributed over the validation
/// images of each run, and where theory has it for the ε of those with label smoothing.
pub fn figure_4b(runs: &[RunFolder]) -> String {
    let gaps = |run: &RunFolder| -> Vec<f64> {
        run.predictions.iter().map(|each| each.gap).filter(|gap| gap.is_finite()).collect()
    };
    let all: Vec<f64> = runs.iter().flat_map(gaps).collect();
    let low = all.iter().copied().fold(f64::INFINITY, f64::min).floor();
    let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
    let mut series = Vec::new();
    for (color, run) in runs.iter().enumerate() {
        let gaps = gaps(run);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let name = format!("{} (mean {}, {} images)", run.name, rounded(mean, 2), gaps.len());
        let points = histogram(&gaps, low, high);
        series.push(Series { name, color, line: Line::Filled, points });
    }
    let mut theory: Vec<(f64, String)> = runs.iter().filter_map(theoretical_gap).collect();
    theory.sort_by(|a, b| a.0.total_cmp(&b.0));
    theory.dedup();
    let reach: Vec<f64> = theory.iter().map(|(gap, _)| *gap).collect();
    Chart {
        title: "Empirical gap on validation images".into(),
        x: Axis::new("largest logit − mean of the others", &reach),
        y: Axis::new("share of images, %", &[0.0]),
        series,
        marks: theory,
        legend: true,
    }
    .file()
}

/// log((K−1)(1−ε)/ε) of a run with label smoothing, with what it is.
fn theoretical_gap(run: &RunFolder) -> Option<(f64, String)> {
    let Smoothing { epsilon, over } = run.recipe.as_ref()?.target.smoothing?;
    let k = run.classes.len();
    if k < 2 {
        return None;
    }
    // ε/K for all classes leaves the wrong ones ε (K − 1)/K.
    let shared = match over {
        Spread::Others => epsilon,
        Spread::All => epsilon * largest_epsilon(k),
    };
    let gap = optimal_gap(shared, k);
    let text = format!("theory, ε = {epsilon}, K = {}: {gap:.2}", grouped(k as u64));
    gap.is_finite().then_some((gap, text))
}

/// The outline of a histogram, in percent of the values.
fn histogram(values: &[f64], low: f64, high: f64) -> Vec<(f64, f64)> {
    if values.is_empty() {
        return Vec::new();
    }
    let bin_width = (high - low).max(1.0) / BINS as f64;
    let mut counts = [0usize; BINS];
    for value in values {
        counts[(((value - low) / bin_width) as usize).min(BINS - 1)] += 1;
    }
    let mut points = vec![(low, 0.0)];
    for (bin, &count) in counts.iter().enumerate() {
        let share = 100.0 * count as f64 / values.len() as f64;
        points.push((low + bin as f64 * bin_width, share));
        points.push((low + (bin + 1) as f64 * bin_width, share));
    }
    points.push((low + BINS as f64 * bin_width, 0.0));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_are_the_papers() {
        let at = |epoch: f64| (epoch * STEPS_PER_EPOCH as f64).round() as u64;
        for (epoch, step, cosine) in [
            (2.5, 0.2, 0.2),
            (5.0, 0.4, 0.4),
            (29.9, 0.4, 0.355_486),
            (30.0, 0.04, 0.355_142),
            (62.5, 0.004, 0.2),
            (90.0, 0.000_4, 0.063_489),
            (120.0, 0.000_4, 0.0),
        ] {
            let found = (step_rate(at(epoch)), cosine_rate(at(epoch)));
            assert!((found.0 - step).abs() < 1e-4, "epoch {epoch}: step {found:?}");
            assert!((found.1 - cosine).abs() < 1e-4, "epoch {epoch}: cosine {found:?}");
        }
    }

    #[test]
    fn the_gap_is_that_of_equation_5() {
        for (classes, epsilon, gap) in [
            (1000, 0.1, 9.103_979_355_984_773),
            (1000, 0.5, 6.906_754_778_648_554),
            (1000, 0.01, 11.501_874_628_783_144),
            (100, 0.1, 6.792_344_427_470_809),
            (10, 0.1, 4.394_449_154_672_438),
            (2, 0.25, 1.098_612_288_668_109_8),
        ] {
            let found = optimal_gap(epsilon, classes);
            assert!((found - gap).abs() < 1e-12, "K = {classes}, ε = {epsilon}: {found}");
        }
        assert_eq!(optimal_gap(0.0, 1000), f64::INFINITY);
        for classes in [2usize, 10, 1000] {
            let end = (classes as f64 - 1.0) / classes as f64;
            assert!(optimal_gap(end, classes).abs() < 1e-12, "K = {classes}");
            assert!(optimal_gap(end - 0.01, classes) > 0.0, "K = {classes}");
        }
    }

    #[test]
    fn a_histogram_holds_every_value_once() {
        let points = histogram(&[0.0, 0.5, 9.99, 10.0], 0.0, 10.0);
        let total: f64 = points[1..points.len() - 1].chunks(2).map(|pair| pair[0].1).sum();
        assert!((total - 100.0).abs() < 1e-9);
        assert_eq!(points[1], (0.0, 25.0));
        assert_eq!(points[points.len() - 2].1, 50.0);
        assert!(histogram(&[], 0.0, 1.0).is_empty());
    }
}

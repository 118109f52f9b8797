//! A detector's answers for the validation images: precision against recall of each class.

use crate::chart::{Axis, Chart, Line, Series};
use crate::page::section;
use crate::run::RunFolder;
use crate::text::{escape, grouped};

/// The most classes whose curves are drawn: those with the most objects.
const CURVES: usize = 7;
const SIZE: [f64; 2] = [640.0, 400.0];

/// The sections about the answers; nothing where the run trained no detector.
pub(super) fn sections(run: &RunFolder) -> String {
    if run.precision.is_empty() {
        return String::new();
    }
    section("Precision and recall", &(curves(run) + &classes(run)))
}

fn curves(run: &RunFolder) -> String {
    let mut rows: Vec<_> = run.precision.iter().filter(|row| !row.curve.is_empty()).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.objects));
    rows.truncate(CURVES);
    let series = rows.iter().enumerate().map(|(color, row)| Series {
        name: run.class(row.class as usize),
        color,
        line: Line::Solid,
        points: row.curve.iter().map(|&[recall, precision]| (recall, precision)).collect(),
    });
    let chart = Chart {
        title: "Precision against recall".to_owned(),
        x: Axis::new("recall", &[0.0, 1.0]),
        y: Axis::new("precision", &[0.0, 1.0]),
        series: series.collect(),
        marks: Vec::new(),
        legend: true,
    };
    chart.inline(SIZE)
}

fn classes(run: &RunFolder) -> String {
    let mut html = String::from(
        "<table>\n<thead><tr><th>class</th><th>objects</th><th>11 points</th><th>area</th></tr></thead>\n<tbody>\n",
    );
    for row in &run.precision {
        html += &format!(
            "<tr><td>{}</td><td>{}</td><td>{:.2} %</td><td>{:.2} %</td></tr>\n",
            escape(&run.class(row.class as usize)),
            grouped(row.objects),
            row.eleven_points,
            row.area,
        );
    }
    html + "</tbody></table>\n"
}

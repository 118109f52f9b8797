//! The table of an ablation as Markdown, for people.

use recipe::tables::TableMeasure;

use super::{Results, is_accuracy};
use crate::statistics::{Paired, Summary};
use crate::text::{duration, grouped, significant};

const NOTHING: &str = "–";

/// The table as Markdown, one section for each group of the paper's columns.
pub fn markdown(results: &Results) -> String {
    let (table, preset) = (&results.ablation.table, &results.ablation.preset);
    let seeds: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    let mut text =
        format!("## Table {}: {}\n\n{}\n\n", table.number(), table.title, preset.caption());
    text.push_str(&format!(
        "Ours are mean ± standard deviation (n) over seeds {}. Δ is the difference from the row that a row builds on, \
         paired by seed: mean [95 % interval], p of the paired t test.",
        seeds.join(", ")
    ));
    if results.ablation.cells.iter().any(|cell| cell.teaches && cell.chosen) {
        let first = &seeds[0];
        text.push_str(&format!(" Teachers are trained once, with seed {first}."));
    }
    if !results.ablation.left_out.is_empty() {
        let left_out = results.ablation.left_out.join(", ");
        text.push_str(&format!(
            " Not run, since the preset has no stand-in for the network: {left_out}."
        ));
    }
    text.push('\n');
    for (name, value) in &results.facts {
        text.push_str(&format!("\n- {name}: {value}"));
    }
    text.push('\n');
    for column in 0..table.columns.len() {
        text.push_str(&section(results, column));
    }
    text
}

fn section(results: &Results, column: usize) -> String {
    let (table, preset) = (&results.ablation.table, &results.ablation.preset);
    let ours =
        if preset.proxy { format!("ours ({} proxy)", preset.name) } else { "ours".to_owned() };
    let mut head = vec![table.of.to_owned()];
    for &measure in results.measures() {
        let title = measure.title();
        head.extend([format!("{title} published"), format!("{title} {ours}")]);
        if is_accuracy(measure) {
            head.extend([format!("Δ {title} published"), format!("Δ {title} {ours}")]);
        }
    }
    let mut rows = vec![head.clone(), vec!["---".to_owned(); head.len()]];
    for row in results.rows(column) {
        let mut cells = vec![row_title(results, row)];
        for &measure in results.measures() {
            let published = results.number(column, row, measure);
            cells.push(published.map_or(NOTHING.to_owned(), |value| measure.text(value)));
            cells.push(measured(results, column, row, measure));
            if is_accuracy(measure) {
                let published = results.number_difference(column, row, measure);
                cells.push(published.map_or(NOTHING.to_owned(), |value| format!("{value:+.2}")));
                cells.push(difference(results, column, row, measure));
            }
        }
        rows.push(cells);
    }
    let title = match table.columns[column].title {
        "" => String::new(),
        title => format!("\n### {}\n", preset.column_title(title)),
    };
    let lines: Vec<String> =
        rows.iter().map(|cells| format!("| {} |", cells.join(" | "))).collect();
    format!("{title}\n{}\n", lines.join("\n"))
}

/// The title of a row: the paper's words, the row it builds on where that is not the one above, and whether it is a proxy.
fn row_title(results: &Results, row: usize) -> String {
    let rows = &results.ablation.table.rows;
    let of = &rows[row];
    let from = match of.from {
        Some(from) if from + 1 != row => {
            format!(", on {}", rows[from].title.trim_start_matches("+ "))
        }
        _ => String::new(),
    };
    let proxy = if results.ablation.preset.proxy { " (proxy)" } else { "" };
    format!("{}{from}{proxy}", of.title)
}

fn measured(results: &Results, column: usize, row: usize, measure: TableMeasure) -> String {
    let diverged = results.diverged(column, row);
    let note = match diverged {
        0 => String::new(),
        some => format!("{some} diverged"),
    };
    let Some(Summary { n, mean, sd }) = results.summary(column, row, measure) else {
        return if note.is_empty() { NOTHING.to_owned() } else { note };
    };
    let spread = |text: fn(f64) -> String| {
        let sd = sd.map_or(String::new(), |sd| format!(" ± {}", text(sd)));
        format!("{}{sd} ({n})", text(mean))
    };
    let text = match measure {
        TableMeasure::Parameters => format!("{} M", significant(mean)),
        TableMeasure::MultiplyAdds => format!("{} G", significant(mean)),
        TableMeasure::TimePerEpoch => spread(duration_of),
        TableMeasure::Throughput => {
            let share = first_throughput(results, column).map(|first| 100.0 * mean / first);
            let share = share.map_or(NOTHING.to_owned(), |share| format!("{share:.1} %"));
            format!("{share} ({} images/s)", grouped(mean.round() as u64))
        }
        _ => spread(|percent| format!("{percent:.2}")),
    };
    if note.is_empty() { text } else { format!("{text}, {note}") }
}

fn duration_of(minutes: f64) -> String {
    match 60.0 * minutes {
        seconds if seconds < 10.0 => format!("{seconds:.2} s"),
        seconds => duration(seconds),
    }
}

/// The throughput of the first row that ran.
fn first_throughput(results: &Results, column: usize) -> Option<f64> {
    let rows = results.rows(column).into_iter();
    let speed = |row| Some(results.summary(column, row, TableMeasure::Throughput)?.mean);
    rows.filter_map(speed).next()
}

fn difference(results: &Results, column: usize, row: usize, measure: TableMeasure) -> String {
    if results.same_as_its_parent(column, row) {
        return "the same run".to_owned();
    }
    let Some(Paired { mean, interval, p, .. }) = results.difference(column, row, measure) else {
        return NOTHING.to_owned();
    };
    let interval =
        interval.map_or(String::new(), |[low, high]| format!(" [{low:+.2}, {high:+.2}]"));
    let p = match p {
        None => String::new(),
        Some(p) if p < 0.001 => ", p < 0.001".to_owned(),
        Some(p) => format!(", p = {p:.3}"),
    };
    format!("{mean:+.2}{interval}{p}")
}

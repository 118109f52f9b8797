//! The results of runs, how their recipes differ, and where they were computed.

use record::{Better, MeasureColumn, Unit};

use crate::page::section;
use crate::run::{RunFolder, result_columns};
use crate::text::{capitalized, duration, escape, grouped, label, measured, percent, significant};

/// The title, the network and its data, and what could not be read.
pub(super) fn header(runs: &[RunFolder], title: &str) -> String {
    let mut html = format!("<header>\n<h1>{}</h1>\n", escape(title));
    if let [run] = runs {
        let fact = |key: &str| {
            run.environment.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
        };
        let mut parts = Vec::new();
        if let Some(recipe) = &run.recipe {
            parts.push(format!("{} by the recipe {}", recipe.network.model, recipe.name));
        }
        if let Some(data) = fact("data") {
            parts.push(format!("on {data}"));
        }
        let count = |key| fact(key).and_then(|value| value.parse().ok()).map(grouped);
        if let (Some(train), Some(validation)) = (count("train images"), count("validation images"))
        {
            parts.push(format!("{train} images to train on, {validation} to validate"));
        }
        html += &format!("<p class=\"soft\">{}</p>\n", escape(&parts.join(" · ")));
    }
    for run in runs {
        for note in &run.notes {
            let of = if runs.len() > 1 { format!("{}: ", run.name) } else { String::new() };
            html += &format!("<p class=\"note\">{}</p>\n", escape(&format!("{of}{note}")));
        }
    }
    html + "</header>\n"
}

/// The numbers people ask for first: tiles for one run, a table for several.
pub(super) fn results(runs: &[RunFolder]) -> String {
    match runs {
        [run] => tiles(run),
        runs => section("Results", &table(runs)) + &differences(runs),
    }
}

fn tiles(run: &RunFolder) -> String {
    let mut html = String::from("<div class=\"tiles\">\n");
    let mut tile = |name: &str, value: String, more: String| {
        html += &format!(
            "<div class=\"tile\"><div class=\"soft\">{}</div><div class=\"value\">{}</div>\
             <div class=\"soft\">{}</div></div>\n",
            escape(name),
            escape(&value),
            escape(&more)
        );
    };
    evaluated(run, &mut tile);
    let skipped = match run.skipped_steps() {
        0 => String::new(),
        skipped => format!(", {} skipped", grouped(skipped)),
    };
    let steps = format!("{} steps{skipped}", grouped(run.steps()));
    tile("Time", duration(run.seconds()), steps);
    let wait = format!("{} of the time waiting for data", percent(run.wait_percent()));
    tile("Images per second", significant(run.images_per_second()), wait);
    html + "</div>\n"
}

/// The tiles of the last evaluation: the headline beside its best, then the other results.
fn evaluated(run: &RunFolder, tile: &mut impl FnMut(&str, String, String)) {
    let headline = run.measure.headline();
    let Some(last) = run.last() else {
        let name = capitalized(label(headline));
        return tile(&name, "–".to_owned(), "not evaluated yet".to_owned());
    };
    let best = run.best().unwrap_or(last);
    let best_value = measured(headline, run.value(best, headline));
    let mut notes = vec![format!("best {best_value} at epoch {}", significant(best.epoch))];
    let counts = run.measure.columns().iter().filter(|column| column.unit == Unit::Count);
    let counts = counts
        .map(|column| format!("{} {}", measured(column, run.value(last, column)), column.title));
    let counts = counts.collect::<Vec<_>>().join(", ");
    if !counts.is_empty() {
        notes.push(format!("on {counts}"));
    }
    let mut columns = result_columns(std::slice::from_ref(run));
    if columns.len() == 1 {
        notes = vec![notes.join(", ")];
    }
    columns.sort_by_key(|column| column.name != headline.name);
    let mut notes = notes.into_iter();
    for column in columns {
        let note = notes.next().unwrap_or_else(|| format!("at epoch {}", significant(last.epoch)));
        tile(&capitalized(label(column)), measured(column, run.value(last, column)), note);
    }
}

/// A column of the table of several runs.
struct ResultColumn<'a> {
    head: String,
    column: &'a MeasureColumn,
    /// Whether it shows the best evaluation of each run instead of the last.
    best: bool,
    /// Which of its values is marked; None where neither end is the better one.
    better: Option<Better>,
}

impl ResultColumn<'_> {
    /// The columns of a table of these runs. Behind each headline stands the best that it ever was.
    fn of(runs: &[RunFolder]) -> Vec<ResultColumn<'_>> {
        let mut results = Vec::new();
        for column in result_columns(runs) {
            let headline = runs.iter().find(|run| run.measure.headline().name == column.name);
            let better = match column.unit {
                _ if headline.is_some() => headline.map(|run| run.measure.better()),
                Unit::Percent => Some(Better::Higher),
                Unit::CrossEntropy => Some(Better::Lower),
                Unit::Count | Unit::Plain => None,
            };
            let head = label(column).to_owned();
            let best = headline.map(|_| format!("best {head}"));
            results.push(ResultColumn { head, column, best: false, better });
            results.extend(best.map(|head| ResultColumn { head, column, best: true, better }));
        }
        results
    }

    fn value(&self, run: &RunFolder) -> f64 {
        let other = run.measure.headline().name != self.column.name;
        let row = match self.best {
            true if other => None,
            true => run.best(),
            false => run.last(),
        };
        row.map_or(f64::NAN, |row| run.value(row, self.column))
    }

    /// The best value of all runs; NaN where there is none.
    fn top(&self, runs: &[RunFolder]) -> f64 {
        let values = runs.iter().map(|run| self.value(run)).filter(|value| value.is_finite());
        match self.better {
            Some(Better::Higher) => values.fold(f64::NAN, f64::max),
            Some(Better::Lower) => values.fold(f64::NAN, f64::min),
            None => f64::NAN,
        }
    }
}

/// One row a run; the best of a column is marked.
fn table(runs: &[RunFolder]) -> String {
    let columns = ResultColumn::of(runs);
    let heads = columns.iter().map(|column| column.head.as_str());
    let mut html = String::from("<div class=\"wide\"><table>\n<thead><tr>");
    for head in ["run"].into_iter().chain(heads).chain(["steps", "time", "images/s", "waiting"]) {
        html += &format!("<th>{}</th>", escape(head));
    }
    html += "</tr></thead>\n<tbody>\n";
    let tops: Vec<f64> = columns.iter().map(|column| column.top(runs)).collect();
    for (index, run) in runs.iter().enumerate() {
        html += &format!("<tr><th>{}{}</th>", swatch(index), escape(&run.name));
        for (results, top) in columns.iter().zip(&tops) {
            let value = results.value(run);
            let class = if value == *top { " class=\"best\"" } else { "" };
            html += &format!("<td{class}>{}</td>", measured(results.column, value));
        }
        html += &format!(
            "<td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            grouped(run.steps()),
            duration(run.seconds()),
            significant(run.images_per_second()),
            percent(run.wait_percent())
        );
    }
    html + "</tbody></table></div>\n"
}

/// A sample of a run's line in the charts.
pub(super) fn swatch(index: usize) -> String {
    let dashed = if (index / 7) % 2 == 1 { " dashed" } else { "" };
    format!("<span class=\"swatch c{}{dashed}\"></span>", index % 7)
}

/// The list of how each recipe differs from the first run's.
fn differences(runs: &[RunFolder]) -> String {
    let Some(first) = &runs[0].recipe else { return String::new() };
    let mut html = format!(
        "<p class=\"soft\">Each beside {}: its value there → its value in this run.</p>\n<dl>\n",
        escape(&runs[0].name)
    );
    for run in &runs[1..] {
        let Some(recipe) = &run.recipe else { continue };
        html += &format!("<dt>{}</dt>", escape(&run.name));
        let changes = recipe::diff(first, recipe);
        if changes.is_empty() {
            html += "<dd class=\"soft\">the same recipe</dd>\n";
        }
        for change in changes {
            html += &format!("<dd><code>{}</code></dd>\n", escape(&change));
        }
    }
    section("Recipes that differ", &(html + "</dl>\n"))
}

pub(super) fn recipe(run: &RunFolder) -> String {
    section("Recipe", &format!("<pre><code>{}</code></pre>\n", escape(run.recipe_text.trim_end())))
}

pub(super) fn environment(run: &RunFolder) -> String {
    let mut html = String::from("<dl class=\"pairs\">\n");
    for (key, value) in &run.environment {
        html += &format!("<dt>{}</dt><dd>{}</dd>\n", escape(key), escape(value));
    }
    section("Environment", &(html + "</dl>\n"))
}

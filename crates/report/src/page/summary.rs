//! What a run came to, how runs differ, and what they were.

use crate::page::section;
use crate::run::Run;
use crate::text::{duration, escape, grouped, percent, significant};

/// The title, what was trained on what, and what could not be read.
pub(super) fn header(runs: &[Run], title: &str) -> String {
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
pub(super) fn results(runs: &[Run]) -> String {
    match runs {
        [run] => tiles(run),
        runs => section("Results", &table(runs)) + &differences(runs),
    }
}

fn tiles(run: &Run) -> String {
    let mut html = String::from("<div class=\"tiles\">\n");
    let mut tile = |name: &str, value: String, more: String| {
        html += &format!(
            "<div class=\"tile\"><div class=\"soft\">{name}</div><div class=\"value\">{}</div>\
             <div class=\"soft\">{}</div></div>\n",
            escape(&value),
            escape(&more)
        );
    };
    if let (Some(last), Some(best)) = (run.last(), run.best()) {
        let of = format!("on {} images", grouped(last.images));
        let best_at = format!("best {} at epoch {}", percent(best.top1), significant(best.epoch));
        tile("Top-1", percent(last.top1), best_at);
        tile("Top-5", percent(last.top5), of);
        tile(
            "Validation loss",
            significant(last.loss),
            format!("at epoch {}", significant(last.epoch)),
        );
    } else {
        tile("Top-1", "–".to_owned(), "not evaluated yet".to_owned());
    }
    tile("Time", duration(run.seconds()), format!("{} steps", grouped(run.steps())));
    let wait = format!("{} of the time waiting for data", percent(run.wait_percent()));
    tile("Images per second", significant(run.images_per_second()), wait);
    html + "</div>\n"
}

/// One row a run; the best of a column is marked.
fn table(runs: &[Run]) -> String {
    let heads = [
        "run",
        "top-1",
        "best top-1",
        "top-5",
        "validation loss",
        "steps",
        "time",
        "images/s",
        "waiting",
    ];
    let mut html = String::from("<div class=\"wide\"><table>\n<thead><tr>");
    for head in heads {
        html += &format!("<th>{head}</th>");
    }
    html += "</tr></thead>\n<tbody>\n";
    let best = |value: fn(&Run) -> Option<f64>| {
        runs.iter().filter_map(value).filter(|v| v.is_finite()).fold(f64::NEG_INFINITY, f64::max)
    };
    let columns: [fn(&Run) -> Option<f64>; 4] = [
        |run| run.last().map(|row| row.top1),
        |run| run.best().map(|row| row.top1),
        |run| run.last().map(|row| row.top5),
        |run| run.last().map(|row| -row.loss),
    ];
    let tops = columns.map(best);
    for (index, run) in runs.iter().enumerate() {
        html += &format!("<tr><th>{}{}</th>", swatch(index), escape(&run.name));
        for (column, (value, top)) in columns.iter().zip(tops).enumerate() {
            let value = value(run).unwrap_or(f64::NAN);
            let text = if column == 3 { significant(-value) } else { percent(value) };
            let class = if value == top { " class=\"best\"" } else { "" };
            html += &format!("<td{class}>{text}</td>");
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

/// The line of a run in the charts.
pub(super) fn swatch(index: usize) -> String {
    let dashed = if (index / 7) % 2 == 1 { " dashed" } else { "" };
    format!("<span class=\"swatch c{}{dashed}\"></span>", index % 7)
}

/// How each recipe differs from the first run's.
fn differences(runs: &[Run]) -> String {
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

pub(super) fn recipe(run: &Run) -> String {
    section("Recipe", &format!("<pre><code>{}</code></pre>\n", escape(run.recipe_text.trim_end())))
}

pub(super) fn environment(run: &Run) -> String {
    let mut html = String::from("<dl class=\"pairs\">\n");
    for (key, value) in &run.environment {
        html += &format!("<dt>{}</dt><dd>{}</dd>\n", escape(key), escape(value));
    }
    section("Environment", &(html + "</dl>\n"))
}

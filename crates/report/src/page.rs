//! The report: one page of HTML with everything in it, of one run or of several beside each other.

mod curves;
mod detections;
mod predictions;
mod segmented;
mod summary;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::chart;
use crate::run::RunFolder;
use crate::text::escape;

/// A page never becomes larger than this, bytes.
pub const LIMIT: usize = 5_000_000;

/// The policy that a page begins with: it allows no source but the page itself, so a browser asks the network for nothing.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");

/// The page of these runs. Where it would pass [`LIMIT`], the details of the last runs are left out, with a note.
///
/// # Panics
/// Without a run.
pub fn page(runs: &[RunFolder]) -> String {
    assert!(!runs.is_empty(), "a report is about at least one run");
    let title = match runs {
        [run] => run.name.clone(),
        runs => format!("{} runs", runs.len()),
    };
    let mut page = head(&title);
    page += &summary::header(runs, &title);
    page += &summary::results(runs);
    page += &curves::section(runs);
    let end = foot("Written by trickbag from the files of the run folder.");
    let mut left_out = Vec::new();
    for run in runs {
        let details = details(run, runs.len() > 1);
        // The note about what is left out has to find room, too.
        if page.len() + details.len() + end.len() + 100_000 <= LIMIT {
            page += &details;
        } else {
            left_out.push(run.name.as_str());
        }
    }
    if !left_out.is_empty() {
        page += &too_large(&left_out);
    }
    page + &end
}

/// The beginning of a page, up to its content. `title` is escaped here.
pub(crate) fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
         <title>{} · trickbag</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escape(title),
        chart::STYLE
    )
}

/// The end of a page, after its content.
pub(crate) fn foot(origin: &str) -> String {
    format!(
        "<footer>{origin}</footer>\n</main>\n\
         <div id=\"tip\" hidden=\"hidden\"></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// A PNG inside the page; where it is empty, the words that there is none.
pub(crate) fn thumbnail(png: &[u8]) -> String {
    match png {
        [] => "<div class=\"none\">no thumbnail</div>".to_owned(),
        png => format!("<img alt=\"\" src=\"data:image/png;base64,{}\"/>", STANDARD.encode(png)),
    }
}

/// What is about one run alone, folded up where there are several.
fn details(run: &RunFolder, folded: bool) -> String {
    let answers =
        predictions::sections(run) + &detections::sections(run) + &segmented::sections(run);
    let content = [answers, summary::recipe(run), summary::environment(run)].concat();
    match folded {
        false => content,
        true => format!(
            "<details class=\"run\"><summary>{}</summary>\n{content}</details>\n",
            escape(&run.name)
        ),
    }
}

fn too_large(names: &[&str]) -> String {
    let some: Vec<String> = names.iter().take(20).map(|name| escape(name)).collect();
    let more = if names.len() > some.len() { ", …" } else { "" };
    format!(
        "<p class=\"note\">To keep this page small, the predictions of {} runs are left out ({}{more}): \
         <code>trickbag report</code> and one folder shows them.</p>\n",
        names.len(),
        some.join(", ")
    )
}

/// A part of the page under a heading.
fn section(heading: &str, content: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{content}</section>\n", escape(heading))
}

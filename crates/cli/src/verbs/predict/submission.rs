//! The file of the Places365 challenge (Table 7), whose test labels are not published: "one line per image, in the
//! alphabetical order of the image file names", with the file name and five labels, "sorted by confidence in descending
//! order".

use std::path::Path;

use anyhow::{Context, Result};
use train::durable;

use super::Outcome;
use super::sources::Source;
use crate::output::{self, Usage};

/// Labels of a line.
const LABELS: usize = 5;

/// Refuses what no submission can be made of.
pub(super) fn check(classes: &[String], sources: &[Source]) -> Result<(), Usage> {
    if classes.len() < LABELS {
        let count = classes.len();
        let problem = "classes for each image, the model knows";
        return Err(Usage(format!("a submission has {LABELS} {problem} {count}")));
    }
    let mut names: Vec<(String, String)> =
        sources.iter().map(|source| (file_name(&source.name()), source.name())).collect();
    if let Some((_, path)) = names.iter().find(|(name, _)| name.contains(char::is_whitespace)) {
        let problem = "a submission has no place for a file name with spaces";
        return Err(Usage(format!("{path}: {problem}")));
    }
    names.sort();
    match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Usage(format!("{} and {} have one name", pair[0].1, pair[1].1))),
        None => Ok(()),
    }
}

/// Writes the file, unless an image could not be read.
pub(super) fn write(classes: &[String], outcomes: Vec<Outcome>, file: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for (name, outcome) in outcomes {
        let picture = outcome.with_context(|| format!("no submission without {name}"))?;
        let mut line = file_name(&name);
        for guess in picture.guesses.iter().take(LABELS) {
            let label = classes.iter().position(|class| *class == guess.class);
            line.push_str(&format!(" {}", label.expect("a guess is one of the classes")));
        }
        lines.push(line);
    }
    lines.sort();
    durable::write(file, (lines.join("\n") + "\n").as_bytes())?;
    output::print(&format!("submission: {}, {} images", file.display(), lines.len()));
    Ok(())
}

fn file_name(name: &str) -> String {
    Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

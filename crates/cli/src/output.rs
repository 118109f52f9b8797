//! What is printed: results on standard output, everything else on standard error.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use report::{duration, grouped};

/// Fewer images are done before a bar is read.
const WORTH_A_BAR: usize = 100;

/// A command line that cannot be meant; exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Prints a result. A reader that went away (`trickbag models | head -1`) is nobody's error.
pub(crate) fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

pub(crate) fn json(value: &serde_json::Value) {
    print(&serde_json::to_string_pretty(value).expect("a result is plain data"));
}

/// Prints what a person should know and a script need not.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A bar with the time that is left, on standard error; none where that is no terminal or there is little to do.
pub(crate) fn progress(images: usize) -> ProgressBar {
    if images < WORTH_A_BAR {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:20} {pos}/{len} images, ETA {eta}");
    ProgressBar::new(images as u64).with_style(style.expect("the template is a constant"))
}

pub(crate) fn problem(error: &anyhow::Error) {
    note(&format!("error: {error:#}"));
}

/// Columns as wide as their widest cell; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| {
            let numeric = cell.starts_with(|first: char| first.is_ascii_digit());
            if numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Bytes in the unit that leaves few digits.
pub(crate) fn bytes(count: u64) -> String {
    match count as f64 {
        count if count >= 1e9 => format!("{:.2} GB", count / 1e9),
        count if count >= 1e6 => format!("{:.1} MB", count / 1e6),
        count => format!("{:.1} kB", count / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (25_557_032, "25,557,032")]
        {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(bytes(46_622_720), "46.6 MB");
        assert_eq!(duration(7200.0), "2.0 h");
    }

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = table(&[row(["name", "count", ""]), row(["a", "1,000", "x"])]);
        assert_eq!(text, "name  count\na     1,000  x");
    }
}

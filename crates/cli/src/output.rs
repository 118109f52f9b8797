//! What is printed: results on standard output, everything else on standard error.

use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use classify::ClassifyError;
use data::DataError;
use indicatif::{ProgressBar, ProgressStyle};
use record::{is_unprintable, printable, printable_lines};
use train::signal::StopSignal;

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

/// A signal stopped the work before its end. What can be gone on with is saved, and where it stopped is said.
#[derive(Debug)]
pub(crate) struct Stopped(pub(crate) StopSignal);

impl Stopped {
    /// By the signal that asked for it.
    pub(crate) fn by_signal() -> Stopped {
        Stopped(train::signal::stop_signal().unwrap_or(StopSignal::Terminate))
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "stopped by {}", self.0.name())
    }
}

impl std::error::Error for Stopped {}

/// The first result that could not be printed.
static UNPRINTED: OnceLock<io::Error> = OnceLock::new();

/// Prints a result. A reader that went away (`trickbag models | head -1`) is nobody's error.
pub(crate) fn print(text: &str) {
    remember(writeln!(io::stdout(), "{}", printable_lines(text)));
}

/// Prints a result as JSON, whose escapes spell out what a terminal would not show.
pub(crate) fn json(value: &serde_json::Value) {
    let text = serde_json::to_string_pretty(value).expect("a result is plain data");
    print(&ascii_where_unprintable(&text));
}

fn ascii_where_unprintable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // Outside of strings JSON has no such character but the end of a line.
        if c != '\n' && is_unprintable(c) {
            text += &format!("\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Keeps what has become of a result, for the end of the process.
pub(crate) fn remember(written: io::Result<()>) {
    if let Err(cause) = written
        && cause.kind() != ErrorKind::BrokenPipe
    {
        let _ = UNPRINTED.set(cause);
    }
}

/// Prints what is still on its way. Tells what kept a result of this process from being printed.
pub(crate) fn finish() -> Option<&'static io::Error> {
    remember(io::stdout().flush());
    UNPRINTED.get()
}

/// Prints what a person should know and a script need not.
pub(crate) fn note(text: &str) {
    // Nobody reads standard error any more where this fails.
    let _ = io::stderr().write_all(format!("{}\n", printable_lines(text)).as_bytes());
}

/// A path as a shell takes it.
pub(crate) fn shell_word(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
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
    let text = format!("error: {error:#}");
    note(&if is_one_line(error) { printable(&text) } else { text.into() });
}

/// Whether the message of an error has no lines of its own, so that the end of one can only be in a name.
fn is_one_line(error: &anyhow::Error) -> bool {
    let of_classify = error.downcast_ref::<ClassifyError>().and_then(|error| match error {
        ClassifyError::Data(error) => Some(error),
        _ => None,
    });
    let of_data = error.downcast_ref::<DataError>().or(of_classify);
    let is_list = |error: &DataError| match error {
        DataError::BadImages { .. } => true,
        DataError::EmptyClasses { folders } => folders.len() > 1,
        _ => false,
    };
    of_data.is_some_and(|error| !is_list(error))
}

/// Columns as wide as their widest cell; the first row is the head. A cell is one line.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let cells = |row: &Vec<String>| row.iter().map(|cell| printable(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
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
    fn json_says_the_same_without_what_a_terminal_would_not_show() {
        let value = serde_json::json!({"a\u{9b}b": ["\u{202e}\n\u{1b}[31m", "größe"]});
        let text = ascii_where_unprintable(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| c != '\n' && is_unprintable(c)), "{text}");
        assert!(text.contains(r"a\u009bb") && text.contains("größe"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_name_does_not_begin_a_line_of_an_error() {
        let image = || DataError::NoImages { name: "a\nerror: b".to_owned() };
        assert!(is_one_line(&image().into()));
        assert!(is_one_line(&ClassifyError::from(image()).into()));
        let many = DataError::BadImages { name: "a".to_owned(), images: 2, bad: Vec::new() };
        assert!(!is_one_line(&many.into()));
        let empty = |name: &str| data::EmptyClass { name: name.to_owned(), found: None };
        let several = DataError::EmptyClasses { folders: vec![empty("a"), empty("b")] };
        assert!(!is_one_line(&several.into()));
    }

    #[test]
    fn a_cell_is_one_line_whatever_it_holds() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(table(&[row(["image", "p"]), row(["a\nb\u{1b}[31m", "1"])]).lines().count(), 2);
    }

    #[test]
    fn a_shell_takes_a_word_as_it_was() {
        let word = |text: &str| shell_word(std::path::Path::new(text));
        assert_eq!(word("runs/a-2"), "runs/a-2");
        assert_eq!(word("my photos"), "'my photos'");
        assert_eq!(word("it's"), r"'it'\''s'");
    }

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = table(&[row(["name", "count", ""]), row(["a", "1,000", "x"])]);
        assert_eq!(text, "name  count\na     1,000  x");
    }
}

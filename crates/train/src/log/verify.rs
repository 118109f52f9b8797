//! Whether the logs of a run folder hold whole rows only. Nothing is changed.

use std::fs;
use std::path::{Path, PathBuf};

use record::{MeasureColumns, names};

use super::{Foreign, Kept, csv, events, whole_json};

/// A log, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    pub path: PathBuf,
    pub problem: Option<String>,
}

/// Reads the three logs in `folder`, whose evaluations have the columns of `measure`.
pub fn verify(folder: &Path, measure: &MeasureColumns) -> Vec<LogFile> {
    let head = csv::head(measure);
    let check = |name: &str, whole: &dyn Fn(&[u8]) -> Result<Kept, Foreign>| {
        let path = folder.join(name);
        let problem = match fs::read(&path) {
            Ok(bytes) => problem(whole(&bytes), bytes.len()),
            Err(error) => {
                Some(format!("cannot be read: {error}; check that it is there and may be read"))
            }
        };
        LogFile { path, problem }
    };
    vec![
        check(names::METRICS_JSONL, &|bytes| Ok(whole_json(bytes, u64::MAX))),
        check(names::METRICS_CSV, &|bytes| csv::whole(bytes, &head, u64::MAX)),
        check(names::EVENTS, &|bytes| events::whole(bytes, u64::MAX).map(Kept::First)),
    ]
}

fn problem(whole: Result<Kept, Foreign>, length: usize) -> Option<String> {
    const MEND: &str =
        "go on with the run by `trickbag train --resume --out` and this folder, which mends it";
    match whole {
        Ok(Kept::First(kept)) if kept == length => None,
        Ok(Kept::First(kept)) => {
            Some(format!("its last {} bytes are no whole row; {MEND}", length - kept))
        }
        Ok(Kept::Rows { dropped, .. }) => {
            Some(format!("{dropped} of its lines cannot be read or stand out of order; {MEND}"))
        }
        Err(Foreign) => Some("it does not begin as trickbag writes it; move it away".to_owned()),
    }
}

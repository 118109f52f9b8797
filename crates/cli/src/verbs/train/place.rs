//! Where a run goes: the folder that was asked for, or a free one of the recipe's name; never inside the data.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use train::durable::WriteError;

use crate::args::Train;
use crate::output::Usage;

/// The folder of all runs that are given no other place.
const RUNS: &str = "runs";

/// The run folder: as given; else the newest one of the recipe's name to resume, or the first free one, which is made.
pub(crate) fn of(args: &Train, name: &str) -> Result<PathBuf> {
    let (out, data) = (args.out.as_deref(), args.data.as_deref());
    if args.resume {
        return Ok(out.map_or_else(|| newest(name), Path::to_owned));
    }
    check_outside(out.unwrap_or(Path::new(RUNS)), data)?;
    match out {
        Some(folder) => Ok(folder.to_owned()),
        None => free(name),
    }
}

/// The newest run folder of this name.
pub(crate) fn newest(name: &str) -> PathBuf {
    let used = numbered(name).take_while(|folder| folder.exists()).last();
    used.unwrap_or_else(|| Path::new(RUNS).join(name))
}

/// Makes the first folder of this name that is free. Of two processes that ask at once each gets its own.
fn free(name: &str) -> Result<PathBuf> {
    let failed = |path: &Path, cause| WriteError::new(path, cause);
    fs::create_dir_all(RUNS).map_err(|cause| failed(Path::new(RUNS), cause))?;
    for folder in numbered(name) {
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(failed(&folder, cause).into()),
        }
    }
    unreachable!("numbers do not end")
}

/// runs/NAME, runs/NAME-2, runs/NAME-3, …
fn numbered(name: &str) -> impl Iterator<Item = PathBuf> {
    (1..).map(move |number: u32| match number {
        1 => Path::new(RUNS).join(name),
        _ => Path::new(RUNS).join(format!("{name}-{number}")),
    })
}

/// Refuses a folder inside the dataset: the next look at the data would take what is written there for images and classes.
pub(crate) fn check_outside(out: &Path, data: Option<&Path>) -> Result<(), Usage> {
    let Some(data) = data else { return Ok(()) };
    if !resolved(out).starts_with(resolved(data)) {
        return Ok(());
    }
    Err(Usage(format!(
        "{} lies inside the dataset {}, which would then hold more than its images; give a folder outside of it with --out",
        out.display(),
        data.display()
    )))
}

/// The path without links and dots, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in absolute.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), absolute.strip_prefix(ancestor)) {
            return real.join(rest);
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_lies_inside_the_data_is_found_through_links_and_before_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("photos/cat")).unwrap();
        std::os::unix::fs::symlink(at("photos"), at("link")).unwrap();
        fs::write(at("photos.tar"), "").unwrap();
        let inside = |out: &str, data: &str| check_outside(&at(out), Some(&at(data))).is_err();
        for out in
            ["photos", "photos/runs/a", "link/cat/run", "photos/cat/../x", "runs/../photos/x"]
        {
            assert_eq!(inside(out, "photos"), !out.starts_with("runs"), "{out}");
            assert_eq!(inside(out, "link"), !out.starts_with("runs"), "{out}");
        }
        for out in ["runs", "photos-2", "photos/../runs", "."] {
            assert!(!inside(out, "photos"), "{out}");
            assert!(!inside(out, "photos.tar"), "{out}");
        }
        assert!(check_outside(&at("runs"), None).is_ok());
    }
}

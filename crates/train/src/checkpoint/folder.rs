//! The checkpoints of a run: saved, listed, the newest found, old ones deleted.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{Checkpoint, CheckpointError, file, load};
use crate::durable;

/// Writes `folder/step-00001234.safetensors`, durably, and makes the folder if it is missing.
///
/// # Panics
/// When a tensor's shape and its number of values disagree, or a number of the facts is not finite.
pub fn save(folder: &Path, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
    let header = file::header(checkpoint);
    let path = folder.join(file_name(checkpoint.step));
    durable::create_folder(folder)?;
    durable::write_with(&path, |out| file::write(out, &header, checkpoint))?;
    Ok(path)
}

/// The checkpoints in a folder, oldest first; none when the folder cannot be read.
pub fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    entries(folder).unwrap_or_default()
}

/// The newest checkpoint in a folder; `None` when there is none. Where it is damaged, the error says which
/// file to delete, and from which step the run would then go on.
pub fn latest(folder: &Path) -> Result<Option<Checkpoint>, CheckpointError> {
    let mut entries = entries(folder)?;
    let Some((_, newest)) = entries.pop() else { return Ok(None) };
    load(&newest).map(Some).map_err(|error| match error {
        CheckpointError::Damaged { path, damage, .. } => {
            CheckpointError::Damaged { path, damage, mend: mend(&entries) }
        }
        other => other,
    })
}

/// Deletes all checkpoints but the last `keep` (at least one) and the best, and what a kill left half-written.
/// Call it after [`save`] has returned: then the new one is on the disk.
pub fn prune(folder: &Path, keep: usize, best_step: Option<u64>) -> Result<(), CheckpointError> {
    let mut entries = entries(folder)?;
    entries.truncate(entries.len().saturating_sub(keep.max(1)));
    for (step, path) in entries {
        if best_step != Some(step) {
            delete(&path)?;
        }
    }
    for name in names(folder)? {
        let hidden = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
        if hidden.and_then(step_of).is_some() {
            delete(&folder.join(name))?;
        }
    }
    Ok(())
}

fn delete(path: &Path) -> Result<(), CheckpointError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(CheckpointError::Delete { path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

/// What to do about a damaged newest checkpoint, given the older ones.
fn mend(older: &[(u64, PathBuf)]) -> String {
    let mut also = String::new();
    for (step, path) in older.iter().rev() {
        if load(path).is_ok() {
            return format!("delete it{also} to resume from step {step}: {}", path.display());
        }
        also += &format!(" and {}, damaged too,", path.display());
    }
    match also.is_empty() {
        true => "there is no earlier checkpoint: start again in a new folder",
        false => "the earlier ones are damaged too: start again in a new folder",
    }
    .to_owned()
}

fn file_name(step: u64) -> String {
    format!("step-{step:08}.safetensors")
}

fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()?;
    (file_name(step) == name).then_some(step)
}

fn entries(folder: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let mut entries: Vec<_> = names(folder)?
        .into_iter()
        .filter_map(|name| step_of(&name).map(|step| (step, folder.join(name))))
        .collect();
    entries.sort();
    Ok(entries)
}

/// The names in a folder; none when there is no such folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let names: io::Result<Vec<OsString>> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    match names {
        Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(CheckpointError::Read { path: folder.to_owned(), cause }),
    }
}

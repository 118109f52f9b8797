//! Files that are either whole or not there.
//!
//! A file is written aside in its own folder (`.NAME.tmp`), synced, renamed over the old one, and the folder is
//! synced too: a kill, a power cut or a full disk at any moment leaves the old file or the new one, never a part of
//! one. When something fails, the file written aside is removed, the old file stays, and the error names the file
//! and the remedy. A file that a kill leaves aside is overwritten by the next write.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The error of a file that could not be written. The file that was there before is unchanged.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {cause}; {}", path.display(), mend(cause))]
pub struct WriteError {
    pub path: PathBuf,
    pub cause: io::Error,
}

impl WriteError {
    pub fn new(path: &Path, cause: io::Error) -> WriteError {
        WriteError { path: path.to_owned(), cause }
    }
}

/// Makes `path` hold `bytes`, durably.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_with(path, |out| out.write_all(bytes))
}

/// Makes `path` hold what `fill` writes, durably. `fill` need not buffer.
///
/// # Panics
/// When `path` does not end in a file name.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let aside = aside(path);
    replace(path, &aside, fill).map_err(|cause| {
        // The first error is the one to report; the file aside may not even exist.
        let _ = fs::remove_file(&aside);
        WriteError::new(path, cause)
    })
}

fn replace(
    path: &Path,
    aside: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, File::create(aside)?);
    fill(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    // Some file systems learn only here that the disk is full.
    file.sync_all()?;
    drop(file);
    fs::rename(aside, path)?;
    sync_folder(folder_of(path))
}

/// Where a file is written before it is renamed.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_else(|| panic!("{} has no file name", path.display()));
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".tmp");
    path.with_file_name(hidden)
}

/// Makes `folder` and the folders above it, durably.
pub fn create_folder(folder: &Path) -> Result<(), WriteError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)
        .and_then(|()| sync_folder(folder_of(folder)))
        .map_err(|cause| WriteError::new(folder, cause))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder durable. It is no error when the file system cannot do this.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

#[cfg(not(unix))]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// The remedy for a failed write.
pub(crate) fn mend(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::StorageFull => {
            "the disk is full: free space and run the command again (`train` with --resume)"
        }
        ErrorKind::QuotaExceeded => {
            "the quota is used up: free space and run the command again (`train` with --resume)"
        }
        ErrorKind::PermissionDenied => {
            "make the folder and the file writable, or choose another place with --out"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: choose another place with --out"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a file stands where a folder is needed: move it away, or choose another place"
        }
        ErrorKind::NotFound => {
            "its folder is not there: make it and run the command again (`train` with --resume)"
        }
        _ => "check the disk and run the command again (`train` with --resume)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        for text in ["one", "another", ""] {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(names(folder.path()), ["a.txt"]);
        }
    }

    #[test]
    fn what_a_kill_left_aside_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(folder.path().join(".a.txt.tmp"), "a long half-written file").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn the_old_file_stands_when_the_disk_fills_up_at_any_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"old").unwrap();
        for room in [0, 1, 100_000, 200_000] {
            let error = write_with(&path, |out| {
                out.write_all(&vec![b'x'; room])?;
                Err(ErrorKind::StorageFull.into())
            })
            .unwrap_err();
            let text = error.to_string();
            assert!(text.contains("a.txt"), "{text}");
            assert!(
                text.contains("the disk is full: free space and run the command again"),
                "{text}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), "old");
            assert_eq!(names(folder.path()), ["a.txt"]);
        }
    }

    /// A device that is always full stands where the file aside would be.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_truly_full_disk_is_told_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"old").unwrap();
        std::os::unix::fs::symlink("/dev/full", aside(&path)).unwrap();
        let error = write(&path, b"new").unwrap_err();
        assert_eq!(error.cause.kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_folder_that_is_gone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone").join("a.txt");
        let text = write(&path, b"new").unwrap_err().to_string();
        assert!(text.contains("gone") && text.contains("its folder is not there"), "{text}");
    }

    #[test]
    fn a_name_that_is_taken_by_a_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"new").is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    fn folders_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a").join("b");
        create_folder(&deep).unwrap();
        create_folder(&deep).unwrap();
        assert!(deep.is_dir());
    }
}

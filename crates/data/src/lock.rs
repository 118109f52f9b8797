//! One process at a time: a file in a folder, locked by whoever writes into the folder.
//!
//! The lock belongs to the open file and ends with the process, however that ends. The file holds the process's number, for
//! messages, and is removed at the end.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::DataError;

/// A folder that no other process writes into as long as this lives.
#[derive(Debug)]
pub(crate) struct FolderLock {
    path: PathBuf,
    _file: File,
}

impl FolderLock {
    /// Locks a folder by its file of this name. The error names the process that has it.
    pub(crate) fn take(folder: &Path, name: &str) -> Result<FolderLock, DataError> {
        let path = folder.join(name);
        let failed = |error| DataError::Write { path: path.clone(), error };
        loop {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut owner = String::new();
                    let _ = file.read_to_string(&mut owner);
                    let owner = match owner.trim() {
                        "" => "another process".to_owned(),
                        number => format!("process {number}"),
                    };
                    return Err(DataError::Locked { path: folder.to_owned(), owner });
                }
                // A disk that knows no locks cannot be shared safely, but it can be written to.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if !is_at(&file, &path) {
                // Its owner removed it between our two calls; the lock is on a file that nobody else sees.
                continue;
            }
            let written = file.set_len(0).and_then(|()| file.rewind());
            let written = written.and_then(|()| writeln!(file, "{}", std::process::id()));
            written.map_err(failed)?;
            return Ok(FolderLock { path, _file: file });
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Before the lock is given up with the file, so that nobody else's file is removed.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a path leads to an open file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_whom_the_others_are_told() {
        let place = tempfile::tempdir().unwrap();
        let take = || FolderLock::take(place.path(), ".lock");
        let lock = take().unwrap();
        let message = take().unwrap_err().to_string();
        assert!(
            message.contains(&format!("process {} is writing", std::process::id())),
            "{message}"
        );
        drop(lock);
        assert!(!place.path().join(".lock").exists());
        // What a killed process leaves is a file without a lock.
        fs::write(place.path().join(".lock"), "123456789\n").unwrap();
        let lock = take().unwrap();
        let text = fs::read_to_string(place.path().join(".lock")).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
        drop(lock);
    }
}

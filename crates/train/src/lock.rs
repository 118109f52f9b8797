//! The lock on a folder: one process at a time owns a run, or an ablation.
//!
//! The operating system drops the lock with the process, however that ends, so no lock is ever left behind. The locked file
//! stays; deleting it would let two processes lock two files of one name.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use record::names;

use crate::durable::WriteError;
use crate::error::TrainError;

/// A folder that this process owns until the value is dropped.
#[derive(Debug)]
pub struct FolderLock {
    /// Held open, for as long as it is the lock is.
    _file: File,
}

impl FolderLock {
    /// Takes the lock of a folder that exists, or refuses because another process has it.
    pub fn take(folder: &Path) -> Result<FolderLock, TrainError> {
        let path = folder.join(names::LOCK);
        let failed = |cause| WriteError::new(&path, cause);
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                // Only a message needs what is written here, so a full disk is no reason to stop.
                let _ = file.set_len(0).and_then(|()| file.write_all(this_process().as_bytes()));
            }
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                return Err(TrainError::Busy {
                    folder: folder.to_owned(),
                    owner: described(&owner),
                });
            }
            // A file system without locks; the folder can only be trusted to have one owner.
            Err(TryLockError::Error(cause)) if knows_no_locks(&cause) => {}
            Err(TryLockError::Error(cause)) => return Err(failed(cause).into()),
        }
        Ok(FolderLock { _file: file })
    }
}

/// Whether a file system cannot lock at all, such as NFS without its lock service.
fn knows_no_locks(cause: &io::Error) -> bool {
    /// ENOLCK, which has no kind of its own.
    const NO_LOCKS: i32 = 37;
    let no_locks = cfg!(target_os = "linux") && cause.raw_os_error() == Some(NO_LOCKS);
    no_locks || cause.kind() == ErrorKind::Unsupported
}

/// The number of this process, and the machine it runs on where the system tells.
fn this_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {}\n", std::process::id(), host.trim())
}

/// The owner of a lock in words.
fn described(owner: &str) -> String {
    let mut words = owner.split_whitespace();
    match (words.next().and_then(|number| number.parse::<u32>().ok()), words.next()) {
        (Some(number), Some(host)) => format!("process {number} on {host}"),
        (Some(number), None) => format!("process {number}"),
        (None, _) => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_at_a_time_and_a_second_one_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err();
        assert!(!error.is_usage());
        let text = error.to_string();
        let owner = format!("process {}", std::process::id());
        assert!(text.contains(&owner) && text.contains("--out"), "{text}");
        assert!(text.starts_with(&folder.path().display().to_string()), "{text}");
        drop(lock);
        drop(FolderLock::take(folder.path()).unwrap());
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn what_a_lock_file_says_is_only_for_the_message() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(names::LOCK), "\u{1b}[31m 7\n").unwrap();
        FolderLock::take(folder.path()).unwrap();
        assert_eq!(described("12 node7\n"), "process 12 on node7");
        assert_eq!(described("12\n"), "process 12");
        assert_eq!(described(""), "another process");
        assert_eq!(described("\u{1b}[31m 7"), "another process");
    }
}

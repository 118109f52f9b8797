//! Why a checkpoint could not be saved, read or deleted.

use std::io;
use std::path::PathBuf;

use crate::durable::WriteError;

/// Why a checkpoint could not be saved, read or deleted, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot read {}: {cause}; check that it exists and may be read", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("cannot delete {}: {cause}; delete it by hand", path.display())]
    Delete { path: PathBuf, cause: io::Error },
    #[error("checkpoint {} is damaged: {damage}; {mend}", path.display())]
    Damaged { path: PathBuf, damage: Damage, mend: String },
}

/// What is wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    #[error("cut short at {found} bytes, inside its header")]
    CutInHeader { found: u64 },
    #[error("cut short at {found} of {expected} bytes")]
    CutShort { found: u64, expected: u64 },
    #[error("{found} bytes long instead of {expected}")]
    TooLong { found: u64, expected: u64 },
    #[error("its header cannot be read: {0}")]
    Header(String),
    #[error("its checksum differs: {stored:08x} stored, {computed:08x} computed")]
    Checksum { stored: u32, computed: u32 },
}

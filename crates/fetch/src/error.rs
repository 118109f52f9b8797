//! What can go wrong between a server and a whole file here.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(
        "{url}: cannot be reached: {reason}; check the connection and the proxy's settings, and try again: what is here \
         already is kept"
    )]
    Unreachable { url: String, reason: String },

    #[error("{url}: the server says {status}; {mend}")]
    Status { url: String, status: u16, mend: String },

    #[error(
        "{url}: it has {bytes} bytes, and at most {most} are fetched; use another program for it"
    )]
    TooLarge { url: String, bytes: u64, most: u64 },

    #[error("{url}: {reason}; try again, or take another server")]
    Answer { url: String, reason: String },

    #[error(
        "{url}: its {kind} is {found}, and {expected} is published; what was fetched is removed: try again, and if that \
         fails the file has changed on the server"
    )]
    Checksum { url: String, kind: &'static str, found: String, expected: String },

    #[error("{}: {cause}; check that there is room and that the folder may be written to", path.display())]
    Write { path: PathBuf, cause: io::Error },

    #[error("{}: another process is fetching this file; wait for it to end", path.display())]
    Busy { path: PathBuf },

    #[error("{}: is there already; remove it, or give another folder with -o", path.display())]
    Present { path: PathBuf },

    #[error("{}: {reason}; remove it and fetch it again", path.display())]
    Archive { path: PathBuf, reason: String },

    #[error(
        "{name}: is not in the cache {}, and HF_HUB_OFFLINE is set; unset it to fetch the files, or set HF_HUB_CACHE or \
         HF_HOME to where they are",
        cache.display()
    )]
    Offline { name: String, cache: PathBuf },

    #[error(
        "{name}: is no name of a model: {reason}; write timm/NAME such as timm/resnet50d.ra2_in1k, or hf:OWNER/NAME"
    )]
    Name { name: String, reason: &'static str },

    #[error("HF_ENDPOINT is {endpoint}; write an address that begins with https:// or http://")]
    Endpoint { endpoint: String },

    #[error("there is no home folder to keep a cache in; set HF_HOME or HF_HUB_CACHE to a folder")]
    NoHome,

    #[error("{name}: no such dataset; there are {known}")]
    UnknownDataset { name: String, known: String },
}

impl FetchError {
    /// Whether the command line or the environment is at fault, rather than the world.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            FetchError::Name { .. }
                | FetchError::Endpoint { .. }
                | FetchError::NoHome
                | FetchError::Present { .. }
                | FetchError::UnknownDataset { .. }
        )
    }
}

//! One file from a server: fetched beside its place, checked, and moved there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ureq::Body;
use ureq::http::{Method, Response};

use crate::checksum::Checksum;
use crate::client::{Client, Follow, text};
use crate::error::FetchError;

/// Failures in a row, without a byte between them, after which nothing more is tried.
const MOST_FAILURES: u32 = 4;

const BLOCK: usize = 1 << 17;

/// How far a file has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its name, without a folder.
    pub file: String,
    pub done: u64,
    /// All of its bytes, where the server tells.
    pub total: Option<u64>,
}

/// A file to be fetched, and what is known of it.
pub(crate) struct Wanted<'a> {
    pub(crate) url: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) checksum: Option<Checksum>,
    /// More bytes than this are refused.
    pub(crate) most: u64,
    /// Where it goes when it is whole.
    pub(crate) file: &'a Path,
    /// Where it is on its way. What is there already is kept where a checksum will tell whether it belongs to the file.
    pub(crate) part: &'a Path,
}

/// Fetches the file. It is at its place in the end, whole and with the right checksum, or it is not there.
pub(crate) fn download(
    client: &Client,
    wanted: &Wanted<'_>,
    tell: &mut dyn FnMut(&Transfer),
) -> Result<(), FetchError> {
    let write = |cause| FetchError::Write { path: wanted.part.to_owned(), cause };
    let mut part = locked(wanted.part)?;
    let name = wanted.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut transfer = Transfer { file: name, done: 0, total: None };
    if wanted.checksum.is_some() {
        transfer.done = part.seek(SeekFrom::End(0)).map_err(write)?;
    } else {
        part.set_len(0).map_err(write)?;
    }
    let mut failures = 0;
    loop {
        let before = transfer.done;
        match receive(client, wanted, &mut part, &mut transfer, tell) {
            Ok(()) => break,
            Err(error) if !is_passing(&error) => return Err(error),
            Err(error) => {
                failures = if transfer.done > before { 1 } else { failures + 1 };
                if failures >= MOST_FAILURES {
                    return Err(error);
                }
                std::thread::sleep(client.pause * failures);
            }
        }
    }
    part.sync_all().map_err(write)?;
    if let Some(checksum) = &wanted.checksum {
        let found = checksum.of(wanted.part).map_err(write)?;
        if found != checksum.expected() {
            fs::remove_file(wanted.part).map_err(write)?;
            let (kind, expected) = (checksum.kind(), checksum.expected().to_owned());
            return Err(FetchError::Checksum { url: wanted.url.to_owned(), kind, found, expected });
        }
    }
    moved(wanted.part, wanted.file)
}

/// Renames a file or folder, and syncs the folder that it is in.
pub(crate) fn moved(from: &Path, to: &Path) -> Result<(), FetchError> {
    let synced = || -> io::Result<()> {
        fs::rename(from, to)?;
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    synced().map_err(|cause| FetchError::Write { path: to.to_owned(), cause })
}

/// The file on its way, which no other process writes to.
fn locked(part: &Path) -> Result<File, FetchError> {
    let write = |cause| FetchError::Write { path: part.to_owned(), cause };
    loop {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).open(part);
        let file = file.map_err(write)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FetchError::Busy { path: PathBuf::from(part) });
            }
            Err(TryLockError::Error(cause)) => return Err(write(cause)),
        }
        // Another process may have finished the file, and moved it away, before this one had the lock.
        let ours = file.metadata().map_err(write)?;
        if fs::metadata(part)
            .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        {
            return Ok(file);
        }
    }
}

/// Whether another try may help.
fn is_passing(error: &FetchError) -> bool {
    match error {
        FetchError::Unreachable { .. } | FetchError::Answer { .. } => true,
        FetchError::Status { status, .. } => matches!(status, 408 | 416 | 429 | 500..=599),
        _ => false,
    }
}

/// Receives one answer, from where the file has come to on.
fn receive(
    client: &Client,
    wanted: &Wanted<'_>,
    part: &mut File,
    transfer: &mut Transfer,
    tell: &mut dyn FnMut(&Transfer),
) -> Result<(), FetchError> {
    let write = |cause| FetchError::Write { path: wanted.part.to_owned(), cause };
    let answered = |reason: String| FetchError::Answer { url: wanted.url.to_owned(), reason };
    let range = (transfer.done > 0).then(|| ("range", format!("bytes={}-", transfer.done)));
    let answer =
        client.send(Method::GET, wanted.url, range.as_slice(), wanted.token, Follow::Everywhere)?;
    match (answer.status().as_u16(), transfer.done) {
        (200, _) => transfer.done = 0,
        (206, done) if range_of(&answer).is_some_and(|(first, _)| first == done) => {}
        // What is here is as long as the file or longer; its checksum decides.
        (416, done) if range_total(&answer) == Some(done) => return Ok(()),
        (206 | 416, _) => {
            transfer.done = 0;
            part.set_len(0).map_err(write)?;
            return Err(answered("it answers with another part than was asked for".to_owned()));
        }
        (status, _) => return Err(refused(wanted.url, status)),
    }
    part.set_len(transfer.done).map_err(write)?;
    part.seek(SeekFrom::Start(transfer.done)).map_err(write)?;
    let length = text(answer.headers(), "content-length").and_then(|text| text.parse().ok());
    transfer.total = length.map(|length: u64| transfer.done + length);
    let (url, most) = (wanted.url.to_owned(), wanted.most);
    let too_large = move |bytes| FetchError::TooLarge { url: url.clone(), bytes, most };
    if let Some(bytes) = transfer.total.filter(|&bytes| bytes > most) {
        return Err(too_large(bytes));
    }
    let mut body = answer.into_body().into_reader();
    let mut block = vec![0; BLOCK];
    tell(transfer);
    loop {
        let count = match body.read(&mut block) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(answered(format!("the connection broke: {error}"))),
        };
        if transfer.done + count as u64 > wanted.most {
            return Err(too_large(transfer.done + count as u64));
        }
        part.write_all(&block[..count]).map_err(write)?;
        transfer.done += count as u64;
        tell(transfer);
    }
    match transfer.total {
        Some(total) if transfer.done < total => {
            Err(answered(format!("the connection broke after {} of {total} bytes", transfer.done)))
        }
        _ => Ok(()),
    }
}

/// First byte and total of `content-range: bytes 5-9/10`.
fn range_of(answer: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let (range, total) =
        text(answer.headers(), "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

/// Total of `content-range: bytes */10`.
fn range_total(answer: &Response<Body>) -> Option<u64> {
    text(answer.headers(), "content-range")?.strip_prefix("bytes */")?.parse().ok()
}

/// What a status other than success means for who asks for a file.
pub(crate) fn refused(url: &str, status: u16) -> FetchError {
    let mend = match status {
        401 | 403 => {
            "it wants to know who asks: check the name, and set HF_TOKEN where the files are not open to everybody"
        }
        404 | 410 => "check the name, and that the file is still there",
        429 => "it is asked too often: wait a while and try again",
        500..=599 => "it has a fault of its own: try again later",
        _ => "try again, or take another server",
    };
    FetchError::Status { url: url.to_owned(), status, mend: mend.to_owned() }
}

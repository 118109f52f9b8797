//! Bytes that are read at positions: a file, a part of one, or memory.
//!
//! Reads are positioned, never mapped: a map of a file that is cut short kills the process. No read takes more memory than
//! the bytes that are there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::DataError;
use crate::retry::retry;

/// All that is unpacked into memory together; more has to be unpacked on disk.
const UNPACKED_LIMIT: u64 = 4 << 30;
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// A run of bytes with a name for messages.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) name: String,
    home: Home,
    start: u64,
    length: u64,
}

#[derive(Clone, Debug)]
enum Home {
    /// Opened for every read: a set of many shards must not hold all of them open.
    Path(PathBuf),
    File(Arc<File>),
    Memory(Arc<Vec<u8>>),
}

impl Blob {
    /// A file that stays open.
    pub(crate) fn open(path: &Path) -> Result<Blob, DataError> {
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((length, file)) => {
                Ok(Blob { name, home: Home::File(Arc::new(file)), start: 0, length })
            }
            Err(source) => Err(DataError::Read { name, source }),
        }
    }

    pub(crate) fn memory(name: String, bytes: Vec<u8>) -> Blob {
        let length = bytes.len() as u64;
        Blob { name, home: Home::Memory(Arc::new(bytes)), start: 0, length }
    }

    /// The same bytes, their file opened anew for every read.
    pub(crate) fn closed(self, path: &Path) -> Blob {
        match self.home {
            Home::File(_) => Blob { home: Home::Path(path.to_owned()), ..self },
            Home::Path(_) | Home::Memory(_) => self,
        }
    }

    /// The same bytes, their file open as long as this lives.
    pub(crate) fn opened(&self) -> Result<Blob, DataError> {
        match &self.home {
            Home::Path(path) => {
                let Blob { home, .. } = Blob::open(path)?;
                Ok(Blob { home, ..self.clone() })
            }
            Home::File(_) | Home::Memory(_) => Ok(self.clone()),
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// A part of it; nothing where it does not reach so far.
    pub(crate) fn part(&self, name: String, offset: u64, length: u64) -> Option<Blob> {
        let end = offset.checked_add(length)?;
        let start = self.start.checked_add(offset)?;
        (end <= self.length).then(|| Blob { name, home: self.home.clone(), start, length })
    }

    /// `length` bytes from `offset` on, read into `buffer` unless they are in memory anyway.
    pub(crate) fn read<'a>(
        &'a self,
        offset: u64,
        length: u64,
        buffer: &'a mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from = self.start + offset;
        if let Home::Memory(bytes) = &self.home {
            return Ok(&bytes[from as usize..(from + length) as usize]);
        }
        buffer.resize(length as usize, 0);
        self.read_at(buffer, offset)?;
        Ok(buffer)
    }

    /// `length` bytes from `offset` on.
    pub(crate) fn take(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        if length > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length as usize];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Fills `into` with what begins at `offset`.
    pub(crate) fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(into.len() as u64).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from = self.start + offset;
        match &self.home {
            Home::Path(path) => retry(|| File::open(path)?.read_exact_at(into, from)),
            Home::File(file) => retry(|| file.read_exact_at(into, from)),
            Home::Memory(bytes) => {
                let from = from as usize;
                into.copy_from_slice(&bytes[from..from + into.len()]);
                Ok(())
            }
        }
    }

    /// The first bytes, as many as there are of `N`, the rest zero.
    pub(crate) fn head<const N: usize>(&self) -> Result<[u8; N], DataError> {
        let mut head = [0; N];
        let length = self.length.min(N as u64) as usize;
        self.read_at(&mut head[..length], 0).map_err(|source| self.failed(source))?;
        Ok(head)
    }

    /// All of it.
    pub(crate) fn all(&self) -> Result<Vec<u8>, DataError> {
        self.take(0, self.length).map_err(|source| self.failed(source))
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> Result<String, DataError> {
        String::from_utf8(self.all()?).map_err(|_| DataError::Malformed {
            name: self.name.clone(),
            what: "text file",
            reason: "it is not UTF-8".to_owned(),
            mend: "store it as UTF-8",
        })
    }

    /// Itself, or in memory what it holds where it is gzipped. `unpacked` counts what all blobs of a dataset take together.
    pub(crate) fn unpack(self, unpacked: &mut u64) -> Result<Blob, DataError> {
        if self.head()? != GZIP {
            return Ok(self);
        }
        let broken = |reason: String| DataError::Malformed {
            name: self.name.clone(),
            what: "gzip file",
            reason,
            mend: "fetch it again, or unpack it with `gunzip` and give what is inside",
        };
        let left = UNPACKED_LIMIT - *unpacked;
        let mut bytes = Vec::new();
        flate2::read::MultiGzDecoder::new(self.reader())
            .take(left + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| broken(format!("its stream is damaged ({error})")))?;
        if bytes.len() as u64 > left {
            return Err(broken("it would take more than 4 GiB of memory".to_owned()));
        }
        *unpacked += bytes.len() as u64;
        bytes.shrink_to_fit();
        Ok(Blob::memory(self.name, bytes))
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { blob: self, position: 0 }
    }

    pub(crate) fn failed(&self, source: io::Error) -> DataError {
        DataError::Read { name: self.name.clone(), source }
    }
}

/// Reads a blob from one position on.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    blob: &'a Blob,
    position: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.blob.length.saturating_sub(self.position);
        let length = left.min(into.len() as u64) as usize;
        self.blob.read_at(&mut into[..length], self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.blob.length.checked_add_signed(by),
        };
        self.position = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

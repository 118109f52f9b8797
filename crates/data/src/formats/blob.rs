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
use crate::files;
use crate::retry::retry;

/// All that is unpacked into memory together; more has to be unpacked on disk.
const UNPACKED_LIMIT: u64 = 4 << 30;
/// Bytes of a piece of what was unpacked.
const PIECE: usize = 4 << 20;
/// Tables of names and labels are shorter.
const WHOLE_LIMIT: u64 = 1 << 30;
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
    /// What was unpacked, in pieces of [`PIECE`] bytes: as one vector it would be held twice whenever that grows.
    Pieces(Arc<Vec<Vec<u8>>>),
}

impl Blob {
    /// A file that stays open.
    pub(crate) fn open(path: &Path) -> Result<Blob, DataError> {
        let name = path.display().to_string();
        match files::open(path) {
            Ok((file, length)) => {
                Ok(Blob { name, home: Home::File(Arc::new(file)), start: 0, length })
            }
            Err(error) => Err(DataError::Read { name, error }),
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
            Home::Path(_) | Home::Memory(_) | Home::Pieces(_) => self,
        }
    }

    /// The same bytes, their file open as long as this lives.
    pub(crate) fn opened(&self) -> Result<Blob, DataError> {
        match &self.home {
            Home::Path(path) => {
                let Blob { home, .. } = Blob::open(path)?;
                Ok(Blob { home, ..self.clone() })
            }
            Home::File(_) | Home::Memory(_) | Home::Pieces(_) => Ok(self.clone()),
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
        if let Home::Pieces(pieces) = &self.home {
            let (piece, at) = (from as usize / PIECE, from as usize % PIECE);
            let within = pieces.get(piece).and_then(|piece| piece.get(at..at + length as usize));
            if let Some(within) = within {
                return Ok(within);
            }
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
            Home::Pieces(pieces) => {
                let (mut piece, mut at) = (from as usize / PIECE, from as usize % PIECE);
                let mut into = into;
                while !into.is_empty() {
                    let rest = &pieces[piece][at..];
                    let (now, later) = into.split_at_mut(rest.len().min(into.len()));
                    now.copy_from_slice(&rest[..now.len()]);
                    (piece, at, into) = (piece + 1, 0, later);
                }
                Ok(())
            }
        }
    }

    /// The first bytes, as many as there are of `N`, the rest zero.
    pub(crate) fn head<const N: usize>(&self) -> Result<[u8; N], DataError> {
        let mut head = [0; N];
        let length = self.length.min(N as u64) as usize;
        self.read_at(&mut head[..length], 0).map_err(|error| self.failed(error))?;
        Ok(head)
    }

    /// All of it, which is a table or a list and not images.
    pub(crate) fn all(&self) -> Result<Vec<u8>, DataError> {
        if self.length > WHOLE_LIMIT {
            return Err(DataError::Malformed {
                name: self.name.clone(),
                what: "table of a dataset",
                reason: format!("{} MB are more than any such table has", self.length >> 20),
                mend: "replace it",
            });
        }
        self.take(0, self.length).map_err(|error| self.failed(error))
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
        let pieces = pieces(
            flate2::read::MultiGzDecoder::new(self.reader()),
            UNPACKED_LIMIT - *unpacked,
            UNPACKED_LIMIT,
        );
        let pieces = pieces.map_err(|(reason, mend)| DataError::Malformed {
            name: self.name.clone(),
            what: "gzip file",
            reason,
            mend,
        })?;
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        *unpacked += length;
        Ok(Blob { name: self.name, home: Home::Pieces(Arc::new(pieces)), start: 0, length })
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { blob: self, position: 0 }
    }

    pub(crate) fn failed(&self, error: io::Error) -> DataError {
        DataError::Read { name: self.name.clone(), error }
    }
}

const UNPACK: &str = "unpack it with `gunzip` and give what is inside, which is then read in place";

/// Reads all of a stream in pieces, all of them full but the last. The error is what is wrong, and the mend: where there are
/// more than `left` bytes of the `limit` for all streams, or no memory for them.
fn pieces(
    stream: impl Read,
    left: u64,
    limit: u64,
) -> Result<Vec<Vec<u8>>, (String, &'static str)> {
    let mut stream = stream.take(left.saturating_add(1));
    let (mut pieces, mut length) = (Vec::new(), 0);
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE).is_err() {
            let reason =
                format!("there is no memory to unpack more than {} MB of it", length >> 20);
            return Err((reason, UNPACK));
        }
        let read = stream.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        read.map_err(|error| {
            let mend = "fetch it again, or unpack it with `gunzip` and give what is inside";
            (format!("its stream is damaged ({error})"), mend)
        })?;
        length += piece.len() as u64;
        if length > left {
            let reason =
                format!("it unpacks to more than the {} MB that are kept in memory", limit >> 20);
            return Err((reason, UNPACK));
        }
        let is_last = piece.len() < PIECE;
        if is_last {
            piece.shrink_to_fit();
        }
        pieces.push(piece);
        if is_last {
            return Ok(pieces);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzipped(length: usize) -> (Vec<u8>, Blob) {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251 + at / PIECE) as u8).collect();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        let file = encoder.finish().unwrap();
        (bytes, Blob::memory("set.tar.gz".to_owned(), file))
    }

    #[test]
    fn unpacked_bytes_are_read_at_any_place() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 5] {
            let (bytes, blob) = gzipped(length);
            let mut unpacked = 0;
            let blob = blob.unpack(&mut unpacked).unwrap();
            assert_eq!((blob.length(), unpacked), (length as u64, length as u64));
            assert!(blob.all().unwrap() == bytes);
            let mut buffer = Vec::new();
            for (from, to) in
                [(0, 3), (PIECE - 2, PIECE + 2), (1, 2 * PIECE + 4), (PIECE, PIECE + 1)]
            {
                let read = blob.read(from as u64, (to - from) as u64, &mut buffer);
                match bytes.get(from..to) {
                    Some(expected) => {
                        assert!(read.unwrap() == expected, "{from}..{to} of {length}")
                    }
                    None => assert!(read.is_err(), "{from}..{to} of {length}"),
                }
            }
        }
    }

    #[test]
    fn a_stream_beyond_the_limit_says_what_ran_out() {
        let limit = 2 * PIECE as u64;
        for (length, left, fits) in [
            (limit, limit, true),
            (limit + 1, limit, false),
            (u64::MAX, limit, false),
            (9, 8, false),
        ] {
            let found = pieces(io::repeat(7).take(length), left, limit);
            assert_eq!(found.is_ok(), fits, "{length} bytes with {left} left");
            if let Err((reason, mend)) = found {
                assert_eq!(reason, "it unpacks to more than the 8 MB that are kept in memory");
                assert!(mend.contains("gunzip"));
            }
        }
    }
}

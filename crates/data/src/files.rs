//! Reading files that anybody may have put there: regular ones alone, and of a picture no more bytes than one can have.

use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use crate::DataError;
use crate::image::{NOT_A_PICTURE, PIXEL_LIMIT, is_picture};
use crate::retry::retry;

/// The bytes of the largest picture, stored with 8 bytes a pixel, and room for what lies beside its pixels.
pub const MOST_PICTURE_BYTES: u64 = PIXEL_LIMIT * 8 + (64 << 20);
/// The first bytes of a file larger than this are looked at before all others are read.
const SMALL: u64 = 1 << 20;
/// As many bytes as tell a picture from another file.
const HEAD: usize = 16;

/// What a path leads to where that is neither a file nor a folder.
pub(crate) fn oddity(kind: FileType) -> Option<&'static str> {
    match () {
        () if kind.is_file() || kind.is_dir() => None,
        () if kind.is_fifo() => Some("a FIFO"),
        () if kind.is_socket() => Some("a socket"),
        () if kind.is_char_device() || kind.is_block_device() => Some("a device"),
        () => Some("no regular file"),
    }
}

/// What is known of a regular file before it is opened: a FIFO would wait for ever, and a device has no end.
pub(crate) fn regular(path: &Path) -> io::Result<Metadata> {
    let metadata = fs::metadata(path)?;
    match oddity(metadata.file_type()) {
        None if metadata.is_file() => Ok(metadata),
        None => Err(io::ErrorKind::IsADirectory.into()),
        Some(oddity) => {
            let text = format!("it is {oddity}, and only regular files are read; remove it");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

/// Opens a regular file; gives its length too.
pub(crate) fn open(path: &Path) -> io::Result<(File, u64)> {
    let length = regular(path)?.len();
    Ok((File::open(path)?, length))
}

/// The bytes of a file that holds a picture. A file that is too large or begins otherwise is refused before it is read.
pub fn read_picture(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    read_picture_into(path, &mut bytes)
        .map_err(|problem| problem.of(path.display().to_string()))?;
    Ok(bytes)
}

/// Why the bytes of a picture were not read.
pub(crate) enum ReadProblem {
    Io(io::Error),
    /// What is wrong with the content of the file.
    Content(String),
}

impl ReadProblem {
    pub(crate) fn of(self, name: String) -> DataError {
        match self {
            ReadProblem::Io(error) => DataError::Read { name, error },
            ReadProblem::Content(reason) => DataError::Image { name, reason },
        }
    }
}

/// As [`read_picture`], into memory that is used again.
pub(crate) fn read_picture_into(path: &Path, bytes: &mut Vec<u8>) -> Result<(), ReadProblem> {
    let length = regular(path).map_err(ReadProblem::Io)?.len();
    if length > MOST_PICTURE_BYTES {
        let reason = format!(
            "{} MB are more than any picture of at most {PIXEL_LIMIT} pixels takes",
            length >> 20
        );
        return Err(ReadProblem::Content(reason));
    }
    if length > SMALL {
        let head = || -> io::Result<[u8; HEAD]> {
            let mut head = [0; HEAD];
            File::open(path)?.read_exact_at(&mut head, 0)?;
            Ok(head)
        };
        if !is_picture(&retry(head).map_err(ReadProblem::Io)?) {
            return Err(ReadProblem::Content(NOT_A_PICTURE.to_owned()));
        }
    }
    bytes.resize(length as usize, 0);
    // A file that grows in the meantime is read as long as it was.
    retry(|| File::open(path)?.read_exact_at(bytes, 0)).map_err(ReadProblem::Io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("socket.jpg");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, expected) in [
            (
                Path::new("/dev/zero"),
                "/dev/zero: cannot be read: it is a device, and only regular files are read",
            ),
            (
                &socket,
                "socket.jpg: cannot be read: it is a socket, and only regular files are read",
            ),
            (place.path(), "is a directory"),
        ] {
            let message = read_picture(path).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn size_and_first_bytes_are_looked_at_before_a_file_is_read() {
        let place = tempfile::tempdir().unwrap();
        let sparse = |name: &str, head: &[u8], length: u64| {
            let path = place.path().join(name);
            fs::write(&path, head).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
            path
        };
        let vast = sparse("vast.jpg", &[0xFF, 0xD8, 0xFF], 20 << 30);
        let message = read_picture(&vast).unwrap_err().to_string();
        assert!(message.contains("20480 MB are more than any picture"), "{message}");
        let zeros = sparse("zeros.jpg", &[], 1 << 30);
        let mut bytes = Vec::new();
        let Err(problem) = read_picture_into(&zeros, &mut bytes) else { panic!("it was read") };
        assert_eq!(bytes.capacity(), 0, "memory was taken");
        let problem = problem.of("zeros.jpg".to_owned()).to_string();
        assert!(problem.contains("not a JPEG, PNG, WebP, BMP or GIF file"), "{problem}");
        let small = sparse("small.jpg", &[0xFF, 0xD8, 0xFF], 100);
        assert_eq!(read_picture(&small).unwrap().len(), 100);
    }
}

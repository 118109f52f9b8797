//! The seam of formats: where the bytes of an image are.

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blob::Blob;
use super::layout::Entry;
use crate::DataError;
use crate::files::{self, read_picture_into, regular};
use crate::retry::retry;

/// Files of a dataset that stay open; of more, each is opened for every image.
pub(crate) const OPEN: usize = 64;

/// What holds the images of a dataset. Images are asked for in any order and from many threads.
pub(crate) trait Source: std::fmt::Debug + Send + Sync {
    /// How messages call an image.
    fn name(&self, entry: &Entry) -> String;

    /// Bytes of an image as it is stored.
    fn length(&self, entry: &Entry) -> Result<u64, DataError> {
        Ok(entry.length)
    }

    /// Reads an image into `buffer`, or lends it where it is in memory anyway.
    fn read<'a>(&'a self, entry: &Entry, buffer: &'a mut Vec<u8>) -> Result<Stored<'a>, DataError>;

    /// The first `count` bytes of an image as it is stored, or more of them.
    fn beginning<'a>(
        &'a self,
        entry: &Entry,
        _count: u64,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], DataError> {
        self.read(entry, buffer).map(|stored| stored.bytes())
    }

    /// Whether [`Source::length`] is exact, and not an estimate.
    fn knows_lengths(&self) -> bool {
        true
    }
}

/// An image as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stored<'a> {
    /// A JPEG, PNG, WebP, BMP or GIF.
    File(&'a [u8]),
    /// Pixels of 8 bits, `Shape::bytes` of them.
    Pixels(&'a [u8], Shape),
}

impl<'a> Stored<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Stored::File(bytes) | Stored::Pixels(bytes, _) => bytes,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) order: Order,
}

/// How the values of a picture follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// One a pixel.
    Grey,
    /// Red, green and blue of each pixel.
    Rgb,
    /// All red ones, all green ones, all blue ones.
    Planar,
}

impl Shape {
    pub(crate) fn bytes(&self) -> usize {
        let channels = match self.order {
            Order::Grey => 1,
            Order::Rgb | Order::Planar => 3,
        };
        self.width * self.height * channels
    }

    /// Appends the pixels as height × width × 3 values.
    pub(crate) fn to_rgb(self, pixels: &[u8], into: &mut Vec<u8>) {
        match self.order {
            Order::Grey => into.extend(pixels.iter().flat_map(|&value| [value; 3])),
            Order::Rgb => into.extend_from_slice(pixels),
            Order::Planar => {
                let (red, rest) = pixels.split_at(self.width * self.height);
                let (green, blue) = rest.split_at(self.width * self.height);
                let pixels = red.iter().zip(green).zip(blue);
                into.extend(pixels.flat_map(|((&red, &green), &blue)| [red, green, blue]));
            }
        }
    }
}

/// Files by their path, which ends where the file ends.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Source for Folder {
    fn name(&self, entry: &Entry) -> String {
        self.0.join(&entry.path).display().to_string()
    }

    fn length(&self, entry: &Entry) -> Result<u64, DataError> {
        let metadata = with_path(&self.0, &entry.path, regular);
        let failed = |error| DataError::Read { name: self.name(entry), error };
        metadata.map(|metadata| metadata.len()).map_err(failed)
    }

    fn read<'a>(&'a self, entry: &Entry, buffer: &'a mut Vec<u8>) -> Result<Stored<'a>, DataError> {
        let read = with_path(&self.0, &entry.path, |path| read_picture_into(path, buffer));
        match read {
            Ok(()) => Ok(Stored::File(buffer)),
            Err(problem) => Err(problem.of(self.name(entry))),
        }
    }

    fn beginning<'a>(
        &'a self,
        entry: &Entry,
        count: u64,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], DataError> {
        let read = with_path(&self.0, &entry.path, |path| {
            retry(|| {
                buffer.clear();
                files::open(path)?.0.take(count).read_to_end(buffer)
            })
        });
        match read {
            Ok(_) => Ok(buffer),
            Err(error) => Err(DataError::Read { name: self.name(entry), error }),
        }
    }
}

/// Joins the paths in memory that the thread uses again: images are many.
fn with_path<T>(root: &Path, inner: &str, act: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static JOINED: RefCell<PathBuf> = const { RefCell::new(PathBuf::new()) };
    }
    JOINED.with_borrow_mut(|joined| {
        joined.as_mut_os_string().clear();
        joined.push(root);
        joined.push(inner);
        act(joined)
    })
}

/// Files that lie whole inside larger ones, such as tars; `Entry::file` says in which.
#[derive(Debug)]
pub(crate) struct Parts(pub(crate) Vec<Blob>);

impl Source for Parts {
    fn name(&self, entry: &Entry) -> String {
        format!("{}:{}", self.0[entry.file as usize].name, entry.path)
    }

    fn read<'a>(&'a self, entry: &Entry, buffer: &'a mut Vec<u8>) -> Result<Stored<'a>, DataError> {
        let read = self.0[entry.file as usize].read(entry.offset, entry.length, buffer);
        match read {
            Ok(bytes) => Ok(Stored::File(bytes)),
            Err(error) => Err(DataError::Read { name: self.name(entry), error }),
        }
    }

    fn beginning<'a>(
        &'a self,
        entry: &Entry,
        count: u64,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], DataError> {
        let length = entry.length.min(count);
        let read = self.0[entry.file as usize].read(entry.offset, length, buffer);
        read.map_err(|error| DataError::Read { name: self.name(entry), error })
    }
}

/// Pictures of one shape, as bare pixels. An entry without a path is told by its number.
#[derive(Debug)]
pub(crate) struct Pixels {
    /// With the place of their first picture.
    pub(crate) files: Vec<(Blob, u64)>,
    /// From one picture to the next.
    pub(crate) stride: u64,
    pub(crate) shape: Shape,
}

impl Source for Pixels {
    fn name(&self, entry: &Entry) -> String {
        let (file, first) = &self.files[entry.file as usize];
        if entry.path.is_empty() {
            format!("{}: image {}", file.name, (entry.offset - first) / self.stride)
        } else {
            format!("{}:{}", file.name, entry.path)
        }
    }

    fn read<'a>(&'a self, entry: &Entry, buffer: &'a mut Vec<u8>) -> Result<Stored<'a>, DataError> {
        let length = self.shape.bytes() as u64;
        match self.files[entry.file as usize].0.read(entry.offset, length, buffer) {
            Ok(pixels) => Ok(Stored::Pixels(pixels, self.shape)),
            Err(error) => Err(DataError::Read { name: self.name(entry), error }),
        }
    }
}

/// Where files of a dataset are found by their path: a folder, or an archive.
#[derive(Debug)]
pub(crate) enum Root {
    Folder(PathBuf),
    Archive(Blob),
}

impl Root {
    /// How messages call a path inside.
    pub(crate) fn name(&self, path: &str) -> String {
        match self {
            Root::Folder(root) if path.is_empty() => root.display().to_string(),
            Root::Folder(root) => root.join(path).display().to_string(),
            Root::Archive(archive) if path.is_empty() => archive.name.clone(),
            Root::Archive(archive) => format!("{}:{path}", archive.name),
        }
    }

    /// A file of it.
    pub(crate) fn blob(&self, entry: &Entry) -> Result<Blob, DataError> {
        match self {
            Root::Folder(root) => Blob::open(&root.join(&entry.path)),
            Root::Archive(archive) => {
                let name = self.name(&entry.path);
                let part = archive.part(name, entry.offset, entry.length);
                part.ok_or_else(|| archive.failed(std::io::ErrorKind::UnexpectedEof.into()))
            }
        }
    }

    /// A file of it that is opened anew for every read, unless it is part of an archive.
    pub(crate) fn closed(&self, entry: &Entry) -> Result<Blob, DataError> {
        let blob = self.blob(entry)?;
        Ok(match self {
            Root::Folder(root) => blob.closed(&root.join(&entry.path)),
            Root::Archive(_) => blob,
        })
    }

    /// Its files as images.
    pub(crate) fn source(self) -> Arc<dyn Source> {
        match self {
            Root::Folder(root) => Arc::new(Folder(root)),
            Root::Archive(archive) => Arc::new(Parts(vec![archive])),
        }
    }
}

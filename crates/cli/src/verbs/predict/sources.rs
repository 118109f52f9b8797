//! Where the images of `trickbag predict` come from.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use data::{DataError, RgbImage, decode};
use recipe::Orientation;

use crate::output::Usage;

/// The extensions of files in a folder that are taken for images.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];

/// How the files of each format begin.
const BEGINNINGS: [&[u8]; 5] = [b"\xFF\xD8", b"\x89PNG", b"GIF8", b"RIFF", b"BM"];

/// As many bytes as any of them.
const HEAD: u64 = 16;

/// The most bytes of a file: the largest picture that is decoded takes fewer without any compression.
const FILE_LIMIT: u64 = 1 << 30;

/// One image, not read yet.
pub(super) enum Source {
    File(PathBuf),
    /// The bytes of standard input, or why there are none.
    Input(io::Result<Vec<u8>>),
    /// What inside a folder cannot be looked at, and why.
    Unreadable(PathBuf, io::Error),
}

/// The images of the command line: files as they are, of folders the images inside in byte order, of `-` what standard
/// input gives.
pub(super) fn of(arguments: &[PathBuf]) -> Result<Vec<Source>> {
    let is_input = |argument: &&PathBuf| argument.as_path() == Path::new("-");
    if arguments.iter().filter(is_input).count() > 1 {
        let text = "standard input can be read once: give - once";
        return Err(Usage(text.to_owned()).into());
    }
    let mut sources = Vec::new();
    for argument in arguments {
        if is_input(&argument) {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().take(FILE_LIMIT + 1).read_to_end(&mut bytes);
            sources.push(Source::Input(read.map(|_| bytes)));
        } else if argument.is_dir() {
            sources.extend(inside(argument)?);
        } else {
            sources.push(Source::File(argument.clone()));
        }
    }
    Ok(sources)
}

/// The images in a folder at any depth, in byte order of their paths. A name need not be text.
fn inside(folder: &Path) -> Result<Vec<Source>, DataError> {
    let mut found = Vec::new();
    walk(folder, &mut HashSet::new(), &mut found);
    if found.is_empty() {
        return Err(DataError::NoImages { name: folder.display().to_string() });
    }
    let bytes = |source: &Source| match source {
        Source::File(path) | Source::Unreadable(path, _) => path.as_os_str().to_owned(),
        Source::Input(_) => Default::default(),
    };
    found.sort_by_cached_key(bytes);
    Ok(found)
}

/// Links are followed, and a folder that several lead to, such as one above them, is read once.
fn walk(folder: &Path, seen: &mut HashSet<(u64, u64)>, found: &mut Vec<Source>) {
    let listed = fs::metadata(folder).and_then(|known| {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        Ok((known, names.collect::<io::Result<Vec<PathBuf>>>()?))
    });
    let (known, mut paths): (Metadata, _) = match listed {
        Ok(listed) => listed,
        Err(error) => return found.push(Source::Unreadable(folder.to_owned(), error)),
    };
    if !seen.insert((known.dev(), known.ino())) {
        return;
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        let extension = path.extension().unwrap_or_default();
        if path.is_dir() {
            walk(&path, seen, found);
        } else if EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)) {
            found.push(Source::File(path));
        }
    }
}

impl Source {
    pub(super) fn name(&self) -> String {
        match self {
            Source::File(path) | Source::Unreadable(path, _) => path.display().to_string(),
            Source::Input(_) => "standard input".to_owned(),
        }
    }

    /// The picture, as it is stored or as its EXIF data turn it.
    pub(super) fn image(&self, orientation: Orientation) -> Result<RgbImage> {
        let name = self.name();
        let picture = |bytes: &[u8]| -> Result<RgbImage> {
            let image = decode(bytes, &name)?;
            Ok(match orientation {
                Orientation::Stored => image,
                Orientation::Exif => image.upright(data::exif::orientation(bytes)),
            })
        };
        match self {
            Source::File(path) => picture(&read(path, &name)?),
            Source::Input(Ok(bytes)) if bytes.len() as u64 > FILE_LIMIT => Err(too_large(&name)),
            Source::Input(Ok(bytes)) => picture(bytes),
            Source::Input(Err(error)) => {
                bail!("{name}: cannot be read: {error}; give a file instead")
            }
            Source::Unreadable(_, error) => {
                bail!("{name}: cannot be read: {error}; check that it is there and may be read")
            }
        }
    }
}

/// The bytes of a regular file that begins as a picture does. Of anything else no more than the beginning is read.
fn read(path: &Path, name: &str) -> Result<Vec<u8>> {
    let failed = || format!("{name}: cannot be read; check that it is there and may be read");
    let known = fs::metadata(path).with_context(failed)?;
    if !known.is_file() {
        let kind = kind(&known);
        bail!(
            "{name}: it is a {kind}, not a regular file; give an image file, or - for standard input"
        );
    }
    if known.len() > FILE_LIMIT {
        return Err(too_large(name));
    }
    let mut file = File::open(path).with_context(failed)?;
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut bytes).with_context(failed)?;
    if !BEGINNINGS.iter().any(|known| bytes.starts_with(known)) {
        // The decoder has the words for it.
        decode(&bytes, name)?;
    }
    file.take(FILE_LIMIT).read_to_end(&mut bytes).with_context(failed)?;
    Ok(bytes)
}

fn kind(known: &Metadata) -> &'static str {
    let kind = known.file_type();
    match () {
        _ if kind.is_fifo() => "named pipe",
        _ if kind.is_socket() => "socket",
        _ if kind.is_dir() => "folder",
        _ => "device",
    }
}

fn too_large(name: &str) -> anyhow::Error {
    let limit = FILE_LIMIT >> 20;
    anyhow::anyhow!(
        "{name}: it has more than {limit} MB, more than any image takes; give the image alone"
    )
}

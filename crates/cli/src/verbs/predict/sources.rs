//! Where the images of `trickbag predict` come from.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use data::{DataError, MOST_PICTURE_BYTES, RgbImage, decode, read_picture};
use recipe::Orientation;

use crate::output::Usage;

/// The extensions of files in a folder that are taken for images.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];

/// One image, not read yet.
pub(crate) enum Source {
    File(PathBuf),
    /// The bytes of standard input, or why there are none.
    Input(io::Result<Vec<u8>>),
    /// What inside a folder cannot be looked at, and why.
    Unreadable(PathBuf, io::Error),
}

/// The images of the command line: files as they are, of folders the images inside in byte order, of `-` what standard
/// input gives.
pub(crate) fn of(arguments: &[PathBuf]) -> Result<Vec<Source>> {
    let is_input = |argument: &&PathBuf| argument.as_path() == Path::new("-");
    if arguments.iter().filter(is_input).count() > 1 {
        let text = "standard input can be read once: give - once";
        return Err(Usage(text.to_owned()).into());
    }
    let mut sources = Vec::new();
    for argument in arguments {
        if is_input(&argument) {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().take(MOST_PICTURE_BYTES + 1).read_to_end(&mut bytes);
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
    pub(crate) fn name(&self) -> String {
        match self {
            Source::File(path) | Source::Unreadable(path, _) => path.display().to_string(),
            Source::Input(_) => "standard input".to_owned(),
        }
    }

    /// The picture, as it is stored or as its EXIF data turn it.
    pub(crate) fn image(&self, orientation: Orientation) -> Result<RgbImage> {
        let name = self.name();
        let picture = |bytes: &[u8]| -> Result<RgbImage> {
            let image = decode(bytes, &name)?;
            Ok(match orientation {
                Orientation::Stored => image,
                Orientation::Exif => image.upright(data::exif::orientation(bytes)),
            })
        };
        match self {
            Source::File(path) => picture(&read_picture(path)?),
            Source::Input(Ok(bytes)) if bytes.len() as u64 > MOST_PICTURE_BYTES => bail!(
                "{name}: it has more than {} MB, more than any image takes; give the image alone",
                MOST_PICTURE_BYTES >> 20
            ),
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

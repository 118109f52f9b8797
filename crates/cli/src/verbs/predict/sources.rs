//! Where the images of `trickbag predict` come from.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use data::{RgbImage, decode, read_picture};
use recipe::Orientation;

use crate::output::Usage;

/// One image, not read yet.
pub(super) enum Source {
    File(PathBuf),
    /// The bytes of standard input, or why there are none.
    Input(std::io::Result<Vec<u8>>),
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
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            sources.push(Source::Input(read.map(|_| bytes)));
        } else if argument.is_dir() {
            sources.extend(data::images_in(argument)?.into_iter().map(Source::File));
        } else {
            sources.push(Source::File(argument.clone()));
        }
    }
    Ok(sources)
}

impl Source {
    pub(super) fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
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
            Source::File(path) => picture(&read_picture(path)?),
            Source::Input(Ok(bytes)) => picture(bytes),
            Source::Input(Err(error)) => anyhow::bail!("{name}: cannot be read: {error}"),
        }
    }
}

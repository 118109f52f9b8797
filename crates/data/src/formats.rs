//! Formats of datasets, told apart by looking, one file a format.
//!
//! A format turns files into a [`Layout`] (classes, and labelled images of one part or two) and a [`Source`] that reads
//! the image of an entry. What shuffles, decodes and augments knows no formats.

use std::path::Path;
use std::sync::Arc;

mod archive;
#[allow(dead_code)] // For shards, which are to come.
pub(crate) mod blob;
pub(crate) mod fashion_mnist;
mod folder;
pub(crate) mod layout;
#[allow(dead_code)] // For pictures that are bare pixels.
pub(crate) mod source;

use crate::DataError;
use blob::Blob;
use layout::{Layout, Tree};
use source::{Root, Source};

/// A dataset that was recognised.
pub(crate) struct Found {
    pub(crate) layout: Layout,
    pub(crate) source: Arc<dyn Source>,
}

/// Opens a folder or a file, told apart by looking.
pub(crate) fn open(path: &Path) -> Result<Found, DataError> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(DataError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(DataError::Read { name: path.display().to_string(), source }),
    };
    if metadata.is_dir() {
        let tree = folder::read(path)?;
        return recognise(Root::Folder(path.to_owned()), tree);
    }
    open_file(Blob::open(path)?)
}

fn open_file(file: Blob) -> Result<Found, DataError> {
    let file = file.unpack(&mut 0)?;
    let tree = archive::read(file.reader(), file.length(), &file.name)?;
    recognise(Root::Archive(file), tree)
}

/// Files by their path.
fn recognise(root: Root, tree: Tree) -> Result<Found, DataError> {
    let layout = tree.layout(|path| root.name(path))?;
    Ok(Found { layout, source: root.source() })
}

//! Formats of datasets, told apart by looking, one file a format.
//!
//! A format turns files into a [`Layout`] (classes, and labelled images of one part or two) and a [`Source`] that reads
//! the image of an entry. What shuffles, decodes and augments knows no formats. Every format is read in any order, so an
//! epoch is shuffled as a whole and a place in it is a number.

pub use folder::images_in;
use std::path::Path;
use std::sync::Arc;

mod archive;
pub(crate) mod blob;
pub(crate) mod boxes;
mod cifar;
mod classes;
pub(crate) mod fashion_mnist;
mod flowers102;
mod folder;
mod idx;
mod imagenet;
pub(crate) mod layout;
mod list;
pub(crate) mod masks;
mod matlab;
pub(crate) mod pack;
mod parquet;
mod places365;
mod recordio;
pub(crate) mod source;
mod webdataset;

use crate::DataError;
use blob::Blob;
use classes::Side;
use layout::{Layout, Tree};
use source::{Root, Source};

/// A dataset that was recognised.
pub(crate) struct Found {
    pub(crate) layout: Layout,
    pub(crate) source: Arc<dyn Source>,
}

/// Opens a folder, a file or a pattern of shards, told apart by looking.
pub(crate) fn open(path: &Path) -> Result<Found, DataError> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return match path.to_str() {
                Some(text) if text.contains('{') => webdataset::open_pattern(path),
                _ => Err(DataError::Missing { path: path.to_owned() }),
            };
        }
        Err(error) => return Err(DataError::Read { name: path.display().to_string(), error }),
    };
    if metadata.is_dir() {
        if pack::is_pack(path) {
            return pack::open(path);
        }
        let tree = folder::read(path)?;
        return recognise(Root::Folder(path.to_owned()), tree);
    }
    let file = Blob::open(path)?;
    let head: [u8; 4] = file.head()?;
    if recordio::is_record_file(&head) {
        let beside = |extension| {
            let path = path.with_extension(extension);
            path.is_file().then(|| Blob::open(&path)).transpose()
        };
        return recordio::open_file(file, beside("idx")?, beside("lst")?);
    }
    if list::is_list(&file.name) {
        return list::open_file(path);
    }
    open_file(file)
}

/// One file, on disk or in memory.
pub(crate) fn open_file(file: Blob) -> Result<Found, DataError> {
    let file = file.unpack(&mut 0)?;
    let head: [u8; 4] = file.head()?;
    if head == parquet::MAGIC {
        let name = file.name.clone();
        return parquet::open(vec![(Side::Train, file)], None, &name);
    }
    if recordio::is_record_file(&head) {
        return recordio::open_file(file, None, None);
    }
    if idx::is_idx(&head) {
        return Err(idx::malformed(&file.name, "it is one file of four".to_owned()));
    }
    let tree = archive::read(file.reader(), file.length(), &file.name)?;
    if webdataset::is_samples(&tree) {
        return webdataset::open_tar(file, &tree);
    }
    recognise(Root::Archive(file), tree)
}

/// Files by their path, of a folder or an archive. Formats that are told by files of their own come first, but none of
/// them where images lie about, except those that need them.
fn recognise(root: Root, mut tree: Tree) -> Result<Found, DataError> {
    let mut left_out = std::mem::take(&mut tree.left_out);
    let mut found = recognise_files(root, tree)?;
    left_out.append(&mut found.layout.left_out);
    found.layout.left_out = left_out;
    Ok(found)
}

fn recognise_files(root: Root, tree: Tree) -> Result<Found, DataError> {
    if places365::is_present(&tree) {
        return places365::open(root, &tree);
    }
    if flowers102::is_present(&tree) {
        return flowers102::open(root, tree);
    }
    if !tree.has_images()
        && let Some(found) = recognise_larger_files(&root, &tree)?
    {
        return Ok(found);
    }
    match tree.parts() {
        Some((train, validation, true)) if imagenet::tells_classes(&tree) => {
            return imagenet::open_folders(root, &tree, &train, &validation);
        }
        Some((_, _, false)) => {}
        _ => match list::open(root, &tree)? {
            Ok(found) => return Ok(found),
            Err((root, reason)) => {
                return folders(root, tree).map_err(|error| reason.unwrap_or(error));
            }
        },
    }
    folders(root, tree)
}

/// Formats whose images lie inside larger files.
fn recognise_larger_files(root: &Root, tree: &Tree) -> Result<Option<Found>, DataError> {
    let others = tree.others();
    let has = |end: &str| others.iter().any(|entry| entry.path.ends_with(end));
    if let Some(kind) = cifar::kind(tree) {
        return cifar::open(kind, root, tree).map(Some);
    }
    let found = match () {
        () if idx::is_present(tree) => idx::open(root, tree),
        () if has(".parquet") => parquet::open_tree(root, tree),
        () if has(".rec") => recordio::open(root, tree),
        () if imagenet::is_present(tree) => imagenet::open(root, tree),
        () if others.iter().any(|entry| webdataset::is_shard(&entry.path)) => {
            webdataset::open(root, tree)
        }
        () => return Ok(None),
    };
    found.map(Some)
}

/// Folders of classes.
fn folders(root: Root, tree: Tree) -> Result<Found, DataError> {
    let layout = tree.layout(|path| root.name(path))?;
    Ok(Found { layout, source: root.source() })
}

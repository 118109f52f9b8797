//! A dataset as a folder on disk: its files and folders, as a [`Tree`]. Links are followed.

use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{Entry, Tree, is_visible};
use crate::DataError;

/// Folders deeper than this are not read: no dataset is so deep, but a link that leads back is.
const DEPTH: usize = 12;

/// The images in a folder, at any depth, in byte order of their paths.
///
/// # Errors
/// When there are none, or something in the folder cannot be read.
pub fn images_in(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let images = read(root)?.images();
    if images.is_empty() {
        return Err(DataError::NoImages { name: root.display().to_string() });
    }
    Ok(images.into_iter().map(|entry| root.join(entry.path)).collect())
}

pub(crate) fn read(root: &Path) -> Result<Tree, DataError> {
    let mut tree = Tree::default();
    walk(root, "", 0, &mut tree)?;
    Ok(tree)
}

/// Only the files in the folder itself.
pub(crate) fn read_flat(root: &Path) -> Result<Tree, DataError> {
    let mut tree = Tree::default();
    walk(root, "", DEPTH, &mut tree)?;
    Ok(tree)
}

fn walk(folder: &Path, inner: &str, depth: usize, tree: &mut Tree) -> Result<(), DataError> {
    let failed = |source| DataError::Read { name: folder.display().to_string(), source };
    for found in fs::read_dir(folder).map_err(failed)? {
        let found = found.map_err(failed)?;
        let path = found.path();
        let name = found.file_name();
        let Some(name) = name.to_str() else {
            return Err(DataError::NameNotText { name: path.display().to_string() });
        };
        if !is_visible(name) {
            continue;
        }
        let read_failed = |source| DataError::Read { name: path.display().to_string(), source };
        let mut kind = found.file_type().map_err(read_failed)?;
        if kind.is_symlink() {
            kind = fs::metadata(&path).map_err(read_failed)?.file_type();
        }
        let inner = if inner.is_empty() { name.to_owned() } else { format!("{inner}/{name}") };
        if kind.is_dir() {
            tree.add_folder(&inner);
            if depth < DEPTH {
                walk(&path, &inner, depth + 1, tree)?;
            }
        } else {
            tree.add_file(Entry { path: inner, ..Entry::default() });
        }
    }
    Ok(())
}

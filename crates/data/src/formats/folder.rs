//! A dataset as a folder on disk: its files and folders, as a [`Tree`].
//!
//! Links are followed, but no folder is read twice: a link to a folder that was read, or that it lies in itself, is left
//! out. A link called `val`, `validation` or `test` may show what `train` shows. Only regular files are files.

use std::collections::HashSet;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::layout::{Entry, LeftOut, Tree, is_image, is_validation, is_visible};
use crate::DataError;
use crate::files::oddity;

/// Folders deeper than this are not read: no dataset is so deep.
const DEPTH: usize = 12;

/// The images in a folder, at any depth, in byte order of their paths. What has the name of an image and cannot be read is
/// among them, so that reading it tells the reason.
///
/// # Errors
/// When there are none, or a folder cannot be read.
pub fn images_in(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut walk = Walk::new(root, DEPTH);
    walk.keep_unreadable = true;
    walk.run()?;
    let mut images = walk.unreadable;
    images.extend(walk.tree.images().into_iter().map(|entry| root.join(entry.path)));
    if images.is_empty() {
        return Err(DataError::NoImages { name: root.display().to_string() });
    }
    images.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(images)
}

pub(crate) fn read(root: &Path) -> Result<Tree, DataError> {
    let mut walk = Walk::new(root, DEPTH);
    walk.run()?;
    Ok(walk.tree)
}

/// Only the files in the folder itself.
pub(crate) fn read_flat(root: &Path) -> Result<Tree, DataError> {
    let mut walk = Walk::new(root, 0);
    walk.run()?;
    Ok(walk.tree)
}

/// A folder by its device and its number there.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let name = path.display().to_string();
    move |error| DataError::Read { name, error }
}

/// A folder that is still to be read.
struct Pending {
    path: PathBuf,
    inner: String,
    depth: usize,
    /// Whether it is, or lies below, a link to a validation part.
    is_apart: bool,
}

/// A walk through a folder.
struct Walk<'a> {
    root: &'a Path,
    depth: usize,
    tree: Tree,
    /// Folders that were read; apart from them those below a link to a validation part.
    read: [HashSet<Identity>; 2],
    /// Links to folders wait until all others were read: where two lead to one, the folder itself counts.
    links: Vec<Pending>,
    /// Whether images that cannot be read go to `unreadable` and are not left out.
    keep_unreadable: bool,
    unreadable: Vec<PathBuf>,
}

impl Walk<'_> {
    fn new(root: &Path, depth: usize) -> Walk<'_> {
        Walk {
            root,
            depth,
            tree: Tree::default(),
            read: Default::default(),
            links: Vec::new(),
            keep_unreadable: false,
            unreadable: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), DataError> {
        let path = self.root.to_owned();
        self.walk(Pending { path, inner: String::new(), depth: 0, is_apart: false })?;
        // The order of the links decides, not that in which a disk gives them.
        while !self.links.is_empty() {
            let mut links = std::mem::take(&mut self.links);
            links.sort_by(|a, b| a.inner.cmp(&b.inner));
            for link in links {
                self.walk(link)?;
            }
        }
        Ok(())
    }

    /// Reads a folder, and those in it that are no links.
    fn walk(&mut self, pending: Pending) -> Result<(), DataError> {
        let Pending { path, inner, depth, is_apart } = &pending;
        let metadata = fs::metadata(path).map_err(failed(path))?;
        if !self.read[usize::from(*is_apart)].insert(identity(&metadata)) {
            let name = path.display().to_string();
            let reason = "a link to a folder that is read in another place".to_owned();
            self.tree.left_out.push(LeftOut { name, reason });
            return Ok(());
        }
        if !inner.is_empty() {
            self.tree.add_folder(inner);
            if *depth > self.depth {
                return Ok(());
            }
        }
        let mut folders = Vec::new();
        for found in fs::read_dir(path).map_err(failed(path))? {
            let found = found.map_err(failed(path))?;
            self.see(&found, &pending, &mut folders)?;
        }
        folders.into_iter().try_for_each(|folder| self.walk(folder))
    }

    /// Adds a file of a folder, or a folder in it to those that are to be read.
    fn see(
        &mut self,
        found: &DirEntry,
        folder: &Pending,
        folders: &mut Vec<Pending>,
    ) -> Result<(), DataError> {
        let (path, name) = (found.path(), found.file_name());
        let lossy = name.to_string_lossy();
        if !is_visible(&lossy) {
            return Ok(());
        }
        let mut kind = found.file_type().map_err(failed(&path))?;
        let is_link = kind.is_symlink();
        if is_link {
            kind = match fs::metadata(&path) {
                Ok(metadata) => metadata.file_type(),
                Err(error) => return self.broken_link(path, &lossy, error),
            };
        }
        let Some(name) = name.to_str() else {
            self.leave_out(path, &lossy, "its name is not UTF-8; rename it");
            return Ok(());
        };
        let inner = match folder.inner.as_str() {
            "" => name.to_owned(),
            inner => format!("{inner}/{name}"),
        };
        if kind.is_dir() {
            let is_apart = folder.is_apart || (is_link && is_validation(name));
            let pending = Pending { path, inner, depth: folder.depth + 1, is_apart };
            if is_link { &mut self.links } else { folders }.push(pending);
        } else if let Some(oddity) = oddity(kind) {
            self.leave_out(path, name, &format!("it is {oddity}, and only regular files are read"));
        } else {
            self.tree.add_file(Entry { path: inner, ..Entry::default() });
        }
        Ok(())
    }

    fn leave_out(&mut self, path: PathBuf, name: &str, reason: &str) {
        if self.keep_unreadable && is_image(name) {
            self.unreadable.push(path);
        } else {
            let name = path.display().to_string();
            self.tree.left_out.push(LeftOut { name, reason: reason.to_owned() });
        }
    }

    /// An image that is not there is an error; other links that lead nowhere are left out.
    fn broken_link(
        &mut self,
        path: PathBuf,
        name: &str,
        error: io::Error,
    ) -> Result<(), DataError> {
        if !self.keep_unreadable && is_image(name) {
            let name = path.display().to_string();
            let target = fs::read_link(&path).unwrap_or_default().display().to_string();
            return Err(match error.kind() {
                io::ErrorKind::NotFound => DataError::DanglingLink { name, target },
                _ => DataError::Read { name, error },
            });
        }
        self.leave_out(path, name, "a link to what cannot be read");
        Ok(())
    }
}

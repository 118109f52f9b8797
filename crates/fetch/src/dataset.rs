//! A dataset by name: its files are fetched and laid out in a folder beside the one that it is for, which is renamed when
//! all is there. So the folder is whole, or it is not there; a later call goes on where an earlier one was cut off.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;

use crate::catalogue::{Laid, PublishedFile, PublishedSet};
use crate::checksum::Checksum;
use crate::client::Client;
use crate::download::{Transfer, Wanted, download, moved};
use crate::error::FetchError;
use crate::lists;

/// The most bytes of a file: more than any dataset here has.
const MOST: u64 = 64 << 30;

/// A dataset on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub folder: PathBuf,
    /// The bytes that were fetched.
    pub bytes: u64,
}

/// Fetches a dataset into a new folder. Files come from their published addresses, or by their names from `mirror`.
///
/// # Errors
/// Where the folder is there already, where a file cannot be fetched, and where its checksum is not the published one.
pub fn get(
    dataset: &PublishedSet,
    folder: &Path,
    mirror: Option<&str>,
    tell: &mut dyn FnMut(&Transfer),
) -> Result<Got, FetchError> {
    if fs::symlink_metadata(folder).is_ok() {
        return Err(FetchError::Present { path: folder.to_owned() });
    }
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = folder.with_file_name(name);
    let fetched = partial.join("fetched");
    let make = |path: &Path| {
        let write = |cause| FetchError::Write { path: path.to_owned(), cause };
        fs::create_dir_all(path).map_err(write)
    };
    make(&fetched)?;
    let mut bytes = 0;
    for file in dataset.files {
        let whole = fetched.join(file.name());
        if !is_whole(file, &whole)? {
            one(file, mirror, &whole, tell)?;
        }
        bytes += fs::metadata(&whole).map_or(0, |known| known.len());
    }
    let laid = match dataset.laid {
        Laid::AsPublished => fetched,
        laid => {
            let unpacked = partial.join("unpacked");
            // What an earlier call has unpacked may be a part.
            let _ = fs::remove_dir_all(&unpacked);
            make(&unpacked)?;
            for file in dataset.files {
                lay(&fetched.join(file.name()), &unpacked)?;
            }
            let unpacked = single_folder(&unpacked);
            write_lists(laid, &unpacked)?;
            unpacked
        }
    };
    moved(&laid, folder)?;
    let _ = fs::remove_dir_all(&partial);
    Ok(Got { folder: folder.to_owned(), bytes })
}

/// Whether an earlier call has fetched the file; a spoiled one is removed.
fn is_whole(file: &PublishedFile, whole: &Path) -> Result<bool, FetchError> {
    if !whole.is_file() {
        return Ok(false);
    }
    let failed = |cause| FetchError::Write { path: whole.to_owned(), cause };
    let is_same = Checksum::Md5(file.md5.to_owned()).of(whole).map_err(failed)? == file.md5;
    if !is_same {
        fs::remove_file(whole).map_err(failed)?;
    }
    Ok(is_same)
}

fn one(
    file: &PublishedFile,
    mirror: Option<&str>,
    whole: &Path,
    tell: &mut dyn FnMut(&Transfer),
) -> Result<(), FetchError> {
    let url = match mirror {
        Some(mirror) => format!("{}/{}", mirror.trim_end_matches('/'), file.name()),
        None => file.url.to_owned(),
    };
    let wanted = Wanted {
        url: &url,
        token: None,
        checksum: Some(Checksum::Md5(file.md5.to_owned())),
        most: MOST,
        file: whole,
        part: &whole.with_file_name(format!("{}.part", file.name())),
    };
    download(&Client::new(&url), &wanted, tell)
}

/// Unpacks an archive, or moves another file there.
fn lay(file: &Path, into: &Path) -> Result<(), FetchError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let broken = |cause: io::Error| {
        let reason = format!("cannot be unpacked: {cause}");
        FetchError::Archive { path: file.to_owned(), reason }
    };
    let open = || File::open(file).map(io::BufReader::new).map_err(broken);
    if name.ends_with(".tar") {
        return unpack(tar::Archive::new(open()?), into).map_err(broken);
    }
    if name.ends_with(".tgz") || name.ends_with(".tar.gz") {
        return unpack(tar::Archive::new(GzDecoder::new(open()?)), into).map_err(broken);
    }
    let to = into.join(&*name);
    let write = |cause| FetchError::Write { path: to.clone(), cause };
    fs::copy(file, &to).map(drop).map_err(write)
}

/// Unpacks plain files and folders, none of them outside of the folder.
fn unpack(mut archive: tar::Archive<impl io::Read>, into: &Path) -> io::Result<()> {
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let is_inside =
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_inside {
            let reason = format!("{} leads out of the archive's folder", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let to = into.join(path);
        match entry.header().entry_type() {
            kind if kind.is_dir() => fs::create_dir_all(&to)?,
            kind if kind.is_file() => {
                fs::create_dir_all(to.parent().expect("it is inside a folder"))?;
                io::copy(&mut entry, &mut File::create(&to)?)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The only folder in a folder, if nothing else is in it: archives often have one around all.
fn single_folder(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
    match entries.as_deref() {
        // A folder of one class is no wrapping, but no dataset here has one.
        Ok([only]) if only.path().is_dir() => only.path(),
        _ => folder.to_owned(),
    }
}

fn write_lists(laid: Laid, folder: &Path) -> Result<(), FetchError> {
    type Make = fn(&str) -> Result<String, String>;
    let (make, parts): (Make, [[&str; 2]; 2]) = match laid {
        Laid::AsPublished | Laid::Unpacked => return Ok(()),
        Laid::FoodLists => {
            (lists::of_food, [["meta/train.txt", "train.txt"], ["meta/test.txt", "val.txt"]])
        }
        Laid::PetLists => (
            lists::of_pets,
            [["annotations/trainval.txt", "train.txt"], ["annotations/test.txt", "val.txt"]],
        ),
    };
    for [from, to] in parts {
        let (from, to) = (folder.join(from), folder.join(to));
        let broken = |reason: String| FetchError::Archive { path: from.clone(), reason };
        let text = fs::read_to_string(&from).map_err(|cause| broken(cause.to_string()))?;
        let list =
            make(&text).map_err(|line| broken(format!("it is no list of images: {line}")))?;
        fs::write(&to, list).map_err(|cause| FetchError::Write { path: to.clone(), cause })?;
        // Two lists of one part would be one too many.
        fs::remove_file(&from).map_err(|cause| FetchError::Write { path: from.clone(), cause })?;
    }
    // Other lists there, of classes or of all images, would be taken for lists of these.
    for other in ["meta/labels.txt", "annotations/list.txt"] {
        match fs::remove_file(folder.join(other)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(FetchError::Write { path: folder.join(other), cause });
            }
            _ => {}
        }
    }
    Ok(())
}

//! CIFAR-10 and CIFAR-100 as their authors distribute them, binary or for Python, as a folder or the tar.gz itself.
//!
//! An image is 3,072 bytes: 32×32 red values, then green, then blue. The binary files hold records of a label byte and an
//! image (CIFAR-100: a coarse and a fine label byte), the Python ones a pickled dictionary with an array `data` of all images,
//! `labels` (or `fine_labels`) and `filenames`. CIFAR-100 is read with its 100 fine classes.

use std::sync::Arc;

use weights::NumpyPickle;

use super::Found;
use super::blob::Blob;
use super::classes::{Gathering, Side, name_lines};
use super::layout::{Entry, Tree, base_name};
use super::source::{Order, Pixels, Root, Shape};
use crate::DataError;

const SHAPE: Shape = Shape { width: 32, height: 32, order: Order::Planar };
const PIXELS: u64 = 3072;

/// One of the four distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    is_binary: bool,
    is_hundred: bool,
}

/// Which distribution the files of a folder or an archive are, by their names.
pub(crate) fn kind(tree: &Tree) -> Option<Kind> {
    let others = tree.others();
    let has = |name: &str| others.iter().any(|entry| base_name(&entry.path) == name);
    let kinds = [
        ("batches.meta.txt", "data_batch_1.bin", true, false),
        ("batches.meta", "data_batch_1", false, false),
        ("fine_label_names.txt", "train.bin", true, true),
        ("meta", "train", false, true),
    ];
    let found = kinds.into_iter().find(|(names, images, ..)| has(names) && has(images));
    found.map(|(.., is_binary, is_hundred)| Kind { is_binary, is_hundred })
}

pub(crate) fn open(kind: Kind, root: &Root, tree: &Tree) -> Result<Found, DataError> {
    let mut gathering = Gathering::default();
    let mut files = Vec::new();
    let mut names = None;
    for entry in tree.others() {
        let blob = || root.blob(entry);
        match base_name(&entry.path) {
            "batches.meta.txt" | "fine_label_names.txt" if kind.is_binary => {
                names = Some(name_lines(&blob()?.text()?, &root.name(&entry.path))?);
            }
            "batches.meta" | "meta" if !kind.is_binary => names = Some(pickled_names(&blob()?)?),
            name => {
                let Some(side) = side(kind, name) else { continue };
                let file = files.len() as u32;
                let blob = blob()?;
                let first = if kind.is_binary {
                    add_binary(&mut gathering, side, file, &blob, kind)?
                } else {
                    add_pickled(&mut gathering, side, file, &blob, kind)?
                };
                files.push((blob, first));
            }
        }
    }
    let stride = if kind.is_binary { record(kind) } else { PIXELS };
    let layout = gathering.finish(names, &root.name(""))?;
    Ok(Found { layout, source: Arc::new(Pixels { files, stride, shape: SHAPE }) })
}

/// The part to which a file's images belong.
fn side(kind: Kind, name: &str) -> Option<Side> {
    let name = if kind.is_binary { name.strip_suffix(".bin")? } else { name };
    match name {
        "test_batch" if !kind.is_hundred => Some(Side::Validation),
        "test" if kind.is_hundred => Some(Side::Validation),
        "train" if kind.is_hundred => Some(Side::Train),
        _ if kind.is_hundred => None,
        _ => name.strip_prefix("data_batch_").map(|_| Side::Train),
    }
}

/// Bytes of a record of a binary file.
fn record(kind: Kind) -> u64 {
    PIXELS + if kind.is_hundred { 2 } else { 1 }
}

/// Adds the images of a binary file; gives the place of the first one's pixels.
fn add_binary(
    gathering: &mut Gathering,
    side: Side,
    file: u32,
    blob: &Blob,
    kind: Kind,
) -> Result<u64, DataError> {
    let length = record(kind);
    if blob.length() == 0 || !blob.length().is_multiple_of(length) {
        let reason = format!("its {} bytes are no multiple of {length}", blob.length());
        return Err(malformed(blob, reason));
    }
    let labels = length - PIXELS;
    let opened = blob.opened()?;
    let mut buffer = Vec::new();
    for index in 0..blob.length() / length {
        let start = index * length;
        let bytes = opened.read(start, labels, &mut buffer).map_err(|e| blob.failed(e))?;
        let label = bytes[bytes.len() - 1].to_string();
        let entry = Entry { file, offset: start + labels, length: PIXELS, ..Entry::default() };
        gathering.add(side, &label, entry, || format!("{}: image {index}", blob.name));
    }
    Ok(labels)
}

/// Adds the images of a pickled file; gives the place of the first one's pixels.
fn add_pickled(
    gathering: &mut Gathering,
    side: Side,
    file: u32,
    blob: &Blob,
    kind: Kind,
) -> Result<u64, DataError> {
    let bytes = blob.all()?;
    let pickle = NumpyPickle::read(&bytes).map_err(|reason| malformed(blob, reason))?;
    let lacking = |what: &str| malformed(blob, format!("it holds no {what}"));
    let key = if kind.is_hundred { "fine_labels" } else { "labels" };
    let labels = pickle.numbers(key).ok_or_else(|| lacking(key))?;
    let (shape, range) = pickle.array("data").ok_or_else(|| lacking("array data of bytes"))?;
    let names = pickle.texts("filenames").unwrap_or_default();
    let count = labels.len();
    let pixels = PIXELS as usize;
    if shape != [count, pixels] || Some(range.len()) != count.checked_mul(pixels) {
        let reason = format!("{count} labels, but data of {shape:?} in {} bytes", range.len());
        return Err(malformed(blob, reason));
    }
    let first = range.start as u64;
    for (index, label) in labels.iter().enumerate() {
        let path = names.get(index).cloned().unwrap_or_default();
        let offset = first + index as u64 * PIXELS;
        let said = || format!("{}: image {index}", blob.name);
        gathering.add(side, &label.to_string(), Entry { path, file, offset, length: PIXELS }, said);
    }
    Ok(first)
}

/// The names of classes in `batches.meta` or `meta`.
fn pickled_names(blob: &Blob) -> Result<Vec<String>, DataError> {
    let bytes = blob.all()?;
    let pickle = NumpyPickle::read(&bytes).map_err(|reason| malformed(blob, reason))?;
    let found = pickle
        .texts("label_names")
        .or_else(|| pickle.texts("fine_label_names"))
        .ok_or_else(|| malformed(blob, "it holds no label_names".to_owned()))?;
    name_lines(&found.join("\n"), &blob.name)
}

fn malformed(blob: &Blob, reason: String) -> DataError {
    DataError::Malformed {
        name: blob.name.clone(),
        what: "CIFAR file",
        reason,
        mend: "fetch the dataset again",
    }
}

//! MNIST's idx files, as Fashion-MNIST, KMNIST and EMNIST have them too, gzipped or not.
//!
//! Two zero bytes, 8 for unsigned bytes, the number of dimensions; each dimension as a big-endian u32; then the values.
//! Images have three dimensions (count, height, width), labels one. The training set is called `train`, the validation
//! set `t10k` or `test`.

use std::sync::Arc;

use super::Found;
use super::blob::Blob;
use super::classes::{Gathering, Side, names_beside};
use super::layout::{Entry, Tree, base_name};
use super::source::{Order, Pixels, Root, Shape};
use crate::DataError;

/// The four files of a dataset.
#[derive(Debug, Default)]
struct Files<'a> {
    images: Vec<(Side, &'a Entry)>,
    labels: Vec<(Side, &'a Entry)>,
}

/// What the name of a file tells: its side, and whether it holds images.
fn role(path: &str) -> Option<(Side, bool)> {
    let name = base_name(path).to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let is_images = name.ends_with("images-idx3-ubyte") || name.ends_with("images.idx3-ubyte");
    let is_labels = name.ends_with("labels-idx1-ubyte") || name.ends_with("labels.idx1-ubyte");
    if !is_images && !is_labels {
        return None;
    }
    let is_validation = name.contains("t10k") || name.contains("test");
    Some((if is_validation { Side::Validation } else { Side::Train }, is_images))
}

/// Whether a file begins as images or labels do.
pub(crate) fn is_idx(head: &[u8]) -> bool {
    matches!(head, [0, 0, 8, 1 | 3, ..])
}

pub(crate) fn is_present(tree: &Tree) -> bool {
    tree.others().iter().any(|entry| role(&entry.path).is_some())
}

pub(crate) fn open(root: &Root, tree: &Tree) -> Result<Found, DataError> {
    let mut files = Files::default();
    for entry in tree.others() {
        if let Some((side, is_images)) = role(&entry.path) {
            let list = if is_images { &mut files.images } else { &mut files.labels };
            list.push((side, entry));
        }
    }
    let mut gathering = Gathering::default();
    let mut blobs = Vec::new();
    let mut shape: Option<Shape> = None;
    let mut unpacked = 0;
    for side in [Side::Train, Side::Validation] {
        let images = only(&files.images, side, root)?;
        let labels = only(&files.labels, side, root)?;
        let (images, labels) = match (images, labels) {
            (Some(images), Some(labels)) => (images, labels),
            (None, None) if side == Side::Validation => continue,
            _ => {
                return Err(malformed(
                    &root.name(""),
                    "it needs images (train-images-idx3-ubyte) and labels (train-labels-idx1-ubyte), of both parts \
                     or of the training part"
                        .to_owned(),
                ));
            }
        };
        let images = root.blob(images)?.unpack(&mut unpacked)?;
        let labels = root.blob(labels)?.unpack(&mut unpacked)?;
        let found = pair(&images, &labels)?;
        if shape.is_some_and(|shape| shape != found.shape) {
            return Err(malformed(&images.name, "the parts differ in size of image".to_owned()));
        }
        shape = Some(found.shape);
        let length = found.shape.bytes() as u64;
        for (index, label) in found.labels.iter().enumerate() {
            let offset = HEADER + index as u64 * length;
            let entry = Entry { file: blobs.len() as u32, offset, length, ..Entry::default() };
            let said = || format!("{}: label {index}", labels.name);
            gathering.add(side, &label.to_string(), entry, said);
        }
        blobs.push((images, HEADER));
    }
    let layout = gathering.finish(names_beside(root, tree)?, &root.name(""))?;
    let shape = shape.expect("the training part is there");
    Ok(Found {
        layout,
        source: Arc::new(Pixels { files: blobs, stride: shape.bytes() as u64, shape }),
    })
}

/// Bytes before the first pixel.
const HEADER: u64 = 16;

fn only<'a>(
    files: &[(Side, &'a Entry)],
    side: Side,
    root: &Root,
) -> Result<Option<&'a Entry>, DataError> {
    let mut found = files.iter().filter(|(of, _)| *of == side).map(|(_, entry)| *entry);
    let (first, second) = (found.next(), found.next());
    if let (Some(first), Some(second)) = (first, second) {
        let names = format!("it holds both {} and {}", first.path, second.path);
        return Err(malformed(&root.name(""), names));
    }
    Ok(first)
}

struct Pair {
    shape: Shape,
    labels: Vec<u8>,
}

/// Reads the headers and the labels of one part.
fn pair(images: &Blob, labels: &Blob) -> Result<Pair, DataError> {
    let [count, height, width] = dimensions::<3, 16>(images)?;
    let [label_count] = dimensions::<1, 8>(labels)?;
    if count != label_count {
        return Err(malformed(&labels.name, format!("{label_count} labels for {count} images")));
    }
    let shape = Shape { width: width as usize, height: height as usize, order: Order::Grey };
    if width == 0 || height == 0 {
        return Err(malformed(&images.name, format!("its images are {width}×{height} pixels")));
    }
    let mut buffer = Vec::new();
    let read = labels.read(8, u64::from(count), &mut buffer);
    let labels = read.map_err(|source| labels.failed(source))?.to_vec();
    Ok(Pair { shape, labels })
}

/// The dimensions of an idx file of bytes, after checking that it is as long as they say.
fn dimensions<const N: usize, const HEADER: usize>(file: &Blob) -> Result<[u32; N], DataError> {
    let head: [u8; HEADER] = file.head()?;
    if head[..4] != [0, 0, 8, N as u8] || file.length() < HEADER as u64 {
        let reason = format!("it does not begin as {N} dimensions of bytes do");
        return Err(malformed(&file.name, reason));
    }
    let number = |place: usize| {
        let bytes = &head[4 + 4 * place..8 + 4 * place];
        u32::from_be_bytes(bytes.try_into().expect("four bytes"))
    };
    let sizes = std::array::from_fn(number);
    let values = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size.into()));
    let expected = values.and_then(|values| values.checked_add(HEADER as u64));
    if expected != Some(file.length()) {
        let expected = expected.map_or("more than 2⁶⁴".to_owned(), |bytes| bytes.to_string());
        let reason = format!("it has {} bytes, its header says {expected}", file.length());
        return Err(malformed(&file.name, reason));
    }
    Ok(sizes)
}

pub(crate) fn malformed(name: &str, reason: String) -> DataError {
    DataError::Malformed {
        name: name.to_owned(),
        what: "idx dataset",
        reason,
        mend: "give the folder that holds the images and labels of one dataset, fetched anew if need be",
    }
}

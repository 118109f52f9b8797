//! A dataset: class names, and two parts of labelled images.
//!
//! A folder of class folders, a tar of one (or a tar.gz, unpacked into memory), or the Fashion-MNIST subset inside the
//! program. Files are read by positioned reads, never mapped: a map of a file that is cut short kills the process.

use std::fs::File;
use std::io::{Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::image::{Cut, RgbImage, decode_into};
use crate::jpeg::Baseline;
use crate::layout::{Item, Layout, Tree};
use crate::resize::Region;
use crate::times::{Times, lap};
use crate::{DataError, archive, fashion_mnist, folder, split};

/// A tar.gz is unpacked into memory; a larger one has to be unpacked on disk.
const UNPACKED_LIMIT: u64 = 4 << 30;

#[derive(Debug)]
pub struct Dataset {
    /// The path it was opened from, or the name of the embedded set; for messages.
    pub name: String,
    /// In the order of the labels.
    pub classes: Vec<String>,
    pub train: Part,
    /// Empty when nothing could be held out, that is when no class has two images.
    pub validation: Part,
}

/// Labelled images, numbered from 0.
#[derive(Debug)]
pub struct Part {
    store: Arc<Store>,
    items: Vec<Item>,
}

#[derive(Debug)]
enum Store {
    Folder(PathBuf),
    Tar {
        path: PathBuf,
        file: File,
    },
    /// A tar in memory.
    Unpacked {
        path: PathBuf,
        tar: Vec<u8>,
    },
    /// Grey squares, one after another.
    Grey {
        side: usize,
        pixels: Vec<u8>,
    },
}

impl Dataset {
    /// Opens a folder or a tar, told apart by looking. Without a validation part, the share `split` of each class
    /// is held out, chosen by `seed`.
    pub fn open(path: &Path, split: f64, seed: u64) -> Result<Dataset, DataError> {
        let name = path.display().to_string();
        let failed = |source| DataError::Read { name: name.clone(), source };
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(DataError::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(failed(error)),
        };
        let (store, tree) = if metadata.is_dir() {
            (Store::Folder(path.to_owned()), folder::read(path)?)
        } else {
            open_archive(path, &name, metadata.len())?
        };
        Dataset::arrange(store, tree, name, split, seed)
    }

    /// The same with at most `limit` training images, taken evenly from the whole: each class keeps its share.
    pub fn limited(mut self, limit: usize) -> Dataset {
        let items = &mut self.train.items;
        let count = items.len();
        if limit < count {
            let mut by_class: Vec<usize> = (0..count).collect();
            by_class.sort_by_key(|&index| items[index].label);
            let mut kept: Vec<usize> =
                (0..limit).map(|place| by_class[place * count / limit]).collect();
            kept.sort_unstable();
            *items = kept.into_iter().map(|index| items[index].clone()).collect();
        }
        self
    }

    fn arrange(
        store: Store,
        tree: Tree,
        name: String,
        share: f64,
        seed: u64,
    ) -> Result<Dataset, DataError> {
        let Layout { classes, train, validation } = tree.layout(|path| store.name(path))?;
        let (train, validation) = match validation {
            Some(validation) => (train, validation),
            None if share > 0.0 && share < 1.0 => split::split(train, share, seed),
            None => return Err(DataError::Split { name, split: share }),
        };
        let store = Arc::new(store);
        let train = Part { store: store.clone(), items: train };
        Ok(Dataset { name, classes, train, validation: Part { store, items: validation } })
    }

    /// The Fashion-MNIST subset inside the program: 5,000 training and 1,000 test images of 28×28 pixels.
    pub fn fashion_mnist() -> Dataset {
        let fashion_mnist::FashionMnist { side, train, validation } = fashion_mnist::unpack();
        let part = |images: fashion_mnist::Images, name: &str| Part {
            items: grey_items(&images.labels, side, name),
            store: Arc::new(Store::Grey { side, pixels: images.pixels }),
        };
        Dataset {
            name: "fashion-mnist".to_owned(),
            classes: fashion_mnist::CLASSES.map(str::to_owned).to_vec(),
            train: part(train, "train"),
            validation: part(validation, "test"),
        }
    }
}

fn grey_items(labels: &[u32], side: usize, name: &str) -> Vec<Item> {
    let length = (side * side) as u64;
    labels
        .iter()
        .enumerate()
        .map(|(index, &label)| Item {
            label,
            entry: crate::layout::Entry {
                path: format!("{name}/{index}"),
                offset: index as u64 * length,
                length,
            },
        })
        .collect()
}

fn open_archive(path: &Path, name: &str, length: u64) -> Result<(Store, Tree), DataError> {
    let failed = |source| DataError::Read { name: name.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut magic = [0; 2];
    let is_gzip = length >= 2 && {
        file.read_exact_at(&mut magic, 0).map_err(failed)?;
        magic == [0x1F, 0x8B]
    };
    if !is_gzip {
        let tree = archive::read(&file, length, name)?;
        return Ok((Store::Tar { path: path.to_owned(), file }, tree));
    }
    let mut tar = Vec::new();
    let broken = |reason: String| DataError::Tar { name: name.to_owned(), reason };
    flate2::read::MultiGzDecoder::new(file)
        .take(UNPACKED_LIMIT + 1)
        .read_to_end(&mut tar)
        .map_err(|error| broken(format!("its gzip stream is damaged ({error})")))?;
    if tar.len() as u64 > UNPACKED_LIMIT {
        return Err(broken("it unpacks to more than 4 GiB; `gunzip` it and give the .tar".into()));
    }
    let tree = archive::read(Cursor::new(&tar), tar.len() as u64, name)?;
    Ok((Store::Unpacked { path: path.to_owned(), tar }, tree))
}

impl Store {
    /// How messages call a path inside.
    fn name(&self, path: &str) -> String {
        match self {
            Store::Folder(root) if path.is_empty() => root.display().to_string(),
            Store::Folder(root) => root.join(path).display().to_string(),
            Store::Tar { path: file, .. } | Store::Unpacked { path: file, .. } => {
                if path.is_empty() {
                    file.display().to_string()
                } else {
                    format!("{}:{path}", file.display())
                }
            }
            Store::Grey { .. } => format!("fashion-mnist:{path}"),
        }
    }
}

/// Memory that a thread uses again for every image it reads.
#[derive(Debug, Default)]
pub(crate) struct ReadScratch {
    bytes: Vec<u8>,
    jpeg: Baseline,
    pub(crate) cut: Cut,
    pub(crate) times: Times,
}

impl Part {
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn label(&self, index: usize) -> u32 {
        self.items[index].label
    }

    /// The path of an image, for messages.
    pub fn name(&self, index: usize) -> String {
        self.store.name(&self.items[index].entry.path)
    }

    /// Bytes of all images as they are stored.
    pub fn bytes(&self) -> Result<u64, DataError> {
        let Store::Folder(root) = &*self.store else {
            return Ok(self.items.iter().map(|item| item.entry.length).sum());
        };
        let size = |item: &Item| {
            let path = root.join(&item.entry.path);
            let metadata = std::fs::metadata(&path);
            metadata
                .map(|metadata| metadata.len())
                .map_err(|source| DataError::Read { name: path.display().to_string(), source })
        };
        self.items.iter().map(size).sum()
    }

    /// Reads and decodes an image.
    pub fn image(&self, index: usize) -> Result<RgbImage, DataError> {
        let mut scratch = ReadScratch::default();
        let whole = &mut |width, height| Region { left: 0, top: 0, width, height };
        self.read(index, whole, &mut scratch)?;
        let Cut { region, pixels } = scratch.cut;
        Ok(RgbImage { width: region.width, height: region.height, pixels })
    }

    /// [`Part::image`] into memory that is used again, and of the image at least the region that `wanted` chooses from
    /// its width and height.
    pub(crate) fn read(
        &self,
        index: usize,
        wanted: &mut dyn FnMut(usize, usize) -> Region,
        scratch: &mut ReadScratch,
    ) -> Result<(), DataError> {
        let entry = &self.items[index].entry;
        let mut start = Instant::now();
        let failed = |source| DataError::Read { name: self.name(index), source };
        let ReadScratch { bytes, jpeg, cut, times } = scratch;
        bytes.clear();
        let found = match &*self.store {
            Store::Folder(root) => {
                let mut file = File::open(root.join(&entry.path)).map_err(failed)?;
                file.read_to_end(bytes).map_err(failed)?;
                bytes.as_slice()
            }
            Store::Tar { file, .. } => {
                bytes.resize(entry.length as usize, 0);
                file.read_exact_at(bytes, entry.offset).map_err(failed)?;
                bytes.as_slice()
            }
            Store::Unpacked { tar, .. } => slice(tar, entry.offset, entry.length),
            Store::Grey { side, pixels } => {
                let grey = slice(pixels, entry.offset, entry.length);
                wanted(*side, *side);
                cut.region = Region { left: 0, top: 0, width: *side, height: *side };
                cut.pixels.clear();
                cut.pixels.extend(grey.iter().flat_map(|&value| [value; 3]));
                return Ok(());
            }
        };
        lap(&mut start, &mut times.read);
        // The name is only made for an error: paths are long and images are many.
        let decoded = decode_into(found, "", wanted, jpeg, cut);
        lap(&mut start, &mut times.decode);
        decoded.map_err(|error| error.at(self.name(index)))
    }
}

fn slice(bytes: &[u8], offset: u64, length: u64) -> &[u8] {
    &bytes[offset as usize..(offset + length) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_keeps_each_class_its_share() {
        let of = |limit| Dataset::fashion_mnist().limited(limit).train;
        let part = of(50);
        for class in 0..10 {
            let of_class = (0..50).filter(|&index| part.label(index) == class).count();
            assert_eq!(of_class, 5, "class {class}");
        }
        // From one end of the part to the other, in its order.
        let places: Vec<usize> = (0..50)
            .map(|index| part.name(index).rsplit_once('/').unwrap().1.parse().unwrap())
            .collect();
        assert!(places.is_sorted() && places[0] < 500 && places[49] > 4000, "{places:?}");
        let again = of(50);
        assert!((0..50).all(|index| again.name(index) == part.name(index)));
        assert_eq!(of(4999).len(), 4999);
        assert_eq!(of(9999).len(), 5000);
    }
}

//! A dataset: class names, and two parts of labelled images.
//!
//! It comes from files of any format ([`crate::formats`]) or is the Fashion-MNIST subset inside the program.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::formats::blob::Blob;
use crate::formats::layout::{Entry, Item, Layout};
use crate::formats::source::{Order, Pixels, Shape, Source, Stored};
use crate::formats::{self, Found, fashion_mnist};
use crate::image::{Cut, RgbImage, decode_into};
use crate::jpeg::Baseline;
use crate::resize::Region;
use crate::times::{Times, lap};
use crate::{DataError, split};

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
    source: Arc<dyn Source>,
    items: Vec<Item>,
}

impl Dataset {
    /// Opens a folder or a file, told apart by looking. Without a validation part, the share `split` of each class
    /// is held out, chosen by `seed`.
    pub fn open(path: &Path, split: f64, seed: u64) -> Result<Dataset, DataError> {
        Dataset::arrange(formats::open(path)?, path.display().to_string(), split, seed)
    }

    /// As [`Dataset::open`], a file that is in memory; `name` is for messages.
    pub fn from_bytes(
        name: &str,
        bytes: Vec<u8>,
        split: f64,
        seed: u64,
    ) -> Result<Dataset, DataError> {
        let found = formats::open_file(Blob::memory(name.to_owned(), bytes))?;
        Dataset::arrange(found, name.to_owned(), split, seed)
    }

    fn arrange(found: Found, name: String, split: f64, seed: u64) -> Result<Dataset, DataError> {
        let Found { layout, source } = found;
        let Layout { classes, train, validation } = layout;
        let (train, validation) = match validation {
            Some(validation) => (train, validation),
            None if split > 0.0 && split < 1.0 => split::split(train, split, seed),
            None => return Err(DataError::Split { name, split }),
        };
        let train = Part { source: source.clone(), items: train };
        Ok(Dataset { name, classes, train, validation: Part { source, items: validation } })
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

    /// The Fashion-MNIST subset inside the program: 5,000 training and 1,000 test images of 28×28 pixels.
    pub fn fashion_mnist() -> Dataset {
        let fashion_mnist::FashionMnist { side, train, validation } = fashion_mnist::unpack();
        let shape = Shape { width: side, height: side, order: Order::Grey };
        let part = |images: fashion_mnist::Images, name: &str| Part {
            items: grey_items(&images.labels, shape, name),
            source: Arc::new(Pixels {
                files: vec![(Blob::memory("fashion-mnist".to_owned(), images.pixels), 0)],
                stride: shape.bytes() as u64,
                shape,
            }),
        };
        Dataset {
            name: "fashion-mnist".to_owned(),
            classes: fashion_mnist::CLASSES.map(str::to_owned).to_vec(),
            train: part(train, "train"),
            validation: part(validation, "test"),
        }
    }
}

fn grey_items(labels: &[u32], shape: Shape, name: &str) -> Vec<Item> {
    let length = shape.bytes() as u64;
    let item = |(index, &label)| Item {
        label,
        entry: Entry {
            path: format!("{name}/{index}"),
            file: 0,
            offset: index as u64 * length,
            length,
        },
    };
    labels.iter().enumerate().map(item).collect()
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
        self.source.name(&self.items[index].entry)
    }

    /// Bytes of all images as they are stored.
    pub fn bytes(&self) -> Result<u64, DataError> {
        self.items.iter().map(|item| self.source.length(&item.entry)).sum()
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
        let ReadScratch { bytes, jpeg, cut, times } = scratch;
        let stored = self.source.read(entry, bytes)?;
        lap(&mut start, &mut times.read);
        let file = match stored {
            Stored::File(file) => file,
            Stored::Pixels(pixels, shape) => {
                let Shape { width, height, .. } = shape;
                wanted(width, height);
                cut.region = Region { left: 0, top: 0, width, height };
                cut.pixels.clear();
                shape.to_rgb(pixels, &mut cut.pixels);
                lap(&mut start, &mut times.decode);
                return Ok(());
            }
        };
        // The name is only made for an error: paths are long and images are many.
        let decoded = decode_into(file, "", wanted, jpeg, cut);
        lap(&mut start, &mut times.decode);
        decoded.map_err(|error| error.at(self.name(index)))
    }
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

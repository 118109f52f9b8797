//! A dataset: class names, and two sets of annotated images.
//!
//! It comes from files of any format ([`crate::formats`]) or is the Fashion-MNIST subset inside the program.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use recipe::Orientation;

use crate::budget::decoding;
use crate::exif;
use crate::formats::blob::Blob;
use crate::formats::layout::{Entry, Item, Layout};
use crate::formats::masks::{self, FoundMasks};
use crate::formats::source::{Order, Pixels, Shape, Source, Stored};
use crate::formats::{self, Found, fashion_mnist};
use crate::image::{Cut, PIXEL_LIMIT, RgbImage, decode_into};
use crate::jpeg::Baseline;
use crate::probe::probe;
use crate::resize::Region;
use crate::times::{Times, lap};
use crate::{DataError, LeftOut, MaskFile, MaskValues, contents, split};

/// Images to train on and images to validate on, each with an annotation: a label unless said otherwise.
#[derive(Debug)]
pub struct Dataset<A = u32> {
    /// The path it was opened from, or the name of the embedded set; for messages.
    pub name: String,
    /// Class names in the order of the labels.
    pub classes: Vec<String>,
    pub train: ImageSet<A>,
    /// Empty when nothing could be held out, which happens when no class has two images.
    pub validation: ImageSet<A>,
    /// What lies among the images and is not read.
    pub left_out: Vec<LeftOut>,
}

/// Images with their annotations, numbered from 0.
#[derive(Debug)]
pub struct ImageSet<A = u32> {
    source: Arc<dyn Source>,
    /// Where each image is.
    entries: Vec<Entry>,
    annotations: Vec<A>,
    orientation: Orientation,
}

impl Dataset {
    /// Opens a folder or a file, told apart by looking. Without a validation part, the share `split` of each class
    /// is held out, chosen by `split_seed`, which is the seed of no run: a student must not be validated on images that its
    /// teacher was trained on. Images of equal bytes are held out together or not at all.
    pub fn open(path: &Path, split: f64, split_seed: u64) -> Result<Dataset, DataError> {
        Dataset::arrange(formats::open(path)?, path.display().to_string(), split, split_seed)
    }

    /// Opens a file that is in memory, as [`Dataset::open`] does; `name` is for messages.
    pub fn from_bytes(
        name: &str,
        bytes: Vec<u8>,
        split: f64,
        split_seed: u64,
    ) -> Result<Dataset, DataError> {
        let found = formats::open_file(Blob::memory(name.to_owned(), bytes))?;
        Dataset::arrange(found, name.to_owned(), split, split_seed)
    }

    pub(crate) fn arrange(
        found: Found,
        name: String,
        split: f64,
        split_seed: u64,
    ) -> Result<Dataset, DataError> {
        let Found { layout, source } = found;
        let Layout { classes, train, validation, left_out } = layout;
        let parts = match validation {
            Some(validation) => [train, validation],
            None if split > 0.0 && split < 1.0 => {
                let contents = contents::equal(&*source, &train);
                split::split(train, &contents, split, split_seed)
            }
            None => return Err(DataError::Split { name, split }),
        };
        Ok(Dataset { left_out, ..Dataset::of(name, classes, source, parts) })
    }

    /// Opens a dataset as [`Dataset::open`] does, but holds nothing out: the validation images of a dataset without any are an
    /// empty set.
    pub fn undivided(path: &Path) -> Result<Dataset, DataError> {
        Ok(Dataset::whole(formats::open(path)?, path.display().to_string()))
    }

    /// A dataset of which nothing is held out.
    pub(crate) fn whole(found: Found, name: String) -> Dataset {
        let Found { layout, source } = found;
        let Layout { classes, train, validation, left_out } = layout;
        let parts = [train, validation.unwrap_or_default()];
        Dataset { left_out, ..Dataset::of(name, classes, source, parts) }
    }

    fn of(
        name: String,
        classes: Vec<String>,
        source: Arc<dyn Source>,
        parts: [Vec<Item>; 2],
    ) -> Dataset {
        let [train, validation] = parts.map(|items| ImageSet::of(source.clone(), items));
        Dataset { name, classes, train, validation, left_out: Vec::new() }
    }

    /// The same images with other annotations, made of each image's path inside the dataset and its label.
    pub fn annotated<A>(self, mut annotate: impl FnMut(&str, u32) -> A) -> Dataset<A> {
        let Dataset { name, classes, train, validation, left_out } = self;
        let [train, validation] = [train, validation].map(|set| {
            let ImageSet { source, entries, annotations, orientation } = set;
            let labelled = entries.iter().zip(annotations);
            let annotations = labelled.map(|(entry, label)| annotate(&entry.path, label)).collect();
            ImageSet { source, entries, annotations, orientation }
        });
        Dataset { name, classes, train, validation, left_out }
    }

    /// The same dataset with at most `limit` training images, taken evenly from all of them: each class keeps its share.
    pub fn limited(mut self, limit: usize) -> Dataset {
        let ImageSet { entries, annotations: labels, .. } = &mut self.train;
        let count = entries.len();
        if limit < count {
            let mut by_class: Vec<usize> = (0..count).collect();
            by_class.sort_by_key(|&index| labels[index]);
            let mut kept: Vec<usize> =
                (0..limit).map(|place| by_class[place * count / limit]).collect();
            kept.sort_unstable();
            *entries = kept.iter().map(|&index| entries[index].clone()).collect();
            *labels = kept.into_iter().map(|index| labels[index]).collect();
        }
        self
    }

    /// The Fashion-MNIST subset inside the program: 5,000 training and 1,000 test images of 28×28 pixels.
    pub fn fashion_mnist() -> Dataset {
        let fashion_mnist::FashionMnist { side, train, validation } = fashion_mnist::unpack();
        let shape = Shape { width: side, height: side, order: Order::Grey };
        let set = |images: fashion_mnist::Images, name: &str| {
            let source = Pixels {
                files: vec![(Blob::memory("fashion-mnist".to_owned(), images.pixels), 0)],
                stride: shape.bytes() as u64,
                shape,
            };
            ImageSet::of(Arc::new(source), grey_items(&images.labels, shape, name))
        };
        Dataset {
            name: "fashion-mnist".to_owned(),
            classes: fashion_mnist::CLASSES.map(str::to_owned).to_vec(),
            train: set(train, "train"),
            validation: set(validation, "test"),
            left_out: Vec::new(),
        }
    }
}

impl Dataset<MaskFile> {
    /// Opens images with masks: ADE20K SceneParsing or VOC's `SegmentationClass` as distributed, or a folder of images beside
    /// one of masks. Without a validation part, the share `split` of the images is held out, chosen by `split_seed`.
    ///
    /// # Errors
    /// Also where an image has no mask; all of them are named.
    pub fn with_masks(
        path: &Path,
        split: f64,
        split_seed: u64,
    ) -> Result<Dataset<MaskFile>, DataError> {
        let found = masks::open(path)?;
        if !found.lonely.is_empty() {
            let name = path.display().to_string();
            return Err(DataError::NoMasks { name, lonely: found.lonely });
        }
        let FoundMasks { layout, source, masks, values, .. } = found;
        let images = Found { layout, source: source.clone() };
        let images = Dataset::arrange(images, path.display().to_string(), split, split_seed)?;
        Ok(images.masked(&source, masks, values))
    }
}

impl<A: Clone> Dataset<A> {
    /// The same dataset with at most `limit` training images, taken evenly from all of them.
    #[must_use]
    pub fn thinned(mut self, limit: usize) -> Dataset<A> {
        let ImageSet { entries, annotations, .. } = &mut self.train;
        let count = entries.len();
        if limit < count {
            let kept = || (0..limit).map(|place| place * count / limit);
            *entries = kept().map(|index| entries[index].clone()).collect();
            *annotations = kept().map(|index| annotations[index].clone()).collect();
        }
        self
    }
}

impl Dataset {
    /// The same images, each with its mask.
    pub(crate) fn masked(
        self,
        source: &Arc<dyn Source>,
        mut masks: HashMap<String, Entry>,
        values: MaskValues,
    ) -> Dataset<MaskFile> {
        self.annotated(|path, _| MaskFile {
            source: source.clone(),
            entry: masks.remove(path),
            values,
        })
    }
}

impl<A> Dataset<A> {
    /// The same images, turned as the orientation says. Annotations are those of the turned images.
    pub fn oriented(mut self, orientation: Orientation) -> Dataset<A> {
        self.train.orientation = orientation;
        self.validation.orientation = orientation;
        self
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

impl ImageSet {
    fn of(source: Arc<dyn Source>, items: Vec<Item>) -> ImageSet {
        let (entries, annotations) =
            items.into_iter().map(|Item { label, entry }| (entry, label)).unzip();
        ImageSet { source, entries, annotations, orientation: Orientation::Stored }
    }

    /// The number of an image's class.
    pub fn label(&self, index: usize) -> u32 {
        self.annotations[index]
    }
}

impl<A> ImageSet<A> {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn annotation(&self, index: usize) -> &A {
        &self.annotations[index]
    }

    /// The path of an image, for messages.
    pub fn name(&self, index: usize) -> String {
        self.source.name(&self.entries[index])
    }

    /// Reads an image as it is stored.
    pub(crate) fn stored<'a>(
        &'a self,
        index: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Stored<'a>, DataError> {
        self.source.read(&self.entries[index], buffer)
    }

    /// The path of an image inside its dataset.
    pub(crate) fn path(&self, index: usize) -> &str {
        &self.entries[index].path
    }

    /// Bytes of an image as it is stored.
    pub(crate) fn length(&self, index: usize) -> Result<u64, DataError> {
        self.source.length(&self.entries[index])
    }

    /// Bytes of all images as they are stored.
    pub fn bytes(&self) -> Result<u64, DataError> {
        self.entries.iter().map(|entry| self.source.length(entry)).sum()
    }

    /// Reads and decodes an image.
    pub fn image(&self, index: usize) -> Result<RgbImage, DataError> {
        let mut scratch = ReadScratch::default();
        let whole = &mut |width, height| Region { left: 0, top: 0, width, height };
        self.read(index, whole, &mut |_| Ok(()), &mut scratch)?;
        let Cut { region, pixels } = scratch.cut;
        Ok(RgbImage { width: region.width, height: region.height, pixels })
    }

    /// Reads and decodes an image into memory that is used again: at least the region that `wanted` chooses from the image's
    /// width and height. `room` is asked for bytes before they are taken.
    pub(crate) fn read(
        &self,
        index: usize,
        wanted: &mut dyn FnMut(usize, usize) -> Region,
        room: &mut dyn FnMut(u64) -> Result<(), DataError>,
        scratch: &mut ReadScratch,
    ) -> Result<(), DataError> {
        let mut start = Instant::now();
        let ReadScratch { bytes, jpeg, cut, times } = scratch;
        room(self.length(index)?)?;
        let stored = self.stored(index, bytes)?;
        lap(&mut start, &mut times.read);
        let file = match stored {
            Stored::File(file) => file,
            Stored::Pixels(pixels, shape) => {
                let Shape { width, height, .. } = shape;
                room(width as u64 * height as u64 * 3)?;
                let region = wanted(width, height);
                cut.pixels.clear();
                if shape.order == Order::Rgb {
                    cut.region = region;
                    let rows = pixels.chunks_exact(width * 3).skip(region.top).take(region.height);
                    let part = region.left * 3..(region.left + region.width) * 3;
                    rows.for_each(|row| cut.pixels.extend_from_slice(&row[part.clone()]));
                } else {
                    cut.region = Region { left: 0, top: 0, width, height };
                    shape.to_rgb(pixels, &mut cut.pixels);
                }
                lap(&mut start, &mut times.copy);
                return Ok(());
            }
        };
        let facts = probe(file);
        // More pixels than the limit are refused before any memory is taken for them.
        if facts.size.is_none_or(|(width, height)| width.saturating_mul(height) <= PIXEL_LIMIT) {
            room(decoding(&facts, file.len() as u64))?;
        }
        // The name is only made for an error: paths are long and images are many.
        let decoded = match self.orientation {
            Orientation::Exif => decode_upright(file, wanted, jpeg, cut),
            Orientation::Stored => decode_into(file, "", wanted, jpeg, cut),
        };
        lap(&mut start, &mut times.decode);
        decoded.map_err(|error| error.at(self.name(index)))
    }
}

/// Decodes a file and turns it as its EXIF data says.
fn decode_upright(
    file: &[u8],
    wanted: &mut dyn FnMut(usize, usize) -> Region,
    jpeg: &mut Baseline,
    cut: &mut Cut,
) -> Result<(), DataError> {
    let orientation = exif::orientation(file);
    if orientation == 1 {
        return decode_into(file, "", wanted, jpeg, cut);
    }
    let whole = &mut |width, height| Region { left: 0, top: 0, width, height };
    decode_into(file, "", whole, jpeg, cut)?;
    let Region { width, height, .. } = cut.region;
    let stored = RgbImage { width, height, pixels: std::mem::take(&mut cut.pixels) };
    let upright = stored.upright(orientation);
    wanted(upright.width, upright.height);
    cut.region = Region::whole(&upright);
    cut.pixels = upright.pixels;
    Ok(())
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

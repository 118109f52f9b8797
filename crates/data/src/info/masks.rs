//! The facts about images with masks: pixels of each class, and a sheet of images with their masks.

use super::{GAP, paste};
use crate::check::Watch;
use crate::image::RgbImage;
use crate::parallel::in_order;
use crate::resize::resize;
use crate::thumbnail::{fitted, png};
use crate::{Dataset, IGNORED, ImageSet, MaskFile};

/// Counts of a dataset of images with masks. Training comes first, then validation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskInfo {
    /// Pixels of each class.
    pub pixels: Vec<[u64; 2]>,
    /// Images in which each class is.
    pub images: Vec<[usize; 2]>,
    /// Pixels that no loss and no measure counts.
    pub ignored: [u64; 2],
    /// Images that do not decode or whose mask does not fit; nothing else counts them.
    pub unusable: usize,
}

/// Reads every mask with this many threads; None when `watch` ends it early.
pub fn mask_info(dataset: &Dataset<MaskFile>, threads: usize, watch: Watch) -> Option<MaskInfo> {
    let Dataset { classes, train, validation, .. } = dataset;
    let count = train.len() + validation.len();
    let place = |number: usize| match number.checked_sub(train.len()) {
        None => (0, train, number),
        Some(index) => (1, validation, index),
    };
    let look = |number: usize, (): &mut ()| {
        let (_, set, index) = place(number);
        let mask = mask_of(set, index)?.1;
        let (mut pixels, mut ignored) = (vec![0u64; classes.len()], 0);
        for class in mask {
            match class {
                IGNORED => ignored += 1,
                class => pixels[usize::from(class)] += 1,
            }
        }
        Some((pixels, ignored))
    };
    let empty = vec![[0; 2]; classes.len()];
    let images = vec![[0; 2]; classes.len()];
    let mut info = MaskInfo { pixels: empty, images, ..MaskInfo::default() };
    let mut done = 0;
    in_order(count, &mut vec![(); threads.max(1)], look, |number, found| {
        done = number + 1;
        let (part, ..) = place(number);
        match found {
            None => info.unusable += 1,
            Some((pixels, ignored)) => {
                info.ignored[part] += ignored;
                for (class, pixels) in pixels.into_iter().enumerate() {
                    info.pixels[class][part] += pixels;
                    info.images[class][part] += usize::from(pixels > 0);
                }
            }
        }
        watch(done, count)
    });
    (done == count).then_some(info)
}

/// An image and the classes of its pixels, where both are sound.
fn mask_of(set: &ImageSet<MaskFile>, index: usize) -> Option<(RgbImage, Vec<u16>)> {
    let image = set.image(index).ok()?;
    let mask = set.annotation(index).read([image.width, image.height]).ok()?;
    Some((image, mask.indices))
}

/// A PNG of up to `rows` × `columns` training images, spread over all, each as `drawn` makes it of the image and its classes,
/// within a square of `side` pixels.
pub fn mask_sheet(
    dataset: &Dataset<MaskFile>,
    [rows, columns]: [usize; 2],
    side: usize,
    drawn: impl Fn(&RgbImage, &[u16]) -> RgbImage,
) -> Vec<u8> {
    let set = &dataset.train;
    let shown = set.len().min(rows * columns);
    let (columns, rows) = (columns.min(shown), shown.div_ceil(columns));
    let cell = side + GAP;
    let (width, height) = (columns * cell + GAP, rows * cell + GAP);
    let mut sheet = RgbImage { width, height, pixels: vec![255; width * height * 3] };
    for place in 0..shown {
        let Some((image, mask)) = mask_of(set, place * set.len() / shown) else { continue };
        let [width, height] = fitted(image.width, image.height, side);
        let picture = resize(&drawn(&image, &mask), width, height);
        let left = GAP + place % columns * cell + (side - width) / 2;
        let top = GAP + place / columns * cell + (side - height) / 2;
        paste(&picture, &mut sheet, left, top);
    }
    png(&sheet)
}

//! The facts about a dataset: counts, sizes, and mean and standard deviation of its pixels.

mod masks;

use std::ops::ControlFlow;

use crate::check::Watch;
use crate::dataset::{Dataset, ImageSet};
use crate::image::RgbImage;
use crate::parallel::in_order;
use crate::resize::resize;
use crate::thumbnail::{fitted, png};

pub use masks::{MaskInfo, mask_info, mask_sheet};

/// Counts and statistics of a dataset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatasetInfo {
    /// Training and validation images of each class.
    pub images: Vec<[usize; 2]>,
    /// Bytes of the images as they are stored.
    pub bytes: u64,
    /// Images that do not decode. The numbers below leave them out.
    pub unreadable: usize,
    /// Minimum, median and maximum over all images.
    pub width: [usize; 3],
    pub height: [usize; 3],
    /// Mean of the training images' pixels, from 0 to 255; every image has the same weight.
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

/// Sums over the pixels of an image.
#[derive(Clone, Copy)]
struct Sums {
    width: usize,
    height: usize,
    /// Mean of the values and of their squares.
    mean: [f64; 3],
    square: [f64; 3],
}

impl Sums {
    /// In whole numbers, so exact for any image below the pixel limit.
    fn of(image: &RgbImage) -> Sums {
        let (mut sum, mut square) = ([0u64; 3], [0u64; 3]);
        for pixel in image.pixels.as_chunks::<3>().0 {
            for ((sum, square), &value) in sum.iter_mut().zip(&mut square).zip(pixel) {
                let value = u64::from(value);
                *sum += value;
                *square += value * value;
            }
        }
        let count = (image.width * image.height) as f64;
        let mean = |sums: [u64; 3]| sums.map(|sum| sum as f64 / count);
        Sums { width: image.width, height: image.height, mean: mean(sum), square: mean(square) }
    }
}

/// Decodes every image with this many threads; None when `watch` ends it early. The result does not depend on the number
/// of threads.
pub fn info(dataset: &Dataset, threads: usize, watch: Watch) -> Option<DatasetInfo> {
    let Dataset { classes, train, validation, .. } = dataset;
    let count = train.len() + validation.len();
    let place = |number: usize| match number.checked_sub(train.len()) {
        None => (train, number),
        Some(index) => (validation, index),
    };
    let mut info = DatasetInfo { images: vec![[0; 2]; classes.len()], ..DatasetInfo::default() };
    for (at, part) in [train, validation].into_iter().enumerate() {
        (0..part.len()).for_each(|index| info.images[part.label(index) as usize][at] += 1);
        info.bytes += part.bytes().unwrap_or(0);
    }
    let (mut widths, mut heights) = (Vec::new(), Vec::new());
    let (mut mean, mut square, mut used, mut done) = ([0.0; 3], [0.0; 3], 0.0, 0);
    let look = |number: usize, (): &mut ()| {
        let (part, index) = place(number);
        part.image(index).ok().map(|image| Sums::of(&image))
    };
    in_order(count, &mut vec![(); threads.max(1)], look, |number, sums| {
        done = number + 1;
        match sums {
            None => info.unreadable += 1,
            Some(sums) => {
                widths.push(sums.width);
                heights.push(sums.height);
                if number < train.len() {
                    used += 1.0;
                    let both = mean.iter_mut().zip(sums.mean);
                    both.chain(square.iter_mut().zip(sums.square)).for_each(|(to, by)| *to += by);
                }
            }
        }
        watch(done, count)
    });
    if done < count {
        return None;
    }
    info.width = spread(widths);
    info.height = spread(heights);
    if used > 0.0 {
        info.mean = mean.map(|sum| sum / used);
        let deviation = |square: f64, mean: f64| (square / used - mean * mean).max(0.0).sqrt();
        info.std = [0, 1, 2].map(|channel| deviation(square[channel], info.mean[channel]));
    }
    Some(info)
}

/// Minimum, median and maximum.
fn spread(mut values: Vec<usize>) -> [usize; 3] {
    values.sort_unstable();
    let at = |place: usize| values.get(place).copied().unwrap_or(0);
    [at(0), at(values.len() / 2), at(values.len().saturating_sub(1))]
}

/// Space between pictures.
const GAP: usize = 4;

/// A PNG with a row for each of the first `rows` classes and in it up to `columns` of its training images, spread over
/// the class, each within a square of `side` pixels. An image that does not decode leaves its square empty.
pub fn contact_sheet(dataset: &Dataset, rows: usize, columns: usize, side: usize) -> Vec<u8> {
    let rows = rows.min(dataset.classes.len());
    let classes: Vec<Vec<usize>> =
        (0..rows).map(|row| of_class(&dataset.train, row as u32)).collect();
    let columns = columns.min(classes.iter().map(Vec::len).max().unwrap_or(0));
    let cell = side + GAP;
    let (width, height) = (columns * cell + GAP, rows * cell + GAP);
    let mut sheet = RgbImage { width, height, pixels: vec![255; width * height * 3] };
    for (row, class) in classes.iter().enumerate() {
        for column in 0..columns.min(class.len()) {
            let index = class[column * class.len() / columns.min(class.len())];
            if let Ok(image) = dataset.train.image(index) {
                let [width, height] = fitted(image.width, image.height, side);
                let picture = resize(&image, width, height);
                let left = GAP + column * cell + (side - width) / 2;
                let top = GAP + row * cell + (side - height) / 2;
                paste(&picture, &mut sheet, left, top);
            }
        }
    }
    png(&sheet)
}

fn of_class(part: &ImageSet, label: u32) -> Vec<usize> {
    (0..part.len()).filter(|&index| part.label(index) == label).collect()
}

fn paste(picture: &RgbImage, into: &mut RgbImage, left: usize, top: usize) {
    for (y, row) in picture.pixels.chunks_exact(picture.width * 3).enumerate() {
        let start = ((top + y) * into.width + left) * 3;
        into.pixels[start..start + row.len()].copy_from_slice(row);
    }
}

/// A `watch` that never ends the work.
pub fn unwatched(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

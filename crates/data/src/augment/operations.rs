//! Operations on 8-bit images, as Pillow 13 does them: `ImageOps`, `ImageEnhance`, `Image.rotate` and `Image.transform`
//! with the nearest pixel.

use crate::image::RgbImage;

/// An operation with its strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ImageOperation {
    Identity,
    /// Each channel stretched to 0..=255.
    AutoContrast,
    /// Each channel's histogram made flat.
    Equalize,
    /// Counter-clockwise around the center, degrees.
    Rotate(f64),
    /// Levels from here on are inverted.
    Solarize(u16),
    /// Bits that stay.
    Posterize(u32),
    /// x ↦ grey + c (x − grey), by the pixel's own grey: 0 is grey, 1 changes nothing. The authors' saturation.
    Color(f32),
    /// The same by the image's mean grey.
    Contrast(f32),
    /// x ↦ c x.
    Brightness(f32),
    /// x ↦ smooth + c (x − smooth).
    Sharpness(f32),
    /// x ↦ x + s y in the source of each pixel.
    ShearX(f64),
    ShearY(f64),
    /// Pixels by which the source lies to the right; and below.
    TranslateX(i64),
    TranslateY(i64),
}

impl ImageOperation {
    /// Changes the image; `fill` is what pixels from outside it become.
    pub fn apply(self, image: &mut RgbImage, fill: [u8; 3]) {
        match self {
            ImageOperation::Identity => {}
            ImageOperation::AutoContrast => by_channel(image, stretched),
            ImageOperation::Equalize => by_channel(image, equalized),
            ImageOperation::Solarize(threshold) => {
                by_level(
                    image,
                    |level| {
                        if u16::from(level) < threshold { level } else { 255 - level }
                    },
                )
            }
            ImageOperation::Posterize(bits) => {
                by_level(image, |level| level & !(((1u16 << (8 - bits)) - 1) as u8));
            }
            ImageOperation::Color(c) => blend(image, c, |pixel| [grey(pixel); 3]),
            ImageOperation::Contrast(c) => {
                let mean = mean_grey(image);
                blend(image, c, |_| [mean; 3]);
            }
            ImageOperation::Brightness(c) => blend(image, c, |_| [0; 3]),
            ImageOperation::Sharpness(c) => sharpen(image, c),
            ImageOperation::Rotate(degrees) => rotate(image, degrees, fill),
            ImageOperation::ShearX(s) => transform(image, [1.0, s, 0.0, 0.0, 1.0, 0.0], fill),
            ImageOperation::ShearY(s) => transform(image, [1.0, 0.0, 0.0, s, 1.0, 0.0], fill),
            ImageOperation::TranslateX(x) => translate(image, [x, 0], fill),
            ImageOperation::TranslateY(y) => translate(image, [0, y], fill),
        }
    }
}

fn by_level(image: &mut RgbImage, new: impl Fn(u8) -> u8) {
    image.pixels.iter_mut().for_each(|value| *value = new(*value));
}

/// Maps each channel by a table made of its histogram.
fn by_channel(image: &mut RgbImage, table: impl Fn(&[u64; 256]) -> [u8; 256]) {
    for channel in 0..3 {
        let mut histogram = [0u64; 256];
        for pixel in image.pixels.chunks_exact(3) {
            histogram[usize::from(pixel[channel])] += 1;
        }
        let table = table(&histogram);
        for pixel in image.pixels.chunks_exact_mut(3) {
            pixel[channel] = table[usize::from(pixel[channel])];
        }
    }
}

fn unchanged() -> [u8; 256] {
    std::array::from_fn(|level| level as u8)
}

fn stretched(histogram: &[u64; 256]) -> [u8; 256] {
    let low = histogram.iter().position(|&count| count > 0).unwrap_or(0);
    let high = histogram.iter().rposition(|&count| count > 0).unwrap_or(0);
    if high <= low {
        return unchanged();
    }
    let scale = 255.0 / (high - low) as f64;
    let offset = -(low as f64) * scale;
    // The conversion keeps to 0..=255.
    std::array::from_fn(|level| (level as f64 * scale + offset) as u8)
}

fn equalized(histogram: &[u64; 256]) -> [u8; 256] {
    let last = histogram.iter().rev().find(|&&count| count > 0).copied().unwrap_or(0);
    let step = (histogram.iter().sum::<u64>() - last) / 255;
    if step == 0 {
        return unchanged();
    }
    let mut before = step / 2;
    std::array::from_fn(|level| {
        let new = (before / step).min(255) as u8;
        before += histogram[level];
        new
    })
}

/// 0.299 R + 0.587 G + 0.114 B in whole numbers.
fn grey(pixel: [u8; 3]) -> u8 {
    let [r, g, b] = pixel.map(u32::from);
    ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8
}

fn mean_grey(image: &RgbImage) -> u8 {
    let greys = image.pixels.as_chunks::<3>().0.iter().map(|&pixel| u64::from(grey(pixel)));
    let pixels = (image.width * image.height).max(1) as f64;
    (greys.sum::<u64>() as f64 / pixels + 0.5) as u8
}

/// other + c (x − other), truncated and kept to 0..=255.
fn mixed(c: f32, x: u8, other: u8) -> u8 {
    let (x, other) = (f32::from(x), f32::from(other));
    (other + c * (x - other)) as u8
}

fn blend(image: &mut RgbImage, c: f32, other: impl Fn([u8; 3]) -> [u8; 3]) {
    for pixel in image.pixels.as_chunks_mut::<3>().0 {
        let other = other(*pixel);
        *pixel = std::array::from_fn(|channel| mixed(c, pixel[channel], other[channel]));
    }
}

/// Against the mean of 3×3 pixels in which the middle one counts five times; a border has none and stays.
fn sharpen(image: &mut RgbImage, c: f32) {
    let (row, source) = (image.width * 3, image.pixels.clone());
    for y in 1..image.height.saturating_sub(1) {
        for at in y * row + 3..(y + 1) * row - 3 {
            let mut smooth = 0.5f32;
            for start in [at + row, at, at - row] {
                let middle = if start == at { 5.0f32 } else { 1.0 };
                let weights = [1.0f32, middle, 1.0].map(|weight| weight / 13.0);
                let values = [start - 3, start, start + 3].map(|at| f32::from(source[at]));
                smooth += values[0] * weights[0] + values[1] * weights[1] + values[2] * weights[2];
            }
            image.pixels[at] = mixed(c, source[at], smooth as u8);
        }
    }
}

fn rotate(image: &mut RgbImage, degrees: f64, fill: [u8; 3]) {
    let angle = -degrees.rem_euclid(360.0).to_radians();
    let digits = |value: f64| (value * 1e15).round() / 1e15;
    let (cos, sin) = (digits(angle.cos()), digits(angle.sin()));
    let (x, y) = (image.width as f64 / 2.0, image.height as f64 / 2.0);
    let matrix = [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y];
    transform(image, matrix, fill);
}

/// Each pixel (x, y) becomes the one at (a x + b y + c, d x + e y + f), of the matrix [a, b, c, d, e, f]; positions are
/// of pixels' centers, in steps of 1/65536.
fn transform(image: &mut RgbImage, matrix: [f64; 6], fill: [u8; 3]) {
    let [a, b, c, d, e, f] = matrix;
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    let start = [fixed(c + 0.5 * a + 0.5 * b), fixed(f + 0.5 * d + 0.5 * e)];
    let ([a, b], [d, e]) = ([a, b].map(fixed), [d, e].map(fixed));
    take(image, fill, |x, y| {
        let at = [start[0] + a * x + b * y, start[1] + d * x + e * y];
        at.map(|position| position >> 16)
    });
}

fn translate(image: &mut RgbImage, [right, down]: [i64; 2], fill: [u8; 3]) {
    take(image, fill, |x, y| [x + right, y + down]);
}

/// Each pixel becomes the one at `source(x, y)`.
fn take(image: &mut RgbImage, fill: [u8; 3], source: impl Fn(i64, i64) -> [i64; 2]) {
    let (width, height) = (image.width as i64, image.height as i64);
    let mut moved = Vec::with_capacity(image.pixels.len());
    for y in 0..height {
        for x in 0..width {
            let [from_x, from_y] = source(x, y);
            let inside = (0..width).contains(&from_x) && (0..height).contains(&from_y);
            let pixel = match inside {
                true => &image.pixels[(from_y * width + from_x) as usize * 3..][..3],
                false => &fill,
            };
            moved.extend_from_slice(pixel);
        }
    }
    image.pixels = moved;
}

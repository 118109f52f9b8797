//! §6.2: the authors' chain for segmentation: flip, scale, pad, crop, blur.
//!
//! The shorter side becomes s, uniform among the whole numbers of a range, the longer one ⌊s · long/short⌋. Where a side is
//! now shorter than the crop, black pixels are added at the right or the bottom. The crop is uniform among all positions. A
//! Gaussian blur of a uniform radius comes last, in 8 bits.
//!
//! Deviation: the flip comes after the resize here, as everywhere; only a mask's pixels at equal distance from two show it.

use rand_chacha::rand_core::RngCore;
use recipe::Normalize;

use crate::random::{below, between};
use crate::resize::{Geometry, Region, to_shorter};

use super::flip;

/// How images and masks become crops of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledCrop {
    /// Side of the crop, pixels.
    pub crop: usize,
    /// The least and the greatest length of the shorter side.
    pub shorter: [usize; 2],
    /// The probability of a flip.
    pub flip: Option<f64>,
    pub blur: Option<GaussianBlur>,
    pub normalize: Normalize,
}

/// A blur of some of the images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianBlur {
    pub probability: f64,
    /// The greatest radius, the standard deviation in pixels; the least is 0.
    pub radius: f64,
}

impl ScaledCrop {
    /// Draws the geometry of an image of width × height, and the radius of its blur: flip, scale, column, row, blur, radius.
    /// The window may be smaller than the crop.
    pub(super) fn draw(
        &self,
        width: usize,
        height: usize,
        rng: &mut impl RngCore,
    ) -> (Geometry, Option<f64>) {
        let mirrored = self.flip.is_some_and(|probability| flip::draw(probability, rng));
        let [least, most] = self.shorter;
        let shorter = least + below(rng, (most - least + 1) as u64) as usize;
        let size = to_shorter(width, height, shorter);
        let [(left, wide), (top, high)] = size.map(|edge| {
            let room = edge.saturating_sub(self.crop);
            (below(rng, room as u64 + 1) as usize, edge.min(self.crop))
        });
        let window = Region { left, top, width: wide, height: high };
        let region = Region { left: 0, top: 0, width, height };
        let radius = self.blur.and_then(|blur| {
            let is_on = between(rng, [0.0, 1.0]) < blur.probability;
            is_on.then(|| between(rng, [0.0, blur.radius]))
        });
        (Geometry { region, size, window, mirrored }, radius)
    }
}

/// Copies an image of `[width, height]` to the top left of a black one of `side` × `side`.
pub(super) fn padded(pixels: &[u8], [width, _]: [usize; 2], side: usize) -> Vec<u8> {
    let mut black = vec![0; side * side * 3];
    let rows = black.chunks_exact_mut(side * 3).zip(pixels.chunks_exact(width * 3));
    rows.for_each(|(to, from)| to[..width * 3].copy_from_slice(from));
    black
}

/// Blurs an image of rows of `width` pixels as Pillow's `GaussianBlur`: three box blurs along the rows, then three along the
/// columns, each rounded to 8 bits. A box of radius l + a, with l whole, weighs the two pixels at its ends by a.
pub(super) fn blur(pixels: &mut Vec<u8>, width: usize, radius: f64) {
    let Some(kernel) = BoxKernel::of(radius as f32) else { return };
    let height = pixels.len() / 3 / width;
    let mut other = vec![0; pixels.len()];
    for (rows, length) in [(height, width), (width, height)] {
        for _ in 0..PASSES {
            for (from, to) in
                pixels.chunks_exact(length * 3).zip(other.chunks_exact_mut(length * 3))
            {
                kernel.line(from, to);
            }
            std::mem::swap(pixels, &mut other);
        }
        transpose(pixels, length, rows, &mut other);
        std::mem::swap(pixels, &mut other);
    }
}

const PASSES: usize = 3;
/// Fractional bits of a weight.
const FRACTION: u32 = 24;

struct BoxKernel {
    /// Whole pixels on each side of the middle one.
    reach: usize,
    inner: u32,
    outer: u32,
}

impl BoxKernel {
    /// The box of which three passes are a Gaussian of this standard deviation (Gwosdek et al. 2011); None where it is a
    /// point.
    fn of(radius: f32) -> Option<BoxKernel> {
        let variance = radius * radius / PASSES as f32;
        let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
        let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
        let mut rest = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance);
        rest /= 6.0 * (variance - (whole + 1.0) * (whole + 1.0));
        let radius = whole + rest;
        if radius <= 0.0 {
            return None;
        }
        let reach = radius as usize;
        let one = (1u32 << FRACTION) as f32;
        let inner = (one / (radius * 2.0 + 1.0)) as u32;
        let outer = ((1 << FRACTION) - (reach as u32 * 2 + 1) * inner) / 2;
        Some(BoxKernel { reach, inner, outer })
    }

    /// One line of pixels. What lies outside is the pixel at the end.
    fn line(&self, from: &[u8], to: &mut [u8]) {
        let last = from.len() / 3 - 1;
        let reach = self.reach as isize;
        for channel in 0..3 {
            let at = |x: isize| u32::from(from[x.clamp(0, last as isize) as usize * 3 + channel]);
            let mut sum: u32 = (-reach - 1..reach).map(at).sum();
            for x in 0..=last as isize {
                sum = sum + at(x + reach) - at(x - reach - 1);
                let ends = at(x - reach - 1) + at(x + reach + 1);
                let value = sum * self.inner + ends * self.outer;
                to[x as usize * 3 + channel] = ((value + (1 << (FRACTION - 1))) >> FRACTION) as u8;
            }
        }
    }
}

/// Turns `rows` rows of `width` pixels into columns.
fn transpose(from: &[u8], width: usize, rows: usize, to: &mut [u8]) {
    for (y, row) in from.chunks_exact(width * 3).enumerate() {
        for (x, pixel) in row.chunks_exact(3).enumerate() {
            to[(x * rows + y) * 3..][..3].copy_from_slice(pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, at};

    fn chain() -> ScaledCrop {
        ScaledCrop {
            crop: 48,
            shorter: [26, 104],
            flip: Some(0.5),
            blur: Some(GaussianBlur { probability: 0.5, radius: 1.0 }),
            normalize: Normalize { mean: [0.0; 3], std: [1.0; 3] },
        }
    }

    #[test]
    fn every_draw_is_a_crop_of_the_scaled_image_and_reaches_all_ends() {
        let mut rng = at(1, Stream::Augment, 0, 0);
        let (mut shorter, mut flips, mut blurs) = (Vec::new(), 0, 0);
        for _ in 0..4000 {
            let (geometry, radius) = chain().draw(40, 30, &mut rng);
            let Geometry { size: [width, height], window, mirrored, .. } = geometry;
            assert_eq!(width, height * 40 / 30);
            assert!((26..=104).contains(&height));
            assert_eq!([window.width, window.height], [width.min(48), height.min(48)]);
            assert!(window.left + window.width <= width && window.top + window.height <= height);
            shorter.push(height);
            flips += usize::from(mirrored);
            blurs += usize::from(radius.is_some());
            assert!(radius.is_none_or(|radius| (0.0..1.0).contains(&radius)));
        }
        assert!(shorter.contains(&26) && shorter.contains(&104));
        assert!([flips, blurs].iter().all(|count| (1850..2150).contains(count)), "{flips} {blurs}");
    }

    #[test]
    fn padding_is_black_at_the_right_and_the_bottom() {
        let padded = padded(&[1, 2, 3, 4, 5, 6], [1, 2], 3);
        let rows: Vec<&[u8]> = padded.chunks_exact(9).collect();
        assert_eq!(rows[0], [1, 2, 3, 0, 0, 0, 0, 0, 0]);
        assert_eq!(rows[1], [4, 5, 6, 0, 0, 0, 0, 0, 0]);
        assert_eq!(rows[2], [0; 9]);
    }

    /// Each case is a radius and the pixels that Pillow makes of the image (`refs/segment_vectors.py`).
    #[test]
    fn the_blur_has_pillows_bits() {
        let image: Vec<u8> =
            (0..7 * 5 * 3u32).map(|i| ((i * i * 37 + i * 11) % 256) as u8).collect();
        let cases = include_bytes!("../../testdata/blur.bin").chunks_exact(8 + image.len());
        assert_eq!(cases.len(), 9);
        for case in cases {
            let radius = f64::from_le_bytes(*case.first_chunk().unwrap());
            let mut pixels = image.clone();
            blur(&mut pixels, 7, radius);
            assert_eq!(pixels, case[8..], "radius {radius}");
        }
    }
}

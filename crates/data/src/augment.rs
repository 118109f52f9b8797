//! §2.1, "we perform the following steps one-by-one": from an image to the numbers the network sees.
//!
//! 1 decode · 2 crop and resize · 3 flip · 4 colour · 5 PCA noise · 6 normalise. RandAugment and the authors' jitter act on
//! the 8-bit image between 3 and 4, random erasing after 6. Each step that draws does so from one generator, in this
//! order, whether or not a later step is on; a step that is off draws nothing.

mod color;
mod crop;
mod erasing;
mod flip;
mod jitter;
mod normalize;
mod operations;
mod pca_noise;
mod randaugment;
mod scaled_crop;
mod shorter_side;

use std::time::Instant;

use rand_chacha::rand_core::RngCore;
use recipe::{Interpolation, Normalize, Preprocess, Validation};

use crate::image::RgbImage;
use crate::resize::{Geometry, Region, Resizer, View, to_shorter};
use crate::times::{Times, lap};
use normalize::Affine;
pub use operations::ImageOperation;
pub use scaled_crop::{GaussianBlur, ScaledCrop};
pub use shorter_side::ShorterSide;

/// Memory that a thread uses again for every image.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    resizer: Resizer,
    resized: Vec<u8>,
    row: Vec<f32>,
    pub(crate) times: Times,
}

/// What steps 2 to 6 do to one image: known from its size alone, so before it is decoded.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    geometry: Geometry,
    interpolation: Interpolation,
    /// What happens to the 8-bit image after step 3, in this order.
    operations: Vec<ImageOperation>,
    /// The mean pixel, which they bring in from outside.
    fill: [u8; 3],
    affine: Affine,
    erased: Option<Region>,
    canvas: Option<Canvas>,
}

/// A square that the window lies in, at its top left, on black; and what happens to all of it.
#[derive(Clone, Debug)]
struct Canvas {
    side: usize,
    /// The radius of a Gaussian blur, in pixels.
    blur: Option<f64>,
}

impl Sample {
    /// Draws the steps of training a classifier, for an image of width × height.
    pub(crate) fn train(
        p: &Preprocess,
        width: usize,
        height: usize,
        rng: &mut impl RngCore,
    ) -> Sample {
        let region = match &p.crop {
            Some(crop) => crop::region(crop, width, height, rng),
            // Without step 2, the largest centred square: what validation sees when resize = crop.
            None => crop::centered([1.0, 1.0], width, height),
        };
        let mirrored = p.flip.is_some_and(|probability| flip::draw(probability, rng));
        let operations = operations(p, rng);
        let color = p.color.as_ref();
        let color = color.map_or(color::IDENTITY, |color| color::matrix(color::draw(color, rng)));
        let pca =
            p.pca_noise.map_or([0.0; 3], |sigma| pca_noise::offset(pca_noise::draw(sigma, rng)));
        let erased = p.erasing.as_ref().and_then(|by| erasing::draw(by, p.side(), rng));
        let window = Region { left: 0, top: 0, width: p.side(), height: p.side() };
        let geometry = Geometry { region, size: [p.side(), p.side()], window, mirrored };
        let fill = p.normalize.mean.map(|mean| mean.round() as u8);
        let (affine, canvas) = (Affine::new(color, pca, &p.normalize), None);
        let interpolation = p.interpolation();
        Sample { geometry, interpolation, operations, fill, affine, erased, canvas }
    }

    /// Validation, which draws nothing.
    pub(crate) fn validation(
        v: &Validation,
        n: &Normalize,
        interpolation: Interpolation,
        width: usize,
        height: usize,
    ) -> Sample {
        let (size, window) = validation_geometry(v, width, height);
        let region = Region { left: 0, top: 0, width, height };
        let geometry = Geometry { region, size, window, mirrored: false };
        Sample { interpolation, ..Sample::plain(geometry, n) }
    }

    /// Draws the steps for an image that is resized as a whole, of width × height.
    pub(crate) fn whole(
        by: &ShorterSide,
        width: usize,
        height: usize,
        rng: &mut impl RngCore,
    ) -> Sample {
        let size = by.size(width, height);
        let mirrored = by.flip.is_some_and(|probability| flip::draw(probability, rng));
        let region = Region { left: 0, top: 0, width, height };
        let window = Region { left: 0, top: 0, width: size[0], height: size[1] };
        let geometry = Geometry { region, size, window, mirrored };
        Sample::plain(geometry, &by.normalize)
    }

    /// Draws the steps of training a segmentation, for an image of width × height.
    pub(crate) fn scaled_crop(
        by: &ScaledCrop,
        width: usize,
        height: usize,
        rng: &mut impl RngCore,
    ) -> Sample {
        let (geometry, blur) = by.draw(width, height, rng);
        let canvas = Some(Canvas { side: by.crop, blur });
        Sample { canvas, ..Sample::plain(geometry, &by.normalize) }
    }

    /// A sample that only its geometry and its normalization change.
    fn plain(geometry: Geometry, normalize: &Normalize) -> Sample {
        let (operations, fill, erased) = (Vec::new(), [0; 3], None);
        let (interpolation, affine) = (Interpolation::Bilinear, Affine::normalize(normalize));
        Sample { geometry, interpolation, operations, fill, affine, erased, canvas: None }
    }

    /// Height and width.
    pub(crate) fn size(&self) -> [usize; 2] {
        let Region { width, height, .. } = self.geometry.window;
        self.canvas.as_ref().map_or([height, width], |canvas| [canvas.side; 2])
    }

    /// What happens to positions in the image.
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The pixels that the sample is made of.
    pub(crate) fn needed(&self) -> Region {
        self.geometry.needed(self.interpolation)
    }

    /// Makes the sample of an image, of which only what is needed has to be there.
    pub(crate) fn write(&self, scratch: &mut Scratch, image: View, out: &mut [f32]) {
        let ([high, wide], window) = (self.size(), self.geometry.window);
        assert_eq!(out.len(), wide * high * 3, "room for {wide}×{high} RGB values");
        let Region { width, height, .. } = window;
        let Scratch { resizer, resized, row, times } = scratch;
        let mut start = Instant::now();
        resizer.run(image, &self.geometry, self.interpolation, resized);
        lap(&mut start, &mut times.resize);
        if !self.operations.is_empty() {
            let pixels = std::mem::take(resized);
            let mut image = RgbImage { width, height, pixels };
            self.operations.iter().for_each(|operation| operation.apply(&mut image, self.fill));
            *resized = image.pixels;
        }
        if let Some(Canvas { side, blur }) = self.canvas {
            if [width, height] != [side; 2] {
                *resized = scaled_crop::padded(resized, [width, height], side);
            }
            if let Some(radius) = blur {
                scaled_crop::blur(resized, side, radius);
            }
        }
        self.affine.write(resized, wide, row, out);
        if let Some(region) = self.erased {
            erasing::erase(region, wide, out);
        }
        lap(&mut start, &mut times.color);
        times.images += 1;
    }
}

/// What happens to the 8-bit image after step 3, in this order.
fn operations(p: &Preprocess, rng: &mut impl RngCore) -> Vec<ImageOperation> {
    let mut operations = Vec::new();
    if let Some(by) = &p.randaugment {
        operations.extend(randaugment::draw(by, p.side(), rng));
    }
    if let Some(by) = &p.jitter {
        operations.extend(jitter::draw(by, rng));
    }
    operations
}

/// Steps 2 to 6 on a decoded image; `out` is size × size × 3, rows of RGB pixels.
pub fn train_sample(p: &Preprocess, image: &RgbImage, rng: &mut impl RngCore, out: &mut [f32]) {
    let sample = Sample::train(p, image.width, image.height, rng);
    sample.write(&mut Scratch::default(), image.into(), out);
}

/// What [`ScaledCrop`] makes of a decoded image; `out` is crop × crop × 3. The geometry is that of the image alone: what is
/// beside its window is padding.
pub fn scaled_crop_sample(
    by: &ScaledCrop,
    image: &RgbImage,
    rng: &mut impl RngCore,
    out: &mut [f32],
) -> Geometry {
    let sample = Sample::scaled_crop(by, image.width, image.height, rng);
    sample.write(&mut Scratch::default(), image.into(), out);
    *sample.geometry()
}

/// §2.1 validation: "we resize each image's shorter edge to 256 pixels while keeping its aspect ratio. Next, we
/// crop out the 224-by-224 region in the center and normalize RGB channels similar to training."
///
/// The longer edge becomes ⌊resize · long/short⌋, the crop starts at ⌊(edge − crop)/2⌉ (halves to even), as in
/// torchvision. `out` is crop × crop × 3.
pub fn validation_sample(
    v: &Validation,
    n: &Normalize,
    interpolation: Interpolation,
    image: &RgbImage,
    out: &mut [f32],
) -> Geometry {
    let sample = Sample::validation(v, n, interpolation, image.width, image.height);
    sample.write(&mut Scratch::default(), image.into(), out);
    *sample.geometry()
}

/// The size (width, height) of the resized image and the window that is cut from it.
fn validation_geometry(v: &Validation, width: usize, height: usize) -> ([usize; 2], Region) {
    assert!(v.crop <= v.resize, "a crop of {} from {} pixels", v.crop, v.resize);
    let size = to_shorter(width, height, v.resize);
    let [left, top] = size.map(|edge| ((edge - v.crop) as f64 / 2.0).round_ties_even() as usize);
    (size, Region { left, top, width: v.crop, height: v.crop })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, at};
    use crate::resize::resize_region;
    use recipe::{Color, Crop, Erasing, Jitter, RandAugment};

    const PAPER: Normalize =
        Normalize { mean: [123.68, 116.779, 103.939], std: [58.393, 57.12, 57.375] };

    fn paper(size: usize) -> Preprocess {
        let range = [0.6, 1.4];
        Preprocess {
            size: Some(size),
            interpolation: Some(Interpolation::Bilinear),
            crop: Some(Crop { area: [0.08, 1.0], aspect: [3.0 / 4.0, 4.0 / 3.0] }),
            flip: Some(0.5),
            randaugment: None,
            jitter: None,
            color: Some(Color { hue: range, saturation: range, brightness: range }),
            pca_noise: Some(0.1),
            normalize: PAPER,
            erasing: None,
        }
    }

    fn noise(width: usize, height: usize) -> RgbImage {
        let mut pixels = vec![0; width * height * 3];
        at(5, Stream::Init, 0, 0).fill_bytes(&mut pixels);
        RgbImage { width, height, pixels }
    }

    /// The paper's steps one by one, each over the whole image, in its own words.
    fn textbook(p: &Preprocess, image: &RgbImage, rng: &mut impl RngCore) -> Vec<f32> {
        let region = crop::region(&p.crop.unwrap(), image.width, image.height, rng);
        let resized = resize_region(image, region, [p.side(); 2], p.interpolation());
        let mut x: Vec<[f64; 3]> = resized
            .pixels
            .chunks_exact(3)
            .map(|pixel| [0, 1, 2].map(|channel| f64::from(pixel[channel])))
            .collect();
        if flip::draw(p.flip.unwrap(), rng) {
            x.chunks_exact_mut(p.side()).for_each(<[_]>::reverse);
        }
        let c = color::draw(&p.color.unwrap(), rng);
        let angle = (c.hue - 1.0) * std::f64::consts::PI;
        let alpha = pca_noise::draw(p.pca_noise.unwrap(), rng);
        for pixel in &mut x {
            let [r, g, b] = *pixel;
            let y = 0.299 * r + 0.587 * g + 0.114 * b;
            let (i, q) =
                (0.5959 * r - 0.2746 * g - 0.3213 * b, 0.2115 * r - 0.5227 * g + 0.3112 * b);
            let (i, q) = (i * angle.cos() - q * angle.sin(), i * angle.sin() + q * angle.cos());
            // The inverse of YIQ, by numpy.
            let hued = [
                y + 0.956_050_226 * i + 0.620_754_941 * q,
                y - 0.272_052_344 * i - 0.647_205_713 * q,
                y - 1.106_704_315 * i + 1.704_421_284 * q,
            ];
            let grey = 0.299 * hued[0] + 0.587 * hued[1] + 0.114 * hued[2];
            let saturated = hued.map(|v| c.saturation * v + (1.0 - c.saturation) * grey);
            let bright = saturated.map(|v| c.brightness * v);
            for channel in 0..3 {
                let noise: f64 = (0..3)
                    .map(|k| {
                        pca_noise::EIGENVECTORS[channel][k] * alpha[k] * pca_noise::EIGENVALUES[k]
                    })
                    .sum();
                let Normalize { mean, std } = p.normalize;
                pixel[channel] = (bright[channel] + noise - mean[channel]) / std[channel];
            }
        }
        x.into_iter().flatten().map(|v| v as f32).collect()
    }

    #[test]
    fn the_fused_pass_is_the_steps_one_by_one() {
        let image = noise(61, 47);
        for index in 0..40 {
            let interpolation =
                [Interpolation::Bilinear, Interpolation::Bicubic][(index % 2) as usize];
            let p = Preprocess { interpolation: Some(interpolation), ..paper(24) };
            let mut out = vec![0.0; 24 * 24 * 3];
            train_sample(&p, &image, &mut at(0, Stream::Augment, 0, index), &mut out);
            let expected = textbook(&p, &image, &mut at(0, Stream::Augment, 0, index));
            let worst = out.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-5, "sample {index} differs by {worst}");
        }
    }

    /// What is decoded of an image depends on the interpolation: a cubic reaches further.
    #[test]
    fn a_sample_reads_no_pixel_outside_of_what_it_says_it_needs() {
        let image = noise(61, 47);
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            let v = Validation { resize: 20, crop: 14 };
            let sample = Sample::validation(&v, &PAPER, interpolation, 61, 47);
            let needed = sample.needed();
            let whole = Region::whole(&image);
            let mut elsewhere = image.clone();
            for (at, pixel) in elsewhere.pixels.chunks_exact_mut(3).enumerate() {
                let (x, y) = (at % whole.width, at / whole.width);
                let is_needed = (needed.left..needed.left + needed.width).contains(&x)
                    && (needed.top..needed.top + needed.height).contains(&y);
                if !is_needed {
                    pixel.fill(0);
                }
            }
            let [mut found, mut expected] = [(); 2].map(|()| vec![0.0; 14 * 14 * 3]);
            sample.write(&mut Scratch::default(), (&elsewhere).into(), &mut found);
            sample.write(&mut Scratch::default(), (&image).into(), &mut expected);
            assert_ne!(elsewhere, image, "{interpolation} needs a part alone");
            assert_eq!(found, expected, "{interpolation}");
        }
    }

    #[test]
    fn with_every_step_off_the_centered_square_is_normalized() {
        let p = Preprocess { crop: None, flip: None, color: None, pca_noise: None, ..paper(8) };
        let image = noise(12, 8);
        let mut out = vec![0.0; 8 * 8 * 3];
        train_sample(&p, &image, &mut at(0, Stream::Augment, 0, 0), &mut out);
        let mut validated = out.clone();
        let v = Validation { resize: 8, crop: 8 };
        validation_sample(&v, &PAPER, Interpolation::Bilinear, &image, &mut validated);
        assert_eq!(out, validated);
        let first = f64::from(image.pixels[2 * 3]);
        assert!((f64::from(out[0]) - (first - 123.68) / 58.393).abs() < 1e-5);
    }

    #[test]
    fn a_flip_mirrors_the_same_crop() {
        let plain = Preprocess { color: None, pca_noise: None, flip: Some(0.0), ..paper(16) };
        let flipped = Preprocess { flip: Some(1.0), ..plain.clone() };
        let image = noise(40, 30);
        let run = |p: &Preprocess| {
            let mut out = vec![0.0; 16 * 16 * 3];
            train_sample(p, &image, &mut at(0, Stream::Augment, 0, 0), &mut out);
            out.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect::<Vec<_>>()
        };
        let mut mirrored = run(&flipped);
        mirrored.chunks_exact_mut(16).for_each(<[_]>::reverse);
        assert_eq!(run(&plain), mirrored);
    }

    /// Magnitude 0 leaves the histogram operations, which have no strength; erasing fills with the mean pixel.
    #[test]
    fn what_practitioners_add_acts_in_its_place() {
        let image = noise(40, 30);
        let run = |p: &Preprocess, index| {
            let mut out = vec![0.0; 16 * 16 * 3];
            train_sample(p, &image, &mut at(0, Stream::Augment, 0, index), &mut out);
            out
        };
        let plain =
            Preprocess { crop: None, flip: None, color: None, pca_noise: None, ..paper(16) };
        let range = [0.6, 1.4];
        let more = [
            Preprocess {
                randaugment: Some(RandAugment { operations: 2, magnitude: 9.0 }),
                ..plain.clone()
            },
            Preprocess {
                jitter: Some(Jitter { brightness: range, contrast: range, saturation: range }),
                ..plain.clone()
            },
        ];
        for p in &more {
            let changed = (0..20).filter(|&index| run(p, index) != run(&plain, index)).count();
            assert!(changed > 15, "{changed} of 20 by {p:?}");
            assert_eq!(run(p, 3), run(p, 3));
        }
        let erasing = Erasing { probability: 1.0, area: [0.3, 0.3], aspect: [1.0, 1.0] };
        let erased = run(&Preprocess { erasing: Some(erasing), ..plain.clone() }, 0);
        let whole = run(&plain, 0);
        let zeros = erased.iter().filter(|&&value| value == 0.0).count();
        assert_eq!(zeros, 9 * 9 * 3);
        assert!(erased.iter().zip(&whole).all(|(a, b)| a == b || *a == 0.0));
    }

    #[test]
    fn validation_geometry_is_torchvisions() {
        let v = Validation { resize: 256, crop: 224 };
        let cases = [
            ((500, 375), ([341, 256], (58, 16))),
            ((375, 500), ([256, 341], (16, 58))),
            ((100, 100), ([256, 256], (16, 16))),
            ((1, 1000), ([256, 256_000], (16, 127_888))),
            // (347 − 224)/2 = 61.5 rounds to the even 62, (345 − 224)/2 = 60.5 to 60.
            ((347, 256), ([347, 256], (62, 16))),
            ((345, 256), ([345, 256], (60, 16))),
        ];
        for ((width, height), (size, (left, top))) in cases {
            let (got, window) = validation_geometry(&v, width, height);
            assert_eq!((got, (window.left, window.top)), (size, (left, top)), "{width}×{height}");
        }
    }
}

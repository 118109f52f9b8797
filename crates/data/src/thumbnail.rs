//! Small copies of images, for people to look at.

use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder};

use crate::image::RgbImage;
use crate::resize::resize;

/// A PNG of the image whose longer edge is at most `side` pixels; a smaller image keeps its size. At least one pixel
/// stays of the shorter edge.
///
/// # Panics
/// On an image without pixels.
pub fn thumbnail(image: &RgbImage, side: usize) -> Vec<u8> {
    let [width, height] = fitted(image.width, image.height, side);
    png(&resize(image, width, height))
}

/// Width and height shrunk in proportion until the longer edge is at most `side`.
pub(crate) fn fitted(width: usize, height: usize, side: usize) -> [usize; 2] {
    let longer = width.max(height);
    assert!(longer > 0, "an image has pixels");
    if longer <= side {
        return [width, height];
    }
    [width, height].map(|edge| ((edge * side + longer / 2) / longer).max(1))
}

/// An image as a PNG file.
pub fn png(image: &RgbImage) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    let (width, height) = (image.width as u32, image.height as u32);
    let written = encoder.write_image(&image.pixels, width, height, ExtendedColorType::Rgb8);
    written.expect("memory takes every byte of a well-formed image");
    png.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn the_longer_edge_is_cut_to_size_and_small_images_stay() {
        for (size, side, expected) in [
            ((28, 28), 96, (28, 28)),
            ((192, 96), 96, (96, 48)),
            ((100, 300), 96, (32, 96)),
            ((5000, 2), 96, (96, 1)),
        ] {
            let (width, height) = size;
            let pixels = (0..width * height * 3).map(|index| (index % 251) as u8).collect();
            let image = RgbImage { width, height, pixels };
            let read = decode(&thumbnail(&image, side), "thumbnail").unwrap();
            assert_eq!((read.width, read.height), expected, "{size:?}");
            assert!(size != expected || read == image, "{size:?}");
        }
    }
}

//! Colors of classes, for people: Pascal VOC's rule, which takes the bits of a number in turn for red, green and blue.

use data::{IGNORED, RgbImage};

/// The color of a class; black is for what is ignored.
pub(crate) fn color(class: u16) -> [u8; 3] {
    if class == IGNORED {
        return [0; 3];
    }
    let (mut rest, mut color) = (usize::from(class) + 1, [0u8; 3]);
    for place in (0..8).rev() {
        for (channel, value) in color.iter_mut().enumerate() {
            *value |= ((rest >> channel & 1) as u8) << place;
        }
        rest >>= 3;
    }
    color
}

/// Classes of an image of `width` as colors.
pub fn colored(classes: &[u16], width: usize) -> RgbImage {
    let pixels = classes.iter().flat_map(|&class| color(class)).collect();
    RgbImage { width, height: classes.len() / width, pixels }
}

/// An image with the colors of its classes half over it.
pub fn overlay(image: &RgbImage, classes: &[u16]) -> RgbImage {
    let colors = classes.iter().flat_map(|&class| color(class));
    let pixels = image.pixels.iter().zip(colors).map(|(&a, b)| a.midpoint(b)).collect();
    RgbImage { pixels, ..*image }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_vocs_and_differ() {
        assert_eq!([color(0), color(1), color(2)], [[128, 0, 0], [0, 128, 0], [128, 128, 0]]);
        assert_eq!(color(14), [192, 128, 128]);
        let mut all: Vec<_> = (0..200).map(color).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 200);
    }

    #[test]
    fn an_overlay_is_half_image_and_half_color() {
        let image = RgbImage { width: 2, height: 1, pixels: vec![100, 100, 100, 0, 0, 0] };
        assert_eq!(overlay(&image, &[0, IGNORED]).pixels, [114, 50, 50, 0, 0, 0]);
        assert_eq!(colored(&[1, 0], 1).height, 2);
    }
}

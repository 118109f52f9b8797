//! Boxes drawn into an image.

use data::RgbImage;

use crate::answers::FoundBox;

/// Colors of the classes, told apart easily; they come again after the last one.
const COLORS: [[u8; 3]; 8] = [
    [230, 25, 75],
    [60, 180, 75],
    [0, 130, 200],
    [245, 130, 48],
    [145, 30, 180],
    [70, 240, 240],
    [240, 50, 230],
    [255, 225, 25],
];

/// The image with the edges of all boxes, the surest drawn last.
pub fn drawn(image: &RgbImage, found: &[FoundBox]) -> RgbImage {
    let RgbImage { width, height, .. } = *image;
    let mut pixels = image.pixels.clone();
    let thickness = (width.max(height) / 300).max(1);
    for one in found.iter().rev() {
        let color = COLORS[one.class as usize % COLORS.len()];
        let place = |edge: f32, most: usize| (edge.max(0.0) as usize).min(most.saturating_sub(1));
        let [x0, y0, x1, y1] = one.corners;
        let (left, right) = (place(x0, width), place(x1, width));
        let (top, bottom) = (place(y0, height), place(y1, height));
        for y in top..=bottom {
            for x in left..=right {
                let from_side = (x - left).min(right - x).min(y - top).min(bottom - y);
                if from_side < thickness {
                    pixels[(y * width + x) * 3..][..3].copy_from_slice(&color);
                }
            }
        }
    }
    RgbImage { width, height, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_drawn_and_the_inside_stays() {
        let image = RgbImage { width: 9, height: 7, pixels: vec![10; 9 * 7 * 3] };
        let one = |corners| FoundBox { corners, class: 1, score: 0.9 };
        let made = drawn(&image, &[one([2.0, 1.0, 6.0, 5.0]), one([-5.0, 6.0, 40.0, 90.0])]);
        let at = |x: usize, y: usize| made.pixels[(y * 9 + x) * 3];
        assert_eq!([at(2, 1), at(6, 5), at(4, 1), at(0, 6), at(8, 6)], [60; 5]);
        assert_eq!([at(4, 3), at(0, 0), at(8, 2)], [10; 3]);
    }
}

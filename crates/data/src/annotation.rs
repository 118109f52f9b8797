//! What is known of an image, and goes with it through crop, scale and flip: a label, boxes or a mask.

mod boxes;
mod label;
mod mask;
mod mask_file;

use std::fmt::Debug;

use crate::resize::Geometry;

pub use boxes::{BoundingBox, Boxes, SampleBoxes};
pub use mask::Mask;
pub use mask_file::{IGNORED, MaskFault, MaskFile, MaskValues};

/// The annotation of one image of a dataset.
///
/// It may be the thing itself, such as a label, or say where the thing is, such as the path of a mask: it is turned into the
/// sample's annotation by the thread that has just read the image.
pub trait Annotation: Debug + Send + Sync + 'static {
    /// What a batch holds for each of its images.
    type Prepared: Clone + Debug + PartialEq + Send + 'static;

    /// The annotation of the sample that `geometry` makes of an image of `size`, width and height.
    ///
    /// # Errors
    /// The reason why it does not fit the image.
    fn prepare(&self, size: [usize; 2], geometry: &Geometry) -> Result<Self::Prepared, String>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, at, below, between};
    use crate::resize::Region;
    use rand_chacha::rand_core::RngCore;

    /// The size of an image, and a geometry that fits it.
    fn draw(rng: &mut impl RngCore) -> ([usize; 2], Geometry) {
        let mut up_to = |most: usize| 1 + below(rng, most as u64) as usize;
        let (image, size) = ([up_to(40), up_to(40)], [up_to(50), up_to(50)]);
        let mut inside = |[width, height]: [usize; 2]| {
            let (w, h) = (up_to(width), up_to(height));
            let (left, top) = (up_to(width - w + 1) - 1, up_to(height - h + 1) - 1);
            Region { left, top, width: w, height: h }
        };
        let (region, window) = (inside(image), inside(size));
        (image, Geometry { region, size, window, mirrored: up_to(2) == 2 })
    }

    /// The column of the resized region that column `x` of the sample is.
    fn resized_column(geometry: &Geometry, x: usize) -> usize {
        let Region { left, width, .. } = geometry.window;
        left + if geometry.mirrored { width - 1 - x } else { x }
    }

    /// In whole numbers: the centre of output x, of n, lies in input ⌊(2x + 1)·m/2n⌋ of m; where it lies on the edge of two
    /// inputs, rounding decides.
    fn nearest(x: usize, m: usize, n: usize) -> Vec<usize> {
        let (input, rest) = ((2 * x + 1) * m / (2 * n), (2 * x + 1) * m % (2 * n));
        if rest == 0 { vec![input - 1, input] } else { vec![input] }
    }

    #[test]
    fn masks_are_what_the_textbook_makes_pixel_by_pixel() {
        let mut rng = at(1, Stream::Augment, 0, 0);
        for round in 0..300 {
            let (image, geometry) = draw(&mut rng);
            let [width, height] = image;
            let indices: Vec<u16> =
                (0..width * height).map(|_| below(&mut rng, 400) as u16).collect();
            let mask = Mask { width, height, indices };
            let made = mask.prepare(image, &geometry).unwrap();
            let Geometry { region, size, window, .. } = geometry;
            assert_eq!([made.width, made.height], [window.width, window.height]);
            for y in 0..window.height {
                for x in 0..window.width {
                    let column = resized_column(&geometry, x);
                    let rows = nearest(window.top + y, region.height, size[1]);
                    let columns = nearest(column, region.width, size[0]);
                    let found = made.indices[y * window.width + x];
                    let right = rows.iter().any(|row| {
                        let row = (region.top + row) * width + region.left;
                        columns.iter().any(|column| mask.indices[row + column] == found)
                    });
                    assert!(right, "round {round} at ({x}, {y}): {geometry:?}");
                }
            }
        }
    }

    #[test]
    fn boxes_are_what_the_textbook_makes_step_by_step() {
        let mut rng = at(2, Stream::Augment, 0, 0);
        for round in 0..1000 {
            let (image, geometry) = draw(&mut rng);
            let mut pair = |edge: usize| {
                let mut ends = [0, 1].map(|_| between(&mut rng, [-5.0, edge as f64 + 5.0]) as f32);
                ends.sort_by(f32::total_cmp);
                ends
            };
            let ([x0, x1], [y0, y1]) = (pair(image[0]), pair(image[1]));
            let one = BoundingBox { difficult: true, ..BoundingBox::new([x0, y0, x1, y1], 4) };
            let boxes = Boxes(vec![one]);
            let Geometry { region, size, window, mirrored } = geometry;
            let mut x = [x0, x1].map(f64::from);
            let mut y = [y0, y1].map(f64::from);
            // Cut, resize, cut, flip.
            x = x.map(|x| x - region.left as f64);
            y = y.map(|y| y - region.top as f64);
            x = x.map(|x| x * (size[0] as f64 / region.width as f64));
            y = y.map(|y| y * (size[1] as f64 / region.height as f64));
            x = x.map(|x| x - window.left as f64);
            y = y.map(|y| y - window.top as f64);
            if mirrored {
                x = x.map(|x| window.width as f64 - x);
                x.reverse();
            }
            let made = boxes.prepare(image, &geometry).unwrap();
            let [BoundingBox { corners, class: 4, difficult: true, .. }] = made.boxes.0[..] else {
                panic!("round {round}: one box, of the same class")
            };
            for (given, expected) in corners.into_iter().zip([x[0], y[0], x[1], y[1]]) {
                let error = (f64::from(given) - expected).abs();
                assert!(error <= 1e-6 * expected.abs().max(1.0), "round {round}: {corners:?}");
            }
        }
    }
}

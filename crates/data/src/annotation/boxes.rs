//! Boxes around objects (§6.1).
//!
//! Corners are positions between pixels: the first pixel of a row reaches from x = 0 to x = 1, and a whole image of width W
//! from 0 to W. Along an axis on which `cut` pixels from `left` on become `size` pixels, of which the window begins at
//! `start`: x ↦ (x − left)·size/cut − start. Mirrored in a window of width w: (x₀, x₁) ↦ (w − x₁, w − x₀).

use super::Annotation;
use crate::resize::Geometry;

/// One object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    /// x₀, y₀, x₁, y₁ in pixels: left, top, right and bottom edge.
    pub corners: [f32; 4],
    pub class: u32,
    /// Marked in the dataset as hard to recognise; the measure does not count it.
    pub difficult: bool,
    /// Whether it holds many objects of the class; the measure does not count it, and training leaves it out.
    pub crowd: bool,
    /// The area of the object itself, square pixels, where the dataset says it.
    pub mask_area: Option<f32>,
}

impl BoundingBox {
    /// A box around one object that counts.
    pub fn new(corners: [f32; 4], class: u32) -> BoundingBox {
        BoundingBox { corners, class, difficult: false, crowd: false, mask_area: None }
    }

    /// Square pixels; 0 for a box that is empty.
    pub fn area(&self) -> f32 {
        let [x0, y0, x1, y1] = self.corners;
        (x1 - x0).max(0.0) * (y1 - y0).max(0.0)
    }
}

/// The objects of an image, none at all included. A box may leave the image that it belongs to, as one that a crop cuts
/// does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Boxes(pub Vec<BoundingBox>);

impl Boxes {
    /// The same boxes, cut at the edges of an image of width × height. One that lies outside becomes empty and keeps its
    /// place: what is to be done with it is the caller's decision.
    pub fn clipped(&self, width: usize, height: usize) -> Boxes {
        let most = [width, height, width, height].map(|edge| edge as f32);
        let clip = |each: &BoundingBox| {
            let corners = [0, 1, 2, 3].map(|at| each.corners[at].clamp(0.0, most[at]));
            BoundingBox { corners, ..*each }
        };
        Boxes(self.0.iter().map(clip).collect())
    }
}

/// The boxes of a sample, and the width and height that its image had.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleBoxes {
    pub boxes: Boxes,
    pub original: [usize; 2],
}

impl Annotation for Boxes {
    type Prepared = SampleBoxes;

    /// Moves and scales every box, those included that end outside the sample. The only boxes refused are such as no
    /// image has: not finite, or with a right edge left of the left one.
    fn prepare(&self, original: [usize; 2], geometry: &Geometry) -> Result<SampleBoxes, String> {
        let Geometry { region, size, window, mirrored } = geometry;
        let along = |x: f32, left: usize, size: usize, cut: usize, start: usize| {
            (f64::from(x) - left as f64) * size as f64 / cut as f64 - start as f64
        };
        let moved = |each: &BoundingBox| {
            let [x0, y0, x1, y1] = each.corners;
            if !(each.corners.iter().all(|x| x.is_finite()) && x0 <= x1 && y0 <= y1) {
                return Err(format!("it has a box from ({x0}, {y0}) to ({x1}, {y1})"));
            }
            let x = |x| along(x, region.left, size[0], region.width, window.left);
            let y = |y| along(y, region.top, size[1], region.height, window.top);
            let (x0, x1) = (x(x0), x(x1));
            let width = window.width as f64;
            let (x0, x1) = if *mirrored { (width - x1, width - x0) } else { (x0, x1) };
            let corners = [x0, y(y0), x1, y(y1)].map(|value| value as f32);
            Ok(BoundingBox { corners, ..*each })
        };
        let boxes = self.0.iter().map(moved).collect::<Result<_, String>>().map(Boxes)?;
        Ok(SampleBoxes { boxes, original })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::Region;

    fn one(corners: [f32; 4]) -> Boxes {
        Boxes(vec![BoundingBox { difficult: true, ..BoundingBox::new(corners, 3) }])
    }

    /// 40×20 pixels from (10, 5) on become 80×10; the window of 30×8 begins at (20, 1).
    fn geometry(mirrored: bool) -> Geometry {
        let region = Region { left: 10, top: 5, width: 40, height: 20 };
        let window = Region { left: 20, top: 1, width: 30, height: 8 };
        Geometry { region, size: [80, 10], window, mirrored }
    }

    #[test]
    fn boxes_are_moved_scaled_and_mirrored() {
        for (mirrored, corners, expected) in [
            // The window's own corners, in the image.
            (false, [20.0, 7.0, 35.0, 23.0], [0.0, 0.0, 30.0, 8.0]),
            (true, [20.0, 7.0, 35.0, 23.0], [0.0, 0.0, 30.0, 8.0]),
            (false, [21.5, 9.0, 25.0, 10.0], [3.0, 1.0, 10.0, 1.5]),
            (true, [21.5, 9.0, 25.0, 10.0], [20.0, 1.0, 27.0, 1.5]),
            // Outside, and without a width.
            (false, [0.0, 0.0, 100.0, 6.0], [-40.0, -3.5, 160.0, -0.5]),
            (true, [5.0, 7.0, 5.0, 8.0], [60.0, 0.0, 60.0, 0.5]),
        ] {
            let moved = one(corners).prepare([100, 50], &geometry(mirrored)).unwrap();
            assert_eq!(moved.boxes, one(expected), "{corners:?}, mirrored: {mirrored}");
        }
        let none = Boxes::default();
        let prepared = none.prepare([100, 50], &geometry(true)).unwrap();
        assert_eq!((prepared.boxes, prepared.original), (none, [100, 50]));
    }

    #[test]
    fn boxes_that_no_image_has_are_refused() {
        for corners in [[2.0, 0.0, 1.0, 1.0], [0.0, 2.0, 1.0, 1.0], [0.0, 0.0, f32::NAN, 1.0]] {
            let reason = one(corners).prepare([100, 50], &geometry(false)).unwrap_err();
            assert!(reason.starts_with("it has a box from ("), "{reason}");
        }
    }

    #[test]
    fn clipping_keeps_every_box_in_its_place() {
        let boxes = Boxes(
            [[1.0, 2.0, 3.0, 4.0], [-5.0, -1.0, 20.0, 3.0], [12.0, 1.0, 15.0, 2.0]]
                .map(|corners| BoundingBox::new(corners, 0))
                .into(),
        );
        let clipped = boxes.clipped(10, 8);
        let corners: Vec<[f32; 4]> = clipped.0.iter().map(|each| each.corners).collect();
        let expected = [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 10.0, 3.0], [10.0, 1.0, 10.0, 2.0]];
        assert_eq!(corners, expected);
        assert_eq!(clipped.0.iter().map(BoundingBox::area).collect::<Vec<_>>(), [4.0, 30.0, 0.0]);
    }
}

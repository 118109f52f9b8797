//! What measures compare: the objects of an image, and what a detector has found there.

use data::{BoundingBox, Boxes};

use crate::answers::FoundBox;

/// An image's objects and answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    pub objects: Vec<BoundingBox>,
    pub found: Vec<FoundBox>,
}

impl Scene {
    pub fn new(objects: &Boxes, found: Vec<FoundBox>) -> Scene {
        Scene { objects: objects.0.clone(), found }
    }
}

pub(super) fn wide(corners: [f32; 4]) -> [f64; 4] {
    corners.map(f64::from)
}

/// The area that two boxes share.
pub(super) fn shared(a: [f64; 4], b: [f64; 4]) -> f64 {
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    width * height
}

pub(super) fn area([x0, y0, x1, y1]: [f64; 4]) -> f64 {
    (x1 - x0) * (y1 - y0)
}

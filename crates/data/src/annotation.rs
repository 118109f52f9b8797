//! What is known of an image, and goes with it through crop, scale and flip: a label, boxes or a mask.

mod boxes;
mod label;
mod mask;

use std::fmt::Debug;

use crate::resize::Geometry;

pub use boxes::{BoundingBox, Boxes};
pub use mask::Mask;

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

//! Image datasets: formats, decode, augment, sampler, loader (§2.1).
//!
//! What a batch holds is a pure function of the dataset, the recipe's `[preprocess]`, the seed and the step. It depends
//! neither on the number of threads nor on earlier batches.

mod annotation;
mod augment;
mod boxed;
mod budget;
pub mod check;
mod contents;
mod dataset;
mod error;
pub mod exif;
mod files;
mod fingerprint;
mod formats;
mod image;
pub mod info;
mod jpeg;
mod loader;
mod lock;
pub mod pack;
mod parallel;
mod preparation;
mod probe;
pub mod random;
mod resize;
mod retry;
mod sampler;
mod split;
mod thumbnail;
mod times;
mod verify;
mod workers;

pub use annotation::{
    Annotation, BoundingBox, Boxes, IGNORED, Mask, MaskFault, MaskFile, MaskValues, SampleBoxes,
};
pub use augment::{
    GaussianBlur, ImageOperation, ScaledCrop, ShorterSide, scaled_crop_sample, train_sample,
    validation_sample,
};
pub use boxed::BadBox;
pub use budget::Resources;
pub use dataset::{Dataset, ImageSet};
pub use error::{BadImage, DataError, EmptyClass};
pub use files::{MOST_PICTURE_BYTES, read_picture};
pub use fingerprint::Fingerprint;
pub use formats::images_in;
pub use formats::layout::LeftOut;
pub use image::{RgbImage, decode};
pub use loader::{Batch, BatchParts, Skipped, TrainLoader, ValidationLoader, ValidationShare};
pub use preparation::Preparation;
pub use random::{Stream, at};
pub use resize::{Geometry, Region, resize, resize_region};
pub use sampler::order;
pub use thumbnail::{png, thumbnail};
pub use times::Times;
pub use verify::{PackFile, verify_pack};

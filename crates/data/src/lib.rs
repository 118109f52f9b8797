//! Image datasets: formats, decode, augment, sampler, loader (§2.1).
//!
//! What a batch holds is a pure function of the dataset, the recipe's `[preprocess]`, the seed and the step: not of
//! threads, not of what came before.

pub mod augment;
mod budget;
pub mod check;
pub mod dataset;
mod error;
pub mod exif;
mod formats;
pub mod image;
pub mod info;
mod jpeg;
pub mod loader;
pub mod pack;
mod parallel;
mod probe;
pub mod random;
pub mod resize;
mod retry;
pub mod sampler;
mod split;
mod thumbnail;
mod times;
mod workers;

pub use augment::{train_sample, validation_sample};
pub use budget::Resources;
pub use dataset::{Dataset, ImageSet};
pub use error::{BadImage, DataError};
pub use formats::images_in;
pub use image::{RgbImage, decode};
pub use loader::{Batch, BatchParts, Skipped, TrainLoader, ValidationLoader, ValidationShare};
pub use random::{Stream, at};
pub use resize::resize;
pub use sampler::order;
pub use thumbnail::thumbnail;
pub use times::Times;

//! Semantic segmentation (§6.2) as a task of the one loop: FCN on a dilated ResNet, its evaluation, its measure, and its part
//! of the model folder.

mod counts;
mod details;
mod error;
mod feed;
mod measure;
pub mod model_folder;
mod network;
mod origin;
mod palette;
mod plan;
mod run;
mod scoring;
mod task;
#[cfg(test)]
mod tests;

pub use counts::{ClassCounts, PixelCounts};
pub use error::{SegmentError, SegmenterProblem};
pub use feed::{CropFeed, RepeatedCrops};
pub use measure::MeanIou;
pub use model_folder::SegmenterCard;
pub use network::{PREFIX, Segmenter};
pub use origin::drawn_segmenter;
pub use palette::{colored, overlay};
pub use plan::SegmentPlan;
pub use run::{SegmentRun, evaluate, predict};
pub use task::{Crops, LabelledPicture, PictureAnswer, Segment};

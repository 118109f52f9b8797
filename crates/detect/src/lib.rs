//! Object detection (§6.1) as a task of the one loop: Faster-RCNN, its targets, its measures, and its part of the model
//! folder.

mod anchors;
mod answers;
mod assignment;
mod average_precision;
mod coding;
mod cost;
mod details;
mod drawing;
mod error;
mod feed;
mod geometry;
mod measure;
pub mod model_folder;
mod network;
mod origin;
mod plan;
mod proposals;
mod regions;
mod run;
mod suppression;
mod task;
#[cfg(test)]
mod tests;

pub use answers::FoundBox;
pub use average_precision::AveragePrecision;
pub use cost::DetectorPart;
pub use drawing::drawn;
pub use error::{DetectError, DetectorProblem};
pub use feed::SceneFeed;
pub use measure::{
    ClassPrecision, CocoPrecision, Scene, VocPrecision, coco_precision, voc_precision,
};
pub use model_folder::DetectorCard;
pub use network::{Detector, PREFIX};
pub use origin::drawn_detector;
pub use plan::DetectPlan;
pub use run::{DetectRun, evaluate, predict};
pub use task::{Detect, FoundBoxes, TrainingScene, UnseenScene};

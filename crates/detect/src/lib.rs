//! Object detection (§6.1) as a task of the one loop: Faster-RCNN, its targets, its measures, and its part of the model folder.

mod anchors;
mod answers;
mod assignment;
mod coding;
mod geometry;
mod measure;
mod proposals;
mod regions;
mod settings;
mod suppression;
#[cfg(test)]
mod tests;

pub use answers::FoundBox;
pub use measure::{
    ClassPrecision, CocoPrecision, Scene, VocPrecision, coco_precision, voc_precision,
};
pub use settings::{
    Anchors, Answers, BorderAnchors, ClipAnswers, Detection, DetectorNorms, Kept, LowBest,
    OnBadBox, Proposals, RegionGrid, Regions,
};

//! How good the answers of a detector are.

mod coco;
mod scene;
#[cfg(test)]
mod tests;
mod voc;

pub use coco::{CocoPrecision, coco_precision};
pub use scene::Scene;
pub use voc::{ClassPrecision, VocPrecision, voc_precision};

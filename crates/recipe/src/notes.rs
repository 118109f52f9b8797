//! What a recipe is allowed to say, but its user may not have meant.

use crate::types::{Recipe, TaskKind};

/// The fewest images of a part whose mean and variance are good statistics for a batch norm.
const FEW_IMAGES: usize = 16;

impl Recipe {
    /// The images of one part of a batch.
    pub fn part_images(&self) -> usize {
        self.train.batch / self.train.parts
    }

    /// Remarks on the recipe for whoever trains with it, each a sentence.
    pub fn notes(&self) -> Vec<String> {
        let (images, parts) = (self.part_images(), self.train.parts);
        // A detector is trained on one image a part by design.
        if images >= FEW_IMAGES || self.task() == TaskKind::Detection {
            return Vec::new();
        }
        let count = if images == 1 { "1 image".to_owned() } else { format!("{images} images") };
        let note = match parts {
            1 => format!(
                "a batch of {count} is small: batch norms take their mean and variance from fewer than {FEW_IMAGES} \
                 images, which is noisy; raise train.batch"
            ),
            _ => format!(
                "each of the {parts} parts of a batch has {count}: batch norms take their mean and variance from the \
                 images of one part, which is noisy with fewer than {FEW_IMAGES}; lower train.parts or raise train.batch"
            ),
        };
        vec![note]
    }
}

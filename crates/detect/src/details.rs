//! The details of an evaluation: `detections.jsonl` of a run folder.

use std::path::Path;

use data::{Boxes, ImageSet};
use record::{DetectionRow, FoundRow, ObjectRow, names};
use train::TrainError;
use train::durable;

use crate::measure::Scene;

/// Writes `detections.jsonl` over that of an earlier evaluation. `scenes` are those of `images`.
pub(crate) fn write(
    folder: &Path,
    step: u64,
    images: &ImageSet<Boxes>,
    scenes: &[Scene],
) -> Result<(), TrainError> {
    durable::write_with(&folder.join(names::DETECTIONS), |out| {
        scenes.iter().enumerate().try_for_each(|(index, scene)| {
            let objects = scene.objects.iter().map(|one| ObjectRow {
                class: one.class,
                corners: one.corners,
                difficult: one.difficult || one.crowd,
            });
            let found = scene.found.iter().map(|one| FoundRow {
                class: one.class,
                score: one.score,
                corners: one.corners,
            });
            let (objects, found) = (objects.collect(), found.collect());
            let row = DetectionRow { step, image: images.name(index), objects, found };
            out.write_all(row.to_line().as_bytes())
        })
    })?;
    Ok(())
}

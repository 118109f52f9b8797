//! The details of an evaluation: `detections.jsonl` and `precision.jsonl` of a run folder.

use std::path::Path;

use data::{Boxes, ImageSet};
use record::{DetectionRow, FoundRow, ObjectRow, PrecisionRow, names};
use train::TrainError;
use train::durable;

use crate::measure::{Scene, VocPrecision};

/// Points of a curve that are kept.
const POINTS: usize = 200;

/// Writes both files over those of an earlier evaluation. `scenes` are those of `images`.
pub(crate) fn write(
    folder: &Path,
    step: u64,
    images: &ImageSet<Boxes>,
    scenes: &[Scene],
    precision: &VocPrecision,
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
    durable::write_with(&folder.join(names::PRECISION), |out| {
        for (class, found) in (0..).zip(&precision.classes) {
            let Some(found) = found else { continue };
            let pairs = found.recall.iter().zip(&found.precision);
            let step_size = found.recall.len().div_ceil(POINTS).max(1);
            let curve = pairs.step_by(step_size).map(|(&recall, &precision)| [recall, precision]);
            let row = PrecisionRow {
                step,
                class,
                objects: found.objects as u64,
                eleven_points: 100.0 * found.eleven_points,
                area: 100.0 * found.area,
                curve: curve.collect(),
            };
            out.write_all(row.to_line().as_bytes())?;
        }
        Ok(())
    })?;
    Ok(())
}

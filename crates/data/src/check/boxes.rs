//! What is wrong with a dataset of boxes: its annotations, and then its images as in any other dataset.

use std::path::Path;

use super::{CheckReport, FindingKind, Watch, images};
use crate::dataset::{Dataset, ImageSet};
use crate::formats::boxes::{self, BoxedImage, FoundBoxes};
use crate::formats::{Found, layout::Layout};
use crate::probe::probe;
use crate::{DataError, LeftOut};

/// Examines a dataset of boxes; None where the path holds images of another kind.
pub(super) fn check(
    path: &Path,
    threads: usize,
    watch: Watch,
) -> Result<Option<CheckReport>, DataError> {
    if !path.exists() {
        return Ok(None);
    }
    let Some(found) = boxes::open(path)? else { return Ok(None) };
    let FoundBoxes { layout, source, images: annotated, mistakes, bad_boxes, cut } = found;
    let Layout { classes, train, validation, left_out } = layout;
    let mut report = CheckReport { classes: classes.len(), ..CheckReport::default() };
    for (kind, bad) in [
        (FindingKind::BadAnnotation, mistakes),
        (FindingKind::BadBox, bad_boxes),
        (FindingKind::BoxCut, cut),
    ] {
        bad.into_iter().for_each(|bad| report.find(kind, bad.name, bad.reason));
    }
    for LeftOut { name, reason } in left_out {
        report.find(FindingKind::LeftOut, name, reason);
    }
    let layout = Layout { classes, train, validation, left_out: Vec::new() };
    let name = path.display().to_string();
    let Dataset { train, validation, .. } = Dataset::whole(Found { layout, source }, name);
    (report.train_images, report.validation_images) = (train.len(), validation.len());
    let parts = [train, validation];
    for part in &parts {
        for index in 0..part.len() {
            if let Some(image) = annotated.get(part.path(index)) {
                annotation(&mut report, part, index, image);
            }
        }
    }
    images(&mut report, &parts, threads, watch);
    report.findings.sort_by_key(|finding| finding.kind);
    Ok(Some(report))
}

/// What the annotation of one image says, beside the image.
fn annotation(report: &mut CheckReport, part: &ImageSet, index: usize, image: &BoxedImage) {
    if image.boxes.0.is_empty() {
        report.find(FindingKind::NoObjects, part.name(index), "no box".to_owned());
    }
    let mut bytes = Vec::new();
    let size = part.stored(index, &mut bytes).ok().and_then(|stored| probe(stored.bytes()).size);
    if let (Some(said), Some((width, height))) = (image.size, size)
        && said.map(u64::from) != [width, height]
    {
        let [w, h] = said;
        let detail = format!("{width}×{height} pixels, and its annotation says {w}×{h}");
        report.find(FindingKind::OtherSize, part.name(index), detail);
    }
}

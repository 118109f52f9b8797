//! Finds what is wrong with a dataset of images and masks: what is wrong with its images, and masks that are missing, of
//! another size, colored, or with values that are no classes.

use std::ops::ControlFlow;
use std::path::Path;

use super::{CheckReport, FindingKind, Watch, images};
use crate::annotation::MaskFault;
use crate::formats::Found;
use crate::formats::masks::{self, FoundMasks};
use crate::parallel::in_order;
use crate::probe::probe;
use crate::{DataError, Dataset, IGNORED, MaskFile};

/// Whether a path holds images with masks.
pub fn has_masks(path: &Path) -> bool {
    masks::are_present(path)
}

/// Examines every image and every mask of a dataset with this many threads. An error when the path holds no images with
/// masks.
pub fn check_masks(path: &Path, threads: usize, watch: Watch) -> Result<CheckReport, DataError> {
    let FoundMasks { layout, source, masks, values, .. } = masks::open(path)?;
    let found = Found { layout, source: source.clone() };
    let name = path.display().to_string();
    let dataset = Dataset::whole(found, name.clone());
    let mut report = CheckReport {
        classes: dataset.classes.len(),
        train_images: dataset.train.len(),
        validation_images: dataset.validation.len(),
        ..CheckReport::default()
    };
    let parts = [dataset.train, dataset.validation];
    images(&mut report, &parts, threads, watch);
    let [train, validation] = parts;
    let dataset =
        Dataset { train, validation, classes: dataset.classes, left_out: Vec::new(), name };
    let dataset = dataset.masked(&source, masks, values);
    let is_complete = look_at_masks(&mut report, &dataset, threads, watch);
    report.complete &= is_complete;
    report.findings.sort_by_key(|finding| finding.kind);
    Ok(report)
}

/// What a mask turned out to be: the classes in it, or why it is none.
type Look = Result<Vec<u16>, MaskFault>;

fn look_at_masks(
    report: &mut CheckReport,
    dataset: &Dataset<MaskFile>,
    threads: usize,
    watch: Watch,
) -> bool {
    let sets = [&dataset.train, &dataset.validation];
    let count = sets[0].len() + sets[1].len();
    let place = |number: usize| match number.checked_sub(sets[0].len()) {
        None => (sets[0], number),
        Some(index) => (sets[1], index),
    };
    let look = |number: usize, buffer: &mut Vec<u8>| -> Option<Look> {
        let (set, index) = place(number);
        // An image that is none is a finding already.
        let size = probe(set.stored(index, buffer).ok()?.bytes()).size?;
        let mask = set.annotation(index).read([size.0 as usize, size.1 as usize]);
        Some(mask.map(|mask| {
            let mut classes = mask.indices;
            classes.sort_unstable();
            classes.dedup();
            classes
        }))
    };
    let mut seen = vec![false; dataset.classes.len()];
    let (mut done, mut buffers) = (0, vec![Vec::new(); threads.max(1)]);
    in_order(count, &mut buffers, look, |number, look| {
        done = number + 1;
        match look {
            None => {}
            Some(Ok(classes)) => {
                let classes = classes.into_iter().filter(|&class| class != IGNORED);
                classes.for_each(|class| seen[usize::from(class)] = true);
            }
            Some(Err(fault)) => {
                let (set, index) = place(number);
                let kind = match &fault {
                    MaskFault::Missing => FindingKind::MaskMissing,
                    MaskFault::Unreadable(_) => FindingKind::MaskUnreadable,
                    MaskFault::Size(_) => FindingKind::MaskSize,
                    MaskFault::Colors(_) => FindingKind::MaskColors,
                    MaskFault::Values(_) => FindingKind::MaskValues,
                };
                report.find(kind, set.name(index), fault.reason());
            }
        }
        match done % 16 {
            0 => watch(done, count),
            _ => ControlFlow::Continue(()),
        }
    });
    let absent = dataset.classes.iter().zip(&seen).filter(|(_, seen)| !**seen);
    for (class, _) in absent.filter(|_| done == count) {
        report.find(
            FindingKind::ClassAbsent,
            class.clone(),
            "no pixel of any mask has it".to_owned(),
        );
    }
    done == count
}

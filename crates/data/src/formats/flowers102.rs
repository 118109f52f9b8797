//! Oxford 102 Flowers as distributed: `imagelabels.mat`, `setid.mat`, and the images `image_00001.jpg` and on of `102flowers.tgz`, in
//! whichever folder.
//!
//! `labels` has a number from 1 to 102 for each image; `trnid` and `valid` have the numbers of the images of the two parts, from
//! 1 on. The images of `tstid` are left alone: they are for the last measurement.

use std::collections::HashMap;

use super::classes::{Gathering, Side};
use super::layout::{Entry, Tree, base_name};
use super::source::Root;
use super::{Found, matlab};
use crate::DataError;

const LABELS: &str = "imagelabels.mat";
const PARTS: &str = "setid.mat";

/// The names of the classes, in order of their numbers.
const CLASSES: &str = include_str!("flowers102.txt");

fn file<'a>(tree: &'a Tree, name: &str) -> Option<&'a Entry> {
    tree.others().into_iter().find(|entry| base_name(&entry.path) == name)
}

pub(crate) fn is_present(tree: &Tree) -> bool {
    tree.has_images() && file(tree, LABELS).is_some() && file(tree, PARTS).is_some()
}

pub(crate) fn open(root: Root, tree: Tree) -> Result<Found, DataError> {
    let matrix = |file_name: &str, name: &str| {
        let blob = root.blob(file(&tree, file_name).expect("it is present"))?;
        matlab::matrix(&blob.all()?, name).map_err(|reason| malformed(&blob.name, reason))
    };
    let labels = matrix(LABELS, "labels")?;
    let parts =
        [(Side::Train, matrix(PARTS, "trnid")?), (Side::Validation, matrix(PARTS, "valid")?)];
    let names: Vec<String> = CLASSES.lines().map(str::to_owned).collect();
    let images: HashMap<u32, Entry> =
        tree.images().into_iter().filter_map(|entry| Some((number(&entry.path)?, entry))).collect();
    let mut gathering = Gathering::default();
    for (side, numbers) in parts {
        for image in numbers {
            let label = labels.get((image as usize).wrapping_sub(1));
            let class = label.and_then(|&label| names.get((label as usize).wrapping_sub(1)));
            let class = class.ok_or_else(|| {
                malformed(
                    &root.name(LABELS),
                    format!("it has no label from 1 to 102 for image {image}"),
                )
            })?;
            let entry = images.get(&image).cloned().ok_or_else(|| {
                malformed(&root.name(""), format!("image_{image:05}.jpg is not there"))
            })?;
            gathering.add(side, class, entry, String::new);
        }
    }
    let layout = gathering.finish(Some(names), &root.name(""))?;
    Ok(Found { layout, source: root.source() })
}

/// 17 of `jpg/image_00017.jpg`.
fn number(path: &str) -> Option<u32> {
    base_name(path).strip_prefix("image_")?.strip_suffix(".jpg")?.parse().ok()
}

fn malformed(name: &str, reason: String) -> DataError {
    DataError::Malformed {
        name: name.to_owned(),
        what: "Oxford 102 Flowers",
        reason,
        mend: "keep imagelabels.mat, setid.mat and the unpacked images of 102flowers.tgz in one folder",
    }
}

//! Images with a mask each, which tells the class of every pixel (§6.2).
//!
//! Three layouts, in a folder or a tar, told apart by the names of two folders that lie side by side:
//! - `images` and `annotations`: ADE20K SceneParsing as distributed. In a mask 0 is ignored, class k is k + 1. Class names
//!   stand in `objectInfo150.txt` or in `classes.txt`, one a line;
//! - `images` and `masks` or `labels`: class k is k, the greatest value (255, or 65535 of 16 bits) is ignored. Class names
//!   stand in `classes.txt`;
//! - `JPEGImages` and `SegmentationClass`: VOC as distributed, with the same values. Its parts are the lists
//!   `ImageSets/Segmentation/train.txt` and `val.txt`, its classes are VOC's unless there is a `classes.txt`.
//!
//! A mask is a PNG with the path of its image below its own folder. Parts are the folders `training` or `train`, and
//! `validation` or `val`; images beside other folders are of no part, and images without such a folder are of one part.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::blob::Blob;
use super::layout::{Entry, Item, Layout, Tree, base_name, is_image};
use super::source::{Root, Source};
use super::{archive, folder};
use crate::DataError;
use crate::annotation::MaskValues;

/// The names of the folders of images and of masks, and what the values of the masks mean.
const PAIRS: [(&str, &str, Meaning); 4] = [
    ("images", "annotations", Meaning::ZeroIgnored),
    ("images", "masks", Meaning::GreatestIgnored),
    ("images", "labels", Meaning::GreatestIgnored),
    ("JPEGImages", "SegmentationClass", Meaning::GreatestIgnored),
];
const TRAINING: [&str; 2] = ["training", "train"];
const VALIDATION: [&str; 2] = ["validation", "val"];
/// VOC's lists of the images that have a mask.
const LISTS: &str = "ImageSets/Segmentation";
const CLASSES: &str = "classes.txt";
const ADE_CLASSES: &str = "objectInfo150.txt";
const VOC: [&str; 21] = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

/// What the values of a mask mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    ZeroIgnored,
    GreatestIgnored,
}

/// Images and the masks that belong to them.
#[derive(Debug)]
pub(crate) struct FoundMasks {
    /// Every label is 0.
    pub(crate) layout: Layout,
    pub(crate) source: Arc<dyn Source>,
    /// The mask of each image, by the image's path.
    pub(crate) masks: HashMap<String, Entry>,
    pub(crate) values: MaskValues,
    /// The paths of images of a part that have no mask.
    pub(crate) lonely: Vec<String>,
}

/// The two folders, below one home.
struct Pair {
    images: String,
    masks: String,
    home: String,
    meaning: Meaning,
}

/// Opens a folder or a tar.
pub(crate) fn open(path: &Path) -> Result<FoundMasks, DataError> {
    let (root, tree) = read(path)?;
    let name = root.name("");
    let entries = entries(&tree);
    let Some(pair) = pair(&entries) else {
        return Err(DataError::NotMasks { name });
    };
    let classes = class_names(&root, &tree, &pair)?;
    let mut masks = masks_of(&entries, &pair);
    let listed = lists(&root, &tree, &pair, &entries)?;
    let mut parts: BTreeMap<Part, Vec<Item>> = BTreeMap::new();
    let (mut kept, mut lonely) = (HashMap::new(), Vec::new());
    let inside = format!("{}/", pair.images);
    for entry in entries.values().filter(|entry| entry.path.starts_with(&inside)) {
        let stem = stem(&entry.path[inside.len()..]);
        let part = match &listed {
            Some(listed) => listed.get(stem).copied(),
            None => part_of(stem),
        };
        let Some(part) = part else { continue };
        match masks.remove(stem) {
            Some(mask) => drop(kept.insert(entry.path.clone(), mask.clone())),
            None => lonely.push(entry.path.clone()),
        }
        let item = Item { label: 0, entry: (*entry).clone() };
        parts.entry(part).or_default().push(item);
    }
    let [train, validation] = arranged(parts);
    if train.as_ref().is_none_or(Vec::is_empty) && validation.as_ref().is_none_or(Vec::is_empty) {
        return Err(DataError::NoImages { name: root.name(&pair.images) });
    }
    let values = match pair.meaning {
        Meaning::ZeroIgnored => MaskValues::behind_zero(classes.len()),
        Meaning::GreatestIgnored => MaskValues::below_greatest(classes.len()),
    };
    let layout =
        Layout { classes, train: train.unwrap_or_default(), validation, left_out: Vec::new() };
    Ok(FoundMasks { layout, source: root.source(), masks: kept, values, lonely })
}

/// Whether a folder or a tar holds images with masks. What cannot be read holds none.
pub(crate) fn are_present(path: &Path) -> bool {
    read(path).is_ok_and(|(_, tree)| pair(&entries(&tree)).is_some())
}

fn read(path: &Path) -> Result<(Root, Tree), DataError> {
    if !path.exists() {
        return Err(DataError::Missing { path: path.to_owned() });
    }
    if path.is_dir() {
        return Ok((Root::Folder(path.to_owned()), folder::read(path)?));
    }
    let file = Blob::open(path)?.unpack(&mut 0)?;
    let tree = archive::read(file.reader(), file.length(), &file.name)?;
    Ok((Root::Archive(file), tree))
}

/// A part of a dataset; images that lie beside no other part are of `Whole`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Training,
    Validation,
    Whole,
}

/// The training and the validation images. Where no folder names a part, all are for training and a share is held out later.
fn arranged(mut parts: BTreeMap<Part, Vec<Item>>) -> [Option<Vec<Item>>; 2] {
    match (parts.remove(&Part::Training), parts.remove(&Part::Validation)) {
        (None, None) => [parts.remove(&Part::Whole), None],
        (train, validation) => [Some(train.unwrap_or_default()), validation],
    }
}

/// Every image file, by its path.
fn entries(tree: &Tree) -> BTreeMap<&str, &Entry> {
    let images = tree.files().flat_map(|(images, _)| images);
    images.map(|entry| (entry.path.as_str(), entry)).collect()
}

/// The first of the known pairs of which both folders hold images.
fn pair(entries: &BTreeMap<&str, &Entry>) -> Option<Pair> {
    let holds = |folder: &str| {
        let inside = format!("{folder}/");
        let first = entries.range(inside.as_str()..).next();
        first.is_some_and(|(path, _)| path.starts_with(&inside))
    };
    PAIRS.iter().rev().find_map(|&(images, masks, meaning)| {
        let homes = entries.keys().filter_map(|path| {
            let at = format!("/{path}").find(&format!("/{masks}/"))?;
            Some(path[..at].trim_end_matches('/'))
        });
        let mut homes: Vec<&str> = homes.collect();
        homes.dedup();
        let beside = |home: &str, name: &str| match home {
            "" => name.to_owned(),
            home => format!("{home}/{name}"),
        };
        homes.into_iter().find_map(|home| {
            let (images, masks) = (beside(home, images), beside(home, masks));
            holds(&images).then(|| Pair { images, masks, home: home.to_owned(), meaning })
        })
    })
}

/// The masks by their path below their folder, without its extension.
fn masks_of<'a>(
    entries: &BTreeMap<&'a str, &'a Entry>,
    pair: &Pair,
) -> HashMap<&'a str, &'a Entry> {
    let inside = format!("{}/", pair.masks);
    let below = |path: &'a str| path.strip_prefix(inside.as_str());
    let masks = entries.iter().filter_map(|(&path, &entry)| Some((stem(below(path)?), entry)));
    masks.collect()
}

fn stem(path: &str) -> &str {
    debug_assert!(is_image(path));
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

/// The part of an image, by the folder it lies in.
fn part_of(path: &str) -> Option<Part> {
    let Some((part, _)) = path.split_once('/') else { return Some(Part::Whole) };
    let is = |names: [&str; 2]| names.iter().any(|name| part.eq_ignore_ascii_case(name));
    match () {
        () if is(TRAINING) => Some(Part::Training),
        () if is(VALIDATION) => Some(Part::Validation),
        () => None,
    }
}

/// The part of each image by VOC's lists; None where there are none.
fn lists(
    root: &Root,
    tree: &Tree,
    pair: &Pair,
    entries: &BTreeMap<&str, &Entry>,
) -> Result<Option<HashMap<String, Part>>, DataError> {
    let mut parts = HashMap::new();
    let mut found = false;
    for (name, part) in [("train", Part::Training), ("val", Part::Validation)] {
        let ending = format!("{LISTS}/{name}.txt");
        let path = if pair.home.is_empty() { ending } else { format!("{}/{ending}", pair.home) };
        let Some(entry) = tree.others().into_iter().find(|entry| entry.path == path) else {
            continue;
        };
        found = true;
        let blob = root.blob(entry)?;
        for (line, id) in blob.text()?.lines().enumerate() {
            let id = id.trim();
            if id.is_empty() {
                continue;
            }
            let exists = ["jpg", "jpeg", "png"]
                .iter()
                .any(|end| entries.contains_key(format!("{}/{id}.{end}", pair.images).as_str()));
            if !exists {
                return Err(DataError::Malformed {
                    name: format!("{}:{}", blob.name, line + 1),
                    what: "list of images",
                    reason: format!("{} holds no image {id}", pair.images),
                    mend: "add the image or remove the line",
                });
            }
            parts.insert(id.to_owned(), part);
        }
    }
    Ok(found.then_some(parts))
}

/// The names of the classes, in their order.
fn class_names(root: &Root, tree: &Tree, pair: &Pair) -> Result<Vec<String>, DataError> {
    let others = tree.others();
    let file = |name: &str| others.iter().find(|entry| base_name(&entry.path) == name);
    if let Some(entry) = file(CLASSES) {
        let text = root.blob(entry)?.text()?;
        let names = text.trim_end().lines().map(|line| line.trim().to_owned());
        return checked(names.collect(), &root.name(&entry.path));
    }
    if pair.meaning == Meaning::ZeroIgnored
        && let Some(entry) = file(ADE_CLASSES)
    {
        // Idx, Ratio, Train, Val and Name, with tabs between.
        let text = root.blob(entry)?.text()?;
        let name = |line: &str| line.rsplit('\t').next().unwrap_or_default().trim().to_owned();
        return checked(
            text.trim_end().lines().skip(1).map(name).collect(),
            &root.name(&entry.path),
        );
    }
    if pair.masks.ends_with("SegmentationClass") {
        return Ok(VOC.map(str::to_owned).to_vec());
    }
    Err(DataError::Malformed {
        name: root.name(""),
        what: "dataset of images and masks",
        reason: "nothing tells the names of its classes".to_owned(),
        mend: "add classes.txt, with a name a line in the order of the masks' values",
    })
}

fn checked(names: Vec<String>, file: &str) -> Result<Vec<String>, DataError> {
    let malformed = |reason: String| DataError::Malformed {
        name: file.to_owned(),
        what: "list of classes",
        reason,
        mend: "give every class one line with its name",
    };
    if names.is_empty() || names.len() > usize::from(u16::MAX) - 1 {
        return Err(malformed(format!("it names {} classes", names.len())));
    }
    match names.iter().position(String::is_empty) {
        Some(line) => Err(malformed(format!("class {line} has no name"))),
        None => Ok(names),
    }
}

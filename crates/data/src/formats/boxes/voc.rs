//! Pascal VOC: `Annotations/ID.xml`, `JPEGImages/ID.jpg` and the lists `ImageSets/Main/*.txt`, of one year or of several.
//!
//! Where some year has a list `test` whose images have annotations, training takes each year's `trainval` (or `train` and
//! `val`) and validation all tests; else training takes `train` and validation `val`. Without lists, all images are of one
//! part. Classes are those of the training part in byte order (VOC's own order), unless a file of names lies beside. Where a
//! year's folder is called `VOC…` and all its classes are VOC's, they are VOC's twenty, met or not.
//!
//! Pixels are numbered from 1, and the last one belongs to the box: it reaches from xmin − 1 to xmax.
//!
//! Deviation: the authors subtract 1 from xmax too and take it for the edge, so their flipped boxes are one pixel off.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Found, FoundBoxes, Gathered, by_stem, folder_of, join, stem};
use crate::formats::classes::names_beside;
use crate::formats::layout::{Entry, LeftOut, Tree, base_name};
use crate::formats::source::Root;
use crate::{BoundingBox, DataError};

const FOLDER: &str = "Annotations";
const IMAGES: &str = "JPEGImages";
const LISTS: &str = "ImageSets/Main";
/// The classes of the challenge.
const CLASSES: [&str; 20] = [
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

fn is_annotation(entry: &Entry) -> bool {
    let is_xml = entry.path.to_ascii_lowercase().ends_with(".xml");
    is_xml && base_name(folder_of(&entry.path)) == FOLDER
}

pub(super) fn is_present(others: &[&Entry]) -> bool {
    others.iter().any(|entry| is_annotation(entry))
}

/// One year: the folder that holds the three others.
#[derive(Default)]
struct Year<'a> {
    annotations: BTreeMap<&'a str, &'a Entry>,
    lists: HashMap<&'a str, &'a Entry>,
}

pub(super) fn open(root: Root, tree: &Tree) -> Result<FoundBoxes, DataError> {
    let others = tree.others();
    let mut years: BTreeMap<&str, Year> = BTreeMap::new();
    for entry in others.iter().filter(|entry| is_annotation(entry)) {
        let year = years.entry(folder_of(folder_of(&entry.path))).or_default();
        year.annotations.insert(base_name(stem(&entry.path)), entry);
    }
    for entry in &others {
        for (folder, year) in &mut years {
            let name = entry.path.strip_prefix(&join(&join(folder, LISTS), ""));
            if let Some(name) = name.and_then(|name| name.strip_suffix(".txt")) {
                year.lists.insert(name, entry);
            }
        }
    }
    let mut reading = Reading::new(&root, tree)?;
    let has_validation = reading.choose(&years)?;
    let classes = reading.classes();
    let found = reading.gathered.finish(classes, has_validation, root.source());
    Ok(found)
}

/// The annotations as they are read.
struct Reading<'a> {
    root: &'a Root,
    images: HashMap<String, Entry>,
    /// Names from a file beside the images, or those met in training.
    names: Vec<String>,
    is_fixed: bool,
    gathered: Gathered,
}

impl<'a> Reading<'a> {
    fn new(root: &'a Root, tree: &Tree) -> Result<Reading<'a>, DataError> {
        let images: Vec<Entry> = tree.files().flat_map(|(images, _)| images).cloned().collect();
        let images = by_stem(&images).into_iter();
        let images = images.map(|(stem, entry)| (stem.to_owned(), entry.clone())).collect();
        let names = names_beside(root, tree)?;
        let is_fixed = names.is_some();
        let mut gathered = Gathered::default();
        gathered.left_out.clone_from(&tree.left_out);
        Ok(Reading { root, images, names: names.unwrap_or_default(), is_fixed, gathered })
    }

    /// Reads the images of both parts; whether there is one for validation.
    fn choose(&mut self, years: &BTreeMap<&str, Year>) -> Result<bool, DataError> {
        let mut lists: HashMap<(&str, &str), Vec<String>> = HashMap::new();
        for (folder, year) in years {
            for name in ["train", "val", "trainval", "test"] {
                let Some(entry) = year.lists.get(name) else { continue };
                let ids = ids(&self.root.blob(entry)?.text()?);
                let is_known = |id: &String| year.annotations.contains_key(id.as_str());
                if name == "test" && !ids.iter().any(is_known) {
                    let reason = "its images have no annotations".to_owned();
                    let name = self.root.name(&entry.path);
                    self.gathered.left_out.push(LeftOut { name, reason });
                    continue;
                }
                lists.insert((folder, name), ids);
            }
        }
        let has = |wanted: &str| lists.keys().any(|(_, name)| *name == wanted);
        let (has_test, has_both) = (has("test"), has("train") && has("val"));
        let mut parts: [Vec<(&str, String)>; 2] = Default::default();
        for (folder, year) in years {
            let is_of =
                |(of, name): &(&str, &str), names: &[&str]| of == folder && names.contains(name);
            let take = |names: &[&str]| -> Vec<(&str, String)> {
                let lists = lists.iter().filter(|(key, _)| is_of(key, names));
                let ids: BTreeSet<&String> = lists.flat_map(|(_, ids)| ids).collect();
                ids.into_iter().map(|id| (*folder, id.clone())).collect()
            };
            let has_own_train = lists.contains_key(&(*folder, "train"));
            if year.lists.is_empty() {
                parts[0].extend(year.annotations.keys().map(|id| (*folder, (*id).to_owned())));
            } else if has_test {
                parts[0].extend(take(&["trainval", "train", "val"]));
                parts[1].extend(take(&["test"]));
            } else if has_both {
                let train = if has_own_train { "train" } else { "trainval" };
                parts[0].extend(take(&[train]));
                parts[1].extend(take(&["val"]));
            } else {
                parts[0].extend(take(&["trainval", "train", "val"]));
            }
        }
        for (part, images) in parts.into_iter().enumerate() {
            for (folder, id) in images {
                let annotation = years[folder].annotations.get(id.as_str());
                self.image(part, folder, &id, annotation.copied())?;
            }
            if part == 0 {
                let is_voc = years.keys().any(|folder| base_name(folder).starts_with("VOC"));
                self.settle_classes(is_voc);
            }
        }
        Ok(has_test || has_both)
    }

    /// Sorts the classes once the training part is read: from here on no new one is added.
    fn settle_classes(&mut self, is_voc: bool) {
        if self.is_fixed {
            return;
        }
        self.is_fixed = true;
        if is_voc && self.names.iter().all(|name| CLASSES.contains(&name.as_str())) {
            let missing =
                CLASSES.into_iter().filter(|class| !self.names.iter().any(|n| n == class));
            let missing: Vec<String> = missing.map(str::to_owned).collect();
            self.names.extend(missing);
        }
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|&a, &b| self.names[a].cmp(&self.names[b]));
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &old)| places[old] = place as u32);
        self.names.sort();
        for image in self.gathered.images.values_mut() {
            image.boxes.0.iter_mut().for_each(|one| one.class = places[one.class as usize]);
        }
    }

    fn classes(&self) -> Vec<String> {
        self.names.clone()
    }

    fn class(&mut self, name: &str) -> Option<u32> {
        let place = self.names.iter().position(|known| known == name);
        if place.is_none() && !self.is_fixed {
            self.names.push(name.to_owned());
            return Some(self.names.len() as u32 - 1);
        }
        place.map(|place| place as u32)
    }

    fn image(
        &mut self,
        part: usize,
        folder: &str,
        id: &str,
        annotation: Option<&Entry>,
    ) -> Result<(), DataError> {
        let path = join(&join(folder, IMAGES), id);
        let Some(entry) = self.images.get(&path).cloned() else {
            let reason = format!("{id} is listed, and there is no image of that name");
            self.gathered.mistake(self.root.name(&path), reason);
            return Ok(());
        };
        let Some(annotation) = annotation else {
            let reason = format!("it is listed, and there is no {FOLDER}/{id}.xml");
            self.gathered.mistake(self.root.name(&entry.path), reason);
            return Ok(());
        };
        let name = self.root.name(&annotation.path);
        let text = self.root.blob(annotation)?.text();
        let parsed = text.map_err(|_| "it is not UTF-8".to_owned()).and_then(|text| parse(&text));
        let (size, objects) = match parsed {
            Ok(parsed) => parsed,
            Err(reason) => {
                self.gathered.mistake(name, reason);
                return Ok(());
            }
        };
        let mut boxes = Vec::new();
        for (class, one) in objects {
            match self.class(&class) {
                Some(class) => boxes.push(BoundingBox { class, ..one }),
                None => {
                    let known = self.names.join(", ");
                    let reason =
                        format!("the class {class:?} is none of the training part's: {known}");
                    self.gathered.mistake(name.clone(), reason);
                }
            }
        }
        let said = |number| format!("{name}: object {}", number + 1);
        self.gathered.add(part, Found { entry, size }, boxes, said);
        Ok(())
    }
}

/// The first word of each line.
fn ids(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

type Parsed = (Option<[u32; 2]>, Vec<(String, BoundingBox)>);

/// Size and objects of an annotation, each with the name of its class.
fn parse(text: &str) -> Result<Parsed, String> {
    let document =
        roxmltree::Document::parse(text).map_err(|error| format!("broken XML: {error}"))?;
    let root = document.root_element();
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        let found = node.children().find(|child| child.has_tag_name(name));
        found.and_then(|node| node.text()).map(|text| text.trim().to_owned())
    };
    let size = root.children().find(|node| node.has_tag_name("size")).and_then(|node| {
        let side = |name| child(node, name)?.parse::<u32>().ok().filter(|&side| side > 0);
        Some([side("width")?, side("height")?])
    });
    let mut objects = Vec::new();
    for (number, node) in root.children().filter(|node| node.has_tag_name("object")).enumerate() {
        let failed = |what: &str| format!("object {} has {what}", number + 1);
        let class = child(node, "name").filter(|name| !name.is_empty());
        let class = class.ok_or_else(|| failed("no name"))?;
        let place = node.children().find(|child| child.has_tag_name("bndbox"));
        let place = place.ok_or_else(|| failed("no bndbox"))?;
        let mut edges = [0.0f32; 4];
        for (edge, name) in edges.iter_mut().zip(["xmin", "ymin", "xmax", "ymax"]) {
            let value = child(place, name).and_then(|text| text.parse::<f64>().ok());
            *edge = value.ok_or_else(|| failed(&format!("no number as {name}")))? as f32;
        }
        let [x0, y0, x1, y1] = edges;
        // Where the last pixel is not behind the first one, the box has no area, as the authors say.
        let edge = |first: f32, last: f32| if last > first { last } else { last - 1.0 };
        let corners = [x0 - 1.0, y0 - 1.0, edge(x0, x1), edge(y0, y1)];
        let difficult = child(node, "difficult").is_some_and(|text| text == "1");
        objects.push((class, BoundingBox { difficult, ..BoundingBox::new(corners, 0) }));
    }
    Ok((size, objects))
}

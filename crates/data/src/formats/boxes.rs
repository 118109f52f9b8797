//! Images with boxes around their objects (§6.1), in a folder or a tar, told apart by looking:
//! - a folder `Annotations` of XML files: Pascal VOC, one year or several beside each other ([`voc`]);
//! - JSON files with `images`, `annotations` and `categories`: COCO ([`coco`]), which may also be given as the path itself;
//! - text files of five numbers a line in a folder `labels`, or beside the images: YOLO ([`yolo`]).
//!
//! Every mistake of the annotations is gathered before any is told. A box that reaches out of its image is cut at the
//! edge and told; one without an area inside its image is bad, and the caller says what becomes of it.

mod coco;
mod voc;
mod yolo;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::blob::Blob;
use super::layout::{Entry, Item, Layout, LeftOut, Tree, base_name};
use super::source::{Root, Source};
use super::{archive, folder, pack};
use crate::{BadImage, BoundingBox, Boxes, DataError};

/// A dataset of boxes as its files have it.
pub(crate) struct FoundBoxes {
    /// Every label is 0.
    pub(crate) layout: Layout,
    pub(crate) source: Arc<dyn Source>,
    /// By the image's path.
    pub(crate) images: HashMap<String, BoxedImage>,
    /// What makes the dataset unusable: broken files, unknown classes, images without a file.
    pub(crate) mistakes: Vec<BadImage>,
    /// Boxes that no object can have. They are in no image.
    pub(crate) bad_boxes: Vec<BadImage>,
    /// Boxes that were cut at an edge of their image.
    pub(crate) cut: Vec<BadImage>,
}

/// What the annotations say of one image.
#[derive(Clone, Debug, Default)]
pub(crate) struct BoxedImage {
    pub(crate) boxes: Boxes,
    /// Width and height, where the annotations say them.
    pub(crate) size: Option<[u32; 2]>,
}

/// Opens a dataset of boxes; None where the path holds images of another kind.
pub(crate) fn open(path: &Path) -> Result<Option<FoundBoxes>, DataError> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        return coco::open_file(path).map(Some);
    }
    let Some((root, tree)) = look(path)? else { return Ok(None) };
    let others = tree.others();
    if voc::is_present(&others) {
        return voc::open(root, &tree).map(Some);
    }
    let lists = coco::lists(&root, &others)?;
    if !lists.is_empty() {
        return coco::open(root, &tree, lists).map(Some);
    }
    if yolo::is_present(&root, &tree)? {
        return yolo::open(root, tree).map(Some);
    }
    Ok(None)
}

/// The files of a folder or a tar; None where the path is neither.
fn look(path: &Path) -> Result<Option<(Root, Tree)>, DataError> {
    if path.is_dir() {
        if pack::is_pack(path) {
            return Ok(None);
        }
        return Ok(Some((Root::Folder(path.to_owned()), folder::read(path)?)));
    }
    let Ok(file) = Blob::open(path) else { return Ok(None) };
    let file = file.unpack(&mut 0)?;
    if !is_tar(&file)? {
        return Ok(None);
    }
    let tree = archive::read(file.reader(), file.length(), &file.name)?;
    Ok(Some((Root::Archive(file), tree)))
}

fn is_tar(file: &Blob) -> Result<bool, DataError> {
    let head: [u8; 512] = file.head()?;
    Ok(head[257..262] == *b"ustar")
}

/// An annotated image on its way.
struct Found {
    entry: Entry,
    size: Option<[u32; 2]>,
}

/// Gathers the images and boxes of both parts, and what is wrong with them.
#[derive(Default)]
struct Gathered {
    parts: [Vec<Item>; 2],
    images: HashMap<String, BoxedImage>,
    left_out: Vec<LeftOut>,
    mistakes: Vec<BadImage>,
    bad_boxes: Vec<BadImage>,
    cut: Vec<BadImage>,
}

impl Gathered {
    fn mistake(&mut self, name: String, reason: impl Into<String>) {
        let mistake = BadImage { name, reason: reason.into() };
        // A file says it once.
        if self.mistakes.last() != Some(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// Adds an image to part 0, training, or 1, validation. `said` names a box by its number in messages.
    fn add(
        &mut self,
        part: usize,
        found: Found,
        boxes: impl IntoIterator<Item = BoundingBox>,
        said: impl Fn(usize) -> String,
    ) {
        let mut image = BoxedImage { boxes: Boxes::default(), size: found.size };
        for (number, mut one) in boxes.into_iter().enumerate() {
            match self.checked(&one, found.size) {
                Ok((corners, None)) => one.corners = corners,
                Ok((corners, Some(reason))) => {
                    one.corners = corners;
                    self.cut.push(BadImage { name: said(number), reason });
                }
                Err(reason) => {
                    self.bad_boxes.push(BadImage { name: said(number), reason });
                    continue;
                }
            }
            image.boxes.0.push(one);
        }
        self.parts[part].push(Item { label: 0, entry: found.entry.clone() });
        self.images.insert(found.entry.path, image);
    }

    /// The corners inside an image of this size, with a remark where they were outside.
    fn checked(
        &self,
        one: &BoundingBox,
        size: Option<[u32; 2]>,
    ) -> Result<([f32; 4], Option<String>), String> {
        let [x0, y0, x1, y1] = one.corners;
        let text = format!("its box reaches from ({x0}, {y0}) to ({x1}, {y1})");
        if !one.corners.iter().all(|value| value.is_finite()) {
            return Err(text);
        }
        if x1 < x0 || y1 < y0 {
            return Err(format!("{text}: its corners are swapped"));
        }
        if x1 == x0 || y1 == y0 {
            return Err(format!("{text}: it has no area"));
        }
        let Some([width, height]) = size else { return Ok((one.corners, None)) };
        let inside = Boxes(vec![*one]).clipped(width as usize, height as usize).0[0];
        let text = format!("{text}, its image has {width}×{height} pixels");
        if inside.area() == 0.0 {
            return Err(format!("{text}: it lies outside"));
        }
        let was_cut = inside.corners != one.corners;
        Ok((inside.corners, was_cut.then_some(text)))
    }

    fn finish(
        self,
        classes: Vec<String>,
        has_validation: bool,
        source: Arc<dyn Source>,
    ) -> FoundBoxes {
        let Gathered { parts, images, left_out, mistakes, bad_boxes, cut } = self;
        let [train, validation] = parts;
        let validation = has_validation.then_some(validation);
        let layout = Layout { classes, train, validation, left_out };
        FoundBoxes { layout, source, images, mistakes, bad_boxes, cut }
    }
}

/// The images of a tree by their path without its extension.
fn by_stem(images: &[Entry]) -> HashMap<&str, &Entry> {
    images.iter().map(|entry| (stem(&entry.path), entry)).collect()
}

/// A path without its extension.
fn stem(path: &str) -> &str {
    let name = base_name(path);
    let extension = name.rsplit_once('.').map_or(0, |(_, extension)| extension.len() + 1);
    &path[..path.len() - extension]
}

/// The folder of a path; empty for one without.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests;

//! YOLO: for each image a text file with a line for each object: the number of its class, then the centre's x and y, the
//! width and the height as shares of the image.
//!
//! The text of `…/images/a.jpg` is `…/labels/a.txt`, or else `a.txt` beside the image; an image without one has no objects.
//! Class names come from the key `names` of a YAML file, or from `classes.txt` or `obj.names`. Parts are the words train,
//! val and test in the paths of the images. Sizes are read from the heads of the images.

use std::collections::HashMap;

use super::{Found, FoundBoxes, Gathered, folder_of, stem};
use crate::formats::classes::{Side, name_lines, sides};
use crate::formats::layout::{Entry, Tree, base_name};
use crate::formats::source::{Root, Source};
use crate::probe::probe;
use crate::{BoundingBox, DataError};

const NAMES: [&str; 3] = ["classes.txt", "obj.names", "classes.names"];
/// Bytes in which a picture nearly always tells its size.
const HEAD: u64 = 64 << 10;

/// Whether a text file belongs to an image and holds lines of five numbers.
pub(super) fn is_present(root: &Root, tree: &Tree) -> Result<bool, DataError> {
    let images: Vec<&Entry> = tree.files().flat_map(|(images, _)| images).collect();
    let texts = texts(tree);
    for image in images {
        let Some(entry) = text_of(&image.path, &texts) else { continue };
        let text = root.blob(entry)?.text().unwrap_or_default();
        if let Some(line) = text.lines().find(|line| !line.trim().is_empty()) {
            return Ok(parse(line).is_ok());
        }
    }
    Ok(false)
}

pub(super) fn open(root: Root, tree: Tree) -> Result<FoundBoxes, DataError> {
    let names = names(&root, &tree)?;
    let mut gathered = Gathered::default();
    gathered.left_out.clone_from(&tree.left_out);
    let texts: HashMap<String, Entry> =
        texts(&tree).into_iter().map(|(path, entry)| (path.to_owned(), entry.clone())).collect();
    let texts: HashMap<&str, &Entry> =
        texts.iter().map(|(path, entry)| (path.as_str(), entry)).collect();
    let name = root.name("");
    let sides = sides(tree.images(), |entry| folder_of(&entry.path), &name)?;
    let has_validation = !sides.validation.is_empty();
    let mut most = 0;
    let mut read = Vec::new();
    for (side, entry) in sides.all() {
        let text = match text_of(&entry.path, &texts) {
            Some(text) => Some((root.name(&text.path), root.blob(text)?.text()?)),
            None => None,
        };
        let mut objects = Vec::new();
        for (number, line) in text.iter().flat_map(|(_, text)| text.lines().enumerate()) {
            if line.trim().is_empty() {
                continue;
            }
            let said = || format!("{}:{}", text.as_ref().map_or("", |(name, _)| name), number + 1);
            match parse(line) {
                Ok((class, _))
                    if names.as_ref().is_some_and(|names| class as usize >= names.len()) =>
                {
                    let known = names.as_ref().map_or(0, Vec::len);
                    gathered.mistake(
                        said(),
                        format!("class {class} is none of the {known} that have names"),
                    );
                }
                Ok((class, place)) => {
                    most = most.max(class + 1);
                    objects.push((class, place, number + 1));
                }
                Err(reason) => gathered.mistake(said(), reason),
            }
        }
        read.push((side, entry, text.map(|(name, _)| name), objects));
    }
    let source = root.source();
    for (side, entry, text, objects) in read {
        let Some(size) = size_of(&*source, &entry)? else {
            let image = source.name(&entry);
            gathered.mistake(image, "its size cannot be read, and boxes are shares of it");
            continue;
        };
        let [width, height] = size.map(f64::from);
        let boxes = objects.iter().map(|&(class, [x, y, w, h], _)| {
            let (x, y, w, h) = (x * width, y * height, w * width / 2.0, h * height / 2.0);
            BoundingBox::new([x - w, y - h, x + w, y + h].map(|value| value as f32), class)
        });
        let part = if matches!(side, Side::Train) { 0 } else { 1 };
        let text = text.unwrap_or_default();
        let found = Found { entry, size: Some(size) };
        gathered.add(part, found, boxes, |number| format!("{text}:{}", objects[number].2));
    }
    let classes =
        names.unwrap_or_else(|| (0..most).map(|class| format!("class {class}")).collect());
    Ok(gathered.finish(classes, has_validation, source))
}

fn texts(tree: &Tree) -> HashMap<&str, &Entry> {
    let others = tree.files().flat_map(|(_, others)| others);
    let texts = others.filter(|entry| entry.path.ends_with(".txt"));
    texts.map(|entry| (entry.path.as_str(), entry)).collect()
}

/// The text that belongs to an image.
fn text_of<'a>(image: &str, texts: &HashMap<&str, &'a Entry>) -> Option<&'a Entry> {
    let mut folders: Vec<&str> = image.split('/').collect();
    let beside = format!("{}.txt", stem(image));
    if let Some(place) = folders.iter().rposition(|folder| *folder == "images") {
        folders[place] = "labels";
        let apart = format!("{}.txt", stem(&folders.join("/")));
        if let Some(found) = texts.get(apart.as_str()) {
            return Some(found);
        }
    }
    texts.get(beside.as_str()).copied()
}

/// Class and place of a line.
fn parse(line: &str) -> Result<(u32, [f64; 4]), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [class, place @ ..] = words.as_slice() else { return Err("an empty line".to_owned()) };
    let class = class.parse().map_err(|_| format!("{class:?} is no number of a class"))?;
    let place: Vec<f64> = place.iter().filter_map(|word| word.parse().ok()).collect();
    match (words.len(), <[f64; 4]>::try_from(place)) {
        (5, Ok(place)) => Ok((class, place)),
        _ => Err(format!("{} words, where a class and four numbers are expected", words.len())),
    }
}

/// Class names, from a YAML file or a list.
fn names(root: &Root, tree: &Tree) -> Result<Option<Vec<String>>, DataError> {
    for entry in tree.others() {
        let name = base_name(&entry.path);
        if NAMES.contains(&name) {
            let text = root.blob(entry)?.text()?;
            return name_lines(&text, &root.name(&entry.path)).map(Some);
        }
        if name.ends_with(".yaml") || name.ends_with(".yml") {
            let found = yaml_names(&root.blob(entry)?.text()?);
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// The key `names` of a YAML file: a list in brackets, or lines `- name` or `0: name` below it.
fn yaml_names(text: &str) -> Vec<String> {
    let bare = |name: &str| name.trim().trim_matches(['"', '\'']).to_owned();
    let mut lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default());
    let Some(first) = lines.by_ref().find_map(|line| line.strip_prefix("names:")) else {
        return Vec::new();
    };
    let first = first.trim();
    if first.starts_with('[') {
        let mut whole = first.to_owned();
        while !whole.contains(']') {
            let Some(line) = lines.next() else { break };
            whole += line;
        }
        let inside = whole.trim_start_matches('[').split(']').next().unwrap_or_default();
        return inside.split(',').map(bare).filter(|name| !name.is_empty()).collect();
    }
    let mut names = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let line = match line.trim().strip_prefix("- ") {
            Some(name) => name,
            None if line.starts_with(' ') => line.split_once(':').map_or("", |(_, name)| name),
            None => break,
        };
        names.push(bare(line));
    }
    names
}

fn size_of(source: &dyn Source, entry: &Entry) -> Result<Option<[u32; 2]>, DataError> {
    let mut buffer = Vec::new();
    let head = probe(source.beginning(entry, HEAD, &mut buffer)?).size;
    let size = match head {
        Some(size) => Some(size),
        None => probe(source.read(entry, &mut buffer)?.bytes()).size,
    };
    Ok(size.map(|(width, height)| [width as u32, height as u32]))
}

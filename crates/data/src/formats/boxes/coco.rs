//! COCO's JSON: `images`, `annotations` and `categories` in a file for each part.
//!
//! Files called `instances…` count alone where there are any. A file's part is the word train, val or test in its path.
//! Images are looked for beside the file, then by their name anywhere, those first whose folder is named like the file's
//! end (`instances_train2017.json`, `train2017/`). Classes are the categories in the order of their ids. A box is x, y,
//! width and height. Only the keys that matter are kept while a file is read, so that its size in memory is a fraction
//! of that on disk.

use std::collections::{BTreeMap, HashMap};
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;

use super::{Found, FoundBoxes, Gathered, folder_of, join, stem};
use crate::formats::blob::Blob;
use crate::formats::classes::{Side, sides};
use crate::formats::folder;
use crate::formats::layout::{Entry, Tree, base_name};
use crate::formats::source::Root;
use crate::{BoundingBox, DataError};

#[derive(Deserialize)]
struct CocoFile {
    images: Vec<CocoImage>,
    annotations: Vec<CocoBox>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct CocoImage {
    id: u64,
    file_name: String,
    width: Option<u32>,
    height: Option<u32>,
}

#[derive(Deserialize)]
struct CocoBox {
    #[serde(default)]
    id: u64,
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

/// The bytes in which a file of COCO names one of its lists.
const HEAD: usize = 4096;
const FIRST: &str = "instances";

/// The JSON files of boxes.
pub(super) fn lists(root: &Root, others: &[&Entry]) -> Result<Vec<Entry>, DataError> {
    let jsons = others.iter().filter(|entry| entry.path.to_ascii_lowercase().ends_with(".json"));
    let mut found: Vec<Entry> = Vec::new();
    for entry in jsons {
        let head: [u8; HEAD] = root.blob(entry)?.head()?;
        let head = String::from_utf8_lossy(&head);
        let keys = ["\"info\"", "\"images\"", "\"annotations\"", "\"categories\"", "\"licenses\""];
        if head.trim_start().starts_with('{') && keys.iter().any(|key| head.contains(key)) {
            found.push((*entry).clone());
        }
    }
    if found.iter().any(|entry| base_name(&entry.path).starts_with(FIRST)) {
        found.retain(|entry| base_name(&entry.path).starts_with(FIRST));
    }
    Ok(found)
}

/// A JSON file given as the path itself: all of one part, with its images beside it, below, or in a folder next to its own.
pub(super) fn open_file(path: &Path) -> Result<FoundBoxes, DataError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut folder = parent.to_owned();
    let mut tree = folder::read(parent)?;
    let mut inner = name.clone();
    if !tree.has_images()
        && let (Some(above), Some(own)) = (parent.parent(), parent.file_name())
    {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        folder = above.to_owned();
        tree = folder::read(above)?;
        inner = join(&own.to_string_lossy(), &name);
    }
    let entry = Entry { path: inner, ..Entry::default() };
    read(Root::Folder(folder), &tree, vec![(Side::Train, entry)], false)
}

pub(super) fn open(root: Root, tree: &Tree, lists: Vec<Entry>) -> Result<FoundBoxes, DataError> {
    let sides = sides(lists, |entry| entry.path.as_str(), &root.name(""))?;
    let has_validation = !sides.validation.is_empty();
    read(root, tree, sides.all().collect(), has_validation)
}

fn read(
    root: Root,
    tree: &Tree,
    lists: Vec<(Side, Entry)>,
    has_validation: bool,
) -> Result<FoundBoxes, DataError> {
    let images: Vec<&Entry> = tree.files().flat_map(|(images, _)| images).collect();
    let paths: HashMap<&str, &Entry> =
        images.iter().map(|entry| (entry.path.as_str(), *entry)).collect();
    let mut by_name: HashMap<&str, Vec<&Entry>> = HashMap::new();
    images.iter().for_each(|entry| by_name.entry(base_name(&entry.path)).or_default().push(entry));
    let mut gathered = Gathered::default();
    gathered.left_out.clone_from(&tree.left_out);
    let mut classes: Option<BTreeMap<u64, String>> = None;
    for (side, list) in lists {
        let blob = root.blob(&list)?;
        let file: CocoFile = parse(&blob)?;
        let own: BTreeMap<u64, String> =
            file.categories.into_iter().map(|one| (one.id, one.name)).collect();
        let known = classes.get_or_insert_with(|| own.clone());
        for (id, name) in own.iter().filter(|(id, name)| known.get(id) != Some(name)) {
            let reason =
                format!("its category {id} is {name:?}, which the training part does not have");
            gathered.mistake(blob.name.clone(), reason);
        }
        let numbers: HashMap<u64, u32> =
            known.keys().zip(0..).map(|(&id, number)| (id, number)).collect();
        let mut boxes = by_image(file.annotations, &numbers, &blob.name, &mut gathered);
        let part = if matches!(side, Side::Train) { 0 } else { 1 };
        for image in file.images {
            let Some(entry) = image_of(&image.file_name, &list.path, &paths, &by_name) else {
                let reason = format!("its image {} is not there", image.file_name);
                gathered.mistake(blob.name.clone(), reason);
                continue;
            };
            let (ids, boxes): (Vec<u64>, Vec<BoundingBox>) =
                boxes.remove(&image.id).unwrap_or_default().into_iter().unzip();
            let size = image.width.zip(image.height).map(|(width, height)| [width, height]);
            let found = Found { entry: entry.clone(), size };
            gathered.add(part, found, boxes, |number| {
                format!("{}: annotation {}", blob.name, ids[number])
            });
        }
        if let Some((id, lost)) = boxes.iter().min_by_key(|(id, _)| **id) {
            let reason = format!(
                "{} annotations are of images that are not in the list, such as annotation {} of image {id}",
                boxes.values().map(Vec::len).sum::<usize>(),
                lost[0].0
            );
            gathered.mistake(blob.name.clone(), reason);
        }
    }
    let classes = classes.unwrap_or_default().into_values().collect();
    let source = root.source();
    Ok(gathered.finish(classes, has_validation, source))
}

/// The boxes of each image by its id, with the ids of the annotations. Those of unknown categories are mistakes of `file`.
fn by_image(
    annotations: Vec<CocoBox>,
    numbers: &HashMap<u64, u32>,
    file: &str,
    gathered: &mut Gathered,
) -> HashMap<u64, Vec<(u64, BoundingBox)>> {
    let mut boxes: HashMap<u64, Vec<(u64, BoundingBox)>> = HashMap::new();
    for one in annotations {
        let Some(&class) = numbers.get(&one.category_id) else {
            let reason = format!(
                "annotation {} has the category {}, which is not in the list",
                one.id, one.category_id
            );
            gathered.mistake(file.to_owned(), reason);
            continue;
        };
        let [x, y, width, height] = one.bbox;
        let corners = [x, y, x + width, y + height].map(|value| value as f32);
        let found = BoundingBox {
            crowd: one.iscrowd != 0,
            mask_area: one.area.map(|area| area as f32),
            ..BoundingBox::new(corners, class)
        };
        boxes.entry(one.image_id).or_default().push((one.id, found));
    }
    boxes
}

fn parse(blob: &Blob) -> Result<CocoFile, DataError> {
    let reader = BufReader::with_capacity(1 << 20, blob.reader());
    serde_json::from_reader(reader).map_err(|error| DataError::Malformed {
        name: blob.name.clone(),
        what: "file of COCO's boxes",
        reason: error.to_string(),
        mend: "correct it, or fetch it again",
    })
}

fn image_of<'a>(
    name: &str,
    list: &str,
    paths: &HashMap<&str, &'a Entry>,
    by_name: &HashMap<&str, Vec<&'a Entry>>,
) -> Option<&'a Entry> {
    if let Some(beside) = paths.get(join(folder_of(list), name).as_str()) {
        return Some(beside);
    }
    let candidates = by_name.get(base_name(name))?;
    let word = base_name(stem(list)).rsplit('_').next().unwrap_or_default();
    let is_named = |entry: &&&Entry| folder_of(&entry.path).split('/').any(|folder| folder == word);
    candidates.iter().find(is_named).or(candidates.first()).copied()
}

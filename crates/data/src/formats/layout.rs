//! From the paths in a folder or an archive to classes and images: what is the train part, what is a class.
//!
//! The rules, for a folder and a tar alike:
//! - a file counts by its extension (jpg, jpeg, png, webp, bmp, gif, in any case); other files in a class folder are left
//!   out, and told; hidden names and `__MACOSX` do not exist;
//! - folders that hold nothing but one folder are passed through, as long as that one holds no images itself;
//! - `train` beside one of `val`, `validation`, `test` (the first of these, in any case): both parts, each with class
//!   folders, whose images may lie deeper; `train` alone: its class folders;
//! - otherwise every folder is a class and holds its images directly;
//! - classes and images are in byte order of their names.

use std::collections::{BTreeMap, BTreeSet};

use crate::{DataError, EmptyClass};

const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];
const TRAIN: &str = "train";
const VALIDATION: [&str; 3] = ["val", "validation", "test"];
/// How many names a message lists.
const NAMES: usize = 5;

/// An image before it has a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// From the root of the folder or archive, with `/` between; the name in messages.
    pub(crate) path: String,
    /// Which file of several holds it.
    pub(crate) file: u32,
    /// Where its bytes are in that file; in which unit is the source's affair.
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// An image of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) label: u32,
    pub(crate) entry: Entry,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) classes: Vec<String>,
    pub(crate) train: Vec<Item>,
    pub(crate) validation: Option<Vec<Item>>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// Something in a dataset that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As in messages: what is not UTF-8 in it is replaced.
    pub name: String,
    pub reason: String,
}

/// Why a file in a class folder is left out.
const OTHER_EXTENSION: &str = "its name ends in none of jpg, jpeg, png, webp, bmp and gif";

#[derive(Debug, Default)]
struct Folder {
    images: Vec<Entry>,
    others: Vec<Entry>,
}

/// All folders by their path; the root's is empty.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    folders: BTreeMap<String, Folder>,
    /// What was seen and is neither a file nor a folder that can be read; the names are whole.
    pub(crate) left_out: Vec<LeftOut>,
}

/// Whether a file or folder of this name exists for us.
pub(crate) fn is_visible(name: &str) -> bool {
    !name.starts_with('.') && name != "__MACOSX"
}

/// Whether a folder of this name may be the validation part.
pub(crate) fn is_validation(name: &str) -> bool {
    VALIDATION.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// A path without its folders.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Whether a file of this name is taken for an image.
pub(crate) fn is_image(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, found)| EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

impl Tree {
    pub(crate) fn add_folder(&mut self, path: &str) {
        // Parents before it, since an archive may name only the files.
        for (at, _) in path.match_indices('/') {
            self.folders.entry(path[..at].to_owned()).or_default();
        }
        self.folders.entry(path.to_owned()).or_default();
    }

    pub(crate) fn add_file(&mut self, entry: Entry) {
        let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !self.folders.contains_key(parent) {
            self.add_folder(parent);
        }
        let folder = self.folders.entry(parent.to_owned()).or_default();
        if is_image(&entry.path) {
            folder.images.push(entry);
        } else {
            folder.others.push(entry);
        }
    }

    /// Every image, in byte order of the paths.
    pub(crate) fn images(mut self) -> Vec<Entry> {
        self.take("", true)
    }

    /// Files that are no images, by their path.
    pub(crate) fn others(&self) -> Vec<&Entry> {
        let mut others: Vec<&Entry> =
            self.folders.values().flat_map(|folder| &folder.others).collect();
        others.sort_by(|a, b| a.path.cmp(&b.path));
        others
    }

    pub(crate) fn has_images(&self) -> bool {
        self.folders.values().any(|folder| !folder.images.is_empty())
    }

    /// The folder of class folders to train on, beside one for validation that holds either class folders or images
    /// alone. Of the latter, whether it is one.
    pub(crate) fn parts(&self) -> Option<(String, String, bool)> {
        self.folders.keys().find_map(|folder| {
            let (parent, name) = folder.rsplit_once('/').unwrap_or(("", folder));
            name.eq_ignore_ascii_case(TRAIN).then_some(())?;
            let is_part = self.direct(folder).is_empty() && !self.children(folder).is_empty();
            let validation = join(parent, self.validation_in(parent)?);
            let is_flat =
                !self.direct(&validation).is_empty() && self.children(&validation).is_empty();
            is_part.then(|| (folder.clone(), validation, is_flat))
        })
    }

    /// The folder directly inside one that is called `wanted`, or so but for the case of its letters.
    fn child_called(&self, parent: &str, wanted: &str) -> Option<&str> {
        let children = self.children(parent);
        let exact = children.get(wanted).copied();
        exact.or_else(|| children.into_iter().find(|name| name.eq_ignore_ascii_case(wanted)))
    }

    /// The folder of the validation part, directly inside one.
    fn validation_in(&self, parent: &str) -> Option<&str> {
        VALIDATION.into_iter().find_map(|part| self.child_called(parent, part))
    }

    /// Images and other files, folder by folder.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&[Entry], &[Entry])> {
        self.folders.values().map(|folder| (folder.images.as_slice(), folder.others.as_slice()))
    }

    /// Names of the folders directly inside one.
    fn children(&self, path: &str) -> BTreeSet<&str> {
        let prefix = inside(path);
        self.below(path)
            .map(|(found, _)| {
                let rest = &found[prefix.len()..];
                rest.split_once('/').map_or(rest, |(first, _)| first)
            })
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The folders inside one, at any depth, without itself.
    fn below(&self, path: &str) -> impl Iterator<Item = (&String, &Folder)> {
        let prefix = inside(path);
        self.folders
            .range(prefix.clone()..)
            .take_while(move |(found, _)| found.starts_with(&prefix))
            .filter(|(found, _)| !found.is_empty())
    }

    fn direct(&self, path: &str) -> &[Entry] {
        self.folders.get(path).map_or(&[], |folder| &folder.images)
    }

    /// Takes the images of a folder out of the tree, `deep` those below it too.
    fn take(&mut self, path: &str, deep: bool) -> Vec<Entry> {
        let mut images = Vec::new();
        let prefix = inside(path);
        if let Some(folder) = self.folders.get_mut(path) {
            images.append(&mut folder.images);
        }
        if deep {
            let below = self.folders.range_mut(prefix.clone()..);
            for (_, folder) in below.take_while(|(found, _)| found.starts_with(&prefix)) {
                images.append(&mut folder.images);
            }
        }
        images.sort_by(|a, b| a.path.cmp(&b.path));
        images
    }

    /// What a folder holds, for a message; None where it holds nothing.
    fn describe(&self, path: &str) -> Option<String> {
        let children: Vec<&str> = self.children(path).into_iter().collect();
        let folder = self.folders.get(path);
        let images = folder.map_or(0, |folder| folder.images.len());
        let others = folder.map_or(0, |folder| folder.others.len());
        let mut parts = Vec::new();
        if !children.is_empty() {
            parts.push(format!("{} ({})", count(children.len(), "folder"), listed(&children)));
        }
        if images > 0 {
            parts.push(count(images, "image"));
        }
        if others > 0 {
            parts.push(count(others, "other file"));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Finds classes and parts. `name` turns a path in the tree into one for messages.
    pub(crate) fn layout(mut self, name: impl Fn(&str) -> String) -> Result<Layout, DataError> {
        if !self.has_images() {
            return Err(DataError::Empty { name: name("") });
        }
        let root = self.root();
        let mut left_out = Vec::new();
        let is_part =
            |path: &String| self.direct(path).is_empty() && !self.children(path).is_empty();
        let train = self.child_called(&root, TRAIN).map(|part| join(&root, part));
        let validation = self.validation_in(&root).map(|part| join(&root, part));
        let Some(train) = train.filter(is_part) else {
            let (classes, train) = self.part(&root, false, &name, &mut left_out)?;
            return Ok(Layout { classes, train, validation: None, left_out });
        };
        let (classes, train) = self.part(&train, true, &name, &mut left_out)?;
        let Some(validation) = validation else {
            return Ok(Layout { classes, train, validation: None, left_out });
        };
        let (others, validation_items) = self.part(&validation, true, &name, &mut left_out)?;
        if classes != others {
            let lacking = |from: &[String], what: &[String]| {
                let names: Vec<&str> =
                    what.iter().filter(|c| !from.contains(c)).map(String::as_str).collect();
                if names.is_empty() { "none".to_owned() } else { listed(&names) }
            };
            return Err(DataError::ClassMismatch {
                name: name(&validation),
                missing: lacking(&others, &classes),
                extra: lacking(&classes, &others),
            });
        }
        Ok(Layout { classes, train, validation: Some(validation_items), left_out })
    }

    /// The folder that holds the parts or the classes.
    fn root(&self) -> String {
        let mut root = String::new();
        loop {
            if !self.direct(&root).is_empty() {
                return root;
            }
            let children = self.children(&root);
            let (Some(only), 1) = (children.first(), children.len()) else {
                return root;
            };
            let path = join(&root, only);
            if !self.direct(&path).is_empty() || self.children(&path).is_empty() {
                return root;
            }
            root = path;
        }
    }

    /// Class names and images of the class folders in `root`. Other files in these are added to `left_out`.
    fn part(
        &mut self,
        root: &str,
        deep: bool,
        name: &impl Fn(&str) -> String,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<(Vec<String>, Vec<Item>), DataError> {
        let classes: Vec<String> = self.children(root).into_iter().map(str::to_owned).collect();
        if classes.is_empty() {
            return Err(DataError::NotDataset {
                name: name(root),
                found: self.describe(root).unwrap_or_else(|| "nothing".to_owned()),
            });
        }
        let (mut items, mut empty) = (Vec::new(), Vec::new());
        for (label, class) in classes.iter().enumerate() {
            let path = join(root, class);
            let images = self.take(&path, deep);
            if images.is_empty() {
                empty.push(EmptyClass { name: name(&path), found: self.describe(&path) });
            }
            let others = self.others_in(&path, deep).into_iter().map(|entry| LeftOut {
                name: name(&entry.path),
                reason: OTHER_EXTENSION.to_owned(),
            });
            left_out.extend(others);
            let label = label as u32;
            items.extend(images.into_iter().map(|entry| Item { label, entry }));
        }
        if !empty.is_empty() {
            return Err(DataError::EmptyClasses { folders: empty });
        }
        Ok((classes, items))
    }

    /// Files that are no images in a folder, `deep` those below it too, in byte order of their paths.
    fn others_in(&self, path: &str, deep: bool) -> Vec<&Entry> {
        let own = self.folders.get(path).into_iter();
        let below = self.below(path).filter(|_| deep).map(|(_, folder)| folder);
        let mut others: Vec<&Entry> = own.chain(below).flat_map(|folder| &folder.others).collect();
        others.sort_by(|a, b| a.path.cmp(&b.path));
        others
    }
}

fn join(root: &str, name: &str) -> String {
    if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") }
}

/// The start of every path inside a folder.
fn inside(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}/") }
}

pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

pub(crate) fn listed(names: &[&str]) -> String {
    let mut text = names[..names.len().min(NAMES)].join(", ");
    if names.len() > NAMES {
        text += &format!(" and {} more", names.len() - NAMES);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(paths: &[&str]) -> Result<Layout, DataError> {
        let mut tree = Tree::default();
        for path in paths {
            match path.strip_suffix('/') {
                Some(folder) => tree.add_folder(folder),
                None => tree.add_file(Entry { path: (*path).to_owned(), ..Entry::default() }),
            }
        }
        tree.layout(|path| format!("set:{path}"))
    }

    fn paths(items: &[Item]) -> Vec<(u32, &str)> {
        items.iter().map(|item| (item.label, item.entry.path.as_str())).collect()
    }

    #[test]
    fn class_folders_in_byte_order() {
        let found =
            layout(&["b/2.png", "b/10.png", "a-z/1.JPEG", "a/x.jpg", "a/notes.txt", "x.csv"]);
        let found = found.unwrap();
        assert_eq!(found.classes, ["a", "a-z", "b"]);
        let expected = [(0, "a/x.jpg"), (1, "a-z/1.JPEG"), (2, "b/10.png"), (2, "b/2.png")];
        assert_eq!(paths(&found.train), expected);
        assert_eq!(found.validation, None);
    }

    #[test]
    fn parts_are_found_below_a_common_root_and_by_preference() {
        for root in ["", "set/", "a/b/"] {
            for (present, chosen) in [
                (vec!["test", "val"], "val"),
                (vec!["test", "validation"], "validation"),
                (vec!["test"], "test"),
            ] {
                let mut files =
                    vec![format!("{root}train/cat/1.jpg"), format!("{root}train/dog/deep/1.jpg")];
                for part in &present {
                    files.push(format!("{root}{part}/cat/2.jpg"));
                    files.push(format!("{root}{part}/dog/2.jpg"));
                }
                let found = layout(&files.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
                assert_eq!(found.classes, ["cat", "dog"]);
                assert_eq!(found.train.len(), 2);
                let validation = found.validation.unwrap();
                assert_eq!(validation[0].entry.path, format!("{root}{chosen}/cat/2.jpg"));
            }
        }
    }

    #[test]
    fn a_lone_part_and_a_lone_class_are_told_apart() {
        let found = layout(&["val/cat/1.jpg", "val/dog/1.jpg", "classes.txt"]).unwrap();
        assert_eq!(found.classes, ["cat", "dog"]);
        let found = layout(&["train/cat/1.jpg", "train/dog/1.jpg", "other/readme"]).unwrap();
        assert_eq!(found.classes, ["cat", "dog"]);
        let found = layout(&["root/cat/1.jpg"]).unwrap();
        assert_eq!(found.classes, ["cat"]);
        // A class may be called train.
        let found = layout(&["train/1.jpg", "bus/1.jpg"]).unwrap();
        assert_eq!(found.classes, ["bus", "train"]);
    }

    #[test]
    fn mistakes_are_named_with_their_mend() {
        let cases: [(&[&str], &str); 7] = [
            (&[], "set:: no images here"),
            (&["readme.txt", "a/b.txt"], "set:: no images here"),
            (&["1.jpg", "2.jpg", "x.txt"], "set:: not a dataset: found 2 images, 1 other file;"),
            (
                &["images/training/1.jpg", "images/testing/1.jpg", "masks/training/1.png"],
                "2 class folders hold no images; add images to them or remove them\n  \
                 set:images: no images in this class folder, only 2 folders (testing, training)\n  \
                 set:masks: no images in this class folder, only 1 folder (training)",
            ),
            (
                &["a/1.jpg", "b/"],
                "set:b: this class folder is empty; add images to it or remove it",
            ),
            (
                &["a/1.jpg", "b/", "c/x.tif", "d/"],
                "3 class folders hold no images; add images to them or remove them\n  \
                 set:b: this class folder is empty\n  \
                 set:c: no images in this class folder, only 1 other file\n  \
                 set:d: this class folder is empty",
            ),
            (
                &["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/c/1.jpg"],
                "set:val: its classes differ from those of the training part: missing b; extra c;",
            ),
        ];
        for (files, expected) in cases {
            let message = layout(files).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn parts_are_found_in_any_case() {
        for [train, validation] in [["Train", "VAL"], ["TRAIN", "Validation"], ["train", "Test"]] {
            let files = [train, validation].map(|part| format!("set/{part}/cat/1.jpg"));
            let found = layout(&[&files[0], &files[1]]).unwrap();
            assert_eq!(found.classes, ["cat"]);
            assert_eq!(paths(&found.train), [(0, files[0].as_str())]);
            assert_eq!(paths(&found.validation.unwrap()), [(0, files[1].as_str())]);
        }
        let found = layout(&["train/a/1.jpg", "Train/b/1.jpg", "val/a/1.jpg"]).unwrap();
        assert_eq!(found.classes, ["a"], "the exact name comes first");
    }

    #[test]
    fn files_of_other_kinds_in_class_folders_are_told() {
        let files = ["a/1.jpg", "a/x.tif", "a/y.jfif", "b/1.png", "b/none", "labels.md"];
        let told: Vec<String> =
            layout(&files).unwrap().left_out.into_iter().map(|left| left.name).collect();
        assert_eq!(told, ["set:a/x.tif", "set:a/y.jfif", "set:b/none"]);
        let files = ["train/a/1.jpg", "train/a/deep/x.heic", "val/a/1.jpg", "val/a/y.avif"];
        let told: Vec<String> =
            layout(&files).unwrap().left_out.into_iter().map(|left| left.name).collect();
        assert_eq!(told, ["set:train/a/deep/x.heic", "set:val/a/y.avif"]);
    }

    #[test]
    fn a_validation_part_without_class_folders_is_refused() {
        let message =
            layout(&["train/a/1.jpg", "train/b/1.jpg", "val/1.jpg"]).unwrap_err().to_string();
        assert!(message.starts_with("set:val: not a dataset: found 1 image;"), "{message}");
    }
}

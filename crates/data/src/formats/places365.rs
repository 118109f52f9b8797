//! Places365 as distributed: `places365_train_standard.txt` (or `_challenge`), `places365_val.txt` and
//! `categories_places365.txt`, beside the unpacked images.
//!
//! Lines are `PATH NUMBER`; the training paths begin with a slash (`/a/airfield/00000001.jpg 0`), and so do the names of
//! the categories (`/a/airfield 0`), which are kept without it.

use super::Found;
use super::classes::{Gathering, Side};
use super::layout::{Entry, Tree, base_name};
use super::list::{self, List, Lookup};
use super::source::Root;
use crate::DataError;

const CATEGORIES: &str = "categories_places365.txt";
const TRAIN: [&str; 2] = ["places365_train_standard.txt", "places365_train_challenge.txt"];
const VALIDATION: &str = "places365_val.txt";
/// Folders in which the archives of each part unpack, large and small.
const TRAIN_FOLDERS: [&str; 6] =
    ["data_large_standard", "data_256_standard", "data_large", "data_256", "train", ""];
const VALIDATION_FOLDERS: [&str; 5] = ["val_large", "val_256", "val_512", "val", ""];

fn file<'a>(tree: &'a Tree, names: &[&str]) -> Option<&'a Entry> {
    let others = tree.others();
    names.iter().find_map(|name| others.iter().find(|e| base_name(&e.path) == *name).copied())
}

pub(crate) fn is_present(tree: &Tree) -> bool {
    file(tree, &[CATEGORIES]).is_some() && file(tree, &TRAIN).is_some()
}

pub(crate) fn open(root: Root, tree: &Tree) -> Result<Found, DataError> {
    let mut gathering = Gathering::default();
    let files = Lookup::new(&root, Some(tree));
    let parts: [(Side, &[&str], &[&str]); 2] = [
        (Side::Train, &TRAIN, &TRAIN_FOLDERS),
        (Side::Validation, &[VALIDATION], &VALIDATION_FOLDERS),
    ];
    for (side, names, folders) in parts {
        let Some(entry) = file(tree, names) else { continue };
        let mut list = List::read(&root.blob(entry)?)?;
        for line in &mut list.lines {
            line.path = line.path.trim_start_matches('/').to_owned();
        }
        // Images lie beside the list, or one folder up.
        let home = entry.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let bases = [home, home.rsplit_once('/').map_or("", |(up, _)| up)];
        let bases: Vec<String> = bases
            .iter()
            .flat_map(|home| folders.iter().map(|folder| list::join(home, folder)))
            .collect();
        let base = files.base(&list, &bases)?;
        list::add(&mut gathering, side, &list, &base, &files)?;
    }
    let names = categories(&root, file(tree, &[CATEGORIES]).expect("it is present"))?;
    let layout = gathering.finish(Some(names), &root.name(""))?;
    drop(files);
    Ok(Found { layout, source: root.source() })
}

/// The names of the categories, in order of their numbers.
fn categories(root: &Root, entry: &Entry) -> Result<Vec<String>, DataError> {
    let list = List::read(&root.blob(entry)?)?;
    let mut names = vec![None; list.lines.len()];
    for line in &list.lines {
        let place = line.class.parse::<usize>().ok().and_then(|number| names.get_mut(number));
        match place {
            Some(place @ None) => *place = Some(line.path.trim_start_matches('/').to_owned()),
            _ => {
                return Err(DataError::Label {
                    name: format!("{}:{}", list.name, line.number),
                    label: line.class.clone(),
                    expected: format!("another number below {}", list.lines.len()),
                });
            }
        }
    }
    Ok(names.into_iter().flatten().collect())
}

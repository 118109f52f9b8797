//! ImageNet as distributed: `ILSVRC2012_img_train.tar`, a tar of one tar for each class, and `ILSVRC2012_img_val.tar`, whose
//! images carry no class; unpacked to folders, or not.
//!
//! The classes of validation images come from the first of these that is there:
//! - `LOC_val_solution.csv` (Kaggle): `ImageId,PredictionString`, the synset first;
//! - a list of synsets, one a line, in order of the images: `*synset_labels.txt`;
//! - the devkit: `ILSVRC2012_validation_ground_truth.txt`, numbers in order of the images, and `meta.mat`, which tells their
//!   synsets; also in `ILSVRC2012_devkit_t12.tar.gz`;
//! - `val.txt`: `IMAGE NUMBER` or `IMAGE CLASS`, numbers counting the classes in byte order.

use std::collections::HashMap;
use std::sync::Arc;

use super::blob::Blob;
use super::classes::{Gathering, Side};
use super::layout::{Entry, Tree, base_name};
use super::list::List;
use super::source::{Parts, Root};
use super::{Found, archive, matlab};
use crate::DataError;

const TRAIN: &str = "ILSVRC2012_img_train.tar";
const VALIDATION: &str = "ILSVRC2012_img_val.tar";
const DEVKIT: &str = "ILSVRC2012_devkit_t12.tar.gz";
const NUMBERS: &str = "ILSVRC2012_validation_ground_truth.txt";
const KAGGLE: &str = "LOC_val_solution.csv";
const SYNSETS: &str = "synset_labels.txt";
const LIST: &str = "val.txt";

/// The classes of validation images.
enum Truth {
    InOrder(Vec<String>),
    /// By the image's name without extension.
    ByName(HashMap<String, String>),
}

/// `n01440764.tar` is the tar of a class.
fn is_class(path: &str) -> bool {
    let stem = base_name(path).strip_suffix(".tar");
    let digits = stem.and_then(|stem| stem.strip_prefix('n'));
    digits.is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
}

pub(crate) fn is_present(tree: &Tree) -> bool {
    let others = tree.others();
    others.iter().any(|entry| base_name(&entry.path) == TRAIN || is_class(&entry.path))
}

/// Whether something tells the classes of validation images.
pub(crate) fn tells_classes(tree: &Tree) -> bool {
    let others = tree.others();
    others
        .iter()
        .map(|entry| base_name(&entry.path))
        .any(|name| [KAGGLE, NUMBERS, DEVKIT, LIST].contains(&name) || name.ends_with(SYNSETS))
}

/// The tars, of a folder or inside the training tar.
pub(crate) fn open(root: &Root, tree: &Tree) -> Result<Found, DataError> {
    let others = tree.others();
    let find = |name: &str| others.iter().find(|entry| base_name(&entry.path) == name);
    let outer;
    let (home, files) = match find(TRAIN) {
        Some(entry) => {
            let blob = root.blob(entry)?;
            outer = index(&blob)?;
            (&Root::Archive(blob), outer.others())
        }
        None => (root, others.clone()),
    };
    let mut gathering = Gathering::default();
    let mut blobs = Vec::new();
    for entry in files.iter().filter(|entry| is_class(&entry.path)) {
        let class = base_name(&entry.path).trim_end_matches(".tar");
        let blob = home.closed(entry)?;
        for image in images(&index(&blob.opened()?)?) {
            let said = || format!("{}:{}", blob.name, image.path);
            let image = Entry { file: blobs.len() as u32, ..image.clone() };
            gathering.add(Side::Train, class, image, said);
        }
        blobs.push(blob);
    }
    if let Some(entry) = find(VALIDATION) {
        let blob = root.blob(entry)?;
        let tree_of_images = index(&blob)?;
        let file = blobs.len() as u32;
        let found: Vec<Entry> =
            images(&tree_of_images).into_iter().map(|e| Entry { file, ..e.clone() }).collect();
        add_validation(&mut gathering, found, root, tree, &blob.name)?;
        blobs.push(blob);
    }
    Ok(Found { layout: gathering.finish(None, &root.name(""))?, source: Arc::new(Parts(blobs)) })
}

/// Class folders for training, beside validation images that lie in one folder.
pub(crate) fn open_folders(
    root: Root,
    tree: &Tree,
    train: &str,
    validation: &str,
) -> Result<Found, DataError> {
    let mut gathering = Gathering::default();
    let inside =
        |folder: &str, path: &str| path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
    let mut found = Vec::new();
    for image in images(tree) {
        if let Some(rest) = inside(train, &image.path) {
            let class = rest.split('/').next().unwrap_or_default();
            gathering.add(Side::Train, class, image.clone(), || root.name(&image.path));
        } else if inside(validation, &image.path).is_some() {
            found.push(image.clone());
        }
    }
    add_validation(&mut gathering, found, &root, tree, &root.name(validation))?;
    let layout = gathering.finish(None, &root.name(""))?;
    Ok(Found { layout, source: root.source() })
}

fn index(tar: &Blob) -> Result<Tree, DataError> {
    archive::read(tar.reader(), tar.length(), &tar.name)
}

/// The images of a tree by their path.
fn images(tree: &Tree) -> Vec<&Entry> {
    let mut images: Vec<&Entry> = tree.files().flat_map(|(images, _)| images).collect();
    images.sort_by(|a, b| a.path.cmp(&b.path));
    images
}

/// Gives each validation image its class.
fn add_validation(
    gathering: &mut Gathering,
    images: Vec<Entry>,
    root: &Root,
    tree: &Tree,
    name: &str,
) -> Result<(), DataError> {
    let missing = |reason: String| DataError::Malformed {
        name: name.to_owned(),
        what: "validation part",
        reason,
        mend: "put ILSVRC2012_devkit_t12.tar.gz, LOC_val_solution.csv, a synset_labels.txt or a val.txt beside it, or move \
               its images into class folders",
    };
    let trained = gathering.classes();
    let truth = truth(root, tree, &trained)?;
    let truth =
        truth.ok_or_else(|| missing("nothing tells the classes of its images".to_owned()))?;
    if let Truth::InOrder(classes) = &truth
        && classes.len() != images.len()
    {
        let reason = format!("{} classes are told for {} images", classes.len(), images.len());
        return Err(missing(reason));
    }
    for (place, image) in images.into_iter().enumerate() {
        let class = match &truth {
            Truth::InOrder(classes) => &classes[place],
            Truth::ByName(classes) => {
                let told = classes.get(stem(&image.path));
                told.ok_or_else(|| missing(format!("the class of {} is not told", image.path)))?
            }
        };
        let said = format!("{name}: {}", image.path);
        gathering.add(Side::Validation, class, image, || said.clone());
    }
    Ok(())
}

fn stem(path: &str) -> &str {
    let name = base_name(path);
    name.split_once('.').map_or(name, |(stem, _)| stem)
}

/// What tells the classes of validation images, if anything does. `trained` are the classes in byte order.
fn truth(root: &Root, tree: &Tree, trained: &[String]) -> Result<Option<Truth>, DataError> {
    let others = tree.others();
    let find = |is: &dyn Fn(&str) -> bool| {
        others
            .iter()
            .find(|entry| is(base_name(&entry.path)))
            .map(|entry| root.blob(entry))
            .transpose()
    };
    if let Some(file) = find(&|name| name == KAGGLE)? {
        return Ok(Some(kaggle(&file)?));
    }
    if let Some(file) = find(&|name| name.ends_with(SYNSETS))? {
        let lines = file.text()?;
        let lines = lines.lines().map(|line| line.trim().to_owned());
        return Ok(Some(Truth::InOrder(lines.filter(|line| !line.is_empty()).collect())));
    }
    if let Some(numbers) = find(&|name| name == NUMBERS)? {
        let mat = find(&|name| name == "meta.mat")?;
        return devkit(&numbers, mat.as_ref()).map(Some);
    }
    if let Some(kit) = find(&|name| name == DEVKIT)? {
        let kit = kit.unpack(&mut 0)?;
        let tree = index(&kit)?;
        return truth(&Root::Archive(kit), &tree, trained);
    }
    let Some(list) = find(&|name| name == LIST)? else { return Ok(None) };
    let list = List::read(&list)?;
    let mut classes = HashMap::new();
    for line in list.lines {
        let number = line.class.parse().ok().filter(|_| !trained.contains(&line.class));
        let class = match number {
            Some(number) => {
                trained.get::<usize>(number).cloned().ok_or_else(|| DataError::Label {
                    name: format!("{}:{}", list.name, line.number),
                    label: line.class,
                    expected: format!("0 to {}", trained.len().saturating_sub(1)),
                })?
            }
            None => line.class,
        };
        classes.insert(stem(&line.path).to_owned(), class);
    }
    Ok(Some(Truth::ByName(classes)))
}

/// `ILSVRC2012_val_00000001,n01751748 111 108 293 323 ...`.
fn kaggle(file: &Blob) -> Result<Truth, DataError> {
    let text = file.text()?;
    let pairs = text.lines().skip(1).filter_map(|line| {
        let (image, boxes) = line.split_once(',')?;
        Some((image.to_owned(), boxes.split_whitespace().next()?.to_owned()))
    });
    Ok(Truth::ByName(pairs.collect()))
}

fn devkit(numbers: &Blob, mat: Option<&Blob>) -> Result<Truth, DataError> {
    let malformed = |name: &str, reason: String| DataError::Malformed {
        name: name.to_owned(),
        what: "part of ImageNet's devkit",
        reason,
        mend: "unpack ILSVRC2012_devkit_t12.tar.gz again and keep its files together",
    };
    let Some(mat) = mat else {
        return Err(malformed(&numbers.name, "meta.mat is not beside it".to_owned()));
    };
    let synsets = matlab::synsets(&mat.all()?).map_err(|reason| malformed(&mat.name, reason))?;
    let text = numbers.text()?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let classes = lines.map(|(index, line)| {
        let synset = line.trim().parse().ok().and_then(|number: u32| synsets.get(&number));
        synset.cloned().ok_or_else(|| {
            let name = format!("{}:{}", numbers.name, index + 1);
            malformed(&name, format!("{} is no number of {}", line.trim(), mat.name))
        })
    });
    Ok(Truth::InOrder(classes.collect::<Result<_, _>>()?))
}

//! What can be wrong with images and datasets. Every message names the path, says what is wrong, and how to
//! mend it.

use std::io;
use std::path::PathBuf;

/// What is looked for besides folders of classes.
const KINDS: &str = "a list of images (train.txt, labels.csv), WebDataset shards (.tar), ImageNet's or Places365's files, \
                     Parquet with images, RecordIO (.rec), CIFAR batches, idx files";
/// Bad images that a message lists.
const LISTED: usize = 100;

/// An image that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadImage {
    pub name: String,
    pub reason: String,
}

/// A class folder without images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmptyClass {
    pub name: String,
    /// What it holds, in words; None where it holds nothing.
    pub found: Option<String>,
}

/// An error of the world, not of the programmer. Inside a tar a path reads `archive.tar:inner/path`.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(
        "{}: no such file or folder; give the path of a folder of class folders, of a tar of one, or of another dataset",
        path.display()
    )]
    Missing { path: PathBuf },

    #[error("{name}: cannot be read: {}", read_failure(error))]
    Read { name: String, error: io::Error },

    #[error("{name}: a link to {target}, which is not there; mend the link or remove it")]
    DanglingLink { name: String, target: String },

    #[error(
        "a thread of the loader cannot be started: {error}; lower --loader-threads, or raise the limit of `ulimit -u`"
    )]
    Thread { error: io::Error },

    #[error(
        "{name}: no images here; expected class folders of jpg, jpeg, png, webp, bmp or gif files, such as \
         {name}/cat/1.jpg, or a dataset of another kind: {KINDS}"
    )]
    Empty { name: String },

    #[error(
        "{name}: no images here, and none in its folders; give a place with jpg, jpeg, png, webp, bmp or gif files"
    )]
    NoImages { name: String },

    #[error(
        "{name}: not a dataset: found {found}; expected one folder for each class, or the folders train and val \
         (or validation, or test) holding one folder for each class, or a dataset of another kind: {KINDS}"
    )]
    NotDataset { name: String, found: String },

    #[error(
        "{name}: no images with masks here; expected the folders images and annotations as of ADE20K, images and masks, or \
         JPEGImages and SegmentationClass as of VOC"
    )]
    NotMasks { name: String },

    #[error("{name}: {} images have no mask{}; add the masks, or remove these images", lonely.len(), named(lonely))]
    NoMasks { name: String, lonely: Vec<String> },

    #[error(
        "{name}: no images with boxes here; expected Pascal VOC (the folders Annotations, JPEGImages and ImageSets), COCO's \
         JSON beside images, or YOLO's folders images and labels"
    )]
    NotBoxes { name: String },

    #[error(
        "{name}: {} annotations cannot be used; correct or remove them{}{}",
        bad.len(), if bad.iter().all(|one| one.reason.starts_with("its box")) {
            " (--set detect.on_bad_box=drop trains without such boxes)"
        } else { "" },
        listed(bad)
    )]
    Annotations { name: String, bad: Vec<BadImage> },

    #[error("{}", empty_classes(folders))]
    EmptyClasses { folders: Vec<EmptyClass> },

    #[error(
        "{name}: its classes differ from those of the training part: missing {missing}; extra {extra}; give both \
         parts the same class folders"
    )]
    ClassMismatch { name: String, missing: String, extra: String },

    #[error("{name}: not a readable image: {reason}; replace the file or remove it")]
    Image { name: String, reason: String },

    #[error(
        "{name}: {width}×{height} pixels are more than the limit of {limit}; shrink the image or remove it"
    )]
    TooManyPixels { name: String, width: u64, height: u64, limit: u64 },

    #[error(
        "{name}: {images} training images do not fill one batch of {batch}; set train.batch to {images} or less, \
         or add images"
    )]
    TooFewImages { name: String, images: usize, batch: usize },

    #[error(
        "{name}: has no validation part, and data.split is {split}; set data.split to a share above 0 and below 1, \
         such as 0.1, or add a val folder"
    )]
    Split { name: String, split: f64 },

    #[error(
        "{name}: not a usable tar archive: {reason}; pack it again with `tar -cf`, or unpack it and give the folder"
    )]
    Tar { name: String, reason: String },

    #[error("{name}: not a usable {what}: {reason}; {mend}")]
    Malformed { name: String, what: &'static str, reason: String, mend: &'static str },

    #[error("{name}: label {label} is not {expected}; correct the label or the class names")]
    Label { name: String, label: String, expected: String },

    #[error("{name}: {reason}; correct the annotation, or remove it and the image")]
    Annotation { name: String, reason: String },

    #[error(
        "{name}: preparing this image failed inside the program: {reason}; report it with the image"
    )]
    Panic { name: String, reason: String },

    #[error(
        "{name}: {} of {images} images cannot be used; replace or remove them; a training run goes on without bad \
         training images by --set data.on_bad_sample=skip, but never without a validation image{}",
        bad.len(),
        listed(bad)
    )]
    BadImages { name: String, images: usize, bad: Vec<BadImage> },

    #[error(
        "{name}: needs up to {} MB to decode, more than half of what batches leave of the loader's {} MB; shrink the image, \
         or raise --loader-memory",
        needed.div_ceil(1 << 20), budget >> 20
    )]
    TooMuchMemory { name: String, needed: u64, budget: u64 },

    #[error(
        "the batches on their way take {} MB, which the loader's {} MB do not hold; raise --loader-memory, or lower \
         train.batch",
        batches.div_ceil(1 << 20), budget >> 20
    )]
    BatchMemory { batches: u64, budget: u64 },

    #[error("{}: cannot be written: {error}; see to the disk and give the same command again", path.display())]
    Write { path: PathBuf, error: io::Error },

    #[error(
        "{}: {owner} is writing a packed copy into this folder; wait until it has ended, or give another folder with -o",
        path.display()
    )]
    Locked { path: PathBuf, owner: String },

    #[error("{}: holds {what}; give a new folder with -o, or empty this one", path.display())]
    Occupied { path: PathBuf, what: String },

    #[error("the loader has stopped after an earlier error; open a new one")]
    Stopped,
}

/// Why something cannot be read, and the mend.
fn read_failure(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; check the path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "you have no permission; change its mode with `chmod`, or ask its owner".to_owned()
        }
        // Our own words, with their mend.
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => error.to_string(),
        _ => format!("{error}; see to the disk and try again"),
    }
}

/// Names all class folders without images.
fn empty_classes(folders: &[EmptyClass]) -> String {
    let held = |folder: &EmptyClass| match &folder.found {
        Some(found) => format!("no images in this class folder, only {found}"),
        None => "this class folder is empty".to_owned(),
    };
    if let [folder] = folders {
        return format!("{}: {}; add images to it or remove it", folder.name, held(folder));
    }
    let shown = folders.iter().take(LISTED);
    let mut text = format!(
        "{} class folders hold no images; add images to them or remove them",
        folders.len()
    );
    text.extend(shown.map(|folder| format!("\n  {}: {}", folder.name, held(folder))));
    if folders.len() > LISTED {
        text += &format!("\n  and {} more", folders.len() - LISTED);
    }
    text
}

/// The first of several names, in brackets.
fn named(names: &[String]) -> String {
    let more = if names.len() > LISTED { ", …" } else { "" };
    format!(" ({}{more})", names[..names.len().min(LISTED)].join(", "))
}

fn listed(bad: &[BadImage]) -> String {
    let shown = bad.iter().take(LISTED);
    let mut text: String =
        shown.map(|BadImage { name, reason }| format!("\n  {name}: {reason}")).collect();
    if bad.len() > LISTED {
        let more = bad.len() - LISTED;
        text += &format!("\n  and {more} more; `trickbag data check` lists them all");
    }
    text
}

impl DataError {
    /// What is wrong with the content of an image file or with its annotation, and would be at any other time; None for
    /// other errors.
    pub fn bad_image(&self) -> Option<String> {
        match self {
            DataError::Image { reason, .. } | DataError::Annotation { reason, .. } => {
                Some(reason.clone())
            }
            DataError::TooManyPixels { width, height, limit, .. } => {
                Some(format!("{width}×{height} pixels are more than the limit of {limit}"))
            }
            _ => None,
        }
    }

    /// The same error of an image, told of another path.
    pub(crate) fn at(self, name: String) -> DataError {
        match self {
            DataError::Image { reason, .. } => DataError::Image { name, reason },
            DataError::TooManyPixels { width, height, limit, .. } => {
                DataError::TooManyPixels { name, width, height, limit }
            }
            other => other,
        }
    }
}

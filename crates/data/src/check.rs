//! Finds what is wrong with a dataset before a run does: reads, examines and decodes every image.
//!
//! Files that do not decode and classes that differ between the parts stop training. The other findings would pass unnoticed:
//! images that a network sees differently than people do (CMYK, 16 bits, palettes, animations, EXIF orientation), contents
//! that are stored twice, and classes of very different size.

mod boxes;
mod masks;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, ImageSet};
use crate::exif;
use crate::formats::source::Stored;
use crate::image::{Cut, decode_into};
use crate::jpeg::{self, Baseline};
use crate::parallel::in_order;
use crate::probe::{Facts, probe};
use crate::resize::Region;
use crate::{BadImage, DataError, LeftOut};

pub use masks::{check_masks, has_masks};

/// A class with this many times the images of another one is reported.
const IMBALANCE: usize = 10;

/// A callback that gets the number of finished images and of all images, and breaks to end the work early.
pub type Watch<'a> = &'a mut dyn FnMut(usize, usize) -> ControlFlow<()>;

/// The kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    Unreadable,
    Truncated,
    Empty,
    TooManyPixels,
    ClassMismatch,
    MaskMissing,
    MaskUnreadable,
    MaskSize,
    MaskColors,
    MaskValues,
    BadAnnotation,
    BadBox,
    Leak,
    Duplicate,
    ClassImbalance,
    OneClass,
    Cmyk,
    SixteenBit,
    Palette,
    Animated,
    Rotated,
    ClassAbsent,
    BoxCut,
    OtherSize,
    NoObjects,
    LeftOut,
}

impl FindingKind {
    pub const ALL: [FindingKind; 26] = [
        FindingKind::Unreadable,
        FindingKind::Truncated,
        FindingKind::Empty,
        FindingKind::TooManyPixels,
        FindingKind::ClassMismatch,
        FindingKind::MaskMissing,
        FindingKind::MaskUnreadable,
        FindingKind::MaskSize,
        FindingKind::MaskColors,
        FindingKind::MaskValues,
        FindingKind::BadAnnotation,
        FindingKind::BadBox,
        FindingKind::Leak,
        FindingKind::Duplicate,
        FindingKind::ClassImbalance,
        FindingKind::OneClass,
        FindingKind::Cmyk,
        FindingKind::SixteenBit,
        FindingKind::Palette,
        FindingKind::Animated,
        FindingKind::Rotated,
        FindingKind::ClassAbsent,
        FindingKind::BoxCut,
        FindingKind::OtherSize,
        FindingKind::NoObjects,
        FindingKind::LeftOut,
    ];

    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Unreadable => "unreadable",
            FindingKind::Truncated => "truncated",
            FindingKind::Empty => "zero_bytes",
            FindingKind::TooManyPixels => "too_many_pixels",
            FindingKind::ClassMismatch => "class_mismatch",
            FindingKind::MaskMissing => "mask_missing",
            FindingKind::MaskUnreadable => "mask_unreadable",
            FindingKind::MaskSize => "mask_size",
            FindingKind::MaskColors => "mask_colors",
            FindingKind::MaskValues => "mask_values",
            FindingKind::ClassAbsent => "class_absent",
            FindingKind::BadAnnotation => "bad_annotation",
            FindingKind::BadBox => "bad_box",
            FindingKind::Leak => "in_both_parts",
            FindingKind::Duplicate => "duplicate",
            FindingKind::ClassImbalance => "class_imbalance",
            FindingKind::OneClass => "one_class",
            FindingKind::Cmyk => "cmyk",
            FindingKind::SixteenBit => "sixteen_bit",
            FindingKind::Palette => "palette",
            FindingKind::Animated => "animated",
            FindingKind::Rotated => "rotated",
            FindingKind::BoxCut => "box_cut",
            FindingKind::OtherSize => "other_size",
            FindingKind::NoObjects => "no_objects",
            FindingKind::LeftOut => "left_out",
        }
    }

    /// What it means for training.
    pub fn meaning(self) -> &'static str {
        match self {
            FindingKind::Unreadable => "does not decode, or cannot be read",
            FindingKind::Truncated => "ends before its picture does",
            FindingKind::Empty => "holds nothing",
            FindingKind::TooManyPixels => {
                "more pixels than the limit: an attack, or a scan to shrink"
            }
            FindingKind::ClassMismatch => "training and validation have different classes",
            FindingKind::MaskMissing => "an image without a mask",
            FindingKind::MaskUnreadable => "a mask that does not decode, or is no PNG",
            FindingKind::MaskSize => "a mask of another size than its image",
            FindingKind::MaskColors => "a mask of colors, where a number a pixel is wanted",
            FindingKind::MaskValues => "a mask with values that are no classes",
            FindingKind::ClassAbsent => "a class of which there is no pixel: it cannot be learned",
            FindingKind::BadAnnotation => {
                "a broken annotation, a class of validation alone, or an image without a file"
            }
            FindingKind::BadBox => {
                "no area, swapped corners or outside: stops, unless detect.on_bad_box = \"drop\""
            }
            FindingKind::Leak => {
                "a validation image that is also a training image: accuracy is flattered"
            }
            FindingKind::Duplicate => "the same content twice in one part",
            FindingKind::ClassImbalance => "a class has ten times the images of another, or more",
            FindingKind::OneClass => "every answer is right, so nothing is learned",
            FindingKind::Cmyk => "colors for print, converted without a profile",
            FindingKind::SixteenBit => {
                "16 bits a value: grey is clipped at 255, color cut to its high bytes"
            }
            FindingKind::Palette => "a palette, looked up",
            FindingKind::Animated => "several frames, of which the first is taken",
            FindingKind::Rotated => {
                "EXIF says to turn it, which only data.orientation = \"exif\" does"
            }
            FindingKind::BoxCut => "a box that leaves its image is cut at the edge",
            FindingKind::OtherSize => "the annotation says another size than the picture has",
            FindingKind::NoObjects => "an image without boxes: all of it is background",
            FindingKind::LeftOut => {
                "not read: another extension, no regular file, or a link to what is read already"
            }
        }
    }

    /// Whether it stops a training run.
    pub fn stops(self) -> bool {
        matches!(
            self,
            FindingKind::Unreadable
                | FindingKind::Truncated
                | FindingKind::Empty
                | FindingKind::TooManyPixels
                | FindingKind::ClassMismatch
                | FindingKind::MaskMissing
                | FindingKind::MaskUnreadable
                | FindingKind::MaskSize
                | FindingKind::MaskColors
                | FindingKind::MaskValues
                | FindingKind::BadAnnotation
                | FindingKind::BadBox
        )
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: FindingKind,
    /// The file, or the folder or class it is about.
    pub path: String,
    pub detail: String,
}

/// All findings about a dataset, and its size.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    pub classes: usize,
    pub train_images: usize,
    pub validation_images: usize,
    /// Bytes of the images as they are stored.
    pub bytes: u64,
    /// Whether every image was looked at.
    pub complete: bool,
    /// The findings by kind, then in the order of the images.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    pub fn stops_training(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind.stops())
    }

    fn find(&mut self, kind: FindingKind, path: String, detail: String) {
        self.findings.push(Finding { kind, path, detail });
    }
}

/// Examines every image of a dataset with this many threads. An error when the path holds no dataset.
pub fn check(path: &Path, threads: usize, watch: Watch) -> Result<CheckReport, DataError> {
    if let Some(report) = boxes::check(path, threads, watch)? {
        return Ok(report);
    }
    let mut report = CheckReport::default();
    let (classes, parts, left_out) = match Dataset::undivided(path) {
        Ok(Dataset { classes, train, validation, left_out, .. }) => {
            (classes, vec![train, validation], left_out)
        }
        Err(DataError::ClassMismatch { name, missing, extra }) => {
            let (classes, parts, left_out) = apart(Path::new(&name));
            let unseen = if parts.is_empty() { "; its images were not looked at" } else { "" };
            let detail = format!("missing {missing}; extra {extra}{unseen}");
            report.find(FindingKind::ClassMismatch, name, detail);
            (classes, parts, left_out)
        }
        Err(error) => return Err(error),
    };
    report.classes = classes.len();
    report.train_images = parts.first().map_or(0, ImageSet::len);
    report.validation_images = parts.get(1).map_or(0, ImageSet::len);
    if let [class] = classes.as_slice() {
        let detail = "the only class; a classifier needs two".to_owned();
        report.find(FindingKind::OneClass, class.clone(), detail);
    }
    for LeftOut { name, reason } in left_out {
        report.find(FindingKind::LeftOut, name, reason);
    }
    imbalance(&mut report, &classes, &parts);
    images(&mut report, &parts, threads, watch);
    report.findings.sort_by_key(|finding| finding.kind);
    Ok(report)
}

/// The classes, image sets and left-out files of a folder whose training and validation classes differ, each part opened by
/// itself; none for an archive.
fn apart(validation: &Path) -> (Vec<String>, Vec<ImageSet>, Vec<LeftOut>) {
    let beside = validation.parent().and_then(|parent| std::fs::read_dir(parent).ok());
    let train = beside
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("train")));
    let train = train.map(|train| Dataset::undivided(&train));
    match (train, Dataset::undivided(validation)) {
        (Some(Ok(train)), Ok(validation)) => {
            let left_out = [train.left_out, validation.left_out].concat();
            (train.classes, vec![train.train, validation.train], left_out)
        }
        _ => Default::default(),
    }
}

fn imbalance(report: &mut CheckReport, classes: &[String], parts: &[ImageSet]) {
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let mut counts = vec![0usize; classes.len()];
        for index in 0..part.len() {
            // Parts of different classes are numbered apart.
            if let Some(count) = counts.get_mut(part.label(index) as usize) {
                *count += 1;
            }
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        for (class, &count) in classes.iter().zip(&counts) {
            if count * IMBALANCE <= most {
                let folder = PathBuf::from(part.name(0));
                let detail = format!("{count} images, where the largest class has {most}");
                let beside = folder.parent().and_then(Path::parent).map_or_else(
                    || class.clone(),
                    |folder| folder.join(class).display().to_string(),
                );
                report.find(FindingKind::ClassImbalance, beside, detail);
            }
        }
    }
}

fn images(report: &mut CheckReport, parts: &[ImageSet], threads: usize, watch: Watch) {
    let places: Vec<(usize, usize)> = parts
        .iter()
        .enumerate()
        .flat_map(|(part, images)| (0..images.len()).map(move |index| (part, index)))
        .collect();
    // The first place of each content.
    let mut seen: HashMap<u128, usize> = HashMap::new();
    let mut done = 0;
    let mut memories: Vec<Memory> = (0..threads.max(1)).map(|_| Memory::default()).collect();
    let look = |number: usize, memory: &mut Memory| {
        let (part, index) = places[number];
        memory.look(&parts[part], index)
    };
    in_order(places.len(), &mut memories, look, |number, seen_now: Look| {
        done = number + 1;
        let (part, index) = places[number];
        let name = || parts[part].name(index);
        report.bytes += seen_now.bytes;
        for (kind, detail) in seen_now.found {
            report.find(kind, name(), detail);
        }
        if let Some(content) = seen_now.content {
            let first = *seen.entry(content).or_insert(number);
            if first != number {
                let (first_part, first_index) = places[first];
                let kind =
                    if first_part == part { FindingKind::Duplicate } else { FindingKind::Leak };
                let labels = [parts[first_part].label(first_index), parts[part].label(index)];
                let other = if labels[0] == labels[1] { "" } else { ", under another class" };
                let first = parts[first_part].name(first_index);
                report.find(kind, name(), format!("the same bytes as {first}{other}"));
            }
        }
        watch(done, places.len())
    });
    report.complete = done == places.len();
}

/// Memory that a thread uses again for every image it looks at.
#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    jpeg: Baseline,
    cut: Cut,
}

/// What an image turned out to be.
#[derive(Debug, Default)]
struct Look {
    bytes: u64,
    /// The hash of the stored bytes of an image that decodes.
    content: Option<u128>,
    found: Vec<(FindingKind, String)>,
}

impl Memory {
    fn look(&mut self, part: &ImageSet, index: usize) -> Look {
        let Memory { bytes, jpeg, cut } = self;
        let file = match part.stored(index, bytes) {
            Ok(Stored::File(file)) => file,
            Ok(Stored::Pixels(pixels, _)) => {
                let bytes = pixels.len() as u64;
                return Look { bytes, content: Some(hash(pixels)), found: Vec::new() };
            }
            Err(error) => {
                let found = vec![(FindingKind::Unreadable, reason(&error))];
                return Look { found, ..Look::default() };
            }
        };
        let mut look = Look { bytes: file.len() as u64, ..Look::default() };
        let facts = probe(file);
        let whole = &mut |width, height| Region { left: 0, top: 0, width, height };
        match decode_into(file, "", whole, jpeg, cut) {
            Ok(()) => {
                look.content = Some(hash(file));
                look.found = unusual(&facts, exif::orientation(file));
            }
            Err(error) => look.found.push((kind_of(&error, file), reason(&error))),
        }
        look
    }
}

fn hash(bytes: &[u8]) -> u128 {
    let hash = blake3::hash(bytes);
    u128::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes have 16"))
}

fn reason(error: &DataError) -> String {
    match error {
        DataError::Read { error, .. } => error.to_string(),
        other => other.bad_image().unwrap_or_else(|| other.to_string()),
    }
}

/// Why a file does not decode.
fn kind_of(error: &DataError, file: &[u8]) -> FindingKind {
    match error {
        DataError::TooManyPixels { .. } => FindingKind::TooManyPixels,
        _ if file.is_empty() => FindingKind::Empty,
        DataError::Image { reason, .. } => {
            let is_jpeg = file.starts_with(&[0xFF, 0xD8]);
            let is_cut = if is_jpeg {
                !jpeg::reaches_its_end(file)
            } else {
                reason.to_lowercase().contains("unexpected end")
            };
            if is_cut { FindingKind::Truncated } else { FindingKind::Unreadable }
        }
        _ => FindingKind::Unreadable,
    }
}

fn unusual(facts: &Facts, orientation: u8) -> Vec<(FindingKind, String)> {
    let mut found = Vec::new();
    let mut note = |is_so: bool, kind: FindingKind, detail: &str| {
        if is_so {
            found.push((kind, detail.to_owned()));
        }
    };
    note(facts.cmyk, FindingKind::Cmyk, "four color components");
    note(facts.deep, FindingKind::SixteenBit, "more than 8 bits a value");
    note(facts.palette, FindingKind::Palette, "indexed colors");
    note(facts.animated, FindingKind::Animated, "more than one frame");
    note(orientation != 1, FindingKind::Rotated, &format!("EXIF orientation {orientation}"));
    found
}

/// Lists every image that cannot be used, training images first; those seen so far when `watch` ends it early.
pub fn bad_images(dataset: &Dataset, threads: usize, watch: Watch) -> Vec<BadImage> {
    let parts = [&dataset.train, &dataset.validation];
    let count = parts[0].len() + parts[1].len();
    let place = |number: usize| match number.checked_sub(parts[0].len()) {
        None => (parts[0], number),
        Some(index) => (parts[1], index),
    };
    let mut memories: Vec<Memory> = (0..threads.max(1)).map(|_| Memory::default()).collect();
    let try_out = |number: usize, memory: &mut Memory| {
        let (part, index) = place(number);
        let whole = &mut |width, height| Region { left: 0, top: 0, width, height };
        let Memory { bytes, jpeg, cut } = memory;
        match part.stored(index, bytes) {
            Ok(Stored::File(file)) => decode_into(file, "", whole, jpeg, cut).err(),
            Ok(Stored::Pixels(..)) => None,
            Err(error) => Some(error),
        }
    };
    let mut bad = Vec::new();
    in_order(count, &mut memories, try_out, |number, error| {
        if let Some(error) = error {
            let (part, index) = place(number);
            bad.push(BadImage { name: part.name(index), reason: reason(&error) });
        }
        watch(number + 1, count)
    });
    bad
}

//! Rules between keys. A rule reports nothing if any key it needs failed to parse.

use tricks::label_smoothing;

use crate::keys::word;
use crate::mistake::{Complaint, Mistake};
use crate::parse::VERSION;
use crate::reader::{self, Reader};
use crate::schema;
use crate::tree::{Node, Place, Value};
use crate::types::{Precision, Recipe, Source, Span, StemChoice, TaskKind};

/// The widest image the small stem is made for, pixels.
const SMALL_STEM_SIZE: usize = 64;

pub(crate) fn check(reader: &mut Reader<'_>) {
    let rules = [
        the_version,
        one_task,
        images_with_classes,
        validation_crop,
        small_stem,
        one_color,
        rising_sides,
        equal_parts,
        scaled_f16,
        warmup_fits,
        one_choice,
        decay_points,
    ];
    for rule in rules {
        for (key, place, complaint) in rule(reader) {
            reader.complain(key, &place, complaint);
        }
    }
}

type Finding = (&'static str, Place, Complaint);

fn the_version(reader: &Reader<'_>) -> Vec<Finding> {
    match reader.quietly("version", reader::whole_as_written) {
        Some((version, place)) if version != i128::from(VERSION) => {
            let message =
                format!("this program reads version {VERSION} of the format, not {version}");
            let mend = format!("write version = {VERSION} if the keys are its keys");
            vec![("version", place.clone(), Complaint::new(message, mend))]
        }
        _ => Vec::new(),
    }
}

fn one_task(reader: &Reader<'_>) -> Vec<Finding> {
    let (_, tables) = schema::task_of(reader.root());
    let second = tables.iter().skip(1);
    let finding = |(name, place): &(&'static str, Place)| {
        let message = format!("a recipe is of one task, and [{}] says of which", tables[0].0);
        (*name, place.clone(), Complaint::new(message, "leave one of the tables out"))
    };
    second.map(finding).collect()
}

fn images_with_classes(reader: &Reader<'_>) -> Vec<Finding> {
    let key = "data.source";
    let source = reader.quietly(key, reader::text);
    match source.filter(|_| reader.task != TaskKind::Classification) {
        Some((source, place)) if source == word(Source::FashionMnist) => {
            let message =
                format!("the images inside the program are no data for {}", reader.task.name());
            vec![(key, place.clone(), Complaint::new(message, r#"write source = "path""#))]
        }
        _ => Vec::new(),
    }
}

fn validation_crop(reader: &Reader<'_>) -> Vec<Finding> {
    let key = "validation.crop";
    let edge = |key: &str| reader.quietly(key, count);
    match (edge(key), edge("validation.resize")) {
        (Some((crop, place)), Some((resize, _))) if crop > resize => {
            let message =
                format!("a crop of {crop} pixels does not fit a shorter edge of {resize}");
            let mend = "raise validation.resize, or crop less";
            vec![(key, place.clone(), Complaint::new(message, mend))]
        }
        _ => Vec::new(),
    }
}

fn small_stem(reader: &Reader<'_>) -> Vec<Finding> {
    let key = "network.stem";
    let stem = reader.quietly(key, |value| Ok(reader::text(value)? == word(StemChoice::Small)));
    let size_key = "preprocess.size";
    let size = reader.quietly(size_key, count);
    match (stem, size) {
        (Some((true, place)), Some((size, _))) if size > SMALL_STEM_SIZE => {
            let message = format!(
                "the small stem is for images of at most {SMALL_STEM_SIZE} pixels, not {size}"
            );
            let mend = r#"write stem = "imagenet", or lower preprocess.size"#;
            vec![(key, place.clone(), Complaint::new(message, mend))]
        }
        _ => Vec::new(),
    }
}

fn one_color(reader: &Reader<'_>) -> Vec<Finding> {
    let key = "preprocess.jitter";
    match reader.place(key) {
        Some(place) if reader.has("preprocess.color") => {
            let message = "it stands in the place of preprocess.color, which is on too";
            vec![(key, place, Complaint::new(message, "leave one of them out"))]
        }
        _ => Vec::new(),
    }
}

fn rising_sides(reader: &Reader<'_>) -> Vec<Finding> {
    let key = "segment.shorter";
    let sides =
        reader.quietly(key, |value| reader::list::<usize, 2>(value, "whole numbers", count));
    match sides {
        Some(([least, most], place)) if least > most => {
            let message = format!("[{least}, {most}] falls");
            vec![(key, place.clone(), Complaint::new(message, "write the lower bound first"))]
        }
        _ => Vec::new(),
    }
}

fn equal_parts(reader: &Reader<'_>) -> Vec<Finding> {
    let key = "train.parts";
    let count = |key: &str| reader.quietly(key, count);
    match (count(key), count("train.batch")) {
        (Some((parts, place)), Some((batch, _)))
            if tricks::parts::is_allowed(parts) && batch % parts != 0 =>
        {
            let message = format!("a batch of {batch} cannot be cut into {parts} equal parts");
            let largest = 1 << batch.trailing_zeros().min(parts.trailing_zeros());
            let mend = format!("lower it to {largest}, or make train.batch a multiple of {parts}");
            vec![(key, place.clone(), Complaint::new(message, mend))]
        }
        _ => Vec::new(),
    }
}

/// Only f16 loses small gradients, so only with it is the loss scaled.
fn scaled_f16(reader: &Reader<'_>) -> Vec<Finding> {
    let key = "train.loss_scale";
    let precision = match reader.has("train.precision") {
        true => reader.quietly("train.precision", reader::text).map(|(word, _)| word),
        false => Some(word(Precision::F32).to_owned()),
    };
    match (reader.place(key), precision) {
        (Some(place), Some(precision)) if matches!(precision.as_str(), "f32" | "bf16") => {
            let message = format!("{precision} needs no loss scale");
            let mend = r#"leave it out, or write precision = "f16""#;
            vec![(key, place, Complaint::new(message, mend))]
        }
        _ => Vec::new(),
    }
}

/// A table that holds one of several keys holds neither none nor two. If it holds an unknown key, that is the mistake.
fn one_choice(reader: &Reader<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, names) in schema::choices() {
        let table = reader.quietly(&key.path, |value| match value {
            Value::Table(table) => Ok(table.clone()),
            other => Err(Complaint::expected("a table", &other.describe())),
        });
        let Some((table, place)) = table else { continue };
        let given: Vec<&str> =
            names.iter().copied().filter(|name| table.get(name).is_some()).collect();
        let all = names.join(", ");
        if table.entries().is_empty() {
            let message = format!("it holds none of {all}");
            let complaint = Complaint::new(message, format!("write for example {}", key.example()));
            findings.push((key.path.as_str(), place.clone(), complaint));
        } else if given.len() > 1 {
            let message = format!("it holds {}, and takes only one of {all}", given.join(" and "));
            let complaint = Complaint::new(message, format!("keep one of {}", given.join(", ")));
            findings.push((key.path.as_str(), place.clone(), complaint));
        }
    }
    findings
}

/// A whole number from 1 on.
fn count(value: &Value) -> Result<usize, Complaint> {
    let positive = |count| usize::try_from(count).ok().filter(|&count| count > 0);
    positive(reader::whole_as_written(value)?).ok_or_else(|| Complaint::new("", ""))
}

fn warmup_fits(reader: &Reader<'_>) -> Vec<Finding> {
    let key = "rate.warmup.duration";
    match (reader.quietly(key, reader::span), reader.run()) {
        (Some((warmup, place)), Some(run)) if warmup > run => {
            vec![(key, place.clone(), warmup_too_long(&warmup.to_string(), &run.to_string()))]
        }
        _ => Vec::new(),
    }
}

pub(crate) fn warmup_too_long(warmup: &str, run: &str) -> Complaint {
    let message = format!("a warm-up of {warmup} is longer than the run of {run}");
    Complaint::new(message, "shorten it, or raise train.duration")
}

fn decay_points(reader: &Reader<'_>) -> Vec<Finding> {
    let key = "rate.decay.step.at";
    let nodes = reader.quietly(key, |value| match value {
        Value::List(items) => Ok(items.clone()),
        other => Err(Complaint::expected("a list", &other.describe())),
    });
    let Some((nodes, _)) = nodes else { return Vec::new() };
    let points: Vec<(Span, Place)> = nodes
        .iter()
        .filter_map(|Node { value, place }| {
            Some((reader::point(value, reader.run()).ok()?, place.clone()))
        })
        .collect();
    let mut findings = Vec::new();
    if let Some(run) = reader.run() {
        for (point, place) in points.iter().filter(|(point, _)| *point >= run) {
            let complaint = point_too_late(&point.to_string(), &run.to_string());
            findings.push((key, place.clone(), complaint));
        }
    }
    for pair in points.windows(2) {
        if pair[1].0 <= pair[0].0 {
            let message = format!("\"{}\" comes after \"{}\"", pair[1].0, pair[0].0);
            let complaint = Complaint::new(message, "write the points in ascending order");
            findings.push((key, pair[1].1.clone(), complaint));
        }
    }
    findings
}

/// The mistakes of a recipe that only show once the number of classes is known.
pub fn check_classes(recipe: &Recipe, classes: usize) -> Vec<Mistake> {
    let largest = label_smoothing::largest_epsilon(classes.max(1));
    match recipe.target.smoothing {
        Some(smoothing) if classes < 2 || smoothing.epsilon > largest => {
            let epsilon = smoothing.epsilon;
            let message = format!("{epsilon:?} is out of range for {classes} classes");
            let mend = format!("epsilon is at most (K - 1)/K, here {largest:.4}");
            vec![Complaint::new(message, mend).about(recipe, "target.smoothing.epsilon")]
        }
        _ => Vec::new(),
    }
}

pub(crate) fn point_too_late(point: &str, run: &str) -> Complaint {
    let message = format!("the rate cannot fall at {point}: the run ends at {run}");
    Complaint::new(
        message,
        "leave this point out, raise train.duration, or write shares of the run such as \"50 %\"",
    )
}

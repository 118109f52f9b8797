//! From TOML to a [`Recipe`], or to every mistake in it.

use crate::absent;
use crate::check;
use crate::edit;
use crate::limits::{LARGEST_LEVEL, LONGEST_EDGE, MOST_BLOCKS, MOST_CHANNELS};
use crate::mistake::{Complaint, Mistake, RecipeErrors, did_you_mean};
use crate::reader::{self, Reader, mistake, out_of_range};
use crate::schema;
use crate::tree::{self, Place, Value};
use crate::types::*;
use crate::version;
use crate::words::{
    DECAY_ON, INITS, LOSS_SCALES, ON_BAD_SAMPLE, ORIENTATIONS, PAIRINGS, PRECISIONS, RAMP_ENDS,
    SOURCES, SPREADS, STEMS, WEIGHTINGS, Words,
};

/// The version of the format that this program reads and writes.
pub(crate) const VERSION: u32 = 2;

/// Bytes of a recipe's name: file systems take 255, and a number may follow.
const LONGEST_NAME: usize = 100;

/// Reads the recipe in `text`. Mistakes are reported as mistakes of `file`; `known_models` are the names of all networks.
pub fn parse(text: &str, file: &str, known_models: &[String]) -> Result<Recipe, RecipeErrors> {
    parse_with_edits(text, file, &[], known_models)
}

/// Reads the recipe in `text` after the edits of `--set KEY=VALUE`, each given as `KEY=VALUE`, in order.
///
/// A value is TOML, or text without quotes: `network.model=resnet50d`, `rate.base=0.2`,
/// `rate.warmup={duration="5 epochs"}`. The value `off` removes an optional key: `rate.warmup=off`.
pub fn parse_with_edits(
    text: &str,
    file: &str,
    edits: &[String],
    known_models: &[String],
) -> Result<Recipe, RecipeErrors> {
    let mut root = tree::document(text).map_err(|error| {
        let complaint = Complaint::new(format!("not TOML: {}", error.message), "");
        RecipeErrors::new(vec![mistake(file, "", &error.place, complaint)])
    })?;
    let outdated = version::outdated(file, &root);
    if !outdated.is_empty() {
        return Err(RecipeErrors::new(outdated));
    }
    let refused: Vec<_> =
        edits.iter().filter_map(|edit| edit::apply(&mut root, edit).err()).collect();

    let mut reader = Reader::new(file, &root);
    reader.mistakes = refused;
    schema::check_structure(&mut reader, "", &Place::Nowhere, &root);
    let recipe = recipe(&mut reader, known_models);
    check::check(&mut reader);
    match recipe {
        Some(recipe) if reader.mistakes.is_empty() => Ok(recipe),
        _ => Err(RecipeErrors::new(reader.mistakes)),
    }
}

impl RecipeErrors {
    /// The same mistakes, where those that only the data showed get the place of their key in the recipe's text or edits.
    pub fn located(self, text: &str, file: &str, edits: &[String]) -> RecipeErrors {
        let Ok(mut root) = tree::document(text) else { return self };
        // The recipe was read before, so each edit applies.
        edits.iter().for_each(|edit| drop(edit::apply(&mut root, edit)));
        let locate = |found: Mistake| match root.find(&found.key) {
            Some(node) if found.line == 0 => {
                let complaint = Complaint::new(found.message, found.mend);
                mistake(file, &found.key, &node.place, complaint)
            }
            _ => found,
        };
        RecipeErrors::new(self.mistakes.into_iter().map(locate).collect())
    }
}

// Every function below reads all keys of its table before the first `?`, so that one mistake never hides another.

fn recipe(reader: &mut Reader<'_>, known_models: &[String]) -> Option<Recipe> {
    let version = version(reader);
    let name = reader.read("name", folder_name);
    let seed = seed(reader, "seed");
    let network = network(reader, known_models);
    let init = optional(reader, "init", fine_tuning);
    let data = data(reader);
    let preprocess = preprocess(reader);
    let validation = validation(reader);
    let train = train(reader);
    let rate = rate(reader);
    let update = update(reader);
    let target = target(reader);
    let mixup = optional(reader, "mixup", mixup);
    let cutmix =
        optional(reader, "cutmix", |reader| Some(Cutmix { alpha: alpha(reader, "cutmix.alpha")? }));
    let distillation = optional(reader, "distillation", distillation);
    let average = optional(reader, "average", average);
    let checkpoint = checkpoint(reader);
    Some(Recipe {
        version: version?,
        name: name?,
        seed: seed?,
        network: network?,
        init: init?,
        data: data?,
        preprocess: preprocess?,
        validation: validation?,
        train: train?,
        rate: rate?,
        update: update?,
        target: target?,
        mixup: mixup?,
        cutmix: cutmix?,
        distillation: distillation?,
        average: average?,
        checkpoint: checkpoint?,
    })
}

fn filled_text(value: &Value) -> Result<String, Complaint> {
    match reader::text(value)? {
        text if text.trim().is_empty() => Err(Complaint::new("is empty", "")),
        text => Ok(text),
    }
}

/// Text that is one component of a path on any system: the run folder gets this name.
fn folder_name(value: &Value) -> Result<String, Complaint> {
    let name = filled_text(value)?;
    let refuse = |what: &str, mend: &str| Err(Complaint::new(what, mend));
    match () {
        () if name.contains(['/', '\\']) => {
            refuse("it holds / or \\, and names a folder", "put the run elsewhere with --out")
        }
        () if name == "." || name == ".." => {
            refuse("it is no name of a folder", "write letters, such as my-run")
        }
        () if name.chars().any(is_hidden) => {
            let mend = "write it without them";
            refuse("it holds control characters or marks that turn the direction of text", mend)
        }
        () if name.len() > LONGEST_NAME => {
            let message = format!("it is {} bytes long", name.len());
            Err(Complaint::new(message, format!("a name has at most {LONGEST_NAME}")))
        }
        () => Ok(name),
    }
}

/// Whether a character is not seen, but changes how what is around it is seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn seed(reader: &mut Reader<'_>, key: &'static str) -> Option<u64> {
    let (_, name) = schema::split(key);
    let rule = format!("{name} is a whole number from 0 to {}", u64::MAX);
    reader.read(key, |value| reader::whole(value, &rule))
}

fn version(reader: &mut Reader<'_>) -> Option<u32> {
    reader.read("version", |value| match value {
        Value::Whole(number) if *number == i128::from(VERSION) => Ok(VERSION),
        Value::Whole(number) => {
            let message =
                format!("this program reads version {VERSION} of the format, not {number}");
            Err(Complaint::new(
                message,
                format!("write version = {VERSION} if the keys are its keys"),
            ))
        }
        other => Err(Complaint::expected("a whole number", &other.describe())),
    })
}

fn network(reader: &mut Reader<'_>, known_models: &[String]) -> Option<NetworkChoice> {
    let model = reader.read("network.model", |value| {
        let name = reader::text(value)?;
        if known_models.contains(&name) {
            return Ok(name);
        }
        let mend = did_you_mean(&name, known_models);
        let mend = mend.unwrap_or_else(|| "`trickbag models` lists the names".into());
        Err(Complaint::new(format!("no network is named '{name}'"), mend))
    });
    let stem = reader.choice("network.stem", STEMS);
    let init = reader.choice("network.init", INITS);
    let last_gamma = reader.read("network.last_gamma", reader::short_number);
    let shape = optional(reader, "network.shape", shape);
    Some(NetworkChoice {
        model: model?,
        stem: stem?,
        init: init?,
        last_gamma: last_gamma?,
        shape: shape?,
    })
}

fn fine_tuning(reader: &mut Reader<'_>) -> Option<FineTuning> {
    let from = reader.read("init.from", filled_text);
    let freeze = optional(reader, "init.freeze", |reader| reader.read("init.freeze", filled_text));
    Some(FineTuning { from: from?, freeze: freeze? })
}

/// Reads an optional key: `Some(None)` if it is absent, `None` if it is there and wrong.
fn optional<T>(
    reader: &mut Reader<'_>,
    key: &str,
    read: impl Fn(&mut Reader<'_>) -> Option<T>,
) -> Option<Option<T>> {
    if reader.has(key) { read(reader).map(Some) } else { Some(None) }
}

fn shape(reader: &mut Reader<'_>) -> Option<NetworkShape> {
    let stages = |reader: &mut Reader<'_>, key, most| {
        reader.read(key, |value| {
            reader::list(value, "whole numbers", |item| at_most(key, most, item))
        })
    };
    let blocks = stages(reader, "network.shape.blocks", MOST_BLOCKS);
    let channels = stages(reader, "network.shape.channels", MOST_CHANNELS);
    let stem_key = "network.shape.stem_channels";
    let stem_channels =
        reader.read(stem_key, |value| match at_most(stem_key, MOST_CHANNELS, value)? {
            odd if odd % 2 == 1 => {
                Err(out_of_range(stem_key, &odd.to_string(), "even: the stem of C and D halves it"))
            }
            even => Ok(even),
        });
    Some(NetworkShape { blocks: blocks?, channels: channels?, stem_channels: stem_channels? })
}

fn data(reader: &mut Reader<'_>) -> Option<Data> {
    let source = reader.choice("data.source", SOURCES);
    let split = reader.number(
        "data.split",
        |share| share > 0.0 && share < 1.0,
        "more than 0 and less than 1",
    );
    let split_seed = match reader.has("data.split_seed") {
        true => seed(reader, "data.split_seed"),
        false => Some(absent::SPLIT_SEED),
    };
    let limit = optional(reader, "data.limit", |reader| reader.count("data.limit"));
    let on_bad_sample =
        choice_or(reader, "data.on_bad_sample", ON_BAD_SAMPLE, absent::ON_BAD_SAMPLE);
    let orientation = choice_or(reader, "data.orientation", ORIENTATIONS, absent::ORIENTATION);
    Some(Data {
        source: source?,
        split: split?,
        split_seed: split_seed?,
        limit: limit?,
        on_bad_sample: on_bad_sample?,
        orientation: orientation?,
    })
}

/// A whole number from 1 to `most`.
fn at_most(key: &str, most: usize, value: &Value) -> Result<usize, Complaint> {
    match reader::count(key, value)? {
        count if count > most => {
            Err(out_of_range(key, &count.to_string(), &format!("at most {most}")))
        }
        count => Ok(count),
    }
}

/// An edge of an image.
fn edge(reader: &mut Reader<'_>, key: &'static str) -> Option<usize> {
    reader.read(key, |value| match reader::count(key, value)? {
        edge if edge > LONGEST_EDGE => {
            Err(out_of_range(key, &edge.to_string(), &format!("at most {LONGEST_EDGE} pixels")))
        }
        edge => Ok(edge),
    })
}

fn preprocess(reader: &mut Reader<'_>) -> Option<Preprocess> {
    let size = edge(reader, "preprocess.size");
    let crop = optional(reader, "preprocess.crop", crop);
    let flip = optional(reader, "preprocess.flip", |reader| {
        reader.number("preprocess.flip", |p| (0.0..=1.0).contains(&p), "from 0 to 1")
    });
    let randaugment = optional(reader, "preprocess.randaugment", randaugment);
    let jitter = optional(reader, "preprocess.jitter", jitter);
    let color = optional(reader, "preprocess.color", color);
    let pca_noise = optional(reader, "preprocess.pca_noise", |reader| {
        reader.number("preprocess.pca_noise", |deviation| deviation >= 0.0, "at least 0")
    });
    let normalize = normalize(reader);
    let erasing = optional(reader, "preprocess.erasing", erasing);
    Some(Preprocess {
        size: size?,
        crop: crop?,
        flip: flip?,
        randaugment: randaugment?,
        jitter: jitter?,
        color: color?,
        pca_noise: pca_noise?,
        normalize: normalize?,
        erasing: erasing?,
    })
}

fn crop(reader: &mut Reader<'_>) -> Option<Crop> {
    let area = reader.range(
        "preprocess.crop.area",
        |low, high| low > 0.0 && high <= 1.0,
        "more than 0 and at most 1",
    );
    let aspect = reader.range("preprocess.crop.aspect", |low, _| low > 0.0, "more than 0");
    Some(Crop { area: area?, aspect: aspect? })
}

fn color(reader: &mut Reader<'_>) -> Option<Color> {
    let mut coefficient = |key| reader.range(key, |low, _| low >= 0.0, "at least 0");
    let hue = coefficient("preprocess.color.hue");
    let saturation = coefficient("preprocess.color.saturation");
    let brightness = coefficient("preprocess.color.brightness");
    Some(Color { hue: hue?, saturation: saturation?, brightness: brightness? })
}

fn jitter(reader: &mut Reader<'_>) -> Option<Jitter> {
    let mut coefficient = |key| reader.range(key, |low, _| low >= 0.0, "at least 0");
    let brightness = coefficient("preprocess.jitter.brightness");
    let contrast = coefficient("preprocess.jitter.contrast");
    let saturation = coefficient("preprocess.jitter.saturation");
    Some(Jitter { brightness: brightness?, contrast: contrast?, saturation: saturation? })
}

fn randaugment(reader: &mut Reader<'_>) -> Option<RandAugment> {
    let operations = reader.count("preprocess.randaugment.operations");
    let key = "preprocess.randaugment.magnitude";
    let magnitude = reader.number(key, |m| (0.0..=10.0).contains(&m), "from 0 to 10");
    Some(RandAugment { operations: operations?, magnitude: magnitude? })
}

fn erasing(reader: &mut Reader<'_>) -> Option<Erasing> {
    let key = "preprocess.erasing.probability";
    let probability = reader.number(key, |p| (0.0..=1.0).contains(&p), "from 0 to 1");
    let area = reader.range(
        "preprocess.erasing.area",
        |low, high| low > 0.0 && high < 1.0,
        "more than 0 and less than 1",
    );
    let aspect = reader.range("preprocess.erasing.aspect", |low, _| low > 0.0, "more than 0");
    Some(Erasing { probability: probability?, area: area?, aspect: aspect? })
}

fn normalize(reader: &mut Reader<'_>) -> Option<Normalize> {
    let levels = |reader: &mut Reader<'_>, key, valid: fn(f64) -> bool, rule: &str| {
        reader.read(key, |value| {
            reader::list(value, "numbers", |item| match reader::number(item)? {
                level if valid(level) && level <= LARGEST_LEVEL => Ok(level),
                _ => {
                    let rule = format!("{rule} and at most {LARGEST_LEVEL}");
                    Err(out_of_range(key, &item.describe(), &rule))
                }
            })
        })
    };
    let at_least = |mean| mean >= -LARGEST_LEVEL;
    let rule = format!("at least -{LARGEST_LEVEL}");
    let mean = levels(reader, "preprocess.normalize.mean", at_least, &rule);
    let std = levels(reader, "preprocess.normalize.std", |std| std > 0.0, "more than 0");
    Some(Normalize { mean: mean?, std: std? })
}

fn validation(reader: &mut Reader<'_>) -> Option<Validation> {
    let resize = edge(reader, "validation.resize");
    let crop = edge(reader, "validation.crop");
    Some(Validation { resize: resize?, crop: crop? })
}

fn train(reader: &mut Reader<'_>) -> Option<Train> {
    let duration = reader.span("train.duration");
    let batch = reader.count("train.batch");
    let parts = reader.read("train.parts", reader::parts);
    let precision = choice_or(reader, "train.precision", PRECISIONS, absent::PRECISION);
    // A rule between keys says that only f16 takes it.
    let loss_scale = choice_or(reader, "train.loss_scale", LOSS_SCALES, absent::LOSS_SCALE);
    let evaluate_every = reader.span("train.evaluate_every");
    Some(Train {
        duration: duration?,
        batch: batch?,
        parts: parts?,
        precision: precision?,
        loss_scale: Some(loss_scale?).filter(|_| precision == Some(Precision::F16)),
        evaluate_every: evaluate_every?,
    })
}

fn rate(reader: &mut Reader<'_>) -> Option<Rate> {
    let base = reader.number("rate.base", |base| base > 0.0, "more than 0");
    let head = optional(reader, "rate.head", |reader| {
        reader.number("rate.head", |head| head > 0.0, "more than 0")
    });
    let linear_scaling = optional(reader, "rate.linear_scaling", |reader| {
        let reference_batch = reader.count("rate.linear_scaling.reference_batch")?;
        Some(LinearScaling { reference_batch })
    });
    let warmup = optional(reader, "rate.warmup", |reader| {
        let duration = reader.span("rate.warmup.duration");
        let first = choice_or(reader, "rate.warmup.first", RAMP_ENDS, absent::FIRST_OF_WARMUP);
        Some(Warmup { duration: duration?, first: first? })
    });
    let decay = decay(reader);
    Some(Rate {
        base: base?,
        head: head?,
        linear_scaling: linear_scaling?,
        warmup: warmup?,
        decay: decay?,
    })
}

/// A word that a recipe may leave out, and what it then means.
fn choice_or<T: Copy>(
    reader: &mut Reader<'_>,
    key: &'static str,
    words: Words<T>,
    absent: T,
) -> Option<T> {
    if reader.has(key) { reader.choice(key, words) } else { Some(absent) }
}

/// The one way of decay that is given. All that are given are read, and a rule between keys says that there is only one.
fn decay(reader: &mut Reader<'_>) -> Option<Decay> {
    let step = reader.has("rate.decay.step").then(|| step_decay(reader));
    let cosine = reader.has("rate.decay.cosine").then(|| {
        let key = "rate.decay.cosine.last";
        let last = choice_or(reader, key, RAMP_ENDS, absent::LAST_OF_COSINE);
        Some(Decay::Cosine { last: last? })
    });
    let exponential = reader.has("rate.decay.exponential").then(|| exponential_decay(reader));
    step.or(cosine).or(exponential).flatten()
}

fn exponential_decay(reader: &mut Reader<'_>) -> Option<Decay> {
    let factor = decay_factor(reader, "rate.decay.exponential.factor");
    let every = reader.span("rate.decay.exponential.every");
    Some(Decay::Exponential { factor: factor?, every: every? })
}

fn decay_factor(reader: &mut Reader<'_>, key: &'static str) -> Option<f64> {
    reader.number(key, |factor| factor > 0.0 && factor < 1.0, "more than 0 and less than 1")
}

fn step_decay(reader: &mut Reader<'_>) -> Option<Decay> {
    let factor = decay_factor(reader, "rate.decay.step.factor");
    let at = decay_points(reader);
    Some(Decay::Step { factor: factor?, at: at? })
}

/// The points where the rate falls; it never does if the list is empty. Every wrong point is reported.
fn decay_points(reader: &mut Reader<'_>) -> Option<Vec<Span>> {
    let key = "rate.decay.step.at";
    let nodes = reader.read(key, |value| match value {
        Value::List(items) => Ok(items.clone()),
        other => Err(Complaint::expected("a list of lengths", &other.describe())),
    })?;
    let mut points = Vec::new();
    for node in &nodes {
        match reader::span(&node.value) {
            Ok(point) => points.push(point),
            Err(complaint) => reader.complain(key, &node.place, complaint),
        }
    }
    (points.len() == nodes.len()).then_some(points)
}

fn update(reader: &mut Reader<'_>) -> Option<Update> {
    let optimizer = optimizer(reader);
    let decay = reader.number("update.decay", |decay| decay >= 0.0, "at least 0");
    let decay_on = reader.choice("update.decay_on", DECAY_ON);
    let clip = optional(reader, "update.clip", clip);
    Some(Update { optimizer: optimizer?, decay: decay?, decay_on: decay_on?, clip: clip? })
}

/// The one optimizer that is given, read as [`decay`] is.
fn optimizer(reader: &mut Reader<'_>) -> Option<Optimizer> {
    let nag = reader.has("update.optimizer.nag").then(|| {
        let momentum = below_one(reader, "update.optimizer.nag.momentum");
        Some(Optimizer::Nag { momentum: momentum? })
    });
    let sgd = reader.has("update.optimizer.sgd").then(|| {
        let momentum = below_one(reader, "update.optimizer.sgd.momentum");
        Some(Optimizer::Sgd { momentum: momentum? })
    });
    let adamw = reader.has("update.optimizer.adamw").then(|| {
        let beta1 = below_one(reader, "update.optimizer.adamw.beta1");
        let beta2 = below_one(reader, "update.optimizer.adamw.beta2");
        let epsilon = positive(reader, "update.optimizer.adamw.epsilon");
        Some(Optimizer::Adamw { beta1: beta1?, beta2: beta2?, epsilon: epsilon? })
    });
    nag.or(sgd).or(adamw).flatten()
}

/// The share of a running sum or mean that one step keeps.
fn below_one(reader: &mut Reader<'_>, key: &'static str) -> Option<f64> {
    reader.number(key, |share| (0.0..1.0).contains(&share), "at least 0 and less than 1")
}

fn positive(reader: &mut Reader<'_>, key: &'static str) -> Option<f64> {
    reader.number(key, |number| number > 0.0, "more than 0")
}

/// The one bound that is given, read as [`decay`] is.
fn clip(reader: &mut Reader<'_>) -> Option<Clip> {
    let mut bound = |key| reader.has(key).then(|| positive(reader, key));
    let norm = bound("update.clip.norm").map(|norm| norm.map(Clip::Norm));
    let value = bound("update.clip.value").map(|value| value.map(Clip::Value));
    norm.or(value).flatten()
}

fn target(reader: &mut Reader<'_>) -> Option<Target> {
    if !reader.has("target") {
        return Some(absent::TARGET);
    }
    let smoothing = optional(reader, "target.smoothing", |reader| {
        // The upper end depends on the number of classes.
        let epsilon = reader.number(
            "target.smoothing.epsilon",
            |epsilon| (0.0..1.0).contains(&epsilon),
            "at least 0 and at most (K - 1)/K for K classes",
        );
        let over = reader.choice("target.smoothing.over", SPREADS);
        Some(Smoothing { epsilon: epsilon?, over: over? })
    });
    Some(Target { smoothing: smoothing? })
}

fn mixup(reader: &mut Reader<'_>) -> Option<Mixup> {
    let alpha = alpha(reader, "mixup.alpha");
    let pairing = reader.choice("mixup.pairing", PAIRINGS);
    Some(Mixup { alpha: alpha?, pairing: pairing? })
}

/// The parameter of a Beta distribution.
fn alpha(reader: &mut Reader<'_>, key: &'static str) -> Option<f64> {
    positive(reader, key)
}

fn distillation(reader: &mut Reader<'_>) -> Option<Distillation> {
    let teacher = reader.read("distillation.teacher", filled_text);
    let temperature =
        reader.number("distillation.temperature", |temperature| temperature > 0.0, "more than 0");
    let weighting = reader.choice("distillation.weighting", WEIGHTINGS);
    Some(Distillation { teacher: teacher?, temperature: temperature?, weighting: weighting? })
}

fn average(reader: &mut Reader<'_>) -> Option<Averaging> {
    let key = "average.decay";
    let decay =
        reader.number(key, |decay| decay > 0.0 && decay < 1.0, "more than 0 and less than 1");
    Some(Averaging { decay: decay? })
}

fn checkpoint(reader: &mut Reader<'_>) -> Option<Checkpointing> {
    let every = reader.read("checkpoint.every", reader::interval);
    let keep = reader.count("checkpoint.keep");
    Some(Checkpointing { every: every?, keep: keep? })
}

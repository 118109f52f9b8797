//! From the text of `config.json` to the network and the card, or to what is wrong with it.
//!
//! A key counts or is refused. `num_classes`, `label_names`, and of `pretrained_cfg` the sizes, mean and standard deviation
//! say how the model is used, whoever wrote them; what only trickbag knows stands under `trickbag`. The other keys follow
//! from these: in a folder of ours they must be what we would write. A folder of timm's own holds much more, which nobody
//! here looks at.

use recipe::{LARGEST_LEVEL, LONGEST_EDGE, Normalize, Orientation, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use zoo::{Network, Options, Shape, StemSize};

use super::config::config;
use super::problem::FolderProblem;
use crate::card::{Card, Split, unnamed};

/// The whole file.
#[derive(Deserialize)]
struct Config {
    architecture: Option<String>,
    num_classes: usize,
    label_names: Option<Vec<String>>,
    model_args: Option<Map<String, Value>>,
    pretrained_cfg: Pretrained,
    trickbag: Option<Own>,
}

/// timm's part, as far as it counts here.
#[derive(Deserialize)]
struct Pretrained {
    #[serde(rename = "tag")]
    _tag: Option<String>,
    input_size: Vec<usize>,
    crop_pct: Option<f64>,
    crop_mode: Option<String>,
    interpolation: Option<String>,
    mean: Vec<f64>,
    std: Vec<f64>,
}

/// Our part. The sizes and levels in it are of folders that earlier versions wrote; timm's part has them, too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    #[serde(rename = "version")]
    _version: Option<String>,
    timm: Option<Value>,
    network: String,
    #[serde(default)]
    stem: StemWord,
    shape: Option<ShapeNumbers>,
    resize: Option<usize>,
    crop: Option<usize>,
    mean: Option<Vec<f64>>,
    std: Option<Vec<f64>>,
    #[serde(default)]
    orientation: OrientationWord,
    split: Option<f64>,
    seed: Option<u64>,
    embedded: Option<bool>,
    recipe: Option<String>,
    step: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StemWord {
    #[default]
    Imagenet,
    Small,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OrientationWord {
    #[default]
    Stored,
    Exif,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeNumbers {
    blocks: [usize; 4],
    channels: [usize; 4],
    stem_channels: usize,
}

/// What timm takes where a folder does not say.
const TIMMS_CROP: f64 = 0.875;

/// What the validation images go through here, in timm's words.
const INTERPOLATION: &str = "bilinear";
const CROP_MODE: &str = "center";

/// Levels and shares of 255 are the same where they differ by less than this, in levels.
const ROUNDING: f64 = 1e-6;

/// Keys that follow from others in a folder of ours, and from which.
const FOLLOWING: [(&str, &str, &str); 10] = [
    ("architecture", "/architecture", "trickbag.network"),
    ("model_args", "/model_args", "trickbag.network"),
    ("num_features", "/num_features", "trickbag.network"),
    ("global_pool", "/global_pool", "trickbag.network"),
    ("pretrained_cfg.num_classes", "/pretrained_cfg/num_classes", "num_classes"),
    ("pretrained_cfg.pool_size", "/pretrained_cfg/pool_size", "pretrained_cfg.input_size"),
    ("pretrained_cfg.first_conv", "/pretrained_cfg/first_conv", "trickbag.network"),
    ("pretrained_cfg.classifier", "/pretrained_cfg/classifier", "trickbag.network"),
    ("pretrained_cfg.custom_load", "/pretrained_cfg/custom_load", "trickbag.network"),
    ("pretrained_cfg.fixed_input_size", "/pretrained_cfg/fixed_input_size", "trickbag.network"),
];

/// The network and the card.
pub(super) fn parse(text: &str) -> Result<(Network, Card), FolderProblem> {
    let config: Config = serde_json::from_str(text).map_err(FolderProblem::Json)?;
    let own = config.trickbag.as_ref();
    let name = match own {
        Some(own) => own.network.clone(),
        None => network_of_timm(config.architecture.as_deref(), config.model_args.as_ref())?,
    };
    let options = options(own, config.num_classes);
    let network = zoo::network(&name, &options)?;
    let validation = validation(&config.pretrained_cfg, own)?;
    zoo::check_side(&network, validation.crop)?;
    let card = Card {
        classes: classes(config.label_names, config.num_classes)?,
        validation,
        normalize: normalize(&config.pretrained_cfg, own)?,
        orientation: match own.map(|own| own.orientation).unwrap_or_default() {
            OrientationWord::Stored => Orientation::Stored,
            OrientationWord::Exif => Orientation::Exif,
        },
        options,
        step: step(own)?,
        split: split(own)?,
        recipe: own.and_then(|own| own.recipe.clone()).unwrap_or_default(),
    };
    if let Some(own) = own {
        check_timm(own, &network)?;
        check_following(text, &network, &card)?;
    }
    Ok((network, card))
}

fn key(key: &'static str, found: impl ToString, mend: impl Into<String>) -> FolderProblem {
    FolderProblem::Key { key, found: found.to_string(), mend: mend.into() }
}

fn options(own: Option<&Own>, classes: usize) -> Options {
    let stem = match own.map(|own| own.stem).unwrap_or_default() {
        StemWord::Imagenet => StemSize::Imagenet,
        StemWord::Small => StemSize::Small,
    };
    let shape = own.and_then(|own| own.shape);
    let shape = shape.map(|ShapeNumbers { blocks, channels, stem_channels }| Shape {
        blocks,
        channels,
        stem_channels,
    });
    Options { stem, shape, ..Options::plain(classes) }
}

fn classes(names: Option<Vec<String>>, count: usize) -> Result<Vec<String>, FolderProblem> {
    match names {
        None => Ok((0..count).map(unnamed).collect()),
        Some(names) if names.len() == count => Ok(names),
        Some(names) => Err(FolderProblem::Disagreement {
            key: "label_names",
            found: format!("a list of {}", names.len()),
            other: "num_classes",
            expected: format!("is {count}"),
            mend: "give each class of the weights one name".into(),
        }),
    }
}

/// Sizes in pixels: timm gives the crop, and the share of the resized edge that it takes.
fn validation(cfg: &Pretrained, own: Option<&Own>) -> Result<Validation, FolderProblem> {
    for (name, found, known) in [
        ("pretrained_cfg.interpolation", &cfg.interpolation, INTERPOLATION),
        ("pretrained_cfg.crop_mode", &cfg.crop_mode, CROP_MODE),
    ] {
        if let Some(found) = found.as_ref().filter(|found| *found != known) {
            let mend = format!("trickbag knows \"{known}\" alone: write that to use the model so");
            return Err(key(name, format!("{found:?}"), mend));
        }
    }
    let sizes = format!("[3, N, N], N from 1 to {LONGEST_EDGE}");
    let crop = match *cfg.input_size.as_slice() {
        [3, height, width] if height == width && (1..=LONGEST_EDGE).contains(&height) => height,
        _ => {
            let mend = format!("write {sizes}: trickbag takes square images of three channels");
            return Err(key("pretrained_cfg.input_size", format!("{:?}", cfg.input_size), mend));
        }
    };
    let share = match (cfg.crop_pct, own) {
        (Some(share), _) => share,
        (None, None) => TIMMS_CROP,
        (None, Some(_)) => {
            let mend = "write the side of the crop over that of the resized edge, such as 0.875";
            return Err(key("pretrained_cfg.crop_pct", "missing", mend));
        }
    };
    let resize = resize(crop, share);
    if !(share > 0.0 && share <= 1.0 && resize <= LONGEST_EDGE) {
        let mend = format!(
            "write a share of at most 1 that resizes the shorter edge to {LONGEST_EDGE} pixels or fewer: \
             pretrained_cfg.input_size asks for a crop of {crop}"
        );
        return Err(key("pretrained_cfg.crop_pct", share, mend));
    }
    let disagreement = |key, found: usize, other, expected: String| {
        let mend = "change both, or take the one under trickbag out".to_owned();
        FolderProblem::Disagreement { key, found: found.to_string(), other, expected, mend }
    };
    let Some(own) = own else { return Ok(Validation { resize, crop }) };
    if let Some(found) = own.crop.filter(|&own| own != crop) {
        let expected = format!("says {crop}");
        return Err(disagreement("trickbag.crop", found, "pretrained_cfg.input_size", expected));
    }
    // Earlier versions wrote crop / resize, whose floor may be one less.
    let is_earlier = |own: usize| (crop as f64 / own as f64 - share).abs() < f64::EPSILON;
    match own.resize {
        Some(found) if found != resize && !is_earlier(found) => {
            let expected = format!("is {share}, which with a crop of {crop} says {resize}");
            Err(disagreement("trickbag.resize", found, "pretrained_cfg.crop_pct", expected))
        }
        found => Ok(Validation { resize: found.unwrap_or(resize), crop }),
    }
}

/// timm's rule.
pub(super) fn resize(crop: usize, share: f64) -> usize {
    (crop as f64 / share).floor() as usize
}

/// What timm's rule makes `resize` of, for every pair of sizes: crop / resize itself may round to one less.
pub(super) fn crop_share(Validation { resize, crop }: Validation) -> f64 {
    crop as f64 / (resize as f64 + 0.25)
}

fn normalize(cfg: &Pretrained, own: Option<&Own>) -> Result<Normalize, FolderProblem> {
    let own_of = |levels: fn(&Own) -> &Option<Vec<f64>>| own.and_then(|own| levels(own).as_deref());
    let least = -LARGEST_LEVEL / 255.0;
    let mean =
        levels("pretrained_cfg.mean", &cfg.mean, "trickbag.mean", own_of(|o| &o.mean), |m| {
            m >= least
        })?;
    let std =
        levels("pretrained_cfg.std", &cfg.std, "trickbag.std", own_of(|o| &o.std), |s| s > 0.0)?;
    Ok(Normalize { mean, std })
}

/// The levels of 0 to 255 that three shares are of, one for each channel.
fn levels(
    name: &'static str,
    shares: &[f64],
    own_name: &'static str,
    own: Option<&[f64]>,
    is_valid: impl Fn(f64) -> bool,
) -> Result<[f64; 3], FolderProblem> {
    let largest = LARGEST_LEVEL / 255.0;
    let is_valid = |share: &f64| is_valid(*share) && *share <= largest;
    let Some(&shares) =
        shares.first_chunk::<3>().filter(|list| shares.len() == 3 && list.iter().all(is_valid))
    else {
        let lower = if name.ends_with("std") { "above 0" } else { "such as 0.485" };
        let mend = format!("write three numbers, {lower}, each a share of the largest level, 255");
        return Err(key(name, format!("{shares:?}"), mend));
    };
    let levels = shares.map(level);
    let Some(own) = own else { return Ok(levels) };
    let is_near = |(own, level): (&f64, f64)| (own - level).abs() <= ROUNDING;
    match own.first_chunk::<3>() {
        Some(same) if own.len() == 3 && same.iter().zip(levels).all(is_near) => Ok(*same),
        _ => Err(FolderProblem::Disagreement {
            key: own_name,
            found: format!("{own:?}"),
            other: name,
            expected: format!("is {shares:?}, which are the levels {levels:?}"),
            mend: format!("change both, or take {own_name} out"),
        }),
    }
}

/// The level that a share of 255 was made of: a number of few digits comes back as it was.
fn level(share: f64) -> f64 {
    let level = share * 255.0;
    let short = (level * 1e9).round() / 1e9;
    if (short - level).abs() <= 4.0 * f64::EPSILON * level.abs() { short } else { level }
}

fn step(own: Option<&Own>) -> Result<u64, FolderProblem> {
    match own.and_then(|own| own.step).unwrap_or(0) {
        step if i64::try_from(step).is_ok() => Ok(step),
        step => Err(key("trickbag.step", step, "write how many steps the model was trained for")),
    }
}

fn split(own: Option<&Own>) -> Result<Split, FolderProblem> {
    let share = own.and_then(|own| own.split).unwrap_or(0.1);
    if !(share > 0.0 && share < 1.0) {
        let mend = "write the share of images that the run held out, above 0 and below 1";
        return Err(key("trickbag.split", share, mend));
    }
    let seed = own.and_then(|own| own.seed).unwrap_or(1);
    Ok(Split { share, seed, embedded: own.and_then(|own| own.embedded).unwrap_or(false) })
}

/// `trickbag.timm` is true where timm can build the network, and else says why not.
fn check_timm(own: &Own, network: &Network) -> Result<(), FolderProblem> {
    let builds = matches!(network.timm, zoo::Timm::Builds { .. });
    match &own.timm {
        None => Ok(()),
        Some(Value::Bool(true)) if builds => Ok(()),
        Some(Value::String(_)) if !builds => Ok(()),
        Some(found) => Err(FolderProblem::Disagreement {
            key: "trickbag.timm",
            found: found.to_string(),
            other: "trickbag.network",
            expected: format!(
                "is one that timm {}",
                if builds { "builds" } else { "cannot build" }
            ),
            mend: "take trickbag.timm out: it only informs".into(),
        }),
    }
}

/// In a folder of ours, what follows from other keys has to be what they say.
fn check_following(text: &str, network: &Network, card: &Card) -> Result<(), FolderProblem> {
    let found: Value = serde_json::from_str(text).map_err(FolderProblem::Json)?;
    let expected = config(network, card);
    for (name, pointer, other) in FOLLOWING {
        // Who writes a config by hand may give the network our name in timm's place, too.
        if name == "architecture" && found[name] == network.name {
            continue;
        }
        match (found.pointer(pointer), expected.pointer(pointer)) {
            (Some(found), Some(expected)) if found != expected => {
                return Err(FolderProblem::Disagreement {
                    key: name,
                    found: found.to_string(),
                    other,
                    expected: format!("makes it {expected}"),
                    mend: format!("write {expected}, or change {other} where that is wrong"),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The network of a folder that timm wrote.
pub(super) fn network_of_timm(
    architecture: Option<&str>,
    model_args: Option<&Map<String, Value>>,
) -> Result<String, FolderProblem> {
    let Some(architecture) = architecture else {
        let mend = "write timm's name of the network, or trickbag.network";
        return Err(key("architecture", "missing", mend));
    };
    let mut unusual = Map::new();
    for (key, value) in model_args.into_iter().flatten() {
        // What timm writes down of every model, and says nothing but the usual.
        let usual = match key.as_str() {
            "num_classes" => true,
            "in_chans" => *value == 3,
            "global_pool" => value == "avg",
            "aux_logits" => *value == false,
            _ => value.is_null(),
        };
        if !usual {
            unusual.insert(key.clone(), value.clone());
        }
    }
    match zoo::by_timm(architecture, &unusual) {
        Some(name) => Ok(name),
        None if unusual.is_empty() => Ok(architecture.to_owned()),
        None => Err(FolderProblem::NotOurs {
            architecture: architecture.to_owned(),
            model_args: Value::Object(unusual).to_string(),
        }),
    }
}

//! `config.json`: timm's keys, and ours under `trickbag`, which timm ignores.

use nn::{Layer, Part};
use recipe::{Normalize, Orientation, Validation};
use serde_json::{Map, Value, json};
use zoo::{Network, Options, Shape, StemSize, Timm};

use crate::card::{Card, Split, unnamed};

/// The content of `config.json`.
pub fn config(network: &Network, card: &Card) -> Value {
    let Validation { resize, crop } = card.validation;
    let levels = |values: [f64; 3]| values.map(|value| value / 255.0);
    let (architecture, model_args, timm) = match &network.timm {
        Timm::Builds { architecture, model_args } => {
            (architecture.clone(), model_args.clone(), json!(true))
        }
        Timm::Cannot { why } => {
            (network.name.clone(), Default::default(), json!(format!("cannot build it: {why}")))
        }
    };
    json!({
        "architecture": architecture,
        "num_classes": network.classes(),
        "num_features": network.classifier.c_in,
        "global_pool": "avg",
        "label_names": card.classes,
        "model_args": model_args,
        "pretrained_cfg": {
            "tag": "trickbag",
            "custom_load": false,
            "input_size": [3, crop, crop],
            "fixed_input_size": false,
            "interpolation": "bilinear",
            "crop_pct": crop as f64 / resize as f64,
            "crop_mode": "center",
            "mean": levels(card.normalize.mean),
            "std": levels(card.normalize.std),
            "num_classes": network.classes(),
            "pool_size": pool_size(network, crop),
            "first_conv": first_conv(network),
            "classifier": network.classifier.name,
        },
        "trickbag": {
            "version": env!("CARGO_PKG_VERSION"),
            "timm": timm,
            "network": network.name,
            "stem": if card.options.stem == StemSize::Small { "small" } else { "imagenet" },
            "shape": card.options.shape.map(|shape| json!({
                "blocks": shape.blocks,
                "channels": shape.channels,
                "stem_channels": shape.stem_channels,
            })),
            "resize": resize,
            "crop": crop,
            "mean": card.normalize.mean,
            "std": card.normalize.std,
            "orientation": card.orientation,
            "split": card.split.share,
            "seed": card.split.seed,
            "embedded": card.split.embedded,
            "recipe": card.recipe,
            "step": card.step,
        },
    })
}

/// The height and width of what timm calls the features: the head's input, after the head's own pool.
fn pool_size(network: &Network, crop: usize) -> [usize; 2] {
    let body = network.stem.iter().chain(network.stages.iter().flat_map(|stage| &stage.layers));
    let pools = network.head.iter().take_while(|layer| matches!(layer, Layer::MaxPool(_)));
    let [height, width, _] = body.chain(pools).fold([crop, crop, 3], |at, layer| layer.output(at));
    [height, width]
}

fn first_conv(network: &Network) -> String {
    let name = |part: &Part| match part {
        Part::ConvBn { layer, .. } => Some(layer.conv.clone()),
        Part::Conv(layer) => Some(layer.name.clone()),
        _ => None,
    };
    network.parts().iter().find_map(name).unwrap_or_default()
}

/// The network's name and the card.
pub(super) fn parse(config: &Value) -> Result<(String, Card), String> {
    let own = &config["trickbag"];
    let classes = config["num_classes"].as_u64().ok_or("num_classes is missing")? as usize;
    let name = match own["network"].as_str() {
        Some(name) => name.to_owned(),
        None => network_of_timm(config)?,
    };
    let numbers = |value: &Value, count: usize| -> Option<Vec<f64>> {
        let list: Vec<f64> = value.as_array()?.iter().filter_map(Value::as_f64).collect();
        (list.len() == count).then_some(list)
    };
    let three = |key: &str, scale: f64| -> Result<[f64; 3], String> {
        let (value, scale) = match &own[key] {
            Value::Null => (&config["pretrained_cfg"][key], scale),
            value => (value, 1.0),
        };
        let list = numbers(value, 3).ok_or(format!("{key} of three channels is missing"))?;
        Ok([list[0] * scale, list[1] * scale, list[2] * scale])
    };
    let names = config["label_names"].as_array().cloned().unwrap_or_default();
    let names: Vec<String> = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let card = Card {
        classes: if names.len() == classes { names } else { (0..classes).map(unnamed).collect() },
        validation: parse_validation(config)?,
        normalize: Normalize { mean: three("mean", 255.0)?, std: three("std", 255.0)? },
        orientation: match own["orientation"].as_str() {
            Some("exif") => Orientation::Exif,
            _ => Orientation::Stored,
        },
        options: parse_options(own, classes)?,
        step: own["step"].as_u64().unwrap_or(0),
        split: Split {
            share: own["split"].as_f64().unwrap_or(0.1),
            seed: own["seed"].as_u64().unwrap_or(1),
            embedded: own["embedded"].as_bool().unwrap_or(false),
        },
        recipe: own["recipe"].as_str().unwrap_or("").to_owned(),
    };
    Ok((name, card))
}

/// The network of a folder that timm wrote.
pub(super) fn network_of_timm(config: &Value) -> Result<String, String> {
    let architecture = config["architecture"].as_str().ok_or("architecture is missing")?;
    let mut model_args = Map::new();
    for (key, value) in config["model_args"].as_object().into_iter().flatten() {
        // Arguments that timm writes for every model are dropped where they have their usual value.
        let usual = match key.as_str() {
            "num_classes" => true,
            "in_chans" => *value == 3,
            "global_pool" => value == "avg",
            "aux_logits" => *value == false,
            _ => value.is_null(),
        };
        if !usual {
            model_args.insert(key.clone(), value.clone());
        }
    }
    match zoo::by_timm(architecture, &model_args) {
        Some(name) => Ok(name),
        None if model_args.is_empty() => Ok(architecture.to_owned()),
        None => Err(format!(
            "timm's {architecture} with model_args {} is none of the networks here; `trickbag models` lists them",
            Value::Object(model_args)
        )),
    }
}

/// The resized edge and the crop; timm's own folders give the crop and its share of that edge.
fn parse_validation(config: &Value) -> Result<Validation, String> {
    let (own, cfg) = (&config["trickbag"], &config["pretrained_cfg"]);
    let size = |value: &Value| value.as_u64().map(|size| size as usize);
    if let (Some(resize), Some(crop)) = (size(&own["resize"]), size(&own["crop"])) {
        return Ok(Validation { resize, crop });
    }
    let crop = size(&cfg["input_size"][1]).ok_or("pretrained_cfg.input_size is missing")?;
    let share = cfg["crop_pct"].as_f64().unwrap_or(0.875);
    Ok(Validation { resize: (crop as f64 / share).floor() as usize, crop })
}

fn parse_options(own: &Value, classes: usize) -> Result<Options, String> {
    let four = |key: &str| -> Result<[usize; 4], String> {
        let list = own["shape"][key].as_array().map(Vec::as_slice).unwrap_or_default();
        let list: Vec<usize> =
            list.iter().filter_map(Value::as_u64).map(|value| value as usize).collect();
        list.try_into().map_err(|_| format!("trickbag.shape.{key} has to be four numbers"))
    };
    let shape = match own["shape"] {
        Value::Null => None,
        _ => Some(Shape {
            blocks: four("blocks")?,
            channels: four("channels")?,
            stem_channels: own["shape"]["stem_channels"]
                .as_u64()
                .ok_or("trickbag.shape.stem_channels is missing")?
                as usize,
        }),
    };
    let stem = match own["stem"].as_str() {
        Some("small") => StemSize::Small,
        _ => StemSize::Imagenet,
    };
    Ok(Options { stem, shape, ..Options::plain(classes) })
}

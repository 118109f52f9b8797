//! A model folder: `model.safetensors` and `config.json`, as timm's `local-dir:` reads them, with class names and
//! preprocessing inside.
//!
//! What timm has no key for stands under `trickbag`, which timm ignores.

use std::fs;
use std::path::{Path, PathBuf};

use nn::{Device, Layer, Part};
use recipe::{Normalize, Orientation, Validation};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};
use zoo::{FileTensor, FileTensors, Model, Network, Options, Shape, StemSize, Timm};

use crate::durable;
use crate::error::TrainError;
use crate::plan::Plan;

/// What a folder tells beside the tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Name of each class, by its index.
    pub classes: Vec<String>,
    pub validation: Validation,
    pub normalize: Normalize,
    pub orientation: Orientation,
    /// How the network differs from its name's own.
    pub options: Options,
    /// Steps trained; each batch norm's `num_batches_tracked`.
    pub step: u64,
    /// Of the recipe: what the run held out where its data had no validation part.
    pub split: Split,
    pub recipe: String,
}

/// A deterministic choice of validation images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    pub share: f64,
    pub seed: u64,
    /// Whether the data are the images inside the program.
    pub embedded: bool,
}

impl Card {
    pub(crate) fn of_run(plan: &Plan, step: u64) -> Card {
        let recipe = &plan.recipe;
        Card {
            classes: plan.dataset.classes.clone(),
            validation: recipe.validation,
            normalize: recipe.preprocess.normalize,
            orientation: recipe.data.orientation,
            options: plan.options(),
            step,
            split: Split {
                share: recipe.data.split,
                seed: recipe.seed,
                embedded: recipe.data.source == recipe::Source::FashionMnist,
            },
            recipe: recipe.name.clone(),
        }
    }

    /// How these classes differ from the model's, by name where the model knows names.
    pub fn difference(&self, classes: &[String]) -> Option<String> {
        let anonymous = self.classes.iter().enumerate().all(|(i, name)| *name == unnamed(i));
        let same = match anonymous {
            true => self.classes.len() == classes.len(),
            false => self.classes == classes,
        };
        if same {
            return None;
        }
        let only = |ours: &[String], theirs: &[String]| {
            let extra: Vec<&str> =
                ours.iter().filter(|name| !theirs.contains(name)).map(String::as_str).collect();
            if extra.is_empty() { "none".to_owned() } else { extra.join(", ") }
        };
        Some(format!(
            "the data's {} classes are not the model's {}; only in the data: {}; only in the model: {}",
            classes.len(),
            self.classes.len(),
            only(classes, &self.classes),
            only(&self.classes, classes),
        ))
    }
}

/// The name of a class that has none.
pub(crate) fn unnamed(class: usize) -> String {
    format!("class {class}")
}

const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";
const COUNTER: &str = "num_batches_tracked";

/// Writes the folder, making it where needed.
pub fn write(folder: &Path, model: &Model, card: &Card) -> Result<(), TrainError> {
    let make = |cause| durable::WriteError { path: folder.to_owned(), cause };
    fs::create_dir_all(folder).map_err(make)?;
    durable::write(&folder.join(WEIGHTS), &weights(model, card.step))?;
    let config = serde_json::to_string_pretty(&config(&model.network, card));
    let config = config.expect("a config is plain data") + "\n";
    durable::write(&folder.join(CONFIG), config.as_bytes())?;
    Ok(())
}

fn weights(model: &Model, step: u64) -> Vec<u8> {
    let mut files: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = model
        .tensors()
        .into_iter()
        .map(|(name, FileTensor { shape, values })| {
            (name, Dtype::F32, shape, values.into_iter().flat_map(f32::to_le_bytes).collect())
        })
        .collect();
    for (name, _) in model.network.batch_norms() {
        let counter = (step as i64).to_le_bytes().to_vec();
        files.push((format!("{name}.{COUNTER}"), Dtype::I64, vec![], counter));
    }
    let views = files.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (name.as_str(), view.expect("shape and bytes agree"))
    });
    // One key: more come out in random order.
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).expect("every tensor is well formed")
}

/// What `config.json` holds.
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

/// Height and width of what timm calls the features: in front of the head, but for its pool.
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

/// What a model folder tells, or a run folder that holds one: the network's name and the card.
pub fn read_card(path: &Path) -> Result<(String, Card), TrainError> {
    card_in(&locate(path)?)
}

fn card_in(folder: &Path) -> Result<(String, Card), TrainError> {
    let file = folder.join(CONFIG);
    let config = read_config(&file)?;
    parse_config(&config).map_err(|problem| TrainError::ModelFolder { path: file, problem })
}

/// Opens a model folder, or a run folder that holds one.
pub fn read(path: &Path, device: &Device) -> Result<(Model, Card), TrainError> {
    let folder = locate(path)?;
    let (name, card) = card_in(&folder)?;
    let network = zoo::network(&name, &card.options)?;
    zoo::check_side(&network, card.validation.crop)?;
    let file = folder.join(WEIGHTS);
    let broken = |problem| TrainError::ModelFolder { path: file.clone(), problem };
    let tensors = read_weights(&file)?;
    let model =
        Model::from_tensors(network, tensors, device).map_err(|error| broken(error.to_string()))?;
    Ok((model, card))
}

fn locate(path: &Path) -> Result<PathBuf, TrainError> {
    let candidates = [path.to_owned(), path.join("model")];
    let found = candidates.into_iter().find(|folder| folder.join(CONFIG).is_file());
    found.ok_or_else(|| {
        let problem = if path.join("recipe.toml").is_file() {
            "this run has no model yet: it is written when the run ends; go on with it by `trickbag train --resume \
             --out` and this folder"
        } else {
            "no model here; give a run folder, or a folder with config.json and model.safetensors"
        };
        TrainError::ModelFolder { path: path.to_owned(), problem: problem.to_owned() }
    })
}

fn read_config(file: &Path) -> Result<Value, TrainError> {
    let broken = |problem: String| TrainError::ModelFolder { path: file.to_owned(), problem };
    let text =
        fs::read_to_string(file).map_err(|error| broken(format!("cannot be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| broken(format!("not valid JSON: {error}")))
}

fn parse_config(config: &Value) -> Result<(String, Card), String> {
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
fn network_of_timm(config: &Value) -> Result<String, String> {
    let architecture = config["architecture"].as_str().ok_or("architecture is missing")?;
    let mut model_args = Map::new();
    for (key, value) in config["model_args"].as_object().into_iter().flatten() {
        // What timm writes down of every model, and says nothing but the usual.
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

/// timm's own folders give the crop and the share of the resized edge that it takes.
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

fn read_weights(file: &Path) -> Result<FileTensors, TrainError> {
    let broken = |problem: String| TrainError::ModelFolder { path: file.to_owned(), problem };
    let bytes = fs::read(file).map_err(|error| broken(format!("cannot be read: {error}")))?;
    let archive = SafeTensors::deserialize(&bytes).map_err(|error| {
        broken(format!("not a whole safetensors file ({error}); copy or train it again"))
    })?;
    let mut tensors = FileTensors::new();
    for (name, view) in archive.tensors() {
        if name.ends_with(COUNTER) {
            continue;
        }
        if view.dtype() != Dtype::F32 {
            return Err(broken(format!("{name} is {:?}; only F32 is read", view.dtype())));
        }
        let numbers = view.data().chunks_exact(4);
        let values: Vec<f32> = numbers
            .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
            .collect();
        if values.iter().any(|value| value.is_nan()) {
            return Err(broken(format!("{name} holds NaN; train it again with a lower rate")));
        }
        tensors.insert(name, FileTensor { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::Init;

    fn model(name: &str, options: &Options) -> Model {
        let network = zoo::network(name, options).expect("a known name");
        let rng = |index| data::at(1, data::Stream::Init, 0, index as u64);
        Model::initialized(network, Init::Xavier, 1.0, &nn::cpu(), rng)
    }

    fn card(options: Options) -> Card {
        let classes: Vec<String> =
            (0..options.classes).map(|index| format!("kind {index}")).collect();
        Card {
            classes,
            validation: Validation { resize: 37, crop: 32 },
            normalize: Normalize { mean: [120.0, 110.5, 100.0], std: [60.0, 61.0, 62.5] },
            orientation: Orientation::Exif,
            options,
            step: 7,
            split: Split { share: 0.25, seed: 11, embedded: false },
            recipe: "mine".into(),
        }
    }

    #[test]
    fn a_folder_comes_back_as_it_was_written() {
        let shape = Shape { blocks: [1, 2, 1, 1], channels: [8, 8, 16, 16], stem_channels: 8 };
        for (name, stem) in [("resnet18d", StemSize::Imagenet), ("resnet50", StemSize::Small)] {
            let options = Options { shape: Some(shape), stem, ..Options::plain(3) };
            let (model, card) = (model(name, &options), card(options));
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &model, &card).unwrap();
            let (read_model, read_card) = read(folder.path(), &nn::cpu()).unwrap();
            assert_eq!(read_card, card, "{name}");
            assert_eq!(read_model.network, model.network, "{name}");
            assert_eq!(read_model.tensors(), model.tensors(), "{name}");
        }
    }

    #[test]
    fn a_folder_of_any_family_comes_back() {
        let wide = Shape { blocks: [1; 4], channels: [16; 4], stem_channels: 8 };
        let (plain, small) = (Options::plain(3), StemSize::Small);
        for (name, options) in [
            ("seresnext50_32x4d", Options { shape: Some(wide), ..plain.clone() }),
            ("mobilenetv1_025_relu6", plain.clone()),
            ("densenet121", Options { stem: small, ..plain }),
        ] {
            let (mut model, card) = (model(name, &options), card(options));
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &model, &card).unwrap();
            let (mut read_model, read_card) = read(folder.path(), &nn::cpu()).unwrap();
            assert_eq!(read_card, card, "{name}");
            assert_eq!(read_model.network, model.network, "{name}");
            assert_eq!(read_model.tensors(), model.tensors(), "{name}");
            let x = nn::Tensor::ones([2, 32, 32, 3], &nn::cpu());
            let logits = |model: &mut Model, x| model.logits(x).into_data();
            assert_eq!(logits(&mut read_model, x.clone()), logits(&mut model, x), "{name}");
        }
    }

    /// A folder as timm itself writes one: no key of ours, no counters, levels as shares of 255.
    #[test]
    fn a_folder_of_timms_own_is_read() {
        let options = Options::plain(4);
        let model = model("resnet18", &options);
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &model, &card(options)).unwrap();
        let config = json!({
            "architecture": "resnet18",
            "num_classes": 4,
            "num_features": 512,
            "pretrained_cfg": {
                "input_size": [3, 224, 224],
                "crop_pct": 0.875,
                "mean": [0.5, 0.25, 0.125],
                "std": [0.2, 0.2, 0.2],
            },
        });
        fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
        let (read_model, card) = read(folder.path(), &nn::cpu()).unwrap();
        assert_eq!(read_model.tensors(), model.tensors());
        assert_eq!(card.validation, Validation { resize: 256, crop: 224 });
        assert_eq!(card.normalize.mean, [127.5, 63.75, 31.875]);
        assert_eq!(card.classes[3], "class 3");

        // As timm 1.0.31 writes it down, with the arguments that say nothing new.
        let usual = json!({"num_classes": 4, "in_chans": 3, "global_pool": "avg"});
        let (mut with_args, mut refused) = (config.clone(), config);
        with_args["model_args"] = usual.clone();
        fs::write(folder.path().join(CONFIG), with_args.to_string()).unwrap();
        assert_eq!(read(folder.path(), &nn::cpu()).unwrap().0.network.name, "resnet18");
        refused["model_args"] = usual;
        refused["model_args"]["act_layer"] = json!("silu");
        fs::write(folder.path().join(CONFIG), refused.to_string()).unwrap();
        let text = read(folder.path(), &nn::cpu()).unwrap_err().to_string();
        assert!(text.contains("silu") && text.contains("none of the networks"), "{text}");
    }

    /// timm's `mobilenetv1_100` has ReLU6, and its `resnet18` with a deep stem is our `resnet18c`.
    #[test]
    fn a_network_of_timms_is_found_by_its_function() {
        for (architecture, model_args, name) in [
            ("mobilenetv1_100", json!({}), "mobilenetv1_100_relu6"),
            ("mobilenetv1_100", json!({"act_layer": "relu"}), "mobilenetv1_100"),
            ("resnet18", json!({"stem_type": "deep", "stem_width": 32}), "resnet18c"),
            ("inception_v3", json!({"aux_logits": false}), "inception_v3"),
            ("inception_v3", json!({"aux_logits": true, "in_chans": 3}), "inception_v3_aux"),
            ("resnet51", json!({}), "resnet51"),
        ] {
            let config = json!({"architecture": architecture, "model_args": model_args});
            assert_eq!(network_of_timm(&config).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_config_tells_timm_of_every_network() {
        for (name, first_conv, pool_size) in [
            ("resnet50d", "conv1.0", 7),
            ("inception_v3", "Conv2d_1a_3x3.conv", 8),
            ("vgg19", "features.0", 7),
            ("vgg19_bn", "features.0", 7),
            ("densenet201", "features.conv0", 7),
            ("mobilenetv1_100", "conv_stem", 7),
        ] {
            let options = Options::plain(3);
            let network = zoo::network(name, &options).expect("a known name");
            let (crop, resize) = (network.input, network.input + 5);
            let card = Card { validation: Validation { resize, crop }, ..card(options) };
            let config = config(&network, &card);
            assert_eq!(config["pretrained_cfg"]["first_conv"], first_conv, "{name}");
            assert_eq!(config["pretrained_cfg"]["pool_size"][0], pool_size, "{name}");
        }
    }

    #[test]
    fn broken_folders_say_what_is_wrong() {
        let options = Options::plain(4);
        let (model, card) = (model("resnet18", &options), card(options));
        let folder = tempfile::tempdir().unwrap();
        let refused = || read(folder.path(), &nn::cpu()).unwrap_err().to_string();
        assert!(refused().contains("no model here"));
        write(folder.path(), &model, &card).unwrap();
        let config = fs::read_to_string(folder.path().join(CONFIG)).unwrap();
        let with = |old: &str, new: &str| {
            assert!(config.contains(old), "{old}");
            fs::write(folder.path().join(CONFIG), config.replace(old, new)).unwrap();
        };
        with("\"network\": \"resnet18\"", "\"network\": \"resnet34\"");
        assert!(refused().contains("missing"), "{}", refused());
        with("\"network\": \"resnet18\"", "\"network\": \"resnet19\"");
        assert!(refused().contains("did you mean"), "{}", refused());
        with("\"num_classes\": 4", "\"num_classes\": 5");
        assert!(refused().contains("fc.weight"), "{}", refused());
        fs::write(folder.path().join(CONFIG), "[]").unwrap();
        assert!(refused().contains("num_classes is missing"), "{}", refused());
        fs::write(folder.path().join(WEIGHTS), b"12345678").unwrap();
        with("\"num_classes\": 4", "\"num_classes\": 4");
        assert!(refused().contains("not a whole safetensors file"), "{}", refused());
    }
}

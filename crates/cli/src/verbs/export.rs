//! `trickbag export`: a model for other programs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use classify::{Card, model_folder};
use nn::Model;
use onnx::BatchNorms;
use record::names;
use serde_json::{Value, json};
use train::durable;
use zoo::{Network, Timm};

use crate::args::{Export, Format};
use crate::output::{self, Usage};
use crate::verbs::{model, place};

/// The keys of `pretrained_cfg` that go into the metadata of an ONNX file.
const PREPROCESSING: [&str; 6] =
    ["input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std"];

pub(crate) fn run(args: &Export) -> Result<()> {
    if args.keep_batch_norms && args.format == Format::Timm {
        let text = "--keep-batch-norms is for --format onnx; a timm folder always keeps them";
        return Err(Usage(text.to_owned()).into());
    }
    // What is wrong with a place that was given is told before the model is read.
    if let Some(out) = &args.out {
        check_place(args.format, out, &args.model)?;
    }
    let (model, card) = model::read(&args.model, args.best)?;
    let out = args.out.clone().unwrap_or_else(|| default(args.format, &model.module.name));
    check_place(args.format, &out, &args.model)?;
    let mut result = json!({
        "format": if args.format == Format::Onnx { "onnx" } else { "timm" },
        "network": model.module.name,
        "path": out.display().to_string(),
    });
    match args.format {
        Format::Onnx => {
            let batch_norms =
                if args.keep_batch_norms { BatchNorms::Kept } else { BatchNorms::Folded };
            result["bytes"] = write_onnx(&out, &model, &card, batch_norms)?.into();
            result["opset"] = onnx::OPSET.into();
            result["batch_norms"] = match batch_norms {
                BatchNorms::Folded => "folded".into(),
                BatchNorms::Kept => "kept".into(),
            };
        }
        Format::Timm => {
            model_folder::write(&out, &model, &card)?;
            result["bytes"] = size(&out)?.into();
            result["timm"] = matches!(model.module.timm, Timm::Builds { .. }).into();
            if let Timm::Cannot { why } = &model.module.timm {
                let name = &model.module.name;
                output::note(&format!(
                    "note: timm cannot build {name}: {why}; config.json says so, and trickbag opens the folder"
                ));
            }
        }
    }
    match args.json {
        true => output::json(&result),
        false => {
            let bytes = result["bytes"].as_u64().unwrap_or_default();
            output::print(&format!("{} ({})", out.display(), output::bytes(bytes)));
        }
    }
    Ok(())
}

fn default(format: Format, network: &str) -> PathBuf {
    match format {
        Format::Onnx => format!("{network}.onnx").into(),
        Format::Timm => format!("{network}-timm").into(),
    }
}

/// Writes the file; returns its bytes.
fn write_onnx(
    out: &Path,
    model: &Model<Network>,
    card: &Card,
    batch_norms: BatchNorms,
) -> Result<usize> {
    let metadata = metadata(model, card);
    let options = onnx::ExportOptions { side: card.validation.crop, batch_norms, metadata };
    let bytes = onnx::export(model, options)?;
    durable::write(out, &bytes)?;
    Ok(bytes.len())
}

/// Class names and preprocessing: keys and values of `config.json`, each value as JSON.
fn metadata(model: &Model<Network>, card: &Card) -> Vec<(String, String)> {
    let config = model_folder::config(&model.module, card);
    let entry = |key: &str, value: &Value| (key.to_owned(), value.to_string());
    let mut entries = vec![entry("label_names", &config["label_names"])];
    let preprocessing = &config["pretrained_cfg"];
    entries.extend(PREPROCESSING.iter().map(|key| entry(key, &preprocessing[*key])));
    entries.push(entry("trickbag", &config["trickbag"]));
    entries
}

/// Refuses a place that holds anything but an ONNX file, which is written over.
pub(super) fn check_file(out: &Path) -> Result<(), Usage> {
    let shown = out.display();
    if out.is_dir() || out.file_name().is_none() {
        return Err(Usage(format!(
            "{shown} is a folder, and ONNX is one file: give a file's name with -o, such as net.onnx"
        )));
    }
    place::check_file("-o", out)?;
    // The format's version is an ONNX file's first field, and nothing else begins so.
    let mut first = [0];
    match File::open(out).and_then(|mut file| file.read_exact(&mut first)) {
        Ok(()) if first != [0x08] => Err(Usage(format!(
            "{shown} is there already and is no ONNX file: give another name with -o, or remove it"
        ))),
        _ => Ok(()),
    }
}

fn check_place(format: Format, out: &Path, model: &Path) -> Result<(), Usage> {
    match format {
        Format::Onnx => check_file(out),
        Format::Timm => check_folder(out, model),
    }
}

/// Refuses a place that holds anything but a model folder, whole or as an interrupted export left it, and the model itself.
fn check_folder(out: &Path, model: &Path) -> Result<(), Usage> {
    let shown = out.display();
    let same = |source: &Path| matches!((source.canonicalize(), out.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(&model.join(names::MODEL)) || same(model) && out.join("config.json").is_file() {
        return Err(Usage(format!(
            "{shown} is the model itself, which timm opens as it is: give another folder with -o"
        )));
    }
    if out.exists() && !out.is_dir() {
        return Err(Usage(format!(
            "{shown} is a file, and timm opens a folder: give another name with -o, or remove it"
        )));
    }
    let is_model = out.join("config.json").is_file();
    if is_model || !out.exists() || model_folder::is_only_a_model(out) {
        return place::check_folder("-o", out);
    }
    Err(Usage(format!(
        "{shown} holds other files and no model: give a new or an empty folder with -o"
    )))
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in folder.read_dir()? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

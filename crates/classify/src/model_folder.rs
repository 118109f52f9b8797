//! A model folder: `model.safetensors` and `config.json`, as timm's `local-dir:` reads them, with class names and
//! preprocessing inside.

mod config;
#[cfg(test)]
mod tests;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};

use nn::{Device, Model};
use record::names;
use serde_json::Value;
use train::durable;
use zoo::Network;

use crate::card::Card;
use crate::error::ClassifyError;
pub use config::config;

pub(crate) const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";

/// Writes the folder, making it where needed.
pub fn write(folder: &Path, model: &Model<Network>, card: &Card) -> Result<(), ClassifyError> {
    let make = |cause| durable::WriteError { path: folder.to_owned(), cause };
    fs::create_dir_all(folder).map_err(make)?;
    durable::write(&folder.join(WEIGHTS), &weights::to_bytes(model, card.step))?;
    let config = serde_json::to_string_pretty(&config(&model.module, card));
    let config = config.expect("a config is plain data") + "\n";
    durable::write(&folder.join(CONFIG), config.as_bytes())?;
    Ok(())
}

/// Reads the network's name and the card from a model folder, or from a run folder that holds one.
pub fn read_card(path: &Path) -> Result<(String, Card), ClassifyError> {
    card_in(&locate(path)?)
}

fn card_in(folder: &Path) -> Result<(String, Card), ClassifyError> {
    let file = folder.join(CONFIG);
    let config = read_config(&file)?;
    config::parse(&config).map_err(|problem| ClassifyError::ModelFolder { path: file, problem })
}

/// Opens a model folder, or a run folder that holds one.
pub fn read(path: &Path, device: &Device) -> Result<(Model<Network>, Card), ClassifyError> {
    let folder = locate(path)?;
    let (name, card) = card_in(&folder)?;
    let network = zoo::network(&name, &card.options)?;
    zoo::check_side(&network, card.validation.crop)?;
    let file = folder.join(WEIGHTS);
    let broken = |problem| ClassifyError::ModelFolder { path: file.clone(), problem };
    let tensors = weights::read(&file)?;
    let model =
        Model::from_tensors(network, tensors, device).map_err(|error| broken(error.to_string()))?;
    Ok((model, card))
}

fn locate(path: &Path) -> Result<PathBuf, ClassifyError> {
    let candidates = [path.to_owned(), path.join(names::MODEL)];
    let found = candidates.into_iter().find(|folder| folder.join(CONFIG).is_file());
    found.ok_or_else(|| {
        let problem = if path.join(names::RECIPE).is_file() {
            "this run has no model yet: it is written when the run ends; go on with `trickbag train --resume \
             --out` and this folder"
        } else {
            "no model here; give a run folder, or a folder with config.json and model.safetensors"
        };
        ClassifyError::ModelFolder { path: path.to_owned(), problem: problem.to_owned() }
    })
}

fn read_config(file: &Path) -> Result<Value, ClassifyError> {
    let broken = |problem: String| ClassifyError::ModelFolder { path: file.to_owned(), problem };
    let text =
        fs::read_to_string(file).map_err(|error| broken(format!("cannot be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| broken(format!("not valid JSON: {error}")))
}

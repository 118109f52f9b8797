//! A model folder: `model.safetensors` and `config.json`, as timm's `local-dir:` reads them, with class names and
//! preprocessing inside.

mod checkpoint;
mod config;
mod parse;
mod problem;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use nn::{Device, Mismatch, Model};
use record::names;
use train::durable;
use train::model_file::{self, WEIGHTS};
use zoo::Network;

use crate::card::Card;
use crate::error::ClassifyError;
pub use checkpoint::{BEST, better_than_last};
pub use config::config;
pub use problem::FolderProblem;

const CONFIG: &str = "config.json";

/// The most bytes of a `config.json`: a million classes have room for 60 letters each.
const CONFIG_LIMIT: u64 = 64 << 20;

/// What can be told of a model folder without using it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFacts {
    pub network: String,
    pub parameters: usize,
    /// Whether the tensors have a checksum; those of other programs have none.
    pub has_checksum: bool,
}

/// Writes the folder, making it where needed. The config goes first and comes back last: a folder that was interrupted holds
/// no config of other weights, and is written again by the same command.
pub fn write(folder: &Path, model: &Model<Network>, card: &Card) -> Result<(), ClassifyError> {
    let failed = |path: &Path, cause| durable::WriteError { path: path.to_owned(), cause };
    fs::create_dir_all(folder).map_err(|cause| failed(folder, cause))?;
    let file = folder.join(CONFIG);
    match fs::remove_file(&file) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed(&file, cause))?,
        _ => {}
    }
    durable::write(&folder.join(WEIGHTS), &model_file::to_bytes(model, card.step))?;
    let config = serde_json::to_string_pretty(&config(&model.module, card));
    let config = config.expect("a config is plain data") + "\n";
    durable::write(&file, config.as_bytes())?;
    Ok(())
}

/// Whether a folder holds nothing but what [`write()`] puts there, in part or whole.
pub fn is_only_a_model(folder: &Path) -> bool {
    let ours = |name: &str| {
        [CONFIG, WEIGHTS].iter().any(|own| name == *own || name == format!(".{own}.tmp"))
    };
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries
        .into_iter()
        .all(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(ours)))
}

/// Reads the network's name and the card from a model folder, from a run folder that holds one, from a checkpoint, or from
/// [`BEST`] in a run folder.
pub fn read_card(path: &Path) -> Result<(String, Card), ClassifyError> {
    if let Some(file) = checkpoint::named(path)? {
        return checkpoint::read_card(&file);
    }
    let (network, card) = config_in(&locate(path)?)?;
    Ok((network.name, card))
}

/// Opens what [`read_card`] reads the card of.
pub fn read(path: &Path, device: &Device) -> Result<(Model<Network>, Card), ClassifyError> {
    if let Some(file) = checkpoint::named(path)? {
        return checkpoint::read(&file, device);
    }
    open(path, device).map(|(model, card, _)| (model, card))
}

/// Reads a model folder, or a run folder that holds one, and checks all that can be checked of it.
pub fn verify(path: &Path, device: &Device) -> Result<ModelFacts, ClassifyError> {
    let (model, _, has_checksum) = open(path, device)?;
    let parameters = model.parameters.count();
    Ok(ModelFacts { network: model.module.name, parameters, has_checksum })
}

/// The model, its card, and whether its tensors have a checksum. The header of the weights is compared with the config
/// before memory is asked for.
fn open(path: &Path, device: &Device) -> Result<(Model<Network>, Card, bool), ClassifyError> {
    let folder = locate(path)?;
    let (network, card) = config_in(&folder)?;
    let file = folder.join(WEIGHTS);
    let opened = || -> Result<(Model<Network>, bool), FolderProblem> {
        let archive = model_file::open(&file)?;
        Mismatch::check(&network, &archive.shapes())?;
        let has_checksum = archive.checksum()?.is_some();
        Ok((Model::from_tensors(network, archive.tensors()?, device)?, has_checksum))
    };
    let (model, has_checksum) = match opened() {
        Ok(opened) => opened,
        Err(problem) => return Err(at(file, problem)),
    };
    Ok((model, card, has_checksum))
}

fn config_in(folder: &Path) -> Result<(Network, Card), ClassifyError> {
    let file = folder.join(CONFIG);
    let parsed = read_config(&file).and_then(|text| parse::parse(&text));
    parsed.map_err(|problem| at(file, problem))
}

/// The file of the weights that a path names, if it is there.
pub(crate) fn weights_file(path: &Path) -> Result<Option<PathBuf>, ClassifyError> {
    let candidates = [path.join(WEIGHTS), path.join(names::MODEL).join(WEIGHTS)];
    let of_folder = candidates.into_iter().find(|path| path.is_file());
    Ok(checkpoint::named(path)?.or(of_folder))
}

/// The `config.json` in the folder of a weights file, the network that it names, and what it says; None where there is none,
/// or one of a program other than timm and trickbag.
pub(crate) fn config_beside(
    weights: &Path,
) -> Result<Option<(PathBuf, String, Card)>, ClassifyError> {
    let file = weights.with_file_name(CONFIG);
    if !file.is_file() {
        return Ok(None);
    }
    let parsed = read_config(&file).and_then(|text| {
        let is_timms = parse::is_timms(&text);
        is_timms.then(|| parse::parse(&text)).transpose()
    });
    match parsed {
        Ok(parsed) => Ok(parsed.map(|(network, card)| (file, network.name, card))),
        Err(problem) => Err(at(file, problem)),
    }
}

pub(crate) fn at(path: PathBuf, problem: FolderProblem) -> ClassifyError {
    ClassifyError::ModelFolder { path, problem: Box::new(problem) }
}

fn locate(path: &Path) -> Result<PathBuf, ClassifyError> {
    let candidates = [path.to_owned(), path.join(names::MODEL)];
    let found = candidates.iter().find(|folder| folder.join(CONFIG).exists());
    found.cloned().ok_or_else(|| {
        let problem = match () {
            _ if path.join(names::RECIPE).is_file() => FolderProblem::NotTrained,
            _ if path.join(WEIGHTS).exists() => FolderProblem::Interrupted,
            _ => FolderProblem::NoModel,
        };
        at(path.to_owned(), problem)
    })
}

/// The text of a regular file that is not too large.
fn read_config(file: &Path) -> Result<String, FolderProblem> {
    let found = fs::metadata(file).map_err(FolderProblem::Unreadable)?;
    if !found.is_file() {
        return Err(FolderProblem::NotFile);
    }
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(FolderProblem::Unreadable)?;
    let read = opened.take(CONFIG_LIMIT + 1).read_to_string(&mut text);
    let bytes = found.len().max(text.len() as u64);
    match read {
        _ if bytes > CONFIG_LIMIT => {
            Err(FolderProblem::ConfigTooLarge { bytes, limit: CONFIG_LIMIT })
        }
        Ok(_) => Ok(text),
        Err(error) => Err(FolderProblem::Unreadable(error)),
    }
}

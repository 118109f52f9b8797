//! Reading a weights file of another program as a model and its card.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nn::{Device, FileTensor, FileTensors, Init, Mismatch, Model, Module};
use recipe::{Normalize, Orientation, Validation};
use weights::{Format, Weights, WeightsError};
use zoo::{Network, Options};

use crate::card::{Card, Split, unnamed};
use crate::error::ClassifyError;

/// The file to import, and the network and classes to read it as.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    pub file: &'a Path,
    /// A name that `zoo::names` lists.
    pub network: &'a str,
    /// The number of classes, None for the file's own; another number draws a new classifier.
    pub classes: Option<usize>,
    /// The names of the classes, by index.
    pub class_names: Option<Vec<String>>,
}

/// An imported model, and facts about its file.
#[derive(Debug)]
pub struct Imported {
    pub model: Model<Network>,
    pub card: Card,
    pub format: Format,
    /// The set of tensors that was read, where the file holds several.
    pub section: Option<&'static str>,
    /// The number of classes of the file's classifier, where a new one replaced it.
    pub replaced: Option<usize>,
    /// The number of tensors left out, those of an auxiliary classifier that the network lacks.
    pub left_out: usize,
}

/// The end of the name of a batch norm's counter of training steps.
const COUNTER: &str = "num_batches_tracked";

/// The prefix of the auxiliary classifier in torchvision's Inception-V3, which the authors' network lacks.
const AUXILIARY: &str = "AuxLogits.";

/// What nearly all weights for ImageNet were trained with: mean and deviation in levels of 0..=255, and the side of the
/// crop over the shorter edge.
const IMAGENET: Normalize =
    Normalize { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };
const CROP_SHARE: f64 = 0.875;

/// The seed of a new classifier.
const SEED: u64 = 1;

/// A tensor of the file by our name for it.
struct Named {
    theirs: String,
    shape: Vec<usize>,
}

/// Reads the file as the network.
///
/// # Errors
/// Where the network is unknown, the file cannot be read, or its tensors are not the network's, all of them and no others.
pub fn import(import: &Import<'_>, device: &Device) -> Result<Imported, ClassifyError> {
    let plain = |classes| zoo::network(import.network, &Options::plain(classes));
    // The name may be wrong, so it is looked up before the file is read.
    let any = plain(1)?;
    let broken = |problem: String| ClassifyError::Import { path: import.file.to_owned(), problem };
    let unreadable = |error: WeightsError| broken(error.to_string());
    let bytes =
        fs::read(import.file).map_err(|error| broken(format!("cannot be read: {error}")))?;
    let weights = Weights::read(bytes).map_err(unreadable)?;
    let (mut found, left_out) = found(&weights, &any).map_err(broken)?;

    let classifier = format!("{}.weight", any.classifier.name);
    let theirs = found.get(&classifier).and_then(|named| named.shape.first().copied());
    let replaced = theirs.filter(|&theirs| import.classes.is_some_and(|ours| ours != theirs));
    let classes = import.classes.or(theirs).unwrap_or(1000);
    let network = plain(classes)?;
    if replaced.is_some() || theirs.is_none() && import.classes.is_some() {
        let specs = network.parameters();
        specs
            .iter()
            .filter(|spec| spec.group.is_head())
            .for_each(|spec| drop(found.remove(&spec.name)));
    }
    let rng = |index| data::at(SEED, data::Stream::Init, 0, index as u64);
    let drawn = Model::initialized(network, Init::Xavier, 1.0, device, rng);
    let tensors = tensors(&weights, found, &drawn, import.classes.is_some()).map_err(broken)?;
    let norms = drawn.module.norms();
    let counter = norms.first().map(|norm| format!("{}.{COUNTER}", norm.name));
    let step = counter.and_then(|name| weights.count(&name)).unwrap_or(0);
    let card = card(import, &drawn.module, step).map_err(broken)?;
    let model = Model::from_tensors(drawn.module, tensors, device)
        .map_err(|mismatch| broken(mismatch.list()))?;
    let (format, section) = (weights.format(), weights.section());
    Ok(Imported { model, card, format, section, replaced, left_out })
}

/// The tensors of a file by our names, and how many of an auxiliary classifier are not wanted.
fn found(weights: &Weights, network: &Network) -> Result<(BTreeMap<String, Named>, usize), String> {
    let (mut found, mut left_out) = (BTreeMap::new(), 0);
    for (theirs, shape) in weights.iter().filter(|(name, _)| !name.ends_with(COUNTER)) {
        if network.auxiliary.is_none() && theirs.starts_with(AUXILIARY) {
            left_out += 1;
            continue;
        }
        let name = zoo::own_name(theirs);
        let shape = zoo::own_shape(network, &name, shape);
        let named = Named { theirs: theirs.to_owned(), shape };
        if let Some(other) = found.insert(name.clone(), named) {
            return Err(format!("{} and {theirs} are both {name}", other.theirs));
        }
    }
    Ok((found, left_out))
}

/// The values of all tensors; they are read once all shapes are known to fit.
fn tensors(
    weights: &Weights,
    found: BTreeMap<String, Named>,
    drawn: &Model<Network>,
    new_head: bool,
) -> Result<FileTensors, String> {
    let mut tensors = FileTensors::new();
    let mut shapes: BTreeMap<_, _> =
        found.iter().map(|(name, named)| (name.clone(), named.shape.clone())).collect();
    if new_head {
        let own = drawn.tensors();
        for spec in drawn.module.parameters().iter().filter(|spec| spec.group.is_head()) {
            if !found.contains_key(&spec.name) {
                let tensor = own[&spec.name].clone();
                shapes.insert(spec.name.clone(), tensor.shape.clone());
                tensors.insert(spec.name.clone(), tensor);
            }
        }
    }
    Mismatch::check(&drawn.module, &shapes).map_err(|mismatch| {
        let fitting = zoo::fitting(&shapes);
        let hint = match fitting.as_slice() {
            [] => String::new(),
            names => format!("\n  they are those of {}: give it with --model", names.join(" or ")),
        };
        mismatch.list() + &hint
    })?;
    for (name, Named { theirs, shape }) in found {
        let values = weights.values(&theirs).map_err(|error| error.to_string())?;
        tensors.insert(name, FileTensor { shape, values });
    }
    Ok(tensors)
}

fn card(import: &Import<'_>, network: &Network, step: u64) -> Result<Card, String> {
    let classes = network.classes();
    let names = match &import.class_names {
        None => (0..classes).map(unnamed).collect(),
        Some(names) if names.len() == classes => names.clone(),
        Some(names) => {
            return Err(format!("it has {classes} classes, and {} names are given", names.len()));
        }
    };
    let crop = network.input;
    Ok(Card {
        classes: names,
        validation: Validation { resize: (crop as f64 / CROP_SHARE) as usize, crop },
        normalize: IMAGENET,
        orientation: Orientation::Stored,
        options: Options::plain(classes),
        step,
        split: Split { share: 0.1, seed: SEED, embedded: false },
        recipe: "import".to_owned(),
    })
}

#[cfg(test)]
mod tests;

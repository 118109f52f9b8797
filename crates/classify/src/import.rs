//! Reading a weights file of another program as a model and its card.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nn::{Device, FileTensor, FileTensors, Init, Mismatch, Model, Module, ParameterSpec};
use recipe::{Interpolation, Normalize, Orientation, Validation};
use weights::{Format, Weights, WeightsError};
use zoo::{Network, NetworkError, Options};

use crate::card::{Card, Split, unnamed};
use crate::error::ClassifyError;
use crate::model_folder::{self, FolderProblem};

/// The file to import, and the network and classes to read it as.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    pub file: &'a Path,
    /// A name that `zoo::names` lists; None for the one that the `config.json` beside the file says.
    pub network: Option<&'a str>,
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
    /// The `config.json` beside the file, where the card is made of it.
    pub config: Option<PathBuf>,
    /// The network of a `config.json` beside the file that is of another one, and is not used.
    pub other_config: Option<String>,
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

/// The bytes by which a kind of file is known.
const HEAD: u64 = 64;

/// The seed of a new classifier.
const SEED: u64 = 1;

/// A tensor of the file by our name for it.
struct Named {
    theirs: String,
    shape: Vec<usize>,
}

/// Why a file cannot become a model; [`ClassifyError`] adds its path.
#[derive(Debug, thiserror::Error)]
pub enum ImportProblem {
    #[error("it is no regular file; give the file of the weights itself")]
    NotFile,

    #[error("cannot be read: {0}; check that the file is there and may be read")]
    Unreadable(io::Error),

    #[error(
        "it has {bytes} bytes, and a file of weights at most {FILE_LIMIT}; in PyTorch save the weights alone: \
         torch.save(model.state_dict(), \"weights.pth\")"
    )]
    TooLarge { bytes: u64 },

    #[error(transparent)]
    Weights(#[from] WeightsError),

    /// Of a file that trickbag wrote.
    #[error(transparent)]
    Folder(#[from] FolderProblem),

    #[error(transparent)]
    Network(#[from] NetworkError),

    #[error("{one} and {other} are both {name}; save the tensors of one model alone")]
    Twice { name: String, one: String, other: String },

    #[error("{}{}", mismatch.list(), match fitting.as_slice() {
        [] => "\n  give the network they are of with --model; `trickbag models` lists them".to_owned(),
        names => format!("\n  they are those of {}: give it with --model", names.join(" or ")),
    })]
    Tensors { mismatch: Mismatch, fitting: Vec<String> },

    #[error(
        "it has {classes} classes, and {names} names are given; write one a line into the file of --class-names"
    )]
    ClassNames { classes: usize, names: usize },

    #[error(
        "no config.json of timm lies beside it; give the network with --model; `trickbag models` lists them"
    )]
    NoNetwork,
}

/// The most bytes of a file that is read: more than any network here takes, its optimizer's state and averages included.
const FILE_LIMIT: u64 = 8 << 30;

/// Reads the file as the network.
///
/// # Errors
/// Where the network is unknown, the file cannot be read, or its tensors are not the network's, all of them and no others.
pub fn import(import: &Import<'_>, device: &Device) -> Result<Imported, ClassifyError> {
    let broken = |problem| ClassifyError::Import {
        path: import.file.to_owned(),
        problem: Box::new(problem),
    };
    // The name may be wrong, so it is looked up before the file is read.
    if let Some(name) = import.network {
        zoo::network(name, &Options::plain(1))?;
    }
    let Beside { name, known, other_config } = beside(import)?;
    let name = match name {
        Some(name) => name,
        None if import.file.is_file() => return Err(broken(ImportProblem::NoNetwork)),
        // What is wrong with the file comes first.
        None => return Err(broken(read(import.file).err().unwrap_or(ImportProblem::NoNetwork))),
    };
    let options = known.as_ref().map_or(Options::plain(1), |(_, card)| card.options.clone());
    let plain = |classes| zoo::network(&name, &Options { classes, ..options.clone() });
    let any = plain(1)?;
    let weights = read(import.file).map_err(broken)?;
    let (mut found, left_out) = found(&weights, &any).map_err(broken)?;

    let classifier = format!("{}.weight", any.classifier.name);
    let theirs = found.get(&classifier).and_then(|named| named.shape.first().copied());
    let replaced = theirs.filter(|&theirs| import.classes.is_some_and(|ours| ours != theirs));
    let classes = import.classes.or(theirs).unwrap_or(1000);
    let network = plain(classes).map_err(|error| broken(error.into()))?;
    if replaced.is_some() || theirs.is_none() && import.classes.is_some() {
        let specs = network.parameters();
        specs
            .iter()
            .filter(|spec| spec.group.is_head())
            .for_each(|spec| drop(found.remove(&spec.name)));
    }
    let (config, known) = known.unzip();
    let card = card(import, &network, known, step(&weights, &network)).map_err(broken)?;
    let tensors = tensors(&weights, found, &network, import.classes.is_some(), device);
    let model = tensors.and_then(|tensors| {
        Model::from_tensors(network, tensors, device)
            .map_err(|mismatch| ImportProblem::Tensors { mismatch, fitting: Vec::new() })
    });
    let (format, section) = (weights.format(), weights.section());
    let model = model.map_err(broken)?;
    Ok(Imported { model, card, config, other_config, format, section, replaced, left_out })
}

/// What is known of a file without reading it.
struct Beside {
    /// The network's name, as it was given or as the config says.
    name: Option<String>,
    /// The config of this network, and what it says.
    known: Option<(PathBuf, Card)>,
    /// The network of a config that is of another one.
    other_config: Option<String>,
}

fn beside(import: &Import<'_>) -> Result<Beside, ClassifyError> {
    let given = import.network.map(str::to_owned);
    Ok(match model_folder::config_beside(import.file)? {
        None => Beside { name: given, known: None, other_config: None },
        Some((_, name, _)) if given.as_ref().is_some_and(|given| *given != name) => {
            Beside { name: given, known: None, other_config: Some(name) }
        }
        Some((path, name, card)) => {
            Beside { name: Some(name), known: Some((path, card)), other_config: None }
        }
    })
}

/// The tensors of a regular file that begins as one of weights.
fn read(file: &Path) -> Result<Weights, ImportProblem> {
    let known = fs::metadata(file).map_err(ImportProblem::Unreadable)?;
    if !known.is_file() {
        return Err(ImportProblem::NotFile);
    }
    let bytes = known.len();
    let mut opened = fs::File::open(file).map_err(ImportProblem::Unreadable)?;
    let mut head = Vec::new();
    opened.by_ref().take(HEAD).read_to_end(&mut head).map_err(ImportProblem::Unreadable)?;
    // Of another kind of file nothing more is read.
    if bytes > HEAD
        && Weights::read(head.clone()).is_err_and(|error| error == WeightsError::Unknown)
    {
        return Err(WeightsError::Unknown.into());
    }
    if bytes > FILE_LIMIT {
        return Err(ImportProblem::TooLarge { bytes });
    }
    head.reserve(bytes.saturating_sub(HEAD) as usize);
    opened.take(FILE_LIMIT).read_to_end(&mut head).map_err(ImportProblem::Unreadable)?;
    model_folder::check_bytes(&head)?;
    Ok(Weights::read(head)?)
}

/// How many steps the model was trained for, as its batch norms have counted.
fn step(weights: &Weights, network: &Network) -> u64 {
    let norms = network.norms();
    let counter = norms.first().map(|norm| format!("{}.{COUNTER}", norm.name));
    counter.and_then(|name| weights.count(&name)).unwrap_or(0)
}

/// The tensors of a file by our names, and how many of an auxiliary classifier are not wanted.
fn found(
    weights: &Weights,
    network: &Network,
) -> Result<(BTreeMap<String, Named>, usize), ImportProblem> {
    let (mut found, mut left_out) = (BTreeMap::new(), 0);
    for (theirs, shape) in weights.iter().filter(|(name, _)| !name.ends_with(COUNTER)) {
        if network.auxiliary.is_none() && theirs.starts_with(AUXILIARY) {
            left_out += 1;
            continue;
        }
        let name = zoo::own_name(theirs);
        let shape = zoo::own_shape(network, &name, shape);
        let named = Named { theirs: theirs.to_owned(), shape };
        if let Some(before) = found.insert(name.clone(), named) {
            let (one, other) = (before.theirs, theirs.to_owned());
            return Err(ImportProblem::Twice { name, one, other });
        }
    }
    Ok((found, left_out))
}

/// The values of all tensors; they are read once all shapes are known to fit.
/// With `new_head`, the tensors of a classifier that the file does not have are drawn.
fn tensors(
    weights: &Weights,
    found: BTreeMap<String, Named>,
    network: &Network,
    new_head: bool,
    device: &Device,
) -> Result<FileTensors, ImportProblem> {
    let mut shapes: BTreeMap<_, _> =
        found.iter().map(|(name, named)| (name.clone(), named.shape.clone())).collect();
    let specs = network.parameters().into_iter();
    let missing: Vec<ParameterSpec> = specs
        .filter(|spec| new_head && spec.group.is_head() && !found.contains_key(&spec.name))
        .collect();
    shapes.extend(missing.iter().map(|spec| (spec.name.clone(), nn::file_shape(spec))));
    if let Err(mismatch) = Mismatch::check(network, &shapes) {
        return Err(ImportProblem::Tensors { mismatch, fitting: zoo::fitting(&shapes) });
    }
    let mut tensors = FileTensors::new();
    if !missing.is_empty() {
        let rng = |index| data::at(SEED, data::Stream::Init, 0, index as u64);
        let drawn = Model::initialized(network.clone(), Init::Xavier, 1.0, device, rng);
        let mut drawn = drawn.tensors();
        let head = missing.iter().map(|ParameterSpec { name, .. }| name.clone());
        tensors.extend(head.filter_map(|name| drawn.remove_entry(&name)));
    }
    for (name, Named { theirs, shape }) in found {
        let values = weights.values(&theirs)?;
        tensors.insert(name, FileTensor { shape, values });
    }
    Ok(tensors)
}

/// The card of the imported model: what the config says, else what nearly all weights for ImageNet were trained with.
fn card(
    import: &Import<'_>,
    network: &Network,
    known: Option<Card>,
    step: u64,
) -> Result<Card, ImportProblem> {
    let classes = network.classes();
    let names = match &import.class_names {
        None => match &known {
            Some(card) if card.classes.len() == classes => card.classes.clone(),
            _ => (0..classes).map(unnamed).collect(),
        },
        Some(names) if names.len() == classes => names.clone(),
        Some(names) => {
            return Err(ImportProblem::ClassNames { classes, names: names.len() });
        }
    };
    let recipe = "import".to_owned();
    if let Some(card) = known {
        let options = Options { classes, ..card.options };
        return Ok(Card { classes: names, options, step, recipe, ..card });
    }
    let crop = network.input;
    Ok(Card {
        classes: names,
        validation: Validation { resize: (crop as f64 / CROP_SHARE) as usize, crop },
        normalize: IMAGENET,
        interpolation: Interpolation::Bilinear,
        orientation: Orientation::Stored,
        options: Options::plain(classes),
        step,
        split: Split { share: 0.1, seed: SEED, embedded: false },
        recipe,
    })
}

#[cfg(test)]
mod tests;

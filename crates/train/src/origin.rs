//! Fine-tuning: the first weights of a run, drawn by its recipe or taken from a trained model.

use std::path::Path;

use nn::{Device, Init};
use recipe::{FineTuning, Mistake, Recipe};
use zoo::{Model, Network, Options, StemSize};

use crate::error::TrainError;
use crate::model_folder::{self, Card};
use crate::plan::Plan;

/// §2.1 initialize(net).
pub fn drawn(recipe: &Recipe, network: Network, device: &Device) -> Model {
    let init = match recipe.network.init {
        recipe::Init::Xavier => Init::Xavier,
        recipe::Init::XavierChannels => Init::XavierChannels,
        recipe::Init::MsraPrelu => Init::MsraPrelu,
    };
    let rng = |index| data::at(recipe.seed, data::Stream::Init, 0, index as u64);
    Model::initialized(network, init, recipe.network.last_gamma, device, rng)
}

/// The model a run begins with, and what there is to say of it.
pub(crate) fn first(plan: &Plan, device: &Device) -> Result<(Model, Vec<String>), TrainError> {
    let model = drawn(&plan.recipe, plan.network.clone(), device);
    let Some(FineTuning { from, .. }) = &plan.recipe.init else { return Ok((model, Vec::new())) };
    let (source, card) = model_folder::read(Path::new(from), device)?;
    let keeps_head = card.difference(&plan.dataset.classes).is_none();
    let notes = notes(plan, from, &card, keeps_head);
    Ok((with_body_of(model, &source, keeps_head), notes))
}

/// The tensors of `source`, but for a classifier that is another's.
///
/// # Panics
/// Where they are not those of the model.
pub fn with_body_of(model: Model, source: &Model, keeps_head: bool) -> Model {
    let mut tensors = source.tensors();
    if !keeps_head {
        let own = model.tensors();
        for parameter in model.parameters.iter().filter(|parameter| parameter.spec.in_head) {
            let name = &parameter.spec.name;
            tensors.insert(name.clone(), own[name].clone());
        }
    }
    Model::from_tensors(model.network, tensors, &model.device).expect("the same network")
}

fn notes(plan: &Plan, from: &str, card: &Card, keeps_head: bool) -> Vec<String> {
    let (theirs, ours) = (card.classes.len(), plan.dataset.classes.len());
    let head = match keeps_head {
        true => format!("its classifier of {ours} classes stays"),
        false => {
            format!("a new classifier for {ours} classes takes the place of its own for {theirs}")
        }
    };
    let mut notes = vec![format!("starts from {from}: {head}")];
    let (theirs, ours) = (card.normalize, plan.recipe.preprocess.normalize);
    if !theirs.is_near(ours) {
        notes.push(format!(
            "note: that model is used to another normalization; preprocess.normalize of mean {:?}, std {:?} is its",
            theirs.mean, theirs.std
        ));
    }
    notes
}

/// Why the model of a recipe's `[init]` cannot be where this network begins.
pub(crate) fn check(recipe: &Recipe, network: &Network) -> Vec<Mistake> {
    let Some(FineTuning { from, .. }) = &recipe.init else { return Vec::new() };
    let mistake = |message, mend| vec![Mistake::with_data(recipe, "init.from", message, mend)];
    let (name, card) = match model_folder::read_card(Path::new(from)) {
        Ok(known) => known,
        Err(error) => return mistake(error.to_string(), ""),
    };
    if name != network.name {
        let message = format!("{from} is a {name}, and the recipe trains a {}", network.name);
        return mistake(message, "set network.model to its");
    }
    let Options { stem, shape, .. } = crate::plan::options(recipe, network.classes());
    if card.options.stem != stem {
        let word = if card.options.stem == StemSize::Small { "small" } else { "imagenet" };
        let message = format!("the {name} in {from} has another stem, \"{word}\"");
        return mistake(message, "set network.stem to its");
    }
    if card.options.shape != shape {
        let theirs = match card.options.shape {
            None => format!("{name}'s own"),
            Some(shape) => format!(
                "blocks = {:?}, channels = {:?}, stem_channels = {}",
                shape.blocks, shape.channels, shape.stem_channels
            ),
        };
        let message = format!("the {name} in {from} has another shape, {theirs}");
        return mistake(message, "set network.shape to its");
    }
    Vec::new()
}

/// The network, frozen as the recipe wants it, or why it cannot be.
pub(crate) fn frozen(recipe: &Recipe, network: &Network) -> Result<Network, Mistake> {
    let freeze = recipe.init.as_ref().and_then(|init| init.freeze.as_ref());
    let Some(feature) = freeze else { return Ok(network.clone()) };
    match network.clone().frozen_up_to(feature) {
        Some(frozen) => Ok(frozen),
        None => {
            let features = network.features();
            let known: Vec<&str> = features.iter().map(|known| known.name.as_str()).collect();
            let message = format!("{} has no feature '{feature}'", network.name);
            let mend = format!("it has {}", known.join(", "));
            Err(Mistake::with_data(recipe, "init.freeze", message, &mend))
        }
    }
}

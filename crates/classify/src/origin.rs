//! Fine-tuning: the first weights of a run, drawn by its recipe or taken from a trained model.

use std::path::Path;

use nn::{Device, Model};
use recipe::{FineTuning, Mistake, Recipe, RecipeErrors};
use zoo::{Network, Options, StemSize};

use crate::card::Card;
use crate::error::ClassifyError;
use crate::{model_folder, network};

/// The network with freshly drawn parameters: initialize(net) of §2.1.
pub fn drawn(recipe: &Recipe, network: Network, device: &Device) -> Model<Network> {
    let rng = |index| data::at(recipe.seed, data::Stream::Init, 0, index as u64);
    Model::initialized(network, recipe.network.init, recipe.network.last_gamma, device, rng)
}

/// The model that a run begins with, and remarks on it.
pub(crate) fn first(
    recipe: &Recipe,
    network: &Network,
    classes: &[String],
    device: &Device,
) -> Result<(Model<Network>, Vec<String>), ClassifyError> {
    let model = drawn(recipe, network.clone(), device);
    let Some(FineTuning { from, .. }) = &recipe.init else { return Ok((model, Vec::new())) };
    // A run that was stopped before its first checkpoint begins again, perhaps from another model in the same place.
    let mistakes = check(recipe, network);
    if !mistakes.is_empty() {
        return Err(RecipeErrors::new(mistakes).into());
    }
    let (source, card) = model_folder::read(Path::new(from), device)?;
    let keeps_head = card.difference(classes).is_none();
    let notes = notes(recipe, classes.len(), from, &card, keeps_head);
    Ok((with_body_of(model, &source, keeps_head), notes))
}

/// The model with the tensors of `source`; its own classifier stays unless `keeps_head`.
///
/// # Panics
/// Where the tensors of `source` do not fit the model.
fn with_body_of(
    model: Model<Network>,
    source: &Model<Network>,
    keeps_head: bool,
) -> Model<Network> {
    let mut tensors = source.tensors();
    if !keeps_head {
        let own = model.tensors();
        for parameter in model.parameters.iter().filter(|parameter| parameter.spec.group.is_head())
        {
            let name = &parameter.spec.name;
            tensors.insert(name.clone(), own[name].clone());
        }
    }
    Model::from_tensors(model.module, tensors, &model.device).expect("the same network")
}

fn notes(
    recipe: &Recipe,
    classes: usize,
    from: &str,
    card: &Card,
    keeps_head: bool,
) -> Vec<String> {
    let (theirs, ours) = (card.classes.len(), classes);
    let head = match keeps_head {
        true => format!("its classifier of {ours} classes stays"),
        false => {
            format!("a new classifier for {ours} classes takes the place of its own for {theirs}")
        }
    };
    let mut notes = vec![format!("starts from {from}: {head}")];
    let (theirs, ours) = (card.normalize, recipe.preprocess.normalize);
    if !theirs.is_near(ours) {
        notes.push(format!(
            "note: that model was trained with another normalization; its preprocess.normalize is mean {:?}, std {:?}",
            theirs.mean, theirs.std
        ));
    }
    notes
}

/// The mistakes in a recipe's `[init]`: reasons why this network cannot start from that model.
pub(crate) fn check(recipe: &Recipe, planned: &Network) -> Vec<Mistake> {
    let Some(FineTuning { from, .. }) = &recipe.init else { return Vec::new() };
    let mistake = |message, mend| vec![Mistake::with_data(recipe, "init.from", message, mend)];
    let (name, card) = match model_folder::read_card(Path::new(from)) {
        Ok(known) => known,
        Err(error) => return mistake(error.to_string(), ""),
    };
    if name != planned.name {
        let message = format!("{from} is a {name}, and the recipe trains a {}", planned.name);
        return mistake(message, "set network.model to the same");
    }
    let Options { stem, shape, .. } = network::options(recipe, planned.classes());
    if card.options.stem != stem {
        let word = if card.options.stem == StemSize::Small { "small" } else { "imagenet" };
        let message = format!("the {name} in {from} has another stem, \"{word}\"");
        return mistake(message, "set network.stem to the same");
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
        return mistake(message, "set network.shape to the same");
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

//! A checkpoint of a run as a model: any one by its path, or the best one by its run's.

use std::path::{Path, PathBuf};

use nn::{Device, Model};
use recipe::{Recipe, TaskKind};
use record::{Best, names};
use train::checkpoint::{self, CheckpointError};
use train::{State, TrainError};
use zoo::Network;

use super::{FolderProblem, at};
use crate::card::Card;
use crate::error::ClassifyError;
use crate::{network, origin};

/// The name that stands for a run's best checkpoint where a path names a model: `runs/flowers/best`.
pub const BEST: &str = "best";

/// The file of the checkpoint that a path names; None where it names none.
pub(super) fn named(path: &Path) -> Result<Option<PathBuf>, ClassifyError> {
    if path.is_file() {
        return Ok(Some(path.to_owned()));
    }
    let run = path.parent().filter(|_| path.ends_with(BEST) && !path.exists());
    match run.filter(|run| run.join(names::RECIPE).is_file()) {
        Some(run) => best_of(run).map(Some),
        None => Ok(None),
    }
}

/// The checkpoint of a run's best evaluation.
fn best_of(run: &Path) -> Result<PathBuf, ClassifyError> {
    let checkpoints = checkpoint::list(&run.join(names::CHECKPOINTS));
    let no_best = || at(run.to_owned(), FolderProblem::NoBest);
    let (_, newest) = checkpoints.last().ok_or_else(no_best)?;
    let (_, facts) = checkpoint::facts(newest).map_err(failed)?;
    let best = facts.best.ok_or_else(no_best)?;
    let found = checkpoints.iter().find(|(step, _)| *step == best.step);
    found.map(|(_, file)| file.clone()).ok_or_else(no_best)
}

/// The best evaluation of the run in this folder, where its model is of a later step. Where that cannot be told, there is
/// nothing to say.
pub fn better_than_last(run: &Path) -> Option<Best> {
    if !run.join(names::RECIPE).is_file() {
        return None;
    }
    let checkpoints = checkpoint::list(&run.join(names::CHECKPOINTS));
    let (_, facts) = checkpoint::facts(&checkpoints.last()?.1).ok()?;
    let (_, card) = super::read_card(run).ok()?;
    facts.best.filter(|best| best.step < card.step)
}

/// The network's name and the card of the model in a checkpoint.
pub(super) fn read_card(file: &Path) -> Result<(String, Card), ClassifyError> {
    let (step, facts) = checkpoint::facts(file).map_err(failed)?;
    let recipe = recipe_of(&facts.recipe, file)?;
    let card = Card::of_run(&recipe, &facts.classes, step);
    Ok((recipe.network.model, card))
}

/// The model that was evaluated at a checkpoint's step.
pub(super) fn read(file: &Path, device: &Device) -> Result<(Model<Network>, Card), ClassifyError> {
    let checkpoint = checkpoint::load(file).map_err(failed)?;
    let recipe = recipe_of(&checkpoint.facts.recipe, file)?;
    let card = Card::of_run(&recipe, &checkpoint.facts.classes, checkpoint.step);
    let network = network::of(&recipe, card.classes.len())?;
    // What was frozen has no optimizer state in the file.
    let network = origin::frozen(&recipe, &network)
        .map_err(|mistake| recipe::RecipeErrors::new(vec![mistake]))?;
    let state = State::restored(&recipe, network, checkpoint, device)?;
    Ok((state.into_evaluated(), card))
}

fn recipe_of(text: &str, file: &Path) -> Result<Recipe, ClassifyError> {
    let recipe = recipe::parse(text, &file.display().to_string(), &zoo::names())?;
    match recipe.task() {
        TaskKind::Classification => Ok(recipe),
        other => Err(at(file.to_owned(), FolderProblem::OtherTask { task: other.name() })),
    }
}

fn failed(error: CheckpointError) -> ClassifyError {
    TrainError::from(error).into()
}

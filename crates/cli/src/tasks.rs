//! The tasks behind the verbs: the only place of the program that tells them apart.

use std::path::Path;

use anyhow::Result;
use recipe::TaskKind;

use crate::args::{Eval, Export, Models, Predict, Train};
use crate::output::Usage;
use crate::verbs;
use crate::verbs::train::Resolved;

/// The task that a run folder or a model folder was trained for.
fn of_model(path: &Path) -> TaskKind {
    match detect::model_folder::is_detector(path) {
        true => TaskKind::Detection,
        false => TaskKind::Classification,
    }
}

pub(crate) fn train(args: &Train, resolved: Resolved) -> Result<()> {
    match resolved.recipe.task() {
        TaskKind::Classification => verbs::train::classification::run(args, resolved),
        TaskKind::Detection => verbs::train::detection::run(args, resolved),
        TaskKind::Segmentation => Err(missing("train", TaskKind::Segmentation)),
    }
}

pub(crate) fn eval(args: &Eval) -> Result<()> {
    match of_model(&args.model) {
        TaskKind::Classification => verbs::eval::run(args),
        TaskKind::Detection => verbs::detection::eval(args),
        TaskKind::Segmentation => Err(missing("eval", TaskKind::Segmentation)),
    }
}

pub(crate) fn predict(args: &Predict) -> Result<()> {
    match of_model(&args.model) {
        TaskKind::Classification if args.draw.is_some() => {
            let text = "--draw is of detectors, and this model is a classifier; leave it out";
            Err(Usage(text.to_owned()).into())
        }
        TaskKind::Classification => verbs::predict::run(args),
        TaskKind::Detection => verbs::detection::predict(args),
        TaskKind::Segmentation => Err(missing("predict", TaskKind::Segmentation)),
    }
}

pub(crate) fn export(args: &Export) -> Result<()> {
    match of_model(&args.model) {
        TaskKind::Classification => verbs::export::run(args),
        task => Err(missing("export", task)),
    }
}

pub(crate) fn models(args: &Models) -> Result<()> {
    match args.name.as_deref().and_then(|name| name.strip_prefix(detect::PREFIX)) {
        Some(network) => verbs::detection::model(args, network),
        None => verbs::models::run(args),
    }
}

fn missing(verb: &str, task: TaskKind) -> anyhow::Error {
    Usage(format!("{verb} does not work for {} yet", task.name())).into()
}

//! The tasks behind the verbs: the only place of the program that tells them apart.

use std::path::Path;

use anyhow::Result;
use nn::Module;
use recipe::TaskKind;
use world::World;

use crate::args::{Eval, Export, Models, Predict};
use crate::output::{self, Usage};
use crate::verbs;
use crate::verbs::train::{Command, Resolved};

/// The task that a run folder or a model folder was trained for.
fn of_model(path: &Path) -> TaskKind {
    match () {
        () if detect::model_folder::is_detector(path) => TaskKind::Detection,
        () if segment::model_folder::is_segmenter(path) => TaskKind::Segmentation,
        () => TaskKind::Classification,
    }
}

/// What a sound model folder of another task than classification holds, or what is wrong with it; None for a classifier's.
pub(crate) fn described_model(folder: &Path) -> Option<Result<String, String>> {
    let said = |name: &str, parameters: usize| {
        format!("{name} with {} parameters; whole", output::grouped(parameters as u64))
    };
    let device = nn::cpu();
    match of_model(folder) {
        TaskKind::Classification => None,
        TaskKind::Detection => Some(match detect::model_folder::read(folder, &device) {
            Ok((model, _)) => Ok(said(model.module.name(), model.parameters.count())),
            Err(error) => Err(error.to_string()),
        }),
        TaskKind::Segmentation => Some(match segment::model_folder::read(folder, &device) {
            Ok((model, _)) => Ok(said(model.module.name(), model.parameters.count())),
            Err(error) => Err(error.to_string()),
        }),
    }
}

pub(crate) fn train(command: &Command, resolved: Resolved, world: &mut World) -> Result<()> {
    match resolved.recipe.task() {
        TaskKind::Classification => verbs::train::classification::run(command, resolved, world),
        TaskKind::Detection => verbs::train::detection::run(command, resolved, world),
        TaskKind::Segmentation => verbs::train::segmentation::run(command, resolved, world),
    }
}

pub(crate) fn eval(args: &Eval) -> Result<()> {
    match of_model(&args.model) {
        TaskKind::Classification => verbs::eval::run(args),
        TaskKind::Detection => verbs::detection::eval(args),
        TaskKind::Segmentation => verbs::segmentation::eval(args),
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
        TaskKind::Segmentation => verbs::segmentation::predict(args),
    }
}

pub(crate) fn export(args: &Export) -> Result<()> {
    match of_model(&args.model) {
        TaskKind::Classification => verbs::export::run(args),
        TaskKind::Segmentation => verbs::segmentation::export(args),
        task => Err(missing("export", task)),
    }
}

pub(crate) fn models(args: &Models) -> Result<()> {
    let name = args.name.as_deref().unwrap_or_default();
    match (name.strip_prefix(detect::PREFIX), name.strip_prefix(segment::PREFIX)) {
        (Some(network), _) => verbs::detection::model(args, network),
        (_, Some(network)) => verbs::segmentation::model(args, network),
        (None, None) => verbs::models::run(args),
    }
}

fn missing(verb: &str, task: TaskKind) -> anyhow::Error {
    Usage(format!("{verb} does not work for {} yet", task.name())).into()
}

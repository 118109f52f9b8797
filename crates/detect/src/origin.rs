//! The first weights of a detector: drawn by its recipe, or taken from a trained network or detector.

use std::path::Path;

use data::random::{Stream, normal};
use nn::{Device, FileTensors, Mismatch, Model, Module};
use recipe::{FineTuning, Mistake, Recipe};
use train::model_file::{self, WEIGHTS};

use crate::error::{DetectError, DetectorProblem};
use crate::model_folder;
use crate::network::Detector;

/// The detector with freshly drawn parameters. Heads are normal: 0.01 wide, and 0.001 where they move boxes.
pub fn drawn_detector(recipe: &Recipe, detector: Detector, device: &Device) -> Model<Detector> {
    let rng = |index: usize| data::at(recipe.seed, Stream::Init, 0, index as u64);
    let (init, gamma) = (recipe.network.init, recipe.network.last_gamma);
    let model = Model::initialized(detector, init, gamma, device, rng);
    let mut tensors = model.tensors();
    for (index, spec) in model.module.parameters().into_iter().enumerate() {
        let (Some(deviation), Some(tensor)) =
            (Detector::deviation(&spec.name), tensors.get_mut(&spec.name))
        else {
            continue;
        };
        let mut rng = rng(index);
        tensor.values.iter_mut().for_each(|value| *value = (deviation * normal(&mut rng)) as f32);
    }
    Model::from_tensors(model.module, tensors, device).expect("a model's own tensors fit it")
}

/// The model that a run begins with, and remarks on it.
pub(crate) fn first(
    recipe: &Recipe,
    detector: &Detector,
    classes: &[String],
    device: &Device,
) -> Result<(Model<Detector>, Vec<String>), DetectError> {
    let model = drawn_detector(recipe, detector.clone(), device);
    let Some(FineTuning { from, .. }) = &recipe.init else { return Ok((model, Vec::new())) };
    let theirs = Origin::read(Path::new(from))?;
    let keeps = theirs.classes == classes;
    let (mut tensors, mut taken) = (model.tensors(), 0);
    for (name, tensor) in &mut tensors {
        if Detector::is_of_classes(name) && !keeps {
            continue;
        }
        if let Some(found) = theirs.tensors.get(name).filter(|found| found.shape == tensor.shape) {
            tensor.clone_from(found);
            taken += 1;
        }
    }
    let count = tensors.len();
    let model = Model::from_tensors(model.module, tensors, device).expect("the same shapes");
    let notes = vec![format!("starts from {from}: {taken} of {count} tensors are its own")];
    Ok((model, notes))
}

/// The mistakes in a recipe's `[init]`: reasons why this detector cannot start from that model.
pub(crate) fn check(recipe: &Recipe, detector: &Detector) -> Vec<Mistake> {
    let Some(FineTuning { from, .. }) = &recipe.init else { return Vec::new() };
    let mistake =
        |message, mend: &str| vec![Mistake::with_data(recipe, "init.from", message, mend)];
    let theirs = match Origin::read(Path::new(from)) {
        Ok(theirs) => theirs,
        Err(error) => return mistake(error.to_string(), ""),
    };
    // A classifier lacks the heads; whatever else it lacks, it is another network.
    let own = nn::file_shapes(detector);
    let heads: Vec<String> = detector
        .parameters()
        .into_iter()
        .filter(|spec| spec.group.is_head())
        .map(|spec| spec.name)
        .collect();
    let mut mismatch = Mismatch { module: detector.name().to_owned(), ..Mismatch::default() };
    for (name, shape) in own.into_iter().filter(|(name, _)| !heads.contains(name)) {
        match theirs.tensors.get(&name) {
            None => mismatch.missing.push(name),
            Some(found) if found.shape != shape => {
                mismatch.misshaped.push((name, found.shape.clone(), shape));
            }
            Some(_) => {}
        }
    }
    if mismatch.missing.is_empty() && mismatch.misshaped.is_empty() {
        return Vec::new();
    }
    let message = format!("{from} holds another network: {mismatch}");
    mistake(
        message,
        "set network.model, network.stem and network.shape to those it was trained with",
    )
}

/// A trained network or detector.
struct Origin {
    tensors: FileTensors,
    /// Empty where its folder does not say them.
    classes: Vec<String>,
}

impl Origin {
    fn read(path: &Path) -> Result<Origin, DetectError> {
        let folder = model_folder::locate(path)?;
        let file = folder.join(WEIGHTS);
        let tensors = model_file::open(&file).and_then(|opened| opened.tensors());
        let failed =
            |problem: DetectorProblem| DetectError::ModelFolder { path: file.clone(), problem };
        let tensors = tensors.map_err(|error| failed(error.into()))?;
        let classes = model_folder::classes_of(&folder)?;
        Ok(Origin { tensors, classes })
    }
}

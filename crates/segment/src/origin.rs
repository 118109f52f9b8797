//! The first weights of a segmenter: drawn by its recipe, or taken from a trained classifier or segmenter.

use std::path::Path;

use data::random::Stream;
use nn::{Device, FileTensor, FileTensors, Mismatch, Model, Module};
use recipe::{FineTuning, Mistake, Recipe};
use train::model_file::{self, WEIGHTS};

use crate::error::{SegmentError, SegmenterProblem};
use crate::model_folder;
use crate::network::{BACKBONE, Segmenter};

/// The segmenter with freshly drawn parameters.
pub fn drawn_segmenter(recipe: &Recipe, segmenter: Segmenter, device: &Device) -> Model<Segmenter> {
    let rng = |index: usize| data::at(recipe.seed, Stream::Init, 0, index as u64);
    let (init, gamma) = (recipe.network.init, recipe.network.last_gamma);
    Model::initialized(segmenter, init, gamma, device, rng)
}

/// The model that a run begins with, and remarks on it.
pub(crate) fn first(
    recipe: &Recipe,
    segmenter: &Segmenter,
    classes: &[String],
    device: &Device,
) -> Result<(Model<Segmenter>, Vec<String>), SegmentError> {
    let model = drawn_segmenter(recipe, segmenter.clone(), device);
    let Some(FineTuning { from, .. }) = &recipe.init else { return Ok((model, Vec::new())) };
    let theirs = Origin::read(Path::new(from))?;
    let keeps = theirs.classes == classes;
    let (mut tensors, mut taken) = (model.tensors(), 0);
    for (name, tensor) in &mut tensors {
        if Segmenter::is_of_classes(name) && !keeps {
            continue;
        }
        if let Some(found) = theirs.tensor(name).filter(|found| found.shape == tensor.shape) {
            tensor.clone_from(found);
            taken += 1;
        }
    }
    let count = tensors.len();
    let model = Model::from_tensors(model.module, tensors, device).expect("the same shapes");
    Ok((model, vec![format!("starts from {from}: {taken} of {count} tensors are its own")]))
}

/// The mistakes in a recipe's `[init]`: reasons why this segmenter cannot start from that model.
pub(crate) fn check(recipe: &Recipe, segmenter: &Segmenter) -> Vec<Mistake> {
    let Some(FineTuning { from, .. }) = &recipe.init else { return Vec::new() };
    let mistake =
        |message, mend: &str| vec![Mistake::with_data(recipe, "init.from", message, mend)];
    let theirs = match Origin::read(Path::new(from)) {
        Ok(theirs) => theirs,
        Err(error) => return mistake(error.to_string(), ""),
    };
    // A classifier lacks the heads; if it lacks anything else, it is another network.
    let mut mismatch = Mismatch { module: segmenter.name().to_owned(), ..Mismatch::default() };
    let own = nn::file_shapes(segmenter).into_iter();
    for (name, shape) in own.filter(|(name, _)| name.starts_with(BACKBONE)) {
        match theirs.tensor(&name) {
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
    let mend = "set network.model, network.stem and network.shape to those it was trained with";
    mistake(message, mend)
}

/// A trained classifier or segmenter.
struct Origin {
    tensors: FileTensors,
    /// Empty where its folder does not say them.
    classes: Vec<String>,
}

impl Origin {
    fn read(path: &Path) -> Result<Origin, SegmentError> {
        let folder = model_folder::locate(path)?;
        let file = folder.join(WEIGHTS);
        let tensors = model_file::open(&file).and_then(|opened| opened.tensors());
        let failed =
            |problem: SegmenterProblem| SegmentError::ModelFolder { path: file.clone(), problem };
        let tensors = tensors.map_err(|error| failed(error.into()))?;
        let classes = model_folder::classes_of(&folder)?;
        Ok(Origin { tensors, classes })
    }

    /// The tensor of a segmenter's name; a classifier's lack the prefix.
    fn tensor(&self, name: &str) -> Option<&FileTensor> {
        let plain = || self.tensors.get(name.strip_prefix(BACKBONE)?);
        self.tensors.get(name).or_else(plain)
    }
}

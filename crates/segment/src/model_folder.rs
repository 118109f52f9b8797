//! The folder of a trained segmenter: `model.safetensors`, and `config.json` with the classes and the recipe.

use std::fs;
use std::path::{Path, PathBuf};

use nn::{Device, Model};
use recipe::Recipe;
use record::names;
use serde::{Deserialize, Serialize};
use train::durable::{self, WriteError};
use train::model_file::{self, WEIGHTS};

use crate::error::{SegmentError, SegmenterProblem};
use crate::network::Segmenter;
use crate::plan;

const CONFIG: &str = "config.json";
/// The value of the key that tells a segmenter's config from a classifier's.
const TASK: &str = "segmentation";

/// The facts about a segmenter that its folder holds beside the tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmenterCard {
    /// The name of each class, by its index.
    pub classes: Vec<String>,
    /// The recipe that trained it: network, preprocessing, evaluation and all else.
    pub recipe: Recipe,
    /// Steps that it was trained for.
    pub step: u64,
    /// Whether masks of its data have k + 1 for class k, and 0 for what is ignored.
    pub behind_zero: bool,
}

/// `config.json`.
#[derive(Serialize, Deserialize)]
struct Config {
    architecture: String,
    task: String,
    label_names: Vec<String>,
    /// TOML.
    recipe: String,
    step: u64,
    /// Whether masks have k + 1 for class k.
    masks_from_one: bool,
}

/// The classes that any model folder of this program or of timm names.
#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    label_names: Option<Vec<String>>,
}

/// Writes the folder, making it where needed. The config comes last: a folder that was interrupted holds none.
pub fn write(
    folder: &Path,
    model: &Model<Segmenter>,
    card: &SegmenterCard,
) -> Result<(), SegmentError> {
    let file = folder.join(CONFIG);
    fs::create_dir_all(folder).map_err(|cause| WriteError::new(folder, cause))?;
    match fs::remove_file(&file) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            return Err(WriteError::new(&file, cause).into());
        }
        _ => {}
    }
    durable::write(&folder.join(WEIGHTS), &model_file::to_bytes(model, card.step))?;
    let config = Config {
        architecture: nn::Module::name(&model.module).to_owned(),
        task: TASK.to_owned(),
        label_names: card.classes.clone(),
        recipe: recipe::to_toml(&card.recipe),
        step: card.step,
        masks_from_one: card.behind_zero,
    };
    let text = serde_json::to_string_pretty(&config).expect("a config is plain data") + "\n";
    durable::write(&file, text.as_bytes())?;
    Ok(())
}

/// Whether a run or model folder holds a segmenter.
pub fn is_segmenter(path: &Path) -> bool {
    let Ok(folder) = locate(path) else { return false };
    #[derive(Deserialize)]
    struct Task {
        #[serde(default)]
        task: String,
    }
    let text = fs::read_to_string(folder.join(CONFIG)).unwrap_or_default();
    serde_json::from_str::<Task>(&text).is_ok_and(|found| found.task == TASK)
}

/// Opens a model folder, or a run folder that holds one.
pub fn read(
    path: &Path,
    device: &Device,
) -> Result<(Model<Segmenter>, SegmenterCard), SegmentError> {
    let folder = locate(path)?;
    let file = folder.join(CONFIG);
    let broken = |reason: String| SegmentError::ModelFolder {
        path: file.clone(),
        problem: SegmenterProblem::Config(reason),
    };
    let text = read_config(&file)?;
    let config: Config = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    if config.task != TASK {
        return Err(broken(format!("its task is {:?}, not {TASK:?}", config.task)));
    }
    let name = format!("the recipe in {}", file.display());
    let recipe = recipe::parse(&config.recipe, &name, &zoo::names())?;
    let segmenter = plan::segmenter(&recipe, config.label_names.len())?;
    let weights = folder.join(WEIGHTS);
    let opened = || -> Result<Model<Segmenter>, SegmenterProblem> {
        let opened = model_file::open(&weights)?;
        nn::Mismatch::check(&segmenter, &opened.shapes())?;
        Ok(Model::from_tensors(segmenter.clone(), opened.tensors()?, device)?)
    };
    let model =
        opened().map_err(|problem| SegmentError::ModelFolder { path: weights.clone(), problem })?;
    let Config { label_names: classes, step, masks_from_one: behind_zero, .. } = config;
    Ok((model, SegmenterCard { classes, recipe, step, behind_zero }))
}

/// The names of the classes of any model folder; empty where it does not say them.
pub(crate) fn classes_of(folder: &Path) -> Result<Vec<String>, SegmentError> {
    let file = folder.join(CONFIG);
    let names: Names = serde_json::from_str(&read_config(&file)?).map_err(|error| {
        let problem = SegmenterProblem::Config(error.to_string());
        SegmentError::ModelFolder { path: file.clone(), problem }
    })?;
    Ok(names.label_names.unwrap_or_default())
}

fn read_config(file: &Path) -> Result<String, SegmentError> {
    fs::read_to_string(file).map_err(|error| SegmentError::ModelFolder {
        path: file.to_owned(),
        problem: SegmenterProblem::Unreadable(error),
    })
}

/// The model folder at a path, or in a run folder there.
pub(crate) fn locate(path: &Path) -> Result<PathBuf, SegmentError> {
    let candidates = [path.to_owned(), path.join(names::MODEL)];
    let found = candidates.into_iter().find(|folder| folder.join(CONFIG).is_file());
    found.ok_or_else(|| SegmentError::ModelFolder {
        path: path.to_owned(),
        problem: SegmenterProblem::NoModel,
    })
}

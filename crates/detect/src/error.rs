//! What can go wrong around detection: its data, its models. Every message names the path or the key, says what is wrong, and
//! how to mend it.

use std::io;
use std::path::PathBuf;

use data::DataError;
use recipe::RecipeErrors;
use train::durable::WriteError;
use train::model_file::ModelFileError;
use train::{Fault, RankError, TrainError};
use world::WorldError;

/// An error of detection that is no mistake of the programmer.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    #[error(transparent)]
    Train(TrainError),

    #[error(transparent)]
    Recipe(#[from] RecipeErrors),

    #[error(transparent)]
    Data(#[from] DataError),

    #[error(transparent)]
    Write(#[from] WriteError),

    #[error(transparent)]
    World(#[from] WorldError),

    #[error(transparent)]
    Network(#[from] zoo::NetworkError),

    #[error(
        "recipe {recipe} trains on images with boxes: give their path with --data (Pascal VOC, COCO or YOLO, a folder or \
         a tar)"
    )]
    NoData { recipe: String },

    #[error(
        "a detector is built on a ResNet with four stages, and {name} is none; set network.model to one, such as resnet50d"
    )]
    NoResNet { name: String },

    #[error(
        "{dataset}: no image could be held out for validation; add a validation part, or more images"
    )]
    NothingToValidate { dataset: String },

    #[error(
        "{dataset}: no {part} image has a box around an object; check its annotations with `trickbag data check`"
    )]
    NoObjects { dataset: String, part: &'static str },

    #[error(
        "a detector is trained with one image in a part, and a batch of {batch} images has {parts} parts; set train.parts \
         to {batch}"
    )]
    Parts { batch: usize, parts: usize },

    #[error("{}: {problem}", path.display())]
    ModelFolder { path: PathBuf, problem: DetectorProblem },

    #[error(
        "{dataset}: its classes are {ours}, and the model knows {theirs}; give data of the same classes"
    )]
    OtherClasses { dataset: String, ours: String, theirs: String },
}

/// What is wrong with a model's folder or one of its files.
#[derive(Debug, thiserror::Error)]
pub enum DetectorProblem {
    #[error("no model here; give a run folder, or a folder with config.json and model.safetensors")]
    NoModel,

    #[error("cannot be read: {0}; check that the file is there and may be read")]
    Unreadable(io::Error),

    #[error("not the JSON of a detector: {0}; copy the folder again, or train the model again")]
    Config(String),

    #[error(transparent)]
    File(#[from] ModelFileError),

    #[error("{0}; config.json and the weights are of two models: copy both files again")]
    Tensors(#[from] nn::Mismatch),
}

impl RankError for DetectError {
    fn fault(&self) -> Fault {
        match self {
            error if error.is_usage() => Fault::Usage,
            DetectError::Train(error) if error.is_divergence() => Fault::Divergence,
            _ => Fault::World,
        }
    }
}

impl From<TrainError> for DetectError {
    /// Errors of the task come back as they were.
    fn from(error: TrainError) -> DetectError {
        match error {
            TrainError::Task(inner) => match inner.downcast::<DetectError>() {
                Ok(own) => *own,
                Err(inner) => match inner.downcast::<DataError>() {
                    Ok(data) => DetectError::Data(*data),
                    Err(inner) => DetectError::Train(TrainError::Task(inner)),
                },
            },
            other => DetectError::Train(other),
        }
    }
}

impl DetectError {
    /// Whether the ranks of this run lost each other, so that this one can neither tell the others nor wait for them.
    pub fn is_loss(&self) -> bool {
        match self {
            DetectError::Train(error) => error.is_loss(),
            DetectError::World(error) => !error.is_usage(),
            _ => false,
        }
    }

    /// Whether the command line or the recipe was wrong, and not a file or the machine.
    pub fn is_usage(&self) -> bool {
        match self {
            DetectError::Recipe(_)
            | DetectError::NoData { .. }
            | DetectError::NoResNet { .. }
            | DetectError::Network(_)
            | DetectError::Parts { .. } => true,
            DetectError::Train(error) => error.is_usage(),
            _ => false,
        }
    }
}

//! What can go wrong around segmentation: its data, its models. Every message names the path or the key, says what is wrong,
//! and how to mend it.

use std::io;
use std::path::PathBuf;

use data::DataError;
use recipe::RecipeErrors;
use train::durable::WriteError;
use train::model_file::ModelFileError;
use train::{Fault, RankError, TrainError};
use world::WorldError;

/// An error of segmentation that is no mistake of the programmer.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
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
        "recipe {recipe} trains on images with masks: give their path with --data (ADE20K, VOC's SegmentationClass, or \
         folders of images and masks; a folder or a tar)"
    )]
    NoData { recipe: String },

    #[error(
        "an FCN is built on a ResNet with four stages, and {name} is none; set network.model to one, such as resnet50"
    )]
    NoResNet { name: String },

    #[error(
        "{dataset}: no image could be held out for validation; add a validation part, or more images"
    )]
    NothingToValidate { dataset: String },

    #[error("{}: {problem}", path.display())]
    ModelFolder { path: PathBuf, problem: SegmenterProblem },

    #[error(
        "{dataset}: its classes are {ours}, and the model knows {theirs}; give data of the same classes"
    )]
    OtherClasses { dataset: String, ours: String, theirs: String },
}

/// What is wrong with a segmenter's folder or one of its files.
#[derive(Debug, thiserror::Error)]
pub enum SegmenterProblem {
    #[error("no model here; give a run folder, or a folder with config.json and model.safetensors")]
    NoModel,

    #[error("cannot be read: {0}; check that the file is there and may be read")]
    Unreadable(io::Error),

    #[error("not the JSON of a segmenter: {0}; copy the folder again, or train the model again")]
    Config(String),

    #[error(transparent)]
    File(#[from] ModelFileError),

    #[error("{0}; config.json and the weights are of two models: copy both files again")]
    Tensors(#[from] nn::Mismatch),
}

impl RankError for SegmentError {
    fn fault(&self) -> Fault {
        match self {
            error if error.is_usage() => Fault::Usage,
            SegmentError::Train(error) if error.is_divergence() => Fault::Divergence,
            _ => Fault::World,
        }
    }
}

impl From<TrainError> for SegmentError {
    /// Errors of the data come back as they were.
    fn from(error: TrainError) -> SegmentError {
        match error {
            TrainError::Task(inner) => match inner.downcast::<DataError>() {
                Ok(data) => SegmentError::Data(*data),
                Err(inner) => SegmentError::Train(TrainError::Task(inner)),
            },
            other => SegmentError::Train(other),
        }
    }
}

impl SegmentError {
    /// Whether the ranks of this run lost each other, so that this one can neither tell the others nor wait for them.
    pub fn is_loss(&self) -> bool {
        match self {
            SegmentError::Train(error) => error.is_loss(),
            SegmentError::World(error) => !error.is_usage(),
            _ => false,
        }
    }

    /// Whether the command line or the recipe was wrong, and not a file or the machine.
    pub fn is_usage(&self) -> bool {
        match self {
            SegmentError::Recipe(_)
            | SegmentError::NoData { .. }
            | SegmentError::NoResNet { .. }
            | SegmentError::Network(_) => true,
            SegmentError::Train(error) => error.is_usage(),
            _ => false,
        }
    }
}

//! What can go wrong around classification: its data, its model folders, its ablations. Every message names the path or the
//! key, says what is wrong, and how to mend it.

use std::path::PathBuf;

use data::DataError;
use recipe::RecipeErrors;
use train::TrainError;
use train::durable::WriteError;
use world::WorldError;

use crate::import::ImportProblem;
use crate::model_folder::FolderProblem;

/// An error of classification that is no mistake of the programmer.
#[derive(Debug, thiserror::Error)]
pub enum ClassifyError {
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
        "recipe {recipe} trains on a dataset of yours: give its path with --data (a folder of class folders, or a \
         tar of one)"
    )]
    NoData { recipe: String },

    #[error("recipe {recipe} trains on the images inside the program: leave --data out")]
    NeedlessData { recipe: String },

    #[error(
        "{dataset}: no image could be held out for validation; add a `val` folder beside `train`, or more images to \
         the classes"
    )]
    NothingToValidate { dataset: String },

    #[error(
        "{layer}: with {images} images of {size} pixels in a part this batch norm sees one value per channel, whose \
         variance is always 0; raise train.batch or preprocess.size, or lower train.parts"
    )]
    OneValuePerChannel { layer: String, images: usize, size: usize },

    #[error(
        "{}: another ablation is here:\n  {}\nRepeat its own command to go on with it, or give another folder with --out",
        folder.display(),
        differences.join("\n  ")
    )]
    OtherAblation { folder: PathBuf, differences: Vec<String> },

    #[error("{}: {problem}", path.display())]
    Ablation { path: PathBuf, problem: String },

    #[error("{}: {problem}", path.display())]
    ModelFolder { path: PathBuf, problem: Box<FolderProblem> },

    #[error("{}: {problem}", path.display())]
    Import { path: PathBuf, problem: Box<ImportProblem> },
}

/// Takes an error of the data out of the error of training that carries it.
impl From<TrainError> for ClassifyError {
    fn from(error: TrainError) -> ClassifyError {
        match error {
            TrainError::Task(error) => match error.downcast::<DataError>() {
                Ok(error) => ClassifyError::Data(*error),
                Err(other) => ClassifyError::Train(TrainError::Task(other)),
            },
            other => ClassifyError::Train(other),
        }
    }
}

impl ClassifyError {
    /// Whether the run diverged, which is the recipe's doing and not the machine's.
    pub fn is_divergence(&self) -> bool {
        matches!(self, ClassifyError::Train(error) if error.is_divergence())
    }

    /// Whether the command line or the recipe was wrong, and not a file or the machine.
    pub fn is_usage(&self) -> bool {
        match self {
            ClassifyError::Train(error) => error.is_usage(),
            ClassifyError::Recipe(_)
            | ClassifyError::Network(_)
            | ClassifyError::NoData { .. }
            | ClassifyError::NeedlessData { .. }
            | ClassifyError::OneValuePerChannel { .. }
            | ClassifyError::OtherAblation { .. } => true,
            _ => false,
        }
    }
}

//! What can go wrong in a run. Every message names the path or the key, says what is wrong, and how to mend it.

use std::path::PathBuf;

use data::DataError;
use recipe::RecipeErrors;

use crate::checkpoint::CheckpointError;
use crate::durable::WriteError;
use crate::log::LogError;

/// An error of the world, not of the programmer.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Recipe(#[from] RecipeErrors),

    #[error(transparent)]
    Data(#[from] DataError),

    #[error(transparent)]
    Write(#[from] WriteError),

    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),

    #[error(transparent)]
    Log(#[from] LogError),

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
        "{layer}: with batch {batch} and images of {size} pixels this batch norm sees one value per channel, whose \
         variance is always 0; raise train.batch or preprocess.size, or lower train.parts"
    )]
    OneValuePerChannel { layer: String, batch: usize, size: usize },

    #[error(
        "{}: a run is here already, and train never overwrites one; go on with it by --resume, or give another folder \
         with --out",
        folder.display()
    )]
    RunExists { folder: PathBuf },

    #[error("{}: no run to resume (there is no recipe.toml); start one without --resume", folder.display())]
    NoRun { folder: PathBuf },

    #[error(
        "{}: this run was started by another recipe, and resumes under its own only:\n  {}\nLeave RECIPE and --set \
         out to go on with it, or give another folder with --out",
        folder.display(),
        differences.join("\n  ")
    )]
    OtherRecipe { folder: PathBuf, differences: Vec<String> },

    #[error(
        "{}: this run has trained on other data than {dataset}: {difference}; give the data it was started with, or \
         another folder with --out",
        folder.display()
    )]
    OtherData { folder: PathBuf, dataset: String, difference: String },

    #[error(
        "{}: another ablation is here:\n  {}\nRepeat its own command to go on with it, or give another folder with --out",
        folder.display(),
        differences.join("\n  ")
    )]
    OtherAblation { folder: PathBuf, differences: Vec<String> },

    #[error("{}: {problem}", path.display())]
    Ablation { path: PathBuf, problem: String },

    #[error(
        "the checkpoint of step {step} does not fit its recipe: {source}; was it copied from another run? Delete it to \
         resume from an earlier one"
    )]
    CheckpointOfAnother { step: u64, source: zoo::Mismatch },

    #[error(
        "the loss became {loss} at step {step} (epoch {epoch:.2}, rate {rate:.4}); {saved}. Train with a lower rate \
         (--set rate.base=…) or a longer warm-up (--set 'rate.warmup={{duration=\"5 epochs\"}}')"
    )]
    NotFinite { loss: f32, step: u64, epoch: f64, rate: f64, saved: String },

    #[error("{}: {problem}", path.display())]
    ModelFolder { path: PathBuf, problem: String },

    #[error("{}: {problem}", path.display())]
    Import { path: PathBuf, problem: String },
}

impl TrainError {
    /// Whether the command line or the recipe was wrong, rather than the world.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            TrainError::Recipe(_)
                | TrainError::Network(_)
                | TrainError::NoData { .. }
                | TrainError::NeedlessData { .. }
                | TrainError::OneValuePerChannel { .. }
                | TrainError::RunExists { .. }
                | TrainError::NoRun { .. }
                | TrainError::OtherRecipe { .. }
                | TrainError::OtherData { .. }
                | TrainError::OtherAblation { .. }
        )
    }
}

//! What can go wrong in a run. Every message names the path or the key, says what is wrong, and how to mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use recipe::RecipeErrors;
use world::WorldError;

use crate::checkpoint::CheckpointError;
use crate::control::Fault;
use crate::durable::WriteError;
use crate::log::LogError;

/// An error that ends a run and is no mistake of the programmer.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Recipe(#[from] RecipeErrors),

    #[error(transparent)]
    Write(#[from] WriteError),

    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),

    #[error(transparent)]
    Log(#[from] LogError),

    #[error(transparent)]
    World(#[from] WorldError),

    /// An error of the task about its own data, models or files.
    #[error(transparent)]
    Task(#[from] Box<dyn std::error::Error + Send + Sync>),

    #[error("{}: cannot be read: {cause}; check that it is a file and may be read", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },

    #[error(
        "{}: is not text in UTF-8; put back the recipe that the run was started with, or give another folder with --out",
        path.display()
    )]
    NotText { path: PathBuf },

    #[error("{}: is a file, and a run needs a folder; give another place with --out", folder.display())]
    NotAFolder { folder: PathBuf },

    #[error(
        "{}: {owner} is at work here; wait until it ends, or stop it and give the same command again, or give another \
         folder with --out",
        folder.display()
    )]
    Busy { folder: PathBuf, owner: String },

    #[error(
        "{}: a run is here already, and train never overwrites one; go on with it by --resume, or give another folder \
         with --out",
        folder.display()
    )]
    RunExists { folder: PathBuf },

    #[error("{}: no run to resume (there is no recipe.toml); start one without --resume", folder.display())]
    NoRun { folder: PathBuf },

    #[error(
        "{}: checkpoints of another run are here, though there is no recipe.toml; move them away, or give another folder \
         with --out",
        folder.display()
    )]
    StrayCheckpoints { folder: PathBuf },

    #[error(
        "{}: this run was started by another recipe, and can only go on with that one:\n  {}\nLeave out RECIPE and \
         --set to go on with it, or give another folder with --out",
        folder.display(),
        differences.join("\n  ")
    )]
    OtherRecipe { folder: PathBuf, differences: Vec<String> },

    #[error(
        "{}: recipe.toml is not the recipe that the checkpoint of step {step} was trained by; it was edited since:\n  {}\nPut \
         the first value of each back to go on, or give another folder with --out to train by the others",
        folder.display(),
        differences.join("\n  ")
    )]
    EditedRecipe { folder: PathBuf, step: u64, differences: Vec<String> },

    #[error(
        "{}: the model of distillation.teacher has other weights than the one that has taught this run so far; put that \
         one back, or give another folder with --out",
        folder.display()
    )]
    OtherTeacher { folder: PathBuf },

    #[error(
        "{}: this run has trained on other data than {dataset}: {difference}; give the data it was started with, or \
         another folder with --out",
        folder.display()
    )]
    OtherData { folder: PathBuf, dataset: String, difference: String },

    #[error(
        "the checkpoint of step {step} does not fit its recipe: {source}; was it copied from another run? Delete it to \
         resume from an earlier one"
    )]
    CheckpointOfAnother { step: u64, source: nn::Mismatch },

    #[error(
        "{what} at step {step} ({}rate {rate:.4}){}. Train with a lower rate (--set rate.base=…) or a longer warm-up \
         (--set 'rate.warmup={{duration=\"5 epochs\"}}')",
        place.as_ref().map_or(String::new(), |place| format!("epoch {:.2}, ", place.epoch)),
        place.as_ref().map_or(String::new(), |place| format!("; {}", place.saved))
    )]
    NotFinite {
        what: NotFinite,
        step: u64,
        rate: f64,
        /// The epoch and the last checkpoint; None where the run has no journal.
        place: Option<Place>,
    },

    #[error(
        "the gradient overflowed in {} steps in a row, up to step {step}, though the loss scale fell each time: the \
         numbers that are not finite come from the network itself; train with --set train.precision=bf16 or f32, or with a \
         lower rate",
        tricks::loss_scaling::MOST_OVERFLOWS
    )]
    OnlyOverflows { step: u64 },

    /// An error of another rank.
    #[error("{rank}: {said}")]
    Peer { rank: String, said: String, fault: Fault },

    /// The ranks cannot go on together.
    #[error("{cause}. The run was at step {step} (epoch {epoch:.2}); {saved}")]
    Lost {
        cause: Cause,
        step: u64,
        epoch: f64,
        /// The part of the message that says which checkpoint remains, if any.
        saved: String,
    },

    #[error(
        "rank {rank} sent a message that cannot be read: start every rank with the same program and the same recipe"
    )]
    Message { rank: usize },
}

/// Why the ranks of a run cannot go on together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("{0}")]
    World(WorldError),
    #[error("this rank panicked, and takes the others with it")]
    Panic,
}

/// What stopped being a number.
#[derive(Clone, Debug, PartialEq)]
pub enum NotFinite {
    Loss(f64),
    /// The gradient, though the loss is finite.
    Gradient,
    /// A number of the evaluation, by its title.
    Evaluation(String, f64),
    /// A tensor of the state, found before it was saved.
    Tensor(String),
}

impl fmt::Display for NotFinite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotFinite::Loss(loss) => write!(formatter, "the loss became {loss}"),
            NotFinite::Gradient => write!(formatter, "the gradient became infinite or NaN"),
            NotFinite::Evaluation(title, value) => {
                write!(formatter, "the evaluation came to nothing, {title} {value},")
            }
            NotFinite::Tensor(name) => write!(formatter, "{name} became infinite or NaN"),
        }
    }
}

/// The epoch at which a run diverged, and the checkpoint that remains.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub epoch: f64,
    /// The part of the message that says which checkpoint remains, if any.
    pub saved: String,
}

impl TrainError {
    /// An error of a task.
    pub fn task(error: impl std::error::Error + Send + Sync + 'static) -> TrainError {
        TrainError::Task(Box::new(error))
    }

    /// Whether the run diverged, which is the recipe's doing and not the machine's.
    pub fn is_divergence(&self) -> bool {
        matches!(
            self,
            TrainError::NotFinite { .. }
                | TrainError::OnlyOverflows { .. }
                | TrainError::Peer { fault: Fault::Divergence, .. }
        )
    }

    /// Whether the ranks lost each other, so that this rank can neither tell the others nor wait for them.
    pub fn is_loss(&self) -> bool {
        match self {
            TrainError::World(error) => !error.is_usage(),
            TrainError::Lost { .. } | TrainError::Message { .. } => true,
            _ => false,
        }
    }

    /// Whether the command line or the recipe was wrong, and not a file or the machine.
    pub fn is_usage(&self) -> bool {
        if let TrainError::World(error) = self {
            return error.is_usage();
        }
        matches!(
            self,
            TrainError::Recipe(_)
                | TrainError::Peer { fault: Fault::Usage, .. }
                | TrainError::RunExists { .. }
                | TrainError::NoRun { .. }
                | TrainError::StrayCheckpoints { .. }
                | TrainError::NotAFolder { .. }
                | TrainError::OtherRecipe { .. }
                | TrainError::EditedRecipe { .. }
                | TrainError::OtherTeacher { .. }
                | TrainError::OtherData { .. }
        )
    }
}

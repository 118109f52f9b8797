//! Training: Algorithm 1, the step, a run's state, its checkpoints and its journal. Nothing here depends on the task.

mod algorithm;
pub mod checkpoint;
mod clock;
mod control;
pub mod durable;
mod error;
mod evaluate;
mod gather;
mod guard;
mod hyper;
mod journal;
mod lock;
pub mod log;
pub mod model_file;
mod pace;
pub mod progress;
pub mod resume;
pub mod signal;
mod sources;
mod state;
mod step;
mod task;
#[cfg(test)]
mod tests;

pub use algorithm::{Ending, train};
pub use control::{Control, Fault, RankError, first_does, together};
pub use error::{Cause, NotFinite, Place, TrainError};
pub use evaluate::evaluate;
pub use hyper::Hyper;
pub use journal::{Course, Journal, Start};
pub use lock::FolderLock;
pub use sources::{ImageFacts, RunSources};
pub use state::State;
pub use step::{Report, gradient, step};
pub use task::{Fed, Feed, Measure, Skip, Task, ValidationFeed};

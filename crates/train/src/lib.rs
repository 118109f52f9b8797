//! Training: Algorithm 1, the tasks it serves, and what a run leaves behind.

pub mod ablation;
pub mod algorithm;
pub mod checkpoint;
pub mod classify;
mod clock;
pub mod durable;
mod error;
mod examples;
pub mod import;
pub mod log;
pub mod model_folder;
pub mod origin;
pub mod plan;
pub mod predictions;
pub mod progress;
pub mod run;
pub mod signal;
pub mod state;
mod task;
mod teacher;

pub use algorithm::{Ending, train};
pub use error::TrainError;
pub use plan::Plan;
pub use run::Run;
pub use state::State;
pub use task::{Evaluation, Task};

//! Image classification (§2 to §5) as a task of the one loop: examples, teacher, measure, predictions, and its part of the
//! model folder.

pub mod ablation;
mod answer;
mod card;
mod error;
mod examples;
mod feed;
pub mod import;
mod measure;
pub mod model_folder;
mod network;
mod origin;
mod plan;
mod predictions;
mod run;
mod sources;
mod task;
mod teacher;
#[cfg(test)]
mod tests;

pub use answer::{Answer, softmax};
pub use card::{Card, Split};
pub use error::ClassifyError;
pub use examples::Examples;
pub use feed::{ImageFeed, Repeated};
pub use measure::Accuracy;
pub use origin::drawn;
pub use plan::{Beginning, Plan, open};
pub use run::{Run, evaluate};
pub use task::{Classify, Question, rows};

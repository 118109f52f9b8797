//! The run folder as a protocol: the names of its files, the rows in them, and the columns of a task's measure.
//!
//! Training writes these types, reports and ablations read them, and each exists only here. This crate formats and
//! parses text; it opens no file, reads no clock, and knows no task beyond the columns of classification. A number that
//! is not finite is `null` in JSON, which has no word for it, and NaN when it is read back.

mod detection;
mod measure;
pub mod names;
mod number;
mod outcome;
mod prediction;
mod printable;
mod rows;
mod segmentation;
mod skip;

pub use detection::{DetectionRow, FoundRow, ObjectRow, PrecisionRow};
pub use measure::{Best, Better, LOSS, MeasureColumn, MeasureColumns, Unit};
pub use outcome::Outcome;
pub use prediction::{PredictionRow, SUREST_MISTAKES, surest_mistakes};
pub use printable::{is_unprintable, printable, printable_lines};
pub use rows::{EvaluationRow, MetricsRow, RanksRow, TrainRow, step_of};
pub use segmentation::{ClassRow, PictureRow, WORST_PICTURES, worst_pictures};
pub use skip::SkipRow;

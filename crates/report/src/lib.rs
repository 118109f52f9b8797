//! What people look at: the paper's figures as SVG, and the report of runs as one page of HTML.
//!
//! Plain data and the files of run folders in, text out. No tensor, no clock, no network: the same input gives the
//! same bytes, and a page asks for nothing outside itself.

pub mod ablation;
pub mod architecture;
mod chart;
pub mod figures;
mod page;
mod prediction;
mod run;
mod scale;
pub mod statistics;
mod text;

pub use page::{LIMIT, page};
pub use prediction::Prediction;
pub use run::{EvaluationRow, ReportError, Run, TrainRow};
pub use text::{duration, grouped};

#[cfg(test)]
mod tests;

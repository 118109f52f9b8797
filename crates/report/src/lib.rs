//! What people look at: the paper's figures and networks as SVG; the report of runs and a gallery of predictions as
//! pages of HTML.
//!
//! Plain data and the files of run folders in, text out. No tensor, no clock, no network: the same input gives the
//! same bytes, and a page asks for nothing outside itself.

pub mod ablation;
pub mod architecture;
mod chart;
pub mod figures;
mod gallery;
mod page;
mod prediction;
mod run;
mod scale;
mod segmented;
pub mod statistics;
mod text;

pub use gallery::{Guess, Picture, gallery};
pub use page::{LIMIT, page};
pub use run::{ReportError, RunFolder};
pub use segmented::Segmented;
pub use text::{duration, grouped};

#[cfg(test)]
mod tests;

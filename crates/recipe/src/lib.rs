//! Recipes: a run written down as closed, plain data. No file is read here and no device is known.
//!
//! [`parse`] reads TOML and reports every mistake at once, each with its line and its mend; [`to_toml`] writes a
//! recipe back, complete; [`Schedule`] turns its spans and tricks into plain numbers for each step.

#[macro_use]
mod keys;

pub mod ablation;
pub mod builtin;
mod check;
mod edit;
mod limits;
mod mistake;
mod notes;
mod parse;
pub mod presets;
mod reader;
mod reference;
mod schedule;
mod schema;
mod span;
pub mod switches;
pub mod tables;
mod tree;
mod types;
mod version;
mod write;

pub use builtin::builtin;
pub use check::check_classes;
pub use limits::{LARGEST_LEVEL, LONGEST_EDGE, MOST_BLOCKS, MOST_CHANNELS};
pub use mistake::{Mistake, RecipeErrors, nearest};
pub use parse::{parse, parse_with_edits};
pub use reference::reference;
pub use schedule::Schedule;
pub use types::*;
pub use write::{diff, to_toml};

#[cfg(test)]
mod tests;

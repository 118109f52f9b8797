//! The keys of a recipe. Each is declared once, where its table is: its name and meaning, what it takes, how it is written
//! and whether it may be left out. Reading, writing, checking, `--set`, messages and the reference of all keys follow.
//!
//! A table of keys is a struct inside [`table!`], a table that holds exactly one of its keys an enum inside [`choice!`],
//! and a closed list of words an enum inside [`words!`]. A task brings its own table: a file here, and a line in
//! [`Recipe`] that says `.makes(TaskKind::…)`.

#[macro_use]
mod macros;

mod data;
mod declared;
mod detect;
mod form;
mod list;
mod network;
mod preprocess;
mod recipe;
mod refine;
mod rules;
mod segment;
mod train;
mod words;

pub use data::*;
pub(crate) use declared::{Field, Given, Node, Short, key};
pub use detect::*;
pub(crate) use form::{Form, Shape, Text, Written, entries};
pub use network::*;
pub use preprocess::*;
pub use recipe::*;
pub use refine::*;
pub(crate) use rules::Rule;
pub use segment::*;
pub use train::*;
pub(crate) use words::{Word, Words, word};

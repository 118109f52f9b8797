//! The command as a person uses it, on images that the tests make.

mod ablations;
mod bag;
mod detection;
mod dirty;
mod exports;
mod fetching;
mod fixtures;
mod golden;
mod hostile_data;
mod hostile_models;
mod hostile_runs;
mod interrupted;
mod listings;
mod messages;
mod predictions;
mod ranks;
mod refusals;
mod reports;
mod runs;
mod segments;
#[path = "../../../fetch/tests/server/mod.rs"]
mod server;
mod tidy;
mod transfer;
mod tricks;

//! The command as a person uses it, on images that the tests make.

mod ablations;
mod detection;
mod dirty;
mod exports;
mod fixtures;
mod golden;
mod hostile_data;
mod hostile_models;
mod hostile_runs;
mod interrupted;
mod listings;
mod messages;
mod predictions;
mod refusals;
mod reports;
mod runs;
mod segments;
mod tidy;
mod transfer;
mod tricks;

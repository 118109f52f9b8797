//! One file a verb.

pub(crate) mod ablate;
mod architecture;
pub(crate) mod bad_images;
pub(crate) mod bench;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod figures;
pub(crate) mod import;
pub(crate) mod models;
mod place;
pub(crate) mod predict;
pub(crate) mod recipes;
pub(crate) mod report;
pub(crate) mod timing;
pub(crate) mod train;
pub(crate) mod tricks;
pub(crate) mod verify;

use clap::CommandFactory;
use classify::Plan;

use crate::args::{Args, Threads};

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "trickbag", &mut script);
    crate::output::print(&String::from_utf8(script)?);
    Ok(())
}

/// Lets `count` threads compute.
pub(crate) fn use_threads(count: usize) {
    // Fails only where the pool stands already, which then has the size it has.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(count).build_global();
}

/// What a run folder says of where its run was computed, and on what.
pub(crate) fn environment(threads: Threads, plan: &Plan) -> serde_json::Value {
    serde_json::json!({
        "trickbag": env!("CARGO_PKG_VERSION"),
        "instruction_set": kernels::instruction_set(),
        "threads": threads.compute(),
        "loader_threads": threads.loader().threads,
        "data": plan.dataset.name,
        "train_images": plan.dataset.train.len(),
        "validation_images": plan.dataset.validation.len(),
        "classes": plan.dataset.classes,
    })
}

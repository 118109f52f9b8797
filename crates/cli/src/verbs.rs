//! One file a verb.

pub(crate) mod ablate;
mod architecture;
pub(crate) mod bad_images;
pub(crate) mod bench;
pub(crate) mod data;
pub(crate) mod detection;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod figures;
pub(crate) mod import;
mod model;
pub(crate) mod models;
mod place;
pub(crate) mod predict;
pub(crate) mod recipes;
pub(crate) mod report;
pub(crate) mod segmentation;
pub(crate) mod timing;
pub(crate) mod train;
pub(crate) mod tricks;
pub(crate) mod verify;

use ::data::Dataset;
use clap::CommandFactory;
use world::World;

use crate::args::{Args, Threads};

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "trickbag", &mut script);
    crate::output::print(&String::from_utf8(script)?);
    Ok(())
}

/// Lets `count` threads compute.
pub(crate) fn use_threads(count: usize) -> anyhow::Result<()> {
    let built = rayon::ThreadPoolBuilder::new().num_threads(count).build_global();
    // An error without a source says that the pool stands already; it then has the size it has.
    if let Err(error) = &built
        && let Some(cause) = std::error::Error::source(error)
    {
        anyhow::bail!(
            "{count} threads cannot be started: {cause}; allow this user more processes and memory (ulimit -u, ulimit \
             -v), or ask for fewer threads with --threads"
        );
    }
    Ok(())
}

/// Lets as many threads compute as there are cores.
pub(crate) fn use_cores() -> anyhow::Result<()> {
    use_threads(std::thread::available_parallelism().map_or(1, usize::from))
}

/// What a run folder says of where its run was computed, and on what.
pub(crate) fn environment<A>(
    threads: Threads,
    dataset: &Dataset<A>,
    world: &World,
) -> serde_json::Value {
    let mut facts = serde_json::json!({
        "trickbag": env!("CARGO_PKG_VERSION"),
        "instruction_set": kernels::instruction_set(),
        "threads": threads.compute(),
        "loader_threads": threads.loader().threads,
        "data": dataset.name,
        "train_images": dataset.train.len(),
        "validation_images": dataset.validation.len(),
        "classes": dataset.classes,
    });
    if world.size() > 1 {
        facts["ranks"] = world.size().into();
        facts["hosts"] = crate::ranks::hosts(world).into();
    }
    facts
}

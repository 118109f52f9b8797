//! `trickbag bench`: how fast this machine trains and infers, on random inputs, and loads images.

mod infer;
mod layers;
mod loader;
mod process;
mod scale;
mod step;

use anyhow::Result;
use data::Stream;
use nn::{Init, Model};
use serde_json::json;
use zoo::{Network, NetworkError, Options, StemSize};

use crate::args::{Bench, BenchCommon, BenchOf};
use crate::output;
use crate::ranks;

pub(crate) fn run(args: &Bench) -> Result<()> {
    match &args.of {
        BenchOf::Step(args) => ranks::run(&args.ranks, |world| {
            let common = args.common.among(world.neighbours());
            ranks::together(world, super::use_threads(common.threads()))?;
            step::run(&common, args, world)
        }),
        BenchOf::Infer(common) => {
            super::use_threads(common.threads())?;
            infer::run(common)
        }
        BenchOf::Layers(common) => {
            super::use_threads(common.threads())?;
            layers::run(common)
        }
        BenchOf::Loader(loader) => loader::run(loader),
        BenchOf::Scale(args) => scale::run(args),
    }
}

/// The network of the command line.
fn network(common: &BenchCommon) -> Result<Network, NetworkError> {
    let stem = if common.small_stem { StemSize::Small } else { StemSize::Imagenet };
    let network = zoo::network(&common.model, &Options { stem, ..Options::plain(1000) })?;
    zoo::check_side(&network, common.size())?;
    Ok(network)
}

/// The network of the command line with made-up weights.
fn model(common: &BenchCommon) -> Result<Model<Network>, NetworkError> {
    let rng = |index| data::at(1, Stream::Init, 0, index as u64);
    Ok(Model::initialized(network(common)?, Init::Xavier, 1.0, &nn::cpu(), rng))
}

/// What a network was measured to do, as a script and as a person would read it.
struct Measured {
    json: serde_json::Value,
    text: String,
}

impl Measured {
    /// `seconds` for one batch, of which an image costs `flops`.
    fn new(common: &BenchCommon, seconds: f64, flops: u64) -> Measured {
        let images_per_second = common.batch() as f64 / seconds;
        let gigaflops = flops as f64 * images_per_second / 1e9;
        let memory = process::peak_memory_bytes();
        let json = json!({
            "model": common.model,
            "size": common.size(),
            "batch": common.batch(),
            "steps": common.steps(),
            "threads": common.threads(),
            "instruction_set": kernels::instruction_set(),
            "images_per_second": images_per_second,
            "milliseconds": seconds * 1e3,
            "gigaflops": gigaflops,
            "peak_memory_bytes": memory,
        });
        let text = format!(
            "{} at {size}×{size}, batch {}, {} threads, {}: {images_per_second:.2} images/s ({:.1} ms a batch, \
             {gigaflops:.0} GFLOP/s), peak memory {}",
            common.model,
            common.batch(),
            common.threads(),
            kernels::instruction_set(),
            seconds * 1e3,
            memory.map_or("unknown".into(), output::bytes),
            size = common.size(),
        );
        Measured { json, text }
    }

    fn print(&self, common: &BenchCommon) {
        if common.json { output::json(&self.json) } else { output::print(&self.text) }
    }
}

/// The middle of the times; of an even number the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

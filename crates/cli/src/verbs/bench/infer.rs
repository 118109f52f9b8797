//! Inference, every batch norm folded into its convolution.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::process::peak_memory_bytes;
use super::{median, subject};
use crate::args::BenchCommon;
use crate::output;

pub(super) fn run(common: &BenchCommon) -> Result<()> {
    let (model, x) = subject(common)?;
    let folded = model.folded();
    let once = || {
        let started = Instant::now();
        let logits = model.network.infer(&folded, x.clone());
        // Reading the numbers is what says that they are there.
        let _ = logits.into_data();
        started.elapsed().as_secs_f64()
    };
    once();
    let seconds = median((0..common.steps()).map(|_| once()).collect());
    let batch = common.batch();
    let flops = 2.0 * zoo::cost(&model.network, common.size()).multiply_adds as f64 * batch as f64;
    let memory = peak_memory_bytes();
    if common.json {
        output::json(&json!({
            "model": common.model,
            "size": common.size(),
            "batch": batch,
            "steps": common.steps(),
            "threads": common.threads(),
            "instruction_set": kernels::instruction_set(),
            "images_per_second": batch as f64 / seconds,
            "milliseconds": seconds * 1e3,
            "gigaflops": flops / seconds / 1e9,
            "peak_memory_bytes": memory,
        }));
        return Ok(());
    }
    output::print(&format!(
        "{} at {size}×{size}, batch {batch}, {} threads, {}: {:.2} images/s ({:.1} ms, {:.0} GFLOP/s), peak memory {}",
        common.model,
        common.threads(),
        kernels::instruction_set(),
        batch as f64 / seconds,
        seconds * 1e3,
        flops / seconds / 1e9,
        memory.map_or("unknown".into(), output::bytes),
        size = common.size(),
    ));
    Ok(())
}

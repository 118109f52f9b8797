//! A full training step: forward, loss, backward, update.

use std::time::Instant;

use anyhow::Result;
use nn::{Mode, Nag, Pass, Tensor, Velocity, cross_entropy};
use serde_json::json;

use super::process::{minor_page_faults, peak_memory_bytes};
use super::{median, subject};
use crate::args::BenchCommon;
use crate::output;

/// Steps before the counted ones: buffers find their place in the first.
const WARM_UP: usize = 3;

pub(super) fn run(common: &BenchCommon) -> Result<()> {
    let (mut model, x) = subject(common)?;
    let (batch, classes) = (common.batch(), model.network.classes());
    let p = Tensor::<2>::full([batch, classes], 1.0 / classes as f32, &model.device);
    let mut velocity = Velocity::zeros(&model.parameters, &model.device);
    let mut step = || {
        let started = Instant::now();
        let leaves = model.parameters.tracked();
        let statistics = &mut model.statistics;
        let mut pass = Pass { mode: Mode::Train, leaves: &leaves, statistics };
        let loss = cross_entropy(model.network.forward(&mut pass, x.clone()), p.clone());
        let gradients = leaves.gradients(loss);
        let hyper = |_| Nag { rate: 1e-3, momentum: 0.9, decay: 1e-4 };
        velocity.update(&mut model.parameters, gradients, hyper);
        started.elapsed().as_secs_f64()
    };
    (0..WARM_UP).for_each(|_| {
        step();
    });
    let faults_before = minor_page_faults();
    let seconds = median((0..common.steps()).map(|_| step()).collect());
    let faults = minor_page_faults()
        .zip(faults_before)
        .map(|(after, before)| (after - before) as f64 / common.steps() as f64);
    // Forward and two products backward, a multiplication and an addition each.
    let flops = 6.0 * zoo::cost(&model.network, common.size()).multiply_adds as f64 * batch as f64;
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
            "page_faults_per_step": faults,
        }));
        return Ok(());
    }
    output::print(&format!(
        "{} at {size}×{size}, batch {batch}, {} threads, {}: {:.2} images/s ({:.0} ms a step, {:.0} GFLOP/s), peak memory \
         {}, {} page faults a step",
        common.model,
        common.threads(),
        kernels::instruction_set(),
        batch as f64 / seconds,
        seconds * 1e3,
        flops / seconds / 1e9,
        memory.map_or("unknown".into(), output::bytes),
        faults.map_or("unknown".into(), |count| format!("{count:.0}")),
        size = common.size(),
    ));
    Ok(())
}

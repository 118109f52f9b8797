//! A full training step: forward, loss, backward, update.

use anyhow::Result;
use serde_json::json;
use world::World;

use super::process::minor_page_faults;
use super::{Measured, median, model};
use crate::args::{BenchCommon, BenchStep, Precision};
use crate::output::Usage;
use crate::verbs::timing::Timing;

/// Steps before the counted ones: buffers find their place in the first.
const WARM_UP: usize = 3;

pub(super) fn run(common: &BenchCommon, args: &BenchStep, world: &mut World) -> Result<()> {
    let BenchStep { precision, parts, .. } = args;
    let parts = usize::from(*parts);
    if !common.batch().is_multiple_of(parts) {
        let batch = common.batch();
        return Err(Usage(format!("--batch {batch} is no multiple of --parts {parts}")).into());
    }
    let word = match precision {
        Precision::F32 => "f32",
        Precision::F16 => "f16",
        Precision::Bf16 => "bf16",
    };
    // The paper's update; no other key of the recipe acts on a step of made-up images.
    let edits = [format!("train.precision={word}"), format!("train.parts={parts}")];
    let text = recipe::builtin("baseline").expect("a built-in recipe");
    let recipe = recipe::parse_with_edits(text, "baseline", &edits, &zoo::names())?;
    let model = model(common)?;
    let multiply_adds = zoo::cost(&model.module, common.size()).multiply_adds;
    let mut timing = Timing::new(&recipe, model, common.batch() / parts, common.size());
    for _ in 0..WARM_UP {
        timing.step(world)?;
    }
    let faults_before = minor_page_faults();
    let seconds = (0..common.steps()).map(|_| timing.step(world)).collect::<Result<_, _>>()?;
    let seconds = median(seconds);
    let faults = minor_page_faults()
        .zip(faults_before)
        .map(|(after, before)| (after - before) as f64 / common.steps() as f64);
    // Forward and two products backward, a multiplication and an addition each.
    let mut measured = Measured::new(common, seconds, 6 * multiply_adds);
    measured.json["precision"] = json!(word);
    measured.text += &format!(", {word}");
    if world.size() > 1 {
        measured.text += &format!(", {} ranks", world.size());
    }
    measured.json["parts"] = json!(parts);
    measured.json["ranks"] = json!(world.size());
    measured.json["page_faults_per_step"] = json!(faults);
    if let Some(faults) = faults {
        measured.text += &format!(", {faults:.0} page faults a step");
    }
    measured.print(common);
    Ok(())
}

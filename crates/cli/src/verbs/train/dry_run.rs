//! `trickbag train --dry-run`: what a run would take.

use anyhow::Result;
use classify::{Plan, drawn};
use serde_json::json;

use crate::output::{self, grouped};
use crate::verbs::timing::Timing;

/// Images of a part of a timed step: enough to keep all cores busy, few enough to fit anywhere.
const TRIAL_IMAGES: usize = 16;

pub(crate) fn print(plan: &Plan, as_json: bool) -> Result<()> {
    let recipe = &plan.recipe;
    let total = plan.schedule.total_steps();
    let per_image = seconds_per_image(plan)?;
    let trained = total * recipe.train.batch as u64;
    let expected = expected_seconds(plan, per_image);
    let memory = plan.memory_estimate();
    if as_json {
        output::json(&json!({
            "recipe": recipe.name,
            "network": plan.network.name,
            "steps": total,
            "steps_per_epoch": plan.steps_per_epoch,
            "train_images": plan.dataset.train.len(),
            "validation_images": plan.dataset.validation.len(),
            "classes": plan.dataset.classes.len(),
            "memory_bytes": memory,
            "images_per_second": 1.0 / per_image,
            "expected_seconds": expected,
        }));
        return Ok(());
    }
    let rows = [
        ("recipe", recipe.name.clone()),
        ("network", plan.network.name.clone()),
        ("data", plan.dataset.name.clone()),
        ("training images", grouped(plan.dataset.train.len() as u64)),
        ("validation images", grouped(plan.dataset.validation.len() as u64)),
        ("classes", plan.dataset.classes.len().to_string()),
        ("steps", format!("{} ({} an epoch)", grouped(total), grouped(plan.steps_per_epoch))),
        ("images trained on", grouped(trained)),
        ("rate after warm-up", plan.schedule.initial_rate().to_string()),
        ("memory, estimated", output::bytes(memory)),
        ("images/s, measured", format!("{:.1}", 1.0 / per_image)),
        ("time, expected", output::duration(expected)),
    ];
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output::print(&output::table(&rows));
    Ok(())
}

/// The expected seconds of the whole run, when training takes `per_image` seconds for an image.
pub(crate) fn expected_seconds(plan: &Plan, per_image: f64) -> f64 {
    let total = plan.schedule.total_steps();
    let trained = total * plan.recipe.train.batch as u64;
    let evaluations = (0..total).filter(|&step| plan.schedule.evaluate_at(step)).count() as u64;
    let evaluated = evaluations * plan.dataset.validation.len() as u64;
    // Backward costs about twice what forward does.
    per_image * (trained as f64 + evaluated as f64 / 3.0)
}

/// Times training steps on a small part of made-up images.
pub(crate) fn seconds_per_image(plan: &Plan) -> Result<f64> {
    let images = TRIAL_IMAGES.min(plan.recipe.part_images());
    let model = drawn(&plan.recipe, plan.network.clone(), &nn::cpu());
    let mut timing = Timing::new(&plan.recipe, model, images, plan.recipe.preprocess.side());
    timing.step()?;
    let seconds = timing.step()?.min(timing.step()?);
    Ok(seconds / (images * plan.recipe.train.parts) as f64)
}

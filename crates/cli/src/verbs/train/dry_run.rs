//! `trickbag train --dry-run`: what a run would take.

use std::time::Instant;

use anyhow::Result;
use nn::{Mode, Pass, Tensor, TensorData, cross_entropy};
use serde_json::json;
use train::{Plan, State};

use crate::output::{self, grouped};

/// Images of a trial step: enough to keep all cores busy, few enough to fit anywhere.
const TRIAL_BATCH: usize = 16;

pub(crate) fn print(plan: &Plan, as_json: bool) -> Result<()> {
    let recipe = &plan.recipe;
    let total = plan.schedule.total_steps();
    let per_image = seconds_per_image(plan);
    let trained = total * recipe.train.batch as u64;
    let evaluations = (0..total).filter(|&step| plan.schedule.evaluate_at(step)).count() as u64;
    let evaluated = evaluations * plan.dataset.validation.len() as u64;
    // Backward costs about twice what forward does.
    let expected = per_image * (trained as f64 + evaluated as f64 / 3.0);
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

/// Times training steps on a small batch of made-up images.
fn seconds_per_image(plan: &Plan) -> f64 {
    let device = nn::cpu();
    let mut state = State::initial(&plan.recipe, plan.network.clone(), &device);
    let (batch, side) = (TRIAL_BATCH.min(plan.recipe.train.batch), plan.recipe.preprocess.size);
    let classes = plan.network.classes();
    let values = (0..batch * side * side * 3).map(|i| (i % 255) as f32 / 128.0 - 1.0).collect();
    let x =
        Tensor::<4>::from_data(TensorData::new::<f32, _>(values, [batch, side, side, 3]), &device);
    let p = Tensor::<2>::full([batch, classes], 1.0 / classes as f32, &device);
    let mut step = || {
        let started = Instant::now();
        let leaves = state.model.parameters.tracked();
        let statistics = &mut state.model.statistics;
        let mut pass = Pass { mode: Mode::Train, leaves: &leaves, statistics };
        let loss = cross_entropy(plan.network.forward(&mut pass, x.clone()), p.clone());
        let gradients = leaves.gradients(loss);
        let hyper = |_| nn::Nag { rate: 0.0, momentum: 0.9, decay: 0.0 };
        state.velocity.update(&mut state.model.parameters, gradients, hyper);
        started.elapsed().as_secs_f64() / batch as f64
    };
    step();
    step().min(step())
}

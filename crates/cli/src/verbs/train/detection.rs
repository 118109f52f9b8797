//! `trickbag train` of a detector.

use std::time::Instant;

use anyhow::Result;
use detect::{
    AveragePrecision, Detect, DetectError, DetectPlan, DetectRun, TrainingScene, drawn_detector,
};
use nn::{Module, TensorData};
use record::{Best, MeasureColumns};
use serde_json::json;
use train::{Journal, Measure};
use world::World;

use super::{Command, Resolved, TaskRun, to_end};
use crate::output::{self, grouped};
use crate::ranks;
use crate::verbs;

pub(crate) fn run(command: &Command, resolved: Resolved, world: &mut World) -> Result<()> {
    let args = command.args;
    let Resolved { recipe, text } = resolved;
    let plan = DetectPlan::new(recipe, args.data.as_deref(), args.resume);
    let plan = plan.map_err(|error| match error {
        DetectError::Recipe(errors) => text.located(errors).into(),
        other => other.into(),
    });
    let plan = ranks::together(world, plan)?;
    if args.dry_run {
        return if world.rank() == 0 { dry_run(&plan, args.json) } else { Ok(()) };
    }
    let environment = verbs::environment(command.threads, &plan.dataset, world);
    let name = plan.recipe.name.clone();
    to_end(command, &name, environment, world, |start, world| {
        Ok(DetectRun::start(plan, start, world)?)
    })
}

impl TaskRun for DetectRun {
    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn steps(&self) -> [u64; 2] {
        [self.state.step, self.plan.schedule.total_steps()]
    }

    fn best(&self) -> Option<Best> {
        self.state.best
    }

    fn columns(&self) -> MeasureColumns {
        AveragePrecision::columns()
    }

    fn introduce(&self, _world: &World) {
        let DetectRun { plan, state, journal, bytes } = self;
        let (recipe, dataset) = (&plan.recipe, &plan.dataset);
        output::note(&format!(
            "{}: {} ({:.2} M parameters)",
            recipe.name,
            plan.detector.name(),
            state.model.parameters.count() as f64 / 1e6,
        ));
        let boxes: usize =
            (0..dataset.train.len()).map(|index| dataset.train.annotation(index).0.len()).sum();
        output::note(&format!(
            "{}: {} training images with {} boxes and {} validation images in {} classes, {}",
            dataset.name,
            grouped(dataset.train.len() as u64),
            grouped(boxes as u64),
            grouped(dataset.validation.len() as u64),
            dataset.classes.len(),
            output::bytes(*bytes),
        ));
        let parameters = &state.model.parameters;
        output::note(&format!(
            "{} steps of {} images; rate {} after {} steps of warm-up; {} of {} tensors are trained; run folder {}",
            grouped(plan.schedule.total_steps()),
            recipe.train.batch,
            plan.schedule.initial_rate(),
            plan.schedule.warmup_steps(),
            parameters.trainable().count(),
            parameters.iter().count(),
            journal.folder().display(),
        ));
    }

    fn train_to_end(&mut self, command: &Command, world: &mut World) -> Result<Option<Vec<f64>>> {
        Ok(DetectRun::train_to_end(self, command.threads.loader(), world)?)
    }
}

/// Prints what a run would take.
fn dry_run(plan: &DetectPlan, as_json: bool) -> Result<()> {
    let total = plan.schedule.total_steps();
    let seconds = seconds_per_image(plan);
    let images = total * plan.recipe.train.batch as u64;
    let evaluations = (0..total).filter(|&step| plan.schedule.evaluate_at(step)).count() as u64;
    let evaluated = evaluations * plan.dataset.validation.len() as u64;
    // Backward costs about twice what forward does.
    let expected = seconds * (images as f64 + evaluated as f64 / 3.0);
    if as_json {
        output::json(&json!({
            "recipe": plan.recipe.name,
            "network": plan.detector.name(),
            "steps": total,
            "steps_per_epoch": plan.steps_per_epoch,
            "train_images": plan.dataset.train.len(),
            "validation_images": plan.dataset.validation.len(),
            "classes": plan.dataset.classes.len(),
            "images_per_second": 1.0 / seconds,
            "expected_seconds": expected,
        }));
        return Ok(());
    }
    let rows = [
        ("recipe", plan.recipe.name.clone()),
        ("network", plan.detector.name().to_owned()),
        ("data", plan.dataset.name.clone()),
        ("training images", grouped(plan.dataset.train.len() as u64)),
        ("validation images", grouped(plan.dataset.validation.len() as u64)),
        ("classes", plan.dataset.classes.join(", ")),
        ("steps", format!("{} ({} an epoch)", grouped(total), grouped(plan.steps_per_epoch))),
        ("images/s, measured", format!("{:.2}", 1.0 / seconds)),
        ("time, expected", output::duration(expected)),
    ];
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output::print(&output::table(&rows));
    Ok(())
}

/// Times the gradient of a made-up image, the better of two.
fn seconds_per_image(plan: &DetectPlan) -> f64 {
    let side = plan.detector.settings.side;
    let (height, width) = (side, side * 4 / 3);
    let model = drawn_detector(&plan.recipe, plan.detector.clone(), &nn::cpu());
    let task = Detect::new(plan.recipe.train.precision, plan.dataset.clone());
    let values = (0..height * width * 3).map(|at| (at * 31 % 101) as f32 / 50.0 - 1.0);
    let image = TensorData::new(values.collect::<Vec<f32>>(), [1, height, width, 3]);
    let half = side as f32 / 2.0;
    let scene = TrainingScene { image, objects: vec![([0.2 * half, 0.3 * half, half, half], 0)] };
    let time = || {
        let start = Instant::now();
        train::gradient(&task, &model, scene.clone());
        start.elapsed().as_secs_f64()
    };
    time().min(time())
}

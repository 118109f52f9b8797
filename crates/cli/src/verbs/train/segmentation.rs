//! `trickbag train` of a segmenter.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use nn::{ClassMaps, Module, TensorData};
use record::{Best, MeasureColumns};
use segment::{
    Crops, MeanIou, RepeatedCrops, Segment, SegmentError, SegmentPlan, SegmentRun, drawn_segmenter,
};
use serde_json::json;
use train::{Hyper, Journal, Measure, State};
use world::World;

use super::{Command, Resolved, TaskRun, to_end};
use crate::output::{self, grouped};
use crate::ranks;
use crate::verbs;

/// Crops of a part of a timed step.
const TRIAL_IMAGES: usize = 4;

pub(crate) fn run(command: &Command, resolved: Resolved, world: &mut World) -> Result<()> {
    let args = command.args;
    let Resolved { recipe, text } = resolved;
    let plan = SegmentPlan::new(recipe, args.data.as_deref(), args.resume);
    let plan = plan.map_err(|error| match error {
        SegmentError::Recipe(errors) => text.located(errors).into(),
        other => other.into(),
    });
    let plan = ranks::together(world, plan)?;
    if args.dry_run {
        return if world.rank() == 0 { dry_run(&plan, args.json) } else { Ok(()) };
    }
    let environment = verbs::environment(command.threads, &plan.dataset, world);
    let name = plan.recipe.name.clone();
    to_end(command, &name, environment, world, |start, world| {
        Ok(SegmentRun::start(plan, start, world)?)
    })
}

impl TaskRun for SegmentRun {
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
        MeanIou::columns()
    }

    fn introduce(&self, _world: &World) {
        let SegmentRun { plan, state, journal, bytes } = self;
        let (recipe, dataset) = (&plan.recipe, &plan.dataset);
        output::note(&format!(
            "{}: {} ({:.2} M parameters), stride {}",
            recipe.name,
            plan.segmenter.name(),
            state.model.parameters.count() as f64 / 1e6,
            plan.segmenter.stride(),
        ));
        output::note(&format!(
            "{}: {} training and {} validation images with masks of {} classes, {}",
            dataset.name,
            grouped(dataset.train.len() as u64),
            grouped(dataset.validation.len() as u64),
            dataset.classes.len(),
            output::bytes(*bytes),
        ));
        output::note(&format!(
            "{} steps of {} crops of {side}×{side} pixels; rate {} after {} steps of warm-up; {} of {} tensors are trained; \
             run folder {}",
            grouped(plan.schedule.total_steps()),
            recipe.train.batch,
            plan.schedule.initial_rate(),
            plan.schedule.warmup_steps(),
            state.model.parameters.trainable().count(),
            state.model.parameters.iter().count(),
            journal.folder().display(),
            side = recipe.segmentation().crop,
        ));
    }

    fn train_to_end(&mut self, command: &Command, world: &mut World) -> Result<Option<Vec<f64>>> {
        Ok(SegmentRun::train_to_end(self, command.threads.loader(), world)?)
    }
}

/// Prints what a run would take.
fn dry_run(plan: &SegmentPlan, as_json: bool) -> Result<()> {
    let total = plan.schedule.total_steps();
    let per_image = seconds_per_image(plan)?;
    let seconds = per_image * (total * plan.recipe.train.batch as u64) as f64;
    let memory = plan.memory_estimate();
    if as_json {
        output::json(&json!({
            "recipe": plan.recipe.name,
            "network": plan.segmenter.name(),
            "steps": total,
            "steps_per_epoch": plan.steps_per_epoch,
            "train_images": plan.dataset.train.len(),
            "validation_images": plan.dataset.validation.len(),
            "classes": plan.dataset.classes.len(),
            "memory_bytes": memory,
            "images_per_second": 1.0 / per_image,
            "expected_seconds": seconds,
        }));
        return Ok(());
    }
    let rows = [
        ("recipe", plan.recipe.name.clone()),
        ("network", plan.segmenter.name().to_owned()),
        ("data", plan.dataset.name.clone()),
        ("training images", grouped(plan.dataset.train.len() as u64)),
        ("validation images", grouped(plan.dataset.validation.len() as u64)),
        ("classes", plan.dataset.classes.len().to_string()),
        ("steps", format!("{} ({} an epoch)", grouped(total), grouped(plan.steps_per_epoch))),
        ("memory, estimated", output::bytes(memory)),
        ("images/s, measured", format!("{:.2}", 1.0 / per_image)),
        ("time without evaluations, expected", output::duration(seconds)),
    ];
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output::print(&output::table(&rows));
    Ok(())
}

/// Times training steps on made-up crops.
fn seconds_per_image(plan: &SegmentPlan) -> Result<f64> {
    let recipe = &plan.recipe;
    let images = TRIAL_IMAGES.min(recipe.part_images());
    let side = recipe.segmentation().crop;
    let classes = plan.dataset.classes.len();
    let pixels = images * side * side;
    let values = (0..pixels * 3).map(|at| (at % 251) as f32 / 125.0 - 1.0).collect::<Vec<_>>();
    let maps = ClassMaps {
        n: images,
        height: side,
        width: side,
        classes: (0..pixels).map(|at| (at / 97 % classes) as u16).collect(),
    };
    let images_data = TensorData::new(values, [images, side, side, 3]);
    let mut feed = RepeatedCrops(Crops { images: images_data, maps: Arc::new(maps) });
    let task = Segment::bare(recipe);
    let model = drawn_segmenter(recipe, plan.segmenter.clone(), &nn::cpu());
    let mut state = State::initial(recipe, model);
    let mut hyper = Hyper::of(recipe, recipe.rate.base);
    hyper.parts = 1;
    let mut seconds = f64::INFINITY;
    for _ in 0..2 {
        let start = Instant::now();
        let nothing = || Ok(train::Control::default());
        train::step(&task, &mut feed, &mut state, &mut World::alone(), &hyper, nothing)?;
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    Ok(seconds / images as f64)
}

//! What a journal writes down, and what it refuses to save.

use std::fs;
use std::path::Path;

use nn::Model;
use recipe::Schedule;
use record::names;
use serde_json::json;
use world::World;

use super::fixtures::{Levels, Net, Share, Sides, model, no_request, recipe};
use crate::{
    Course, Hyper, ImageFacts, Journal, Measure, NotFinite, RunSources, Start, State, TrainError,
    checkpoint, step,
};

/// The journal of a new run of 20 steps, 10 an epoch.
fn journal(folder: &Path, edits: &[&str]) -> Journal {
    of_rank(folder, edits, false, &mut World::alone()).unwrap().0
}

/// The journal of one of several ranks, and what it goes on from.
pub(super) fn of_rank(
    folder: &Path,
    edits: &[&str],
    resume: bool,
    world: &mut World,
) -> Result<(Journal, Option<checkpoint::Checkpoint>), TrainError> {
    let short = ["train.duration=20 steps", "rate.warmup=off", "rate.decay={ cosine = {} }"];
    let recipe = recipe(&[&short[..], edits].concat());
    let hash = || "0".to_owned();
    let course = Course {
        schedule: Schedule::new(&recipe, 10).expect("a run of 20 steps"),
        recipe,
        steps_per_epoch: 10,
        measure: Share::columns(),
        dataset: "levels".to_owned(),
        classes: vec!["low".to_owned(), "high".to_owned()],
        sources: RunSources {
            images: ImageFacts { training: 320, validation: 21, names: hash(), sizes: hash() },
            teacher: None,
            origin: None,
        },
    };
    let device = nn::cpu();
    let start = Start { folder, resume, device: &device, environment: json!({}) };
    let models = ["resnet18d".to_owned()];
    Journal::start(course, &start, &models, world)
}

fn saved(folder: &Path) -> Vec<u64> {
    let checkpoints = checkpoint::list(&folder.join(names::CHECKPOINTS));
    checkpoints.into_iter().map(|(step, _)| step).collect()
}

#[test]
fn a_state_that_is_not_finite_is_never_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = journal(folder.path(), &[]);
    let recipe = recipe(&[]);
    let mut state: State<Net> = State::initial(&recipe, model());
    state.step = 1;
    journal.save(&state, &mut World::alone()).unwrap();
    for strange in [f32::NAN, f32::INFINITY] {
        let mut tensors = state.model.tensors();
        tensors.get_mut("conv.weight").unwrap().values[7] = strange;
        let model = Model::from_tensors(Net::new(), tensors, &nn::cpu()).unwrap();
        let spoiled = State { step: 2, ..State::initial(&recipe, model) };
        let error = journal.save(&spoiled, &mut World::alone()).unwrap_err();
        assert!(error.is_divergence());
        let text = error.to_string();
        assert!(text.starts_with("conv.weight became infinite or NaN at step 2"), "{text}");
        assert!(text.contains("the checkpoint of step 1 in "), "{text}");
        assert_eq!(saved(folder.path()), [1]);
    }
}

#[test]
fn an_evaluation_that_is_not_finite_ends_the_run_and_is_not_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = journal(folder.path(), &[]);
    let mut state: State<Net> = State::initial(&recipe(&[]), model());
    for (step, answer) in [(10, 1.0), (15, 0.5)] {
        state.step = step;
        journal.record_evaluation(&mut state, &Share(vec![answer]), &mut World::alone()).unwrap();
        journal.save(&state, &mut World::alone()).unwrap();
    }
    state.step = 20;
    let error = journal
        .record_evaluation(&mut state, &Share(vec![f32::INFINITY]), &mut World::alone())
        .unwrap_err();
    let what = match &error {
        TrainError::NotFinite { what, step: 20, .. } => what,
        other => panic!("{other}"),
    };
    assert_eq!(*what, NotFinite::Evaluation("mean".to_owned(), f64::INFINITY));
    let text = error.to_string();
    let words = "the checkpoint of step 15 in ";
    assert!(text.contains(words) && text.contains("the best evaluation, at step 10"), "{text}");
    assert_eq!(state.best.map(|best| best.step), Some(10));
    assert_eq!(saved(folder.path()), [10, 15]);
    let rows = fs::read_to_string(folder.path().join(names::METRICS_JSONL)).unwrap();
    assert_eq!(rows.lines().count(), 3, "the last evaluation is told too: {rows}");
}

#[test]
fn steps_that_were_skipped_for_an_overflow_are_counted_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let edits = ["train.precision=f16"];
    let mut journal = journal(folder.path(), &edits);
    let recipe = recipe(&edits);
    let mut state: State<Net> = State::initial(&recipe, model());
    let mut feed = Levels { bad: vec![(1, 0), (2, 0)], ..Levels::default() };
    let task = Sides(recipe.train.precision);
    let hyper = Hyper { parts: 1, ..Hyper::of(&recipe, 0.1) };
    for _ in 0..4 {
        let mut world = World::alone();
        let report = step(&task, &mut feed, &mut state, &mut world, &hyper, no_request);
        journal.record_step(report.unwrap(), &mut world).unwrap();
    }
    let rows = fs::read_to_string(folder.path().join(names::METRICS_JSONL)).unwrap();
    let row = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let skipped: Vec<u64> =
        rows.lines().map(|line| row(line)["skipped"].as_u64().unwrap_or(0)).collect();
    assert_eq!(skipped, [0, 1, 1, 0]);
    assert_eq!(row(rows.lines().last().unwrap())["loss_scale"], 16_384.0);
}

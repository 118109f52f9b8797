//! What a step moves, what it reports, and what it leaves alone.

use nn::Precision;
use tricks::loss_scaling::{LossScaling, MOST_OVERFLOWS};
use world::World;

use super::fixtures::{Levels, Net, Sides, model, no_request, recipe};
use crate::{Hyper, NotFinite, Report, State, TrainError, step};

fn one(
    state: &mut State<Net>,
    feed: &mut Levels,
    edits: &[&str],
    rate: f64,
) -> Result<Report, TrainError> {
    let recipe = recipe(edits);
    let task = Sides(recipe.train.precision);
    let hyper = Hyper::of(&recipe, rate);
    step(&task, feed, state, &mut World::alone(), &hyper, no_request)
}

/// Every bit of the state but its step and its loss scale.
fn bits(state: &State<Net>, edits: &[&str]) -> Vec<(String, Vec<u32>)> {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    let tensors = state.tensors(&recipe(edits).update.optimizer);
    tensors.iter().map(|(name, tensor)| (name.clone(), bits(&tensor.values))).collect()
}

#[test]
fn a_step_moves_everything_and_reports_its_loss() {
    for edits in [&["train.parts=1"][..], &["train.parts=4"], &["average.decay=0.5"]] {
        let mut state = State::initial(&recipe(edits), model());
        let before = bits(&state, edits);
        let report = one(&mut state, &mut Levels::default(), edits, 0.1).unwrap();
        assert_eq!((report.step, state.step, report.overflowed), (1, 1, false));
        let [(once, a), (twice, b)] = report.terms[..] else { panic!("two terms") };
        assert_eq!((once, twice), ("once", "twice"));
        assert!((a + b - report.loss).abs() < 1e-6 && (2.0 * a - b).abs() < 1e-6, "{report:?}");
        assert!(report.gradient_norm > 0.0 && report.gradient_norm.is_finite());
        let parts = recipe(edits).train.parts as u128;
        assert_eq!(report.waited.as_millis(), parts);
        for ((name, before), (_, after)) in before.iter().zip(bits(&state, edits)) {
            assert_ne!(*before, after, "{name} stood still");
        }
    }
}

#[test]
fn an_overflow_moves_nothing_but_the_step_and_the_loss_scale() {
    let edits = &["train.precision=f16", "train.parts=4", "average.decay=0.5"];
    let mut state = State::initial(&recipe(edits), model());
    let mut feed = Levels { bad: vec![(1, 2)], ..Levels::default() };
    one(&mut state, &mut feed, edits, 0.1).unwrap();
    let before = bits(&state, edits);
    let report = one(&mut state, &mut feed, edits, 0.1).unwrap();
    assert!(report.overflowed);
    assert_eq!(state.step, 2);
    assert_eq!(report.loss_scale, Some(65_536.0));
    let halved = LossScaling { scale: 32_768.0, good_steps: 0, overflows: 1 };
    assert_eq!(state.loss_scaling, Some(halved));
    assert!(bits(&state, edits) == before, "a skipped step moved something");
    let report = one(&mut state, &mut feed, edits, 0.1).unwrap();
    assert!(!report.overflowed);
    assert_ne!(bits(&state, edits), before);
    let good = LossScaling { scale: 32_768.0, good_steps: 1, overflows: 0 };
    assert_eq!(state.loss_scaling, Some(good));
}

/// The gradient of a real pass under a scale far too great: it overflows until the scale has fallen, and training goes on.
#[test]
fn a_scale_that_is_too_great_falls_until_the_gradient_fits() {
    let edits = &["train.precision=f16"];
    let mut state = State::initial(&recipe(edits), model());
    let start = LossScaling { scale: 2f32.powi(40), good_steps: 1_990, overflows: 0 };
    state.loss_scaling = Some(start);
    let before = bits(&state, edits);
    let mut skipped = 0;
    while one(&mut state, &mut Levels::default(), edits, 0.1).unwrap().overflowed {
        skipped += 1;
        assert!(bits(&state, edits) == before, "a skipped step moved something");
        let scale = state.loss_scale().expect("f16 scales");
        assert_eq!(scale, 2f32.powi(40 - skipped));
    }
    assert!((2..60).contains(&skipped), "{skipped} steps overflowed");
    assert_eq!(state.step, skipped as u64 + 1);
    let after = bits(&state, edits);
    assert_ne!(after, before);
    assert!(after.iter().flat_map(|(_, bits)| bits).all(|&bits| f32::from_bits(bits).is_finite()));
}

#[test]
fn a_hundred_overflows_in_a_row_stop_the_run() {
    let edits = &["train.precision=f16"];
    let mut state = State::initial(&recipe(edits), model());
    let bad = (0..200).map(|step| (step, 0)).collect();
    let mut feed = Levels { bad, ..Levels::default() };
    let error = (0..200).find_map(|_| one(&mut state, &mut feed, edits, 0.1).err());
    assert!(matches!(error, Some(TrainError::OnlyOverflows { .. })), "{error:?}");
    assert_eq!(state.step, u64::from(MOST_OVERFLOWS));
}

#[test]
fn without_a_loss_scale_what_is_not_finite_stops_the_run_before_anything_moves() {
    for precision in ["train.precision=f32", "train.precision=bf16"] {
        let edits = &[precision, "train.parts=2"];
        let mut state = State::initial(&recipe(edits), model());
        let before = bits(&state, edits);
        let mut feed = Levels { bad: vec![(0, 1)], ..Levels::default() };
        let error = one(&mut state, &mut feed, edits, 0.1).unwrap_err();
        assert!(error.is_divergence());
        let text = error.to_string();
        assert!(text.contains("at step 0") && text.contains("lower rate"), "{text}");
        assert_eq!(state.step, 0);
        assert!(bits(&state, edits) == before, "{precision}");
        let gradient =
            TrainError::NotFinite { what: NotFinite::Gradient, step: 7, rate: 0.5, place: None };
        assert!(gradient.to_string().starts_with("the gradient became infinite or NaN at step 7"));
    }
}

/// A clipped gradient moves the weights by no more than the limit allows.
#[test]
fn gradients_are_clipped_by_their_norm_or_number_by_number() {
    let moved = |clip: &[&str]| -> Vec<f64> {
        let edits =
            [&["update.optimizer={ sgd = { momentum = 0.0 } }", "update.decay=0.0"], clip].concat();
        let mut state = State::initial(&recipe(&edits), model());
        let before = state.model.tensors();
        one(&mut state, &mut Levels::default(), &edits, 1.0).unwrap();
        let after = state.model.tensors();
        let learned = before.iter().filter(|(name, _)| !name.contains("running"));
        let moved = learned.flat_map(|(name, before)| {
            let pairs = before.values.iter().zip(&after[name].values);
            pairs.map(|(b, a)| f64::from(b - a)).collect::<Vec<_>>()
        });
        moved.collect()
    };
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let free = moved(&[]);
    let limit = norm(&free) / 3.0;
    let short = moved(&[&format!("update.clip={{ norm = {limit} }}")]);
    assert!((norm(&short) / limit - 1.0).abs() < 1e-4, "{} {limit}", norm(&short));
    for (short, free) in short.iter().zip(&free) {
        assert!((short - free / 3.0).abs() < 1e-5);
    }
    let greatest = free.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let cut = moved(&[&format!("update.clip={{ value = {} }}", greatest / 4.0)]);
    for (cut, free) in cut.iter().zip(&free) {
        assert!((cut - free.clamp(-greatest / 4.0, greatest / 4.0)).abs() < 1e-6);
    }
}

#[test]
fn heads_have_a_rate_of_their_own_and_biases_no_decay() {
    let hyper = Hyper::of(&recipe(&["rate.head=10", "update.decay=0.5"]), 0.1);
    for parameter in model().parameters.iter() {
        let nn::Rule::Nag(nag) = hyper.rule(&parameter.spec, 1) else { panic!("nag") };
        let name = parameter.spec.name.as_str();
        assert_eq!(nag.rate, if name.starts_with("fc") { 1.0 } else { 0.1 }, "{name}");
        let weight = ["conv.weight", "fc.weight"].contains(&name);
        assert_eq!(nag.decay, if weight { 0.5 } else { 0.0 }, "{name}");
        assert_eq!(nag.momentum, 0.9);
    }
}

#[test]
fn every_optimizer_learns() {
    for optimizer in [
        "{ nag = { momentum = 0.9 } }",
        "{ sgd = { momentum = 0.9 } }",
        "{ adamw = { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } }",
    ] {
        let edit = format!("update.optimizer={optimizer}");
        let edits = &[edit.as_str(), "train.parts=4"];
        let mut state = State::initial(&recipe(edits), model());
        let mut losses = Vec::new();
        for _ in 0..40 {
            losses.push(one(&mut state, &mut Levels::default(), edits, 0.02).unwrap().loss);
        }
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        assert!(mean(&losses[30..]) < 0.7 * mean(&losses[..5]), "{optimizer}: {losses:?}");
    }
}

/// Halves of an image's loss are what its whole is, in f16 too.
#[test]
fn a_loss_in_halves_is_near_that_in_f32() {
    let loss = |precision: &str| {
        let edits = &[precision, "train.parts=2"];
        let mut state = State::initial(&recipe(edits), model());
        one(&mut state, &mut Levels::default(), edits, 0.1).unwrap().loss
    };
    let whole = loss("train.precision=f32");
    for precision in ["train.precision=f16", "train.precision=bf16"] {
        let found = loss(precision);
        assert!(
            found != whole && (found / whole - 1.0).abs() < 0.02,
            "{precision}: {found} {whole}"
        );
    }
    assert_eq!(Sides(Precision::F32).0, Precision::F32);
}

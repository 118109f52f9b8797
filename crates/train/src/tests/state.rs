//! A state to its checkpoint and back, and its average.

use nn::{Model, Tensor};
use recipe::Recipe;

use super::fixtures::{Net, model, recipe};
use crate::checkpoint::{Checkpoint, RunFacts};
use crate::{State, TrainError};

/// Three updates by gradients of ones at rate 1 without momentum: each takes 1 from every parameter.
fn updated(recipe: &Recipe) -> State<Net> {
    let mut state = State::initial(recipe, model());
    for _ in 0..3 {
        let ones = |p: &nn::Parameter| Tensor::ones([p.spec.len()], &nn::cpu());
        let gradients = state.model.parameters.iter().map(ones).collect();
        let still = nn::Rule::Sgd(nn::Sgd { rate: 1.0, momentum: 0.0, decay: 0.0 });
        let adam = nn::Rule::AdamW(nn::AdamW {
            rate: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            decay: 0.0,
            step: state.step + 1,
        });
        let slots = state.slots.iter().next().expect("a parameter").len();
        let observed = Default::default();
        state.update(gradients, &observed, |_, _| if slots == 1 { still } else { adam });
    }
    state
}

fn checkpoint(state: &State<Net>, recipe: &Recipe) -> Checkpoint {
    let facts = RunFacts {
        recipe: String::new(),
        instruction_set: String::new(),
        best: None,
        loss_scaling: state.loss_scaling.map(Into::into),
        work_seconds: 0.0,
        images: 0,
        classes: Vec::new(),
        sources: None,
    };
    let tensors = state.tensors(&recipe.update.optimizer);
    Checkpoint { step: state.step, facts, tensors }
}

/// θ₀ − θ̄ after 1, 2, 3 updates: (1 − d₁), then d (…) + (1 − d) t.
#[test]
fn the_average_follows_the_weights_and_is_what_is_evaluated() {
    let state = updated(&recipe(&["average.decay=0.5"]));
    assert_eq!(state.step, 3);
    let keep = [2.0 / 11.0, 3.0 / 12.0, 4.0 / 13.0];
    let behind =
        keep.iter().zip(1..).fold(0.0, |average, (d, t)| d * average + (1.0 - d) * f64::from(t));
    let value = |model: &Model<Net>| f64::from(model.tensors()["fc.bias"].values[0]);
    assert_eq!(value(&state.model), -3.0);
    assert!((value(state.evaluated()) + behind).abs() < 1e-6);

    let plain = updated(&recipe(&[]));
    assert!(plain.average.is_none());
    assert_eq!(value(plain.evaluated()), -3.0);
}

const ADAMW: &str = "update.optimizer={ adamw = { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } }";

#[test]
fn a_checkpoint_brings_everything_back() {
    for edits in [&["average.decay=0.5"][..], &[], &[ADAMW], &[ADAMW, "average.decay=0.5"]] {
        let recipe = recipe(edits);
        let state = updated(&recipe);
        let restored =
            State::restored(&recipe, Net::new(), checkpoint(&state, &recipe), &nn::cpu());
        let restored = restored.expect("its own checkpoint");
        assert_eq!(restored.step, state.step);
        let optimizer = &recipe.update.optimizer;
        assert!(restored.tensors(optimizer) == state.tensors(optimizer), "{edits:?}");
    }
}

#[test]
fn a_checkpoint_keeps_the_loss_scale() {
    let recipe = recipe(&["train.precision=f16"]);
    let mut state = updated(&recipe);
    state.skip();
    let restored = State::restored(&recipe, Net::new(), checkpoint(&state, &recipe), &nn::cpu());
    let restored = restored.expect("its own checkpoint").loss_scaling;
    assert_eq!(restored, state.loss_scaling);
    assert_eq!(restored.map(|scaling| (scaling.scale, scaling.overflows)), Some((32_768.0, 1)));
}

#[test]
fn a_checkpoint_without_what_the_recipe_asks_for_is_of_another_run() {
    let plain = recipe(&[]);
    let state = updated(&plain);
    for edits in ["average.decay=0.5", ADAMW] {
        let other = recipe(&[edits]);
        let restored = State::restored(&other, Net::new(), checkpoint(&state, &plain), &nn::cpu());
        let error = restored.expect_err("another run's");
        assert!(
            matches!(error, TrainError::CheckpointOfAnother { step: 3, .. }),
            "{edits}: {error}"
        );
    }
}

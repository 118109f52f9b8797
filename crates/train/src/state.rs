//! The whole state of a run: everything that the next step depends on.

use std::collections::BTreeMap;

use nn::{Device, Nag, ParameterSpec, Tensor, Velocity};
use recipe::Recipe;
use record::Best;
use tricks::loss_scaling::LossScaling;
use tricks::weight_average;
use zoo::{FileTensors, Model, Network, from_file_layout, to_file_tensor};

use crate::checkpoint::{Checkpoint, RunFacts};
use crate::error::TrainError;

/// What Algorithm 1 moves.
#[derive(Debug)]
pub struct State {
    /// Steps done.
    pub step: u64,
    pub model: Model,
    pub velocity: Velocity,
    /// The average of the models so far, where the recipe wants one.
    pub average: Option<Average>,
    /// §3.2, where the recipe scales the loss.
    pub loss_scaling: Option<LossScaling>,
    /// The best validation accuracy so far.
    pub best: Option<Best>,
}

/// An exponential moving average of models.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    model: Model,
}

/// In a checkpoint an average stands beside its tensor under this prefix.
const AVERAGE: &str = "average:";

/// In a checkpoint a velocity stands beside its parameter under this prefix.
const VELOCITY: &str = "velocity:";

impl State {
    /// At step 0, with everything at rest.
    pub fn initial(recipe: &Recipe, model: Model) -> State {
        let velocity = Velocity::zeros(&model.parameters, &model.device);
        let average =
            |average: recipe::Average| Average { decay: average.decay, model: model.copy() };
        let average = recipe.average.map(average);
        let loss_scaling = scales(recipe).then(LossScaling::start);
        State { step: 0, model, velocity, average, loss_scaling, best: None }
    }

    /// What the loss is multiplied with before its gradient is taken.
    pub fn loss_scale(&self) -> Option<f32> {
        self.loss_scaling.map(|scaling| scaling.scale)
    }

    /// update(net, grad): a step further. Where the gradient overflowed, only the step and the loss scale move: the batch
    /// has been seen (by the running statistics too), and the schedule goes on.
    pub fn update(
        &mut self,
        gradients: Option<Vec<Tensor<1>>>,
        hyper: impl Fn(&ParameterSpec) -> Nag,
    ) {
        self.step += 1;
        let overflow = gradients.is_none();
        self.loss_scaling = self.loss_scaling.map(|scaling| scaling.after_step(overflow));
        let Some(gradients) = gradients else { return };
        self.velocity.update(&mut self.model.parameters, gradients, hyper);
        if let Some(Average { decay, model }) = &mut self.average {
            let keep = weight_average::decay(self.step, *decay);
            model.average(keep as f32, &self.model);
        }
    }

    /// The model that evaluation measures and `model/` keeps: the average, where there is one.
    pub fn evaluated(&mut self) -> &mut Model {
        match &mut self.average {
            Some(average) => &mut average.model,
            None => &mut self.model,
        }
    }

    /// The tensors of a checkpoint.
    pub fn tensors(&self) -> FileTensors {
        let mut tensors = self.model.tensors();
        for (parameter, velocity) in self.model.parameters.trainable().zip(self.velocity.iter()) {
            let name = format!("{VELOCITY}{}", parameter.spec.name);
            tensors.insert(name, to_file_tensor(&parameter.spec, velocity));
        }
        if let Some(average) = &self.average {
            let named = |(name, tensor)| (format!("{AVERAGE}{name}"), tensor);
            tensors.extend(average.model.tensors().into_iter().map(named));
        }
        tensors
    }

    /// The state that a checkpoint of this recipe and network holds.
    pub fn restored(
        recipe: &Recipe,
        network: Network,
        checkpoint: Checkpoint,
        device: &Device,
    ) -> Result<State, TrainError> {
        let (velocities, models): (BTreeMap<_, _>, BTreeMap<_, _>) =
            checkpoint.tensors.into_iter().partition(|(name, _)| name.starts_with(VELOCITY));
        let (averages, model): (BTreeMap<_, _>, BTreeMap<_, _>) =
            models.into_iter().partition(|(name, _)| name.starts_with(AVERAGE));
        let mismatch = |source| TrainError::CheckpointOfAnother { step: checkpoint.step, source };
        let model = Model::from_tensors(network.clone(), model, device).map_err(mismatch)?;
        let mut values = Vec::new();
        for parameter in model.parameters.trainable() {
            let spec = &parameter.spec;
            let stored = velocities.get(&format!("{VELOCITY}{}", spec.name));
            let Some(tensor) = stored.filter(|tensor| tensor.values.len() == spec.len()) else {
                let missing = vec![format!("{VELOCITY}{}", spec.name)];
                let network = model.network.name.clone();
                return Err(mismatch(zoo::Mismatch { network, missing, ..Default::default() }));
            };
            values.push(from_file_layout(spec, tensor.values.clone()));
        }
        let average = match recipe.average {
            Some(recipe::Average { decay }) => {
                let named =
                    |(name, tensor): (String, _)| (name[AVERAGE.len()..].to_owned(), tensor);
                let tensors = averages.into_iter().map(named).collect();
                let model = Model::from_tensors(network, tensors, device).map_err(mismatch)?;
                Some(Average { decay, model })
            }
            None => None,
        };
        let velocity = Velocity::new(values, device);
        let Checkpoint { step, facts: RunFacts { best, loss_scaling, .. }, .. } = checkpoint;
        let stored = loss_scaling.map_or_else(LossScaling::start, Into::into);
        let loss_scaling = scales(recipe).then_some(stored);
        Ok(State { step, model, velocity, average, loss_scaling, best })
    }
}

/// Whether a recipe scales the loss (§3.2).
fn scales(recipe: &Recipe) -> bool {
    recipe.train.loss_scale == Some(recipe::LossScale::Dynamic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::{Gradients, Mode, Pass, TensorData};

    fn recipe(edits: &[&str]) -> Recipe {
        let edits: Vec<String> = edits.iter().map(ToString::to_string).collect();
        let text = recipe::builtin("quickstart").expect("a built-in recipe");
        recipe::parse_with_edits(text, "quickstart", &edits, &zoo::names())
            .unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn network() -> Network {
        let shape = zoo::Shape { blocks: [1; 4], channels: [4, 4, 8, 8], stem_channels: 4 };
        let options = zoo::Options { shape: Some(shape), ..zoo::Options::plain(3) };
        zoo::network("resnet18d", &options).expect("a known name")
    }

    /// Three updates by gradients of ones at rate 1: each takes 1 from every parameter.
    fn updated(recipe: &Recipe) -> State {
        let model = crate::origin::drawn(recipe, network(), &nn::cpu());
        let mut state = State::initial(recipe, model);
        for _ in 0..3 {
            let gradients =
                state.model.parameters.iter().map(|p| Tensor::ones([p.spec.len()], &nn::cpu()));
            let gradients = gradients.collect();
            state.update(Some(gradients), |_| Nag { rate: 1.0, momentum: 0.0, decay: 0.0 });
        }
        state
    }

    fn checkpoint(state: &State) -> Checkpoint {
        let facts = RunFacts {
            recipe: String::new(),
            instruction_set: String::new(),
            best: None,
            loss_scaling: state.loss_scaling.map(Into::into),
            work_seconds: 0.0,
            images: 0,
            classes: Vec::new(),
        };
        Checkpoint { step: state.step, facts, tensors: state.tensors() }
    }

    /// θ₀ − θ̄ after 1, 2, 3 updates: (1 − d₁), then d (…) + (1 − d) t.
    #[test]
    fn the_average_follows_the_weights_and_is_what_is_evaluated() {
        let mut state = updated(&recipe(&["average.decay=0.5"]));
        assert_eq!(state.step, 3);
        let keep = [2.0 / 11.0, 3.0 / 12.0, 4.0 / 13.0];
        let behind = keep
            .iter()
            .zip(1..)
            .fold(0.0, |average, (d, t)| d * average + (1.0 - d) * f64::from(t));
        let value = |model: &Model| f64::from(model.tensors()["fc.bias"].values[0]);
        assert_eq!(value(&state.model), -3.0);
        assert!((value(state.evaluated()) + behind).abs() < 1e-6);

        let mut plain = updated(&recipe(&[]));
        assert!(plain.average.is_none());
        assert_eq!(value(plain.evaluated()), -3.0);
    }

    #[test]
    fn a_checkpoint_brings_everything_back() {
        for edits in [&["average.decay=0.5"][..], &[]] {
            let recipe = recipe(edits);
            let state = updated(&recipe);
            let restored = State::restored(&recipe, network(), checkpoint(&state), &nn::cpu());
            let restored = restored.expect("its own checkpoint");
            assert_eq!(restored.step, state.step);
            assert!(restored.tensors() == state.tensors(), "{edits:?}");
        }
    }

    /// The gradient of a real pass in f16 under a scale far too great: inf and NaN, which never reach the weights.
    #[test]
    fn a_forced_overflow_is_skipped_and_recovered_from() {
        let recipe = recipe(&["train.precision=f16", "average.decay=0.5"]);
        let model = crate::origin::drawn(&recipe, network(), &nn::cpu());
        let mut state = State::initial(&recipe, model);
        state.loss_scaling = Some(LossScaling { scale: 2f32.powi(40), good_steps: 1_990 });
        let images: Vec<f32> = (0..4 * 40 * 40 * 3).map(|i| (i * 37 % 101) as f32 / 50.0).collect();
        let images = Tensor::from_data(TensorData::new(images, [4, 40, 40, 3]), &nn::cpu());
        let target =
            Tensor::from_data(TensorData::new([0.0, 1.0, 0.0].repeat(4), [4, 3]), &nn::cpu());
        let gradients = |state: &mut State| {
            let leaves = state.model.parameters.tracked();
            let (statistics, noise) = (&mut state.model.statistics, 0);
            let mut pass = Pass { mode: Mode::Train, leaves: &leaves, statistics, noise };
            let x = nn::stored(images.clone(), nn::Precision::F16);
            let z = state.model.network.forward(&mut pass, x);
            let mut gradients = Gradients::of_loss_times(state.loss_scale());
            gradients.add(leaves, nn::cross_entropy(z, target.clone()));
            gradients
        };
        let before = state.tensors();
        let weights = |tensors: &FileTensors| -> FileTensors {
            let kept = tensors.iter().filter(|(name, _)| !name.contains("running_"));
            kept.map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
        };
        let (mut skipped, mut last) = (0, f32::INFINITY);
        loop {
            let gradients = gradients(&mut state);
            let overflow = gradients.overflowed();
            let gradients = (!overflow).then(|| gradients.scaled(1.0));
            let scale = state.loss_scale().expect("f16 scales");
            state.update(gradients, |_| Nag { rate: 0.1, momentum: 0.9, decay: 0.0 });
            if !overflow {
                break;
            }
            skipped += 1;
            assert!(scale < last, "the scale falls: {scale} after {last}");
            last = scale;
            assert_eq!(state.step, skipped);
            let halved = LossScaling { scale: scale / 2.0, good_steps: 0 };
            assert_eq!(state.loss_scaling, Some(halved));
            assert!(weights(&state.tensors()) == weights(&before), "a skipped step moves nothing");
        }
        assert!((2..60).contains(&skipped), "{skipped} steps overflowed");
        assert_eq!(state.loss_scaling.map(|scaling| scaling.good_steps), Some(1));
        let after = state.tensors();
        assert!(weights(&after) != weights(&before), "a good step moves the weights");
        assert!(after.values().all(|tensor| tensor.values.iter().all(|value| value.is_finite())));
    }

    #[test]
    fn a_checkpoint_keeps_the_loss_scale() {
        let recipe = recipe(&["train.precision=f16"]);
        let mut state = updated(&recipe);
        state.update(None, |_| unreachable!("nothing is updated"));
        assert_eq!(state.loss_scaling, Some(LossScaling { scale: 32_768.0, good_steps: 0 }));
        let restored = State::restored(&recipe, network(), checkpoint(&state), &nn::cpu());
        assert_eq!(restored.expect("its own checkpoint").loss_scaling, state.loss_scaling);
    }

    #[test]
    fn a_checkpoint_without_the_average_is_of_another_run() {
        let state = updated(&recipe(&[]));
        let recipe = recipe(&["average.decay=0.5"]);
        let restored = State::restored(&recipe, network(), checkpoint(&state), &nn::cpu());
        assert!(matches!(restored, Err(TrainError::CheckpointOfAnother { step: 3, .. })));
    }
}

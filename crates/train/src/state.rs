//! The whole state of a run: everything that the next step depends on.

use std::collections::BTreeMap;

use nn::{Device, Nag, ParameterSpec, Tensor, Velocity};
use recipe::Recipe;
use tricks::weight_average;
use zoo::{FileTensors, Model, Network, from_file_layout, to_file_tensor};

use crate::checkpoint::{Best, Checkpoint};
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
        State { step: 0, model, velocity, average, best: None }
    }

    /// update(net, grad): a step further.
    pub fn update(&mut self, gradients: Vec<Tensor<1>>, hyper: impl Fn(&ParameterSpec) -> Nag) {
        self.velocity.update(&mut self.model.parameters, gradients, hyper);
        self.step += 1;
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
        Ok(State { step: checkpoint.step, model, velocity, average, best: checkpoint.facts.best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::RunFacts;

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
            state.update(gradients, |_| Nag { rate: 1.0, momentum: 0.0, decay: 0.0 });
        }
        state
    }

    fn checkpoint(state: &State) -> Checkpoint {
        let facts = RunFacts {
            recipe: String::new(),
            instruction_set: String::new(),
            best: None,
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

    #[test]
    fn a_checkpoint_without_the_average_is_of_another_run() {
        let state = updated(&recipe(&[]));
        let recipe = recipe(&["average.decay=0.5"]);
        let restored = State::restored(&recipe, network(), checkpoint(&state), &nn::cpu());
        assert!(matches!(restored, Err(TrainError::CheckpointOfAnother { step: 3, .. })));
    }
}

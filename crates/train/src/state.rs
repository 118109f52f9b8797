//! The whole state of a run: everything that the next step depends on.

use std::collections::BTreeMap;

use data::Stream;
use nn::{Device, Init, Velocity};
use recipe::Recipe;
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
    /// The best validation accuracy so far.
    pub best: Option<Best>,
}

/// In a checkpoint a velocity stands beside its parameter under this prefix.
const VELOCITY: &str = "velocity:";

impl State {
    /// initialize(net), at step 0.
    pub fn initial(recipe: &Recipe, network: Network, device: &Device) -> State {
        let init = match recipe.network.init {
            recipe::Init::Xavier => Init::Xavier,
            recipe::Init::XavierChannels => Init::XavierChannels,
            recipe::Init::MsraPrelu => Init::MsraPrelu,
        };
        let rng = |index| data::at(recipe.seed, Stream::Init, 0, index as u64);
        let model = Model::initialized(network, init, recipe.network.last_gamma, device, rng);
        let velocity = Velocity::zeros(&model.parameters, device);
        State { step: 0, model, velocity, best: None }
    }

    /// The tensors of a checkpoint.
    pub fn tensors(&self) -> FileTensors {
        let mut tensors = self.model.tensors();
        for (parameter, velocity) in self.model.parameters.iter().zip(self.velocity.iter()) {
            let name = format!("{VELOCITY}{}", parameter.spec.name);
            tensors.insert(name, to_file_tensor(&parameter.spec, velocity));
        }
        tensors
    }

    /// The state that a checkpoint of this network holds.
    pub fn restored(
        network: Network,
        checkpoint: Checkpoint,
        device: &Device,
    ) -> Result<State, TrainError> {
        let (velocities, model): (BTreeMap<_, _>, BTreeMap<_, _>) =
            checkpoint.tensors.into_iter().partition(|(name, _)| name.starts_with(VELOCITY));
        let mismatch = |source| TrainError::CheckpointOfAnother { step: checkpoint.step, source };
        let model = Model::from_tensors(network, model, device).map_err(mismatch)?;
        let mut values = Vec::new();
        for parameter in model.parameters.iter() {
            let spec = &parameter.spec;
            let stored = velocities.get(&format!("{VELOCITY}{}", spec.name));
            let Some(tensor) = stored.filter(|tensor| tensor.values.len() == spec.len()) else {
                let missing = vec![format!("{VELOCITY}{}", spec.name)];
                let network = model.network.name.clone();
                return Err(mismatch(zoo::Mismatch { network, missing, ..Default::default() }));
            };
            values.push(from_file_layout(spec, tensor.values.clone()));
        }
        let velocity = Velocity::new(values, device);
        Ok(State { step: checkpoint.step, model, velocity, best: checkpoint.facts.best })
    }
}

//! The whole state of a run.

use std::collections::BTreeMap;

use nn::{
    Device, FileTensors, Mismatch, Model, Module, ParameterSpec, Rule, Slots, Tensor,
    from_file_layout, to_file_tensor,
};
use recipe::{Averaging, LossScale, Optimizer, Recipe};
use record::Best;
use tricks::loss_scaling::LossScaling;
use tricks::weight_average;

use crate::checkpoint::{Checkpoint, RunFacts};
use crate::error::TrainError;

/// Everything that the next training step depends on.
#[derive(Debug)]
pub struct State<M> {
    /// Steps done.
    pub step: u64,
    pub model: Model<M>,
    pub slots: Slots,
    /// The average of the models so far, where the recipe wants one.
    pub average: Option<Average<M>>,
    /// The loss scale (§3.2); None where the recipe does not scale the loss.
    pub loss_scaling: Option<LossScaling>,
    /// The best evaluation so far.
    pub best: Option<Best>,
}

/// An exponential moving average of models.
#[derive(Debug)]
pub struct Average<M> {
    decay: f64,
    model: Model<M>,
}

/// The prefix of an averaged tensor's name in a checkpoint.
const AVERAGE: &str = "average:";

/// The prefixes of the names of an optimizer's slots in a checkpoint.
const fn slot_prefixes(optimizer: &Optimizer) -> &'static [&'static str] {
    match optimizer {
        Optimizer::Nag { .. } | Optimizer::Sgd { .. } => &["velocity:"],
        Optimizer::Adamw { .. } => &["first_moment:", "second_moment:"],
    }
}

impl<M: Module> State<M> {
    /// The state before the first step: slots are zeros, and the average is the model.
    pub fn initial(recipe: &Recipe, model: Model<M>) -> State<M> {
        let count = slot_prefixes(&recipe.update.optimizer).len();
        let slots = Slots::zeros(count, &model.parameters, &model.device);
        let average = |by: Averaging| Average { decay: by.decay, model: model.copy() };
        let average = recipe.average.map(average);
        let loss_scaling = scales(recipe).then(LossScaling::start);
        State { step: 0, model, slots, average, loss_scaling, best: None }
    }

    /// The factor by which the loss is multiplied before its gradient is taken.
    pub fn loss_scale(&self) -> Option<f32> {
        self.loss_scaling.map(|scaling| scaling.scale)
    }

    /// update(net, grad): takes a step with the mean gradient of a batch and the mean of what its batch norms observed.
    /// `rule` gives the update of a parameter at a step, which counts from 1.
    pub(crate) fn update(
        &mut self,
        gradients: Vec<Tensor<1>>,
        observed: &BTreeMap<String, [Tensor<1>; 2]>,
        rule: impl Fn(&ParameterSpec, u64) -> Rule,
    ) {
        self.step += 1;
        self.loss_scaling = self.loss_scaling.map(|scaling| scaling.after_step(false));
        let (step, model) = (self.step, &mut self.model);
        self.slots.update(&mut model.parameters, gradients, |spec| rule(spec, step));
        model.statistics.observe(observed);
        if let Some(Average { decay, model }) = &mut self.average {
            let keep = weight_average::decay(self.step, *decay);
            model.average(keep as f32, &self.model);
        }
    }

    /// Takes a step without an update, because the scaled gradient overflowed: only the step and the loss scale change.
    pub(crate) fn skip(&mut self) {
        self.step += 1;
        self.loss_scaling = self.loss_scaling.map(|scaling| scaling.after_step(true));
    }

    /// The model that evaluation measures and `model/` keeps: the average, where there is one.
    pub fn evaluated(&self) -> &Model<M> {
        match &self.average {
            Some(average) => &average.model,
            None => &self.model,
        }
    }

    /// The model that [`State::evaluated`] shows, without the rest.
    pub fn into_evaluated(self) -> Model<M> {
        match self.average {
            Some(average) => average.model,
            None => self.model,
        }
    }

    /// The tensors of a checkpoint of a run by this optimizer.
    pub fn tensors(&self, optimizer: &Optimizer) -> FileTensors {
        let mut tensors = self.model.tensors();
        for (parameter, slots) in self.model.parameters.trainable().zip(self.slots.iter()) {
            for (prefix, slot) in slot_prefixes(optimizer).iter().zip(slots) {
                let name = format!("{prefix}{}", parameter.spec.name);
                tensors.insert(name, to_file_tensor(&parameter.spec, slot));
            }
        }
        if let Some(average) = &self.average {
            let named = |(name, tensor)| (format!("{AVERAGE}{name}"), tensor);
            tensors.extend(average.model.tensors().into_iter().map(named));
        }
        tensors
    }

    /// The state that a checkpoint of this recipe and module holds.
    pub fn restored(
        recipe: &Recipe,
        module: M,
        checkpoint: Checkpoint,
        device: &Device,
    ) -> Result<State<M>, TrainError> {
        let Checkpoint { step, facts, tensors: mut rest } = checkpoint;
        let mismatch = |source| TrainError::CheckpointOfAnother { step, source };
        let mut taken = |prefix: &str| -> FileTensors {
            let of_prefix = |name: &String, _: &mut _| name.starts_with(prefix);
            let taken = rest.extract_if(.., of_prefix);
            taken.map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor)).collect()
        };
        let prefixes = slot_prefixes(&recipe.update.optimizer);
        let mut slots: Vec<FileTensors> = prefixes.iter().map(|prefix| taken(prefix)).collect();
        let averages = taken(AVERAGE);
        let model = Model::from_tensors(module.clone(), rest, device).map_err(mismatch)?;
        let mut values = Vec::new();
        for spec in model.parameters.trainable().map(|parameter| &parameter.spec) {
            let mut of_parameter = Vec::new();
            for (prefix, tensors) in prefixes.iter().zip(&mut slots) {
                let stored = tensors.remove(&spec.name);
                let Some(tensor) = stored.filter(|tensor| tensor.values.len() == spec.len()) else {
                    let missing = vec![format!("{prefix}{}", spec.name)];
                    let module = module.name().to_owned();
                    return Err(mismatch(Mismatch { module, missing, ..Mismatch::default() }));
                };
                of_parameter.push(from_file_layout(spec, tensor.values));
            }
            values.push(of_parameter);
        }
        let average = match recipe.average {
            Some(Averaging { decay }) => {
                let model = Model::from_tensors(module, averages, device).map_err(mismatch)?;
                Some(Average { decay, model })
            }
            None => None,
        };
        let slots = Slots::new(values, device);
        let RunFacts { best, loss_scaling, .. } = facts;
        let stored = loss_scaling.map_or_else(LossScaling::start, Into::into);
        let loss_scaling = scales(recipe).then_some(stored);
        Ok(State { step, model, slots, average, loss_scaling, best })
    }
}

/// Whether a recipe scales the loss (§3.2).
fn scales(recipe: &Recipe) -> bool {
    recipe.train.loss_scale == Some(LossScale::Dynamic)
}

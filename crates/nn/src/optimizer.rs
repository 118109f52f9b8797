//! The update of all parameters, and what an optimizer remembers of each from step to step.

use burn::tensor::{Device, Tensor, TensorData};

use crate::ops::{Rule, update};
use crate::parameter::{ParameterSpec, Parameters};

/// One or two tensors for each trainable parameter, in the order of [`Parameters::trainable`]: a velocity, or AdamW's two
/// moments.
#[derive(Debug)]
pub struct Slots {
    list: Vec<Vec<Tensor<1>>>,
}

impl Slots {
    /// Slots before the first step: `count` tensors of zeros for each trainable parameter.
    pub fn zeros(count: usize, parameters: &Parameters, device: &Device) -> Slots {
        let zeros = |length: usize| (0..count).map(|_| Tensor::zeros([length], device)).collect();
        Slots { list: parameters.trainable().map(|p| zeros(p.spec.len())).collect() }
    }

    /// Slots with given values: `values[i]` are those of the i-th trainable parameter.
    pub fn new(values: Vec<Vec<Vec<f32>>>, device: &Device) -> Slots {
        let tensor = |values: Vec<f32>| {
            let length = values.len();
            Tensor::from_data(TensorData::new(values, [length]), device)
        };
        let list = values.into_iter().map(|slots| slots.into_iter().map(tensor).collect());
        Slots { list: list.collect() }
    }

    /// The slots of each trainable parameter.
    pub fn iter(&self) -> impl Iterator<Item = &[Tensor<1>]> {
        self.list.iter().map(Vec::as_slice)
    }

    /// Moves every trainable parameter in place by its gradient; `rule` says how.
    #[track_caller]
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        gradients: Vec<Tensor<1>>,
        rule: impl Fn(&ParameterSpec) -> Rule,
    ) {
        assert_eq!(self.list.len(), gradients.len(), "update: slots and gradients");
        let slots = std::mem::take(&mut self.list);
        for ((parameter, gradient), slots) in parameters.trainable_mut().zip(gradients).zip(slots) {
            // Taking the value out leaves it uniquely owned, so that the kernel may write into it.
            let hole = Tensor::empty([0], &gradient.device());
            let value = std::mem::replace(&mut parameter.value, hole);
            let (value, slots) = update(rule(&parameter.spec), value, gradient, slots);
            parameter.value = value;
            self.list.push(slots);
        }
    }
}

//! §2.1 the update of all parameters by Nesterov accelerated gradient.

use burn::tensor::{Device, Tensor, TensorData};
use kernels::Nag;

use crate::ops::nag;
use crate::parameter::{ParameterSpec, Parameters};

/// The velocity of each parameter that moves, in the order of [`Parameters::trainable`].
#[derive(Debug)]
pub struct Velocity {
    list: Vec<Tensor<1>>,
}

impl Velocity {
    /// At rest.
    pub fn zeros(parameters: &Parameters, device: &Device) -> Velocity {
        let list = parameters.trainable().map(|p| Tensor::zeros([p.spec.len()], device));
        Velocity { list: list.collect() }
    }

    /// `values[i]` belongs to the i-th parameter that moves.
    pub fn new(values: Vec<Vec<f32>>, device: &Device) -> Velocity {
        let tensor = |values: Vec<f32>| {
            let length = values.len();
            Tensor::from_data(TensorData::new(values, [length]), device)
        };
        Velocity { list: values.into_iter().map(tensor).collect() }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Tensor<1>> {
        self.list.iter()
    }

    /// Moves every parameter that is not frozen in place; `hyper` says how.
    #[track_caller]
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        gradients: Vec<Tensor<1>>,
        hyper: impl Fn(&ParameterSpec) -> Nag,
    ) {
        assert_eq!(self.list.len(), gradients.len(), "update: velocities and gradients");
        let velocities = std::mem::take(&mut self.list);
        for ((parameter, gradient), velocity) in
            parameters.trainable_mut().zip(gradients).zip(velocities)
        {
            // Taking the value out leaves it uniquely owned, so that the kernel may write into it.
            let hole = Tensor::empty([0], &velocity.device());
            let value = std::mem::replace(&mut parameter.value, hole);
            let (value, velocity) = nag(hyper(&parameter.spec), value, gradient, velocity);
            parameter.value = value;
            self.list.push(velocity);
        }
    }
}

//! §2.1 the update of all parameters by Nesterov accelerated gradient.

use burn::tensor::{Device, Tensor, TensorData};
use kernels::Nag;
use tricks::Role;

use crate::ops::nag;
use crate::parameter::Parameters;

/// The velocity of each parameter, in the order of [`Parameters::iter`].
#[derive(Debug)]
pub struct Velocity {
    list: Vec<Tensor<1>>,
}

impl Velocity {
    /// At rest.
    pub fn zeros(parameters: &Parameters, device: &Device) -> Velocity {
        let list = parameters.iter().map(|p| Tensor::zeros([p.spec.len()], device)).collect();
        Velocity { list }
    }

    /// `values[i]` belongs to the i-th parameter.
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

    /// Moves every parameter in place; `hyper` says how by its role.
    #[track_caller]
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        gradients: Vec<Tensor<1>>,
        hyper: impl Fn(Role) -> Nag,
    ) {
        assert_eq!(self.list.len(), gradients.len(), "update: velocities and gradients");
        let velocities = std::mem::take(&mut self.list);
        for ((parameter, gradient), velocity) in
            parameters.iter_mut().zip(gradients).zip(velocities)
        {
            // Taking the value out leaves it uniquely owned, so that the kernel may write into it.
            let hole = Tensor::empty([0], &velocity.device());
            let value = std::mem::replace(&mut parameter.value, hole);
            let (value, velocity) = nag(hyper(parameter.spec.role), value, gradient, velocity);
            parameter.value = value;
            self.list.push(velocity);
        }
    }
}

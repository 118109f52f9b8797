//! Parameters: a flat list in the network's order, each with its name, its role and its shape.

use std::collections::BTreeMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use tricks::Role;

/// What a layer declares of a parameter before it has a value.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// timm's name, such as `layer1.0.conv1.weight`.
    pub name: String,
    pub role: Role,
    /// In memory: a convolution's weight is `[c_out, kh, kw, c_in / groups]`, a linear one's `[c_out, c_in]`.
    pub shape: Vec<usize>,
    /// How many values a weight joins, for its initialization. None but for weights.
    pub fans: Option<Fans>,
}

impl ParameterSpec {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// §2.1 d_in and d_out: with the kernel's area and groups, and as plain channel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fans {
    pub fan_in: usize,
    pub fan_out: usize,
    pub channels_in: usize,
    pub channels_out: usize,
}

/// A parameter and its value, flat, on the inner (not autodiff) device.
#[derive(Debug)]
pub struct Parameter {
    pub spec: ParameterSpec,
    pub value: Tensor<1>,
}

/// All parameters of a network, in the network's order.
#[derive(Debug)]
pub struct Parameters {
    list: Vec<Parameter>,
}

impl Parameters {
    /// `values[i]` belongs to `specs[i]`.
    #[track_caller]
    pub fn new(specs: Vec<ParameterSpec>, values: Vec<Vec<f32>>, device: &Device) -> Parameters {
        assert_eq!(specs.len(), values.len(), "parameters: specs and values");
        let list = specs
            .into_iter()
            .zip(values)
            .map(|(spec, values)| {
                assert_eq!(spec.len(), values.len(), "parameters: {} {:?}", spec.name, spec.shape);
                let length = values.len();
                let value = Tensor::from_data(TensorData::new(values, [length]), device);
                Parameter { spec, value }
            })
            .collect();
        Parameters { list }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.list.iter_mut()
    }

    /// How many learnable numbers there are.
    pub fn count(&self) -> usize {
        self.list.iter().map(|parameter| parameter.spec.len()).sum()
    }

    /// Leaves whose gradients are wanted. Drop them, and all that was computed from them, before the update.
    pub fn tracked(&self) -> Leaves {
        self.leaves(|value| value.autodiff().require_grad())
    }

    /// Leaves without gradients, for evaluation.
    pub fn constant(&self) -> Leaves {
        self.leaves(|value| value)
    }

    fn leaves(&self, leaf: impl Fn(Tensor<1>) -> Tensor<1>) -> Leaves {
        let mut index = BTreeMap::new();
        let mut tensors = Vec::with_capacity(self.list.len());
        for (position, Parameter { spec, value }) in self.list.iter().enumerate() {
            index.insert(spec.name.clone(), position);
            tensors.push((leaf(value.clone()), spec.shape.clone()));
        }
        Leaves { index, tensors }
    }
}

/// The parameters of one pass through a network, by name.
#[derive(Debug)]
pub struct Leaves {
    index: BTreeMap<String, usize>,
    tensors: Vec<(Tensor<1>, Vec<usize>)>,
}

impl Leaves {
    /// Panics where there is no such parameter, or one of another rank.
    #[track_caller]
    pub fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let Some(&position) = self.index.get(name) else { panic!("no parameter named {name}") };
        let (value, shape) = &self.tensors[position];
        let shape: [usize; D] = shape.as_slice().try_into().unwrap_or_else(|_| {
            panic!("parameter {name} is {shape:?}, not of rank {D}");
        });
        value.clone().reshape(shape)
    }

    /// The gradients of a loss, in the order of [`Parameters::iter`]. A parameter the loss does not depend on gets
    /// zeros.
    pub fn gradients(self, loss: Tensor<1>) -> Vec<Tensor<1>> {
        let mut gradients: Gradients = loss.backward();
        self.tensors
            .into_iter()
            .map(|(value, _)| {
                value.grad_remove(&mut gradients).unwrap_or_else(|| value.inner().zeros_like())
            })
            .collect()
    }
}

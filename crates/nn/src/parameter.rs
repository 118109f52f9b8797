//! Parameters: a flat list in the network's order, each with its name, its role and its shape.

use std::collections::BTreeMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use tricks::Role;

use crate::ops::blend;

/// What a layer declares of a parameter before it has a value.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// timm's name, such as `layer1.0.conv1.weight`.
    pub name: String,
    pub role: Role,
    /// In memory: a convolution's weight is `[c_out, kh, kw, c_in / groups]`, a linear one's `[c_out, c_in]`.
    pub shape: Vec<usize>,
    /// How many values a weight joins, for its initialization; None for other parameters.
    pub fans: Option<Fans>,
    pub group: Group,
    /// Whether training moves it.
    pub trainable: bool,
}

/// The part of a model that a parameter belongs to: fine-tuning may replace a head and give it a rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Backbone,
    Head,
    /// A second head that only training uses.
    AuxiliaryHead,
}

impl Group {
    /// Whether it is a head of any kind.
    pub fn is_head(self) -> bool {
        self != Group::Backbone
    }
}

impl ParameterSpec {
    /// A trainable parameter of a backbone, without fans.
    pub fn new(name: String, role: Role, shape: Vec<usize>) -> ParameterSpec {
        ParameterSpec { name, role, shape, fans: None, group: Group::Backbone, trainable: true }
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The fans of a weight, d_in and d_out of §2.1: with the kernel's area and groups, and as plain channel counts.
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

/// All parameters of a module, in the module's order.
#[derive(Debug)]
pub struct Parameters {
    list: Vec<Parameter>,
}

impl Parameters {
    /// Parameters with given values: `values[i]` belongs to `specs[i]`.
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

    /// The parameters that training changes; the others get no gradient, no optimizer slots and no update.
    pub fn trainable(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter().filter(|parameter| parameter.spec.trainable)
    }

    pub(crate) fn trainable_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.list.iter_mut().filter(|parameter| parameter.spec.trainable)
    }

    /// Replaces every trainable value by `keep` times itself plus (1 − `keep`) times the other's.
    #[track_caller]
    pub fn average(&mut self, keep: f32, other: &Parameters) {
        assert_eq!(self.list.len(), other.list.len(), "average: parameters of two modules");
        for (own, other) in self.trainable_mut().zip(other.trainable()) {
            let hole = Tensor::empty([0], &own.value.device());
            let value = std::mem::replace(&mut own.value, hole);
            own.value = blend(keep, value, 1.0 - keep, &other.value);
        }
    }

    /// How many learnable numbers there are.
    pub fn count(&self) -> usize {
        self.list.iter().map(|parameter| parameter.spec.len()).sum()
    }

    /// Leaves whose gradients are wanted where a parameter is trainable. Drop them, and all that was computed from them,
    /// before the update.
    pub fn tracked(&self) -> Leaves {
        self.leaves(|spec, value| match spec.trainable {
            true => value.autodiff().require_grad(),
            false => value,
        })
    }

    /// Leaves without gradients, for evaluation.
    pub fn constant(&self) -> Leaves {
        self.leaves(|_, value| value)
    }

    fn leaves(&self, leaf: impl Fn(&ParameterSpec, Tensor<1>) -> Tensor<1>) -> Leaves {
        let index = self.list.iter().enumerate();
        let index = index.map(|(position, each)| (each.spec.name.clone(), position)).collect();
        let leaf =
            |Parameter { spec, value }: &Parameter| (leaf(spec, value.clone()), spec.shape.clone());
        Leaves { index, tensors: self.list.iter().map(leaf).collect() }
    }
}

/// The parameters of one pass through a module, by name.
#[derive(Debug)]
pub struct Leaves {
    index: BTreeMap<String, usize>,
    tensors: Vec<(Tensor<1>, Vec<usize>)>,
}

impl Leaves {
    /// The parameter of this name. Panics where there is none, or where it has not `D` dimensions.
    #[track_caller]
    pub fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let Some(&position) = self.index.get(name) else { panic!("no parameter named {name}") };
        let (value, shape) = &self.tensors[position];
        let shape: [usize; D] = shape.as_slice().try_into().unwrap_or_else(|_| {
            panic!("parameter {name} is {shape:?}, not of rank {D}");
        });
        value.clone().reshape(shape)
    }

    /// Whether gradients are wanted.
    pub fn are_tracked(&self) -> bool {
        self.tensors.iter().any(|(value, _)| value.is_autodiff())
    }

    /// The gradients of a loss, in the order of [`Parameters::trainable`]. A parameter that the loss does not depend on
    /// gets zeros.
    pub fn gradients(self, loss: Tensor<1>) -> Vec<Tensor<1>> {
        let mut gradients: Gradients = loss.backward();
        let tracked = self.tensors.into_iter().filter(|(value, _)| value.is_autodiff());
        let gradient = |(value, _): (Tensor<1>, _)| {
            value.grad_remove(&mut gradients).unwrap_or_else(|| value.inner().zeros_like())
        };
        tracked.map(gradient).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;

    fn parameters() -> Parameters {
        let spec = |name: &str, shape: &[usize]| {
            ParameterSpec::new(name.to_owned(), Role::Beta, shape.to_vec())
        };
        // Not in the names' order.
        let specs = vec![spec("b", &[2, 3]), spec("a", &[4]), spec("c", &[1])];
        let values = vec![vec![1.0; 6], vec![2.0; 4], vec![3.0]];
        Parameters::new(specs, values, &cpu())
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.to_data().try_into_vec().expect("tensors here are f32")
    }

    #[test]
    fn keep_their_order_and_their_shapes() {
        let parameters = parameters();
        assert_eq!(parameters.count(), 11);
        let names: Vec<&str> = parameters.iter().map(|p| p.spec.name.as_str()).collect();
        assert_eq!(names, ["b", "a", "c"]);
        for leaves in [parameters.constant(), parameters.tracked()] {
            assert_eq!(leaves.get::<2>("b").dims(), [2, 3]);
            assert_eq!(numbers(leaves.get::<1>("a")), [2.0; 4]);
        }
        assert!(!parameters.constant().get::<1>("a").is_autodiff());
    }

    #[test]
    fn get_gradients_in_order_and_zeros_where_the_loss_does_not_depend_on_them() {
        let parameters = parameters();
        let leaves = parameters.tracked();
        let (a, b) = (leaves.get::<1>("a"), leaves.get::<2>("b"));
        let gradients = leaves.gradients((a.clone() * a).sum() + (b * 5.0).sum());
        assert!(gradients.iter().all(|gradient| !gradient.is_autodiff()));
        let gradients: Vec<Vec<f32>> = gradients.into_iter().map(numbers).collect();
        assert_eq!(gradients, [vec![5.0; 6], vec![4.0; 4], vec![0.0]]);
    }

    #[test]
    fn that_are_frozen_get_no_gradient() {
        for frozen in ["b", "a", "c"] {
            let mut parameters = parameters();
            for parameter in &mut parameters.list {
                parameter.spec.trainable = parameter.spec.name != frozen;
            }
            let names: Vec<&str> = parameters.trainable().map(|p| p.spec.name.as_str()).collect();
            assert_eq!(names.len(), 2);
            assert!(!names.contains(&frozen));
            let leaves = parameters.tracked();
            assert!(leaves.are_tracked());
            let (a, b, c) = (leaves.get::<1>("a"), leaves.get::<2>("b"), leaves.get::<1>("c"));
            let loss = (a * 2.0).sum() + (b * 3.0).sum() + (c * 4.0).sum();
            let gradients: Vec<Vec<f32>> =
                leaves.gradients(loss).into_iter().map(numbers).collect();
            let all = [("b", vec![3.0; 6]), ("a", vec![2.0; 4]), ("c", vec![4.0])];
            let expected = all.into_iter().filter(|(name, _)| *name != frozen);
            assert_eq!(gradients, expected.map(|(_, values)| values).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "no parameter named d")]
    fn of_an_unknown_name_panic() {
        parameters().constant().get::<1>("d");
    }

    #[test]
    #[should_panic(expected = "parameter b is [2, 3], not of rank 4")]
    fn of_another_rank_panic() {
        parameters().constant().get::<4>("b");
    }

    #[test]
    #[should_panic(expected = "parameters: b [2, 3]")]
    fn of_another_length_panic() {
        let spec = ParameterSpec::new("b".into(), Role::Beta, vec![2, 3]);
        Parameters::new(vec![spec], vec![vec![0.0; 5]], &cpu());
    }
}

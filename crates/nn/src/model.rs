//! A module with its parameters and its running statistics.

use burn::tensor::Device;
use tricks::Init;

use crate::files::{FileTensor, FileTensors, Mismatch, from_file_layout, to_file_tensor, values};
use crate::init;
use crate::module::Module;
use crate::parameter::Parameters;
use crate::statistics::Statistics;

/// A module, its parameters and its running statistics.
#[derive(Debug)]
pub struct Model<M> {
    pub module: M,
    pub parameters: Parameters,
    pub statistics: Statistics,
    pub device: Device,
}

impl<M: Module> Model<M> {
    /// A model with first values drawn by `init`; `rng` gives the generator of the i-th parameter.
    pub fn initialized<R: rand::Rng>(
        module: M,
        init: Init,
        last_gamma: f32,
        device: &Device,
        mut rng: impl FnMut(usize) -> R,
    ) -> Model<M> {
        let specs = module.parameters();
        let values = specs
            .iter()
            .enumerate()
            .map(|(index, spec)| init::values(init, spec, last_gamma, &mut rng(index)))
            .collect();
        let parameters = Parameters::new(specs, values, device);
        let statistics = Statistics::new(&module.norms(), device);
        Model { module, parameters, statistics, device: device.clone() }
    }

    /// The model made of a file's tensors. An error where one is missing or not the module's.
    pub fn from_tensors(
        module: M,
        mut tensors: FileTensors,
        device: &Device,
    ) -> Result<Model<M>, Mismatch> {
        let shapes = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone()));
        Mismatch::check(&module, &shapes.collect())?;
        let mut take = |name: &str| tensors.remove(name).expect("it was looked for").values;
        let specs = module.parameters();
        let values: Vec<Vec<f32>> =
            specs.iter().map(|spec| from_file_layout(spec, take(&spec.name))).collect();
        let norms = module.norms();
        let mut statistics = Statistics::new(&norms, device);
        for norm in norms {
            let mut read = |kind: &str| take(&format!("{}.{kind}", norm.name));
            let pair = [read("running_mean"), read("running_var")];
            statistics.set(&norm.name, pair, device);
        }
        let parameters = Parameters::new(specs, values, device);
        Ok(Model { module, parameters, statistics, device: device.clone() })
    }

    /// Every tensor of the model by name.
    pub fn tensors(&self) -> FileTensors {
        let mut tensors = FileTensors::new();
        for parameter in self.parameters.iter() {
            let tensor = to_file_tensor(&parameter.spec, &parameter.value);
            tensors.insert(parameter.spec.name.clone(), tensor);
        }
        for (name, [mean, variance]) in self.statistics.iter() {
            for (kind, tensor) in [("running_mean", mean), ("running_var", variance)] {
                let values = values(tensor);
                let tensor = FileTensor { shape: vec![values.len()], values };
                tensors.insert(format!("{name}.{kind}"), tensor);
            }
        }
        tensors
    }

    /// A copy of the model in memory of its own.
    pub fn copy(&self) -> Model<M> {
        let copied = Model::from_tensors(self.module.clone(), self.tensors(), &self.device);
        copied.expect("a model's own tensors fit it")
    }

    /// Replaces every trainable parameter and statistic by `keep` times itself plus (1 − `keep`) times the other's.
    pub fn average(&mut self, keep: f32, other: &Model<M>) {
        self.parameters.average(keep, &other.parameters);
        self.statistics.average(keep, &other.statistics);
    }
}

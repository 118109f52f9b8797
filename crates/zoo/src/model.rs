//! A network with its numbers, and those numbers by PyTorch's names and shapes.

use std::collections::{BTreeMap, BTreeSet};

use nn::{Device, Folded, Init, Mode, ParameterSpec, Parameters, Pass, Statistics, Tensor};

use crate::network::Network;

/// A network, its parameters and its running statistics.
#[derive(Debug)]
pub struct Model {
    pub network: Network,
    pub parameters: Parameters,
    pub statistics: Statistics,
    pub device: Device,
}

/// A tensor as a file holds it: PyTorch's shape (a convolution's weight is `[c_out, c_in / groups, kh, kw]`).
#[derive(Clone, Debug, PartialEq)]
pub struct FileTensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// By name, such as `layer1.0.bn1.running_mean`.
pub type FileTensors = BTreeMap<String, FileTensor>;

/// How the tensors of a file differ from those of a network.
#[derive(Debug, Default, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Mismatch {
    pub network: String,
    pub missing: Vec<String>,
    pub unexpected: Vec<String>,
    /// Name, shape in the file, shape in the network.
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

/// Names that are less alike, in millionths, are not taken for each other.
const LIKELY: u64 = 900_000;

/// The most names of a kind that are listed.
const MOST_LISTED: usize = 40;

impl Mismatch {
    /// # Errors
    /// Where tensors of these names and shapes are not those of the network, all of them and no others.
    pub fn check(network: &Network, found: &BTreeMap<String, Vec<usize>>) -> Result<(), Mismatch> {
        let mut mismatch = Mismatch { network: network.name.clone(), ..Mismatch::default() };
        let mut unexpected: BTreeSet<&String> = found.keys().collect();
        for (name, shape) in network.file_shapes() {
            unexpected.remove(&name);
            match found.get(&name) {
                None => mismatch.missing.push(name),
                Some(theirs) if *theirs != shape => {
                    mismatch.misshaped.push((name, theirs.clone(), shape));
                }
                Some(_) => {}
            }
        }
        mismatch.unexpected = unexpected.into_iter().cloned().collect();
        let Mismatch { missing, unexpected, misshaped, .. } = &mismatch;
        match missing.is_empty() && unexpected.is_empty() && misshaped.is_empty() {
            true => Ok(()),
            false => Err(mismatch),
        }
    }

    /// Every name, one a line, the unexpected ones with the missing one that is most like them.
    pub fn list(&self) -> String {
        let near = |name: &str| {
            let likeness = |known: &&String| (strsim::jaro_winkler(known, name) * 1e6) as u64;
            let nearest = self.missing.iter().filter(|known| likeness(known) > LIKELY);
            nearest
                .max_by_key(likeness)
                .map_or(String::new(), |nearest| format!(" (is it {nearest}?)"))
        };
        let unexpected = self.unexpected.iter().map(|name| format!("{name}{}", near(name)));
        let misshaped = self.misshaped.iter();
        let misshaped =
            misshaped.map(|(name, theirs, own)| format!("{name} is {theirs:?}, not {own:?}"));
        let mut text = format!("the tensors are not those of {}", self.network);
        for (what, names) in [
            ("missing", self.missing.clone()),
            ("unexpected", unexpected.collect()),
            ("of another shape", misshaped.collect()),
        ] {
            if names.is_empty() {
                continue;
            }
            text += &format!("\n  {} {what}:", names.len());
            names.iter().take(MOST_LISTED).for_each(|name| text += &format!("\n    {name}"));
            if names.len() > MOST_LISTED {
                text += &format!("\n    and {} more", names.len() - MOST_LISTED);
            }
        }
        text
    }

    fn describe(&self) -> String {
        let mut text = format!("the tensors are not those of {}", self.network);
        let mut add = |what: &str, names: Vec<String>| {
            if let Some(first) = names.first() {
                text += &format!("; {} {what}, such as {first}", names.len());
            }
        };
        add("missing", self.missing.clone());
        add("unexpected", self.unexpected.clone());
        let shapes = self.misshaped.iter();
        add(
            "of another shape",
            shapes.map(|(name, file, own)| format!("{name} ({file:?}, not {own:?})")).collect(),
        );
        text
    }
}

impl Model {
    /// First values by `init`; `rng` gives the generator of the i-th parameter.
    pub fn initialized<R: rand::Rng>(
        network: Network,
        init: Init,
        last_gamma: f32,
        device: &Device,
        mut rng: impl FnMut(usize) -> R,
    ) -> Model {
        let specs = network.parameters();
        let values = specs
            .iter()
            .enumerate()
            .map(|(index, spec)| init.values(spec, last_gamma, &mut rng(index)))
            .collect();
        let mut parameters = Parameters::new(specs, values, device);
        parameters.freeze(network.frozen_parameters());
        let statistics = Statistics::new(&network.batch_norms(), device);
        Model { network, parameters, statistics, device: device.clone() }
    }

    /// The model that a file's tensors make, all of them and no others.
    pub fn from_tensors(
        network: Network,
        mut tensors: FileTensors,
        device: &Device,
    ) -> Result<Model, Mismatch> {
        let shapes = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone()));
        Mismatch::check(&network, &shapes.collect())?;
        let mut take = |name: &str| tensors.remove(name).expect("it was looked for").values;
        let specs = network.parameters();
        let values: Vec<Vec<f32>> =
            specs.iter().map(|spec| from_file_layout(spec, take(&spec.name))).collect();
        let mut statistics = Statistics::new(&network.batch_norms(), device);
        for (name, _) in network.batch_norms() {
            let mut read = |kind: &str| take(&format!("{name}.{kind}"));
            let pair = [read("running_mean"), read("running_var")];
            statistics.set(&name, pair, device);
        }
        let mut parameters = Parameters::new(specs, values, device);
        parameters.freeze(network.frozen_parameters());
        Ok(Model { network, parameters, statistics, device: device.clone() })
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

    /// The same numbers in memory of their own.
    pub fn copy(&self) -> Model {
        let copied = Model::from_tensors(self.network.clone(), self.tensors(), &self.device);
        copied.expect("a model's own tensors fit it")
    }

    /// Moves every parameter and every statistic towards another's: `keep` of it stays.
    pub fn average(&mut self, keep: f32, other: &Model) {
        self.parameters.average(keep, &other.parameters);
        self.statistics.average(keep, &other.statistics);
    }

    /// The model for inference: every batch norm folded into its convolution.
    pub fn folded(&self) -> Folded {
        Folded::new(&self.network.conv_bns(), self.parameters.constant(), &self.statistics)
            .with_norms(&self.network.norms(), &self.statistics)
    }

    /// Logits `[n, classes]` of images x `[n, h, w, 3]` by the running statistics.
    pub fn logits(&mut self, x: Tensor<4>) -> Tensor<2> {
        let leaves = self.parameters.constant();
        let statistics = &mut self.statistics;
        let mut pass = Pass { mode: Mode::Eval, leaves: &leaves, statistics, noise: 0 };
        self.network.forward(&mut pass, x)
    }
}

/// The numbers of a flat tensor.
pub fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().try_into_vec().expect("tensors here are f32")
}

/// A tensor shaped like a parameter (its value, its gradient, its velocity), as a file holds it.
pub fn to_file_tensor(spec: &ParameterSpec, tensor: &Tensor<1>) -> FileTensor {
    FileTensor { shape: file_shape(spec), values: to_file_layout(spec, values(tensor)) }
}

/// The reverse of [`to_file_tensor`].
pub fn from_file_layout(spec: &ParameterSpec, values: Vec<f32>) -> Vec<f32> {
    match *spec.shape.as_slice() {
        [out, kh, kw, c_in] if values.len() == spec.len() => {
            transpose_each(&values, out, c_in, kh * kw)
        }
        _ => values,
    }
}

fn to_file_layout(spec: &ParameterSpec, values: Vec<f32>) -> Vec<f32> {
    match *spec.shape.as_slice() {
        [out, kh, kw, c_in] => transpose_each(&values, out, kh * kw, c_in),
        _ => values,
    }
}

pub(crate) fn file_shape(spec: &ParameterSpec) -> Vec<usize> {
    match *spec.shape.as_slice() {
        [out, kh, kw, c_in] => vec![out, c_in, kh, kw],
        _ => spec.shape.clone(),
    }
}

/// Each of `count` matrices `[rows, columns]`, transposed.
fn transpose_each(values: &[f32], count: usize, rows: usize, columns: usize) -> Vec<f32> {
    if rows == 1 || columns == 1 {
        return values.to_vec();
    }
    let mut transposed = Vec::with_capacity(values.len());
    for matrix in values.chunks_exact(rows * columns).take(count) {
        for column in 0..columns {
            transposed.extend((0..rows).map(|row| matrix[row * columns + column]));
        }
    }
    transposed
}

//! Tensors as other programs' files hold them: PyTorch's names, shapes and order, and how those of a file differ from a
//! module's. This is the only place that turns one layout into the other.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Tensor;

use crate::module::Module;
use crate::parameter::ParameterSpec;

/// A tensor as a file holds it: PyTorch's shape (a convolution's weight is `[c_out, c_in / groups, kh, kw]`).
#[derive(Clone, Debug, PartialEq)]
pub struct FileTensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Tensors by name, such as `layer1.0.bn1.running_mean`.
pub type FileTensors = BTreeMap<String, FileTensor>;

/// How the tensors of a file differ from those of a module.
#[derive(Debug, Default, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Mismatch {
    /// The module's name.
    pub module: String,
    pub missing: Vec<String>,
    pub unexpected: Vec<String>,
    /// Name, shape in the file, shape in the module.
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

/// The likeness, in millionths, above which a missing name is suggested for an unexpected one.
const LIKELY: u64 = 900_000;

/// The most names of a kind that are listed.
const MOST_LISTED: usize = 40;

impl Mismatch {
    /// Checks that tensors of these names and shapes are exactly those of the module.
    ///
    /// # Errors
    /// Where a tensor is missing, unexpected or of another shape.
    pub fn check(
        module: &impl Module,
        found: &BTreeMap<String, Vec<usize>>,
    ) -> Result<(), Mismatch> {
        let mut mismatch = Mismatch { module: module.name().to_owned(), ..Mismatch::default() };
        let mut unexpected: BTreeSet<&String> = found.keys().collect();
        for (name, shape) in file_shapes(module) {
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

    /// The mismatch in full, one name a line; an unexpected name comes with the missing name that is most like it.
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
        let mut text = format!("the tensors are not those of {}", self.module);
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
        let mut text = format!("the tensors are not those of {}", self.module);
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

/// Name and shape of every tensor in a file of this module: its parameters, then its running statistics.
pub fn file_shapes(module: &impl Module) -> Vec<(String, Vec<usize>)> {
    let parameters = module.parameters().into_iter();
    let mut shapes: Vec<_> =
        parameters.map(|spec| (spec.name.clone(), file_shape(&spec))).collect();
    for norm in module.norms() {
        for kind in ["running_mean", "running_var"] {
            shapes.push((format!("{}.{kind}", norm.name), vec![norm.channels]));
        }
    }
    shapes
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

pub fn file_shape(spec: &ParameterSpec) -> Vec<usize> {
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

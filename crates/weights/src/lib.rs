//! Tensors by name out of the files of other programs: safetensors, and what `torch.save` writes, today (a zip) and before
//! PyTorch 1.6 (a sequence of pickles); and the arrays of bytes in a pickle of NumPy's. Nothing in a file is ever executed.
//!
//! A file is read whole; what stays of it is its bytes and, for each tensor, where its numbers lie. Numbers are made only
//! when they are asked for, so a hostile file costs its own size and at most a million small objects.

mod error;
mod numpy;
mod pickle;
mod pytorch;
mod safetensors;
mod tensor;
mod zip;

use std::collections::BTreeMap;
use std::fmt;

pub use error::WeightsError;
pub use numpy::NumpyPickle;

use tensor::Stored;

/// The tensors of a file.
#[derive(Debug)]
pub struct Weights {
    bytes: Vec<u8>,
    format: Format,
    section: Option<&'static str>,
    tensors: BTreeMap<String, Stored>,
}

/// What kind of file it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Safetensors,
    /// `torch.save` since PyTorch 1.6.
    PytorchZip,
    /// `torch.save` before that.
    PytorchLegacy,
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Format::Safetensors => "safetensors",
            Format::PytorchZip => "PyTorch",
            Format::PytorchLegacy => "PyTorch (legacy)",
        })
    }
}

/// What wrappers put before the names of a model's tensors.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];

impl Weights {
    /// The tensors in the bytes of a file, told apart by how it begins. Of a training file that holds several sets, the
    /// averaged one is taken: `state_dict_ema`, else `model_ema`, `state_dict`, `model`.
    ///
    /// # Errors
    /// Where it is no such file, is damaged, or asks for anything but tensors and plain containers.
    pub fn read(bytes: Vec<u8>) -> Result<Weights, WeightsError> {
        let (format, section, found) = match bytes.as_slice() {
            [b'P', b'K', 3, 4, ..] => {
                let (section, found) = pytorch::zip(&bytes)?;
                (Format::PytorchZip, section, found)
            }
            [0x80, ..] if pytorch::is_legacy(&bytes) => {
                let (section, found) = pytorch::legacy(&bytes)?;
                (Format::PytorchLegacy, section, found)
            }
            [_, _, _, _, _, _, _, _, b'{', ..] => {
                (Format::Safetensors, None, safetensors::tensors(&bytes)?)
            }
            _ => return Err(WeightsError::Unknown),
        };
        if found.is_empty() {
            return Err(WeightsError::NoTensors);
        }
        let mut tensors = BTreeMap::new();
        for (name, stored) in found {
            let name = bare(&name).to_owned();
            if tensors.contains_key(&name) {
                return Err(WeightsError::Twice { name });
            }
            tensors.insert(name, stored);
        }
        Ok(Weights { bytes, format, section, tensors })
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Which set of a training file's tensors these are.
    pub fn section(&self) -> Option<&'static str> {
        self.section
    }

    /// Name and shape of every tensor, in the names' order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, stored)| (name.as_str(), stored.shape.as_slice()))
    }

    /// The numbers of a tensor, its last dimension the fastest.
    ///
    /// # Errors
    /// Where there is no such tensor, its numbers are not floating-point ones, or one of them is NaN or infinite in 32
    /// bits.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let wrong = |problem: String| WeightsError::Tensor { name: name.to_owned(), problem };
        let stored = self.tensors.get(name).ok_or_else(|| wrong("is not in the file".into()))?;
        stored.values(&self.bytes).map_err(wrong)
    }

    /// A single whole number, such as `bn1.num_batches_tracked`.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.tensors.get(name)?.count(&self.bytes)
    }
}

/// A name without the wrappers' prefixes, in whatever order they were put on.
fn bare(mut name: &str) -> &str {
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

#[cfg(test)]
mod tests;

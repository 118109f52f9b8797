//! `model.safetensors`: the tensors by timm's names.

use std::fs;
use std::path::Path;

use nn::{FileTensor, FileTensors, Model, Module};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use zoo::Network;

use crate::error::ClassifyError;

const COUNTER: &str = "num_batches_tracked";

/// The file of a model that was trained for `step` steps, which every batch norm's counter says.
pub(super) fn to_bytes(model: &Model<Network>, step: u64) -> Vec<u8> {
    let mut files: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = model
        .tensors()
        .into_iter()
        .map(|(name, FileTensor { shape, values })| {
            (name, Dtype::F32, shape, values.into_iter().flat_map(f32::to_le_bytes).collect())
        })
        .collect();
    for norm in model.module.norms() {
        let counter = (step as i64).to_le_bytes().to_vec();
        files.push((format!("{}.{COUNTER}", norm.name), Dtype::I64, vec![], counter));
    }
    let views = files.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (name.as_str(), view.expect("shape and bytes agree"))
    });
    // One key: more come out in random order.
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).expect("every tensor is well formed")
}

/// Reads the tensors of a file.
pub(super) fn read(file: &Path) -> Result<FileTensors, ClassifyError> {
    let broken = |problem: String| ClassifyError::ModelFolder { path: file.to_owned(), problem };
    let bytes = fs::read(file).map_err(|error| broken(format!("cannot be read: {error}")))?;
    let archive = SafeTensors::deserialize(&bytes).map_err(|error| {
        broken(format!("not a whole safetensors file ({error}); copy or train it again"))
    })?;
    let mut tensors = FileTensors::new();
    for (name, view) in archive.tensors() {
        if name.ends_with(COUNTER) {
            continue;
        }
        if view.dtype() != Dtype::F32 {
            return Err(broken(format!("{name} is {:?}; only F32 is read", view.dtype())));
        }
        let numbers = view.data().chunks_exact(4);
        let values: Vec<f32> = numbers
            .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
            .collect();
        if values.iter().any(|value| value.is_nan()) {
            return Err(broken(format!("{name} holds NaN; train it again with a lower rate")));
        }
        tensors.insert(name, FileTensor { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

//! safetensors: a header of names, types, shapes and offsets, and then all the numbers.

use ::safetensors::{Dtype as Type, SafeTensorError, SafeTensors};

use crate::error::WeightsError;
use crate::tensor::{Dtype, Storage, Stored};

/// The tensors of a whole file. Offsets that overlap, leave a hole or end elsewhere than the file does are refused by
/// the format's own reader.
pub(crate) fn tensors(bytes: &[u8]) -> Result<Vec<(String, Stored)>, WeightsError> {
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(damage)?;
    let mut found = Vec::new();
    for (name, info) in metadata.tensors() {
        let dtype = dtype(info.dtype);
        let (start, end) = info.data_offsets;
        let storage =
            Storage { dtype, start: 8 + header + start, length: (end - start) / dtype.size() };
        let tensor = Stored::whole(storage, info.shape.clone());
        let wrong = |problem| WeightsError::Tensor { name: name.clone(), problem };
        found.push((name.clone(), tensor.map_err(wrong)?));
    }
    Ok(found)
}

fn dtype(dtype: Type) -> Dtype {
    match dtype {
        Type::F64 => Dtype::F64,
        Type::F32 => Dtype::F32,
        Type::F16 => Dtype::F16,
        Type::BF16 => Dtype::BF16,
        Type::I64 => Dtype::I64,
        // What takes less than a byte is never read, either.
        other => Dtype::Other("a type other than float", (other.bitsize() / 8).max(1)),
    }
}

fn damage(error: SafeTensorError) -> WeightsError {
    WeightsError::Damaged(match error {
        SafeTensorError::HeaderTooLarge => {
            "its header claims more than the 100 MB that safetensors allows".into()
        }
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            "it ends inside its header".into()
        }
        SafeTensorError::InvalidOffset(name) => {
            format!("the offsets of {name} overlap another tensor's or leave a hole")
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            "its tensors do not end where the file does".into()
        }
        SafeTensorError::TensorInvalidInfo => {
            "a tensor's offsets are not those of its shape".into()
        }
        other => other.to_string(),
    })
}

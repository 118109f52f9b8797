//! Between `FlexTensor` and the slices that kernels take.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape};

/// The tensor with its elements in order, copied only where a view says otherwise.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

/// The elements of a tensor that [`contiguous`] returned.
pub(super) fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("an f32 tensor in order")
}

/// A new tensor that `fill` writes whole.
pub(super) fn filled(shape: &[usize], fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    tensor(kernels::overwritten(shape.iter().product(), fill), shape)
}

pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), layout(shape), DType::F32)
}

pub(super) fn bytes(values: Vec<u8>, shape: &[usize]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), layout(shape), DType::U8)
}

fn layout(shape: &[usize]) -> Layout {
    Layout::contiguous(Shape::from(shape.to_vec()))
}

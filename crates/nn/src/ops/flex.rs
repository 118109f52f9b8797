//! Conversions between `FlexTensor` and the slices that kernels take.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape};
use kernels::{Output, bf16, f16};

/// A type of number that both kernels and Flex can store.
pub(super) trait Number: kernels::Element {
    /// The elements of a tensor that [`contiguous`] returned.
    fn of(tensor: &FlexTensor) -> &[Self];

    /// The elements, to change in place. They are copied where another tensor shares them.
    fn of_mut(tensor: &mut FlexTensor) -> &mut [Self];

    fn tensor(values: Vec<Self>, shape: &[usize]) -> FlexTensor;
}

macro_rules! number {
    ($type:ident, $dtype:ident) => {
        impl Number for $type {
            fn of(tensor: &FlexTensor) -> &[Self] {
                tensor.as_slice().unwrap_or_else(|| {
                    panic!(
                        "a tensor of {:?} in order, not one of {:?}",
                        DType::$dtype,
                        tensor.dtype()
                    )
                })
            }

            fn of_mut(tensor: &mut FlexTensor) -> &mut [Self] {
                tensor.storage_mut()
            }

            fn tensor(values: Vec<Self>, shape: &[usize]) -> FlexTensor {
                FlexTensor::new(Bytes::from_elems(values), layout(shape), DType::$dtype)
            }
        }
    };
}

number!(f32, F32);
number!(f16, F16);
number!(bf16, BF16);

/// Evaluates an expression that names the type of a tensor's numbers (§3.2: activations may be halves).
macro_rules! by_number {
    ($tensor:expr, $number:ident => $body:expr) => {
        match burn::backend::TensorMetadata::dtype($tensor) {
            burn::tensor::DType::F16 => {
                type $number = kernels::f16;
                $body
            }
            burn::tensor::DType::BF16 => {
                type $number = kernels::bf16;
                $body
            }
            _ => {
                type $number = f32;
                $body
            }
        }
    };
}
pub(super) use by_number;

/// The tensor with its elements in order in memory. It is copied only if it is a view in another order.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    let whole = by_number!(&tensor, N => tensor.as_slice::<N>().is_some());
    if whole { tensor } else { tensor.to_contiguous() }
}

/// The elements of an f32 tensor that [`contiguous`] returned.
pub(super) fn floats(tensor: &FlexTensor) -> &[f32] {
    f32::of(tensor)
}

/// A new tensor whose elements `fill` hands to the kernel that writes them.
pub(super) fn filled<N: Number>(shape: &[usize], fill: impl FnOnce(Output<'_, N>)) -> FlexTensor {
    N::tensor(kernels::overwritten(shape.iter().product(), fill), shape)
}

pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    f32::tensor(values, shape)
}

pub(super) fn bytes(values: Vec<u8>, shape: &[usize]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), layout(shape), DType::U8)
}

fn layout(shape: &[usize]) -> Layout {
    Layout::contiguous(Shape::from(shape.to_vec()))
}

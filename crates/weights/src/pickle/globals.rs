//! The names that a pickle may ask for, and what stands in for each. None of them is Python's: asking for a name finds a row
//! of the table here, and calling it builds a value.

use super::{ByteArray, Machine, StorageRef, TensorRef, Value, unfit};
use crate::error::WeightsError;
use crate::tensor::Dtype;

/// Whose names a pickle may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// What `torch.save` writes.
    Torch,
    /// Arrays, as NumPy 1 and 2 write them.
    Numpy,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Global {
    /// The type of a storage, such as `torch.FloatStorage`.
    Storage(Dtype),
    /// `_rebuild_tensor_v2(storage, offset, size, stride, …)` and its elder, which had no more arguments.
    RebuildTensor,
    /// `_rebuild_parameter(tensor, …)`: the tensor.
    RebuildParameter,
    /// `collections.OrderedDict`, also of a list of pairs.
    Dict,
    /// `torch.Size`: its one argument.
    Size,
    /// `_reconstruct(ndarray, …)`: an empty array, which is given its state afterwards.
    RebuildArray,
    /// `numpy.dtype(name, …)`.
    ArrayType,
    /// `numpy.ndarray`, which is only an argument.
    Array,
    /// Holds no weights. It is let pass, since training files of timm and torchvision keep such things beside the
    /// weights; neither its arguments nor its state is looked at, and no tensor can come out of it.
    Inert,
}

/// Types that training files keep beside the weights.
const INERT: [(&str, &str); 12] = [
    ("argparse", "Namespace"),
    ("collections", "Counter"),
    ("collections", "defaultdict"),
    ("collections", "deque"),
    ("pathlib", "PosixPath"),
    ("torch", "device"),
    ("torch", "float32"),
    ("torch", "float16"),
    ("torch", "bfloat16"),
    ("torch", "float64"),
    ("__builtin__", "set"),
    ("builtins", "set"),
];

const STORAGES: [(&str, Dtype); 10] = [
    ("DoubleStorage", Dtype::F64),
    ("FloatStorage", Dtype::F32),
    ("HalfStorage", Dtype::F16),
    ("BFloat16Storage", Dtype::BF16),
    ("LongStorage", Dtype::I64),
    ("IntStorage", Dtype::Other("int32", 4)),
    ("ShortStorage", Dtype::Other("int16", 2)),
    ("CharStorage", Dtype::Other("int8", 1)),
    ("ByteStorage", Dtype::Other("uint8", 1)),
    ("BoolStorage", Dtype::Other("bool", 1)),
];

fn find(vocabulary: Vocabulary, module: &str, name: &str) -> Option<Global> {
    match vocabulary {
        Vocabulary::Torch => find_torch(module, name),
        Vocabulary::Numpy => match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Some(Global::RebuildArray)
            }
            ("numpy", "dtype") => Some(Global::ArrayType),
            ("numpy", "ndarray") => Some(Global::Array),
            _ => None,
        },
    }
}

fn find_torch(module: &str, name: &str) -> Option<Global> {
    let storage = || STORAGES.iter().find(|(known, _)| *known == name);
    match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Some(Global::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Some(Global::RebuildParameter),
        ("collections", "OrderedDict") => Some(Global::Dict),
        ("torch", "Size") => Some(Global::Size),
        pair if INERT.contains(&pair) => Some(Global::Inert),
        ("torch" | "torch.cuda", _) => storage().map(|&(_, dtype)| Global::Storage(dtype)),
        _ => None,
    }
}

impl<'a> Machine<'a> {
    pub(super) fn global(&mut self, module: &str, name: &str) -> Result<(), WeightsError> {
        let found = find(self.vocabulary, module, name).ok_or_else(|| {
            // A name of any length may stand in a file; a message is for reading.
            let name: String = format!("{module}.{name}").escape_debug().take(80).collect();
            WeightsError::Forbidden { name }
        })?;
        self.push(Value::Global(found));
        Ok(())
    }

    /// What PyTorch keeps elsewhere in the file: `("storage", type, key, device, length)`, in legacy files with the part of
    /// another storage that it is, or None.
    pub(super) fn persistent(&mut self) -> Result<(), WeightsError> {
        let id = self.pop()?;
        let storage = match *self.items(id)? {
            [Value::Text("storage"), Value::Global(Global::Storage(dtype)), key, _, length]
            | [
                Value::Text("storage"),
                Value::Global(Global::Storage(dtype)),
                key,
                _,
                length,
                Value::None,
            ] => StorageRef { dtype, key: text(key)?, length: index(length)? },
            _ => return Err(WeightsError::pickle("it refers to a storage in an unknown way")),
        };
        self.heap.storages.push(storage);
        self.push(Value::Storage(self.heap.storages.len() - 1));
        Ok(())
    }

    pub(super) fn call(
        &mut self,
        called: Value<'a>,
        arguments: Value<'a>,
    ) -> Result<(), WeightsError> {
        let Value::Global(global) = called else { return Err(unfit("calls", called)) };
        let arguments = self.items(arguments)?;
        match (global, arguments) {
            (Global::Inert, _) => self.push(Value::Inert),
            (Global::RebuildTensor, &[Value::Storage(storage), offset, size, stride, ..]) => {
                let tensor = TensorRef {
                    storage,
                    offset: index(offset)?,
                    shape: self.indices(size)?,
                    strides: self.indices(stride)?,
                };
                self.heap.tensors.push(tensor);
                self.push(Value::Tensor(self.heap.tensors.len() - 1));
            }
            (Global::RebuildParameter, &[tensor @ Value::Tensor(_), ..]) => self.push(tensor),
            (Global::Size, &[size @ Value::List(_)]) => self.push(size),
            (Global::RebuildArray, &[Value::Global(Global::Array), ..]) => {
                self.heap.arrays.push(None);
                self.push(Value::Array(self.heap.arrays.len() - 1));
            }
            (Global::ArrayType, &[Value::Text("u1") | Value::Bytes(b"u1"), ..]) => {
                self.push(Value::ByteType);
            }
            (Global::ArrayType, _) => self.push(Value::Inert),
            (Global::Dict, []) => self.push_dict(&[])?,
            (Global::Dict, &[pairs]) => {
                let mut items = Vec::new();
                for &pair in self.items(pairs)? {
                    match *self.items(pair)? {
                        [key, value] => items.extend([key, value]),
                        _ => return Err(unfit("takes for a pair", pair)),
                    }
                }
                self.push_dict(&items)?;
            }
            _ => return Err(WeightsError::pickle("it builds an object from the wrong parts")),
        }
        Ok(())
    }

    /// Gives an object its state. A state dict's is the versions of its modules, which say nothing of the weights.
    pub(super) fn build(&mut self) -> Result<(), WeightsError> {
        let state = self.pop()?;
        match self.top()? {
            Value::Dict(_) | Value::Inert | Value::ByteType => Ok(()),
            Value::Array(array) => {
                self.heap.arrays[array] = self.byte_array(state)?;
                Ok(())
            }
            other => Err(unfit("gives a state to", other)),
        }
    }

    /// The array of a state (version, dimensions, type, whether columns come first, values); None where its numbers are not
    /// bytes in C order.
    fn byte_array(&self, state: Value<'a>) -> Result<Option<ByteArray<'a>>, WeightsError> {
        let &[_, shape, Value::ByteType, Value::Bool(false) | Value::Int(0), Value::Bytes(values)] =
            self.items(state)?
        else {
            return Ok(None);
        };
        Ok(Some(ByteArray { shape: self.indices(shape)?, values }))
    }

    fn indices(&self, value: Value<'a>) -> Result<Vec<usize>, WeightsError> {
        self.items(value)?.iter().map(|&item| index(item)).collect()
    }
}

fn index(value: Value<'_>) -> Result<usize, WeightsError> {
    match value {
        Value::Int(number) => usize::try_from(number)
            .map_err(|_| WeightsError::damaged("its pickle has a negative size")),
        other => Err(unfit("takes for a size", other)),
    }
}

fn text(value: Value<'_>) -> Result<&str, WeightsError> {
    match value {
        Value::Text(text) => Ok(text),
        // As Python 2 wrote it.
        Value::Bytes(bytes) if bytes.is_ascii() => {
            Ok(std::str::from_utf8(bytes).expect("ASCII is UTF-8"))
        }
        other => Err(unfit("takes for a name", other)),
    }
}

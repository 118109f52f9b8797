//! Where the numbers of a tensor lie in a file, and how they become f32.

use half::{bf16, f16};

/// The type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F64,
    F32,
    F16,
    BF16,
    I64,
    /// Whole numbers that no weight is made of: only their size is known.
    Other(&'static str, usize),
}

impl Dtype {
    /// Bytes of one number.
    pub(crate) fn size(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 => 8,
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            Dtype::Other(_, size) => size,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "float64",
            Dtype::F32 => "float32",
            Dtype::F16 => "float16",
            Dtype::BF16 => "bfloat16",
            Dtype::I64 => "int64",
            Dtype::Other(name, _) => name,
        }
    }
}

/// A run of numbers of one type, which several tensors may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) dtype: Dtype,
    /// Of the first number, in bytes from the start of the file.
    pub(crate) start: usize,
    /// How many numbers.
    pub(crate) length: usize,
}

/// A tensor in a file: element (i, j, …) is number `offset + i strides[0] + j strides[1] + …` of its storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    storage: Storage,
    offset: usize,
    pub(crate) shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Stored {
    /// `storage` has to lie within the file.
    ///
    /// # Errors
    /// Where an element would lie outside the storage, or the tensor has more elements than it.
    pub(crate) fn new(
        storage: Storage,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<Stored, String> {
        if shape.len() != strides.len() {
            return Err(format!("has {} dimensions but {} strides", shape.len(), strides.len()));
        }
        // A dimension of one is never walked along: whatever its stride, it is the same tensor.
        let plain = contiguous(&shape);
        let walked = shape.iter().zip(&strides).zip(&plain);
        let strides: Vec<usize> = walked
            .map(|((&side, &stride), &plain)| if side > 1 { stride } else { plain })
            .collect();
        let count = shape.iter().try_fold(1usize, |all, &side| all.checked_mul(side));
        let last = shape.iter().zip(&strides).try_fold(offset, |last, (&side, &stride)| {
            last.checked_add(side.saturating_sub(1).checked_mul(stride)?)
        });
        match (count, last) {
            (Some(0), _) => {
                return Ok(Stored { storage, offset: 0, shape, strides: plain });
            }
            // Each number may be of one element only, or a few bytes would stand for any amount of memory.
            (Some(count), Some(last)) if count <= storage.length && last < storage.length => {}
            _ => {
                return Err(format!(
                    "of shape {shape:?} reaches outside its storage of {} numbers",
                    storage.length
                ));
            }
        }
        Ok(Stored { storage, offset, shape, strides })
    }

    /// The tensor that is all of its storage, in order.
    pub(crate) fn whole(storage: Storage, shape: Vec<usize>) -> Result<Stored, String> {
        let strides = contiguous(&shape);
        Stored::new(storage, 0, shape, strides)
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// As f32, the last dimension the fastest.
    pub(crate) fn values(&self, file: &[u8]) -> Result<Vec<f32>, String> {
        let bytes = &file[self.storage.start..][..self.storage.length * self.storage.dtype.size()];
        let values: Vec<f32> = match self.storage.dtype {
            Dtype::F64 => self.gather(bytes, |b: [u8; 8]| f64::from_le_bytes(b) as f32),
            Dtype::F32 => self.gather(bytes, f32::from_le_bytes),
            Dtype::F16 => self.gather(bytes, |b: [u8; 2]| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => self.gather(bytes, |b: [u8; 2]| bf16::from_le_bytes(b).to_f32()),
            other => {
                let name = other.name();
                return Err(format!("is of {name}; only floating-point weights are read"));
            }
        };
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) if value.is_nan() => Err("holds NaN: the model is broken".into()),
            Some(value) => Err(format!("holds {value}: the model is broken, or too large for f32")),
            None => Ok(values),
        }
    }

    fn gather<const N: usize>(&self, bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (numbers, _) = bytes.as_chunks::<N>();
        let length = self.len();
        if self.strides == contiguous(&self.shape) {
            return numbers[self.offset..][..length].iter().map(|&bytes| number(bytes)).collect();
        }
        let mut values = Vec::with_capacity(length);
        let (mut index, mut at) = (vec![0; self.shape.len()], self.offset);
        while values.len() < length {
            values.push(number(numbers[at]));
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        values
    }

    /// The number of a tensor that is a single whole one.
    pub(crate) fn count(&self, file: &[u8]) -> Option<u64> {
        if self.storage.dtype != Dtype::I64 || self.len() != 1 {
            return None;
        }
        let bytes = file[self.storage.start + 8 * self.offset..].first_chunk()?;
        u64::try_from(i64::from_le_bytes(*bytes)).ok()
    }
}

fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

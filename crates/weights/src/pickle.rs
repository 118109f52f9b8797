//! A reader of pickles that executes nothing: it knows the instructions that PyTorch and NumPy write, builds plain values
//! of its own, and refuses every name that is not in its vocabulary.
//!
//! Containers live in a heap and values point into it, so that nothing here recurses: a pickle may nest as deep as it likes
//! and refer to itself, and costs at most one small object for each of its instructions.

mod globals;
mod instructions;

use std::collections::HashMap;

use crate::error::WeightsError;
use crate::tensor::Dtype;

pub(crate) use globals::{Global, Vocabulary};

/// A value that a pickle describes. Cheap to copy: what has a size is in the [`Heap`] or in the pickle itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(&'a str),
    Bytes(&'a [u8]),
    /// A tuple or a list.
    List(usize),
    Dict(usize),
    Global(Global),
    Storage(usize),
    Tensor(usize),
    /// A NumPy array, empty until its state is given.
    Array(usize),
    /// NumPy's type of unsigned bytes.
    ByteType,
    /// Something that is let pass and never looked into, such as the arguments a training script was started with.
    Inert,
}

impl Value<'_> {
    /// What it is, in words.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Value::None => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float => "a number",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dictionary",
            Value::Global(_) => "a type",
            Value::Storage(_) => "a storage",
            Value::Tensor(_) => "a tensor",
            Value::Array(_) => "an array",
            Value::ByteType => "a type of numbers",
            Value::Inert => "an object",
        }
    }
}

/// A tensor's numbers, which are elsewhere in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageRef<'a> {
    pub(crate) dtype: Dtype,
    pub(crate) key: &'a str,
    /// How many numbers the pickle says there are.
    pub(crate) length: usize,
}

/// A tensor as a pickle describes it.
#[derive(Clone, Debug)]
pub(crate) struct TensorRef {
    /// Into [`Heap::storages`].
    pub(crate) storage: usize,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// A NumPy array of unsigned bytes in C order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByteArray<'a> {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: &'a [u8],
}

/// What values point to.
#[derive(Debug, Default)]
pub(crate) struct Heap<'a> {
    pub(crate) lists: Vec<Vec<Value<'a>>>,
    pub(crate) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub(crate) storages: Vec<StorageRef<'a>>,
    pub(crate) tensors: Vec<TensorRef>,
    /// None for an array of another type or order, or without a state.
    pub(crate) arrays: Vec<Option<ByteArray<'a>>>,
}

/// A pickle as read: its value and where it ends.
#[derive(Debug)]
pub(crate) struct Pickled<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) heap: Heap<'a>,
    pub(crate) end: usize,
}

/// More instructions than any model's pickle has: a training file of a thousand tensors has about a hundred thousand.
const MOST_INSTRUCTIONS: usize = 1 << 20;

/// Reads the pickle at the start of `bytes`. An error comes with the place of the instruction that failed.
pub(crate) fn read(
    bytes: &[u8],
    vocabulary: Vocabulary,
) -> Result<Pickled<'_>, (WeightsError, usize)> {
    let mut machine = Machine {
        bytes,
        vocabulary,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        heap: Heap::default(),
    };
    for _ in 0..MOST_INSTRUCTIONS {
        let place = machine.at;
        if let Some(value) = machine.step().map_err(|error| (error, place))? {
            return Ok(Pickled { value, heap: machine.heap, end: machine.at });
        }
    }
    let problem = format!("it has more than {MOST_INSTRUCTIONS} instructions");
    Err((WeightsError::pickle(problem), machine.at))
}

/// A pickle being read.
struct Machine<'a> {
    bytes: &'a [u8],
    vocabulary: Vocabulary,
    at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack where a run of values began.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    heap: Heap<'a>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], WeightsError> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| WeightsError::damaged("its pickle is cut short"))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        Ok(self.take(N)?.try_into().expect("as many as were asked for"))
    }

    fn byte(&mut self) -> Result<u8, WeightsError> {
        Ok(self.array::<1>()?[0])
    }

    fn word(&mut self) -> Result<u32, WeightsError> {
        self.array().map(u32::from_le_bytes)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, WeightsError> {
        let text = std::str::from_utf8(self.take(length)?);
        text.map_err(|_| WeightsError::damaged("a text in its pickle is not UTF-8"))
    }

    fn line(&mut self) -> Result<&'a str, WeightsError> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length =
            length.ok_or_else(|| WeightsError::damaged("its pickle is cut short in a name"))?;
        let line = self.text(length)?;
        self.at += 1;
        Ok(line)
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(value);
    }

    /// The value on top, which has to be above the last mark.
    fn pop(&mut self) -> Result<Value<'a>, WeightsError> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(WeightsError::damaged("its pickle takes a value where there is none"));
        }
        Ok(self.stack.pop().expect("the stack is not empty"))
    }

    fn top(&mut self) -> Result<Value<'a>, WeightsError> {
        let value = self.pop()?;
        self.push(value);
        Ok(value)
    }

    /// The values above the last mark, which goes.
    fn pop_marked(&mut self) -> Result<Vec<Value<'a>>, WeightsError> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| WeightsError::damaged("its pickle has no mark to go to"))?;
        Ok(self.stack.split_off(mark))
    }

    fn push_list(&mut self, items: Vec<Value<'a>>) {
        self.heap.lists.push(items);
        self.push(Value::List(self.heap.lists.len() - 1));
    }

    fn push_dict(&mut self, items: &[Value<'a>]) -> Result<(), WeightsError> {
        self.heap.dicts.push(pairs(items)?);
        self.push(Value::Dict(self.heap.dicts.len() - 1));
        Ok(())
    }

    /// Adds items to the list on top of the stack.
    fn extend_list(&mut self, items: Vec<Value<'a>>) -> Result<(), WeightsError> {
        match self.top()? {
            Value::List(list) => self.heap.lists[list].extend(items),
            Value::Inert => {}
            other => return Err(unfit("adds items to", other)),
        }
        Ok(())
    }

    /// Sets keys of the dictionary on top of the stack.
    fn extend_dict(&mut self, items: &[Value<'a>]) -> Result<(), WeightsError> {
        match self.top()? {
            Value::Dict(dict) => self.heap.dicts[dict].extend(pairs(items)?),
            Value::Inert => {}
            other => return Err(unfit("sets keys of", other)),
        }
        Ok(())
    }

    fn items(&self, value: Value<'a>) -> Result<&[Value<'a>], WeightsError> {
        match value {
            Value::List(list) => Ok(&self.heap.lists[list]),
            other => Err(unfit("takes for a tuple", other)),
        }
    }

    fn memoize(&mut self, index: u32) -> Result<(), WeightsError> {
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), WeightsError> {
        let value = self.memo.get(&index).copied();
        self.push(
            value.ok_or_else(|| {
                WeightsError::damaged("its pickle recalls what it never remembered")
            })?,
        );
        Ok(())
    }
}

fn pairs<'a>(items: &[Value<'a>]) -> Result<Vec<(Value<'a>, Value<'a>)>, WeightsError> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(WeightsError::damaged("its pickle has a key without a value")),
    }
}

/// The complaint about an instruction that does `what` to a value that cannot take it.
fn unfit(what: &str, value: Value<'_>) -> WeightsError {
    WeightsError::damaged(format!("its pickle {what} {}", value.describe()))
}

//! The two files that `torch.save` writes: a pickle with the storages beside it in a zip, and, before PyTorch 1.6, pickles one
//! after the other with the storages behind them.

use std::collections::HashMap;

use crate::error::WeightsError;
use crate::pickle::{self, Heap, Pickled, StorageRef, Value, Vocabulary};
use crate::tensor::{Dtype, Storage, Stored};
use crate::zip::{self, Entries};

/// Names and tensors, and which set of a training file's they are.
type Found = (Option<&'static str>, Vec<(String, Stored)>);

/// Where training files of timm and torchvision keep tensors, the best ones first.
const SECTIONS: [&str; 4] = ["state_dict_ema", "model_ema", "state_dict", "model"];

/// torchvision's averaged model counts in a tensor among the weights how many models it is the average of.
const AVERAGED: &str = "n_averaged";

/// `80 02 8a 0a` and the magic number of legacy files, 0x1950a86a20f9469cfc6c.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// The version of the legacy format.
const LEGACY_VERSION: i64 = 1001;

fn read(bytes: &[u8]) -> Result<Pickled<'_>, WeightsError> {
    pickle::read(bytes, Vocabulary::Torch).map_err(|(error, _)| error)
}

pub(crate) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.get(2..).is_some_and(|rest| rest.starts_with(MAGIC))
}

pub(crate) fn zip(bytes: &[u8]) -> Result<Found, WeightsError> {
    let entries = zip::entries(bytes)?;
    let mut pickles = entries.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
    let (root, None) = (pickles.next(), pickles.next()) else {
        return Err(WeightsError::pickle("there are several in the zip"));
    };
    let Some(root) = root else {
        return Err(WeightsError::pickle("there is no data.pkl in the zip"));
    };
    let order = entries.get(format!("{root}/byteorder").as_str());
    if order.is_some_and(|order| bytes[order.clone()] != *b"little") {
        return Err(WeightsError::pickle("its numbers are big-endian"));
    }
    let pickled = read(&bytes[entries[format!("{root}/data.pkl").as_str()].clone()])?;
    tensors(&pickled, |storage| in_zip(&entries, root, storage))
}

fn in_zip(
    entries: &Entries<'_>,
    root: &str,
    storage: &StorageRef<'_>,
) -> Result<Storage, WeightsError> {
    let name = format!("{root}/data/{}", storage.key);
    let Some(range) = entries.get(name.as_str()) else {
        return Err(WeightsError::damaged(format!("there is no {name} in the zip")));
    };
    let size = storage.length.checked_mul(storage.dtype.size());
    if size.is_none_or(|size| size > range.len()) {
        return Err(WeightsError::damaged(format!(
            "{name} has {} bytes, too few for the {} numbers it should hold",
            range.len(),
            storage.length
        )));
    }
    Ok(Storage { dtype: storage.dtype, start: range.start, length: storage.length })
}

pub(crate) fn legacy(bytes: &[u8]) -> Result<Found, WeightsError> {
    let mut at = 0;
    let mut next = || -> Result<Pickled<'_>, WeightsError> {
        let pickled = read(&bytes[at..])?;
        at += pickled.end;
        Ok(pickled)
    };
    let (_magic, version, system) = (next()?, next()?, next()?);
    if version.value != Value::Int(LEGACY_VERSION) {
        return Err(WeightsError::pickle("it is of an unknown version of the legacy format"));
    }
    if get(&system.heap, system.value, "little_endian") == Some(Value::Bool(false)) {
        return Err(WeightsError::pickle("its numbers are big-endian"));
    }
    let (pickled, keys) = (next()?, next()?);
    let storages = behind(bytes, at, &pickled.heap, &keys)?;
    tensors(&pickled, |storage| match storages.get(storage.key) {
        Some(found) if found.dtype == storage.dtype && found.length >= storage.length => Ok(*found),
        _ => Err(WeightsError::damaged(format!("its storage {} is not there", storage.key))),
    })
}

/// The storages behind the pickles of a legacy file: for each key how many numbers, and the numbers.
fn behind<'a>(
    bytes: &[u8],
    mut at: usize,
    heap: &Heap<'a>,
    keys: &Pickled<'a>,
) -> Result<HashMap<&'a str, Storage>, WeightsError> {
    let dtypes: HashMap<&str, Dtype> =
        heap.storages.iter().map(|storage| (storage.key, storage.dtype)).collect();
    let Value::List(list) = keys.value else {
        return Err(WeightsError::damaged("it has no list of storages"));
    };
    let mut storages = HashMap::new();
    for key in &keys.heap.lists[list] {
        let key = match *key {
            Value::Text(key) => key,
            Value::Bytes(key) => std::str::from_utf8(key).unwrap_or_default(),
            _ => "",
        };
        let Some(&dtype) = dtypes.get(key) else {
            return Err(WeightsError::damaged("it lists a storage that no tensor has"));
        };
        let cut = || WeightsError::damaged(format!("it is cut short in storage {key}"));
        let count = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(cut)?;
        let length = usize::try_from(i64::from_le_bytes(*count)).map_err(|_| cut())?;
        let start = at + size_of::<i64>();
        let size = length.checked_mul(dtype.size()).ok_or_else(cut)?;
        if size > bytes.len() - start {
            return Err(cut());
        }
        at = start + size;
        storages.insert(key, Storage { dtype, start, length });
    }
    Ok(storages)
}

/// The tensors of a pickle, whose storages lie where `locate` says.
fn tensors(
    pickled: &Pickled<'_>,
    locate: impl Fn(&StorageRef<'_>) -> Result<Storage, WeightsError>,
) -> Result<Found, WeightsError> {
    let heap = &pickled.heap;
    let holds_tensors = |value: Value<'_>| {
        let Value::Dict(dict) = value else { return false };
        heap.dicts[dict].iter().any(|(_, value)| matches!(value, Value::Tensor(_)))
    };
    let section = SECTIONS.into_iter().find_map(|section| {
        let value = get(heap, pickled.value, section)?;
        holds_tensors(value).then_some((section, value))
    });
    let (section, value) = match section {
        Some((section, value)) => (Some(section), value),
        None => (None, pickled.value),
    };
    let Value::Dict(dict) = value else {
        let problem = format!("it holds {}, not a state dict", value.describe());
        return Err(WeightsError::pickle(problem));
    };
    if !holds_tensors(value) {
        return Err(WeightsError::NoTensors);
    }
    let mut located: Vec<Option<Storage>> = vec![None; heap.storages.len()];
    let mut found = Vec::new();
    for &(key, value) in &heap.dicts[dict] {
        let Value::Text(name) = key else {
            let problem = format!("its state dict has {} for a name", key.describe());
            return Err(WeightsError::pickle(problem));
        };
        if name == AVERAGED && section.is_some() {
            continue;
        }
        let wrong = |problem: String| WeightsError::Tensor { name: shown(name), problem };
        let Value::Tensor(tensor) = value else {
            return Err(wrong(format!("is {}, not a tensor", value.describe())));
        };
        let tensor = &heap.tensors[tensor];
        let storage = match located[tensor.storage] {
            Some(storage) => storage,
            None => *located[tensor.storage].insert(locate(&heap.storages[tensor.storage])?),
        };
        let (shape, strides) = (tensor.shape.clone(), tensor.strides.clone());
        let stored = Stored::new(storage, tensor.offset, shape, strides).map_err(wrong)?;
        found.push((name.to_owned(), stored));
    }
    Ok((section, found))
}

/// The last value that a dictionary has under a name.
fn get<'a>(heap: &Heap<'a>, dict: Value<'a>, name: &str) -> Option<Value<'a>> {
    let Value::Dict(dict) = dict else { return None };
    let found = heap.dicts[dict].iter().rev().find(|(key, _)| *key == Value::Text(name));
    found.map(|(_, value)| *value)
}

/// A name as far as a message needs it.
fn shown(name: &str) -> String {
    name.escape_debug().take(80).collect()
}

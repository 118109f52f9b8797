//! One checkpoint as a safetensors file with a checksum.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use nn::FileTensor;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::{Deserialize, Serialize};

use super::{Checkpoint, CheckpointError, Damage, RunFacts};

/// The one metadata key.
pub(super) const KEY: &str = "trickbag";

/// The number of bytes at the start of a file that hold the header's length.
const LENGTH: u64 = 8;

/// The largest header the format allows.
const HEADER_LIMIT: u64 = 100_000_000;

/// The number of values that are turned into bytes, or back, at a time.
pub(super) const CHUNK: usize = 1 << 14;

/// The value of the metadata key.
#[derive(Serialize, Deserialize)]
struct Stamp<S> {
    step: u64,
    facts: S,
    crc32c: u32,
}

/// The reason why bytes cannot be read as a checkpoint.
pub(super) enum Unreadable {
    Damaged(Damage),
    Failed(io::Error),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Unreadable {
        Unreadable::Failed(error)
    }
}

impl From<Damage> for Unreadable {
    fn from(damage: Damage) -> Unreadable {
        Unreadable::Damaged(damage)
    }
}

/// Writes a checkpoint, whose header comes from [`header`].
pub(super) fn write(out: &mut dyn Write, header: &[u8], checkpoint: &Checkpoint) -> io::Result<()> {
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header)?;
    let mut tensors = checkpoint.tensors.values();
    tensors.try_for_each(|tensor| each_chunk(&tensor.values, |bytes| out.write_all(bytes)))
}

/// A checkpoint as the bytes of its file.
pub(crate) fn to_bytes(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, &header(checkpoint), checkpoint).expect("memory takes all that is written");
    bytes
}

/// Reads what [`to_bytes`] wrote on another rank; None where it arrived damaged.
pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Checkpoint> {
    read(&mut &bytes[..], bytes.len() as u64).ok()
}

/// Reads a checkpoint and checks every byte that matters.
pub fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
    read_file(path).map_err(|unreadable| error(path, unreadable))
}

/// Reads the step and the facts of a checkpoint, without its tensors. A damaged tensor is not noticed.
pub fn facts(path: &Path) -> Result<(u64, RunFacts), CheckpointError> {
    let read = || -> Result<_, Unreadable> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let metadata = read_header(&mut file, length)?;
        let Stamp { step, facts, .. } = stamp(&metadata)?;
        Ok((step, facts))
    };
    read().map_err(|unreadable| error(path, unreadable))
}

fn error(path: &Path, unreadable: Unreadable) -> CheckpointError {
    match unreadable {
        Unreadable::Failed(cause) => CheckpointError::Read { path: path.to_owned(), cause },
        Unreadable::Damaged(damage) => CheckpointError::Damaged {
            path: path.to_owned(),
            damage,
            mend: "take another checkpoint of this run".to_owned(),
        },
    }
}

/// What the header says beside the tensors.
fn stamp(metadata: &Metadata) -> Result<Stamp<RunFacts>, Damage> {
    let stamp = metadata.metadata().as_ref().and_then(|keys| keys.get(KEY)).ok_or_else(|| {
        Damage::Header(format!("it has no key `{KEY}`, so this is not a checkpoint"))
    })?;
    serde_json::from_str(stamp).map_err(|error| Damage::Header(format!("its key `{KEY}`: {error}")))
}

/// The safetensors header, padded with spaces so that the values start at a multiple of 8 bytes.
pub(super) fn header(checkpoint: &Checkpoint) -> Vec<u8> {
    let facts = &checkpoint.facts;
    let best = facts.best.map_or(0.0, |best| best.value);
    assert!(facts.work_seconds.is_finite(), "work_seconds is {}", facts.work_seconds);
    assert!(best.is_finite(), "best.value is {best}");
    let stamp = Stamp { step: checkpoint.step, facts, crc32c: checksum(checkpoint) };
    let stamp = serde_json::to_string(&stamp).expect("a fact is plain data");

    let mut start = 0;
    let tensors = checkpoint.tensors.iter().map(|(name, tensor)| {
        let (shape, count) = (tensor.shape.clone(), tensor.values.len());
        assert!(
            shape.iter().product::<usize>() == count,
            "tensor {name} has shape {shape:?} but {count} values"
        );
        let end = start + size_of::<f32>() * count;
        let info = TensorInfo { dtype: Dtype::F32, shape, data_offsets: (start, end) };
        start = end;
        (name.clone(), info)
    });
    let metadata = HashMap::from([(KEY.to_owned(), stamp)]);
    let metadata = Metadata::new(Some(metadata), tensors.collect())
        .expect("offsets follow one another and agree with the shapes");
    let mut header = serde_json::to_vec(&metadata).expect("a header is plain data");
    header.resize(header.len().next_multiple_of(LENGTH as usize), b' ');
    assert!(
        header.len() as u64 <= HEADER_LIMIT,
        "the header has {} bytes, more than the format allows",
        header.len()
    );
    header
}

/// CRC-32C of the step, the facts, and each tensor in the order of names. Lengths go before what they count, so
/// that no two checkpoints are the same bytes.
fn checksum(checkpoint: &Checkpoint) -> u32 {
    let facts = serde_json::to_vec(&checkpoint.facts).expect("a fact is plain data");
    let number = |sum, number: usize| crc32c::crc32c_append(sum, &(number as u64).to_le_bytes());
    let mut sum = crc32c::crc32c(&checkpoint.step.to_le_bytes());
    sum = number(sum, facts.len());
    sum = crc32c::crc32c_append(sum, &facts);
    for (name, tensor) in &checkpoint.tensors {
        sum = number(sum, name.len());
        sum = crc32c::crc32c_append(sum, name.as_bytes());
        sum = number(sum, tensor.shape.len());
        sum = tensor.shape.iter().copied().fold(sum, number);
        each_chunk(&tensor.values, |bytes| {
            sum = crc32c::crc32c_append(sum, bytes);
            Ok(())
        })
        .expect("summing cannot fail");
    }
    sum
}

/// Calls `consume` with the values as little-endian bytes, a bounded number at a time.
fn each_chunk(values: &[f32], mut consume: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(values.len().min(CHUNK) * size_of::<f32>());
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
        consume(&bytes)?;
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Checkpoint, Unreadable> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    read(&mut file, length)
}

/// Reads a checkpoint of `length` bytes.
pub(super) fn read(input: &mut dyn Read, length: u64) -> Result<Checkpoint, Unreadable> {
    let metadata = read_header(input, length)?;
    let stamp = stamp(&metadata)?;
    let mut tensors = BTreeMap::new();
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).expect("the name is one of the header's");
        if info.dtype != Dtype::F32 {
            return Err(Damage::Header(format!("tensor {name} is {}, not F32", info.dtype)).into());
        }
        let count = (info.data_offsets.1 - info.data_offsets.0) / size_of::<f32>();
        let values = read_values(input, count)?;
        tensors.insert(name, FileTensor { shape: info.shape.clone(), values });
    }
    let checkpoint = Checkpoint { step: stamp.step, facts: stamp.facts, tensors };
    let (stored, computed) = (stamp.crc32c, checksum(&checkpoint));
    if stored != computed {
        return Err(Damage::Checksum { stored, computed }.into());
    }
    Ok(checkpoint)
}

/// Reads the header and makes sure that the file is as long as it says, before memory is asked for.
fn read_header(input: &mut dyn Read, found: u64) -> Result<Metadata, Unreadable> {
    if found < LENGTH {
        return Err(Damage::CutInHeader { found }.into());
    }
    let mut length = [0; LENGTH as usize];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_LIMIT {
        return Err(Damage::Header(format!("it claims a length of {length} bytes")).into());
    }
    if LENGTH + length > found {
        return Err(Damage::CutInHeader { found }.into());
    }
    let mut header = vec![0; usize::try_from(length).expect("at most 100 million")];
    input.read_exact(&mut header)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| Damage::Header(error.to_string()))?;

    let expected = LENGTH + length + metadata.data_len() as u64;
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(Damage::CutShort { found, expected }.into()),
        std::cmp::Ordering::Greater => Err(Damage::TooLong { found, expected }.into()),
        std::cmp::Ordering::Equal => Ok(metadata),
    }
}

fn read_values(input: &mut dyn Read, count: usize) -> io::Result<Vec<f32>> {
    const SIZE: usize = size_of::<f32>();
    let mut values = Vec::with_capacity(count);
    let mut bytes = vec![0; count.min(CHUNK) * SIZE];
    while values.len() < count {
        let bytes = &mut bytes[..(count - values.len()).min(CHUNK) * SIZE];
        input.read_exact(bytes)?;
        let (words, _) = bytes.as_chunks::<SIZE>();
        values.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
    }
    Ok(values)
}

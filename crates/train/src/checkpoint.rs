//! Checkpoints: what a run needs to go on, bit for bit, as if it had never stopped.
//!
//! One is a safetensors file, `step-00001234.safetensors`, with one metadata key, `trickbag`, that holds
//! `{"step", "facts", "crc32c"}` as JSON (more keys would come out in random order). The checksum covers the step,
//! the facts, and each tensor's name, shape and bits, so a changed byte is either found or means nothing. It is
//! written by [`durable`], and older ones are deleted only after the new one is on the disk: at any moment at least
//! one whole checkpoint exists. Tensors stream out and in, so memory holds them once.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use record::Best;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::{Deserialize, Serialize};

use tricks::loss_scaling::LossScaling;
use zoo::{FileTensor, FileTensors};

use crate::durable::{self, WriteError};

/// The one metadata key.
const KEY: &str = "trickbag";

/// The first bytes hold the header's length.
const LENGTH: u64 = 8;

/// The largest header the format allows.
const HEADER_LIMIT: u64 = 100_000_000;

/// Values are turned into bytes, and back, this many at a time.
const CHUNK: usize = 1 << 14;

/// A moment of a run, between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// How many steps are done.
    pub step: u64,
    pub facts: RunFacts,
    pub tensors: FileTensors,
}

/// What a run knows beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    /// The resolved recipe, as TOML.
    pub recipe: String,
    /// Bits hold per instruction set.
    pub instruction_set: String,
    pub best: Option<Best>,
    /// §3.2, where the recipe scales the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scaling: Option<ScaleFacts>,
    /// Seconds of work since the start of the run, before each resume too.
    pub work_seconds: f64,
    /// Images trained on since the start of the run.
    pub images: u64,
    pub classes: Vec<String>,
}

/// Where a loss scale stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleFacts {
    pub scale: f32,
    pub good_steps: u32,
}

impl From<LossScaling> for ScaleFacts {
    fn from(LossScaling { scale, good_steps }: LossScaling) -> ScaleFacts {
        ScaleFacts { scale, good_steps }
    }
}

impl From<ScaleFacts> for LossScaling {
    fn from(ScaleFacts { scale, good_steps }: ScaleFacts) -> LossScaling {
        LossScaling { scale, good_steps }
    }
}

/// The value of the metadata key.
#[derive(Serialize, Deserialize)]
struct Stamp<S> {
    step: u64,
    facts: S,
    crc32c: u32,
}

/// Why a checkpoint could not be saved, read or deleted, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot read {}: {cause}; check that it exists and may be read", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("cannot delete {}: {cause}; delete it by hand", path.display())]
    Delete { path: PathBuf, cause: io::Error },
    #[error("checkpoint {} is damaged: {damage}; {mend}", path.display())]
    Damaged { path: PathBuf, damage: Damage, mend: String },
}

/// What is wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    #[error("cut short at {found} bytes, inside its header")]
    CutInHeader { found: u64 },
    #[error("cut short at {found} of {expected} bytes")]
    CutShort { found: u64, expected: u64 },
    #[error("{found} bytes long instead of {expected}")]
    TooLong { found: u64, expected: u64 },
    #[error("its header cannot be read: {0}")]
    Header(String),
    #[error("its checksum differs: {stored:08x} stored, {computed:08x} computed")]
    Checksum { stored: u32, computed: u32 },
}

/// What can happen while bytes become a checkpoint.
enum Unreadable {
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

/// Writes `folder/step-00001234.safetensors`, durably, and makes the folder if it is missing.
///
/// # Panics
/// When a tensor's shape and its number of values disagree, or a number of the facts is not finite.
pub fn save(folder: &Path, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
    let header = header(checkpoint);
    let path = folder.join(file_name(checkpoint.step));
    durable::create_folder(folder)?;
    durable::write_with(&path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        checkpoint
            .tensors
            .values()
            .try_for_each(|tensor| each_chunk(&tensor.values, |bytes| out.write_all(bytes)))
    })?;
    Ok(path)
}

/// Reads a checkpoint and checks every byte that matters.
pub fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
    read_file(path).map_err(|unreadable| match unreadable {
        Unreadable::Failed(cause) => CheckpointError::Read { path: path.to_owned(), cause },
        Unreadable::Damaged(damage) => CheckpointError::Damaged {
            path: path.to_owned(),
            damage,
            mend: "take another checkpoint of this run".to_owned(),
        },
    })
}

/// The checkpoints in a folder, oldest first; none when the folder cannot be read.
pub fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    entries(folder).unwrap_or_default()
}

/// The newest checkpoint in a folder; `None` when there is none. A damaged one is never passed over in silence:
/// the error says which file to delete, and where the run would then go on.
pub fn latest(folder: &Path) -> Result<Option<Checkpoint>, CheckpointError> {
    let mut entries = entries(folder)?;
    let Some((_, newest)) = entries.pop() else { return Ok(None) };
    load(&newest).map(Some).map_err(|error| match error {
        CheckpointError::Damaged { path, damage, .. } => {
            CheckpointError::Damaged { path, damage, mend: mend(&entries) }
        }
        other => other,
    })
}

/// Deletes all checkpoints but the last `keep` (at least one) and the best, and what a kill left half-written.
/// Call it after [`save`] has returned: then the new one is on the disk.
pub fn prune(folder: &Path, keep: usize, best_step: Option<u64>) -> Result<(), CheckpointError> {
    let mut entries = entries(folder)?;
    entries.truncate(entries.len().saturating_sub(keep.max(1)));
    for (step, path) in entries {
        if best_step != Some(step) {
            delete(&path)?;
        }
    }
    for name in names(folder)? {
        let hidden = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
        if hidden.and_then(step_of).is_some() {
            delete(&folder.join(name))?;
        }
    }
    Ok(())
}

fn delete(path: &Path) -> Result<(), CheckpointError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(CheckpointError::Delete { path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

/// What to do about a damaged newest checkpoint, given the older ones.
fn mend(older: &[(u64, PathBuf)]) -> String {
    let mut also = String::new();
    for (step, path) in older.iter().rev() {
        if load(path).is_ok() {
            return format!("delete it{also} to resume from step {step}: {}", path.display());
        }
        also += &format!(" and {}, damaged too,", path.display());
    }
    match also.is_empty() {
        true => "there is no earlier checkpoint: start again in a new folder",
        false => "the earlier ones are damaged too: start again in a new folder",
    }
    .to_owned()
}

fn file_name(step: u64) -> String {
    format!("step-{step:08}.safetensors")
}

fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()?;
    (file_name(step) == name).then_some(step)
}

fn entries(folder: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let mut entries: Vec<_> = names(folder)?
        .into_iter()
        .filter_map(|name| step_of(&name).map(|step| (step, folder.join(name))))
        .collect();
    entries.sort();
    Ok(entries)
}

/// The names in a folder; none when there is no such folder.
fn names(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let names: io::Result<Vec<OsString>> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    match names {
        Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(CheckpointError::Read { path: folder.to_owned(), cause }),
    }
}

/// The safetensors header, padded with spaces so that the values start at a multiple of 8 bytes.
fn header(checkpoint: &Checkpoint) -> Vec<u8> {
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
    assert!(header.len() as u64 <= HEADER_LIMIT, "a header of {} bytes", header.len());
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

/// Hands out the values as little-endian bytes, a bounded number at a time.
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
fn read(input: &mut dyn Read, length: u64) -> Result<Checkpoint, Unreadable> {
    let metadata = read_header(input, length)?;
    let stamp = metadata.metadata().as_ref().and_then(|keys| keys.get(KEY)).ok_or_else(|| {
        Damage::Header(format!("it has no key `{KEY}`, so this is not a checkpoint"))
    })?;
    let stamp: Stamp<RunFacts> = serde_json::from_str(stamp)
        .map_err(|error| Damage::Header(format!("its key `{KEY}`: {error}")))?;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], values: &[f32]) -> FileTensor {
        FileTensor { shape: shape.to_vec(), values: values.to_vec() }
    }

    fn facts() -> RunFacts {
        RunFacts {
            recipe: "version = 1\nname = \"größe \\ \"\n".to_owned(),
            instruction_set: "avx2".to_owned(),
            best: Some(Best { step: 3, value: 71.234_567_890_123_45 }),
            loss_scaling: Some(ScaleFacts { scale: 32_768.0, good_steps: 1_999 }),
            work_seconds: 0.1 + 0.2,
            images: u64::MAX,
            classes: vec!["tench".to_owned(), "snail \u{1f40c}".to_owned()],
        }
    }

    fn tiny(step: u64) -> Checkpoint {
        let signalling = f32::from_bits(0x7fa0_1234);
        let tensors = [
            ("a.weight", tensor(&[2, 3], &[1.0, -0.0, f32::NAN, signalling, 1e-45, -3.5])),
            ("b.gamma", tensor(&[], &[f32::NEG_INFINITY])),
            ("c.empty", tensor(&[0, 4], &[])),
        ];
        let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into();
        Checkpoint { step, facts: facts(), tensors }
    }

    /// Equal to the last bit, NaN too.
    fn same(a: &Checkpoint, b: &Checkpoint) -> bool {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let facts = (a.step, &a.facts) == (b.step, &b.facts);
        facts
            && a.tensors.len() == b.tensors.len()
            && a.tensors.iter().zip(&b.tensors).all(|((name_a, a), (name_b, b))| {
                name_a == name_b && a.shape == b.shape && bits(&a.values) == bits(&b.values)
            })
    }

    fn bytes_of(checkpoint: &Checkpoint) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        fs::read(save(folder.path(), checkpoint).unwrap()).unwrap()
    }

    fn parse(bytes: &[u8]) -> Result<Checkpoint, Damage> {
        read(&mut &bytes[..], bytes.len() as u64).map_err(|unreadable| match unreadable {
            Unreadable::Damaged(damage) => damage,
            Unreadable::Failed(error) => panic!("read beyond the end: {error}"),
        })
    }

    #[test]
    fn every_bit_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().join("checkpoints");
        let large =
            (0..3 * CHUNK + 7).map(|index| f32::from_bits((index as u32).wrapping_mul(1_234_577)));
        let mut checkpoint = tiny(1234);
        let large = FileTensor { shape: vec![3 * CHUNK + 7], values: large.collect() };
        checkpoint.tensors.insert("large".to_owned(), large);
        let path = save(&checkpoints, &checkpoint).unwrap();
        assert_eq!(path, checkpoints.join("step-00001234.safetensors"));
        assert!(same(&load(&path).unwrap(), &checkpoint));
        assert_eq!(names(&checkpoints).unwrap(), ["step-00001234.safetensors"]);
    }

    #[test]
    fn a_checkpoint_without_tensors_or_best_comes_back() {
        let mut checkpoint = tiny(0);
        checkpoint.tensors.clear();
        checkpoint.facts.best = None;
        checkpoint.facts.classes.clear();
        assert!(same(&parse(&bytes_of(&checkpoint)).unwrap(), &checkpoint));
    }

    /// JSON must not cost the last bit of a float (serde_json does without `float_roundtrip`).
    #[test]
    fn numbers_of_the_facts_come_back_exactly() {
        let mut bits = 1_u64;
        for _ in 0..2_000 {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let number = f64::from_bits(bits);
            if number.is_finite() {
                let facts = RunFacts { work_seconds: number, ..facts() };
                let text = serde_json::to_string(&facts).unwrap();
                assert_eq!(serde_json::from_str::<RunFacts>(&text).unwrap(), facts, "{text}");
            }
        }
    }

    #[test]
    fn the_file_is_plain_safetensors_with_one_key_and_the_same_bytes_each_time() {
        let bytes = bytes_of(&tiny(5));
        assert_eq!(bytes, bytes_of(&tiny(5)));
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.names().len(), 3);
        assert_eq!(file.tensor("a.weight").unwrap().shape(), [2, 3]);
        assert_eq!(file.tensor("a.weight").unwrap().data()[..4], 1.0_f32.to_le_bytes());
        let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header % 8, 0);
        let keys = metadata.metadata().clone().unwrap();
        assert_eq!(keys.len(), 1);
        let stamp: serde_json::Value = serde_json::from_str(&keys[KEY]).unwrap();
        let names: Vec<_> = stamp.as_object().unwrap().keys().collect();
        assert_eq!(names, ["step", "facts", "crc32c"]);
    }

    #[test]
    fn a_changed_byte_is_found_or_means_nothing() {
        let checkpoint = tiny(5);
        let bytes = bytes_of(&checkpoint);
        let mut harmless = 0;
        for position in 0..bytes.len() {
            for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut bytes = bytes.clone();
                bytes[position] ^= mask;
                if let Ok(read) = parse(&bytes) {
                    assert!(same(&read, &checkpoint), "byte {position} changed by {mask:#x}");
                    harmless += 1;
                }
            }
        }
        // Only spaces that pad the header may change unseen.
        assert!(harmless <= 7 * 9, "{harmless} changes went unseen");
    }

    #[test]
    fn a_file_cut_anywhere_is_found_and_so_is_one_too_long() {
        let bytes = bytes_of(&tiny(5));
        for length in 0..bytes.len() {
            let text = parse(&bytes[..length]).unwrap_err().to_string();
            assert!(text.starts_with(&format!("cut short at {length} ")), "{text}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(parse(&longer), Err(Damage::TooLong { .. })));
    }

    #[test]
    fn other_files_are_refused() {
        let plain =
            safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView)>::new(), None);
        for (bytes, says) in [
            (plain.unwrap(), "this is not a checkpoint"),
            (b"\x89PNG\r\n\x1a\n and so on".to_vec(), "it claims a length"),
            (vec![0; 100], "its header cannot be read"),
        ] {
            let text = parse(&bytes).unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        }
    }

    #[test]
    fn checkpoints_are_listed_by_step() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(list(&folder.path().join("none")), []);
        for step in [100_000_000, 20, 3] {
            save(folder.path(), &tiny(step)).unwrap();
        }
        for other in ["step-7.safetensors", "step-00000009.safetensors.tmp", "notes.txt"] {
            fs::write(folder.path().join(other), "").unwrap();
        }
        let steps: Vec<_> = list(folder.path()).into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [3, 20, 100_000_000]);
        assert_eq!(latest(folder.path()).unwrap().unwrap().step, 100_000_000);
    }

    #[test]
    fn no_checkpoint_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(latest(folder.path()).unwrap().is_none());
        assert!(latest(&folder.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn a_damaged_newest_one_is_named_with_its_mend() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [10, 20, 30].map(|step| save(folder.path(), &tiny(step)).unwrap());
        let length = fs::metadata(&paths[2]).unwrap().len();
        let damage = |path: &PathBuf, last: usize| {
            let mut bytes = fs::read(path).unwrap();
            bytes[last] ^= 1;
            fs::write(path, bytes).unwrap();
        };
        File::options().write(true).open(&paths[2]).unwrap().set_len(length - 1).unwrap();
        let error = latest(folder.path()).unwrap_err().to_string();
        let expected = format!(
            "checkpoint {} is damaged: cut short at {} of {length} bytes; delete it to resume from step 20: {}",
            paths[2].display(),
            length - 1,
            paths[1].display()
        );
        assert_eq!(error, expected);

        damage(&paths[1], length as usize - 1);
        let error = latest(folder.path()).unwrap_err().to_string();
        let mend =
            format!("delete it and {}, damaged too, to resume from step 10: ", paths[1].display());
        assert!(error.contains(&mend), "{error}");

        fs::remove_file(&paths[2]).unwrap();
        fs::remove_file(&paths[0]).unwrap();
        let error = latest(folder.path()).unwrap_err().to_string();
        assert!(error.contains("its checksum differs"), "{error}");
        assert!(
            error.ends_with("there is no earlier checkpoint: start again in a new folder"),
            "{error}"
        );
        let error = load(&paths[1]).unwrap_err().to_string();
        assert!(error.ends_with("take another checkpoint of this run"), "{error}");
        let error = load(&paths[0]).unwrap_err().to_string();
        assert!(error.starts_with("cannot read") && error.contains("step-00000010"), "{error}");
    }

    #[test]
    fn pruning_keeps_the_last_ones_and_the_best() {
        for (keep, best, left) in [
            (2, Some(1), vec![1, 4, 5]),
            (2, Some(5), vec![4, 5]),
            (2, None, vec![4, 5]),
            (0, None, vec![5]),
            (9, None, vec![1, 2, 3, 4, 5]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for step in 1..=5 {
                save(folder.path(), &tiny(step)).unwrap();
            }
            fs::write(folder.path().join(".step-00000006.safetensors.tmp"), "half").unwrap();
            fs::write(folder.path().join("notes.txt"), "mine").unwrap();
            prune(folder.path(), keep, best).unwrap();
            let steps: Vec<_> = list(folder.path()).into_iter().map(|(step, _)| step).collect();
            assert_eq!(steps, left);
            assert_eq!(names(folder.path()).unwrap().len(), left.len() + 1);
        }
        prune(Path::new("no such folder"), 1, None).unwrap();
    }

    #[test]
    fn a_save_that_fails_leaves_the_earlier_checkpoints() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &tiny(1)).unwrap();
        // A folder stands where the new file would be written.
        fs::create_dir(folder.path().join(".step-00000002.safetensors.tmp")).unwrap();
        let error = save(folder.path(), &tiny(2)).unwrap_err().to_string();
        assert!(error.contains("step-00000002.safetensors"), "{error}");
        assert_eq!(latest(folder.path()).unwrap().unwrap().step, 1);
    }

    #[test]
    #[should_panic(expected = "tensor a has shape [2] but 3 values")]
    fn a_shape_that_lies_panics() {
        let tensors = [("a".to_owned(), tensor(&[2], &[1.0, 2.0, 3.0]))].into();
        header(&Checkpoint { step: 0, facts: facts(), tensors });
    }
}

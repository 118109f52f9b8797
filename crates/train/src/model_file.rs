//! `model.safetensors`: the tensors by timm's names, and a checksum of them.
//!
//! The header's metadata hold `format`, as other programs want it, and `trickbag.crc32c`. The header is written here because
//! the crate writes several keys in random order. The checksum covers name, type, shape and bytes of each tensor in the
//! order of the file. A file without one, as other programs write it, is read too.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use nn::{FileTensor, FileTensors, Model, Module};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

/// The name of the file in a model folder.
pub const WEIGHTS: &str = "model.safetensors";

/// Why the tensors of a model cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    #[error("it is no regular file; put the model's own file there, or give another folder")]
    NotFile,

    #[error("cannot be read: {0}; check that the file is there and may be read")]
    Unreadable(io::Error),

    #[error("not a whole safetensors file: {0}; copy it again, or train or export the model again")]
    Damaged(String),

    #[error(
        "{name} is {dtype}; only F32 is read: save it as float32, in PyTorch by tensor.float()"
    )]
    Dtype { name: String, dtype: String },

    #[error(
        "{name} holds {value}: the model is broken; train it again with a lower rate (--set rate.base=…)"
    )]
    NotFinite { name: String, value: f32 },

    #[error(
        "the checksum of its tensors is {computed:08x}, and they were written with {stored:08x}: the file was damaged or \
         changed since; copy it again, or train or export the model again"
    )]
    Checksum { stored: u32, computed: u32 },
}

const COUNTER: &str = "num_batches_tracked";

/// The metadata key of the checksum, eight hexadecimal digits.
const CHECKSUM: &str = "trickbag.crc32c";

/// The first bytes of a file hold the length of its header.
const LENGTH: usize = 8;

/// The longest header that is read. The largest network that the zoo builds needs a quarter of it.
const HEADER_LIMIT: u64 = 16 << 20;

/// Bytes are read and summed this many at a time.
const CHUNK: usize = 1 << 16;

/// The file of a model that was trained for `step` steps, which every batch norm's counter says.
pub fn to_bytes<M: Module>(model: &Model<M>, step: u64) -> Vec<u8> {
    let counters = model.module.norms().into_iter();
    let mut counters: Vec<String> =
        counters.map(|norm| format!("{}.{COUNTER}", norm.name)).collect();
    counters.sort();
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    let mut add = |name: String, dtype, shape, bytes: &mut dyn Iterator<Item = u8>| {
        let start = data.len();
        data.extend(bytes);
        entries.push((name, TensorInfo { dtype, shape, data_offsets: (start, data.len()) }));
    };
    for name in counters {
        add(name, Dtype::I64, vec![], &mut (step as i64).to_le_bytes().into_iter());
    }
    for (name, FileTensor { shape, values }) in model.tensors() {
        add(name, Dtype::F32, shape, &mut values.into_iter().flat_map(f32::to_le_bytes));
    }
    let mut sum = 0;
    for (name, info) in &entries {
        let (start, end) = info.data_offsets;
        sum = crc32c::crc32c_append(described(sum, name, info), &data[start..end]);
    }
    let mut header = header(&entries, sum);
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

fn header(entries: &[(String, TensorInfo)], checksum: u32) -> Vec<u8> {
    let mut header =
        format!(r#"{{"__metadata__":{{"format":"pt","{CHECKSUM}":"{checksum:08x}"}}"#).into_bytes();
    for (name, info) in entries {
        header.push(b',');
        serde_json::to_writer(&mut header, name).expect("a name is text");
        header.push(b':');
        serde_json::to_writer(&mut header, info).expect("a tensor's place is plain data");
    }
    header.push(b'}');
    header
}

/// The checksum with what is known of a tensor beside its bytes. Lengths go before what they count, so that no two files
/// are the same sum's by moving a byte.
fn described(sum: u32, name: &str, info: &TensorInfo) -> u32 {
    let number = |sum, number: usize| crc32c::crc32c_append(sum, &(number as u64).to_le_bytes());
    let text = |sum, text: &str| crc32c::crc32c_append(number(sum, text.len()), text.as_bytes());
    let sum = text(text(sum, name), &info.dtype.to_string());
    info.shape.iter().copied().fold(number(sum, info.shape.len()), number)
}

/// A file whose header is read and is as the file's length says.
#[derive(Debug)]
pub struct ModelFile<R> {
    input: R,
    metadata: Metadata,
}

/// Opens a regular file.
pub fn open(file: &Path) -> Result<ModelFile<BufReader<File>>, ModelFileError> {
    let found = fs::metadata(file).map_err(ModelFileError::Unreadable)?;
    if !found.is_file() {
        return Err(ModelFileError::NotFile);
    }
    let opened = File::open(file).map_err(ModelFileError::Unreadable)?;
    ModelFile::open(BufReader::with_capacity(CHUNK, opened), found.len())
}

impl<R: Read> ModelFile<R> {
    /// Reads the header of a file of `length` bytes, and asks for no more memory than the file has bytes.
    pub fn open(mut input: R, length: u64) -> Result<ModelFile<R>, ModelFileError> {
        let damaged = |what: &str| ModelFileError::Damaged(what.to_owned());
        let mut count = [0; LENGTH];
        input.read_exact(&mut count).map_err(cut)?;
        let count = u64::from_le_bytes(count);
        if count > HEADER_LIMIT {
            let text = format!("its header claims {count} bytes, of at most {HEADER_LIMIT}");
            return Err(ModelFileError::Damaged(text));
        }
        if count + LENGTH as u64 > length {
            return Err(damaged("it ends inside its header"));
        }
        let mut header = vec![0; count as usize];
        input.read_exact(&mut header).map_err(cut)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| ModelFileError::Damaged(error.to_string()))?;
        if LENGTH as u64 + count + metadata.data_len() as u64 != length {
            return Err(damaged("its tensors do not end where the file does"));
        }
        Ok(ModelFile { input, metadata })
    }

    /// The checksum that the file was written with; None for a file of another program.
    pub fn checksum(&self) -> Result<Option<u32>, ModelFileError> {
        let keys = self.metadata.metadata().as_ref();
        let Some(text) = keys.and_then(|keys| keys.get(CHECKSUM)) else { return Ok(None) };
        match u32::from_str_radix(text, 16) {
            Ok(sum) => Ok(Some(sum)),
            Err(_) => Err(ModelFileError::Damaged(format!("its {CHECKSUM} {text:?} is no number"))),
        }
    }

    /// Name and shape of every tensor but the counters.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let tensors = self.metadata.tensors().into_iter();
        let tensors = tensors.filter(|(name, _)| !name.ends_with(COUNTER));
        tensors.map(|(name, info)| (name, info.shape.clone())).collect()
    }

    /// Reads every tensor, and checks the checksum where there is one.
    pub fn tensors(mut self) -> Result<FileTensors, ModelFileError> {
        let mut tensors = FileTensors::new();
        let stored = self.checksum()?;
        let mut sum = 0;
        for name in self.metadata.offset_keys() {
            let info = self.metadata.info(&name).expect("the name is one of the header's");
            sum = described(sum, &name, info);
            let (start, end) = info.data_offsets;
            let is_counter = name.ends_with(COUNTER);
            if !is_counter && info.dtype != Dtype::F32 {
                return Err(ModelFileError::Dtype { name, dtype: info.dtype.to_string() });
            }
            let count = if is_counter { 0 } else { (end - start) / size_of::<f32>() };
            let mut values = Vec::with_capacity(count);
            sum = each_chunk(&mut self.input, end - start, sum, |bytes| {
                if !is_counter {
                    let (numbers, _) = bytes.as_chunks::<4>();
                    values.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
                }
            })?;
            if !is_counter {
                tensors.insert(name, FileTensor { shape: info.shape.clone(), values });
            }
        }
        match stored {
            Some(stored) if stored != sum => {
                return Err(ModelFileError::Checksum { stored, computed: sum });
            }
            _ => {}
        }
        for (name, FileTensor { values, .. }) in &tensors {
            if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
                return Err(ModelFileError::NotFinite { name: name.clone(), value });
            }
        }
        Ok(tensors)
    }

    /// Whether the tensors are those that the checksum is of; nothing is kept of them.
    fn verified(mut self) -> Result<(), ModelFileError> {
        let Some(stored) = self.checksum()? else { return Ok(()) };
        let mut sum = 0;
        for name in self.metadata.offset_keys() {
            let info = self.metadata.info(&name).expect("the name is one of the header's");
            let (start, end) = info.data_offsets;
            let described = described(sum, &name, info);
            sum = each_chunk(&mut self.input, end - start, described, |_| {})?;
        }
        match stored == sum {
            true => Ok(()),
            false => Err(ModelFileError::Checksum { stored, computed: sum }),
        }
    }
}

/// Checks the bytes of a whole file that another command reads as weights: the length of its header, and its checksum where
/// trickbag wrote one. Of a file of another format, or that is not whole, it says nothing; the reader of the weights does.
pub fn check_bytes(bytes: &[u8]) -> Result<(), ModelFileError> {
    let Some(count) = bytes.first_chunk::<LENGTH>() else { return Ok(()) };
    if bytes.get(LENGTH) != Some(&b'{') {
        return Ok(());
    }
    if u64::from_le_bytes(*count) > HEADER_LIMIT {
        return ModelFile::open(bytes, bytes.len() as u64).map(drop);
    }
    match ModelFile::open(bytes, bytes.len() as u64) {
        Ok(archive) => archive.verified(),
        Err(_) => Ok(()),
    }
}

/// Hands out `count` bytes of the input, a bounded number at a time; gives the checksum with them.
fn each_chunk(
    input: &mut impl Read,
    count: usize,
    mut sum: u32,
    mut consume: impl FnMut(&[u8]),
) -> Result<u32, ModelFileError> {
    let mut bytes = vec![0; count.min(CHUNK)];
    let mut left = count;
    while left > 0 {
        let chunk = left.min(CHUNK);
        let bytes = &mut bytes[..chunk];
        input.read_exact(bytes).map_err(cut)?;
        sum = crc32c::crc32c_append(sum, bytes);
        consume(bytes);
        left -= chunk;
    }
    Ok(sum)
}

fn cut(error: io::Error) -> ModelFileError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ModelFileError::Damaged("it is cut short".to_owned()),
        _ => ModelFileError::Unreadable(error),
    }
}

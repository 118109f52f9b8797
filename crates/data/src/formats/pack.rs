//! A packed copy: a folder of shards and an index, as `trickbag data pack` writes it.
//!
//! All numbers are little-endian. A shard is a header (mark, the pack's id, its number, how many records, how many bytes
//! follow, their BLAKE3 hash), then the records, each a CRC-32C and the bytes it is of, then a table of their places. The
//! index is a header (mark, how many bytes follow, their hash), then the id, the classes, lengths and hashes of the
//! shards, and the images with label, place and name: its hash covers all there is. It is written last, so a folder
//! without it is a pack that was interrupted. Opening looks at every header; the CRC of an image is looked at each time that
//! it is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Found;
use super::blob::Blob;
use super::layout::{Entry, Item, Layout};
use super::source::{Order, Shape, Source, Stored};
use crate::DataError;

pub(crate) const INDEX: &str = "index.pack";
const INDEX_MARK: &[u8; 16] = b"trickbag pack 1\n";
const SHARD_MARK: &[u8; 16] = b"trickbag shard 1";
/// What an image begins with that is stored as pixels; then width, height, and rows of RGB.
const PIXELS_MARK: &[u8; 8] = b"pixels\x80\n";
pub(crate) const INDEX_HEADER: usize = 16 + 8 + 32;
pub(crate) const SHARD_HEADER: usize = 16 + 32 + 4 + 4 + 8 + 32;
/// More shards than this are opened anew for every read.
const OPEN: usize = 256;

pub(crate) type Hash = [u8; 32];

pub(crate) fn shard_name(number: u32) -> String {
    format!("shard-{number:05}.pack")
}

/// Whether a folder is a packed copy, or the beginning of one.
pub(crate) fn is_pack(folder: &Path) -> bool {
    folder.join(INDEX).exists() || folder.join(shard_name(0)).exists()
}

fn unusable(name: String, reason: impl Into<String>) -> DataError {
    DataError::Malformed {
        name,
        what: "packed copy",
        reason: reason.into(),
        mend: "delete the folder and write it again with `trickbag data pack`",
    }
}

/// Opens a packed copy.
pub(crate) fn open(folder: &Path) -> Result<Found, DataError> {
    if !folder.join(INDEX).exists() {
        return Err(DataError::Malformed {
            name: folder.display().to_string(),
            what: "packed copy",
            reason: "it is not finished".to_owned(),
            mend: "give the command that began it again; it goes on where it stopped",
        });
    }
    let index = read_index(folder)?;
    let mut shards = Vec::with_capacity(index.shards.len());
    for (number, expected) in (0..).zip(&index.shards) {
        let path = folder.join(shard_name(number));
        let blob = Blob::open(&path)?;
        let header = ShardHeader::read(&blob)?;
        if header.id != index.id || header.number != number || header.hash != expected.hash {
            return Err(unusable(blob.name, "it is of another pack than the index"));
        }
        shards.push(if index.shards.len() > OPEN { blob.closed(&path) } else { blob });
    }
    for item in index.items.iter().flatten() {
        let Entry { path, file, offset, length } = &item.entry;
        let shard = &shards[*file as usize];
        if shard.length().checked_sub(*length).is_none_or(|last| *offset > last) {
            let name = folder.join(INDEX).display().to_string();
            return Err(unusable(name, format!("{path} lies beyond the end of its shard")));
        }
    }
    let Index { classes, items: [train, validation], has_validation, .. } = index;
    let validation = has_validation.then_some(validation);
    let layout = Layout { classes, train, validation, left_out: Vec::new() };
    Ok(Found { layout, source: Arc::new(Packed { folder: folder.to_owned(), shards }) })
}

#[derive(Debug)]
struct Packed {
    folder: PathBuf,
    shards: Vec<Blob>,
}

impl Source for Packed {
    fn name(&self, entry: &Entry) -> String {
        format!("{}:{}", self.folder.display(), entry.path)
    }

    fn read<'a>(&'a self, entry: &Entry, buffer: &'a mut Vec<u8>) -> Result<Stored<'a>, DataError> {
        let shard = &self.shards[entry.file as usize];
        let record = match shard.read(entry.offset - 4, entry.length + 4, buffer) {
            Ok(record) => record,
            Err(error) => return Err(DataError::Read { name: self.name(entry), error }),
        };
        let (crc, stored) = record.split_at(4);
        if crc32c::crc32c(stored).to_le_bytes() != *crc {
            let reason = format!("its bytes in {} have changed since", shard.name);
            return Err(unusable(self.name(entry), reason));
        }
        Ok(match stored.strip_prefix(PIXELS_MARK) {
            None => Stored::File(stored),
            Some(rest) => {
                let shape = pixels_shape(rest).filter(|shape| rest.len() == 8 + shape.bytes());
                let Some(shape) = shape else {
                    return Err(unusable(self.name(entry), "its pixels do not fit its size"));
                };
                Stored::Pixels(&rest[8..], shape)
            }
        })
    }
}

fn pixels_shape(stored: &[u8]) -> Option<Shape> {
    let side = |at: usize| Some(u32::from_le_bytes(*stored.get(at..)?.first_chunk()?) as usize);
    let (width, height) = (side(0)?, side(4)?);
    width.checked_mul(height)?.checked_mul(3).filter(|&bytes| bytes > 0)?;
    Some(Shape { width, height, order: Order::Rgb })
}

/// An image as pixels, as it is stored.
pub(crate) fn pixels_record(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    let mut record = PIXELS_MARK.to_vec();
    record.extend((width as u32).to_le_bytes());
    record.extend((height as u32).to_le_bytes());
    record.extend_from_slice(pixels);
    record
}

/// What an index says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) id: Hash,
    pub(crate) classes: Vec<String>,
    pub(crate) shards: Vec<Shard>,
    pub(crate) has_validation: bool,
    /// Training and validation.
    pub(crate) items: [Vec<Item>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) length: u64,
    pub(crate) hash: Hash,
}

impl Index {
    /// The whole file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut body = self.id.to_vec();
        let text = |body: &mut Vec<u8>, text: &str| {
            body.extend((text.len() as u32).to_le_bytes());
            body.extend_from_slice(text.as_bytes());
        };
        body.extend((self.classes.len() as u32).to_le_bytes());
        self.classes.iter().for_each(|class| text(&mut body, class));
        body.extend((self.shards.len() as u32).to_le_bytes());
        for Shard { length, hash } in &self.shards {
            body.extend(length.to_le_bytes());
            body.extend_from_slice(hash);
        }
        body.push(u8::from(self.has_validation));
        for items in &self.items {
            body.extend((items.len() as u32).to_le_bytes());
            for Item { label, entry: Entry { path, file, offset, length } } in items {
                body.extend(label.to_le_bytes());
                body.extend(file.to_le_bytes());
                body.extend(offset.to_le_bytes());
                body.extend(length.to_le_bytes());
                text(&mut body, path);
            }
        }
        let hash = blake3::hash(&body);
        [INDEX_MARK, &(body.len() as u64).to_le_bytes()[..], hash.as_bytes(), &body].concat()
    }

    /// Reads the whole file, or says what is wrong with it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Index, &'static str> {
        let mut fields = Fields(bytes);
        if fields.array() != Some(*INDEX_MARK) {
            return Err("it does not begin as an index of this version does");
        }
        let length = fields.long().ok_or(SHORT)?;
        let hash: Hash = fields.array().ok_or(SHORT)?;
        let body = fields.0;
        if body.len() as u64 != length {
            return Err(SHORT);
        }
        if *blake3::hash(body).as_bytes() != hash {
            return Err("its content hash does not fit: it was damaged or changed");
        }
        Index::parse(&mut Fields(body)).ok_or("its fields do not fit each other")
    }

    fn parse(fields: &mut Fields) -> Option<Index> {
        let id = fields.array()?;
        let classes = fields.list(|fields| fields.text())?;
        let shards =
            fields.list(|fields| Some(Shard { length: fields.long()?, hash: fields.array()? }))?;
        let has_validation = fields.array::<1>()? == [1];
        let item = |fields: &mut Fields| {
            let (label, file) = (fields.short()?, fields.short()?);
            let (offset, length) = (fields.long()?, fields.long()?);
            let path = fields.text()?;
            let fits = (label as usize) < classes.len()
                && (file as usize) < shards.len()
                && offset >= (SHARD_HEADER + 4) as u64;
            fits.then_some(Item { label, entry: Entry { path, file, offset, length } })
        };
        let items = [fields.list(item)?, fields.list(item)?];
        fields.0.is_empty().then_some(Index { id, classes, shards, has_validation, items })
    }
}

const SHORT: &str = "it is not as long as it says: it was cut or added to";

pub(crate) fn read_index(folder: &Path) -> Result<Index, DataError> {
    let blob = Blob::open(&folder.join(INDEX))?;
    Index::from_bytes(&blob.all()?).map_err(|reason| unusable(blob.name, reason))
}

/// What the header of a shard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardHeader {
    pub(crate) id: Hash,
    pub(crate) number: u32,
    pub(crate) records: u32,
    /// Of all that follows.
    pub(crate) length: u64,
    pub(crate) hash: Hash,
}

impl ShardHeader {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let ShardHeader { id, number, records, length, hash } = self;
        let (number, records) = (number.to_le_bytes(), records.to_le_bytes());
        [SHARD_MARK, &id[..], &number, &records, &length.to_le_bytes(), &hash].concat()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<ShardHeader> {
        let mut fields = Fields(bytes);
        (fields.array() == Some(*SHARD_MARK)).then_some(())?;
        Some(ShardHeader {
            id: fields.array()?,
            number: fields.short()?,
            records: fields.short()?,
            length: fields.long()?,
            hash: fields.array()?,
        })
    }

    /// The header of a shard that is as long as it says.
    pub(crate) fn read(shard: &Blob) -> Result<ShardHeader, DataError> {
        let Some(header) = ShardHeader::from_bytes(&shard.head::<SHARD_HEADER>()?) else {
            return Err(unusable(shard.name.clone(), "it does not begin as a shard does"));
        };
        if header.length.checked_add(SHARD_HEADER as u64) != Some(shard.length()) {
            return Err(unusable(shard.name.clone(), SHORT));
        }
        Ok(header)
    }

    /// The places and lengths of the records, from the table at the end.
    pub(crate) fn table(&self, shard: &Blob) -> Result<Vec<(u64, u64)>, DataError> {
        let length = u64::from(self.records) * 16;
        let mut buffer = Vec::new();
        let Some(start) = shard.length().checked_sub(length) else {
            return Err(unusable(shard.name.clone(), SHORT));
        };
        let table = shard.read(start, length, &mut buffer).map_err(|error| shard.failed(error))?;
        let (places, _) = table.as_chunks::<16>();
        let number = |bytes: &[u8]| u64::from_le_bytes(*bytes.first_chunk().expect("8 bytes"));
        Ok(places.iter().map(|place| (number(&place[..8]), number(&place[8..]))).collect())
    }
}

/// Bytes that are taken apart from the front. A count never makes more room than there are bytes for.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn short(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.short()? as usize;
        str::from_utf8(self.take(length)?).ok().map(str::to_owned)
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.short()?;
        (0..count).map(|_| one(self)).collect()
    }
}

/// Parses made-up bytes, for fuzzing: a body gets its hash, so that what lies behind it is reached.
pub(crate) fn fuzz(body: &[u8]) {
    let _ = ShardHeader::from_bytes(body);
    let _ = Index::from_bytes(body);
    let hash = blake3::hash(body);
    let length = (body.len() as u64).to_le_bytes();
    let _ = Index::from_bytes(&[INDEX_MARK, &length[..], hash.as_bytes(), body].concat());
    let _ = pixels_shape(body);
}

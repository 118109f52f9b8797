//! The entries of a zip whose files are stored as they are, which is how `torch.save` writes all of them.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::WeightsError;

/// Where each file's bytes lie, by name.
pub(crate) type Entries<'a> = BTreeMap<&'a str, Range<usize>>;

const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
/// Its comment has a length of 16 bits.
const LONGEST_COMMENT: usize = 0xFFFF;
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const LOCATOR_64_LENGTH: usize = 20;
const END_64: &[u8] = b"PK\x06\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_LENGTH: usize = 46;
const FILE: &[u8] = b"PK\x03\x04";
const FILE_LENGTH: usize = 30;
/// The extra field that holds what does not fit into 32 bits.
const EXTRA_64: u16 = 1;

/// # Errors
/// Where the directory is damaged, or a file is compressed, encrypted, outside the archive or upon another one.
pub(crate) fn entries(bytes: &[u8]) -> Result<Entries<'_>, WeightsError> {
    let mut entries = Entries::new();
    let (mut at, count) = directory(bytes)?;
    for _ in 0..count {
        let entry = Record::at(bytes, at, ENTRY, ENTRY_LENGTH)?;
        let [name, extra, comment] = [28, 30, 32].map(|field| usize::from(entry.short(field)));
        let rest = slice(bytes, at + ENTRY_LENGTH, name + extra + comment)?;
        at += ENTRY_LENGTH + rest.len();
        let name = std::str::from_utf8(&rest[..name])
            .map_err(|_| WeightsError::damaged("a name in its directory is not UTF-8"))?;
        let range = file(bytes, &entry, &rest[name.len()..][..extra], name)?;
        if entries.insert(name, range).is_some() {
            return Err(WeightsError::damaged(format!("{name} is in its directory twice")));
        }
    }
    let mut ranges: Vec<_> = entries.iter().filter(|(_, range)| !range.is_empty()).collect();
    ranges.sort_by_key(|(_, range)| range.start);
    for pair in ranges.windows(2) {
        if pair[0].1.end > pair[1].1.start {
            let message = format!("{} and {} lie upon each other", pair[0].0, pair[1].0);
            return Err(WeightsError::damaged(message));
        }
    }
    Ok(entries)
}

/// Where the directory begins, and how many entries it has.
fn directory(bytes: &[u8]) -> Result<(usize, u64), WeightsError> {
    let cut = || WeightsError::damaged("it is cut short: a zip ends with its directory");
    let last = bytes.len().checked_sub(END_LENGTH).ok_or_else(cut)?;
    let first = last.saturating_sub(LONGEST_COMMENT);
    let is_end = |&at: &usize| {
        let comment = usize::from(u16::from_le_bytes([bytes[at + 20], bytes[at + 21]]));
        bytes[at..].starts_with(END) && at + END_LENGTH + comment == bytes.len()
    };
    let at = (first..=last).rev().find(is_end).ok_or_else(cut)?;
    let end = Record::at(bytes, at, END, END_LENGTH)?;
    let locator = at.checked_sub(LOCATOR_64_LENGTH);
    let locator = locator.and_then(|at| Record::at(bytes, at, LOCATOR_64, LOCATOR_64_LENGTH).ok());
    let (start, count) = match locator {
        Some(locator) => {
            let end = Record::at(bytes, index(locator.long(8))?, END_64, 56)?;
            (index(end.long(48))?, end.long(32))
        }
        None => (end.word(16) as usize, u64::from(end.short(10))),
    };
    Ok((start, count))
}

/// The bytes of an entry's file.
fn file(
    bytes: &[u8],
    entry: &Record<'_>,
    extra: &[u8],
    name: &str,
) -> Result<Range<usize>, WeightsError> {
    if entry.short(8) & 1 != 0 {
        return Err(WeightsError::damaged(format!("{name} is encrypted, and torch.save never is")));
    }
    if entry.short(10) != 0 {
        let message = format!("{name} is compressed, and torch.save stores files as they are");
        return Err(WeightsError::damaged(message));
    }
    // The size, the compressed size and the place, in this order; those that are all ones are in the extra field.
    let mut wide = wide_fields(extra);
    let mut field = |at: usize| match entry.word(at) {
        u32::MAX => wide.next().ok_or_else(|| WeightsError::damaged(format!("{name} has no size"))),
        short => Ok(u64::from(short)),
    };
    let (size, stored, place) = (field(24)?, field(20)?, field(42)?);
    if size != stored {
        return Err(WeightsError::damaged(format!("{name} has two sizes")));
    }
    let place = index(place)?;
    let header = Record::at(bytes, place, FILE, FILE_LENGTH)?;
    let start = place + FILE_LENGTH + usize::from(header.short(26)) + usize::from(header.short(28));
    let size = index(size)?;
    slice(bytes, start, size)?;
    Ok(start..start + size)
}

/// The 64-bit numbers of the extra field that is for them.
fn wide_fields(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut wide: &[u8] = &[];
    while let Some((&[a, b, c, d], rest)) = extra.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([c, d])).min(rest.len());
        if u16::from_le_bytes([a, b]) == EXTRA_64 {
            wide = &rest[..length];
        }
        extra = &rest[length..];
    }
    wide.as_chunks::<8>().0.iter().map(|&bytes| u64::from_le_bytes(bytes))
}

/// A header of a fixed length, of which all fields are there.
struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    fn at(
        bytes: &'a [u8],
        at: usize,
        signature: &[u8],
        length: usize,
    ) -> Result<Record<'a>, WeightsError> {
        match slice(bytes, at, length)? {
            record if record.starts_with(signature) => Ok(Record(record)),
            _ => Err(WeightsError::damaged("its directory points at something else")),
        }
    }

    fn short(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn word(&self, at: usize) -> u32 {
        u32::from(self.short(at)) | u32::from(self.short(at + 2)) << 16
    }

    fn long(&self, at: usize) -> u64 {
        u64::from(self.word(at)) | u64::from(self.word(at + 4)) << 32
    }
}

fn slice(bytes: &[u8], start: usize, length: usize) -> Result<&[u8], WeightsError> {
    let end = start.checked_add(length);
    let found = end.and_then(|end| bytes.get(start..end));
    found.ok_or_else(|| WeightsError::damaged("its directory points outside it"))
}

fn index(number: u64) -> Result<usize, WeightsError> {
    usize::try_from(number).map_err(|_| WeightsError::damaged("its directory points outside it"))
}

//! MXNet's RecordIO, the format of the paper's authors: `NAME.rec`, with `NAME.idx` and `NAME.lst` beside it where im2rec
//! left them.
//!
//! A record is the little-endian words 0xced7230a and `flag << 29 | length`, then the data, then zeros up to a multiple of
//! four. Where the data itself held the first word at a multiple of four, it is cut there: flag 1 begins such a record, 2 goes
//! on, 3 ends it, and the word belongs between. An image's data is a header (flag u32, label f32, two ids u64), then `flag`
//! more labels of f32, then a JPEG or PNG.
//!
//! The `.idx` (lines of `KEY\tPOSITION`) tells which records there are and in which order. Without it the file is walked from
//! record to record. The `.lst` (`KEY\tLABEL\tPATH`) gives images their paths, and classes the names of their folders.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Found;
use super::blob::Blob;
use super::classes::{Gathering, Side, names_beside, sides};
use super::layout::{Entry, Tree};
use super::source::{Root, Source, Stored};
use crate::DataError;

const MAGIC: u32 = 0xCED7_230A;
const WORDS: u64 = 8;
const HEADER: u64 = 24;

pub(crate) fn is_record_file(head: &[u8]) -> bool {
    head.starts_with(&MAGIC.to_le_bytes())
}

/// A `.rec` and what lies beside it.
struct Set {
    records: Blob,
    index: Option<Blob>,
    list: Option<Blob>,
}

/// The `.rec` files of a folder or an archive.
pub(crate) fn open(root: &Root, tree: &Tree) -> Result<Found, DataError> {
    let others = tree.others();
    let by_path: HashMap<&str, &Entry> =
        others.iter().map(|entry| (entry.path.as_str(), *entry)).collect();
    let stems: Vec<&str> =
        others.iter().filter_map(|entry| entry.path.strip_suffix(".rec")).collect();
    let stems = sides(stems, |stem| stem, &root.name(""))?;
    let beside = |stem: &str, end: &str| {
        by_path.get(format!("{stem}{end}").as_str()).map(|entry| root.blob(entry)).transpose()
    };
    let mut sets = Vec::new();
    for (side, stem) in stems.all() {
        let records = beside(stem, ".rec")?.expect("it was listed");
        sets.push((
            side,
            Set { records, index: beside(stem, ".idx")?, list: beside(stem, ".lst")? },
        ));
    }
    gather(sets, names_beside(root, tree)?, &root.name(""))
}

/// One `.rec` without company.
pub(crate) fn open_file(
    records: Blob,
    index: Option<Blob>,
    list: Option<Blob>,
) -> Result<Found, DataError> {
    let name = records.name.clone();
    gather(vec![(Side::Train, Set { records, index, list })], None, &name)
}

fn gather(
    sets: Vec<(Side, Set)>,
    names: Option<Vec<String>>,
    name: &str,
) -> Result<Found, DataError> {
    let mut gathering = Gathering::default();
    let (mut files, mut cut) = (Vec::new(), HashSet::new());
    let mut folders = Folders::default();
    for (file, (side, set)) in sets.into_iter().enumerate() {
        let list = set.list.as_ref().map(list).transpose()?.unwrap_or_default();
        let records = set.records;
        let mut add = |record: Record| {
            let class = class(record.label, record.labels)
                .map_err(|reason| malformed(&records, record.offset, reason))?;
            let path = list.get(&record.id).cloned().unwrap_or_default();
            folders.add(&class, &path);
            let file = file as u32;
            let (offset, length) = record.image.unwrap_or((record.offset, record.length));
            if record.image.is_none() {
                cut.insert((file, offset));
            }
            let said = || at(&records, record.offset);
            gathering.add(side, &class, Entry { path, file, offset, length }, said);
            Ok::<(), DataError>(())
        };
        match &set.index {
            Some(index) => {
                for position in positions(index, &records)? {
                    add(Record::read(&records, position)?)?;
                }
            }
            None => {
                let mut position = 0;
                while position < records.length() {
                    let record = Record::read(&records, position)?;
                    position += record.length;
                    add(record)?;
                }
            }
        }
        files.push(records);
    }
    let mut layout = gathering.finish(names.clone(), name)?;
    if names.is_none() {
        folders.rename(&mut layout.classes);
    }
    Ok(Found { layout, source: Arc::new(Records { files, cut }) })
}

/// The folder in which a list has all images of a class, that is the name of the class.
#[derive(Default)]
struct Folders {
    of: HashMap<String, Option<String>>,
}

impl Folders {
    fn add(&mut self, class: &str, path: &str) {
        let folder = path.rsplit_once('/').map(|(folder, _)| folder);
        let folder = folder.and_then(|folder| folder.rsplit('/').next()).map(str::to_owned);
        match self.of.get_mut(class) {
            Some(known) if *known != folder => *known = None,
            Some(_) => {}
            None => drop(self.of.insert(class.to_owned(), folder)),
        }
    }

    /// Names classes by their folders where each has one of its own.
    fn rename(&self, classes: &mut [String]) {
        let names: Option<Vec<&String>> =
            classes.iter().map(|class| self.of.get(class)?.as_ref()).collect();
        let Some(names) = names else { return };
        if names.iter().collect::<BTreeSet<_>>().len() == classes.len() {
            let names: Vec<String> = names.into_iter().cloned().collect();
            classes.clone_from_slice(&names);
        }
    }
}

/// A record's place and what its header says.
struct Record {
    /// With headers and padding, over all its pieces.
    offset: u64,
    length: u64,
    /// Where the image is in the file, its offset and length; nothing where the record was cut.
    image: Option<(u64, u64)>,
    label: f32,
    /// How many labels there are besides; 0 for one class.
    labels: u32,
    id: u64,
}

/// A piece of a record: its flag, and the length of its data.
fn piece(records: &Blob, offset: u64) -> Result<(u32, u64), DataError> {
    let mut buffer = Vec::new();
    let words = records.read(offset, WORDS, &mut buffer);
    let words =
        words.map_err(|_| malformed(records, offset, "the file ends inside it".to_owned()))?;
    if !is_record_file(words) {
        let reason = "it does not begin with the word 0xced7230a".to_owned();
        return Err(malformed(records, offset, reason));
    }
    let word = u32::from_le_bytes(words[4..].try_into().expect("four bytes"));
    let length = u64::from(word & ((1 << 29) - 1));
    let end = offset + WORDS + length;
    if end > records.length() {
        let reason = format!("{length} bytes are told, the file ends before");
        return Err(malformed(records, offset, reason));
    }
    Ok((word >> 29, length))
}

/// With the zeros behind it; the last record of a file may lack them.
fn padded(records: &Blob, offset: u64, length: u64) -> u64 {
    (WORDS + length.next_multiple_of(4)).min(records.length() - offset)
}

impl Record {
    fn read(records: &Blob, offset: u64) -> Result<Record, DataError> {
        let (flag, first) = piece(records, offset)?;
        let mut length = padded(records, offset, first);
        let mut last = flag;
        if !matches!(flag, 0 | 1) {
            return Err(malformed(records, offset, format!("it begins with flag {flag}")));
        }
        while matches!(last, 1 | 2) {
            let (flag, more) = piece(records, offset + length)?;
            if !matches!(flag, 2 | 3) {
                let reason = format!("a piece of it has flag {flag}, not 2 or 3");
                return Err(malformed(records, offset, reason));
            }
            length += padded(records, offset + length, more);
            last = flag;
        }
        let (mut buffer, mut joined) = (Vec::new(), Vec::new());
        let failed = |error| DataError::Read { name: at(records, offset), error };
        let data = if flag == 0 {
            let known = first.min(HEADER + 4);
            records.read(offset + WORDS, known, &mut buffer).map_err(failed)?
        } else {
            join(records.read(offset, length, &mut buffer).map_err(failed)?, &mut joined);
            joined.as_slice()
        };
        let word = |place: usize| {
            let bytes = data.get(place..place + 4).and_then(|bytes| bytes.first_chunk());
            let short = || format!("its {} bytes are too few for an image", data.len());
            bytes
                .map(|bytes| u32::from_le_bytes(*bytes))
                .ok_or_else(|| malformed(records, offset, short()))
        };
        let (labels, [low, high]) = (word(0)?, [word(8)?, word(12)?]);
        word(20)?;
        // Where one label follows the header, it is the class.
        let label = f32::from_bits(if labels == 1 { word(24)? } else { word(4)? });
        let before = HEADER + extra(labels);
        let image = (flag == 0).then(|| (offset + WORDS + before, first - before));
        let id = u64::from(low) | u64::from(high) << 32;
        Ok(Record { offset, length, image, label, labels, id })
    }
}

/// Puts the pieces of a record together. They were checked when the index was made; what has changed since is cut short.
fn join(record: &[u8], into: &mut Vec<u8>) {
    into.clear();
    let mut rest = record;
    while let Some((words, after)) = rest.split_at_checked(WORDS as usize) {
        let word = u32::from_le_bytes(words[4..].try_into().expect("four bytes"));
        let length = (word & ((1 << 29) - 1)) as usize;
        into.extend_from_slice(&after[..length.min(after.len())]);
        rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
        if matches!(word >> 29, 1 | 2) {
            into.extend_from_slice(&MAGIC.to_le_bytes());
        }
    }
}

/// A label of a class is a whole number.
fn class(label: f32, labels: u32) -> Result<String, String> {
    if labels > 1 {
        return Err(format!("it has {labels} labels; one class for each image is expected"));
    }
    if !(label >= 0.0 && label < (1 << 24) as f32 && label.fract() == 0.0) {
        return Err(format!("its label {label} is no class"));
    }
    Ok(format!("{label:.0}"))
}

/// Where records begin, in the order of the index.
fn positions(index: &Blob, records: &Blob) -> Result<Vec<u64>, DataError> {
    let text = index.text()?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let position = line.split('\t').nth(1).and_then(|text| text.trim().parse().ok());
            position.filter(|&position| position < records.length()).ok_or_else(|| {
                DataError::Malformed {
                    name: format!("{}:{}", index.name, number + 1),
                    what: "RecordIO index",
                    reason: format!("{} is no position in {}", line.trim(), records.name),
                    mend: "make it again, or remove it: without it the .rec is walked",
                }
            })
        })
        .collect()
}

/// Paths by key, from a `.lst`.
fn list(list: &Blob) -> Result<HashMap<u64, String>, DataError> {
    let text = list.text()?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let mut columns = line.split('\t');
            let key = columns.next().and_then(|key| key.trim().parse().ok());
            let path = columns.next_back().map(str::to_owned);
            key.zip(path).ok_or_else(|| DataError::Malformed {
                name: format!("{}:{}", list.name, number + 1),
                what: "RecordIO list",
                reason: "it is not KEY, LABEL and PATH with tabs between".to_owned(),
                mend: "make it again, or remove it: it only gives names",
            })
        })
        .collect()
}

fn at(records: &Blob, offset: u64) -> String {
    format!("{}: record at byte {offset}", records.name)
}

fn malformed(records: &Blob, offset: u64, reason: String) -> DataError {
    DataError::Malformed {
        name: at(records, offset),
        what: "RecordIO image",
        reason,
        mend: "make the .rec again, with its .idx",
    }
}

/// Images in `.rec` files. An entry is the image itself, or the whole of a record that was cut.
#[derive(Debug)]
struct Records {
    files: Vec<Blob>,
    /// The file and the offset of records that were cut.
    cut: HashSet<(u32, u64)>,
}

impl Source for Records {
    fn name(&self, entry: &Entry) -> String {
        let file = &self.files[entry.file as usize];
        if entry.path.is_empty() {
            format!("{}: image at byte {}", file.name, entry.offset)
        } else {
            format!("{}:{}", file.name, entry.path)
        }
    }

    fn read<'a>(&'a self, entry: &Entry, buffer: &'a mut Vec<u8>) -> Result<Stored<'a>, DataError> {
        let file = &self.files[entry.file as usize];
        let failed = |error| DataError::Read { name: self.name(entry), error };
        if !self.cut.contains(&(entry.file, entry.offset)) {
            return file.read(entry.offset, entry.length, buffer).map(Stored::File).map_err(failed);
        }
        let mut record = Vec::new();
        join(file.read(entry.offset, entry.length, &mut record).map_err(failed)?, buffer);
        let labels = buffer.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let image = buffer.get((HEADER + extra(labels)) as usize..).map(Stored::File);
        image.ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Bytes of labels behind the header.
fn extra(labels: u32) -> u64 {
    if labels == 1 { 4 } else { 0 }
}

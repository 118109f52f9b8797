//! Parquet files with images inside, as Hugging Face publishes them: a column of images (`image` or `img`: a struct of `bytes` and
//! `path`) and one of labels, whose class names are in the file's metadata.
//!
//! Pages are the unit of compression, about a megabyte. To read a row, its page is found by the headers of pages and decoded; the
//! latest pages stay in memory, up to [`CACHE`] bytes of images, so a small dataset is decoded once.

use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use parquet::basic::{Compression, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{
    ChunkReader, FileReader, Length, RowGroupReader, SerializedFileReader,
};
use parquet::schema::types::ColumnDescriptor;

use super::Found;
use super::blob::Blob;
use super::classes::{Gathering, Side, names_beside, sides};
use super::layout::{Entry, Tree};
use super::source::{OPEN, Root, Source, Stored};
use crate::DataError;

pub(crate) const MAGIC: [u8; 4] = *b"PAR1";
/// Bytes of images that stay decoded: CIFAR-10 fits.
const CACHE: usize = 192 << 20;
/// A header of a page is shorter.
const PAGE_HEADER: usize = 256;
/// Values that are decoded at a time.
const VALUES: usize = 1024;
/// The most bytes of a page.
const PAGE_LIMIT: u64 = 1 << 30;
/// Snappy's copies of three bytes stand for 64 at most.
const SNAPPY: u64 = 22;
/// Unpacked sizes up to this are harmless.
const SMALL_PAGE: u64 = 1 << 16;
/// The first three fields of a page's header are at most this long.
const PAGE_SIZES: usize = 18;
/// What the file ends with: the length of its metadata, and its mark.
const FOOTER: u64 = 8;
/// Rows of a group that need not have a byte each.
const ROWS: u64 = 1 << 20;
const IMAGES: [&str; 2] = ["image", "img"];
const LABELS: [&str; 5] = ["label", "labels", "fine_label", "class", "target"];

impl Length for Blob {
    fn len(&self) -> u64 {
        self.length()
    }
}

impl ChunkReader for Blob {
    type T = BufReader<OwnedReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let blob = self.opened().map_err(|error| ParquetError::General(error.to_string()))?;
        let reader = OwnedReader { blob, position: start, is_checked: false };
        Ok(BufReader::with_capacity(PAGE_HEADER, reader))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        if length as u64 > PAGE_LIMIT {
            return Err(ParquetError::General(format!("a part of {length} bytes is too large")));
        }
        Ok(self.take(start, length as u64)?.into())
    }
}

/// Reads a blob from one position on.
#[derive(Debug)]
pub(crate) struct OwnedReader {
    blob: Blob,
    position: u64,
    is_checked: bool,
}

impl OwnedReader {
    /// Refuses the header of a page that would take memory out of proportion to the page. Whatever is read from somewhere on
    /// is such a header, but for the end of the file.
    fn check(&self) -> std::io::Result<()> {
        let left = self.blob.length().saturating_sub(self.position);
        if left <= FOOTER {
            return Ok(());
        }
        let mut head = [0; PAGE_SIZES];
        let length = left.min(PAGE_SIZES as u64) as usize;
        self.blob.read_at(&mut head[..length], self.position)?;
        let refused = |text: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
        let Some([unpacked, packed]) = page_sizes(&head[..length]) else {
            return Err(refused("a page does not begin with its sizes"));
        };
        if unpacked > PAGE_LIMIT || unpacked > packed.saturating_mul(SNAPPY).max(SMALL_PAGE) {
            return Err(refused("a page says that it unpacks to more than its bytes can hold"));
        }
        Ok(())
    }
}

/// The unpacked and the packed size that a page's header begins with: its first three fields are 32-bit numbers, of which
/// the first is the page's type.
fn page_sizes(header: &[u8]) -> Option<[u64; 2]> {
    /// The next field, a 32-bit number (Thrift's compact protocol).
    const NEXT_I32: u8 = 0x15;
    let mut at = 0;
    let mut field = || {
        (*header.get(at)? == NEXT_I32).then_some(())?;
        at += 1;
        let mut zigzag = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = *header.get(at)?;
            at += 1;
            zigzag |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                // Odd ones are negative.
                return (zigzag & 1 == 0).then_some(zigzag >> 1);
            }
        }
        None
    };
    let _type = field()?;
    Some([field()?, field()?])
}

impl Read for OwnedReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if !self.is_checked {
            self.check()?;
            self.is_checked = true;
        }
        let left = self.blob.length().saturating_sub(self.position);
        let length = left.min(into.len() as u64) as usize;
        self.blob.read_at(&mut into[..length], self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// The Parquet files of a folder or an archive.
pub(crate) fn open_tree(root: &Root, tree: &Tree) -> Result<Found, DataError> {
    let files = tree.others().into_iter().filter(|entry| entry.path.ends_with(".parquet"));
    let files: Vec<&Entry> = files.collect();
    let keep = files.len() <= OPEN;
    let blob =
        |(side, entry)| Ok((side, if keep { root.blob(entry)? } else { root.closed(entry)? }));
    let files = sides(files, |entry| &entry.path, &root.name(""))?.all().map(blob);
    open(files.collect::<Result<_, DataError>>()?, names_beside(root, tree)?, &root.name(""))
}

/// Opens files by part. `names` are class names from beside them, for files that have none.
pub(crate) fn open(
    files: Vec<(Side, Blob)>,
    names: Option<Vec<String>>,
    name: &str,
) -> Result<Found, DataError> {
    let mut gathering = Gathering::default();
    let mut opened = Vec::new();
    let mut class_names = None;
    for (number, (side, blob)) in files.into_iter().enumerate() {
        // A panic of the library on a damaged file is the file's fault.
        let guarded = catch_unwind(AssertUnwindSafe(|| {
            add(&mut gathering, side, number as u32, &blob, &mut class_names)
        }));
        let panicked = |_| Err(malformed(&blob.name, "its reader failed".to_owned()));
        opened.push(guarded.unwrap_or_else(panicked)?);
    }
    let layout = gathering.finish(class_names.or(names), name)?;
    Ok(Found { layout, source: Arc::new(Rows { files: opened, cache: Mutex::default() }) })
}

/// Adds the rows of a file.
fn add(
    gathering: &mut Gathering,
    side: Side,
    number: u32,
    blob: &Blob,
    class_names: &mut Option<Vec<String>>,
) -> Result<Opened, DataError> {
    let failed = |error: ParquetError| malformed(&blob.name, error.to_string());
    let reader = SerializedFileReader::new(blob.clone()).map_err(failed)?;
    let features = features(&reader);
    let columns =
        Columns::find(&reader, &features).map_err(|reason| malformed(&blob.name, reason))?;
    let names = features.get(&columns.label_name).and_then(|feature| feature.names.clone());
    match (&class_names, &names) {
        (Some(known), Some(names)) if known != names => {
            let reason = "its class names differ from those of the files before".to_owned();
            return Err(malformed(&blob.name, reason));
        }
        (None, Some(_)) => *class_names = names,
        _ => {}
    }
    let mut groups = Vec::new();
    let mut row = 0;
    for place in 0..reader.num_row_groups() {
        let group = reader.get_row_group(place).map_err(failed)?;
        for leaf in [Some(columns.image), Some(columns.label), columns.path].into_iter().flatten() {
            let codec = group.metadata().column(leaf).compression();
            if !matches!(codec, Compression::UNCOMPRESSED | Compression::SNAPPY) {
                let reason = format!("it is compressed by {codec}, not by Snappy or not at all");
                return Err(malformed(&blob.name, reason));
            }
        }
        // Rows that hold nothing cost a file nothing, but memory.
        let rows = group.metadata().num_rows().max(0) as u64;
        if rows > ROWS.max(blob.length()) {
            let reason = format!("row group {place} says that it has {rows} rows, more than bytes");
            return Err(malformed(&blob.name, reason));
        }
        let labels = texts(&*group, columns.label).map_err(failed)?;
        let paths = match columns.path {
            Some(path) => texts(&*group, path).map_err(failed)?,
            None => vec![None; labels.len()],
        };
        if paths.len() != labels.len() || labels.len() as i64 != group.metadata().num_rows() {
            let reason = format!("row group {place} has columns of different length");
            return Err(malformed(&blob.name, reason));
        }
        // Images are compressed already, so a row's share of the column is about its size.
        let stored = group.metadata().column(columns.image).compressed_size().max(0) as u64;
        let length = stored / (labels.len() as u64).max(1);
        groups.push(Group { first: row, pages: OnceLock::new() });
        for (label, path) in labels.into_iter().zip(paths) {
            let Some(label) = label else {
                return Err(malformed(
                    &format!("{}: row {row}", blob.name),
                    "it has no label".to_owned(),
                ));
            };
            let entry = Entry { path: path.unwrap_or_default(), file: number, offset: row, length };
            gathering.add(side, &label, entry, || format!("{}: row {row}", blob.name));
            row += 1;
        }
    }
    Ok(Opened { name: blob.name.clone(), reader, image: columns.image, groups })
}

/// What Hugging Face's metadata say of a column.
#[derive(Default)]
struct Feature {
    is_image: bool,
    names: Option<Vec<String>>,
}

fn features(reader: &SerializedFileReader<Blob>) -> HashMap<String, Feature> {
    let pairs = reader.metadata().file_metadata().key_value_metadata();
    let text = pairs.into_iter().flatten().find(|pair| pair.key == "huggingface");
    let json = text.and_then(|pair| serde_json::from_str(pair.value.as_deref()?).ok());
    let json: serde_json::Value = json.unwrap_or_default();
    let features = json["info"]["features"].as_object().cloned().unwrap_or_default();
    let feature = |feature: &serde_json::Value| {
        let names = feature["names"]
            .as_array()
            .and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        Feature { is_image: feature["_type"] == "Image", names }
    };
    features.iter().map(|(name, value)| (name.clone(), feature(value))).collect()
}

/// The places of leaf columns.
struct Columns {
    image: usize,
    path: Option<usize>,
    label: usize,
    label_name: String,
}

impl Columns {
    fn find(
        reader: &SerializedFileReader<Blob>,
        features: &HashMap<String, Feature>,
    ) -> Result<Columns, String> {
        let schema = reader.metadata().file_metadata().schema_descr();
        let leaves: Vec<(Vec<&str>, &ColumnDescriptor)> = schema
            .columns()
            .iter()
            .map(|leaf| (leaf.path().parts().iter().map(String::as_str).collect(), &**leaf))
            .collect();
        let place = |wanted: &[&str]| leaves.iter().position(|(parts, _)| parts == wanted);
        let told = features.iter().filter(|(_, feature)| feature.is_image);
        let mut names: Vec<&str> = told.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.extend(IMAGES);
        let is_bytes = |&leaf: &usize| {
            leaves[leaf].1.physical_type() == Type::BYTE_ARRAY && is_flat(leaves[leaf].1)
        };
        let image = names.iter().find_map(|name| {
            place(&[name, "bytes"])
                .or_else(|| place(&[name]))
                .filter(is_bytes)
                .map(|leaf| (leaf, *name))
        });
        let label = LABELS.iter().find_map(|name| Some((place(&[name])?, *name)));
        let label = label.filter(|&(leaf, _)| is_flat(leaves[leaf].1));
        let (Some((image, image_name)), Some((label, label_name))) = (image, label) else {
            let found: Vec<String> = leaves.iter().map(|(parts, _)| parts.join(".")).collect();
            return Err(format!(
                "its columns are {}; expected image or img with bytes, and label (or fine_label, class, target)",
                found.join(", ")
            ));
        };
        let path = place(&[image_name, "path"]).filter(is_bytes);
        Ok(Columns { image, path, label, label_name: label_name.to_owned() })
    }
}

/// Whether a column has one value a row, or none.
fn is_flat(leaf: &ColumnDescriptor) -> bool {
    leaf.max_rep_level() == 0
}

/// The values of a leaf column of a row group as text.
fn texts(group: &dyn RowGroupReader, leaf: usize) -> Result<Vec<Option<String>>, ParquetError> {
    fn of<T: DataType>(
        mut column: ColumnReaderImpl<T>,
        level: i16,
        rows: usize,
        text: impl Fn(&T::T) -> Result<String, ParquetError>,
    ) -> Result<Vec<Option<String>>, ParquetError> {
        let mut texts = Vec::new();
        loop {
            let values = next(&mut column, level, VALUES)?;
            if values.is_empty() || texts.len() > rows {
                return Ok(texts);
            }
            for value in values {
                texts.push(value.as_ref().map(&text).transpose()?);
            }
        }
    }
    let level = group.metadata().column(leaf).column_descr().max_def_level();
    // One more than there should be shows that there are too many.
    let rows = group.metadata().num_rows().max(0) as usize;
    match group.get_column_reader(leaf)? {
        ColumnReader::Int32ColumnReader(column) => {
            of(column, level, rows, |value| Ok(value.to_string()))
        }
        ColumnReader::Int64ColumnReader(column) => {
            of(column, level, rows, |value| Ok(value.to_string()))
        }
        ColumnReader::BoolColumnReader(column) => {
            of(column, level, rows, |&value| Ok(u8::from(value).to_string()))
        }
        ColumnReader::ByteArrayColumnReader(column) => {
            of(column, level, rows, |value| Ok(value.as_utf8()?.to_owned()))
        }
        _ => Err(ParquetError::General("its labels are neither whole numbers nor text".into())),
    }
}

/// Up to `count` values of a flat column; none at its end. Rows that have a value have the definition level `level`.
fn next<T: DataType>(
    column: &mut ColumnReaderImpl<T>,
    level: i16,
    count: usize,
) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    column.read_records(count, Some(&mut levels), None, &mut values)?;
    if level == 0 {
        return Ok(values.into_iter().map(Some).collect());
    }
    let mut values = values.into_iter();
    Ok(levels.iter().map(|found| if *found == level { values.next() } else { None }).collect())
}

/// An open file.
struct Opened {
    name: String,
    reader: SerializedFileReader<Blob>,
    /// The leaf column of images.
    image: usize,
    groups: Vec<Group>,
}

struct Group {
    /// Its first row in the file.
    first: u64,
    /// The first row of each page in the group, and the end; found when the group is first read.
    pages: OnceLock<Vec<usize>>,
}

/// A decoded page.
type Page = Arc<Vec<Option<ByteArray>>>;
/// A page by its file, its group and its place in the group.
type PageKey = (u32, usize, usize);

/// The latest pages. The first to come is the first to go.
#[derive(Default)]
struct Cache {
    pages: HashMap<PageKey, Page>,
    order: VecDeque<(PageKey, usize)>,
    bytes: usize,
}

impl Cache {
    fn insert(&mut self, key: PageKey, page: &Page) {
        let bytes = page.iter().flatten().map(|image| image.len()).sum();
        if bytes > CACHE || self.pages.insert(key, page.clone()).is_some() {
            return;
        }
        self.order.push_back((key, bytes));
        self.bytes += bytes;
        while self.bytes > CACHE {
            let (oldest, bytes) = self.order.pop_front().expect("it holds bytes, so pages");
            self.pages.remove(&oldest);
            self.bytes -= bytes;
        }
    }
}

/// Images in rows. `Entry::offset` is the row in its file.
struct Rows {
    files: Vec<Opened>,
    cache: Mutex<Cache>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_list().entries(self.files.iter().map(|file| &file.name)).finish()
    }
}

impl Rows {
    /// The page of a row, and the row's place in it.
    fn page(&self, entry: &Entry) -> Result<(Page, usize), ParquetError> {
        let file = &self.files[entry.file as usize];
        let group = file.groups.partition_point(|group| group.first <= entry.offset) - 1;
        let row = (entry.offset - file.groups[group].first) as usize;
        let pages = file.pages(group)?;
        let place = pages.partition_point(|&first| first <= row) - 1;
        let end = *pages.get(place + 1).ok_or_else(|| ParquetError::EOF("no such page".into()))?;
        let key = (entry.file, group, place);
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = cache().pages.get(&key) {
            return Ok((page.clone(), row - pages[place]));
        }
        let reader = file.reader.get_row_group(group)?;
        let level = reader.metadata().column(file.image).column_descr().max_def_level();
        let reader = reader.get_column_reader(file.image)?;
        let mut reader = get_typed_column_reader::<ByteArrayType>(reader);
        reader.skip_records(pages[place])?;
        let page = Arc::new(next(&mut reader, level, end - pages[place])?);
        cache().insert(key, &page);
        Ok((page, row - pages[place]))
    }
}

impl Opened {
    /// The first row of each page of a group, and the end.
    fn pages(&self, group: usize) -> Result<&[usize], ParquetError> {
        let known = &self.groups[group].pages;
        if let Some(pages) = known.get() {
            return Ok(pages);
        }
        let row_group = self.reader.get_row_group(group)?;
        let mut reader = row_group.get_column_page_reader(self.image)?;
        let all = row_group.metadata().num_rows().max(0) as usize;
        let mut pages = vec![0];
        while let Some(page) = reader.peek_next_page()? {
            if !page.is_dict {
                let rows = page.num_rows.or(page.num_levels).unwrap_or(0);
                let end = pages[pages.len() - 1] + rows;
                if end > all {
                    return Err(ParquetError::General("its pages have more rows than it".into()));
                }
                pages.push(end);
            }
            reader.skip_next_page()?;
        }
        Ok(known.get_or_init(|| pages))
    }
}

impl Source for Rows {
    fn name(&self, entry: &Entry) -> String {
        let name = &self.files[entry.file as usize].name;
        match entry.path.as_str() {
            "" => format!("{name}: row {}", entry.offset),
            path => format!("{name}: row {} ({path})", entry.offset),
        }
    }

    fn knows_lengths(&self) -> bool {
        false
    }

    fn read<'a>(&'a self, entry: &Entry, buffer: &'a mut Vec<u8>) -> Result<Stored<'a>, DataError> {
        let (page, place) =
            self.page(entry).map_err(|error| malformed(&self.name(entry), error.to_string()))?;
        let Some(Some(image)) = page.get(place) else {
            return Err(malformed(&self.name(entry), "it has no image".to_owned()));
        };
        buffer.clear();
        buffer.extend_from_slice(image.data());
        Ok(Stored::File(buffer))
    }
}

fn malformed(name: &str, reason: String) -> DataError {
    DataError::Malformed {
        name: name.to_owned(),
        what: "Parquet file of images",
        reason,
        mend: "fetch the file again, or write it anew with the columns image and label, compressed by Snappy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first fields of a page's header.
    fn header(numbers: [u64; 3]) -> Vec<u8> {
        let mut header = Vec::new();
        for number in numbers {
            header.push(0x15);
            let mut zigzag = number << 1;
            while zigzag > 0x7F {
                header.push(zigzag as u8 | 0x80);
                zigzag >>= 7;
            }
            header.push(zigzag as u8);
        }
        header.extend([0; 20]);
        header
    }

    #[test]
    fn pages_are_refused_that_unpack_beyond_what_they_hold() {
        for (unpacked, packed, is_fine) in [
            (1000, 900, true),
            (60_000, 10, true),
            (1 << 20, 1 << 16, true),
            (1 << 20, 1 << 15, false),
            (i32::MAX as u64, 1 << 20, false),
            (i32::MAX as u64, i32::MAX as u64, false),
        ] {
            let blob = Blob::memory("page".to_owned(), header([0, unpacked, packed]));
            let mut reader = OwnedReader { blob, position: 0, is_checked: false };
            let read = reader.read(&mut [0; 4]);
            assert_eq!(read.is_ok(), is_fine, "{packed} bytes that unpack to {unpacked}");
        }
        assert_eq!(page_sizes(&header([0, 300, 70])), Some([300, 70]));
        assert_eq!(page_sizes(&[0x15, 0, 0x15, 1, 0x15, 2]), None, "a negative size");
        assert_eq!(page_sizes(&[0x05, 2, 0]), None, "another form of a header");
    }
}

//! Writing a packed copy of a dataset (`formats/pack.rs` has the format).
//!
//! Shards are written one after another, each aside, synced and renamed, and the index last: a kill at any moment loses
//! the shard that was being written, and the next call goes on with it. One process at a time writes into a folder. The bytes depend on the images and the options
//! alone, not on threads or interruptions.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::check::Watch;
use crate::dataset::{Dataset, ImageSet};
use crate::exif;
use crate::formats::blob::Blob;
use crate::formats::layout::{Entry, Item};
use crate::formats::pack::{
    self, Hash, INDEX, INDEX_HEADER, Index, SHARD_HEADER, Shard, ShardHeader, pixels_record,
    read_index, shard_name,
};
use crate::formats::source::Stored;
use crate::image::{Cut, RgbImage, decode_into};
use crate::jpeg::Baseline;
use crate::lock::FolderLock;
use crate::parallel::in_order;
use crate::resize::{Region, resize};
use crate::{DataError, resize as resizing};

/// Images of a shard. A kill loses the work on one shard at most.
const SHARD: usize = 4096;
/// The file that is locked while a pack is written.
const LOCK: &str = ".pack.lock";
/// JPEG quality of images that are changed, when none is given.
const QUALITY: u8 = 90;

/// How images are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Files stay byte for byte, and bare pixels stay bare pixels; images that are changed become JPEG.
    Kept,
    Jpeg(u8),
    /// Bare pixels.
    Raw,
}

/// The options of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Images whose shorter edge is longer than this are shrunk to it.
    pub short_side: Option<usize>,
    pub encoding: Encoding,
    /// Whether images are turned as their EXIF data says.
    pub upright: bool,
}

/// A finished pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    pub images: usize,
    pub shards: usize,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// Writes a packed copy into `folder`, or continues one; None when `watch` ends it early.
pub fn pack(
    dataset: &Dataset,
    folder: &Path,
    packing: &Packing,
    threads: usize,
    watch: Watch,
) -> Result<Option<Packed>, DataError> {
    Writer { dataset, folder, packing, threads, per_shard: SHARD }.run(watch)
}

struct Writer<'a> {
    dataset: &'a Dataset,
    folder: &'a Path,
    packing: &'a Packing,
    threads: usize,
    per_shard: usize,
}

impl Writer<'_> {
    fn run(&self, watch: Watch) -> Result<Option<Packed>, DataError> {
        let id = self.id()?;
        fs::create_dir_all(self.folder).map_err(|error| write_error(self.folder, error))?;
        let _lock = FolderLock::take(self.folder, LOCK)?;
        self.check_folder(&id)?;
        let count = self.dataset.train.len() + self.dataset.validation.len();
        let mut memories = vec![];
        memories.resize_with(self.threads.max(1), Memory::default);
        let (mut shards, mut entries) = (Vec::new(), Vec::with_capacity(count));
        for (number, first) in (0..).zip((0..count).step_by(self.per_shard)) {
            let range = first..(first + self.per_shard).min(count);
            let path = self.folder.join(shard_name(number));
            if !path.exists() {
                let header = ShardHeader { id, number, records: 0, length: 0, hash: [0; 32] };
                let whole = self.write_shard(&path, header, range.clone(), &mut memories, watch)?;
                if !whole {
                    return Ok(None);
                }
            }
            let blob = Blob::open(&path)?;
            let header = ShardHeader::read(&blob)?;
            shards.push(Shard { length: blob.length(), hash: header.hash });
            entries.extend(header.table(&blob)?.into_iter().map(|place| (number, place)));
            if watch(range.end, count).is_break() {
                return Ok(None);
            }
        }
        let index = self.index(id, shards, &entries).to_bytes();
        write_aside(&self.folder.join(INDEX), |out| out.write_all(&index))?;
        let index = read_index(self.folder)?;
        let bytes = index.shards.iter().map(|shard| shard.length).sum::<u64>()
            + fs::metadata(self.folder.join(INDEX)).map_or(INDEX_HEADER as u64, |m| m.len());
        Ok(Some(Packed { images: count, shards: index.shards.len(), bytes }))
    }

    /// The hash of what is packed: options, classes, and every image's part, label, name and length.
    fn id(&self) -> Result<Hash, DataError> {
        let Dataset { classes, train, validation, .. } = self.dataset;
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?} {} {classes:?}", self.packing, self.per_shard).as_bytes());
        for part in [train, validation] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            for index in 0..part.len() {
                hasher.update(&part.label(index).to_le_bytes());
                hasher.update(&part.length(index)?.to_le_bytes());
                hasher.update(part.path(index).as_bytes());
                hasher.update(&[0]);
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// Refuses a folder that holds anything but this very pack, finished or begun.
    fn check_folder(&self, id: &Hash) -> Result<(), DataError> {
        let occupied = |what: &str| DataError::Occupied {
            path: self.folder.to_owned(),
            what: what.to_owned(),
        };
        let other = "another pack: of other images, or with other options";
        if self.folder.join(INDEX).exists() && read_index(self.folder)?.id != *id {
            return Err(occupied(other));
        }
        let files = fs::read_dir(self.folder).map_err(|error| write_error(self.folder, error))?;
        for file in files {
            let path = file.map_err(|error| write_error(self.folder, error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name == LOCK {
                continue;
            }
            let is_ours = name.trim_start_matches('.').starts_with("shard-")
                || name.trim_start_matches('.').starts_with(INDEX);
            if !is_ours {
                return Err(occupied(&name));
            }
            if name.starts_with('.') {
                // What a kill left aside.
                fs::remove_file(&path).map_err(|error| write_error(&path, error))?;
            }
            if name.starts_with("shard-") && ShardHeader::read(&Blob::open(&path)?)?.id != *id {
                return Err(occupied(other));
            }
        }
        Ok(())
    }

    /// Writes a shard; false when `watch` ends it.
    fn write_shard(
        &self,
        path: &Path,
        mut header: ShardHeader,
        range: Range<usize>,
        memories: &mut [Memory],
        watch: Watch,
    ) -> Result<bool, DataError> {
        let count = self.dataset.train.len() + self.dataset.validation.len();
        let mut places: Vec<(u64, u64)> = Vec::with_capacity(range.len());
        let mut failure = None;
        let mut stopped = false;
        write_aside(path, |out| {
            let mut hasher = blake3::Hasher::new();
            let mut offset = SHARD_HEADER as u64;
            let mut put = |out: &mut BufWriter<File>, bytes: &[u8]| {
                hasher.update(bytes);
                offset += bytes.len() as u64;
                out.write_all(bytes).map(|()| offset)
            };
            out.write_all(&[0; SHARD_HEADER])?;
            let prepare = |number: usize, memory: &mut Memory| {
                let (part, index) = self.place(range.start + number);
                memory.prepare(part, index, self.packing)
            };
            in_order(range.len(), memories, prepare, |number, record| {
                let written = record.and_then(|record| {
                    let crc = crc32c::crc32c(&record).to_le_bytes();
                    let write = put(out, &crc).and_then(|start| {
                        places.push((start, record.len() as u64));
                        put(out, &record)
                    });
                    write.map_err(|error| write_error(path, error))
                });
                if let Err(error) = written {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
                // The last image counts once its shard stands.
                stopped =
                    number + 1 < range.len() && watch(range.start + number + 1, count).is_break();
                if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if failure.is_some() || stopped {
                return Err(io::ErrorKind::Interrupted.into());
            }
            for (place, length) in &places {
                put(out, &place.to_le_bytes())?;
                put(out, &length.to_le_bytes())?;
            }
            header.records = places.len() as u32;
            header.length = offset - SHARD_HEADER as u64;
            header.hash = *hasher.finalize().as_bytes();
            out.seek(SeekFrom::Start(0))?;
            out.write_all(&header.to_bytes())
        })
        .map(|()| true)
        .or_else(|error| match failure {
            Some(failure) => Err(failure),
            None if stopped => Ok(false),
            None => Err(error),
        })
    }

    fn place(&self, number: usize) -> (&ImageSet, usize) {
        let Dataset { train, validation, .. } = self.dataset;
        match number.checked_sub(train.len()) {
            None => (train, number),
            Some(index) => (validation, index),
        }
    }

    fn index(&self, id: Hash, shards: Vec<Shard>, entries: &[(u32, (u64, u64))]) -> Index {
        let Dataset { classes, train, validation, .. } = self.dataset;
        let mut places = entries.iter();
        let items = [train, validation].map(|part| {
            let item = |index: usize| {
                let &(file, (offset, length)) = places.next().expect("a place for each image");
                let path = part.path(index).to_owned();
                Item { label: part.label(index), entry: Entry { path, file, offset, length } }
            };
            (0..part.len()).map(item).collect()
        });
        let has_validation = !validation.is_empty();
        Index { id, classes: classes.clone(), shards, has_validation, items }
    }
}

/// Memory that a thread uses again for every image.
#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    jpeg: Baseline,
    cut: Cut,
}

impl Memory {
    /// An image as it is stored in the pack. Every image is decoded, so that none is packed that does not decode.
    fn prepare(
        &mut self,
        part: &ImageSet,
        index: usize,
        packing: &Packing,
    ) -> Result<Vec<u8>, DataError> {
        let Memory { bytes, jpeg, cut } = self;
        let mut is_bare = false;
        let (mut image, kept) = match part.stored(index, bytes)? {
            Stored::File(file) => {
                let whole = &mut |width, height| Region { left: 0, top: 0, width, height };
                decode_into(file, "", whole, jpeg, cut)
                    .map_err(|error| error.at(part.name(index)))?;
                let Region { width, height, .. } = cut.region;
                let image = RgbImage { width, height, pixels: std::mem::take(&mut cut.pixels) };
                match if packing.upright { exif::orientation(file) } else { 1 } {
                    1 => (image, Some(file)),
                    orientation => (image.upright(orientation), None),
                }
            }
            Stored::Pixels(pixels, shape) => {
                is_bare = true;
                let mut rgb = Vec::new();
                shape.to_rgb(pixels, &mut rgb);
                (RgbImage { width: shape.width, height: shape.height, pixels: rgb }, None)
            }
        };
        let mut kept = kept.filter(|_| packing.encoding == Encoding::Kept);
        let shorter = image.width.min(image.height);
        if let Some(side) = packing.short_side.filter(|&side| side < shorter) {
            let [width, height] = resizing::to_shorter(image.width, image.height, side);
            image = resize(&image, width, height);
            kept = None;
        }
        match (kept, packing.encoding) {
            (Some(file), _) => Ok(file.to_vec()),
            (None, Encoding::Kept) if is_bare => {
                Ok(pixels_record(image.width, image.height, &image.pixels))
            }
            (None, Encoding::Raw) => Ok(pixels_record(image.width, image.height, &image.pixels)),
            (None, Encoding::Jpeg(quality)) => jpeg_file(&image, quality, part, index),
            (None, Encoding::Kept) => jpeg_file(&image, QUALITY, part, index),
        }
    }
}

/// Chroma at half the size both ways, as most photos have it.
fn jpeg_file(
    image: &RgbImage,
    quality: u8,
    part: &ImageSet,
    index: usize,
) -> Result<Vec<u8>, DataError> {
    let refused = |reason: String| DataError::Image { name: part.name(index), reason };
    let side = |edge: usize| {
        u16::try_from(edge).map_err(|_| refused("it is too large for a JPEG".to_owned()))
    };
    let (width, height) = (side(image.width)?, side(image.height)?);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let encoded = encoder.encode(&image.pixels, width, height, ColorType::Rgb);
    encoded.map_err(|error| refused(error.to_string()))?;
    Ok(file)
}

fn write_error(path: &Path, error: io::Error) -> DataError {
    DataError::Write { path: path.to_owned(), error }
}

/// Writes a file aside, syncs it and renames it: it is there whole or not at all.
fn write_aside(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), DataError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside: PathBuf = path.with_file_name(format!(".{name}.tmp"));
    let written = || -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&aside)?);
        fill(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    written().map_err(|error| write_error(path, error))
}

/// Parses arbitrary bytes as an index and as a shard's header, for fuzzing.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    pack::fuzz(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect()
    }

    /// A dataset of 23 pictures in two classes.
    fn set(place: &Path) -> Dataset {
        for number in 0..23u8 {
            let folder = place.join(if number < 11 { "a" } else { "b" });
            fs::create_dir_all(&folder).unwrap();
            let pixels = (0..9 * 8 * 3).map(|at| (at as u8).wrapping_mul(number + 1)).collect();
            let picture = crate::thumbnail::png(&RgbImage { width: 9, height: 8, pixels });
            fs::write(folder.join(format!("{number:02}.png")), picture).unwrap();
        }
        Dataset::undivided(place).unwrap()
    }

    fn run(dataset: &Dataset, folder: &Path, threads: usize, watch: Watch) -> Option<Packed> {
        let packing = &Packing { short_side: Some(6), encoding: Encoding::Raw, upright: false };
        Writer { dataset, folder, packing, threads, per_shard: 5 }.run(watch).unwrap()
    }

    #[test]
    fn ended_after_any_image_a_pack_goes_on_to_the_same_bytes() {
        let place = tempfile::tempdir().unwrap();
        let dataset = set(&place.path().join("set"));
        let whole = place.path().join("whole");
        let packed = run(&dataset, &whole, 1, &mut crate::info::unwatched).unwrap();
        assert_eq!((packed.images, packed.shards), (23, 5));
        let expected = files(&whole);
        assert_eq!(expected.values().map(|file| file.len() as u64).sum::<u64>(), packed.bytes);
        for end in 1..=23 {
            let folder = place.path().join(end.to_string());
            let stop = &mut |done: usize, _: usize| {
                if done >= end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            assert!(run(&dataset, &folder, 2, stop).is_none());
            assert!(!folder.join(INDEX).exists());
            // A kill leaves half a file aside, too.
            fs::write(folder.join(".shard-00004.pack.tmp"), "half").unwrap();
            fs::write(folder.join(".index.pack.tmp"), "half").unwrap();
            let stands = (0..5).filter(|&n| folder.join(shard_name(n)).exists()).count();
            assert_eq!(stands, end / 5 + usize::from(end == 23), "ended after {end}");
            run(&dataset, &folder, 3, &mut crate::info::unwatched).unwrap();
            assert!(files(&folder) == expected, "ended after {end}");
        }
    }
}

//! What ImageNet's `meta.mat` says: which synset a number of `ILSVRC2012_validation_ground_truth.txt` is; and matrices of
//! numbers by name.
//!
//! A MATLAB 5 file is a header of 128 bytes, then elements: type u32, length u32, data up to a multiple of eight (in eight bytes
//! altogether where the data are four at most). An array (type 14) holds flags, dimensions and name as elements; a struct
//! array then the length of its field names, the names, and the fields of one item after another. Here a struct array is
//! looked for, compressed (type 15) or not, with the fields `ILSVRC2012_ID` and `WNID`.

use std::collections::HashMap;
use std::io::Read;

const HEADER: usize = 128;
const COMPRESSED: u32 = 15;
const ARRAY: u32 = 14;
/// The file has 1,860 synsets and unpacks to less than 2 MB.
const UNPACKED_LIMIT: u64 = 1 << 26;

/// Synsets by number.
pub(crate) fn synsets(file: &[u8]) -> Result<HashMap<u32, String>, String> {
    find(file, of_struct)?
        .ok_or_else(|| "it holds no struct with the fields ILSVRC2012_ID and WNID".to_owned())
}

/// The whole numbers of a matrix.
pub(crate) fn matrix(file: &[u8], name: &str) -> Result<Vec<u32>, String> {
    find(file, |array| {
        let is_named = Elements(array).nth(2)?.1 == name.as_bytes();
        is_named.then(|| numbers(array))?
    })?
    .ok_or_else(|| format!("it holds no matrix {name} of numbers"))
}

/// What `look` finds in the first array in which it finds something.
fn find<T>(file: &[u8], look: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, String> {
    let wrong = || "it is no little-endian MATLAB 5 file".to_owned();
    if file.get(126..HEADER) != Some(b"IM") {
        return Err(wrong());
    }
    for (kind, data) in Elements(&file[HEADER..]) {
        let mut unpacked = Vec::new();
        let array = match kind {
            COMPRESSED => {
                let mut inflated = flate2::read::ZlibDecoder::new(data).take(UNPACKED_LIMIT);
                inflated.read_to_end(&mut unpacked).map_err(|_| wrong())?;
                Elements(&unpacked).next().ok_or_else(wrong)?.1
            }
            ARRAY => data,
            _ => continue,
        };
        if let Some(found) = look(array) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Elements one after another, with their type.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<(u32, &'a [u8])> {
        let word = u32::from_le_bytes(*self.0.first_chunk()?);
        if word >> 16 != 0 {
            let data = self.0.get(4..4 + (word >> 16) as usize)?;
            self.0 = self.0.get(8..)?;
            return Some((word & 0xFFFF, data));
        }
        let length = u32::from_le_bytes(*self.0.get(4..)?.first_chunk()?) as usize;
        let data = self.0.get(8..)?.get(..length)?;
        let padded = if word == COMPRESSED { length } else { length.next_multiple_of(8) };
        self.0 = self.0.get(8 + padded..).unwrap_or_default();
        Some((word, data))
    }
}

fn of_struct(array: &[u8]) -> Option<HashMap<u32, String>> {
    let mut elements = Elements(array);
    let (_flags, _dimensions, _name) = (elements.next()?, elements.next()?, elements.next()?);
    let width = u32::from_le_bytes(*elements.next()?.1.first_chunk()?) as usize;
    let names: Vec<&[u8]> = elements.next()?.1.chunks_exact(width.max(1)).collect();
    let is = |name: &[u8], wanted: &str| {
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        &name[..end] == wanted.as_bytes()
    };
    let place = |wanted: &str| names.iter().position(|name| is(name, wanted));
    let (number, synset) = (place("ILSVRC2012_ID")?, place("WNID")?);
    let fields: Vec<&[u8]> = elements.map(|(_, data)| data).collect();
    let items = fields.chunks_exact(names.len());
    items.map(|item| Some((numeric(item[number])?, text(item[synset])?))).collect()
}

/// The type and the bytes of an array's values.
fn values(array: &[u8]) -> Option<(u32, &[u8])> {
    Elements(array).nth(3)
}

/// An array of one whole number, in whichever type it is stored.
fn numeric(array: &[u8]) -> Option<u32> {
    numbers(array)?.first().copied()
}

/// An array of whole numbers, in whichever type they are stored.
fn numbers(array: &[u8]) -> Option<Vec<u32>> {
    let (kind, bytes) = values(array)?;
    match kind {
        1 | 2 => Some(bytes.iter().map(|&byte| byte.into()).collect()),
        3 | 4 => Some(each(bytes, u16::from_le_bytes).map(u32::from).collect()),
        5 | 6 => Some(each(bytes, u32::from_le_bytes).collect()),
        7 => Some(each(bytes, f32::from_le_bytes).map(|number| number as u32).collect()),
        9 => Some(each(bytes, f64::from_le_bytes).map(|number| number as u32).collect()),
        12 | 13 => {
            each(bytes, u64::from_le_bytes).map(|number| u32::try_from(number).ok()).collect()
        }
        _ => None,
    }
}

fn each<const N: usize, T>(bytes: &[u8], number: fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    bytes.as_chunks::<N>().0.iter().map(move |bytes| number(*bytes))
}

/// An array of characters, of one or two bytes each.
fn text(array: &[u8]) -> Option<String> {
    let (kind, bytes) = values(array)?;
    match kind {
        1 | 2 | 16 => Some(String::from_utf8_lossy(bytes).into_owned()),
        4 | 17 => {
            let units: Vec<u16> =
                bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

//! Orientation in EXIF (tag 0x0112): how a picture has to be turned to stand upright.
//!
//! Neither torchvision nor this loader applies it by itself.

use crate::RgbImage;

const ORIENTATION: u16 = 0x0112;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The orientation that a JPEG, PNG or WebP file names, 1 to 8; 1, upright, where it names none that is known.
pub fn orientation(file: &[u8]) -> u8 {
    let named = block(file).and_then(|tiff| tag(tiff, ORIENTATION));
    named
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}

/// The file's EXIF data, a TIFF file of its own.
fn block(file: &[u8]) -> Option<&[u8]> {
    if file.starts_with(&[0xFF, 0xD8]) {
        return jpeg_block(file);
    }
    if file.starts_with(PNG) {
        return png_chunk(file, b"eXIf");
    }
    if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP") {
        // Kind, length, data, a byte to make it even.
        let data = chunk(file, 12, b"EXIF", |head| {
            let length = u32::from_le_bytes(head[4..].try_into().ok()?) as usize;
            Some((head[..4].try_into().ok()?, length, length.checked_next_multiple_of(2)?))
        })?;
        return Some(data.strip_prefix(b"Exif\0\0").unwrap_or(data));
    }
    None
}

/// The data of the first chunk of a kind in a PNG.
pub(crate) fn png_chunk<'a>(file: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    // Length, kind, data, checksum.
    chunk(file, PNG.len(), wanted, |head| {
        let length = u32::from_be_bytes(head[..4].try_into().ok()?) as usize;
        Some((head[4..].try_into().ok()?, length, length.checked_add(4)?))
    })
}

fn jpeg_block(file: &[u8]) -> Option<&[u8]> {
    let mut at = 2;
    loop {
        let [0xFF, marker, high, low] = *file.get(at..)?.first_chunk()? else { return None };
        // The scan begins.
        if marker == 0xDA {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let segment = file.get(at + 4..at + 2 + length)?;
        if marker == 0xE1
            && let Some(tiff) = segment.strip_prefix(b"Exif\0\0")
        {
            return Some(tiff);
        }
        at += 2 + length;
    }
}

/// The data of the first chunk of a kind. `parse` takes eight bytes to the kind, the length, and the way to the next one.
fn chunk<'a>(
    file: &'a [u8],
    mut at: usize,
    wanted: &[u8; 4],
    parse: impl Fn(&[u8; 8]) -> Option<([u8; 4], usize, usize)>,
) -> Option<&'a [u8]> {
    loop {
        let (kind, length, step) = parse(file.get(at..)?.first_chunk()?)?;
        at += 8;
        if kind == *wanted {
            return file.get(at..at.checked_add(length)?);
        }
        at = at.checked_add(step)?;
    }
}

/// A short whole number of the first directory of a TIFF file.
fn tag(tiff: &[u8], wanted: u16) -> Option<u16> {
    let is_little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let directory = *tiff.get(4..)?.first_chunk()?;
    let directory =
        if is_little { u32::from_le_bytes(directory) } else { u32::from_be_bytes(directory) }
            as usize;
    let count = usize::from(short(directory)?);
    // Tag, type, count, value: 12 bytes each.
    let mut entries = (0..count).map(|entry| directory + 2 + entry * 12);
    let entry = entries.find(|&entry| short(entry) == Some(wanted))?;
    short(entry + 8)
}

impl RgbImage {
    /// The picture upright, given its EXIF orientation; one that is not 2 to 8 changes nothing.
    pub fn upright(self, orientation: u8) -> RgbImage {
        if !(2..=8).contains(&orientation) {
            return self;
        }
        let RgbImage { width, height, pixels } = &self;
        // 5 to 8 exchange rows and columns.
        let turned = orientation >= 5;
        let (to_width, to_height) = if turned { (*height, *width) } else { (*width, *height) };
        let mut out = Vec::with_capacity(pixels.len());
        for y in 0..to_height {
            for x in 0..to_width {
                let (right, bottom) = (width - 1, height - 1);
                let (from_x, from_y) = match orientation {
                    2 => (right - x, y),
                    3 => (right - x, bottom - y),
                    4 => (x, bottom - y),
                    5 => (y, x),
                    6 => (y, bottom - x),
                    7 => (right - y, bottom - x),
                    _ => (right - y, x),
                };
                let from = (from_y * width + from_x) * 3;
                out.extend_from_slice(&pixels[from..from + 3]);
            }
        }
        RgbImage { width: to_width, height: to_height, pixels: out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of one row for each string, a pixel for each letter.
    fn picture(rows: &[&str]) -> RgbImage {
        let pixels = rows.iter().flat_map(|row| row.bytes().flat_map(|letter| [letter; 3]));
        RgbImage { width: rows[0].len(), height: rows.len(), pixels: pixels.collect() }
    }

    /// An F as cameras store it (the table of the EXIF specification), to be seen upright.
    #[test]
    fn every_orientation_stands_an_f_upright() {
        let upright = ["###", "#..", "##.", "#..", "#.."];
        let stored: [&[&str]; 8] = [
            &upright,
            &["###", "..#", ".##", "..#", "..#"],
            &["..#", "..#", ".##", "..#", "###"],
            &["#..", "#..", "##.", "#..", "###"],
            &["#####", "#.#..", "#...."],
            &["#....", "#.#..", "#####"],
            &["....#", "..#.#", "#####"],
            &["#####", "..#.#", "....#"],
        ];
        for (orientation, stored) in (1..).zip(stored) {
            assert_eq!(picture(stored).upright(orientation), picture(&upright), "{orientation}");
        }
    }

    #[test]
    fn it_is_found_in_jpeg_png_and_webp_of_both_byte_orders() {
        let little = b"II*\0\x08\0\0\0\x02\0\x0F\x01\x02\0\x01\0\0\0A\0\0\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0";
        for (tiff, expected) in [(little.as_slice(), 6), (big.as_slice(), 8)] {
            let length = (tiff.len() + 8) as u16;
            let app1 = [b"\xFF\xE1".as_slice(), &length.to_be_bytes(), b"Exif\0\0", tiff].concat();
            let app0 = b"\xFF\xE0\0\x04ab";
            let jpeg = [b"\xFF\xD8".as_slice(), app0, &app1, b"\xFF\xDA\0\x02"].concat();
            let size = tiff.len() as u32;
            let png = [
                b"\x89PNG\r\n\x1a\n\0\0\0\x01IHDRx\0\0\0\0".as_slice(),
                &size.to_be_bytes(),
                b"eXIf",
                tiff,
            ];
            let webp =
                [b"RIFF\0\0\0\0WEBPVP8 \x01\0\0\0x\0EXIF".as_slice(), &size.to_le_bytes(), tiff];
            for file in [jpeg, png.concat(), webp.concat()] {
                assert_eq!(orientation(&file), expected);
                // Cut anywhere it is upright, and nothing panics.
                let cut = (0..file.len() - 8).map(|length| orientation(&file[..length]));
                assert!(cut.into_iter().all(|found| found == 1 || found == expected));
            }
        }
        for other in [b"".as_slice(), b"GIF89a", b"\xFF\xD8\xFF\xE1\0\0"] {
            assert_eq!(orientation(other), 1);
        }
    }
}

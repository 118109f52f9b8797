//! §2.1 step 1 for JPEG files: baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK.
//!
//! A file that ends early is an error, never a picture with a grey foot: the decoder is strict, and the end-of-image
//! marker must be there. (A damaged scan that still carries the marker decodes to what is left, as with Pillow.)

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::image::{Refusal, RgbImage, check_size};

pub(crate) fn decode_into(bytes: &[u8], into: &mut RgbImage) -> Result<(), Refusal> {
    if !reaches_its_end(bytes) {
        return Err(Refusal::Unreadable("the JPEG is cut short".into()));
    }
    match decode_strictly(bytes, into) {
        Err(Refusal::Unreadable(reason)) => {
            // A strict decoder also minds odd metadata and bytes between segments; the picture may be sound.
            let Some(bare) = without_metadata(bytes) else {
                return Err(Refusal::Unreadable(reason));
            };
            decode_strictly(&bare, into).map_err(|_| Refusal::Unreadable(reason))
        }
        decoded => decoded,
    }
}

fn decode_strictly(bytes: &[u8], into: &mut RgbImage) -> Result<(), Refusal> {
    let unreadable = |error: zune_jpeg::errors::DecodeErrors| {
        Refusal::Unreadable(error.to_string().replace('\n', " ").trim().to_owned())
    };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(unreadable)?;
    let Some((width, height)) = decoder.dimensions() else {
        return Err(Refusal::Unreadable("the JPEG has no size".into()));
    };
    check_size(width as u64, height as u64)?;
    into.pixels.resize(width * height * 3, 0);
    decoder.decode_into(&mut into.pixels).map_err(unreadable)?;
    into.width = width;
    into.height = height;
    Ok(())
}

/// The file with nothing but what the picture needs before its first scan; nothing where that cannot be found.
fn without_metadata(bytes: &[u8]) -> Option<Vec<u8>> {
    const SCAN: u8 = 0xDA;
    const ADOBE: u8 = 0xEE;
    /// Adobe's segment names the colour space in its 14th byte; a shorter one says nothing.
    const ADOBE_LENGTH: usize = 14;
    let mut bare = bytes.get(..2)?.to_vec();
    let mut at = 2;
    while let Some(marker) = next_marker(bytes, &mut at) {
        if matches!(marker, 0x00 | 0x01 | 0xD0..=0xD9) {
            continue;
        }
        let start = at - 2;
        let length = usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        if marker == SCAN {
            bare.extend_from_slice(&bytes[start..]);
            return Some(bare);
        }
        at += length;
        let is_needed = match marker {
            ADOBE => length >= ADOBE_LENGTH,
            // Frames, Huffman and quantisation tables, restart interval.
            _ => matches!(marker, 0xC0..=0xCF | 0xDB | 0xDD),
        };
        if is_needed {
            bare.extend_from_slice(bytes.get(start..at)?);
        }
    }
    None
}

/// Whether the first picture of the file is followed by its end-of-image marker.
fn reaches_its_end(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    if bytes.ends_with(&[0xFF, END]) {
        return true;
    }
    // Something follows the picture, or its end is missing: walk the markers.
    let mut at = 2;
    while let Some(marker) = next_marker(bytes, &mut at) {
        match marker {
            END => return true,
            // Without a length: stuffed zero, TEM, restarts and start of image.
            0x00 | 0x01 | 0xD0..=0xD8 => {}
            _ => match bytes.get(at..at + 2) {
                Some(length) => at += usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => return false,
            },
        }
    }
    false
}

/// The byte after the next run of 0xFF at or after `at`, which moves behind it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let run = bytes.get(*at..)?.iter().position(|&byte| byte == 0xFF)? + *at;
    let marker = bytes[run..].iter().position(|&byte| byte != 0xFF)? + run;
    *at = marker + 1;
    Some(bytes[marker])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_behind_segments_and_before_trailing_bytes() {
        // An APP1 segment that holds an end marker, a scan with stuffing and a restart, then the true end.
        let scan = [0xFF, 0xDA, 0, 4, 1, 2, 7, 0xFF, 0x00, 9, 0xFF, 0xD0, 5];
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0, 0];
        bytes.extend(scan);
        let mut cut = bytes.clone();
        cut.push(1);
        assert!(!reaches_its_end(&cut));
        bytes.extend([0xFF, 0xFF, 0xD9, 1, 2, 3]);
        assert!(reaches_its_end(&bytes));
        for length in 0..bytes.len() - 3 {
            let inside_first_segment = bytes[..length].ends_with(&[0xFF, 0xD9]);
            assert!(inside_first_segment || !reaches_its_end(&bytes[..length]), "{length}");
        }
    }
}

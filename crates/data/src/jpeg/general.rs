//! JPEG files that `baseline` does not read: progressive, of several scans, oddly sampled, by `zune-jpeg`.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::next_marker;
use crate::image::{Refusal, check_size};
use crate::probe::probe;

/// Decodes a whole picture of any kind; gives its width and height. A picture that is larger than its first frame header
/// says is refused: the loader made room for that.
pub(super) fn decode_into(bytes: &[u8], into: &mut Vec<u8>) -> Result<(usize, usize), Refusal> {
    let Some(told) = probe(bytes).size else {
        return Err(Refusal::Unreadable("the JPEG has no size".into()));
    };
    check_size(told.0, told.1)?;
    match decode_strictly(bytes, told, into) {
        Err(Refusal::Unreadable(reason)) => {
            // A strict decoder also minds odd metadata and bytes between segments; the picture may be sound.
            let Some(bare) = without_metadata(bytes) else {
                return Err(Refusal::Unreadable(reason));
            };
            decode_strictly(&bare, told, into).map_err(|_| Refusal::Unreadable(reason))
        }
        decoded => decoded,
    }
}

fn decode_strictly(
    bytes: &[u8],
    told: (u64, u64),
    into: &mut Vec<u8>,
) -> Result<(usize, usize), Refusal> {
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
    if (width as u64, height as u64) != told {
        return Err(Refusal::Unreadable("the JPEG tells two sizes".into()));
    }
    into.resize(width * height * 3, 0);
    decoder.decode_into(into).map_err(unreadable)?;
    Ok((width, height))
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

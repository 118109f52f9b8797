//! §2.1 step 1 for JPEG files.
//!
//! The header decides who reads a file. Sequential Huffman files of 8 bits in one scan, grey, YCbCr, RGB, CMYK or YCCK,
//! are nearly all photos and go to `baseline`: our own decoder, which computes only the region that is asked for. All
//! others (progressive, arithmetic, odd sampling, several scans) go to `general`, which decodes whole pictures.
//!
//! A file that ends early is an error, never a picture with a grey foot: the end-of-image marker must be there. A
//! damaged scan that still carries the marker decodes to what is left, as with Pillow.

mod baseline;
mod bits;
mod color;
mod general;
mod header;
mod huffman;
mod idct;
#[cfg(target_arch = "x86_64")]
mod idct_avx2;
mod scan;
#[cfg(test)]
mod tests;
mod upsample;

use crate::image::{Cut, Refusal, check_size};
use crate::resize::Region;

pub(crate) use baseline::Baseline;

/// Decodes at least the region that `wanted` chooses from the picture's width and height; it is asked once.
pub(crate) fn decode_into(
    bytes: &[u8],
    wanted: &mut dyn FnMut(usize, usize) -> Region,
    memory: &mut Baseline,
    into: &mut Cut,
) -> Result<(), Refusal> {
    if !reaches_its_end(bytes) {
        return Err(Refusal::Unreadable("the JPEG is cut short".into()));
    }
    let Some(header) = header::parse(bytes) else {
        let (width, height) = general::decode_into(bytes, &mut into.pixels)?;
        wanted(width, height);
        into.region = Region { left: 0, top: 0, width, height };
        return Ok(());
    };
    check_size(header.width as u64, header.height as u64)?;
    into.region = wanted(header.width, header.height);
    memory.decode(&header, into.region, &mut into.pixels)
}

/// Whether the first picture of the file is followed by its end-of-image marker.
pub(crate) fn reaches_its_end(bytes: &[u8]) -> bool {
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
pub(crate) fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let run = bytes.get(*at..)?.iter().position(|&byte| byte == 0xFF)? + *at;
    let marker = bytes[run..].iter().position(|&byte| byte != 0xFF)? + run;
    *at = marker + 1;
    Some(bytes[marker])
}

//! PNG files. Text and color profiles are skipped, never unpacked: a small file may hold gigabytes of them.
//!
//! Of 16 bits a value the high byte is kept, but grey without an alpha channel is clipped at 255, as in Pillow.

use std::io::Cursor;

use ::png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};

use super::{Refusal, check_size};

/// What the decoder may take for its own rows, beside a few rows of the picture and the chunks of the file.
const OWN: usize = 1 << 20;

/// Decodes a whole picture; gives its width and height.
pub(super) fn decode_into(bytes: &[u8], into: &mut Vec<u8>) -> Result<(usize, usize), Refusal> {
    let unreadable = |error: DecodingError| Refusal::Unreadable(error.to_string());
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let (width, height) = decoder.read_header_info().map_err(unreadable)?.size();
    check_size(width.into(), height.into())?;
    // Eight bytes a pixel is the widest layout; EXIF data are kept as they are.
    let row = width as usize * 8;
    decoder.set_limits(Limits { bytes: OWN + 4 * row + 2 * bytes.len() });
    let mut reader = decoder.read_info().map_err(unreadable)?;
    let length = reader.output_buffer_size();
    let length = length.ok_or_else(|| Refusal::Unreadable("its size overflows".into()))?;
    let (color, depth) = reader.output_color_type();
    into.clear();
    if (color, depth) == (ColorType::Rgb, BitDepth::Eight) {
        into.resize(length, 0);
        reader.next_frame(into).map_err(unreadable)?;
    } else {
        let mut stored = vec![0; length];
        reader.next_frame(&mut stored).map_err(unreadable)?;
        // Grey with a transparent value is expanded to grey and alpha; Pillow clips it all the same.
        let is_clipped = reader.info().color_type == ColorType::Grayscale;
        into.reserve_exact(width as usize * height as usize * 3);
        to_rgb(&stored, color, depth, is_clipped, into);
    }
    Ok((width as usize, height as usize))
}

fn to_rgb(stored: &[u8], color: ColorType, depth: BitDepth, is_clipped: bool, into: &mut Vec<u8>) {
    let clipped = |high: u8, low: u8| if high == 0 { low } else { 255 };
    match (color, depth == BitDepth::Sixteen) {
        (ColorType::Grayscale, false) => into.extend(stored.iter().flat_map(|&grey| [grey; 3])),
        (ColorType::GrayscaleAlpha, false) => {
            into.extend(stored.as_chunks::<2>().0.iter().flat_map(|pixel| [pixel[0]; 3]));
        }
        (ColorType::Grayscale, true) => {
            into.extend(stored.as_chunks::<2>().0.iter().flat_map(|p| [clipped(p[0], p[1]); 3]));
        }
        (ColorType::GrayscaleAlpha, true) if is_clipped => {
            into.extend(stored.as_chunks::<4>().0.iter().flat_map(|p| [clipped(p[0], p[1]); 3]));
        }
        (ColorType::GrayscaleAlpha, true) => {
            into.extend(stored.as_chunks::<4>().0.iter().flat_map(|pixel| [pixel[0]; 3]));
        }
        (ColorType::Rgb, true) => {
            into.extend(stored.as_chunks::<6>().0.iter().flat_map(|p| [p[0], p[2], p[4]]));
        }
        (ColorType::Rgba, true) => {
            into.extend(stored.as_chunks::<8>().0.iter().flat_map(|p| [p[0], p[2], p[4]]));
        }
        (ColorType::Rgba, false) => {
            into.extend(stored.as_chunks::<4>().0.iter().flat_map(|p| [p[0], p[1], p[2]]));
        }
        // Expanded above, so none of these comes.
        (ColorType::Rgb | ColorType::Indexed, _) => into.extend_from_slice(stored),
    }
}

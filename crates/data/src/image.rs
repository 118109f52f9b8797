//! §2.1 step 1: "decode it into … raw pixel values in \[0,255\]".
//!
//! Every format ends as 8-bit RGB, as Pillow's `convert("RGB")` gives it: grey is repeated, a palette is looked
//! up, alpha is dropped (not blended), of an animation the first frame is taken, and an orientation in EXIF is not
//! applied. Of 16-bit values the high byte is kept, but 16-bit grey is clipped at 255, which turns most such images
//! white: so does Pillow, and `data check` finds them.
//!
//! Deviation: pixels become 32-bit floats after resizing, not before (step 2 runs on 8 bits).

mod gif;
mod png;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::DataError;
use crate::jpeg::{self, Baseline};
use crate::probe::probe;
use crate::resize::Region;

/// No format needs more bytes to tell a picture's size.
const HEADER: usize = 32;

/// Pillow's limit: more pixels than this are taken for an attack ("decompression bomb").
pub(crate) const PIXEL_LIMIT: u64 = 178_956_970;

/// 8-bit RGB; `pixels` holds height × width × 3 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RgbImage {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

/// Decodes a JPEG, PNG, WebP, BMP or GIF, told apart by its first bytes, not by its name. `name` is for messages.
pub fn decode(bytes: &[u8], name: &str) -> Result<RgbImage, DataError> {
    let mut cut = Cut::default();
    let whole = &mut |width, height| Region { left: 0, top: 0, width, height };
    decode_into(bytes, name, whole, &mut Baseline::default(), &mut cut)?;
    Ok(RgbImage { width: cut.region.width, height: cut.region.height, pixels: cut.pixels })
}

/// What was decoded of a picture: the pixels of a region.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) region: Region,
    pub(crate) pixels: Vec<u8>,
}

impl Cut {
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.region.width, self.region.height)
    }
}

impl Default for Cut {
    fn default() -> Cut {
        Cut { region: Region { left: 0, top: 0, width: 0, height: 0 }, pixels: Vec::new() }
    }
}

/// As [`decode`], in memory that is used again, and of the picture at least the region that `wanted` chooses from its
/// width and height. It is asked once, unless there is an error first.
pub(crate) fn decode_into(
    bytes: &[u8],
    name: &str,
    wanted: &mut dyn FnMut(usize, usize) -> Region,
    memory: &mut Baseline,
    into: &mut Cut,
) -> Result<(), DataError> {
    // The decoders are fuzzed, but a panic in one of them must not end a run of days.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        if bytes.starts_with(&[0xFF, 0xD8]) {
            jpeg::decode_into(bytes, wanted, memory, into)
        } else {
            let (width, height) = decode_other(bytes, &mut into.pixels)?;
            wanted(width, height);
            into.region = Region { left: 0, top: 0, width, height };
            Ok(())
        }
    }));
    match decoded {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Refusal::Unreadable(reason))) => {
            Err(DataError::Image { name: name.to_owned(), reason })
        }
        Ok(Err(Refusal::TooManyPixels { width, height })) => Err(DataError::TooManyPixels {
            name: name.to_owned(),
            width,
            height,
            limit: PIXEL_LIMIT,
        }),
        Err(_) => {
            Err(DataError::Image { name: name.to_owned(), reason: "its decoder failed".into() })
        }
    }
}

/// Why bytes do not become an image.
pub(crate) enum Refusal {
    Unreadable(String),
    TooManyPixels { width: u64, height: u64 },
}

/// Refuses a size before any memory is taken for it.
pub(crate) fn check_size(width: u64, height: u64) -> Result<(), Refusal> {
    if width == 0 || height == 0 {
        return Err(Refusal::Unreadable(format!("its size is {width}×{height}")));
    }
    if width.saturating_mul(height) > PIXEL_LIMIT {
        return Err(Refusal::TooManyPixels { width, height });
    }
    Ok(())
}

/// What is said of a file that begins like none of the formats.
pub(crate) const NOT_A_PICTURE: &str = "not a JPEG, PNG, WebP, BMP or GIF file";

/// Whether the first bytes of a file are those of a format that is decoded.
pub(crate) fn is_picture(head: &[u8]) -> bool {
    head.starts_with(&[0xFF, 0xD8]) || format_of(head).is_some()
}

fn format_of(head: &[u8]) -> Option<ImageFormat> {
    let known = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif];
    image::guess_format(head).ok().filter(|format| known.contains(format))
}

/// Decodes a whole picture; gives its width and height.
fn decode_other(bytes: &[u8], into: &mut Vec<u8>) -> Result<(usize, usize), Refusal> {
    let Some(format) = format_of(bytes) else {
        return Err(Refusal::Unreadable(match image::guess_format(bytes) {
            Ok(other) => format!("{other:?} files are not supported"),
            Err(_) if bytes.is_empty() => "the file is empty".to_owned(),
            Err(_) => NOT_A_PICTURE.to_owned(),
        }));
    };
    // The file's own word comes first: a decoder may fail on a bomb in another way.
    let Some((most_wide, most_high)) = probe(bytes).size else {
        let is_cut = bytes.len() < HEADER;
        let reason = if is_cut { "unexpected end of file" } else { "its header tells no size" };
        return Err(Refusal::Unreadable(reason.into()));
    };
    check_size(most_wide, most_high)?;
    match format {
        ImageFormat::Png => png::decode_into(bytes, into),
        ImageFormat::Gif => gif::decode_into(bytes, (most_wide, most_high), into),
        ImageFormat::Bmp => {
            let mended = mended_bmp(bytes);
            let bytes = mended.as_deref().unwrap_or(bytes);
            decode_by_image(bytes, format, (most_wide, most_high), into)
        }
        _ => decode_by_image(bytes, format, (most_wide, most_high), into),
    }
}

/// The file with its pixels behind its palette, where it says that they begin where the palette does: some programs write
/// that, and Pillow reads it so. The last row need not be padded.
fn mended_bmp(bytes: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (place, header, bits) = (word(10)?, word(14)?, word(28)? & 0xFFFF);
    if !(40..=1 << 16).contains(&header) || place != 14 + header || bits > 8 {
        return None;
    }
    let colors = match word(46)? {
        0 => 1 << bits,
        colors => colors.min(256),
    };
    let mut mended = bytes.to_vec();
    mended[10..14].copy_from_slice(&(place + 4 * colors).to_le_bytes());
    mended.extend([0; 3]);
    Some(mended)
}

/// Decodes a WebP or a BMP that is no larger than its header told.
fn decode_by_image(
    bytes: &[u8],
    format: ImageFormat,
    told: (u64, u64),
    into: &mut Vec<u8>,
) -> Result<(usize, usize), Refusal> {
    let unreadable = |error: image::ImageError| Refusal::Unreadable(error.to_string());
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    check_size(u64::from(width), u64::from(height))?;
    if u64::from(width) > told.0 || u64::from(height) > told.1 {
        return Err(Refusal::Unreadable("it tells two sizes".into()));
    }
    // Four bytes a pixel is the widest layout of these formats.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(told.0 * told.1 * 8);
    decoder.set_limits(limits).map_err(unreadable)?;
    let decoded = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    into.clear();
    to_rgb(&decoded, into);
    Ok((width as usize, height as usize))
}

fn to_rgb(decoded: &DynamicImage, pixels: &mut Vec<u8>) {
    match decoded {
        DynamicImage::ImageRgb8(image) => pixels.extend_from_slice(image.as_raw()),
        DynamicImage::ImageRgba8(image) => {
            pixels.extend(image.as_raw().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]));
        }
        other => pixels.extend_from_slice(other.to_rgb8().as_raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BMP of 3×2 pixels with two colors, as it should be.
    fn bmp() -> Vec<u8> {
        let mut file = b"BM".to_vec();
        let words =
            [70u32, 0, 62, 40, 3, 2, 1 | 8 << 16, 0, 8, 0, 0, 2, 0, 0x00FF_0000, 0x0000_00FF];
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        file.extend([1, 0, 1, 0, 0, 1, 0, 0]);
        file
    }

    #[test]
    fn a_bmp_whose_pixels_are_said_to_begin_at_its_palette_is_read() {
        let whole = decode(&bmp(), "bmp").unwrap();
        let (red, blue) = ([255, 0, 0], [0, 0, 255]);
        assert_eq!(whole.pixels, [red, blue, red, blue, red, blue].concat());
        let mut odd = bmp();
        odd[10] = 54;
        odd.pop();
        assert_eq!(decode(&odd, "bmp").unwrap(), whole);
    }

    #[test]
    fn sixteen_bit_grey_with_a_transparent_value_is_clipped_as_without() {
        let mut file = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut file, 2, 1);
        encoder.set_color(::png::ColorType::Grayscale);
        encoder.set_depth(::png::BitDepth::Sixteen);
        encoder.set_trns(vec![0, 255]);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[0, 200, 1, 0]).unwrap();
        writer.finish().unwrap();
        assert_eq!(decode(&file, "png").unwrap().pixels, [200, 200, 200, 255, 255, 255]);
    }
}

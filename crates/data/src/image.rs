//! §2.1 step 1: "decode it into … raw pixel values in \[0,255\]".
//!
//! Every format ends as 8-bit RGB, as Pillow's `convert("RGB")` gives it: grey is repeated, a palette is looked
//! up, alpha is dropped (not blended), of an animation the first frame is taken, and an orientation in EXIF is not
//! applied. Of 16-bit values the high byte is kept, but 16-bit grey is clipped at 255, which turns most such images
//! white: so does Pillow, and `data check` finds them.
//!
//! Deviation: pixels become 32-bit floats after resizing, not before (step 2 runs on 8 bits).

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::DataError;
use crate::jpeg::{self, Baseline};
use crate::probe::probe;
use crate::resize::Region;

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

/// Decodes a whole picture; gives its width and height.
fn decode_other(bytes: &[u8], into: &mut Vec<u8>) -> Result<(usize, usize), Refusal> {
    let unreadable = |error: image::ImageError| Refusal::Unreadable(error.to_string());
    let format = match image::guess_format(bytes) {
        Ok(
            format @ (ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp | ImageFormat::Gif),
        ) => format,
        Ok(other) => return Err(Refusal::Unreadable(format!("{other:?} files are not supported"))),
        Err(_) if bytes.is_empty() => return Err(Refusal::Unreadable("the file is empty".into())),
        Err(_) => {
            return Err(Refusal::Unreadable("not a JPEG, PNG, WebP, BMP or GIF file".into()));
        }
    };
    // The file's own word comes first: a decoder may fail on a bomb in another way.
    if let Some((width, height)) = probe(bytes).size {
        check_size(width, height)?;
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    check_size(u64::from(width), u64::from(height))?;
    // Eight bytes a pixel is the widest layout; the rest is for the decoder's own buffers.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(PIXEL_LIMIT * 8 * 2);
    decoder.set_limits(limits).map_err(unreadable)?;
    let decoded = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    into.clear();
    to_rgb(&decoded, into);
    Ok((width as usize, height as usize))
}

fn to_rgb(decoded: &DynamicImage, pixels: &mut Vec<u8>) {
    let high = |value: u16| (value >> 8) as u8;
    let clipped = |value: u16| value.min(255) as u8;
    match decoded {
        DynamicImage::ImageRgb8(image) => pixels.extend_from_slice(image.as_raw()),
        DynamicImage::ImageRgba8(image) => {
            pixels.extend(image.as_raw().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]));
        }
        DynamicImage::ImageLuma8(image) => {
            pixels.extend(image.as_raw().iter().flat_map(|&g| [g; 3]))
        }
        DynamicImage::ImageLumaA8(image) => {
            pixels.extend(image.as_raw().chunks_exact(2).flat_map(|p| [p[0]; 3]));
        }
        DynamicImage::ImageRgb16(image) => pixels.extend(image.as_raw().iter().map(|&v| high(v))),
        DynamicImage::ImageRgba16(image) => {
            pixels
                .extend(image.as_raw().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]].map(high)));
        }
        DynamicImage::ImageLuma16(image) => {
            pixels.extend(image.as_raw().iter().flat_map(|&g| [clipped(g); 3]));
        }
        DynamicImage::ImageLumaA16(image) => {
            pixels.extend(image.as_raw().chunks_exact(2).flat_map(|p| [high(p[0]); 3]));
        }
        other => pixels.extend_from_slice(other.to_rgb8().as_raw()),
    }
}

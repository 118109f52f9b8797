//! What a picture file says of itself in its first bytes, without decoding it.

use crate::exif;

/// What is unusual about a file, as far as its header tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Width and height; nothing where the header does not tell.
    pub(crate) size: Option<(u64, u64)>,
    pub(crate) cmyk: bool,
    /// More than 8 bits a value.
    pub(crate) deep: bool,
    pub(crate) palette: bool,
    pub(crate) animated: bool,
    /// Sequential JPEG of 8 bits in the sense of its frame header.
    pub(crate) sequential: bool,
}

/// Reads the header of a JPEG, PNG, GIF, WebP or BMP; of others it says nothing.
pub(crate) fn probe(file: &[u8]) -> Facts {
    let facts = match file {
        [0xFF, 0xD8, ..] => jpeg(file),
        [0x89, b'P', b'N', b'G', ..] => png(file),
        [b'G', b'I', b'F', b'8', ..] => gif(file),
        [b'R', b'I', b'F', b'F', ..] => webp(file),
        [b'B', b'M', ..] => bmp(file),
        _ => None,
    };
    facts.unwrap_or_default()
}

fn big(file: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u32::from_be_bytes(*file.get(at..)?.first_chunk()?)))
}

fn little(file: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u32::from_le_bytes(*file.get(at..)?.first_chunk()?)))
}

fn little_short(file: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u16::from_le_bytes(*file.get(at..)?.first_chunk()?)))
}

/// The first frame header, found by walking the segments.
fn jpeg(file: &[u8]) -> Option<Facts> {
    let mut at = 2;
    loop {
        let marker = crate::jpeg::next_marker(file, &mut at)?;
        if matches!(marker, 0x00 | 0x01 | 0xD0..=0xD8) {
            continue;
        }
        let length = usize::from(u16::from_be_bytes(*file.get(at..)?.first_chunk()?));
        // Tables of Huffman codes, arithmetic coding and an extension share the range of frame headers.
        if matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
            let [bits, h1, h0, w1, w0, components] = *file.get(at + 2..)?.first_chunk()?;
            let side = |high, low| u64::from(u16::from_be_bytes([high, low]));
            return Some(Facts {
                size: Some((side(w1, w0), side(h1, h0))),
                cmyk: components == 4,
                deep: bits > 8,
                sequential: bits == 8 && matches!(marker, 0xC0 | 0xC1),
                ..Facts::default()
            });
        }
        if matches!(marker, 0xD9 | 0xDA) {
            return None;
        }
        at += length;
    }
}

fn png(file: &[u8]) -> Option<Facts> {
    if file.get(12..16)? != b"IHDR" {
        return None;
    }
    let &[depth, color] = file.get(24..)?.first_chunk()?;
    let animation = exif::png_chunk(file, b"acTL");
    Some(Facts {
        size: Some((big(file, 16)?, big(file, 20)?)),
        deep: depth == 16,
        palette: color == 3,
        animated: animation.and_then(|chunk| big(chunk, 0)).is_some_and(|frames| frames > 1),
        ..Facts::default()
    })
}

/// As in Pillow, the size is the screen's or, where the first frame leaves that, the frame's.
fn gif(file: &[u8]) -> Option<Facts> {
    let screen = (little_short(file, 6)?, little_short(file, 8)?);
    let mut facts = Facts { size: Some(screen), palette: true, ..Facts::default() };
    let mut frames = 0;
    // What is damaged further on is for the decoder to tell.
    walk_gif(file, |left, top, width, height| {
        if frames == 0 {
            facts.size = Some((screen.0.max(left + width), screen.1.max(top + height)));
        }
        frames += 1;
    });
    facts.animated = frames > 1;
    Some(facts)
}

/// Calls `frame` with left, top, width and height of each.
fn walk_gif(file: &[u8], mut frame: impl FnMut(u64, u64, u64, u64)) -> Option<()> {
    let colors = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let skip_blocks = |mut at: usize| loop {
        match *file.get(at)? {
            0 => return Some(at + 1),
            length => at += 1 + usize::from(length),
        }
    };
    let mut at = 13 + colors(*file.get(10)?);
    loop {
        match *file.get(at)? {
            0x21 => at = skip_blocks(at + 2)?,
            0x2C => {
                let side = |place: usize| little_short(file, at + 1 + 2 * place);
                frame(side(0)?, side(1)?, side(2)?, side(3)?);
                at = skip_blocks(at + 11 + colors(*file.get(at + 9)?))?;
            }
            _ => return None,
        }
    }
}

fn webp(file: &[u8]) -> Option<Facts> {
    let mut facts = Facts::default();
    match file.get(12..16)? {
        b"VP8X" => {
            let side = |at: usize| Some(1 + (little(file, at)? & 0xFF_FFFF));
            let (mut width, mut height) = (side(24)?, side(27)?);
            // A frame may say another size, for which memory is taken before that is seen.
            walk_webp(file, 12, &mut |(wide, high)| {
                (width, height) = (width.max(wide), height.max(high));
            });
            facts.size = Some((width, height));
            facts.animated = file.get(20)? & 2 != 0;
        }
        b"VP8L" => {
            let bits = little(file, 21)?;
            facts.size = Some((1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)));
        }
        b"VP8 " => facts.size = Some(lossy_webp(file, 20)?),
        _ => return None,
    }
    Some(facts)
}

/// The size in the header of a lossy WebP frame.
fn lossy_webp(file: &[u8], at: usize) -> Option<(u64, u64)> {
    Some((little_short(file, at + 6)? & 0x3FFF, little_short(file, at + 8)? & 0x3FFF))
}

/// Calls `frame` with the size of each lossy frame among the chunks from `at` on, those inside an animation's frames too.
fn walk_webp(file: &[u8], mut at: usize, frame: &mut impl FnMut((u64, u64))) -> Option<()> {
    /// What an animation's frame holds before its own chunks.
    const FRAME: usize = 16;
    loop {
        let name = file.get(at..at + 4)?;
        let length = little(file, at + 4)? as usize;
        match name {
            b"VP8 " => frame(lossy_webp(file, at + 8)?),
            // Its chunks follow, and then the next frame.
            b"ANMF" => {
                at += 8 + FRAME;
                continue;
            }
            _ => {}
        }
        at = at.checked_add(8 + length.next_multiple_of(2))?;
    }
}

fn bmp(file: &[u8]) -> Option<Facts> {
    let (size, bits) = match little(file, 14)? {
        // OS/2's first version.
        12 => ((little_short(file, 18)?, little_short(file, 20)?), little_short(file, 24)?),
        _ => {
            // A negative height counts from the top.
            let height = little(file, 22)? as u32 as i32;
            let size = (little(file, 18)?, u64::from(height.unsigned_abs()));
            (size, little_short(file, 28)?)
        }
    };
    Some(Facts { size: Some(size), palette: bits <= 8, ..Facts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, ImageFormat};

    fn encoded(image: DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn headers_tell_sizes_and_depths() {
        let rgb = DynamicImage::new_rgb8(31, 17);
        let plain = Facts { size: Some((31, 17)), ..Facts::default() };
        let cases = [
            (encoded(rgb.clone(), ImageFormat::Png), plain),
            (encoded(rgb.clone(), ImageFormat::WebP), plain),
            (encoded(rgb.clone(), ImageFormat::Bmp), plain),
            (encoded(rgb, ImageFormat::Gif), Facts { palette: true, ..plain }),
            (
                encoded(DynamicImage::new_luma16(31, 17), ImageFormat::Png),
                Facts { deep: true, ..plain },
            ),
        ];
        for (file, expected) in cases {
            assert_eq!(probe(&file), expected, "{:?}", &file[..4]);
            // Cut anywhere nothing panics.
            (0..file.len()).for_each(|length| {
                probe(&file[..length]);
            });
        }
    }

    #[test]
    fn animations_and_frames_beyond_the_screen_are_seen() {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        for _ in 0..2 {
            encoder.encode_frame(image::Frame::new(image::RgbaImage::new(5, 4))).unwrap();
        }
        drop(encoder);
        let facts = probe(&bytes);
        assert!(facts.animated && facts.palette);
        assert_eq!(facts.size, Some((5, 4)));
        let mut gif = b"GIF89a\x01\0\x01\0\0\0\0".to_vec();
        gif.extend(b"\x2C\x02\0\x01\0\xFF\xFF\xFE\xFF\0\x02\0\x3B");
        assert_eq!(probe(&gif).size, Some((0xFFFF + 2, 0xFFFE + 1)));
    }

    #[test]
    fn a_webp_is_as_large_as_its_largest_frame_says() {
        let chunk = |name: &[u8; 4], content: &[u8]| {
            [name, &(content.len() as u32).to_le_bytes()[..], content].concat()
        };
        let canvas = chunk(b"VP8X", &[0, 0, 0, 0, 4, 0, 0, 6, 0, 0]);
        let lossy = chunk(b"VP8 ", &[0, 0, 0, 0x9D, 1, 0x2A, 0xFF, 0x3F, 0xFE, 0x3F]);
        let animated = chunk(b"ANMF", &[&[0; 16][..], &lossy].concat());
        let file = |chunks: &[&[u8]]| [&b"RIFF....WEBP"[..], &chunks.concat()].concat();
        let exif = chunk(b"EXIF", &[0; 4]);
        assert_eq!(probe(&file(&[&canvas, &exif])).size, Some((5, 7)));
        for frame in [&lossy, &animated] {
            assert_eq!(probe(&file(&[&canvas, frame])).size, Some((0x3FFF, 0x3FFE)));
        }
    }

    #[test]
    fn jpeg_frames_tell_their_colors() {
        let frame = |marker: u8, bits: u8, components: u8| {
            let mut file = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, marker, 0, 17];
            file.extend([bits, 0, 17, 0, 31, components]);
            probe(&file)
        };
        let plain = Facts { size: Some((31, 17)), ..Facts::default() };
        assert_eq!(frame(0xC0, 8, 3), Facts { sequential: true, ..plain });
        assert_eq!(frame(0xC2, 8, 4), Facts { cmyk: true, ..plain });
        assert_eq!(frame(0xC1, 12, 1), Facts { deep: true, ..plain });
    }
}

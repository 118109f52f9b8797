//! The first frame of a GIF, as Pillow shows it: what the frame leaves free has the frame's transparent color, or else the
//! first one, and transparent pixels have theirs.

use std::io::Cursor;

use ::gif::{ColorOutput, DecodeOptions, DecodingError};

use super::Refusal;

/// Decodes a picture of the size that its header tells; gives its width and height.
pub(super) fn decode_into(
    bytes: &[u8],
    told: (u64, u64),
    into: &mut Vec<u8>,
) -> Result<(usize, usize), Refusal> {
    let unreadable = |error: DecodingError| Refusal::Unreadable(error.to_string());
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(unreadable)?;
    let Some(frame) = decoder.next_frame_info().map_err(unreadable)? else {
        return Err(Refusal::Unreadable("it holds no picture".into()));
    };
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (wide, high) = (usize::from(frame.width), usize::from(frame.height));
    let free = usize::from(frame.transparent.unwrap_or(0));
    let (width, height) = (told.0 as usize, told.1 as usize);
    if left + wide > width || top + high > height {
        return Err(Refusal::Unreadable("it tells two sizes".into()));
    }
    let mut indices = vec![0; wide * high];
    decoder.read_into_buffer(&mut indices).map_err(unreadable)?;
    let colors = ramp(decoder.palette().map_err(unreadable)?);
    into.clear();
    into.reserve_exact(width * height * 3);
    if (wide, high) != (width, height) {
        into.extend(std::iter::repeat_n(colors[free], width * height).flatten());
        for (row, indices) in indices.chunks_exact(wide.max(1)).enumerate() {
            let start = ((top + row) * width + left) * 3;
            let pixels = into[start..start + wide * 3].as_chunks_mut::<3>().0;
            for (pixel, &index) in pixels.iter_mut().zip(indices) {
                *pixel = colors[usize::from(index)];
            }
        }
    } else {
        into.extend(indices.iter().flat_map(|&index| colors[usize::from(index)]));
    }
    Ok((width, height))
}

/// A color for each index; those that the palette does not have are grey levels.
fn ramp(palette: &[u8]) -> [[u8; 3]; 256] {
    let mut colors: [[u8; 3]; 256] = std::array::from_fn(|level| [level as u8; 3]);
    for (color, given) in colors.iter_mut().zip(palette.as_chunks::<3>().0) {
        *color = *given;
    }
    colors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_frame_leaves_free_has_the_transparent_color() {
        let palette = [10, 20, 30, 40, 50, 60, 70, 80, 90];
        for (transparent, free) in [(None, [10, 20, 30]), (Some(2), [70, 80, 90])] {
            let mut file = Vec::new();
            let mut encoder = ::gif::Encoder::new(&mut file, 3, 2, &palette).unwrap();
            let mut frame = ::gif::Frame::from_indexed_pixels(1, 1, vec![1], transparent);
            (frame.left, frame.top) = (1, 1);
            encoder.write_frame(&frame).unwrap();
            drop(encoder);
            let mut pixels = Vec::new();
            assert!(decode_into(&file, (3, 2), &mut pixels).is_ok_and(|size| size == (3, 2)));
            let expected = [free, free, free, free, [40, 50, 60], free].concat();
            assert_eq!(pixels, expected);
        }
    }
}

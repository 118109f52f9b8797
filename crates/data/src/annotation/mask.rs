//! A class for each pixel (§6.2).
//!
//! A mask is resized by the nearest neighbour, with the same choice as Pillow's NEAREST: where m pixels become n, output x
//! takes input ⌊c⌋ with c = ½·m/n + m/n + … + m/n (x times), added up in 64-bit floats. Indices are copied and never
//! mixed, so the value that marks pixels to be ignored stays what it is. The window is cut from the resized mask and then
//! flipped, as the image is.
//!
//! Deviation: the authors flip image and mask before they resize them. Where c is a whole number, that takes the other
//! neighbour of a mirrored mask, one pixel further; the image is symmetric in this.

use std::fmt::Debug;

use super::Annotation;
use crate::resize::Geometry;

/// Class indices, a row of `width` after the other; u8 or u16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask<T = u8> {
    pub width: usize,
    pub height: usize,
    pub indices: Vec<T>,
}

impl<T: Copy + Debug + PartialEq + Send + Sync + 'static> Annotation for Mask<T> {
    type Prepared = Mask<T>;

    fn prepare(&self, size: [usize; 2], geometry: &Geometry) -> Result<Mask<T>, String> {
        let Mask { width, height, indices } = self;
        if [*width, *height] != size || indices.len() != width * height {
            return Err(format!(
                "its mask has {width}×{height} pixels ({} indices), its image {}×{}",
                indices.len(),
                size[0],
                size[1]
            ));
        }
        let Geometry { region, size, window, mirrored } = geometry;
        let mut columns = nearest(region.width, size[0], window.left, window.width);
        if *mirrored {
            columns.reverse();
        }
        let rows = nearest(region.height, size[1], window.top, window.height);
        let mut made = Vec::with_capacity(rows.len() * columns.len());
        for row in rows {
            let from = &indices[(region.top + row) * width + region.left..][..region.width];
            made.extend(columns.iter().map(|&column| from[column]));
        }
        Ok(Mask { width: window.width, height: window.height, indices: made })
    }
}

/// The inputs of the outputs `first .. first + count` where `input` pixels become `output`.
fn nearest(input: usize, output: usize, first: usize, count: usize) -> Vec<usize> {
    let scale = input as f64 / output as f64;
    let mut center = scale * 0.5;
    let mut chosen = Vec::with_capacity(count);
    for x in 0..first + count {
        if x >= first {
            chosen.push((center as usize).min(input - 1));
        }
        center += scale;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::Region;

    #[test]
    fn the_nearest_neighbour_is_the_pixel_under_the_centre() {
        for (input, output, expected) in [
            (3, 3, vec![0, 1, 2]),
            (2, 5, vec![0, 0, 1, 1, 1]),
            (3, 6, vec![0, 0, 1, 1, 2, 2]),
            // Every centre lies between two pixels: the right one counts.
            (8, 4, vec![1, 3, 5, 7]),
            (5, 2, vec![1, 3]),
            (7, 1, vec![3]),
            (1, 3, vec![0, 0, 0]),
        ] {
            assert_eq!(nearest(input, output, 0, output), expected, "{input} to {output}");
            for first in 0..output {
                let part = nearest(input, output, first, output - first);
                assert_eq!(part, expected[first..], "{input} to {output} from {first}");
            }
        }
    }

    #[test]
    fn indices_of_both_widths_are_copied_and_never_mixed() {
        let region = Region { left: 1, top: 0, width: 3, height: 2 };
        let window = Region { left: 1, top: 0, width: 5, height: 2 };
        for mirrored in [false, true] {
            let geometry = Geometry { region, size: [6, 2], window, mirrored };
            let mask = Mask { width: 4, height: 2, indices: vec![9, 255, 0, 7, 9, 1, 2, 255] };
            let mut expected = [vec![255, 0, 0, 7, 7], vec![1, 2, 2, 255, 255]];
            if mirrored {
                expected.iter_mut().for_each(|row| row.reverse());
            }
            let made = mask.prepare([4, 2], &geometry).unwrap();
            assert_eq!((made.width, made.height), (5, 2));
            assert_eq!(made.indices, expected.concat());
            let wide = |indices: &[u8]| indices.iter().map(|&i| u16::from(i) * 257).collect();
            let wider = Mask { width: 4, height: 2, indices: wide(&mask.indices) };
            let indices: Vec<u16> = wider.prepare([4, 2], &geometry).unwrap().indices;
            assert_eq!(indices, wide(&made.indices));
        }
    }

    #[test]
    fn a_mask_of_another_size_than_its_image_is_refused() {
        let region = Region { left: 0, top: 0, width: 2, height: 2 };
        let geometry = Geometry { region, size: [2, 2], window: region, mirrored: false };
        let mask = Mask { width: 2, height: 3, indices: vec![0u8; 6] };
        let reason = mask.prepare([2, 2], &geometry).unwrap_err();
        assert_eq!(reason, "its mask has 2×3 pixels (6 indices), its image 2×2");
        let short = Mask { width: 2, height: 2, indices: vec![0u8; 3] };
        assert!(short.prepare([2, 2], &geometry).is_err());
    }
}

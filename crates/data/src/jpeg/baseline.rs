//! Sequential Huffman files: from a parsed header to the pixels of a region, with the bits of libjpeg-turbo.
//!
//! The whole scan has to be read down to the region's last row, for a code's place is known only when all before it were
//! read; transform, upsampling and colour are for the region alone. What memory is taken depends on the region's size.

use super::color::{inks_to_rgb, invert, write_rgb, write_ycbcr};
use super::header::{ColorSpace, Component, Header, MOST};
use super::huffman::Kind;
use super::idct;
use super::scan::{Coefficients, Scan, Tables, Window};
use super::upsample::{Plane, Row};
use crate::image::Refusal;
use crate::resize::Region;

/// Memory that is used again for every file.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    tables: Tables,
    coefficients: [Coefficients; MOST],
    planes: [Plane; MOST],
    rows: [Row; MOST],
    /// Bytes of the scan.
    bytes: Vec<u8>,
}

impl Baseline {
    /// Writes the region's pixels, rows of RGB.
    pub(super) fn decode(
        &mut self,
        header: &Header,
        region: Region,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        assert!(
            region.left + region.width <= header.width
                && region.top + region.height <= header.height,
            "{region:?} leaves the picture"
        );
        for component in header.components() {
            let (dc, ac) = (header.dc[component.dc], header.ac[component.ac]);
            self.tables.dc[component.dc].prepare(Kind::Dc, dc.unwrap_or_default())?;
            self.tables.ac[component.ac].prepare(Kind::Ac, ac.unwrap_or_default())?;
        }
        out.resize(region.width * region.height * 3, 0);
        if out.is_empty() {
            return Ok(());
        }
        let windows = self.prepare_planes(header, region);
        self.read(header, windows);
        let Baseline { planes, rows, .. } = self;
        let color = header.color;
        pulp::Arch::new().dispatch(Pixels { color, planes, rows, region, out });
        Ok(())
    }

    /// Memory that is held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let coefficients = self.coefficients.iter().map(|kept| kept.pairs.capacity() * 258);
        let samples = self.planes.iter().map(|plane| plane.samples.capacity());
        self.bytes.capacity() + coefficients.chain(samples).sum::<usize>()
    }

    /// Makes room for the samples that the region needs; gives the blocks they are in.
    fn prepare_planes(&mut self, header: &Header, region: Region) -> [Window; MOST] {
        let (across, down) = header.sampling();
        let mut windows = [Window::default(); MOST];
        for ((plane, window), component) in
            self.planes.iter_mut().zip(&mut windows).zip(header.components())
        {
            plane.across = across / component.across;
            plane.down = down / component.down;
            plane.width = header.width.div_ceil(plane.across);
            plane.height = header.height.div_ceil(plane.down);
            let right = region.left + region.width;
            let bottom = region.top + region.height;
            let columns = Plane::needed(region.left, right, plane.across, plane.width);
            let rows = Plane::needed(region.top, bottom, plane.down, plane.height);
            let blocks = |(first, last): (usize, usize)| (first / 8, last.div_ceil(8) - first / 8);
            (window.left, window.width) = blocks(columns);
            (window.top, window.height) = blocks(rows);
            plane.left = window.left * 8;
            plane.top = window.top * 8;
            plane.stride = window.pairs() * 16;
            plane.samples.resize(plane.stride * window.height * 8, 0);
        }
        windows
    }

    /// Reads the scan as far as the windows reach, and transforms their blocks.
    fn read(&mut self, header: &Header, windows: [Window; MOST]) {
        let Baseline { tables, coefficients, planes, bytes, .. } = self;
        let reach = |(window, component): (&Window, &Component)| {
            (window.top + window.height).div_ceil(component.down)
        };
        let last = windows.iter().zip(header.components()).map(reach).max().unwrap_or(0);
        let mut scan = Scan::new(header, windows, tables, bytes);
        for row in 0..last {
            scan.read_row(coefficients);
            for (((coefficients, plane), window), component) in
                coefficients.iter().zip(planes.iter_mut()).zip(&windows).zip(header.components())
            {
                let pairs = window.pairs();
                for block in 0..component.down {
                    let y = (row * component.down + block).wrapping_sub(window.top);
                    if y < window.height {
                        let kept = block * pairs..(block + 1) * pairs;
                        let out = &mut plane.samples[y * 8 * plane.stride..];
                        let (pairs, ends) =
                            (&coefficients.pairs[kept.clone()], &coefficients.ends[kept]);
                        idct::transform(pairs, ends, out, plane.stride);
                    }
                }
            }
        }
    }
}

/// Upsampling and colour.
struct Pixels<'a> {
    color: ColorSpace,
    planes: &'a [Plane; MOST],
    rows: &'a mut [Row; MOST],
    region: Region,
    out: &'a mut [u8],
}

impl pulp::NullaryFnOnce for Pixels<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Pixels { color, planes, rows: [r0, r1, r2, r3], region, out } = self;
        let (first, last) = (region.left, region.left + region.width);
        for (at, out) in out.chunks_exact_mut(region.width * 3).enumerate() {
            let y = region.top + at;
            let first_row = planes[0].pixels(y, first, last, r0);
            if color == ColorSpace::Grey {
                write_rgb(first_row, first_row, first_row, out);
                continue;
            }
            let second_row = planes[1].pixels(y, first, last, r1);
            let third_row = planes[2].pixels(y, first, last, r2);
            match color {
                ColorSpace::YCbCr | ColorSpace::Ycck => {
                    write_ycbcr(first_row, second_row, third_row, out);
                }
                _ => write_rgb(first_row, second_row, third_row, out),
            }
            if color == ColorSpace::Cmyk {
                invert(out);
            }
            if matches!(color, ColorSpace::Cmyk | ColorSpace::Ycck) {
                inks_to_rgb(planes[3].pixels(y, first, last, r3), out);
            }
        }
    }
}

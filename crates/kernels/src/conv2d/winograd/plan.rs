//! Where the tiles of a convolution are: the pixels each is made of, and those it makes.

use super::super::Conv2d;
use super::method::{MOST_CHANNELS, Tile};
use crate::element::{self, Element};
use crate::stream;

static ZEROS: [f32; MOST_CHANNELS] = [0.0; MOST_CHANNELS];

/// A convolution as Winograd's algorithm sees it: from an image to one of the same number of
/// images.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) from: Extent,
    pub(super) to: Extent,
    padding: [usize; 2],
    pub(super) tile: Tile,
    pub(super) kernel: [usize; 2],
    /// Rows and columns of parts of the kernel.
    parts: [usize; 2],
    /// Rows and columns of tiles of an image of `to`, and tiles of the batch.
    grid: [usize; 2],
    pub(super) tiles: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Extent {
    h: usize,
    w: usize,
    pub(super) channels: usize,
}

impl Plan {
    /// The forward product's plan.
    pub(super) fn forward(d: &Conv2d, tile: Tile) -> Self {
        let from = Extent { h: d.h, w: d.w, channels: d.c_in };
        let to = Extent { h: d.out_h(), w: d.out_w(), channels: d.c_out };
        Self::of(d, [from, to], d.padding, tile)
    }

    /// The input gradient's: from `dy` to `dx`, the weights turned around.
    pub(super) fn backward(d: &Conv2d, tile: Tile) -> Self {
        let Self { from, to, .. } = Self::forward(d, tile);
        let padding = [0, 1].map(|axis| d.kernel[axis] - 1 - d.padding[axis]);
        Self::of(d, [to, from], padding, tile)
    }

    fn of(d: &Conv2d, [from, to]: [Extent; 2], padding: [usize; 2], tile: Tile) -> Self {
        let grid = [to.h.div_ceil(tile.results[0]), to.w.div_ceil(tile.results[1])];
        let (tiles, parts) = (d.n * grid[0] * grid[1], tile.parts(d.kernel));
        Self { from, to, padding, tile, kernel: d.kernel, parts, grid, tiles }
    }

    /// Parts of the kernel.
    pub(super) fn parts(&self) -> usize {
        self.parts[0] * self.parts[1]
    }

    /// Channels of the input, those of every part.
    pub(super) fn depth(&self) -> usize {
        self.parts() * self.from.channels
    }

    /// The image a tile is in, and its first row and column there.
    fn place(&self, tile: usize) -> [usize; 3] {
        let ([rows, columns], [height, width]) = (self.grid, self.tile.results);
        [tile / (rows * columns), tile / columns % rows * height, tile % columns * width]
    }

    /// Where the pixels start that a tile of results comes from, by one part of the kernel.
    pub(super) fn inputs<const A: usize, E>(
        &self,
        x: &[E],
        tile: usize,
        part: usize,
    ) -> [*const E; A] {
        let [image, top, left] = self.place(tile);
        let ([_, columns], taps) = (self.parts, self.tile.taps);
        let [down, along] = [part / columns * taps[0], part % columns * taps[1]];
        let [above, before] = self.padding;
        let first = [(top + down).wrapping_sub(above), (left + along).wrapping_sub(before)];
        self.from.pixels(x, image, first, self.tile.inputs()[1])
    }

    /// Of the tile after this one, the pixels that are not of this one, and how many these are.
    pub(super) fn ahead<const A: usize, E>(
        &self,
        x: &[E],
        tile: usize,
        part: usize,
    ) -> ([*const E; A], usize) {
        let mut pixels = self.inputs::<A, E>(x, (tile + 1).min(self.tiles - 1), part);
        let (columns, shared) = (self.tile.inputs()[1], self.tile.taps[1] - 1);
        let mut count = 0;
        for row in (0..A).step_by(columns) {
            for column in shared..columns {
                pixels[count] = pixels[row + column];
                count += 1;
            }
        }
        (pixels, count)
    }

    /// Where the pixels of a tile of results start.
    pub(super) fn results<const M: usize, E>(&self, y: &[E], tile: usize) -> [*const E; M] {
        let [image, top, left] = self.place(tile);
        self.to.pixels(y, image, [top, left], self.tile.results[1])
    }

    /// The same for writing; those outside of the image are null.
    pub(super) fn targets<const M: usize, E>(&self, y: Places<E>, tile: usize) -> [*mut E; M] {
        let Extent { h, w, channels } = self.to;
        let [image, top, left] = self.place(tile);
        let columns = self.tile.results[1];
        let mut places = [std::ptr::null_mut(); M];
        for (i, row) in places.chunks_exact_mut(columns).enumerate().take(h - top) {
            let long = columns.min(w - left);
            let line = y.at(((image * h + top + i) * w + left) * channels, long * channels);
            for (j, place) in row.iter_mut().enumerate().take(long) {
                *place = line.wrapping_add(j * channels);
            }
        }
        places
    }
}

impl Extent {
    /// Where the pixels of a rectangle start; those outside of the image are zeros.
    fn pixels<const L: usize, E>(
        &self,
        data: &[E],
        image: usize,
        [top, left]: [usize; 2],
        columns: usize,
    ) -> [*const E; L] {
        let mut pixels = [ZEROS.as_ptr().cast(); L];
        for (i, row) in pixels.chunks_exact_mut(columns).enumerate() {
            for (j, pixel) in row.iter_mut().enumerate() {
                // A negative coordinate is a huge one.
                let (y, x) = (top.wrapping_add(i), left.wrapping_add(j));
                if y < self.h && x < self.w {
                    let start = ((image * self.h + y) * self.w + x) * self.channels;
                    *pixel = data[start..][..self.channels].as_ptr();
                }
            }
        }
        pixels
    }
}

/// Memory that tasks write to in disjoint places.
pub(super) struct Places<E = f32> {
    pub(super) start: *mut E,
    pub(super) length: usize,
}

impl<E> Clone for Places<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Places<E> {}

// SAFETY: a pointer and its bound; whoever writes through it promises that places are disjoint.
unsafe impl<E: Sync> Sync for Places<E> {}
// SAFETY: as above.
unsafe impl<E: Send> Send for Places<E> {}

impl<E> Places<E> {
    pub(super) fn of(data: &mut [E]) -> Self {
        Self { start: data.as_mut_ptr(), length: data.len() }
    }

    /// Whether to write past the caches: it is large, and vectors of whole cache lines are aligned.
    pub(super) fn streams(&self) -> bool
    where
        E: Element,
    {
        !element::is_half::<E>()
            && self.length >= stream::STREAMED
            && self.start.addr().is_multiple_of(64)
    }

    /// The `count` floats from `at` on, checked to be inside.
    pub(super) fn at(&self, at: usize, count: usize) -> *mut E {
        assert!(at + count <= self.length);
        self.start.wrapping_add(at)
    }
}

//! Which convolutions it is for, and the tile that costs least.

use super::super::Conv2d;

/// The most channels it is for, over all parts of the kernel: a panel of packed weights is one block
/// deep.
pub(super) const MOST_CHANNELS: usize = 512;
/// Channels come in whole vectors of every instruction set.
pub(super) const UNIT: usize = 16;

/// What else costs as much as how many multiply-adds: packing a weight for the direct product, and,
/// for each element of a tile, transforming an input or a result, and packing and transforming a
/// weight; and reading a prepared weight from memory.
const PACKING: usize = 5;
const TILE: usize = 8;
const WEIGHT: usize = 15;
const READING: usize = 10;

/// How a convolution is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Method {
    Direct,
    /// F(2×2, 3×3).
    TwoByTwo,
    /// F(4×4, 3×3).
    FourByFour,
    /// F(3, 4), of kernels that are one row or one column.
    Three,
    /// F(4, 3), of the same.
    Four,
}

impl Method {
    /// How many there are.
    pub(in super::super) const COUNT: usize = 1 + Self::TILED.len();
    /// All but `Direct`.
    pub(super) const TILED: [Self; 4] = [Self::TwoByTwo, Self::FourByFour, Self::Three, Self::Four];

    /// Its tile for such a kernel, if it has one.
    pub(super) fn tile(self, kernel: [usize; 2]) -> Option<Tile> {
        let square = |results| {
            let both = kernel[0] > 1 && kernel[1] > 1;
            both.then_some(Tile { results: [results; 2], taps: [3; 2] })
        };
        let line = |results, taps| match kernel {
            [1, 1] => None,
            [_, 1] => Some(Tile { results: [results, 1], taps: [taps, 1] }),
            [1, _] => Some(Tile { results: [1, results], taps: [1, taps] }),
            _ => None,
        };
        match self {
            Self::Direct => None,
            Self::TwoByTwo => square(2),
            Self::FourByFour => square(4),
            Self::Three => line(3, 4),
            Self::Four => line(4, 3),
        }
    }
}

/// The extents of a tile, `[rows, columns]`: the results of one, and the taps between them and its
/// inputs. A kernel of more taps is cut into parts, which are so many more channels of the input.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) results: [usize; 2],
    pub(super) taps: [usize; 2],
}

impl Tile {
    pub(super) fn inputs(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.results[axis] + self.taps[axis] - 1)
    }

    /// Inputs of a tile, and elements of it once it is transformed.
    pub(super) fn elements(&self) -> usize {
        self.inputs().iter().product()
    }

    /// Rows and columns of parts of a kernel.
    pub(super) fn parts(&self, kernel: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| kernel[axis].div_ceil(self.taps[axis]))
    }

    /// The places in the kernel of a part's taps; those outside of it are the number of its taps.
    pub(super) fn taps_of<const T: usize>(&self, kernel: [usize; 2], part: usize) -> [usize; T] {
        let columns = self.parts(kernel)[1];
        let [top, left] = [part / columns * self.taps[0], part % columns * self.taps[1]];
        std::array::from_fn(|tap| {
            let (y, x) = (top + tap / self.taps[1], left + tap % self.taps[1]);
            if y < kernel[0] && x < kernel[1] { y * kernel[1] + x } else { kernel[0] * kernel[1] }
        })
    }
}

/// The cheapest method by a count of multiply-adds, in which transforms weigh as measured.
pub(in super::super) fn method(d: &Conv2d) -> Method {
    cheapest(d, PACKING, WEIGHT)
}

/// The cheapest method by weights that are prepared.
pub(in super::super) fn prepared_method(d: &Conv2d) -> Method {
    cheapest(d, READING, READING)
}

/// `packing` and `weight` are what a weight costs the direct product, and an element of a
/// transformed one the others.
fn cheapest(d: &Conv2d, packing: usize, weight: usize) -> Method {
    let plain = d.stride == [1, 1] && d.dilation == [1, 1] && d.groups == 1;
    let padded = d.padding[0] < d.kernel[0] && d.padding[1] < d.kernel[1];
    let whole = d.c_in.is_multiple_of(UNIT) && d.c_out.is_multiple_of(UNIT);
    if !(plain && padded && whole && d.y_len() > 0 && d.c_in > 0) {
        return Method::Direct;
    }
    let direct = (d.positions() + packing) * d.kernel[0] * d.kernel[1] * d.c_in * d.c_out;
    let cost = |method: Method| {
        let tile = method.tile(d.kernel)?;
        let [rows, columns] = tile.parts(d.kernel);
        let parts = rows * columns;
        if parts * d.c_in.max(d.c_out) > MOST_CHANNELS {
            return None;
        }
        let [height, width] = tile.results;
        let tiles = d.n * d.out_h().div_ceil(height) * d.out_w().div_ceil(width);
        let products = parts * d.c_in * d.c_out;
        let each = products + TILE * (parts * d.c_in + d.c_out);
        Some((tile.elements() * (tiles * each + weight * products), method))
    };
    let costs = Method::TILED.into_iter().filter_map(cost);
    match costs.min_by_key(|(cost, _)| *cost) {
        Some((cost, method)) if cost < direct => method,
        _ => Method::Direct,
    }
}

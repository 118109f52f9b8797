//! The walk through a scan (ITU T.81, A.2 and F.2): every block is read, but only those of the window are kept.
//!
//! Blocks are kept in pairs of neighbours, row by row side by side, as the inverse transform takes them.

use super::bits::Bits;
use super::header::{Component, Header};
use super::huffman::{Kind, Table};

/// Two neighbouring blocks: 8 rows of 8 + 8 coefficients, times their steps.
pub(super) type Pair = [[i16; 16]; 8];

/// Place in a block of the coefficients as they come: row × 8 + column.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Blocks of a component that are wanted: from `left` and `top` on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Window {
    /// Pairs in a row.
    pub(super) fn pairs(&self) -> usize {
        self.width.div_ceil(2)
    }
}

/// Coefficients of one component in one row of MCUs.
#[derive(Debug, Default)]
pub(super) struct Coefficients {
    /// For each row of blocks, its pairs.
    pub(super) pairs: Vec<Pair>,
    /// For each block, where in the zigzag its last coefficient is.
    pub(super) ends: Vec<[u8; 2]>,
}

/// The Huffman tables of a file.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) dc: [Table; 4],
    pub(super) ac: [Table; 4],
}

/// A component while its scan is read.
struct Walked<'a> {
    component: Component,
    window: Window,
    dc: &'a Table,
    ac: &'a Table,
    quantization: &'a [u16; 64],
    /// The last block's first coefficient.
    predictor: i32,
}

/// A scan, from row of MCUs to row of MCUs.
pub(super) struct Scan<'a> {
    bits: Bits<'a>,
    components: [Option<Walked<'a>>; 3],
    /// MCUs in a row.
    width: usize,
    /// The row that comes next.
    row: usize,
    restart_interval: usize,
    /// MCUs until the next restart.
    left: usize,
    restarts: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(header: &'a Header, windows: [Window; 3], tables: &'a Tables) -> Scan<'a> {
        let mut components = [const { None }; 3];
        for ((to, &component), window) in
            components.iter_mut().zip(header.components()).zip(windows)
        {
            *to = Some(Walked {
                component,
                window,
                dc: &tables.dc[component.dc],
                ac: &tables.ac[component.ac],
                quantization: &header.quantization[component.quantization],
                predictor: 0,
            });
        }
        Scan {
            bits: Bits::new(header.scan),
            components,
            width: header.width.div_ceil(8 * header.sampling().0),
            row: 0,
            restart_interval: header.restart_interval,
            left: header.restart_interval,
            restarts: 0,
        }
    }

    /// Reads a row of MCUs; what of it is wanted goes to `into`, one for each component.
    pub(super) fn read_row(&mut self, into: &mut [Coefficients; 3]) {
        for (walked, into) in self.components.iter().flatten().zip(into.iter_mut()) {
            let rows = walked.component.down;
            let pairs = walked.window.pairs() * rows;
            into.pairs.resize(pairs, [[0; 16]; 8]);
            into.ends.resize(pairs, [0; 2]);
            let wanted = walked.kept_rows(self.row);
            let kept = wanted.start * walked.window.pairs()..wanted.end * walked.window.pairs();
            into.pairs[kept.clone()].as_flattened_mut().as_flattened_mut().fill(0);
            into.ends[kept].fill([0; 2]);
        }
        pulp::Arch::new().dispatch(Row { scan: self, into });
        self.row += 1;
    }

    #[inline(always)]
    fn restart_if_due(&mut self) {
        if self.restart_interval == 0 {
            return;
        }
        if self.left == 0 {
            self.bits.restart((self.restarts % 8) as u8);
            self.restarts += 1;
            self.left = self.restart_interval;
            self.components.iter_mut().flatten().for_each(|walked| walked.predictor = 0);
        }
        self.left -= 1;
    }
}

impl Walked<'_> {
    /// Rows of blocks, of those in a row of MCUs, that are wanted.
    fn kept_rows(&self, row: usize) -> std::ops::Range<usize> {
        let down = self.component.down;
        let inside = |block: usize| block.saturating_sub(row * down).min(down);
        inside(self.window.top)..inside(self.window.top + self.window.height)
    }
}

/// One row of MCUs.
struct Row<'s, 'a> {
    scan: &'s mut Scan<'a>,
    into: &'s mut [Coefficients; 3],
}

impl pulp::NullaryFnOnce for Row<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Row { scan, into } = self;
        let mut kept = [const { 0..0 }; 3];
        for (kept, walked) in kept.iter_mut().zip(scan.components.iter().flatten()) {
            *kept = walked.kept_rows(scan.row);
        }
        for column in 0..scan.width {
            scan.restart_if_due();
            if scan.bits.ran_out() {
                // As in libjpeg: what is missing is grey.
                continue;
            }
            for ((walked, into), kept) in
                scan.components.iter_mut().flatten().zip(into.iter_mut()).zip(&kept)
            {
                let Component { across, down, .. } = walked.component;
                for block in 0..across * down {
                    let (x, y) = (column * across + block % across, block / across);
                    let x = x.wrapping_sub(walked.window.left);
                    if x < walked.window.width && kept.contains(&y) {
                        let at = y * walked.window.pairs() + x / 2;
                        let (pair, ends) = (&mut into.pairs[at], &mut into.ends[at]);
                        ends[x % 2] = walked.read(&mut scan.bits, pair, x % 2);
                    } else {
                        walked.pass(&mut scan.bits);
                    }
                }
            }
        }
    }
}

impl Walked<'_> {
    /// Reads a block into its half of a pair; gives the place of its last coefficient.
    #[inline(always)]
    fn read(&mut self, bits: &mut Bits, pair: &mut Pair, half: usize) -> u8 {
        // Products are cut to 16 bits, as those of libjpeg-turbo are.
        let step = |at: usize, value: i32| value.wrapping_mul(i32::from(self.quantization[at])) as i16;
        let place = |at: usize| (usize::from(ZIGZAG[at] >> 3), usize::from(ZIGZAG[at] & 7));
        self.predictor = self.predictor.wrapping_add(self.dc.read(Kind::Dc, bits).1);
        pair[0][half * 8] = step(0, self.predictor);
        let mut at = 0;
        let mut end = 0;
        while at < 63 {
            let (advance, value) = self.ac.read(Kind::Ac, bits);
            at += advance;
            if at > 63 {
                if value != 0 {
                    // Beyond the block: libjpeg puts it in the last place.
                    pair[7][half * 8 + 7] = step(63, value);
                    end = 63;
                }
                break;
            }
            let (row, column) = place(at);
            pair[row][half * 8 + column] = step(at, value);
            end = at;
        }
        end as u8
    }

    #[inline(always)]
    fn pass(&mut self, bits: &mut Bits) {
        self.predictor = self.predictor.wrapping_add(self.dc.read(Kind::Dc, bits).1);
        self.ac.pass(bits);
    }
}

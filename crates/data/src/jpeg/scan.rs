//! Reading a scan (ITU T.81, A.2 and F.2): every block is decoded, but only those of the window are kept.
//!
//! Blocks are kept in pairs of neighbours, row by row side by side, as the inverse transform takes them.

use super::bits::{BitPosition, Bits, Segment};
use super::header::{Component, Header, MOST};
use super::huffman::{Kind, LOOKS, Table};

/// Two neighbouring blocks: 8 rows of 8 + 8 coefficients, times their steps.
pub(super) type Pair = [[i16; 16]; 8];

/// The place in a pair of each coefficient of its first block, in the order of the file: row × 16 + column.
const PLACES: [u8; 64] = {
    let zigzag = [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27,
        20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
        58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    ];
    let mut places = [0; 64];
    let mut at = 0;
    while at < 64 {
        places[at] = (zigzag[at] / 8 * 16 + zigzag[at] % 8) as u8;
        at += 1;
    }
    places
};

/// The blocks of a component that are wanted, from `left` and `top` on.
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
    /// The pairs of each row of blocks.
    pub(super) pairs: Vec<Pair>,
    /// The place in the zigzag of each block's last coefficient.
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

/// A scan, read one row of MCUs after the other.
pub(super) struct Scan<'a> {
    segment: Segment<'a>,
    position: BitPosition,
    /// Whether the segment ended early: everything until the next restart is grey, as with libjpeg.
    ran_out: bool,
    components: [Option<Walked<'a>>; MOST],
    /// MCUs in a row.
    width: usize,
    /// The next row.
    row: usize,
    restart_interval: usize,
    /// MCUs until the next restart.
    left: usize,
    restarts: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        header: &'a Header,
        windows: [Window; MOST],
        tables: &'a Tables,
        memory: &'a mut Vec<u8>,
    ) -> Scan<'a> {
        let mut components = [const { None }; MOST];
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
            segment: Segment::first(header.scan, memory),
            position: BitPosition::default(),
            ran_out: false,
            components,
            width: header.width.div_ceil(8 * header.sampling().0),
            row: 0,
            restart_interval: header.restart_interval,
            left: header.restart_interval,
            restarts: 0,
        }
    }

    /// Reads a row of MCUs. The wanted blocks of each component go to its place in `into`.
    pub(super) fn read_row(&mut self, into: &mut [Coefficients; MOST]) {
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
        let mut column = 0;
        while column < self.width {
            let count = self.restart_if_due().min(self.width - column);
            if !self.ran_out {
                pulp::Arch::new().dispatch(Run {
                    scan: self,
                    columns: column..column + count,
                    into,
                });
            }
            column += count;
            self.left = self.left.saturating_sub(count);
        }
        self.row += 1;
    }

    /// MCUs that follow without a restart.
    fn restart_if_due(&mut self) -> usize {
        if self.restart_interval == 0 {
            return usize::MAX;
        }
        if self.left == 0 {
            if self.segment.restart((self.restarts % 8) as u8) {
                self.ran_out = false;
            }
            self.position = BitPosition::default();
            self.restarts += 1;
            self.left = self.restart_interval;
            self.components.iter_mut().flatten().for_each(|walked| walked.predictor = 0);
        }
        self.left
    }
}

impl Walked<'_> {
    /// The wanted rows of blocks in a row of MCUs.
    fn kept_rows(&self, row: usize) -> std::ops::Range<usize> {
        let down = self.component.down;
        let inside = |block: usize| block.saturating_sub(row * down).min(down);
        inside(self.window.top)..inside(self.window.top + self.window.height)
    }
}

/// MCUs of a row without a restart between them.
struct Run<'s, 'a> {
    scan: &'s mut Scan<'a>,
    columns: std::ops::Range<usize>,
    into: &'s mut [Coefficients; MOST],
}

impl pulp::NullaryFnOnce for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Run { scan, columns, into } = self;
        let Scan { segment, position, components, row, ran_out, .. } = scan;
        let mut kept = [const { 0..0 }; MOST];
        for (kept, walked) in kept.iter_mut().zip(components.iter().flatten()) {
            *kept = walked.kept_rows(*row);
        }
        let mut bits = segment.bits(*position);
        for column in columns {
            if bits.ran_out() {
                *ran_out = true;
                break;
            }
            for ((walked, into), kept) in
                components.iter_mut().flatten().zip(into.iter_mut()).zip(&kept)
            {
                let Component { across, down, .. } = walked.component;
                for y in 0..down {
                    for x in column * across..(column + 1) * across {
                        let x = x.wrapping_sub(walked.window.left);
                        if x < walked.window.width && kept.contains(&y) {
                            let at = y * walked.window.pairs() + x / 2;
                            let (pair, ends) = (&mut into.pairs[at], &mut into.ends[at]);
                            ends[x % 2] = walked.read(&mut bits, pair, x % 2);
                        } else {
                            walked.pass(&mut bits);
                        }
                    }
                }
            }
        }
        *position = bits.position;
    }
}

impl Walked<'_> {
    /// Reads a block into its half of a pair. Returns the place of its last coefficient.
    #[inline(always)]
    fn read(&mut self, bits: &mut Bits, pair: &mut Pair, half: usize) -> u8 {
        let coefficients: &mut [i16; 128] =
            pair.as_flattened_mut().try_into().expect("8 rows of 16");
        // Products are cut to 16 bits, as those of libjpeg-turbo are.
        let mut set = |at: usize, value: i32| {
            let step = i32::from(self.quantization[at]);
            coefficients[(usize::from(PLACES[at]) + half * 8) & 127] =
                value.wrapping_mul(step) as i16;
        };
        self.predictor = self.predictor.wrapping_add(self.dc.read(Kind::Dc, bits).1);
        set(0, self.predictor);
        let (mut at, mut end) = (0, 0);
        loop {
            bits.refill();
            for _ in 0..LOOKS {
                let entry = self.ac.look(bits);
                let (advance, value);
                let is_whole = entry.is_whole();
                if is_whole {
                    bits.take(entry.length());
                    (advance, value) = (entry.advance(), entry.value());
                } else {
                    (advance, value) = self.ac.read_long(Kind::Ac, entry, bits);
                }
                at += advance;
                if at >= 63 {
                    // The last place also takes what is beyond it, as in libjpeg.
                    if value != 0 {
                        set(63, value);
                        end = 63;
                    }
                    return end as u8;
                }
                set(at, value);
                end = at;
                if !is_whole {
                    break;
                }
            }
        }
    }

    #[inline(always)]
    fn pass(&mut self, bits: &mut Bits) {
        self.predictor = self.predictor.wrapping_add(self.dc.read(Kind::Dc, bits).1);
        self.ac.pass(bits);
    }
}

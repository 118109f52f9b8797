//! Huffman codes of a scan (ITU T.81, C and F.2.2), looked up so that most symbols come with their magnitude at once.

use super::bits::Bits;
use crate::image::Refusal;

/// Bits that are looked up at once.
const LOOK: u32 = 11;
const HEADS: usize = 1 << LOOK;
/// Looks that 56 bits are enough for.
pub(super) const LOOKS: u32 = 56 / LOOK;
/// Longest code.
const LONGEST: usize = 16;
/// What ends a block: beyond its last coefficient from wherever it is met.
const END: u32 = 64;

/// What a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bits of a difference.
    Dc,
    /// Zeros before a coefficient, and its bits.
    Ac,
}

/// A table and what it was made from, so that it is made anew only for other codes.
#[derive(Debug)]
pub(super) struct Table {
    /// Counts of code lengths, then the symbols.
    definition: Vec<u8>,
    symbols: Box<[Entry; HEADS]>,
    runs: Box<[Run; HEADS]>,
    /// For each length: one more than its last code, at 16 bits; 0 where it has none.
    limits: [u32; LONGEST + 1],
    /// For each length: what turns a code into its place among the symbols.
    offsets: [i32; LONGEST + 1],
}

/// The symbol at the head of `LOOK` bits; 0 when its code is longer.
///
/// From the low end: 6 bits of length; bit 7 set when the magnitude still has to be read; 8 bits of how far the
/// coefficient is from the last one; 16 bits of its value, or of its magnitude's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry(u32);

const MAGNITUDE_FOLLOWS: u32 = 1 << 7;

impl Entry {
    fn new(length: u32, advance: u32, value: i32) -> Entry {
        Entry(length | advance << 8 | (value as u32) << 16)
    }

    /// Its length, in the low six bits.
    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        self.0 & 63
    }

    #[inline(always)]
    pub(super) fn is_whole(self) -> bool {
        self.0 != 0 && self.0 & MAGNITUDE_FOLLOWS == 0
    }

    #[inline(always)]
    pub(super) fn advance(self) -> usize {
        (self.0 >> 8 & 255) as usize
    }

    #[inline(always)]
    pub(super) fn value(self) -> i32 {
        self.0 as i32 >> 16
    }
}

/// All whole symbols at the head of `LOOK` bits, to be passed over together; 0 when there is none.
///
/// From the low end: 8 bits of the length of all; 8 bits of their advance; 8 bits of the advance before the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run(u32);

impl Default for Table {
    fn default() -> Table {
        Table {
            definition: Vec::new(),
            symbols: Box::new([Entry::default(); HEADS]),
            runs: Box::new([Run::default(); HEADS]),
            limits: [0; LONGEST + 1],
            offsets: [0; LONGEST + 1],
        }
    }
}

impl Table {
    /// Makes the table that the file defines.
    pub(super) fn prepare(&mut self, kind: Kind, definition: &[u8]) -> Result<(), Refusal> {
        if self.definition == definition {
            return Ok(());
        }
        self.definition.clear();
        let damaged = || Refusal::Unreadable("a Huffman table is damaged".into());
        let (counts, symbols) = definition.split_first_chunk::<LONGEST>().ok_or_else(damaged)?;
        if kind == Kind::Dc && symbols.iter().any(|&symbol| symbol > 15) {
            return Err(damaged());
        }
        self.symbols.fill(Entry::default());
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=LONGEST {
            let count = usize::from(counts[length - 1]);
            self.offsets[length] = place as i32 - code as i32;
            if code as usize + count > 1 << length {
                return Err(damaged());
            }
            for _ in 0..count {
                let symbol = *symbols.get(place).ok_or_else(damaged)?;
                self.enter(kind, symbol, code, length as u32);
                code += 1;
                place += 1;
            }
            self.limits[length] = if count > 0 { code << (LONGEST - length) } else { 0 };
            code <<= 1;
        }
        if kind == Kind::Ac {
            self.enter_runs();
        }
        self.definition.extend_from_slice(definition);
        Ok(())
    }

    /// Enters a symbol wherever its code heads the looked-up bits.
    fn enter(&mut self, kind: Kind, symbol: u8, code: u32, length: u32) {
        if length > LOOK {
            return;
        }
        let free = LOOK - length;
        let (advance, bits) = meaning(kind, symbol);
        let first = (code << free) as usize;
        for (rest, entry) in self.symbols[first..first + (1 << free)].iter_mut().enumerate() {
            *entry = if bits > free {
                Entry::new(length | MAGNITUDE_FOLLOWS, advance, bits as i32)
            } else {
                let value = extend(rest as u32 >> (free - bits), bits);
                Entry::new(length + bits, advance, value)
            };
        }
    }

    fn enter_runs(&mut self) {
        for (head, run) in self.runs.iter_mut().enumerate() {
            let (mut length, mut advance, mut before) = (0, 0, 0);
            while length < LOOK && advance < 63 {
                let entry = self.symbols[head << length & (HEADS - 1)];
                if !entry.is_whole() || length + entry.length() > LOOK {
                    break;
                }
                before = advance;
                length += entry.length();
                advance += entry.advance() as u32;
            }
            *run = Run(length | advance << 8 | before << 16);
        }
    }

    /// The symbol at the head of the bits, which hold at least `LOOK`.
    #[inline(always)]
    pub(super) fn look(&self, bits: &Bits) -> Entry {
        self.symbols[bits.peek(LOOK)]
    }

    /// Reads a symbol: how far it advances, and its value.
    #[inline(always)]
    pub(super) fn read(&self, kind: Kind, bits: &mut Bits) -> (usize, i32) {
        bits.refill();
        let entry = self.look(bits);
        if entry.is_whole() {
            bits.take(entry.length());
            return (entry.advance(), entry.value());
        }
        self.read_long(kind, entry, bits)
    }

    /// A symbol whose code or magnitude is beyond the looked-up bits.
    #[inline(always)]
    pub(super) fn read_long(&self, kind: Kind, entry: Entry, bits: &mut Bits) -> (usize, i32) {
        let (advance, value);
        // The reader goes as a value: were it borrowed here, the loops around could not keep it in registers.
        (*bits, advance, value) = self.read_long_apart(kind, entry, *bits);
        (advance, value)
    }

    #[inline(never)]
    fn read_long_apart<'b>(
        &self,
        kind: Kind,
        entry: Entry,
        mut bits: Bits<'b>,
    ) -> (Bits<'b>, usize, i32) {
        bits.refill();
        let (advance, count) = if entry != Entry::default() {
            bits.take(entry.length());
            (entry.advance(), entry.value() as u32)
        } else {
            let head = bits.peek(LONGEST as u32) as u32;
            let found = (LOOK as usize + 1..=LONGEST).find(|&length| head < self.limits[length]);
            // No such code: libjpeg takes it for a zero, 17 bits long.
            let length = found.unwrap_or(LONGEST + 1) as u32;
            let symbol = found.and_then(|length| {
                let place = (head >> (LONGEST - length)) as i32 + self.offsets[length];
                self.definition.get(LONGEST + place as usize).copied()
            });
            bits.take(length);
            let (advance, count) = meaning(kind, symbol.unwrap_or(0));
            (advance as usize, count)
        };
        if count == 0 {
            return (bits, advance, 0);
        }
        let value = extend(bits.peek(count) as u32, count);
        bits.take(count);
        (bits, advance, value)
    }

    /// Passes over the coefficients of a block.
    #[inline(always)]
    pub(super) fn pass(&self, bits: &mut Bits) {
        let mut at = 0;
        loop {
            bits.refill();
            for _ in 0..LOOKS {
                let Run(run) = self.runs[bits.peek(LOOK)];
                // A block may be full before the last symbol: what follows is of another one.
                if run == 0 || at + (run >> 16) as usize >= 63 {
                    at += self.read(Kind::Ac, bits).0;
                    if at >= 63 {
                        return;
                    }
                    break;
                }
                bits.take(run);
                at += (run >> 8 & 255) as usize;
                if at >= 63 {
                    return;
                }
            }
        }
    }
}

/// How far a symbol advances, and the bits of its magnitude.
fn meaning(kind: Kind, symbol: u8) -> (u32, u32) {
    let (run, bits) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    match (kind, run, bits) {
        (Kind::Dc, ..) => (0, u32::from(symbol)),
        (Kind::Ac, 15, 0) => (16, 0),
        (Kind::Ac, _, 0) => (END, 0),
        (Kind::Ac, ..) => (run + 1, bits),
    }
}

/// A magnitude of `bits` bits as a signed number (F.2.2.1, EXTEND).
fn extend(value: u32, bits: u32) -> i32 {
    match bits {
        0 => 0,
        _ if value < 1 << (bits - 1) => value as i32 - (1 << bits) + 1,
        _ => value as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bits::Segment;
    use super::*;

    /// A code with lengths 2 to 16, by its counts, and the symbols 0, 1, 2 and so on, but one end of block.
    fn table(kind: Kind) -> (Table, Vec<u8>) {
        let counts = [0, 1, 1, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3];
        let mut definition: Vec<u8> = counts.into();
        let symbols = [0x00, 0x01, 0x11, 0xF0, 0x02, 0x35, 0x0A, 0x51, 0x23, 0x7F, 0x08, 0x44];
        let count = counts.iter().map(|&count| usize::from(count)).sum();
        definition.extend(symbols.iter().cycle().zip(0..count).map(|(&symbol, at)| match kind {
            Kind::Dc => at as u8 % 16,
            Kind::Ac => symbol,
        }));
        let mut table = Table::default();
        assert!(table.prepare(kind, &definition).is_ok());
        (table, definition)
    }

    /// One bit at a time, as F.2.2.3 draws it.
    fn textbook(definition: &[u8], kind: Kind, bits: &mut Bits) -> (usize, i32) {
        let mut bit = || {
            bits.refill();
            let bit = bits.peek(1) as u32;
            bits.take(1);
            bit
        };
        let (mut code, mut first, mut place) = (0, 0, 0);
        let mut symbol = None;
        for length in 1..=16 {
            code = code << 1 | bit();
            let count = u32::from(definition[length - 1]);
            if symbol.is_none() && code < first + count {
                symbol = Some(definition[16 + place + (code - first) as usize]);
                break;
            }
            place += count as usize;
            first = (first + count) << 1;
        }
        if symbol.is_none() {
            bit();
        }
        let (advance, count) = meaning(kind, symbol.unwrap_or(0));
        let value = (0..count).fold(0, |value, _| value << 1 | bit());
        (advance as usize, extend(value, count))
    }

    /// Calls `check` with readers of the same noise until it is used up.
    fn on_noise(mut check: impl FnMut(&mut Bits, &mut Bits)) {
        use rand_chacha::rand_core::RngCore;
        for seed in 0..20 {
            let mut bytes = vec![0; 4000];
            crate::random::at(seed, crate::Stream::Init, 0, 0).fill_bytes(&mut bytes);
            bytes.iter_mut().for_each(|byte| *byte = (*byte).min(0xFE));
            let mut memory = Vec::new();
            let segment = Segment::first(&bytes, &mut memory);
            let (mut a, mut b) =
                (segment.bits(Default::default()), segment.bits(Default::default()));
            while !a.ran_out() {
                check(&mut a, &mut b);
                a.refill();
                b.refill();
                assert_eq!(a.peek(32), b.peek(32));
            }
        }
    }

    #[test]
    fn looking_up_reads_what_the_textbook_reads() {
        for kind in [Kind::Dc, Kind::Ac] {
            let (table, definition) = table(kind);
            on_noise(|ours, theirs| {
                assert_eq!(table.read(kind, ours), textbook(&definition, kind, theirs));
            });
        }
    }

    #[test]
    fn passing_over_a_block_takes_the_bits_that_reading_it_takes() {
        let (table, _) = table(Kind::Ac);
        on_noise(|passed, read| {
            let mut at = 0;
            while at < 63 {
                at += table.read(Kind::Ac, read).0;
            }
            table.pass(passed);
        });
    }

    #[test]
    fn codes_that_do_not_fit_are_refused() {
        let mut counts = vec![0; 16];
        counts[0] = 3;
        counts.extend([1, 2, 3]);
        assert!(Table::default().prepare(Kind::Ac, &counts).is_err());
        let mut wide = vec![0; 16];
        wide[3] = 1;
        wide.push(16);
        assert!(Table::default().prepare(Kind::Dc, &wide).is_err());
        assert!(Table::default().prepare(Kind::Ac, &wide).is_ok());
    }
}

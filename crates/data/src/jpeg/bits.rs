//! The bits of a scan (ITU T.81, F.2.2.5), from marker to marker.
//!
//! First the zeros stuffed behind each 0xFF are removed from the bytes between two markers; then bits are read 64 at a time.
//! Behind the last byte zeros are read, as libjpeg does, and [`Bits::ran_out`] says so. Restart markers that are missing or
//! out of order are handled as libjpeg handles them.

use super::next_marker;

/// Zeros behind the bytes, so that words can be read to the end.
const PADDING: usize = 8;

/// The bytes between two markers, without stuffing.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    scan: &'a [u8],
    /// The place behind `marker`, where the scan goes on.
    at: usize,
    /// The marker that ends this segment; None at the end of the bytes.
    marker: Option<u8>,
    /// The bytes and `PADDING`, in memory of the caller.
    data: &'a mut Vec<u8>,
}

impl<'a> Segment<'a> {
    /// The first segment of a scan.
    pub(super) fn first(scan: &'a [u8], memory: &'a mut Vec<u8>) -> Segment<'a> {
        let mut segment = Segment { scan, at: 0, marker: None, data: memory };
        segment.unstuff();
        segment
    }

    pub(super) fn bits(&self, position: BitPosition) -> Bits<'_> {
        Bits { data: self.data, position }
    }

    fn unstuff(&mut self) {
        let rest = self.scan.len() - self.at;
        if self.data.len() < rest + PADDING {
            self.data.resize(rest + PADDING, 0);
        }
        let mut length = 0;
        self.marker = loop {
            while let Some(word) = self.scan.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
                if has_0xff(u64::from_ne_bytes(*word)) {
                    break;
                }
                self.data[length..length + 8].copy_from_slice(word);
                self.at += 8;
                length += 8;
            }
            match self.scan.get(self.at) {
                None => break None,
                Some(0xFF) => match next_marker(self.scan, &mut self.at) {
                    Some(0) => self.data[length] = 0xFF,
                    marker => break marker,
                },
                Some(&byte) => {
                    self.data[length] = byte;
                    self.at += 1;
                }
            }
            length += 1;
        };
        self.data.truncate(length + PADDING);
        self.data[length..].fill(0);
    }

    /// Goes on behind restart marker `number`, 0 to 7; false when there is nothing more to read.
    pub(super) fn restart(&mut self, number: u8) -> bool {
        const FIRST: u8 = 0xD0;
        let mut found = self.marker;
        while let Some(marker) = found {
            let ahead = marker.wrapping_sub(FIRST + number) & 7;
            match marker {
                // The end, or another segment; or the one asked for was lost, and the next is already here.
                0xC0..0xD0 | 0xD8.. => break,
                FIRST..0xD8 if ahead == 1 || ahead == 2 => break,
                FIRST..0xD8 if ahead < 6 => {
                    self.unstuff();
                    return true;
                }
                // A restart that is overdue, or no marker at all.
                _ => found = next_marker(self.scan, &mut self.at),
            }
        }
        self.marker = found;
        self.data.clear();
        self.data.resize(PADDING, 0);
        false
    }
}

/// Whether one of the bytes is 0xFF (or, rarely, whether one may be).
#[inline(always)]
fn has_0xff(word: u64) -> bool {
    (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 != 0
}

/// The place in a segment up to which bits were read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BitPosition {
    /// The next byte to go into the buffer.
    at: usize,
    /// The next bits, from the highest down. Below the first `count` of them are bits of bytes not yet taken, or zeros.
    buffer: u64,
    count: u32,
}

/// A segment while it is read. A plain value, so that a loop holds it in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    pub(super) position: BitPosition,
}

impl Bits<'_> {
    /// Makes sure that 56 bits can be looked at and taken.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let BitPosition { at, buffer, count } = &mut self.position;
        let word = self.data.get(*at..).and_then(<[u8]>::first_chunk);
        *buffer |= word.map_or(0, |word| u64::from_be_bytes(*word)) >> *count;
        *at += (63 - *count as usize) >> 3;
        *count |= 56;
    }

    /// The next `count` bits, 1 to 32, as a number; they are not taken.
    #[inline(always)]
    pub(super) fn peek(&self, count: u32) -> usize {
        (self.position.buffer >> (64 - count)) as usize
    }

    /// Takes bits that were looked at: the low six bits of `count`.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) {
        self.position.buffer <<= count & 63;
        self.position.count = self.position.count.wrapping_sub(count & 63);
    }

    /// Whether bits were taken that the file does not have.
    #[inline(always)]
    pub(super) fn ran_out(&self) -> bool {
        let length = self.data.len() - PADDING;
        self.position.at * 8 > length * 8 + self.position.count as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(bits: &mut Bits, count: u32) -> usize {
        bits.refill();
        let value = bits.peek(count);
        bits.take(count);
        value
    }

    #[test]
    fn bits_come_in_order_without_stuffing_and_then_zeros() {
        let stuffed = |i| if i % 5 == 0 { vec![0xFF, 0] } else { vec![i] };
        let mut bytes: Vec<u8> = (0..80).flat_map(stuffed).collect();
        bytes.extend([0xFF, 0xD9, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let plain: Vec<u8> = (0..80).map(|i| if i % 5 == 0 { 0xFF } else { i }).collect();
        let mut memory = vec![7; 1000];
        let segment = Segment::first(&bytes, &mut memory);
        for width in 1..=16 {
            let mut bits = segment.bits(BitPosition::default());
            let expected = |at: usize| {
                (0..width as usize).fold(0, |value, bit| {
                    let place = at * width as usize + bit;
                    let byte = plain.get(place / 8).copied().unwrap_or(0);
                    value << 1 | usize::from(byte >> (7 - place % 8) & 1)
                })
            };
            for at in 0..900 / width as usize {
                assert_eq!(take(&mut bits, width), expected(at), "{at} of width {width}");
                let is_over = (at + 1) * width as usize > plain.len() * 8;
                assert_eq!(bits.ran_out(), is_over, "{at} of width {width}");
            }
        }
    }

    #[test]
    fn restarts_resume_as_libjpeg_does() {
        // The marker in the file, and whether what follows is read.
        let cases = [(0xD3, true), (0xD4, false), (0xD5, false), (0xD7, true), (0xD9, false)];
        for (marker, resumes) in cases {
            let bytes = [0xAB, 0xFF, marker, 0xCD, 0xEF];
            let mut memory = Vec::new();
            let mut segment = Segment::first(&bytes, &mut memory);
            assert_eq!(take(&mut segment.bits(BitPosition::default()), 8), 0xAB);
            assert_eq!(segment.restart(3), resumes);
            let mut bits = segment.bits(BitPosition::default());
            assert_eq!(take(&mut bits, 8), if resumes { 0xCD } else { 0 }, "{marker:X}");
            assert_eq!(bits.ran_out(), !resumes);
        }
        // One that is overdue is passed over.
        let mut memory = Vec::new();
        let mut segment = Segment::first(&[0xAB, 0xFF, 0xD2, 0xCD, 0xFF, 0xD3, 0xEF], &mut memory);
        assert!(segment.restart(3));
        assert_eq!(take(&mut segment.bits(BitPosition::default()), 8), 0xEF);
    }
}

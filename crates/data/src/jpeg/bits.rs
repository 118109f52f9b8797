//! The bits of a scan (ITU T.81, F.2.2.5): 64 at a time, without the zeros stuffed behind 0xFF.
//!
//! A marker or the end of the bytes ends the data; from there on zeros are read, as libjpeg does, and
//! [`Bits::ran_out`] says so. What happens at restart markers that are missing or out of order is libjpeg's too.

use super::next_marker;

#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, from the highest down. Below the `count` first ones stand bits of bytes not yet taken, or zeros.
    buffer: u64,
    count: u32,
    /// How many of `count` are zeros that the file does not have.
    made_up: u32,
    /// The marker that ended the data, and the place behind it; then `at` is the end, so that nothing more is taken.
    marker: Option<(u8, usize)>,
    ran_out: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0, buffer: 0, count: 0, made_up: 0, marker: None, ran_out: false }
    }

    /// Makes sure that 32 bits can be looked at and taken: enough for one symbol and its magnitude.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(word) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_be_bytes(*word);
            let without = !word;
            let is_zero = without.wrapping_sub(0x0101_0101_0101_0101) & word;
            if is_zero & 0x8080_8080_8080_8080 == 0 {
                self.buffer |= word >> self.count;
                let taken = (63 - self.count) / 8;
                self.at += taken as usize;
                self.count += taken * 8;
                return;
            }
        }
        self.refill_by_bytes();
    }

    #[cold]
    #[inline(never)]
    fn refill_by_bytes(&mut self) {
        while self.count <= 56 {
            let byte = match self.next_byte() {
                Some(byte) => u64::from(byte),
                None => {
                    self.made_up += 8;
                    0
                }
            };
            self.buffer |= byte << (56 - self.count);
            self.count += 8;
        }
    }

    fn next_byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        if byte != 0xFF {
            self.at += 1;
            return Some(byte);
        }
        match next_marker(self.bytes, &mut self.at) {
            Some(0) => Some(0xFF),
            marker => {
                self.stop_at(marker);
                None
            }
        }
    }

    /// The next `count` bits, 1 to 32, as a number; they are not taken.
    #[inline(always)]
    pub(super) fn peek(&self, count: u32) -> usize {
        (self.buffer >> (64 - count)) as usize
    }

    /// Takes up to 32 bits that were looked at.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    /// Whether bits were taken that the file does not have.
    #[inline(always)]
    pub(super) fn ran_out(&mut self) -> bool {
        if self.count < self.made_up {
            self.ran_out = true;
        }
        self.ran_out
    }

    /// Goes on behind restart marker `number`, 0 to 7.
    pub(super) fn restart(&mut self, number: u8) {
        const FIRST: u8 = 0xD0;
        self.ran_out();
        (self.buffer, self.count, self.made_up) = (0, 0, 0);
        let mut found = match self.marker.take() {
            Some((marker, behind)) => {
                self.at = behind;
                Some(marker)
            }
            None => next_marker(self.bytes, &mut self.at),
        };
        while let Some(marker) = found {
            let ahead = marker.wrapping_sub(FIRST + number) & 7;
            match marker {
                // The end, or another segment; or the one asked for was lost, and the next is already here.
                0xC0..0xD0 | 0xD8.. => break,
                FIRST..0xD8 if ahead == 1 || ahead == 2 => break,
                FIRST..0xD8 if ahead < 6 => {
                    self.ran_out = false;
                    return;
                }
                // A restart that is overdue, or no marker at all.
                _ => found = next_marker(self.bytes, &mut self.at),
            }
        }
        self.stop_at(found);
    }

    fn stop_at(&mut self, marker: Option<u8>) {
        self.marker = marker.map(|marker| (marker, self.at));
        self.at = self.bytes.len();
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
        let mut bytes: Vec<u8> = (0..40).flat_map(stuffed).collect();
        bytes.extend([0xFF, 0xD9, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let plain: Vec<u8> = (0..40).map(|i| if i % 5 == 0 { 0xFF } else { i }).collect();
        for width in 1..=16 {
            let mut bits = Bits::new(&bytes);
            let expected = |at: usize| {
                (0..width as usize).fold(0, |value, bit| {
                    let place = at * width as usize + bit;
                    let byte = plain.get(place / 8).copied().unwrap_or(0);
                    value << 1 | usize::from(byte >> (7 - place % 8) & 1)
                })
            };
            for at in 0..400 / width as usize {
                assert_eq!(take(&mut bits, width), expected(at), "{at} of width {width}");
                let is_over = (at + 1) * width as usize > plain.len() * 8;
                assert_eq!(bits.ran_out(), is_over, "{at} of width {width}");
            }
        }
    }

    #[test]
    fn restarts_resume_as_libjpeg_does() {
        // (marker in the file, what follows is read)
        let cases = [(0xD3, true), (0xD4, false), (0xD5, false), (0xD7, true), (0xD9, false)];
        for (marker, resumes) in cases {
            let bytes = [0xAB, 0xFF, marker, 0xCD, 0xEF];
            let mut bits = Bits::new(&bytes);
            assert_eq!(take(&mut bits, 8), 0xAB);
            bits.restart(3);
            assert_eq!(take(&mut bits, 8), if resumes { 0xCD } else { 0 }, "{marker:X}");
            assert_eq!(bits.ran_out(), !resumes);
        }
        // One that is overdue is passed over.
        let mut bits = Bits::new(&[0xAB, 0xFF, 0xD2, 0xCD, 0xFF, 0xD3, 0xEF]);
        assert_eq!(take(&mut bits, 8), 0xAB);
        bits.restart(3);
        assert_eq!(take(&mut bits, 8), 0xEF);
    }
}

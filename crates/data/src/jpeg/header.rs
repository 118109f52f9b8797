//! What stands before the first scan of a JPEG (ITU T.81, Annex B): frame, tables, colour space.

use super::next_marker;

/// Most components of a picture.
pub(super) const MOST: usize = 4;

/// A picture that `baseline` reads.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    components: [Component; MOST],
    count: usize,
    pub(super) color: ColorSpace,
    /// Steps of the coefficients, in the zigzag order of the file.
    pub(super) quantization: [[u16; 64]; 4],
    /// Huffman tables as the file has them: 16 counts of code lengths, then the symbols.
    pub(super) dc: [Option<&'a [u8]>; 4],
    pub(super) ac: [Option<&'a [u8]>; 4],
    /// MCUs between two restart markers; 0 without.
    pub(super) restart_interval: usize,
    /// The scan's bytes and what follows.
    pub(super) scan: &'a [u8],
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Component {
    id: u8,
    /// Sampling factors, across and down: blocks in an MCU.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Numbers of its tables.
    pub(super) quantization: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColorSpace {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

impl Header<'_> {
    pub(super) fn components(&self) -> &[Component] {
        &self.components[..self.count]
    }

    /// The greatest sampling factors: an MCU has 8 times as many pixels, across and down.
    pub(super) fn sampling(&self) -> (usize, usize) {
        let greatest = |factor: fn(&Component) -> usize| {
            self.components().iter().map(factor).max().unwrap_or(1)
        };
        (greatest(|c| c.across), greatest(|c| c.down))
    }
}

/// The header, if `baseline` reads such files and it is whole and sound.
pub(super) fn parse(bytes: &[u8]) -> Option<Header<'_>> {
    const FRAME: [u8; 2] = [0xC0, 0xC1];
    let mut parsed = Parsed::new();
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at)?;
        match marker {
            // Without a length: stuffed zero, TEM, restarts.
            0x00 | 0x01 | 0xD0..=0xD7 => continue,
            0xD8 | 0xD9 => return None,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let segment = bytes.get(at + 2..at + length)?;
        at += length;
        match marker {
            _ if FRAME.contains(&marker) => parsed.frame(segment)?,
            0xC4 => parsed.huffman(segment)?,
            0xDA => {
                parsed.scan(segment)?;
                parsed.header.scan = &bytes[at..];
                return parsed.finish();
            }
            0xDB => parsed.quantization(segment)?,
            0xDD => {
                let interval = segment.try_into().ok()?;
                parsed.header.restart_interval = usize::from(u16::from_be_bytes(interval));
            }
            // Progressive, lossless, arithmetic.
            0xC2..=0xCF => return None,
            0xE0 => parsed.is_jfif |= segment.len() >= 14 && segment.starts_with(b"JFIF\0"),
            0xEE if segment.len() >= 12 && segment.starts_with(b"Adobe") => {
                parsed.adobe = Some(segment[11]);
            }
            _ => {}
        }
    }
}

struct Parsed<'a> {
    header: Header<'a>,
    has_steps: [bool; 4],
    is_jfif: bool,
    /// The transform that Adobe's segment names.
    adobe: Option<u8>,
}

impl<'a> Parsed<'a> {
    fn new() -> Parsed<'a> {
        let header = Header {
            width: 0,
            height: 0,
            components: Default::default(),
            count: 0,
            color: ColorSpace::Grey,
            quantization: [[0; 64]; 4],
            dc: [None; 4],
            ac: [None; 4],
            restart_interval: 0,
            scan: &[],
        };
        Parsed { header, has_steps: [false; 4], is_jfif: false, adobe: None }
    }

    fn frame(&mut self, segment: &[u8]) -> Option<()> {
        let header = &mut self.header;
        let [8, h1, h0, w1, w0, count @ (1 | 3 | 4), components @ ..] = segment else {
            return None;
        };
        if header.count != 0 || components.len() != usize::from(*count) * 3 {
            return None;
        }
        header.height = usize::from(u16::from_be_bytes([*h1, *h0]));
        header.width = usize::from(u16::from_be_bytes([*w1, *w0]));
        header.count = usize::from(*count);
        for (to, from) in header.components.iter_mut().zip(components.as_chunks::<3>().0) {
            let [id, factors, quantization] = *from;
            let (across, down) = (usize::from(factors >> 4), usize::from(factors & 15));
            *to = Component {
                id,
                across,
                down,
                quantization: usize::from(quantization),
                ..Default::default()
            };
        }
        if header.count == 1 {
            // Alone, a component is not interleaved: its factors say nothing.
            header.components[0].across = 1;
            header.components[0].down = 1;
        }
        let blocks: usize = header.components().iter().map(|c| c.across * c.down).sum();
        let is_ours = |c: &Component| {
            (1..=2).contains(&c.across) && (1..=2).contains(&c.down) && c.quantization < 4
        };
        // More than ten blocks in an MCU are forbidden.
        let is_sound = header.width > 0 && header.height > 0 && blocks <= 10;
        (is_sound && header.components().iter().all(is_ours)).then_some(())
    }

    fn quantization(&mut self, mut segment: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = segment {
            let (precision, number) = (kind >> 4, usize::from(kind & 15));
            let table = self.header.quantization.get_mut(number)?;
            let length = match precision {
                0 => 64,
                1 => 128,
                _ => return None,
            };
            let (values, rest) = rest.split_at_checked(length)?;
            for (k, to) in table.iter_mut().enumerate() {
                *to = match precision {
                    0 => u16::from(values[k]),
                    _ => u16::from_be_bytes([values[2 * k], values[2 * k + 1]]),
                };
            }
            self.has_steps[number] = true;
            segment = rest;
        }
        Some(())
    }

    fn huffman(&mut self, mut segment: &'a [u8]) -> Option<()> {
        while let [kind, rest @ ..] = segment {
            let count: usize = rest.get(..16)?.iter().map(|&count| usize::from(count)).sum();
            let (table, rest) = rest.split_at_checked(16 + count)?;
            let number = usize::from(kind & 15);
            match kind >> 4 {
                0 => *self.header.dc.get_mut(number)? = Some(table),
                1 => *self.header.ac.get_mut(number)? = Some(table),
                _ => return None,
            }
            segment = rest;
        }
        Some(())
    }

    /// One scan of all components, in the frame's order.
    fn scan(&mut self, segment: &[u8]) -> Option<()> {
        let header = &mut self.header;
        let [count, rest @ ..] = segment else { return None };
        let (components, [0, 63, 0]) = rest.split_at_checked(usize::from(*count) * 2)? else {
            return None;
        };
        if header.count == 0 || usize::from(*count) != header.count {
            return None;
        }
        for (component, from) in header.components.iter_mut().zip(components.as_chunks::<2>().0) {
            let [id, tables] = *from;
            component.dc = usize::from(tables >> 4);
            component.ac = usize::from(tables & 15);
            if id != component.id || component.dc > 3 || component.ac > 3 {
                return None;
            }
        }
        Some(())
    }

    fn finish(mut self) -> Option<Header<'a>> {
        let header = &mut self.header;
        let [a, b, c, _] = header.components.map(|component| component.id);
        header.color = match (header.count, self.adobe) {
            (1, _) => ColorSpace::Grey,
            (4, None | Some(0)) => ColorSpace::Cmyk,
            (4, _) => ColorSpace::Ycck,
            _ if self.is_jfif => ColorSpace::YCbCr,
            (_, Some(0)) => ColorSpace::Rgb,
            (_, None) if [a, b, c] == *b"RGB" => ColorSpace::Rgb,
            _ => ColorSpace::YCbCr,
        };
        let has_tables = |c: &Component| {
            self.has_steps[c.quantization] && header.dc[c.dc].is_some() && header.ac[c.ac].is_some()
        };
        header.components().iter().all(has_tables).then_some(self.header)
    }
}

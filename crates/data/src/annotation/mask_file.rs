//! Masks as files (§6.2): reading the class of every pixel out of a PNG.
//!
//! A mask holds numbers, not colors: a grey PNG of up to 16 bits, or a palette of which the indices count. Colors of three
//! channels are refused, since nothing says which class a color is.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use png::{BitDepth, ColorType, Decoder, Limits, Transformations};

use super::{Annotation, Mask};
use crate::formats::layout::Entry;
use crate::formats::source::Source;
use crate::image::check_size;
use crate::resize::{Geometry, Region};

/// The class of pixels that neither loss nor measure counts.
pub const IGNORED: u16 = u16::MAX;
/// How many wrong values a message lists.
const LISTED: usize = 5;

/// The meaning of the values in the masks of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskValues {
    classes: u16,
    zero_is_ignored: bool,
}

impl MaskValues {
    /// 0 is ignored, class k has the value k + 1.
    pub fn behind_zero(classes: usize) -> MaskValues {
        MaskValues { classes: classes as u16, zero_is_ignored: true }
    }

    /// Class k has the value k; the greatest value that a mask of its bits can hold is ignored.
    pub fn below_greatest(classes: usize) -> MaskValues {
        MaskValues { classes: classes as u16, zero_is_ignored: false }
    }

    /// Whether class k has the value k + 1.
    pub fn is_behind_zero(self) -> bool {
        self.zero_is_ignored
    }

    /// The class of a value in a mask whose greatest possible value is `greatest`; None where it is no class.
    fn class(self, value: u16, greatest: u16) -> Option<u16> {
        match self.zero_is_ignored {
            true if value == 0 => Some(IGNORED),
            true => Some(value - 1).filter(|&class| class < self.classes),
            false if value < self.classes => Some(value),
            false => (value == greatest).then_some(IGNORED),
        }
    }
}

/// What is wrong with a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskFault {
    /// It cannot be read or does not decode.
    Unreadable(String),
    /// It has another size than its image.
    Size(String),
    /// It holds colors and not numbers.
    Colors(String),
    /// It holds values that are no classes.
    Values(String),
    /// There is no file.
    Missing,
}

impl MaskFault {
    /// What is wrong, in words that follow "it" or stand alone.
    pub fn reason(&self) -> String {
        match self {
            MaskFault::Unreadable(reason)
            | MaskFault::Size(reason)
            | MaskFault::Colors(reason)
            | MaskFault::Values(reason) => reason.clone(),
            MaskFault::Missing => "it has no mask".to_owned(),
        }
    }
}

/// The place of an image's mask, and what its values mean.
#[derive(Clone, Debug)]
pub struct MaskFile {
    pub(crate) source: Arc<dyn Source>,
    /// None where the image has no mask.
    pub(crate) entry: Option<Entry>,
    pub(crate) values: MaskValues,
}

impl MaskFile {
    /// How messages call the mask.
    pub fn name(&self) -> String {
        self.entry.as_ref().map_or("no mask".to_owned(), |entry| self.source.name(entry))
    }

    /// Its path inside the dataset, and its bytes as far as they are known.
    pub(crate) fn place(&self) -> (&str, u64) {
        let entry = self.entry.as_ref();
        let bytes = entry.and_then(|entry| self.source.length(entry).ok());
        (entry.map_or("", |entry| entry.path.as_str()), bytes.unwrap_or(0))
    }

    /// What the values of the dataset's masks mean.
    pub fn values(&self) -> MaskValues {
        self.values
    }

    /// The class of every pixel of an image of `size`, width and height.
    pub fn read(&self, size: [usize; 2]) -> Result<Mask<u16>, MaskFault> {
        let entry = self.entry.as_ref().ok_or(MaskFault::Missing)?;
        let mut buffer = Vec::new();
        let stored = self.source.read(entry, &mut buffer);
        let stored = stored.map_err(|error| MaskFault::Unreadable(error.to_string()))?;
        let mask = decode(stored.bytes(), self.values).map_err(|fault| self.named(fault))?;
        let found = [mask.width, mask.height];
        if found != size {
            let [[w, h], [width, height]] = [found, size];
            let reason = format!("it has {w}×{h} pixels, and its image {width}×{height}");
            return Err(self.named(MaskFault::Size(reason)));
        }
        Ok(mask)
    }

    fn named(&self, fault: MaskFault) -> MaskFault {
        let said = |reason: String| format!("the mask {}: {reason}", self.name());
        match fault {
            MaskFault::Unreadable(reason) => MaskFault::Unreadable(said(reason)),
            MaskFault::Size(reason) => MaskFault::Size(said(reason)),
            MaskFault::Colors(reason) => MaskFault::Colors(said(reason)),
            MaskFault::Values(reason) => MaskFault::Values(said(reason)),
            MaskFault::Missing => MaskFault::Missing,
        }
    }
}

impl Annotation for MaskFile {
    type Prepared = Mask<u16>;

    fn prepare(&self, size: [usize; 2], geometry: &Geometry) -> Result<Mask<u16>, String> {
        self.read(size).map_err(|fault| fault.reason())?.prepare(size, geometry)
    }
}

impl Mask<u16> {
    /// The mask at the top left of a larger one, whose other pixels are ignored.
    #[must_use]
    pub fn padded(&self, width: usize, height: usize) -> Mask<u16> {
        assert!(width >= self.width && height >= self.height, "a mask is padded, not cut");
        let mut indices = vec![IGNORED; width * height];
        for (to, from) in indices.chunks_exact_mut(width).zip(self.indices.chunks_exact(self.width))
        {
            to[..self.width].copy_from_slice(from);
        }
        Mask { width, height, indices }
    }

    /// A PNG of the numbers in a palette of `color`, of 8 bits where they fit, else grey of 16: class k as k, or as k + 1 where
    /// 0 is ignored.
    pub fn to_png(&self, behind_zero: bool, color: impl Fn(u16) -> [u8; 3]) -> Vec<u8> {
        let first = u16::from(behind_zero);
        let value = |&class: &u16| match class {
            IGNORED if behind_zero => 0,
            IGNORED => 255,
            class => class + first,
        };
        let values: Vec<u16> = self.indices.iter().map(value).collect();
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        let bytes: Vec<u8> = if values.iter().all(|&value| value < 256) {
            let palette = (0..256u16).flat_map(|value| match value.checked_sub(first) {
                Some(class) if value < 255 || behind_zero => color(class),
                _ => [0; 3],
            });
            encoder.set_color(ColorType::Indexed);
            encoder.set_palette(palette.collect::<Vec<u8>>());
            values.iter().map(|&value| value as u8).collect()
        } else {
            encoder.set_color(ColorType::Grayscale);
            encoder.set_depth(BitDepth::Sixteen);
            values.iter().flat_map(|value| value.to_be_bytes()).collect()
        };
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&bytes)?;
            writer.finish()
        });
        written.expect("memory takes every byte of a well-formed image");
        file
    }

    /// The mask resized by the nearest neighbour.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Mask<u16> {
        let region = Region { left: 0, top: 0, width: self.width, height: self.height };
        let window = Region { left: 0, top: 0, width, height };
        let geometry = Geometry { region, size: [width, height], window, mirrored: false };
        self.prepare([self.width, self.height], &geometry).expect("a mask fits itself")
    }
}

/// The classes in the bytes of a mask.
pub(crate) fn decode(bytes: &[u8], values: MaskValues) -> Result<Mask<u16>, MaskFault> {
    let Stored { width, height, greatest, mut indices } = stored(bytes)?;
    let mut wrong: BTreeMap<u16, usize> = BTreeMap::new();
    for value in &mut indices {
        match values.class(*value, greatest) {
            Some(class) => *value = class,
            None => *wrong.entry(*value).or_default() += 1,
        }
    }
    if wrong.is_empty() {
        return Ok(Mask { width, height, indices });
    }
    let pixels: usize = wrong.values().sum();
    let mut listed: Vec<String> = wrong.keys().take(LISTED).map(u16::to_string).collect();
    if wrong.len() > LISTED {
        listed.push("others".to_owned());
    }
    let range = match values.zero_is_ignored {
        true => format!("1 to {} for the classes and 0 for what is ignored", values.classes),
        false => format!(
            "0 to {} for the classes and {greatest} for what is ignored",
            values.classes - 1
        ),
    };
    let reason =
        format!("{pixels} pixels have the values {}, and there are {range}", listed.join(", "));
    Err(MaskFault::Values(reason))
}

/// The numbers of a mask as they are stored.
struct Stored {
    width: usize,
    height: usize,
    /// The greatest value that its bits can hold.
    greatest: u16,
    indices: Vec<u16>,
}

fn stored(bytes: &[u8]) -> Result<Stored, MaskFault> {
    if !bytes.starts_with(&[0x89, b'P', b'N', b'G']) {
        let reason = "it is no PNG, the only format of masks that keeps every number".to_owned();
        return Err(MaskFault::Unreadable(reason));
    }
    let unreadable = |error: png::DecodingError| MaskFault::Unreadable(error.to_string());
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::IDENTITY);
    let header = decoder.read_header_info().map_err(unreadable)?;
    let ((width, height), color, depth) = (header.size(), header.color_type, header.bit_depth);
    if check_size(width.into(), height.into()).is_err() {
        return Err(MaskFault::Unreadable(format!("its size is {width}×{height}")));
    }
    if !matches!(color, ColorType::Grayscale | ColorType::Indexed) {
        let channels = color.samples();
        return Err(MaskFault::Colors(format!(
            "it has {channels} channels, and a mask has one, grey or a palette's index"
        )));
    }
    decoder.set_limits(Limits { bytes: (1 << 20) + 16 * width as usize + 2 * bytes.len() });
    let mut reader = decoder.read_info().map_err(unreadable)?;
    let (line, width, height) =
        (reader.output_line_size(width).unwrap_or(0), width as usize, height as usize);
    let mut rows = vec![0; line * height];
    reader.next_frame(&mut rows).map_err(unreadable)?;
    let mut indices = Vec::with_capacity(width * height);
    for row in rows.chunks_exact(line) {
        unpack(row, depth, width, &mut indices);
    }
    // A palette of few colors has 255 for what is ignored, if it has it at all: it then has 8 bits.
    let greatest = if depth == BitDepth::Sixteen { u16::MAX } else { 255 };
    Ok(Stored { width, height, greatest, indices })
}

/// Appends the numbers of a row.
fn unpack(row: &[u8], depth: BitDepth, width: usize, into: &mut Vec<u16>) {
    let bits = depth as usize;
    match depth {
        BitDepth::Eight => into.extend(row.iter().map(|&value| u16::from(value))),
        BitDepth::Sixteen => {
            into.extend(row.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])));
        }
        BitDepth::One | BitDepth::Two | BitDepth::Four => {
            let mask = (1u16 << bits) - 1;
            let value = |at: usize| {
                let shift = 8 - bits - at * bits % 8;
                u16::from(row[at * bits / 8]) >> shift & mask
            };
            into.extend((0..width).map(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(color: ColorType, depth: BitDepth, width: u32, rows: &[u8], height: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![9u8; 3 * 256]);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(rows).unwrap();
        writer.finish().unwrap();
        file
    }

    #[test]
    fn masks_of_any_bits_and_palettes_hold_the_numbers_that_were_stored() {
        let values = MaskValues::below_greatest(300);
        for (color, depth, rows, expected) in [
            (ColorType::Grayscale, BitDepth::Eight, vec![0, 3, 7, 255, 2, 1], [0, 3, 7, 255, 2, 1]),
            (ColorType::Indexed, BitDepth::Eight, vec![0, 3, 7, 254, 2, 1], [0, 3, 7, 254, 2, 1]),
            (ColorType::Indexed, BitDepth::Four, vec![0x12, 0x30, 0x45, 0x60], [1, 2, 3, 4, 5, 6]),
            (
                ColorType::Grayscale,
                BitDepth::Two,
                vec![0b01_10_11_00, 0b11_00_01_00],
                [1, 2, 3, 3, 0, 1],
            ),
            (
                ColorType::Grayscale,
                BitDepth::One,
                vec![0b1010_0000, 0b0110_0000],
                [1, 0, 1, 0, 1, 1],
            ),
            (
                ColorType::Grayscale,
                BitDepth::Sixteen,
                vec![0, 1, 1, 0, 255, 255, 0, 2, 0, 3, 0, 4],
                [1, 256, IGNORED, 2, 3, 4],
            ),
        ] {
            let found = decode(&png(color, depth, 3, &rows, 2), values).unwrap();
            assert_eq!(
                found,
                Mask { width: 3, height: 2, indices: expected.to_vec() },
                "{depth:?}"
            );
        }
    }

    #[test]
    fn zero_or_the_greatest_value_is_ignored() {
        let file = png(ColorType::Grayscale, BitDepth::Eight, 3, &[0, 1, 3], 1);
        let ade = decode(&file, MaskValues::behind_zero(3)).unwrap();
        assert_eq!(ade.indices, [IGNORED, 0, 2]);
        let file = png(ColorType::Indexed, BitDepth::Eight, 3, &[0, 255, 2], 1);
        let voc = decode(&file, MaskValues::below_greatest(3)).unwrap();
        assert_eq!(voc.indices, [0, IGNORED, 2]);
    }

    #[test]
    fn values_beyond_the_classes_and_colors_are_refused_with_what_they_are() {
        let file = png(ColorType::Grayscale, BitDepth::Eight, 4, &[0, 4, 9, 9], 1);
        let Err(MaskFault::Values(reason)) = decode(&file, MaskValues::behind_zero(3)) else {
            panic!("it was read")
        };
        let expected = "3 pixels have the values 4, 9, and there are 1 to 3 for the classes and 0 for what is ignored";
        assert_eq!(reason, expected);
        let file = png(ColorType::Rgb, BitDepth::Eight, 1, &[0, 4, 9], 1);
        let fault = decode(&file, MaskValues::behind_zero(3)).unwrap_err();
        assert!(
            matches!(&fault, MaskFault::Colors(reason) if reason.starts_with("it has 3 channels"))
        );
        assert!(matches!(
            decode(b"\xFF\xD8", MaskValues::behind_zero(3)),
            Err(MaskFault::Unreadable(_))
        ));
        let cut = &png(ColorType::Grayscale, BitDepth::Eight, 4, &[0, 1, 1, 1], 1)[..50];
        assert!(matches!(decode(cut, MaskValues::behind_zero(3)), Err(MaskFault::Unreadable(_))));
    }

    #[test]
    fn a_written_mask_comes_back() {
        for (values, behind_zero) in
            [(MaskValues::behind_zero(3), true), (MaskValues::below_greatest(3), false)]
        {
            let mask = Mask { width: 2, height: 2, indices: vec![0, 2, IGNORED, 1] };
            let file = mask.to_png(behind_zero, |class| [class as u8; 3]);
            assert_eq!(decode(&file, values).unwrap(), mask);
        }
        let many = Mask { width: 2, height: 1, indices: vec![0, 400] };
        let file = many.to_png(true, |_| [0; 3]);
        assert_eq!(decode(&file, MaskValues::behind_zero(500)).unwrap(), many);
    }

    #[test]
    fn padding_is_ignored_and_resizing_copies_numbers() {
        let mask = Mask { width: 2, height: 1, indices: vec![4, 7] };
        let padded = mask.padded(3, 2);
        assert_eq!(padded.indices, [4, 7, IGNORED, IGNORED, IGNORED, IGNORED]);
        assert_eq!(mask.resized(4, 2).indices, [4, 4, 7, 7, 4, 4, 7, 7]);
    }
}

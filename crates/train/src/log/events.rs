//! TensorBoard's event file: records of protocol-buffer messages, of which only the fields below are used.
//!
//! A record is the length of its data (u64), a masked CRC-32C of those 8 bytes, the data, and a masked CRC-32C of the
//! data, all little-endian. The first record carries the version `brain.Event:2`. A record whose checksum differs ends
//! the file, as it does for TensorBoard: the start of the next record is unknown. `metrics.jsonl` still has those rows.

use record::{EvaluationRow, MeasureColumn, MeasureColumns, TrainRow, Unit};

use super::Foreign;

const VERSION: &[u8] = b"brain.Event:2";

/// The head's length: a frame of 16 bytes around a time of 9 and a version of 15.
const HEAD_LENGTH: usize = 40;

/// Fields of `tensorflow.Event`, `tensorflow.Summary` and `tensorflow.Summary.Value`.
mod field {
    pub(super) const EVENT_WALL_TIME: u64 = 1;
    pub(super) const EVENT_STEP: u64 = 2;
    pub(super) const EVENT_FILE_VERSION: u64 = 3;
    pub(super) const EVENT_SUMMARY: u64 = 5;
    pub(super) const SUMMARY_VALUE: u64 = 1;
    pub(super) const VALUE_TAG: u64 = 1;
    pub(super) const VALUE_SIMPLE_VALUE: u64 = 2;
}

/// How a field's value is laid out.
mod wire {
    pub(super) const VARINT: u64 = 0;
    pub(super) const FIXED64: u64 = 1;
    pub(super) const BYTES: u64 = 2;
    pub(super) const FIXED32: u64 = 5;
}

/// The first record of a file.
pub(super) fn head(start: f64) -> Vec<u8> {
    let mut event = Message::default();
    event.double(field::EVENT_WALL_TIME, start);
    event.bytes(field::EVENT_FILE_VERSION, VERSION);
    record(&event.0)
}

pub(super) fn train(row: &TrainRow, start: f64) -> Vec<u8> {
    let mut values = vec![
        ("train/loss".to_owned(), row.loss),
        ("train/rate".to_owned(), row.rate),
        ("train/images_per_second".to_owned(), row.images_per_second),
    ];
    values.extend(row.gradient_norm.map(|norm| ("train/gradient_norm".to_owned(), norm)));
    values.extend(row.loss_scale.map(|scale| ("train/loss_scale".to_owned(), scale)));
    values.extend(row.terms.iter().map(|(name, value)| (format!("train/terms/{name}"), *value)));
    scalars(row.step, start + row.seconds, &values)
}

/// The record of an evaluation. Counts are left out: they are not plotted as a curve.
pub(super) fn evaluation(row: &EvaluationRow, measure: &MeasureColumns, start: f64) -> Vec<u8> {
    let results = measure.for_people().into_iter().filter(|column| column.unit != Unit::Count);
    let value = |column: &MeasureColumn| {
        let value = measure.value(&row.values, &column.name)?;
        Some((format!("validation/{}", column.name), value))
    };
    let values: Vec<(String, f64)> = results.filter_map(value).collect();
    scalars(row.step, start + row.seconds, &values)
}

fn scalars(step: u64, time: f64, values: &[(String, f64)]) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, value) in values {
        let mut message = Message::default();
        message.bytes(field::VALUE_TAG, tag.as_bytes());
        message.float(field::VALUE_SIMPLE_VALUE, *value as f32);
        summary.bytes(field::SUMMARY_VALUE, &message.0);
    }
    let mut event = Message::default();
    event.double(field::EVENT_WALL_TIME, time);
    event.varint(field::EVENT_STEP, step);
    event.bytes(field::EVENT_SUMMARY, &summary.0);
    record(&event.0)
}

/// The length of the head and the rows to keep.
pub(super) fn whole(bytes: &[u8], last_step: u64) -> Result<usize, Foreign> {
    let mut rest = bytes;
    match take_record(&mut rest) {
        Some(data) if file_version(data) == Some(VERSION) => {}
        None if bytes.len() < HEAD_LENGTH && begins_as_head(bytes) => return Ok(0),
        _ => return Err(Foreign),
    }
    let mut kept = bytes.len() - rest.len();
    while let Some(data) = take_record(&mut rest) {
        if step(data).is_none_or(|step| step > last_step) {
            break;
        }
        kept = bytes.len() - rest.len();
    }
    Ok(kept)
}

/// Whether a file that is cut inside its head is a log of ours: the first 12 bytes of every head are the same.
fn begins_as_head(bytes: &[u8]) -> bool {
    const FRAME: usize = 12;
    head(0.0).starts_with(&bytes[..bytes.len().min(FRAME)])
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked(data).to_le_bytes());
    record
}

/// TensorBoard's masked CRC-32C: the checksum, rotated, plus a constant.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Takes the first record off `bytes`; None where it is cut or damaged.
fn take_record<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (length_sum, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*length_sum) != masked(length) {
        return None;
    }
    let (data, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let (data_sum, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*data_sum) != masked(data) {
        return None;
    }
    *bytes = rest;
    Some(data)
}

fn file_version(event: &[u8]) -> Option<&[u8]> {
    fields(event).find_map(|(field, value)| match value {
        Value::Bytes(bytes) if field == field::EVENT_FILE_VERSION => Some(bytes),
        _ => None,
    })
}

/// The step of an event; a protocol buffer may leave out a step of 0.
fn step(event: &[u8]) -> Option<u64> {
    let step = fields(event).find_map(|(field, value)| match value {
        Value::Number(step) if field == field::EVENT_STEP => Some(step),
        _ => None,
    });
    step.or((!event.is_empty()).then_some(0))
}

/// A protocol-buffer message being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.number(field << 3 | wire);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, wire::VARINT);
        self.number(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, wire::FIXED64);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, wire::FIXED32);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, wire::BYTES);
        self.number(value.len() as u64);
        self.0.extend(value);
    }
}

/// A value being read. Floats are not read back.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Float,
}

/// The fields of a message, up to the first that cannot be read.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = take_number(&mut message)?;
        let value = match key & 7 {
            wire::VARINT => Value::Number(take_number(&mut message)?),
            wire::FIXED64 => take(&mut message, 8).map(|_| Value::Float)?,
            wire::FIXED32 => take(&mut message, 4).map(|_| Value::Float)?,
            wire::BYTES => {
                let length = usize::try_from(take_number(&mut message)?).ok()?;
                Value::Bytes(take(&mut message, length)?)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_tensorboard_writes_it() {
        // `RecordWriter` of TensorBoard 2.21, given `Event(file_version="brain.Event:2", wall_time=1.0)`.
        let length = [24, 0, 0, 0, 0, 0, 0, 0, 163, 127, 75, 34].as_slice();
        let event = [b"\x09\0\0\0\0\0\0\xf0\x3f\x1a\x0d".as_slice(), VERSION].concat();
        assert_eq!(head(1.0), [length, &event, &[134, 191, 87, 122]].concat());
    }

    #[test]
    fn numbers_of_every_length_come_back() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut message = Message::default();
            message.number(number);
            assert_eq!(take_number(&mut &message.0[..]), Some(number));
            message.0.pop();
            assert_eq!(take_number(&mut &message.0[..]), None);
        }
    }

    #[test]
    fn steps_are_read_back_and_a_damaged_record_ends_the_file() {
        let rows = [1, 300, 70_000].map(|step| scalars(step, 2.0, &[("a".to_owned(), 1.0)]));
        let bytes = [&head(1.0), &rows[0], &rows[1], &rows[2]].map(Vec::as_slice).concat();
        let length = |rows_kept: usize| {
            head(1.0).len() + rows[..rows_kept].iter().map(Vec::len).sum::<usize>()
        };
        for (last_step, kept) in [(0, 0), (1, 1), (299, 1), (300, 2), (u64::MAX, 3)] {
            assert_eq!(whole(&bytes, last_step), Ok(length(kept)));
        }
        for position in length(1)..length(2) {
            let mut bytes = bytes.clone();
            bytes[position] ^= 0x10;
            assert_eq!(whole(&bytes, u64::MAX), Ok(length(1)));
        }
    }
}

//! A pickled dictionary of lists and NumPy arrays, as CIFAR's batches are distributed.

use std::ops::Range;

use crate::error::WeightsError;
use crate::pickle::{self, Pickled, Value, Vocabulary};

/// A pickled dictionary whose entries are read by their key.
#[derive(Debug)]
pub struct NumpyPickle<'a> {
    bytes: &'a [u8],
    pickled: Pickled<'a>,
}

impl<'a> NumpyPickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    ///
    /// # Errors
    /// Where it is damaged or asks for anything but NumPy's arrays and plain values; the reason names the byte.
    pub fn read(bytes: &'a [u8]) -> Result<NumpyPickle<'a>, String> {
        match pickle::read(bytes, Vocabulary::Numpy) {
            Ok(pickled) => Ok(NumpyPickle { bytes, pickled }),
            Err((error, place)) => {
                let reason = match error {
                    WeightsError::Damaged(reason) | WeightsError::Pickle { problem: reason } => {
                        reason
                    }
                    WeightsError::Forbidden { name } => {
                        format!("it asks for {name}, which is no part of an array")
                    }
                    other => other.to_string(),
                };
                Err(format!("{reason} at byte {place}"))
            }
        }
    }

    /// A list of whole numbers.
    pub fn numbers(&self, key: &str) -> Option<Vec<i64>> {
        let number = |value: &Value<'_>| match *value {
            Value::Int(number) => Some(number),
            Value::Bool(flag) => Some(i64::from(flag)),
            _ => None,
        };
        self.list(key)?.iter().map(number).collect()
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        self.list(key)?.iter().map(|value| text(value).map(str::to_owned)).collect()
    }

    /// An array of unsigned bytes in C order: its dimensions, and where in the file its values are.
    pub fn array(&self, key: &str) -> Option<(Vec<usize>, Range<usize>)> {
        let Value::Array(array) = self.get(key)? else { return None };
        let found = self.pickled.heap.arrays[array].as_ref()?;
        // The values are a slice of the file, so the difference of the addresses is their place in it.
        let start = found.values.as_ptr().addr() - self.bytes.as_ptr().addr();
        Some((found.shape.clone(), start..start + found.values.len()))
    }

    fn list(&self, key: &str) -> Option<&[Value<'a>]> {
        match self.get(key)? {
            Value::List(list) => Some(&self.pickled.heap.lists[list]),
            _ => None,
        }
    }

    /// The last value under a key.
    fn get(&self, key: &str) -> Option<Value<'a>> {
        let Value::Dict(dict) = self.pickled.value else { return None };
        let pairs = &self.pickled.heap.dicts[dict];
        pairs.iter().rev().find(|(name, _)| text(name) == Some(key)).map(|&(_, value)| value)
    }
}

/// Python 3's text, or Python 2's, which is bytes.
fn text<'a>(value: &Value<'a>) -> Option<&'a str> {
    match *value {
        Value::Text(text) => Some(text),
        Value::Bytes(bytes) => str::from_utf8(bytes).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 3 writes for {"a": [1, -2, 300], "b": the same list}, protocol 2.
    #[test]
    fn values_are_read_and_shared() {
        let file = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffM\x2c\x01eX\x01\x00\x00\x00bq\x03h\x02u.";
        let pickle = NumpyPickle::read(file).unwrap();
        for key in ["a", "b"] {
            assert_eq!(pickle.numbers(key).unwrap(), [1, -2, 300]);
        }
        assert_eq!(pickle.numbers("c"), None);
        assert_eq!(pickle.texts("a"), None);
    }

    #[test]
    fn long_numbers_are_twos_complement() {
        for (number, expected) in [
            (&b"\x8a\x00"[..], 0),
            (b"\x8a\x01\xff", -1),
            (b"\x8a\x02\xff\x00", 255),
            (b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80", i64::MIN),
        ] {
            let file = [b"}U\x01k]", number, b"as."].concat();
            assert_eq!(NumpyPickle::read(&file).unwrap().numbers("k").unwrap(), [expected]);
        }
    }

    /// A dictionary with one array of type `kind` and shape [2, 3] under "data".
    fn with_array(module: &str, kind: &str, order: &[u8], values: &[u8]) -> Vec<u8> {
        let mut file = b"}U\x04datac".to_vec();
        file.extend(format!("{module}\n_reconstruct\ncnumpy\nndarray\n").bytes());
        file.extend(b"K\x00\x85U\x01b\x87R(K\x01K\x02K\x03\x86cnumpy\ndtype\n(U");
        file.push(kind.len() as u8);
        file.extend(kind.bytes());
        file.extend(b"K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb");
        file.extend(order);
        file.push(b'U');
        file.push(values.len() as u8);
        file.extend(values);
        file.extend(b"tbs.");
        file
    }

    #[test]
    fn arrays_of_bytes_are_found_in_the_file() {
        for module in ["numpy.core.multiarray", "numpy._core.multiarray"] {
            let file = with_array(module, "u1", b"\x89", b"abcdef");
            let (shape, range) = NumpyPickle::read(&file).unwrap().array("data").unwrap();
            assert_eq!(shape, [2, 3]);
            assert_eq!(file[range], *b"abcdef");
        }
        for (kind, order) in [("f4", b"\x89"), ("u1", b"\x88")] {
            let file = with_array("numpy.core.multiarray", kind, order, b"abcdef");
            assert_eq!(NumpyPickle::read(&file).unwrap().array("data"), None);
        }
    }

    #[test]
    fn nothing_is_executed_and_nonsense_is_refused() {
        let cases: [(&[u8], &str); 12] = [
            (b"cos\nsystem\n(U\x04evilt\x52.", "os.system"),
            (b"ctorch\nFloatStorage\n.", "torch.FloatStorage"),
            (b"", "cut short"),
            (b".", "where there is none"),
            (b"(.", "where there is none"),
            (b"e.", "no mark"),
            (b"]K\x01u.", "no mark"),
            (b"T\xff\xff\xff\x7f.", "cut short"),
            (b"h\x05.", "never remembered"),
            (b"K\x01b", "where there is none"),
            (b"\xff", "0xff"),
            (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "0x8e"),
        ];
        for (file, word) in cases {
            let reason = NumpyPickle::read(file).unwrap_err();
            assert!(reason.contains(word) && reason.contains(" at byte "), "{reason}");
        }
    }
}

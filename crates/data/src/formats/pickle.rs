//! Python's pickle, as far as CIFAR's batches need it: numbers, text, lists, dictionaries and NumPy arrays of bytes. Nothing
//! is executed: the names of functions and their arguments only become values.
//!
//! Bytes stay where they are in the file; a value knows their place.

use std::collections::HashMap;
use std::ops::Range;

/// Values that a file may make: more are refused. CIFAR-100's training set makes 200,000.
const VALUES: usize = 1 << 20;

/// A value by its number.
pub(crate) type Id = usize;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Number(i64),
    /// Text or bytes, where they are in the file.
    Bytes(Range<usize>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dictionary(Vec<(Id, Id)>),
    /// `module name` of a function or class.
    Global(String),
    /// What a function would make of its arguments, and the state it would be given.
    Object {
        function: Id,
        arguments: Id,
        state: Option<Id>,
    },
}

/// The values of a file.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    file: &'a [u8],
    values: Vec<Value>,
    pub(crate) root: Id,
}

/// Reads the one value of a file. An error says at which byte.
pub(crate) fn read(file: &[u8]) -> Result<Pickle<'_>, String> {
    let mut machine = Machine {
        file,
        place: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let place = machine.place;
        let told = |reason: &str| format!("{reason} at byte {place}");
        match machine.step().map_err(told)? {
            Some(root) => return Ok(Pickle { file, values: machine.values, root }),
            None if machine.values.len() > VALUES => return Err(told("too many values")),
            None => {}
        }
    }
}

impl<'a> Pickle<'a> {
    pub(crate) fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    pub(crate) fn bytes(&self, id: Id) -> Option<&'a [u8]> {
        match self.value(id) {
            Value::Bytes(range) => Some(&self.file[range.clone()]),
            _ => None,
        }
    }

    /// The entry of a dictionary by its key.
    pub(crate) fn get(&self, dictionary: Id, key: &str) -> Option<Id> {
        let Value::Dictionary(pairs) = self.value(dictionary) else { return None };
        let is_key = |&&(id, _): &&(Id, Id)| self.bytes(id) == Some(key.as_bytes());
        pairs.iter().rev().find(is_key).map(|&(_, value)| value)
    }

    pub(crate) fn list(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// A list of numbers.
    pub(crate) fn numbers(&self, id: Id) -> Option<Vec<i64>> {
        let number = |&id: &Id| match self.value(id) {
            Value::Number(number) => Some(*number),
            _ => None,
        };
        self.list(id)?.iter().map(number).collect()
    }

    /// A list of text.
    pub(crate) fn texts(&self, id: Id) -> Option<Vec<String>> {
        let text = |&id: &Id| Some(str::from_utf8(self.bytes(id)?).ok()?.to_owned());
        self.list(id)?.iter().map(text).collect()
    }

    /// An array of unsigned bytes in C order: its dimensions, and where its values are.
    pub(crate) fn array(&self, id: Id) -> Option<(Vec<i64>, Range<usize>)> {
        let Value::Object { function, state: Some(state), .. } = self.value(id) else {
            return None;
        };
        let Value::Global(name) = self.value(*function) else { return None };
        let is_array = name.starts_with("numpy") && name.ends_with(" _reconstruct");
        // Version, dimensions, type, whether columns come first, values.
        let &[_, shape, kind, order, values] = self.list(*state)? else { return None };
        let Value::Object { arguments, .. } = self.value(kind) else { return None };
        let is_bytes = self.bytes(*self.list(*arguments)?.first()?) == Some(b"u1");
        let is_rows = *self.value(order) == Value::Number(0);
        let Value::Bytes(range) = self.value(values) else { return None };
        (is_array && is_bytes && is_rows).then_some((self.numbers(shape)?, range.clone()))
    }
}

struct Machine<'a> {
    file: &'a [u8],
    place: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

type Step<T> = Result<T, &'static str>;

const CUT: &str = "the file ends";
const EMPTY: &str = "a value is missing";

impl Machine<'_> {
    fn take(&mut self, count: usize) -> Step<Range<usize>> {
        let end = self.place.checked_add(count).filter(|&end| end <= self.file.len()).ok_or(CUT)?;
        let range = self.place..end;
        self.place = end;
        Ok(range)
    }

    /// A little-endian number of `count` bytes.
    fn number(&mut self, count: usize) -> Step<u64> {
        let bytes = &self.file[self.take(count)?];
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn line(&mut self) -> Step<Range<usize>> {
        let end = self.file[self.place..].iter().position(|&byte| byte == b'\n').ok_or(CUT)?;
        let range = self.take(end)?;
        self.place += 1;
        Ok(range)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(EMPTY);
        }
        self.stack.pop().ok_or(EMPTY)
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or(EMPTY)
    }

    /// All values since the last mark.
    fn marked(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn remember(&mut self, key: u64) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(key as u32, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Step<()> {
        let value =
            *self.memo.get(&(key as u32)).ok_or("a value is recalled that was never kept")?;
        self.stack.push(value);
        Ok(())
    }

    fn blob(&mut self, count: usize) -> Step<()> {
        let length = self.number(count)?;
        let range = self.take(usize::try_from(length).map_err(|_| CUT)?)?;
        self.push(Value::Bytes(range));
        Ok(())
    }

    fn tuple(&mut self, count: usize) -> Step<()> {
        let at = self.stack.len().checked_sub(count).ok_or(EMPTY)?;
        let items = self.stack.split_off(at);
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Step<()> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::List(list) => list.extend(items),
            _ => return Err("something is added to what is no list"),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Id]) -> Step<()> {
        let top = self.top()?;
        let Value::Dictionary(pairs) = &mut self.values[top] else {
            return Err("something is added to what is no dictionary");
        };
        pairs.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn global(&mut self, module: &[u8], name: &[u8]) {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        self.push(Value::Global(format!("{} {}", text(module), text(name))));
    }

    /// Obeys one instruction; gives the value at the end.
    fn step(&mut self) -> Step<Option<Id>> {
        let code = self.number(1)? as u8;
        match code {
            b'.' => return self.pop().map(Some),
            // PROTO, FRAME
            0x80 => _ = self.take(1)?,
            0x95 => _ = self.take(8)?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => _ = self.pop()?,
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dictionary(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Number(1)),
            0x89 => self.push(Value::Number(0)),
            b'J' | b'K' | b'M' | 0x8A => self.integer(code)?,
            // Text and bytes with a length of one, four or eight bytes.
            b'U' | 0x8C | b'C' => self.blob(1)?,
            b'T' | b'X' | b'B' => self.blob(4)?,
            0x8D | 0x8E => self.blob(8)?,
            b'l' => {
                let items = self.marked()?;
                self.push(Value::List(items));
            }
            b't' => {
                let items = self.marked()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => self.tuple(usize::from(code - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.marked()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.marked()?;
                self.insert(&items)?;
            }
            _ => self.rare(code)?,
        }
        Ok(None)
    }

    fn integer(&mut self, code: u8) -> Step<()> {
        let number = match code {
            b'J' => i64::from(self.number(4)? as u32 as i32),
            b'K' => self.number(1)? as i64,
            b'M' => self.number(2)? as i64,
            _ => {
                let length = self.number(1)? as usize;
                if length > 8 {
                    return Err("a number is too large");
                }
                // Two's complement of that many bytes.
                let unused = 64 - 8 * length as u32;
                let bits = self.number(length)?.checked_shl(unused).unwrap_or(0);
                (bits as i64).checked_shr(unused).unwrap_or(0)
            }
        };
        self.push(Value::Number(number));
        Ok(())
    }

    /// The memo, functions and objects.
    fn rare(&mut self, code: u8) -> Step<()> {
        match code {
            b'q' => {
                let key = self.number(1)?;
                self.remember(key)
            }
            b'r' => {
                let key = self.number(4)?;
                self.remember(key)
            }
            0x94 => self.remember(self.memo.len() as u64),
            b'h' => {
                let key = self.number(1)?;
                self.recall(key)
            }
            b'j' => {
                let key = self.number(4)?;
                self.recall(key)
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&self.file[module], &self.file[name]);
                Ok(())
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module], &self.values[name]) {
                    (Value::Bytes(module), Value::Bytes(name)) => {
                        let (module, name) = (module.clone(), name.clone());
                        self.global(&self.file[module], &self.file[name]);
                        Ok(())
                    }
                    _ => Err("a function has no name"),
                }
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.push(Value::Object { function, arguments, state: None });
                Ok(())
            }
            b'b' => {
                let (given, object) = (self.pop()?, self.top()?);
                let Value::Object { state, .. } = &mut self.values[object] else {
                    return Err("a state is given to what is no object");
                };
                *state = Some(given);
                Ok(())
            }
            _ => Err("an instruction that no CIFAR file has"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_shared() {
        // What Python 3 writes for {"a": [1, -2, 300], "b": same list}, protocol 2.
        let file = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffM\x2c\x01eX\x01\x00\x00\x00bq\x03h\x02u.";
        let pickle = read(file).unwrap();
        for key in ["a", "b"] {
            let list = pickle.get(pickle.root, key).unwrap();
            assert_eq!(pickle.numbers(list).unwrap(), [1, -2, 300]);
        }
        assert_eq!(pickle.get(pickle.root, "c"), None);
    }

    #[test]
    fn long_numbers_are_twos_complement() {
        for (file, expected) in [
            (&b"\x8a\x00."[..], 0),
            (b"\x8a\x01\xff.", -1),
            (b"\x8a\x02\xff\x00.", 255),
            (b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", i64::MIN),
        ] {
            let pickle = read(file).unwrap();
            assert_eq!(*pickle.value(pickle.root), Value::Number(expected));
        }
    }

    #[test]
    fn nothing_is_executed_and_nonsense_is_refused() {
        let file = b"cos\nsystem\n(U\x04evilt\x52.";
        let pickle = read(file).unwrap();
        let Value::Object { function, .. } = pickle.value(pickle.root) else { panic!() };
        assert_eq!(*pickle.value(*function), Value::Global("os system".to_owned()));
        assert_eq!(pickle.array(pickle.root), None);
        let cases: [&[u8]; 9] = [
            b"",
            b".",
            b"(.",
            b"e.",
            b"]K\x01u.",
            b"T\xff\xff\xff\x7f.",
            b"h\x05.",
            b"K\x01b",
            b"\xff",
        ];
        for file in cases {
            let reason = read(file).unwrap_err();
            assert!(reason.contains(" at byte "), "{reason}");
        }
    }
}

//! What each instruction of a pickle does. Those of protocol 2 are what `torch.save` writes; those of 3 to 5 come with
//! its argument `pickle_protocol`.

use super::{Machine, Value, unfit};
use crate::error::WeightsError;

impl<'a> Machine<'a> {
    /// Does one instruction; the last one gives the pickle's value.
    pub(super) fn step(&mut self) -> Result<Option<Value<'a>>, WeightsError> {
        let instruction = self.byte()?;
        match instruction {
            b'.' => return self.pop().map(Some),
            // Protocol and frame: neither changes what follows.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_marked()?),
            b'2' => {
                let value = self.top()?;
                self.push(value);
            }
            b'h' => {
                let index = self.byte()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = self.word()?;
                self.recall(index)?;
            }
            b'q' => {
                let index = self.byte()?;
                self.memoize(index.into())?;
            }
            b'r' => {
                let index = self.word()?;
                self.memoize(index)?;
            }
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.global(module, name)?,
                (other, _) => return Err(unfit("takes for a name", other)),
            },
            b'Q' => self.persistent()?,
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let called = self.pop()?;
                self.call(called, arguments)?;
            }
            0x92 => {
                let (_keywords, arguments) = (self.pop()?, self.pop()?);
                let called = self.pop()?;
                self.call(called, arguments)?;
            }
            b'b' => self.build()?,
            _ if self.plain(instruction)? || self.container(instruction)? => {}
            other => return Err(unknown(other)),
        }
        Ok(None)
    }

    /// Numbers, texts and bytes; whether it was one of them.
    fn plain(&mut self, instruction: u8) -> Result<bool, WeightsError> {
        let value = match instruction {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Value::Int(self.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            0x8a => {
                let length = self.byte()?;
                long(self.take(length.into())?)
            }
            b'G' => {
                self.take(8)?;
                Value::Float
            }
            0x8c => {
                let length = self.byte()?;
                Value::Text(self.text(length.into())?)
            }
            b'X' => {
                let length = self.word()?;
                Value::Text(self.text(length as usize)?)
            }
            // Python 2's strings are bytes.
            b'C' | b'U' => {
                let length = self.byte()?;
                Value::Bytes(self.take(length.into())?)
            }
            b'B' | b'T' => {
                let length = self.word()?;
                Value::Bytes(self.take(length as usize)?)
            }
            _ => return Ok(false),
        };
        self.push(value);
        Ok(true)
    }

    /// Lists, tuples, sets and dictionaries; whether it was one of them.
    fn container(&mut self, instruction: u8) -> Result<bool, WeightsError> {
        match instruction {
            b']' | b')' | 0x8f => self.push_list(Vec::new()),
            b'}' => self.push_dict(&[])?,
            b't' | b'l' | 0x91 => {
                let items = self.pop_marked()?;
                self.push_list(items);
            }
            0x85..=0x87 => {
                let count = usize::from(instruction - 0x84);
                let mut items =
                    (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, WeightsError>>()?;
                items.reverse();
                self.push_list(items);
            }
            b'd' => {
                let items = self.pop_marked()?;
                self.push_dict(&items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_marked()?;
                self.extend_list(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.extend_dict(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A whole number of any length, the lowest byte first. Nothing that is read has more than 64 bits.
fn long<'a>(bytes: &'a [u8]) -> Value<'a> {
    if bytes.len() > 8 {
        return Value::Bytes(bytes);
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xFF } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}

fn unknown(instruction: u8) -> WeightsError {
    let shown = match instruction.is_ascii_graphic() {
        true => format!("'{}'", char::from(instruction)),
        false => format!("0x{instruction:02x}"),
    };
    WeightsError::pickle(format!(
        "it has the instruction {shown}, which neither torch.save nor NumPy writes"
    ))
}

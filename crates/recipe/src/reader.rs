//! Reads typed values out of a tree and writes down every mistake on the way.

use crate::mistake::{Complaint, Mistake};
use crate::schema;
use crate::span;
use crate::tree::{Place, Table, Value};
use crate::types::{Interval, Span};
use crate::words::Words;

/// Reads a recipe's values; a value that is absent or wrong is `None`, and its mistake is kept.
pub(crate) struct Reader<'a> {
    file: &'a str,
    root: &'a Table,
    pub(crate) mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a str, root: &'a Table) -> Self {
        Self { file, root, mistakes: Vec::new() }
    }

    pub(crate) fn complain(&mut self, key: &str, place: &Place, complaint: Complaint) {
        self.mistakes.push(mistake(self.file, key, place, complaint));
    }

    /// The value at `key`, if it is there and valid. Missing keys are reported by `schema`.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value) -> Result<T, Complaint>,
    ) -> Option<T> {
        let node = self.root.find(key)?;
        match read(&node.value) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.complain(key, &node.place, complaint);
                None
            }
        }
    }

    /// The value at `key` and its place, without reporting what is wrong. Rules between keys use it.
    pub(crate) fn quietly<T>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> Result<T, Complaint>,
    ) -> Option<(T, &'a Place)> {
        let node = self.root.find(key)?;
        Some((read(&node.value).ok()?, &node.place))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.root.find(key).is_some()
    }

    /// Where the value at `key` stands.
    pub(crate) fn place(&self, key: &str) -> Option<Place> {
        self.root.find(key).map(|node| node.place.clone())
    }

    pub(crate) fn number(
        &mut self,
        key: &'static str,
        valid: impl Fn(f64) -> bool,
        rule: &str,
    ) -> Option<f64> {
        self.read(key, |value| {
            let number = number(value)?;
            if valid(number) { Ok(number) } else { Err(out_of_range(key, &value.describe(), rule)) }
        })
    }

    /// Two numbers, from the lower to the higher.
    pub(crate) fn range(
        &mut self,
        key: &'static str,
        valid: impl Fn(f64, f64) -> bool,
        rule: &str,
    ) -> Option<[f64; 2]> {
        self.read(key, |value| {
            let [low, high] = list(value, "numbers", number)?;
            if low > high {
                let message = format!("[{low}, {high}] falls");
                return Err(Complaint::new(message, "write the lower bound first"));
            }
            if valid(low, high) {
                Ok([low, high])
            } else {
                Err(out_of_range(key, &format!("[{low}, {high}]"), rule))
            }
        })
    }

    pub(crate) fn count(&mut self, key: &'static str) -> Option<usize> {
        self.read(key, |value| count(key, value))
    }

    pub(crate) fn choice<T: Copy>(&mut self, key: &'static str, words: Words<T>) -> Option<T> {
        self.read(key, |value| {
            let word = text(value)?;
            let found = words.iter().find(|(name, _)| *name == word);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let valid: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
                let mut complaint = Complaint::not_one_of(&word, &valid);
                if complaint.mend.is_empty() {
                    complaint.mend = "write one of these".into();
                }
                complaint
            })
        })
    }

    pub(crate) fn span(&mut self, key: &'static str) -> Option<Span> {
        self.read(key, span)
    }
}

/// A mistake at a place. If the complaint has no mend, the key's example is the mend.
pub(crate) fn mistake(file: &str, key: &str, place: &Place, complaint: Complaint) -> Mistake {
    let Complaint { message, mut mend } = complaint;
    if mend.is_empty()
        && let Some(known) = schema::find(key)
    {
        let example = match place {
            Place::Argument(_) => known.argument(),
            _ => known.example(),
        };
        mend = format!("write for example {example}");
    }
    let (source, line, column) = match place {
        Place::Nowhere => (file, 0, 0),
        Place::File { line, column } => (file, *line, *column),
        Place::Argument(argument) => (argument.as_str(), 0, 0),
    };
    Mistake { source: source.to_owned(), line, column, key: key.to_owned(), message, mend }
}

/// The complaint about a value of the right type that its key does not take.
pub(crate) fn out_of_range(key: &str, found: &str, rule: &str) -> Complaint {
    let (_, name) = schema::split(key);
    Complaint::new(format!("{found} is out of range"), format!("{name} is {rule}"))
}

pub(crate) fn text(value: &Value) -> Result<String, Complaint> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(Complaint::expected("text in quotes", &other.describe())),
    }
}

/// A finite number, whole or decimal.
pub(crate) fn number(value: &Value) -> Result<f64, Complaint> {
    let number = match value {
        Value::Whole(number) => *number as f64,
        Value::Decimal(number) => number.parse().unwrap_or(f64::NAN),
        other => return Err(Complaint::expected("a number", &other.describe())),
    };
    finite(number, number.is_finite(), value)
}

/// The same in 32 bits. It is read from the digits, because a detour over 64 bits may round twice.
pub(crate) fn short_number(value: &Value) -> Result<f32, Complaint> {
    let number = match value {
        Value::Whole(number) => *number as f32,
        Value::Decimal(number) => number.parse().unwrap_or(f32::NAN),
        other => return Err(Complaint::expected("a number", &other.describe())),
    };
    finite(number, number.is_finite(), value)
}

fn finite<T>(number: T, is_finite: bool, value: &Value) -> Result<T, Complaint> {
    let complaint = || Complaint::new(format!("{} is not finite", value.describe()), "");
    is_finite.then_some(number).ok_or_else(complaint)
}

pub(crate) fn whole<T: TryFrom<i128>>(value: &Value, rule: &str) -> Result<T, Complaint> {
    match value {
        Value::Whole(number) => T::try_from(*number)
            .map_err(|_| Complaint::new(format!("{number} is out of range"), rule)),
        other => Err(Complaint::expected("a whole number", &other.describe())),
    }
}

/// A whole number from 1 on.
pub(crate) fn count(key: &str, value: &Value) -> Result<usize, Complaint> {
    let (_, name) = schema::split(key);
    match whole(value, &format!("{name} is a whole number from 1 on"))? {
        0 => Err(out_of_range(key, "0", "a whole number from 1 on")),
        count => Ok(count),
    }
}

/// `train.parts`: a power of two, so that the parts' gradients are summed as a binary tree.
pub(crate) fn parts(value: &Value) -> Result<usize, Complaint> {
    match whole::<usize>(value, &rule_of_parts())? {
        parts if tricks::parts::is_allowed(parts) => Ok(parts),
        parts => Err(Complaint::new(format!("{parts} is out of range"), rule_of_parts())),
    }
}

fn rule_of_parts() -> String {
    format!("parts is a power of two from 1 to {}", tricks::parts::MOST)
}

/// A list of exactly N.
pub(crate) fn list<T, const N: usize>(
    value: &Value,
    of: &str,
    read: impl Fn(&Value) -> Result<T, Complaint>,
) -> Result<[T; N], Complaint> {
    let Value::List(items) = value else {
        return Err(Complaint::expected(&format!("a list of {N} {of}"), &value.describe()));
    };
    if items.len() != N {
        let found = format!("{} of them", items.len());
        return Err(Complaint::expected(&format!("a list of {N} {of}"), &found));
    }
    let values = items.iter().map(|item| read(&item.value)).collect::<Result<Vec<T>, _>>()?;
    Ok(values.try_into().unwrap_or_else(|_| unreachable!("the length was checked")))
}

pub(crate) fn span(value: &Value) -> Result<Span, Complaint> {
    match value {
        Value::Text(text) => Span::read(text),
        Value::Whole(_) | Value::Decimal(_) => Err(span::needs_unit(&value.describe(), false)),
        other => Err(Complaint::expected("a length in quotes", &other.describe())),
    }
}

pub(crate) fn interval(value: &Value) -> Result<Interval, Complaint> {
    match value {
        Value::Text(text) => Interval::read(text),
        Value::Whole(_) | Value::Decimal(_) => Err(span::needs_unit(&value.describe(), true)),
        other => Err(Complaint::expected("a length in quotes", &other.describe())),
    }
}

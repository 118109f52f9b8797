//! Reads typed values out of a tree and writes down every mistake on the way.

use crate::keys::Words;
use crate::mistake::{Complaint, Mistake};
use crate::schema;
use crate::span;
use crate::tree::{Place, Table, Value};
use crate::types::{Interval, Span, TaskKind};

/// Reads a recipe's values; a value that is absent or wrong is `None`, and its mistake is kept.
pub(crate) struct Reader<'a> {
    file: &'a str,
    root: &'a Table,
    /// What the recipe trains for.
    pub(crate) task: TaskKind,
    /// The names of all networks.
    pub(crate) known_models: &'a [String],
    pub(crate) mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a str, root: &'a Table, known_models: &'a [String]) -> Self {
        let (task, _) = schema::task_of(root);
        Self { file, root, task, known_models, mistakes: Vec::new() }
    }

    pub(crate) fn root(&self) -> &'a Table {
        self.root
    }

    pub(crate) fn complain(&mut self, key: &str, place: &Place, complaint: Complaint) {
        self.mistakes.push(mistake(self.file, key, place, complaint));
    }

    /// The value at `key`, if it is there and valid. Missing keys are reported by `schema`.
    pub(crate) fn read<T>(
        &mut self,
        key: &str,
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

    /// The value that the word at `key` stands for.
    pub(crate) fn choice<T: Words>(&mut self, key: &str) -> Option<T> {
        self.read(key, |value| {
            let word = text(value)?;
            let found = T::WORDS.iter().find(|each| each.word == word);
            found.map(|each| each.value).ok_or_else(|| {
                let valid: Vec<&str> = T::WORDS.iter().map(|each| each.word).collect();
                let mut complaint = Complaint::not_one_of(&word, &valid);
                if complaint.mend.is_empty() {
                    complaint.mend = "write one of these".into();
                }
                complaint
            })
        })
    }

    /// The length of the run, if it is there and valid.
    pub(crate) fn run(&self) -> Option<Span> {
        self.quietly("train.duration", span).map(|(run, _)| run)
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

pub(crate) fn whole_as_written(value: &Value) -> Result<i128, Complaint> {
    match value {
        Value::Whole(number) => Ok(*number),
        other => Err(Complaint::expected("a whole number", &other.describe())),
    }
}

pub(crate) fn whole<T: TryFrom<i128>>(value: &Value, rule: &str) -> Result<T, Complaint> {
    match value {
        Value::Whole(number) => T::try_from(*number)
            .map_err(|_| Complaint::new(format!("{number} is out of range"), rule)),
        other => Err(Complaint::expected("a whole number", &other.describe())),
    }
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

/// A point of a run: a length from its start, or a share such as `50 %`. A run whose own length is wrong has no shares, and
/// that is one mistake already.
pub(crate) fn point(value: &Value, run: Option<Span>) -> Result<Span, Complaint> {
    match (value, run) {
        (Value::Text(text), run) if text.trim().ends_with('%') => {
            let share = span::share(text)?;
            Ok(run.map_or(Span::Epochs(share), |run| run.times(share)))
        }
        _ => span(value),
    }
}

pub(crate) fn interval(value: &Value) -> Result<Interval, Complaint> {
    match value {
        Value::Text(text) => Interval::read(text),
        Value::Whole(_) | Value::Decimal(_) => Err(span::needs_unit(&value.describe(), true)),
        other => Err(Complaint::expected("a length in quotes", &other.describe())),
    }
}

//! What can stand at a key: numbers, text, lists. Tables, choices and words have their macros.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::declared::Node;
use super::rules::{Rule, says};
use crate::mistake::{Complaint, did_you_mean};
use crate::reader::{self, Reader, out_of_range};
use crate::span;
use crate::tree::Value;
use crate::types::{Interval, Span};

/// A type whose values stand at keys of a recipe.
pub(crate) trait Form: Sized {
    /// Which values of the type a key takes.
    type Rules: Copy + Default;

    /// The value at `path`, where something is; `None` if it is wrong, and the reader then has the mistake.
    fn read(reader: &mut Reader<'_>, path: &str, rules: Self::Rules) -> Option<Self>;

    fn write(&self) -> Written;

    fn shape(rules: Self::Rules) -> Shape;
}

/// What a key takes.
pub(crate) enum Shape {
    /// A value, in words such as `a number more than 0`.
    Value(String),
    /// A table of keys, and what it is.
    Table { about: &'static [&'static str], keys: Vec<Node> },
    /// A table that holds exactly one of its keys.
    Choice { about: &'static [&'static str], keys: Vec<Node> },
}

/// A value as a file has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Written {
    Text(String),
    Number(f64),
    Short(f32),
    Whole(u64),
    Truth(bool),
    List(Vec<Written>),
    Table(Vec<(&'static str, Written)>),
}

impl Written {
    pub(crate) fn is_empty_table(&self) -> bool {
        matches!(self, Written::Table(entries) if entries.is_empty())
    }

    /// TOML on one line. A number is the shortest decimal that reads back as the same one, with a point or an exponent.
    pub(crate) fn inline(&self) -> String {
        match self {
            Written::Text(text) => toml::Value::String(text.clone()).to_string(),
            Written::Number(number) => format!("{number:?}"),
            Written::Short(number) => format!("{number:?}"),
            Written::Whole(number) => number.to_string(),
            Written::Truth(truth) => truth.to_string(),
            Written::List(items) => {
                let items: Vec<String> = items.iter().map(Written::inline).collect();
                format!("[{}]", items.join(", "))
            }
            Written::Table(entries) if entries.is_empty() => "{}".to_owned(),
            Written::Table(entries) => {
                let entries =
                    entries.iter().map(|(key, value)| format!("{key} = {}", value.inline()));
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Written::Text(text) => out.serialize_str(text),
            Written::Number(number) => out.serialize_f64(*number),
            Written::Short(number) => out.serialize_f32(*number),
            Written::Whole(number) => out.serialize_u64(*number),
            Written::Truth(truth) => out.serialize_bool(*truth),
            Written::List(items) => out.collect_seq(items),
            Written::Table(entries) => {
                let mut map = out.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// The entries of a table.
pub(crate) fn entries(table: &impl Form) -> Vec<(&'static str, Written)> {
    match table.write() {
        Written::Table(entries) => entries,
        other => unreachable!("no table, but {other:?}"),
    }
}

/// The complaint of the first rule that a value breaks.
pub(super) fn checked<T: Copy>(
    path: &str,
    value: T,
    found: &str,
    rules: &[Rule<T>],
) -> Result<T, Complaint> {
    match rules.iter().find(|rule| !(rule.holds)(value)) {
        Some(rule) => Err(out_of_range(path, found, &(rule.says)())),
        None => Ok(value),
    }
}

pub(super) fn number(path: &str, value: &Value, rules: &[Rule<f64>]) -> Result<f64, Complaint> {
    checked(path, reader::number(value)?, &value.describe(), rules)
}

/// A whole number that is not negative.
pub(super) fn whole<T: Copy + TryFrom<i128> + ToString>(
    path: &str,
    value: &Value,
    rules: &[Rule<T>],
) -> Result<T, Complaint> {
    let rule =
        rules.first().map_or_else(|| "a whole number from 0 on".to_owned(), |rule| (rule.says)());
    let name = path.rsplit('.').next().unwrap_or(path);
    let number: T = reader::whole(value, &format!("{name} is {rule}"))?;
    checked(path, number, &number.to_string(), rules)
}

impl Form for f64 {
    type Rules = &'static [Rule<f64>];

    fn read(reader: &mut Reader<'_>, path: &str, rules: Self::Rules) -> Option<Self> {
        reader.read(path, |value| number(path, value, rules))
    }

    fn write(&self) -> Written {
        Written::Number(*self)
    }

    fn shape(rules: Self::Rules) -> Shape {
        Shape::Value(says("a number", rules))
    }
}

impl Form for f32 {
    type Rules = ();

    fn read(reader: &mut Reader<'_>, path: &str, (): ()) -> Option<Self> {
        reader.read(path, reader::short_number)
    }

    fn write(&self) -> Written {
        Written::Short(*self)
    }

    fn shape((): ()) -> Shape {
        Shape::Value("a number".to_owned())
    }
}

/// Whole numbers of several sizes.
macro_rules! whole_form {
    ($($Number:ty),*) => { $(
        impl Form for $Number {
            type Rules = &'static [Rule<$Number>];

            fn read(reader: &mut Reader<'_>, path: &str, rules: Self::Rules) -> Option<Self> {
                reader.read(path, |value| whole(path, value, rules))
            }

            fn write(&self) -> Written {
                Written::Whole((*self).try_into().expect("it has at most 64 bits"))
            }

            fn shape(rules: Self::Rules) -> Shape {
                let says = says("", rules);
                let says = says.trim_start_matches(", ");
                Shape::Value(if says.is_empty() { "a whole number from 0 on" } else { says }.to_owned())
            }
        }
    )* };
}

whole_form!(u32, u64, usize);

impl Form for bool {
    type Rules = ();

    fn read(reader: &mut Reader<'_>, path: &str, (): ()) -> Option<Self> {
        reader.read(path, |value| match value {
            Value::Boolean(truth) => Ok(*truth),
            other => Err(Complaint::expected("true or false", &other.describe())),
        })
    }

    fn write(&self) -> Written {
        Written::Truth(*self)
    }

    fn shape((): ()) -> Shape {
        Shape::Value("true or false".to_owned())
    }
}

/// What a text is.
#[derive(Clone, Copy, Default)]
pub(crate) enum Text {
    /// Anything but nothing.
    #[default]
    Filled,
    /// One component of a path on any system.
    FolderName,
    /// A network's name.
    Model,
}

/// Bytes of a folder's name: file systems take 255, and a number may follow.
const LONGEST_NAME: usize = 100;

impl Form for String {
    type Rules = Text;

    fn read(reader: &mut Reader<'_>, path: &str, rules: Text) -> Option<Self> {
        let known_models = reader.known_models;
        reader.read(path, |value| match rules {
            Text::Filled => filled_text(value),
            Text::FolderName => folder_name(value),
            Text::Model => model(value, known_models),
        })
    }

    fn write(&self) -> Written {
        Written::Text(self.clone())
    }

    fn shape(rules: Text) -> Shape {
        let what = match rules {
            Text::Filled => "text",
            Text::FolderName => "text that can name a folder",
            Text::Model => "a name that `trickbag models` lists",
        };
        Shape::Value(what.to_owned())
    }
}

fn filled_text(value: &Value) -> Result<String, Complaint> {
    match reader::text(value)? {
        text if text.trim().is_empty() => Err(Complaint::new("is empty", "")),
        text => Ok(text),
    }
}

fn folder_name(value: &Value) -> Result<String, Complaint> {
    let name = filled_text(value)?;
    let refuse = |what: &str, mend: &str| Err(Complaint::new(what, mend));
    match () {
        () if name.contains(['/', '\\']) => {
            refuse("it holds / or \\, and names a folder", "put the run elsewhere with --out")
        }
        () if name == "." || name == ".." => {
            refuse("it is no name of a folder", "write letters, such as my-run")
        }
        () if name.chars().any(is_hidden) => {
            let mend = "write it without them";
            refuse("it holds control characters or marks that turn the direction of text", mend)
        }
        () if name.len() > LONGEST_NAME => {
            let message = format!("it is {} bytes long", name.len());
            Err(Complaint::new(message, format!("a name has at most {LONGEST_NAME}")))
        }
        () => Ok(name),
    }
}

/// Whether a character is not seen, but changes how what is around it is seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn model(value: &Value, known_models: &[String]) -> Result<String, Complaint> {
    let name = reader::text(value)?;
    if known_models.contains(&name) {
        return Ok(name);
    }
    let mend = did_you_mean(&name, known_models);
    let mend = mend.unwrap_or_else(|| "`trickbag models` lists the names".into());
    Err(Complaint::new(format!("no network is named '{name}'"), mend))
}

impl Form for Span {
    type Rules = ();

    fn read(reader: &mut Reader<'_>, path: &str, (): ()) -> Option<Self> {
        reader.read(path, reader::span)
    }

    fn write(&self) -> Written {
        Written::Text(self.to_string())
    }

    fn shape((): ()) -> Shape {
        Shape::Value(format!("a length in {}", span::TRAINING_UNITS.join(" or ")))
    }
}

impl Form for Interval {
    type Rules = ();

    fn read(reader: &mut Reader<'_>, path: &str, (): ()) -> Option<Self> {
        reader.read(path, reader::interval)
    }

    fn write(&self) -> Written {
        Written::Text(self.to_string())
    }

    fn shape((): ()) -> Shape {
        Shape::Value(format!("a length in {}", span::INTERVAL_UNITS.join(", ")))
    }
}

//! TOML as a tree that remembers where each key and value was written.

use toml::de::{DeTable, DeValue};

/// Where a key or a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: the whole recipe.
    Nowhere,
    /// Line and column, counted from 1.
    File { line: usize, column: usize },
    /// An argument, such as `--set rate.base=0.2`.
    Argument(String),
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Whole(i128),
    /// As written, so that an `f32` and an `f64` are each read to their own nearest number.
    Decimal(String),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key was written; for a table, the line of its header.
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Value {
    /// The value as a message names it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Value::Text(text) => format!("text \"{text}\""),
            Value::Whole(number) => number.to_string(),
            Value::Decimal(number) => number.clone(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Date(date) => format!("the date {date}"),
            Value::List(_) => "a list".into(),
            Value::Table(_) => "a table".into(),
        }
    }
}

impl Table {
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    /// Puts the entry in place of one of the same key.
    pub(crate) fn put(&mut self, entry: Entry) {
        self.remove(&entry.key);
        self.entries.push(entry);
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.retain(|entry| entry.key != key);
    }

    /// The value at a dotted path.
    pub(crate) fn find(&self, path: &str) -> Option<&Node> {
        let mut table = self;
        let mut keys = path.split('.').peekable();
        while let Some(key) = keys.next() {
            let node = &table.get(key)?.node;
            if keys.peek().is_none() {
                return Some(node);
            }
            let Value::Table(inner) = &node.value else { return None };
            table = inner;
        }
        None
    }
}

/// A mistake of TOML itself.
pub(crate) struct SyntaxError {
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// Reads a whole document.
pub(crate) fn document(text: &str) -> Result<Table, SyntaxError> {
    let lines = Lines::new(text);
    match DeTable::parse(text) {
        Ok(table) => Ok(convert_table(table.get_ref(), &|at| lines.place(at))),
        Err(error) => Err(syntax_error(&error, &|at| lines.place(at))),
    }
}

/// Reads one value, all of it from the same `place`.
pub(crate) fn value(text: &str, place: &Place) -> Result<Value, SyntaxError> {
    let here = |_| place.clone();
    match DeValue::parse(text) {
        Ok(value) => Ok(convert(value.get_ref(), &here)),
        Err(error) => Err(syntax_error(&error, &here)),
    }
}

fn syntax_error(error: &toml::de::Error, place: &dyn Fn(usize) -> Place) -> SyntaxError {
    let place = error.span().map_or(Place::Nowhere, |span| place(span.start));
    SyntaxError { place, message: error.message().trim().replace('\n', ", ") }
}

fn convert_table(table: &DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Table {
    let entries = table.iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        place: place(key.span().start),
        node: Node { place: place(value.span().start), value: convert(value.get_ref(), place) },
    });
    Table { entries: entries.collect() }
}

fn convert(value: &DeValue<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            // A number too long for 128 bits is no count of anything; as a decimal it is refused where it is used.
            i128::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::Decimal(number.to_string()), Value::Whole)
        }
        DeValue::Float(number) => Value::Decimal(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(list) => Value::List(
            list.iter()
                .map(|item| Node {
                    place: place(item.span().start),
                    value: convert(item.get_ref(), place),
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, place)),
    }
}

/// Lines of a text, to turn a byte position into a line and a column.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    fn place(&self, at: usize) -> Place {
        let line = self.starts.partition_point(|&start| start <= at);
        let start = self.starts[line - 1];
        let before = self.text.get(start..at).unwrap_or_default();
        Place::File { line, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Value, document, value};

    #[test]
    fn keys_and_values_know_their_lines() {
        let text = "a = 1\r\n\n[b.c]\nd = [1.50,\n  \"é\", x]".replace(", x", "");
        let table = document(&text).map_err(|error| error.message).unwrap();
        let Value::Table(b) = &table.find("b").unwrap().value else { panic!("b is a table") };
        assert_eq!(table.get("a").unwrap().place, Place::File { line: 1, column: 1 });
        assert_eq!(table.find("a").unwrap().place, Place::File { line: 1, column: 5 });
        assert_eq!(b.get("c").unwrap().place, Place::File { line: 3, column: 4 });
        let Value::List(list) = &table.find("b.c.d").unwrap().value else { panic!("a list") };
        assert_eq!(list[0].place, Place::File { line: 4, column: 6 });
        assert_eq!(list[1].place, Place::File { line: 5, column: 3 });
    }

    #[test]
    fn values_read_alone() {
        let place = Place::Nowhere;
        let read = |text| value(text, &place).map(|value| value.describe()).ok();
        let cases = [
            ("0.2", Some("0.2")),
            ("1_000", Some("1000")),
            ("+5", Some("5")),
            ("0xff", Some("255")),
            ("1_0.5e-3", Some("10.5e-3")),
            ("'x'", Some("text \"x\"")),
            ("true", Some("true")),
            ("[1, 2]", Some("a list")),
            ("{ a = 1 }", Some("a table")),
            ("resnet50d", None),
            ("5 epochs", None),
            ("{ a = 1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }
}

//! `--set KEY=VALUE`: edits of a recipe's tree before it is read.

use crate::mistake::{Complaint, Mistake, did_you_mean};
use crate::reader::mistake;
use crate::schema;
use crate::tree::{self, Entry, Node, Place, Table, Value};

/// The optional key whose value can be the word `off`: there `off` is not the switch of `--set`.
const LOSS_SCALE: &str = "train.loss_scale";

const PRECISION: &str = "train.precision";

/// Applies one edit, such as `rate.base=0.2` or `rate.warmup=off`.
pub(crate) fn apply(root: &mut Table, edit: &str) -> Result<(), Mistake> {
    let argument = format!("--set {edit}");
    let place = Place::Argument(argument.clone());
    let wrong = |key: &str, complaint| Err(mistake(&argument, key, &place, complaint));
    let Some((key, text)) = edit.split_once('=') else {
        return wrong("", Complaint::new("has no value", "write KEY=VALUE"));
    };
    let (key, text) = (key.trim(), text.trim());
    if key.split('.').any(|part| part.trim() != part || part.is_empty()) {
        return wrong("", Complaint::new("has no key", "write KEY=VALUE, such as rate.base=0.2"));
    }
    if text == "off" && key != LOSS_SCALE {
        return match switch_off(root, key) {
            Ok(()) => Ok(()),
            Err((table, complaint)) => wrong(&table, complaint),
        };
    }
    match read_value(text, &place) {
        Err(complaint) => wrong(key, complaint),
        Ok(value) => {
            put(root, key, value, &place).or_else(|(key, complaint)| wrong(&key, complaint))?;
            schema::expand("", root);
            drop_loss_scale(root, key);
            Ok(())
        }
    }
}

/// Removes the loss scale that the file has, where an edit of the precision leaves nothing for it to do.
fn drop_loss_scale(root: &mut Table, edited: &str) {
    let is_f16 = |node: &Node| matches!(&node.value, Value::Text(word) if word == "f16");
    let of_file = |node: &Node| matches!(node.place, Place::File { .. });
    if edited == PRECISION
        && !root.find(PRECISION).is_some_and(is_f16)
        && root.find(LOSS_SCALE).is_some_and(of_file)
        && let (table, name) = schema::split(LOSS_SCALE)
        && let Some(table) = table_at(root, table)
    {
        table.remove(name);
    }
}

/// A complaint and the key it is about.
type Refusal = (String, Complaint);

/// Removes an optional key.
fn switch_off(root: &mut Table, path: &str) -> Result<(), Refusal> {
    let (table, name) = schema::split(path);
    match schema::find(path) {
        Some(key) if key.optional => {
            if let Some(table) = table_at(root, table) {
                table.remove(name);
            }
            Ok(())
        }
        Some(_) => Err((path.to_owned(), Complaint::new("cannot be switched off", ""))),
        None => {
            let switches: Vec<&str> = schema::KEYS
                .iter()
                .filter(|key| key.optional)
                .map(|key| key.path.as_str())
                .collect();
            let mut complaint = schema::unknown_key(table, name, schema::task_of(root).0);
            complaint.mend = did_you_mean(path, &switches)
                .unwrap_or_else(|| format!("what can be off is {}", switches.join(", ")));
            Err((table.to_owned(), complaint))
        }
    }
}

fn table_at<'a>(mut table: &'a mut Table, path: &str) -> Option<&'a mut Table> {
    for key in path.split('.').filter(|key| !key.is_empty()) {
        let Value::Table(inner) = &mut table.get_mut(key)?.node.value else { return None };
        table = inner;
    }
    Some(table)
}

/// Reads TOML, or else the text as it is: a shell takes quotes away, and nobody should have to write them twice.
fn read_value(text: &str, place: &Place) -> Result<Value, Complaint> {
    match tree::value(text, place) {
        // No key of a recipe is a date; this is text that looks like one.
        Ok(Value::Date(_)) => Ok(Value::Text(text.to_owned())),
        Ok(value) => Ok(value),
        Err(error) if text.starts_with(['{', '[', '"', '\'']) => {
            Err(Complaint::new(format!("is not TOML: {}", error.message), ""))
        }
        Err(_) => Ok(Value::Text(text.to_owned())),
    }
}

/// Puts the value at `path`, making the tables on the way.
fn put(root: &mut Table, path: &str, value: Value, place: &Place) -> Result<(), Refusal> {
    let (tables, name) = schema::split(path);
    let node = |value| Node { place: place.clone(), value };
    let entry =
        |key: &str, value| Entry { key: key.into(), place: place.clone(), node: node(value) };
    let mut table = root;
    let mut walked = String::new();
    for key in tables.split('.').filter(|key| !key.is_empty()) {
        walked = schema::join(&walked, key);
        if table.get(key).is_none() {
            table.put(entry(key, Value::Table(Table::default())));
        }
        let inner = table.get_mut(key).map(|entry| &mut entry.node.value);
        let Some(Value::Table(inner)) = inner else {
            let mend = format!("write --set {walked}=VALUE");
            return Err((walked, Complaint::new("is a value, not a table", mend)));
        };
        table = inner;
    }
    table.put(entry(name, value));
    Ok(())
}

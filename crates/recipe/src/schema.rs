//! The keys of a recipe as a flat list, made of what their tables declare: which exist, which are optional, what each looks
//! like, and which task has it.

use std::sync::LazyLock;

use crate::keys::{Form, Given, Node, Shape, Short, Written};
use crate::mistake::{Complaint, did_you_mean, nearest};
use crate::reader::Reader;
use crate::tree::{self, Place, Table, Value};
use crate::types::{Recipe, Span, TaskKind};

/// One key of the format.
pub(crate) struct Key {
    /// Dotted, such as `rate.warmup.duration`.
    pub(crate) path: String,
    /// Whether a recipe may leave it out.
    pub(crate) optional: bool,
    pub(crate) kind: Kind,
    /// What it is, in one or more sentences.
    pub(crate) meaning: String,
    /// What a key that is left out means, as TOML; nothing if it is then off.
    pub(crate) absent: Option<String>,
    pub(crate) shorts: &'static [Short],
    /// The tasks whose recipes have it; all of them if empty.
    pub(crate) tasks: &'static [TaskKind],
    /// The task whose recipes it marks.
    makes: Option<TaskKind>,
    /// TOML of a value that the key takes.
    example: &'static str,
}

/// What stands at a key.
#[derive(Clone, PartialEq)]
pub(crate) enum Kind {
    Table,
    /// A table that holds exactly one of its keys.
    Choice,
    /// A value, in words such as `a number, more than 0`.
    Value(String),
}

/// Every key, in the order of [`Recipe`].
pub(crate) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut keys = Vec::new();
    if let Shape::Table { keys: nodes, .. } = Recipe::shape(()) {
        nodes.into_iter().for_each(|node| flatten("", node, &mut keys));
    }
    keys
});

fn flatten(table: &str, node: Node, keys: &mut Vec<Key>) {
    let path = join(table, node.name);
    let (kind, about, inner): (_, &[&str], _) = match node.shape {
        Shape::Value(takes) => (Kind::Value(takes), &[], Vec::new()),
        Shape::Table { about, keys } => (Kind::Table, about, keys),
        Shape::Choice { about, keys } => (Kind::Choice, about, keys),
    };
    let meaning = if node.meaning.is_empty() { about } else { node.meaning };
    keys.push(Key {
        path: path.clone(),
        optional: node.optional,
        kind,
        meaning: meaning.concat().trim().to_owned(),
        absent: node.absent.as_ref().map(Written::inline),
        shorts: node.shorts,
        tasks: node.tasks,
        makes: node.makes,
        example: node.example,
    });
    inner.into_iter().for_each(|node| flatten(&path, node, keys));
}

pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The tables that make a recipe one of a task, each with its task.
pub(crate) fn tasks() -> Vec<(&'static str, TaskKind)> {
    KEYS.iter().filter_map(|key| Some((key.path.as_str(), key.makes?))).collect()
}

/// The path of `key` in the table at `table`; the empty path is the whole recipe.
pub(crate) fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// `rate.warmup` ↦ (`rate`, `warmup`).
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

impl Key {
    pub(crate) fn is_table(&self) -> bool {
        !matches!(self.kind, Kind::Value(_))
    }

    fn is_of(&self, task: TaskKind) -> bool {
        self.tasks.is_empty() || self.tasks.contains(&task)
    }

    /// How to write it: `base = 0.1`, `warmup = { duration = "5 epochs" }`.
    pub(crate) fn example(&self) -> String {
        let (_, name) = split(&self.path);
        let inner: Vec<String> = match self.kind {
            Kind::Value(_) => return format!("{name} = {}", self.example),
            Kind::Choice => children(&self.path).take(1).map(Key::example).collect(),
            Kind::Table => {
                let required = children(&self.path).filter(|key| !key.optional);
                let inner: Vec<String> = required.map(Key::example).collect();
                let tables = children(&self.path).filter(|key| inner.is_empty() && key.is_table());
                let inner_table: Vec<String> = tables.take(1).map(Key::example).collect();
                [inner, inner_table].concat()
            }
        };
        match inner.is_empty() {
            true => format!("{name} = {{}}"),
            false => format!("{name} = {{ {} }}", inner.join(", ")),
        }
    }

    /// How to give it on the command line: `--set rate.base=0.1`, `--set 'train.duration=120 epochs'`.
    pub(crate) fn argument(&self) -> String {
        let example = self.example();
        let (_, value) = example.split_once(" = ").expect("an example has a value");
        let text = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let edit = format!("{}={}", self.path, text.unwrap_or(value));
        // Quotes keep a shell from taking the edit apart.
        let is_word = edit.chars().all(|c| c.is_ascii_alphanumeric() || "=._-".contains(c));
        if is_word { format!("--set {edit}") } else { format!("--set '{edit}'") }
    }

    /// What to add where it is missing.
    fn addition(&self, task: TaskKind) -> String {
        if !self.is_table() || self.path.contains('.') {
            return format!("add {}", self.example());
        }
        let required = children(&self.path).filter(|key| !key.optional && key.is_of(task));
        let names: Vec<&str> = required.map(|key| split(&key.path).1).collect();
        format!("add [{}] with {}", self.path, names.join(", "))
    }

    /// What a shorter form stands for, as TOML; nothing if the value is none.
    fn long_form(&self, value: &Value) -> Option<String> {
        let given = self.shorts.iter().find_map(|short| {
            let given = match (short.given, value) {
                (Given::Word(word), Value::Text(text)) if text == word => text.clone(),
                (Given::Number, Value::Whole(_) | Value::Decimal(_)) => value.describe(),
                (Given::Length, Value::Text(text)) if Span::read(text).is_ok() => text.clone(),
                _ => return None,
            };
            Some((short.means, given))
        });
        given.map(|(means, given)| means.replace('$', &given))
    }
}

pub(crate) fn children(table: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| split(&key.path).0 == table)
}

/// The names of the keys in a table, for recipes of one task.
fn names(table: &str, task: TaskKind) -> Vec<&'static str> {
    children(table).filter(|key| key.is_of(task)).map(|key| split(&key.path).1).collect()
}

/// The tables that hold exactly one of their keys, each with the names of these.
pub(crate) fn choices() -> impl Iterator<Item = (&'static Key, Vec<&'static str>)> {
    let choices = KEYS.iter().filter(|key| key.kind == Kind::Choice);
    choices.map(|key| (key, children(&key.path).map(|child| split(&child.path).1).collect()))
}

/// Writes out every short form in the table at `path`.
pub(crate) fn expand(path: &str, table: &mut Table) {
    for entry in table.entries_mut() {
        let inner_path = join(path, &entry.key);
        let Some(key) = find(&inner_path) else { continue };
        if let Some(long) = key.long_form(&entry.node.value)
            && let Ok(value) = tree::value(&long, &entry.node.place)
        {
            entry.node.value = value;
        }
        if let Value::Table(inner) = &mut entry.node.value {
            expand(&inner_path, inner);
        }
    }
}

/// The task of the recipe in a tree, and every table that says so.
pub(crate) fn task_of(root: &Table) -> (TaskKind, Vec<(&'static str, Place)>) {
    let given: Vec<(&str, TaskKind, Place)> = tasks()
        .into_iter()
        .filter_map(|(name, task)| Some((name, task, root.get(name)?.place.clone())))
        .collect();
    let task = given.first().map_or(TaskKind::Classification, |(_, task, _)| *task);
    (task, given.into_iter().map(|(name, _, place)| (name, place)).collect())
}

/// Reports every key that does not exist, every one that is missing, and every table that is not one.
pub(crate) fn check_structure(reader: &mut Reader<'_>, path: &str, place: &Place, table: &Table) {
    let here = names(path, reader.task);
    let mut misspelt = Vec::new();
    for entry in table.entries() {
        let inner_path = join(path, &entry.key);
        match (find(&inner_path), &entry.node.value) {
            (None, _) => {
                let complaint = unknown_key(path, &entry.key, reader.task);
                reader.complain(path, &entry.place, complaint);
                misspelt.extend(nearest(&entry.key, &here));
            }
            (Some(key), _) if !key.is_of(reader.task) => {
                let message = format!("a recipe of {} does not take it", reader.task.name());
                let complaint = Complaint::new(message, "leave it out");
                reader.complain(&key.path, &entry.place, complaint);
            }
            (Some(key), Value::Table(inner)) if key.is_table() => {
                check_structure(reader, &key.path, &entry.place, inner);
            }
            (Some(key), other) if key.is_table() => {
                let complaint = no_table(key, other);
                reader.complain(&key.path, &entry.node.place, complaint);
            }
            // The reader of this value checks it.
            (Some(_), _) => {}
        }
    }
    let task = reader.task;
    for key in children(path).filter(|key| !key.optional && key.is_of(task)) {
        let (_, name) = split(&key.path);
        // A misspelt key is one mistake, not also a missing one.
        if table.get(name).is_none() && !misspelt.contains(&name) {
            let what = if key.is_table() { "table" } else { "key" };
            let addition = key.addition(task);
            let complaint = Complaint::new(format!("missing {what} '{name}'"), addition);
            reader.complain(path, place, complaint);
        }
    }
}

/// The complaint about a value where a table or a short form of one is expected.
fn no_table(key: &Key, found: &Value) -> Complaint {
    let mut complaint = Complaint::expected("a table", &found.describe());
    let words: Vec<&str> = key.shorts.iter().filter_map(|short| short.given.word()).collect();
    if let Value::Text(text) = found
        && let Some(word) = nearest(text, &words)
    {
        complaint.mend = format!("did you mean '{word}'?");
    } else if key.optional {
        complaint.mend = format!("write {}, or leave it out to switch it off", key.example());
    }
    complaint
}

/// The complaint about `key` in the table at `path`, with what was meant: a key of this table, else one of another.
pub(crate) fn unknown_key(path: &str, key: &str, task: TaskKind) -> Complaint {
    let here = names(path, task);
    let elsewhere = || {
        let same = KEYS.iter().find(|other| split(&other.path).1 == key && other.is_of(task))?;
        Some(format!("did you mean '{}'?", same.path))
    };
    let renamed = || (key == "accumulate").then(|| "it is 'train.parts' now".to_owned());
    let mend = did_you_mean(key, &here)
        .or_else(renamed)
        .or_else(elsewhere)
        .unwrap_or_else(|| format!("the keys here are {}", here.join(", ")));
    Complaint::new(format!("unknown key '{key}'"), mend)
}

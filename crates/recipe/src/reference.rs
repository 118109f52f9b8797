//! The reference of all keys, as Markdown: what `trickbag recipes --keys` prints and `docs/recipe.md` is.

use crate::keys::Given;
use crate::schema::{self, Key, Kind};

/// What stands above the keys.
const HEAD: &str = "\
# The keys of a recipe

`trickbag recipes --keys` prints this page, which is made of the declarations in `crates/recipe/src/keys`.

A recipe is TOML. `--set KEY=VALUE` changes a key of it for one run, such as `--set rate.base=0.2`. A key that is marked
*optional* may be left out, and `--set KEY=off` leaves it out. What a key takes follows its example, then what it is. A
saved recipe states every key in full, whatever was left out or written in a short form.

A length is written with its unit: `\"5 epochs\"`, `\"100 steps\"`.
";

/// The reference of all keys.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    let (tables, plain): (Vec<&Key>, Vec<&Key>) =
        schema::children("").partition(|key| key.is_table());
    text += "\n## At the top\n\n";
    plain.into_iter().for_each(|key| item(key, 0, &mut text));
    for table in tables {
        let optional = if table.optional { ", optional" } else { "" };
        text += &format!("\n## `[{}]`{optional}\n\n{}\n", table.path, sentences(table));
        let shorts = shorts(table);
        if !shorts.is_empty() {
            text += &format!("\n{shorts}\n");
        }
        text += "\n";
        schema::children(&table.path).for_each(|key| item(key, 0, &mut text));
    }
    text
}

/// A key as an item of a list, and the keys in it below.
fn item(key: &Key, depth: usize, text: &mut String) {
    let (table, name) = schema::split(&key.path);
    // The table says that one of its keys is there.
    let in_choice = schema::find(table).is_some_and(|table| table.kind == Kind::Choice);
    let example = match key.is_table() {
        true => format!("`{}`", key.path),
        false => format!("`{}{}`", key.path, key.example().trim_start_matches(name)),
    };
    let takes = match &key.kind {
        Kind::Value(takes) => takes.clone(),
        Kind::Table => "a table".to_owned(),
        Kind::Choice => "a table that holds exactly one of these keys".to_owned(),
    };
    let optional = match (&key.absent, key.optional) {
        (Some(absent), _) => format!(", *optional*: `{absent}` if absent"),
        (None, true) if !in_choice => ", *optional*".to_owned(),
        (None, _) => String::new(),
    };
    let parts = [sentences(key), shorts(key)];
    let about = parts.iter().filter(|part| !part.is_empty()).map(|part| format!(" {part}"));
    *text += &format!(
        "{:indent$}- {example}: {takes}{optional}.{}\n",
        "",
        about.collect::<String>(),
        indent = 2 * depth,
    );
    schema::children(&key.path).for_each(|inner| item(inner, depth + 1, text));
}

/// What the key is, and whose it is.
fn sentences(key: &Key) -> String {
    let tasks: Vec<&str> = key.tasks.iter().map(|task| task.name()).collect();
    match tasks.is_empty() {
        true => key.meaning.clone(),
        false => format!("{} Only in recipes of {}.", key.meaning, tasks.join(" and ")),
    }
}

/// Its short forms, and what they stand for.
fn shorts(key: &Key) -> String {
    let form = |short: &crate::keys::Short| {
        let given = match short.given {
            Given::Word(word) => word,
            Given::Number => "NUMBER",
            Given::Length => "LENGTH",
        };
        format!("`{}={given}` for `{}`", key.path, short.means.replace('$', given))
    };
    let forms: Vec<String> = key.shorts.iter().map(form).collect();
    if forms.is_empty() { String::new() } else { format!("Short forms: {}.", forms.join(", ")) }
}

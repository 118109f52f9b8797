//! A recipe as TOML, complete and in a stable order, and the difference of two.

use crate::keys::{Written, entries};
use crate::schema::join;
use crate::types::Recipe;

/// The whole recipe as TOML; reading it again gives the same recipe.
pub fn to_toml(recipe: &Recipe) -> String {
    let mut text = String::new();
    for (key, value) in entries(recipe) {
        match value {
            Written::Table(entries) => {
                text.push_str(&format!("\n[{key}]\n"));
                for (key, value) in entries {
                    text.push_str(&format!("{key} = {}\n", value.inline()));
                }
            }
            value => text.push_str(&format!("{key} = {}\n", value.inline())),
        }
    }
    text
}

/// The keys that differ between two recipes, each with its value in `a` and in `b`: `rate.base: 0.1 → 0.2`.
pub fn diff(a: &Recipe, b: &Recipe) -> Vec<String> {
    let (a, b) = (leaves(a), leaves(b));
    let value = |leaves: &[(String, String)], key: &str| {
        let found = leaves.iter().find(|(each, _)| each == key);
        found.map_or("off".to_owned(), |(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = a.iter().map(|(key, _)| key).collect();
    keys.extend(
        b.iter().map(|(key, _)| key).filter(|key| a.iter().all(|(other, _)| other != *key)),
    );
    let changes = keys.into_iter().map(|key| (key, value(&a, key), value(&b, key)));
    changes.filter(|(_, a, b)| a != b).map(|(key, a, b)| format!("{key}: {a} → {b}")).collect()
}

/// Every plain value with its dotted key.
fn leaves(recipe: &Recipe) -> Vec<(String, String)> {
    fn walk(path: &str, value: Written, leaves: &mut Vec<(String, String)>) {
        match value {
            Written::Table(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    walk(&join(path, key), value, leaves);
                }
            }
            value => leaves.push((path.to_owned(), value.inline())),
        }
    }
    let mut leaves = Vec::new();
    walk("", Written::Table(entries(recipe)), &mut leaves);
    leaves
}

//! `trickbag recipes`: the built-in ones, and the rows of the paper's tables.

use anyhow::Result;
use recipe::builtin;
use recipe::tables::{self, Table};
use serde_json::json;

use crate::args::Recipes;
use crate::output::{self, Usage};

pub(crate) fn run(args: &Recipes) -> Result<()> {
    if args.keys {
        output::print(recipe::reference().trim_end());
        return Ok(());
    }
    if let Some(name) = &args.name {
        if let Ok(table) = tables::find(name) {
            list(args, rows_of(&table));
            return Ok(());
        }
        let text = text(name)?.ok_or_else(|| unknown(name))?;
        output::print(text.trim_end());
        return Ok(());
    }
    let summary = |name| builtin::summary(name).unwrap_or_default().to_owned();
    let mut names: Vec<(String, String)> =
        builtin::names().into_iter().map(|name| (name.to_owned(), summary(name))).collect();
    let tables = [tables::all(), tables::transfer()].concat();
    names.extend(tables.iter().flat_map(rows_of));
    list(args, names);
    Ok(())
}

/// The rows of a table, each with what it is and what the paper has for it.
fn rows_of(table: &Table) -> Vec<(String, String)> {
    let row = |cell: tables::Cell| {
        let numbers: Vec<String> = cell.published().iter().map(ToString::to_string).collect();
        let numbers =
            if numbers.is_empty() { String::new() } else { format!(": {}", numbers.join(", ")) };
        (cell.name(), format!("{}{numbers}.", cell.title()))
    };
    table.cells().map(row).collect()
}

fn list(args: &Recipes, names: Vec<(String, String)>) {
    if args.json {
        let list = names.iter();
        output::json(
            &list.map(|(name, summary)| json!({"name": name, "summary": summary})).collect(),
        );
        return;
    }
    let rows: Vec<Vec<String>> =
        names.into_iter().map(|(name, summary)| vec![name, summary]).collect();
    output::print(&output::table(&rows));
}

/// The TOML of a built-in recipe or of a row of a table; None where the name is neither.
pub(crate) fn text(name: &str) -> Result<Option<String>> {
    match builtin(name) {
        Some(text) => Ok(Some(text.to_owned())),
        None => Ok(tables::toml(name, &zoo::names()).transpose()?),
    }
}

/// No built-in recipe has this name.
pub(crate) fn unknown(name: &str) -> Usage {
    let nearest = builtin::nearest(name)
        .map_or(".".to_owned(), |nearest| format!("; did you mean {nearest:?}?"));
    Usage(format!(
        "{name}: neither a file nor a built-in recipe{nearest} The built-in ones are {}",
        builtin::names().join(", ")
    ))
}

//! `trickbag recipes`: the built-in ones, and the rows of the paper's tables.

use anyhow::Result;
use recipe::{builtin, tables};
use serde_json::json;

use crate::args::Recipes;
use crate::output::{self, Usage};

pub(crate) fn run(args: &Recipes) -> Result<()> {
    if let Some(name) = &args.name {
        let text = text(name)?.ok_or_else(|| unknown(name))?;
        output::print(text.trim_end());
        return Ok(());
    }
    let mut list: Vec<(String, String)> = builtin::names()
        .into_iter()
        .map(|name| (name.to_owned(), builtin::summary(name).unwrap_or_default().to_owned()))
        .collect();
    for table in tables::all() {
        list.extend(table.cells().map(|cell| (cell.name(), format!("{}.", cell.title()))));
    }
    if args.json {
        let list = list.iter();
        output::json(
            &list.map(|(name, summary)| json!({"name": name, "summary": summary})).collect(),
        );
        return Ok(());
    }
    let rows: Vec<Vec<String>> =
        list.into_iter().map(|(name, summary)| vec![name, summary]).collect();
    output::print(&output::table(&rows));
    Ok(())
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
        .map_or(String::new(), |nearest| format!("; did you mean {nearest:?}?"));
    Usage(format!(
        "{name}: neither a file nor a built-in recipe{nearest} The built-in ones are {}",
        builtin::names().join(", ")
    ))
}

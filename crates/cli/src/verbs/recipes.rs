//! `trickbag recipes`: the built-in ones.

use anyhow::Result;
use recipe::builtin;
use serde_json::json;

use crate::args::Recipes;
use crate::output::{self, Usage};

pub(crate) fn run(args: &Recipes) -> Result<()> {
    if let Some(name) = &args.name {
        let text = builtin(name).ok_or_else(|| unknown(name))?;
        output::print(text.trim_end());
        return Ok(());
    }
    let summary = |name| builtin::summary(name).unwrap_or_default();
    if args.json {
        let list = builtin::names().into_iter();
        output::json(&list.map(|name| json!({"name": name, "summary": summary(name)})).collect());
        return Ok(());
    }
    let rows: Vec<Vec<String>> = builtin::names()
        .into_iter()
        .map(|name| vec![name.to_owned(), summary(name).to_owned()])
        .collect();
    output::print(&output::table(&rows));
    Ok(())
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

//! `trickbag tricks`: what each trick is and where it acts.

use anyhow::Result;
use serde_json::json;
use tricks::TRICKS;

use crate::args::Tricks;
use crate::output;

pub(crate) fn run(args: &Tricks) -> Result<()> {
    if args.json {
        let list = TRICKS.iter().map(|trick| {
            json!({
                "name": trick.name,
                "section": trick.section,
                "summary": trick.summary,
                "seam": trick.seam,
                "recipe_key": trick.recipe_key,
                "default_in": trick.default_in,
            })
        });
        output::json(&list.collect());
        return Ok(());
    }
    let head = ["§", "trick", "seam", "recipe key", "on in"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for trick in TRICKS {
        rows.push(vec![
            trick.section.to_owned(),
            trick.name.to_owned(),
            trick.seam.to_owned(),
            trick.recipe_key.to_owned(),
            trick.default_in.join(", "),
        ]);
    }
    output::print(&output::table(&rows));
    output::print("");
    for trick in TRICKS {
        output::print(&format!("{}: {}", trick.name, trick.summary));
    }
    Ok(())
}

//! `trickbag tricks`: what each trick is, where it acts, and which recipes have it on.

use anyhow::Result;
use recipe::Recipe;
use recipe::switches;
use serde_json::json;
use tricks::TRICKS;

use crate::args::Tricks;
use crate::output;

pub(crate) fn run(args: &Tricks) -> Result<()> {
    let recipes = switches::every_recipe(&zoo::names());
    if args.json {
        let list = TRICKS.iter().map(|trick| {
            let on = recipes.iter().filter(|recipe| switches::is_on(trick, recipe));
            let on: Vec<&str> = on.map(|recipe: &Recipe| recipe.name.as_str()).collect();
            json!({
                "name": trick.name,
                "section": trick.section,
                "summary": trick.summary,
                "seam": trick.seam,
                "recipe_key": trick.recipe_key,
                "on_in": on,
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
            switches::where_on(trick, &recipes),
        ]);
    }
    output::print(&output::table(&rows));
    output::print("");
    for trick in TRICKS {
        output::print(&format!("{}: {}", trick.name, trick.summary));
    }
    Ok(())
}

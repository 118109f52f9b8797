//! From text to recipe and back, as tables of cases.

mod mistakes;
pub(crate) mod probe;
mod round_trip;
mod schedule;
mod short_forms;
mod switches;
mod tables;

use crate::{Recipe, builtin, parse, parse_with_edits};

fn models() -> Vec<String> {
    let names = [
        "resnet18d",
        "resnet50",
        "resnet50c",
        "resnet50d",
        "resnet50_original",
        "resnet50s",
        "resnet152d",
        "inception_v3",
        "mobilenetv1_100",
    ];
    names.map(str::to_owned).to_vec()
}

fn read(name: &str) -> Recipe {
    let text = builtin(name).expect("a built-in recipe");
    parse(text, name, &models()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn read_with(name: &str, edits: &[&str]) -> Result<Recipe, Vec<String>> {
    let edits: Vec<String> = edits.iter().map(ToString::to_string).collect();
    let text = builtin(name).expect("a built-in recipe");
    parse_with_edits(text, "r.toml", &edits, &models())
        .map_err(|errors| errors.mistakes.iter().map(ToString::to_string).collect())
}

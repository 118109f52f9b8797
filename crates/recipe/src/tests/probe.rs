//! A task's own table: this file declares it, and one line in [`Recipe`] names it. The rest follows.

use super::{models, read};
use crate::keys::*;
use crate::{Recipe, TaskKind, builtin, diff, parse, parse_with_edits, to_toml};

rules! {
    DEEP: f64 = "more than 0" => |x| x > 0.0;
}

table! {
    /// What is probed, and how deep.
    pub struct Probe {
        /// How deep the probe goes, meters.
        depth: f64 = key("3.0").rules(DEEP),
        /// What it is made of.
        metal: Metal = key(r#""iron""#).absent(Metal::Iron),
        sides: Option<Sides> = key("").short(&[
            Short { given: Given::Word("on"), means: "{ shorter = 600, longer = 1000 }" },
        ]),
    }
}

words! {
    /// A metal.
    pub enum Metal {
        /// Heavy.
        Iron = "iron",
        Tin = "tin",
    }
}

table! {
    /// What images are scaled to.
    pub struct Sides {
        /// Pixels of the shorter side.
        shorter: usize = key("600"),
        /// The most pixels of the longer side.
        longer: usize = key("1000"),
    }
}

/// The baseline without what only classification needs, and with `[probe]`.
fn text() -> String {
    let baseline = builtin("baseline").unwrap();
    let mut text = String::new();
    let mut skipped = false;
    for line in baseline.lines() {
        let key = line.split([' ', '=']).next().unwrap();
        skipped = if line.starts_with('[') { line.starts_with("[validation]") } else { skipped };
        if !skipped && !["size", "crop", "color", "pca_noise"].contains(&key) {
            text += &format!("{line}\n");
        }
    }
    text + "\n[probe]\ndepth = 2.5\nsides = \"on\"\n"
}

fn complaints(text: &str, edits: &[&str]) -> Vec<String> {
    let edits: Vec<String> = edits.iter().map(ToString::to_string).collect();
    let errors = parse_with_edits(text, "p.toml", &edits, &models()).unwrap_err();
    errors.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_table_of_a_task_is_read_and_written_by_its_declaration_alone() {
    let recipe = parse(&text(), "p.toml", &models()).unwrap_or_else(|errors| panic!("{errors}"));
    let probe = recipe.probe.clone().unwrap();
    assert_eq!((probe.depth, probe.metal), (2.5, Metal::Iron));
    assert_eq!(probe.sides, Some(Sides { shorter: 600, longer: 1000 }));
    assert_eq!(recipe.task(), TaskKind::Probing);
    assert_eq!(read("baseline").task(), TaskKind::Classification);
    let saved = to_toml(&recipe);
    let table =
        "\n[probe]\ndepth = 2.5\nmetal = \"iron\"\nsides = { shorter = 600, longer = 1000 }\n";
    assert!(saved.contains(table), "{saved}");
    assert!(!saved.contains("[validation]") && !saved.contains("size ="), "{saved}");
    assert_eq!(parse(&saved, "p.toml", &models()), Ok(recipe.clone()));
    let other = Recipe { probe: Some(Probe { depth: 3.0, ..probe }), ..recipe.clone() };
    assert_eq!(diff(&recipe, &other), ["probe.depth: 2.5 → 3.0"]);
}

#[test]
fn mistakes_in_the_table_of_a_task_are_told_like_all_others() {
    let text = text().replace("depth = 2.5", "dept = 2.5").replace("\"on\"", "\"an\"");
    let line = text.lines().position(|line| line.starts_with("dept")).unwrap() + 1;
    let mend = "write sides = { shorter = 600, longer = 1000 }, or leave it out to switch it off";
    assert_eq!(
        complaints(&text, &["probe.metal=tinn"]),
        [
            "--set probe.metal=tinn: 'tinn' is not one of iron, tin; did you mean 'tin'?"
                .to_owned(),
            format!("p.toml:{line}: probe: unknown key 'dept'; did you mean 'depth'?"),
            format!(
                "p.toml:{}: probe.sides: expected a table, found text \"an\"; did you mean 'on'?",
                line + 1
            ),
        ],
        "{mend}"
    );
    assert_eq!(
        complaints(&self::text(), &["probe.depth=0"]),
        ["--set probe.depth=0: 0 is out of range; depth is more than 0"]
    );
}

#[test]
fn what_only_classification_needs_is_refused_for_another_task() {
    let refused = "a recipe of probing does not take it; leave it out";
    let edits = ["preprocess.size=224", "validation.crop=224", "mixup=on", "target.smoothing=0.1"];
    assert_eq!(
        complaints(&text(), &edits),
        [
            format!("--set preprocess.size=224: {refused}"),
            format!("--set validation.crop=224: validation: {refused}"),
            format!("--set mixup=on: {refused}"),
            format!("--set target.smoothing=0.1: target: {refused}"),
        ]
    );
    let missing = complaints(&text().replace("normalize", "normalise"), &[]);
    assert!(missing.len() == 1 && missing[0].ends_with("did you mean 'normalize'?"), "{missing:?}");
    let source = complaints(&text(), &["data.source=fashion-mnist"]);
    assert!(source[0].contains("no data for probing"), "{source:?}");
}

#[test]
fn a_recipe_of_classification_takes_no_table_of_another_task_beside_its_own() {
    let text = builtin("baseline").unwrap();
    let both = complaints(text, &["probe.depth=1"]);
    assert!(
        both.iter().any(|line| line.contains("preprocess.crop: a recipe of probing")),
        "{both:?}"
    );
}

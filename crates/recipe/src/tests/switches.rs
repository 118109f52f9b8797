//! Where each trick is on.

use tricks::TRICKS;

use super::read_with;
use super::tables::models;
use crate::switches::{every_recipe, is_on, where_on};
use crate::{builtin, schema, tables, to_toml};

/// An edit that switches each trick on in a recipe that does not have it.
#[rustfmt::skip]
const ON: &[(&str, &[&str])] = &[
    ("Nesterov accelerated gradient", &["update.optimizer={ nag = { momentum = 0.5 } }"]),
    ("linear scaling learning rate", &["rate.linear_scaling.reference_batch=256"]),
    ("learning rate warmup", &["rate.warmup.duration=1 epoch"]),
    ("zero γ", &["network.last_gamma=0"]),
    ("no bias decay", &["update.decay_on=weights"]),
    ("low-precision training", &["train.precision=bf16"]),
    ("ResNet-B", &["network.model=resnet50"]),
    ("ResNet-C", &["network.model=resnet50c"]),
    ("ResNet-D", &["network.model=resnet152d"]),
    ("cosine learning rate decay", &["rate.decay={ cosine = {} }"]),
    ("exponential decay", &["rate.decay={ exponential = { factor = 0.94, every = \"2 epochs\" } }"]),
    ("label smoothing", &["target.smoothing={ epsilon = 0.1, over = \"all\" }"]),
    ("knowledge distillation", &["distillation={ teacher = \"t\", temperature = 1, weighting = \"sum\" }"]),
    ("mixup", &["mixup={ alpha = 0.2, pairing = \"reversed\" }"]),
    ("poly decay", &["rate.decay={ poly = { power = 0.9 } }"]),
    ("CutMix", &["cutmix.alpha=1"]),
    ("RandAugment", &["preprocess.randaugment={ operations = 2, magnitude = 9 }"]),
    ("random erasing", &["preprocess.erasing={ probability = 0.5, area = [0.1, 0.2], aspect = [1, 2] }"]),
    ("parts of a batch", &["train.parts=2"]),
    ("gradient clipping", &["update.clip.value=1"]),
    ("SGD with momentum", &["update.optimizer={ sgd = { momentum = 0 } }"]),
    ("AdamW", &["update.optimizer={ adamw = { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } }"]),
    ("exponential moving average", &["average.decay=0.9"]),
];

/// The edits that leave the baseline without tricks, except for the optimizer that every recipe has.
fn plain(optimizer: &str) -> Vec<&str> {
    vec!["train.parts=1", optimizer]
}

#[test]
fn every_trick_is_off_until_its_key_switches_it_on() {
    let names: Vec<&str> = TRICKS.iter().map(|trick| trick.name).collect();
    let listed: Vec<&str> = ON.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, names, "every trick has its edit here, in the order of the table");
    for (trick, (_, edits)) in TRICKS.iter().zip(ON) {
        let optimizer = match trick.name {
            "Nesterov accelerated gradient" => "update.optimizer={ sgd = { momentum = 0.9 } }",
            _ => "update.optimizer={ nag = { momentum = 0.9 } }",
        };
        let off = read_with("baseline", &plain(optimizer)).unwrap();
        let on = read_with("baseline", &[&plain(optimizer)[..], *edits].concat()).unwrap();
        assert!(!is_on(trick, &off), "{}: off", trick.name);
        assert!(is_on(trick, &on), "{}: on", trick.name);
        assert!(schema::find(trick.recipe_key).is_some(), "{}", trick.recipe_key);
    }
}

#[test]
fn tweaks_belong_to_the_nets_that_can_have_them() {
    let on = |model: &str, edits: &[&str]| -> String {
        let model = format!("network.model={model}");
        let recipe = read_with("baseline", &[&[model.as_str()][..], edits].concat()).unwrap();
        let tweaks = ["ResNet-B", "ResNet-C", "ResNet-D"].into_iter().filter(|name| {
            is_on(TRICKS.iter().find(|trick| trick.name == *name).unwrap(), &recipe)
        });
        tweaks.map(|name| name.trim_start_matches("ResNet-")).collect()
    };
    for (model, expected) in [
        ("resnet50_original", ""),
        ("resnet50", "B"),
        ("resnet50c", "BC"),
        ("resnet50d", "BCD"),
        ("resnet152d", "BCD"),
        // Basic blocks have no 1×1 convolution whose stride could move.
        ("resnet18d", "CD"),
        ("inception_v3", ""),
        ("mobilenetv1_100", ""),
    ] {
        assert_eq!(on(model, &[]), expected, "{model}");
    }
    let small = ["network.stem=small", "preprocess.size=64"];
    assert_eq!(on("resnet18d", &small), "D", "the small stem is no deep stem");
}

/// The recipes are counted by their own texts, not by the switches.
#[test]
fn every_recipe_is_looked_at() {
    let known: Vec<String> = [models(), vec!["resnet18d".to_owned()]].concat();
    let recipes = every_recipe(&known);
    let cells: usize = tables::all().iter().map(|table| table.cells().count()).sum();
    assert_eq!(recipes.len(), builtin::names().len() + cells);
    for (words, name) in [
        ("\n[mixup]", "mixup"),
        ("\n[distillation]", "knowledge distillation"),
        ("smoothing = {", "label smoothing"),
        ("decay = { cosine", "cosine learning rate decay"),
        ("precision = \"f16\"", "low-precision training"),
        ("decay_on = \"weights\"", "no bias decay"),
        ("warmup = {", "learning rate warmup"),
        ("parts = 8|parts = 4", "parts of a batch"),
    ] {
        let trick = TRICKS.iter().find(|trick| trick.name == name).unwrap();
        let expected = recipes.iter().filter(|recipe| {
            let text = to_toml(recipe);
            words.split('|').any(|words| text.contains(words))
        });
        let expected: Vec<&str> = expected.map(|recipe| recipe.name.as_str()).collect();
        let found = recipes.iter().filter(|recipe| is_on(trick, recipe));
        assert_eq!(
            found.map(|recipe| recipe.name.as_str()).collect::<Vec<_>>(),
            expected,
            "{name}"
        );
        assert!(!expected.is_empty(), "{name}");
    }
}

#[test]
fn families_are_named_once() {
    let known: Vec<String> = [models(), vec!["resnet18d".to_owned()]].concat();
    let recipes = every_recipe(&known);
    let told =
        |name: &str| where_on(TRICKS.iter().find(|trick| trick.name == name).unwrap(), &recipes);
    assert_eq!(
        told("cosine learning rate decay"),
        "detect-small, finetune, gluoncv-* (7 of 9), photos-*, table1 (2 of 7), table6 (21 of 24), table7 (1 of 2)"
    );
    assert_eq!(
        told("mixup"),
        "gluoncv-* (4 of 9), photos-*, table1 (2 of 7), table6 (9 of 24), table7 (1 of 2)"
    );
    assert_eq!(
        told("Nesterov accelerated gradient"),
        "baseline, efficient, finetune, gluoncv-* (7 of 9), photos-*, quickstart, resnet18d-*, segment-small, table1, table2, table3, table4, table5, table6, table7"
    );
    assert_eq!(told("CutMix"), "");
}

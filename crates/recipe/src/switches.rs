//! Which tricks a recipe has on, and in which recipes of the program a trick is on.

use tricks::{Precision, Trick};

use crate::builtin;
use crate::parse::parse;
use crate::tables;
use crate::types::{Decay, DecayOn, Optimizer, Recipe, StemChoice};

type Switch = fn(&Recipe) -> bool;

/// The name of each trick of [`tricks::TRICKS`], and whether a recipe has it on.
#[rustfmt::skip]
const SWITCHES: &[(&str, Switch)] = &[
    ("Nesterov accelerated gradient", |recipe| matches!(recipe.update.optimizer, Optimizer::Nag { .. })),
    ("linear scaling learning rate", |recipe| recipe.rate.linear_scaling.is_some()),
    ("learning rate warmup", |recipe| recipe.rate.warmup.is_some()),
    ("zero γ", |recipe| recipe.network.last_gamma == 0.0),
    ("no bias decay", |recipe| recipe.update.decay_on == DecayOn::Weights),
    ("low-precision training", |recipe| recipe.train.precision != Precision::F32),
    ("ResNet-B", has_tweak_b),
    ("ResNet-C", has_tweak_c),
    ("ResNet-D", has_tweak_d),
    ("cosine learning rate decay", |recipe| matches!(recipe.rate.decay, Decay::Cosine { .. })),
    ("exponential decay", |recipe| matches!(recipe.rate.decay, Decay::Exponential { .. })),
    ("poly decay", |recipe| matches!(recipe.rate.decay, Decay::Poly { .. })),
    ("label smoothing", |recipe| recipe.target.smoothing.is_some()),
    ("knowledge distillation", |recipe| recipe.distillation.is_some()),
    ("mixup", |recipe| recipe.mixup.is_some()),
    ("CutMix", |recipe| recipe.cutmix.is_some()),
    ("RandAugment", |recipe| recipe.preprocess.randaugment.is_some()),
    ("random erasing", |recipe| recipe.preprocess.erasing.is_some()),
    ("parts of a batch", |recipe| recipe.train.parts > 1),
    ("gradient clipping", |recipe| recipe.update.clip.is_some()),
    ("SGD with momentum", |recipe| matches!(recipe.update.optimizer, Optimizer::Sgd { .. })),
    ("AdamW", |recipe| matches!(recipe.update.optimizer, Optimizer::Adamw { .. })),
    ("exponential moving average", |recipe| recipe.average.is_some()),
];

/// Whether a recipe has a trick on.
///
/// # Panics
/// When the trick is none of [`tricks::TRICKS`].
pub fn is_on(trick: &Trick, recipe: &Recipe) -> bool {
    let found = SWITCHES.iter().find(|(name, _)| *name == trick.name);
    let (_, switch) = found.unwrap_or_else(|| panic!("no recipe key switches {}", trick.name));
    switch(recipe)
}

/// The depth and the tweak of a plain ResNet: `resnet50d` is 50 and `d`. No letter is B, and `_original` has no tweak.
fn resnet(recipe: &Recipe) -> Option<(usize, &str)> {
    let name = recipe.network.model.strip_prefix("resnet")?;
    let letters = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
    let (depth, tweak) = name.split_at(letters);
    Some((depth.parse().ok()?, tweak))
}

/// ResNet-18 and 34 have no 1×1 convolution in path A that could lose its stride.
fn has_tweak_b(recipe: &Recipe) -> bool {
    resnet(recipe).is_some_and(|(depth, tweak)| depth >= 50 && tweak != "_original")
}

/// The stem for small images has no 7×7 convolution to replace.
fn has_tweak_c(recipe: &Recipe) -> bool {
    let has_deep_stem = |(_, tweak)| matches!(tweak, "c" | "d" | "s");
    recipe.network.stem == StemChoice::Imagenet && resnet(recipe).is_some_and(has_deep_stem)
}

fn has_tweak_d(recipe: &Recipe) -> bool {
    resnet(recipe).is_some_and(|(_, tweak)| tweak == "d")
}

/// Every recipe inside the program: the built-in ones, then every row of every table in each of its columns.
///
/// # Panics
/// When a network of one of them is not among the known ones.
pub fn every_recipe(known_models: &[String]) -> Vec<Recipe> {
    let read = |name: &str, text: &str| {
        parse(text, name, known_models).unwrap_or_else(|errors| panic!("{errors}"))
    };
    let builtin = builtin::names().into_iter().map(|name| {
        let text = builtin::builtin(name).expect("a name of the list");
        read(name, text)
    });
    let tables = tables::all();
    let cells = tables.iter().flat_map(tables::Table::cells);
    let cells = cells
        .map(|cell| cell.recipe(&[], known_models).unwrap_or_else(|errors| panic!("{errors}")));
    builtin.chain(cells).collect()
}

/// The names of those recipes that have a trick on, by families: `efficient, gluoncv-* (4 of 7), table3 (3 of 6)`.
///
/// A table is a family, and so are built-in recipes whose names begin with the same word.
pub fn where_on(trick: &Trick, recipes: &[Recipe]) -> String {
    let mut families: Vec<(&str, Vec<&Recipe>)> = Vec::new();
    for recipe in recipes {
        let name = family(&recipe.name);
        match families.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push(recipe),
            None => families.push((name, vec![recipe])),
        }
    }
    let mut words = Vec::new();
    for (family, members) in families {
        let on = members.iter().filter(|recipe| is_on(trick, recipe)).count();
        let name = match members.as_slice() {
            [only] => only.name.clone(),
            [first, ..] if first.name.contains('.') => family.to_owned(),
            _ => format!("{family}-*"),
        };
        match on {
            0 => {}
            _ if on == members.len() => words.push(name),
            _ => words.push(format!("{name} ({on} of {})", members.len())),
        }
    }
    words.join(", ")
}

/// `table6` of `table6.mobilenet.mixup`, `gluoncv` of `gluoncv-resnet50d`.
fn family(name: &str) -> &str {
    name.split(['.', '-']).next().unwrap_or(name)
}

//! The recipes inside the program: the files of `recipes/`.

use crate::mistake;

/// The names and texts, sorted by name.
const RECIPES: &[(&str, &str)] = &[
    ("baseline", include_str!("../../../recipes/baseline.toml")),
    ("detect-small", include_str!("../../../recipes/detect-small.toml")),
    ("efficient", include_str!("../../../recipes/efficient.toml")),
    ("finetune", include_str!("../../../recipes/finetune.toml")),
    ("gluoncv-faster-rcnn", include_str!("../../../recipes/gluoncv-faster-rcnn.toml")),
    ("gluoncv-fcn", include_str!("../../../recipes/gluoncv-fcn.toml")),
    (
        "gluoncv-inception-v3-mixup",
        include_str!("../../../recipes/gluoncv-inception-v3-mixup.toml"),
    ),
    ("gluoncv-mobilenet", include_str!("../../../recipes/gluoncv-mobilenet.toml")),
    ("gluoncv-mobilenet-mixup", include_str!("../../../recipes/gluoncv-mobilenet-mixup.toml")),
    ("gluoncv-resnet152d", include_str!("../../../recipes/gluoncv-resnet152d.toml")),
    ("gluoncv-resnet152d-mixup", include_str!("../../../recipes/gluoncv-resnet152d-mixup.toml")),
    ("gluoncv-resnet50d", include_str!("../../../recipes/gluoncv-resnet50d.toml")),
    ("gluoncv-resnet50d-mixup", include_str!("../../../recipes/gluoncv-resnet50d-mixup.toml")),
    ("photos", include_str!("../../../recipes/photos.toml")),
    ("photos-small", include_str!("../../../recipes/photos-small.toml")),
    ("quickstart", include_str!("../../../recipes/quickstart.toml")),
    ("resnet18d-128", include_str!("../../../recipes/resnet18d-128.toml")),
    ("resnet18d-32", include_str!("../../../recipes/resnet18d-32.toml")),
    ("resnet18d-64", include_str!("../../../recipes/resnet18d-64.toml")),
    ("segment-small", include_str!("../../../recipes/segment-small.toml")),
];

/// The TOML of a built-in recipe, comments and all.
pub fn builtin(name: &str) -> Option<&'static str> {
    RECIPES.iter().find(|(each, _)| *each == name).map(|(_, text)| *text)
}

/// The names of the built-in recipes, sorted.
pub fn names() -> Vec<&'static str> {
    RECIPES.iter().map(|(name, _)| *name).collect()
}

/// One line about a built-in recipe: the first comment of its file.
pub fn summary(name: &str) -> Option<&'static str> {
    builtin(name)?.lines().next()?.strip_prefix("# ")
}

/// The built-in recipe whose name is nearest to a misspelt one, if one is near enough.
pub fn nearest(name: &str) -> Option<&'static str> {
    let names = names();
    let near = mistake::nearest(name, &names)?;
    names.iter().find(|each| **each == near).copied()
}

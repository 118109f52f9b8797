//! The house rules that no lint knows.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust file of the workspace with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 80, "the sources were not found: {} files", found.len());
    found
}

#[test]
fn files_stay_short() {
    for (path, text) in sources() {
        let place = path.display().to_string();
        let limit = match () {
            _ if place.contains("/tricks/src/") => 150,
            _ if place.ends_with("/train/src/algorithm.rs") => 60,
            _ => 800,
        };
        let lines = text.lines().count();
        assert!(lines <= limit, "{place}: {lines} lines, of at most {limit}");
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in sources() {
        let in_tests = path.components().any(|part| part.as_os_str() == "tests");
        assert!(in_tests || text.starts_with("//!"), "{}: no //! at its top", path.display());
    }
}

/// Arrows point down only: a crate may name those below it and no other.
#[test]
fn crates_depend_only_on_those_below() {
    let below = |name: &str| -> &[&str] {
        match name {
            "kernels" | "record" | "tricks" | "weights" | "world" => &[],
            "nn" => &["kernels", "tricks"],
            "zoo" => &["nn"],
            "onnx" => &["nn", "zoo"],
            "recipe" => &["tricks"],
            "data" => &["recipe", "weights"],
            "report" => &["recipe", "record", "tricks"],
            "train" => &["nn", "recipe", "record", "tricks", "world"],
            "classify" => {
                &["data", "nn", "recipe", "record", "train", "tricks", "weights", "world", "zoo"]
            }
            "detect" => &["data", "nn", "recipe", "record", "train", "tricks", "world", "zoo"],
            "segment" => &["data", "nn", "recipe", "record", "train", "world", "zoo"],
            "cli" => &[
                "classify", "data", "detect", "kernels", "nn", "onnx", "recipe", "record",
                "report", "segment", "train", "tricks", "world", "zoo",
            ],
            other => panic!("crates/{other} has no place in the house yet"),
        }
    };
    let ours = [
        "classify", "data", "detect", "kernels", "nn", "onnx", "recipe", "record", "report",
        "segment", "train", "tricks", "weights", "world", "zoo",
    ];
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let manifest = fs::read_to_string(entry.path().join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let dependency = line.split([' ', '.', '=']).next().unwrap_or_default();
            let allowed = !ours.contains(&dependency) || below(&name).contains(&dependency);
            assert!(allowed, "crates/{name} depends on {dependency}, which is not below it");
        }
    }
}

/// ARCHITECTURE.md gives each dependency its reason.
#[test]
fn every_dependency_has_its_reason() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap();
    for line in table.split("\n[").next().unwrap().lines() {
        let Some((name, rest)) = line.split_once(" = ") else { continue };
        if !rest.contains("path = ") {
            assert!(architecture.contains(&format!("| `{name}` |")), "{name} has no reason");
        }
    }
}

/// The text of a source file without its tests; None for a file that holds nothing but tests, benchmarks or examples.
fn production<'a>(path: &Path, text: &'a str) -> Option<&'a str> {
    let aside = |part: &str| ["tests", "tests.rs", "examples", "benches"].contains(&part);
    let is_aside = path.components().any(|part| part.as_os_str().to_str().is_some_and(aside));
    (!is_aside).then(|| text.split("#[cfg(test)]").next().unwrap_or_default())
}

/// Every production source file whose path inside `crates/` satisfies `inside`, with its text.
pub(crate) fn productions(inside: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let place = path.strip_prefix(root().join("crates")).unwrap().display().to_string();
        if let Some(text) = production(&path, &text).filter(|_| inside(&place)) {
            found.push((place, text.to_owned()));
        }
    }
    assert!(!found.is_empty(), "no file is looked at");
    found
}

/// Fails where a text is in a file whose path does not satisfy `allowed`, and where it is in no file at all.
#[track_caller]
fn only_in(needle: &str, allowed: impl Fn(&str) -> bool) {
    let all = productions(|_| true);
    let with: Vec<&String> =
        all.iter().filter(|(_, text)| text.contains(needle)).map(|(place, _)| place).collect();
    assert!(!with.is_empty(), "{needle} is nowhere: the rule looks for the wrong words");
    for place in with {
        assert!(allowed(place), "crates/{place} holds {needle}");
    }
}

#[test]
fn there_is_one_step_and_one_loop() {
    only_in("slots.update(", |place| place == "train/src/state.rs");
    only_in("state.update(", |place| place == "train/src/step.rs");
    only_in("statistics.observe(", |place| place == "train/src/state.rs");
    only_in("while state.step <", |place| place == "train/src/algorithm.rs");
}

#[test]
fn gradients_are_taken_in_nn_and_train_alone() {
    let allowed = |place: &str| place.starts_with("nn/") || place.starts_with("train/");
    only_in(".backward()", allowed);
    only_in("Contribution::of_part", allowed);
    only_in(".tracked()", allowed);
}

#[test]
fn recipe_types_have_no_defaults() {
    for (place, text) in productions(|place| {
        let machinery = ["form.rs", "declared.rs"].iter().any(|file| place.ends_with(file));
        place == "recipe/src/types.rs" || place.starts_with("recipe/src/keys/") && !machinery
    }) {
        assert!(!text.contains("Default"), "crates/{place} has a default");
    }
}

/// Which device computes is said by the command line; everything below gets it as an argument.
#[test]
fn the_device_comes_in_by_argument() {
    only_in("nn::cpu()", |place| place.starts_with("cli/"));
}

#[test]
fn reports_and_records_read_no_clock() {
    for (place, text) in productions(|p| p.starts_with("report/src") || p.starts_with("record/src"))
    {
        for clock in ["Instant", "SystemTime"] {
            assert!(!text.contains(clock), "crates/{place} has a clock");
        }
    }
}

/// Training knows no task: it names neither one nor what only one of them has.
#[test]
fn training_names_no_task() {
    for (place, text) in productions(|place| place.starts_with("train/src")) {
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for word in ["classify", "detect", "segment", "zoo", "data"] {
            let path = format!("{word}::");
            let used = text.lines().any(|line| {
                line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
                    .any(|token| token.starts_with(&path))
            });
            assert!(!used, "crates/{place} names {word}::");
        }
        for word in ["top1", "top5", "accuracy", "classifier"] {
            assert!(!words.contains(&word), "crates/{place} speaks of {word}");
        }
    }
}

/// One name, one meaning: no public type of one crate is called as one of another.
#[test]
fn public_types_of_two_crates_do_not_share_a_name() {
    let mut owners: std::collections::BTreeMap<String, String> = Default::default();
    for (place, text) in productions(|place| place.contains("/src/")) {
        let owner = place.split('/').next().unwrap().to_owned();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["pub", "struct" | "enum" | "trait" | "type", name, ..] = words[..] else {
                continue;
            };
            let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
            let other = owners.entry(name.clone()).or_insert(owner.clone());
            assert_eq!(*other, owner, "crates/{place}: {name} is also a type of {other}");
        }
    }
    assert!(owners.len() > 150, "types were not found: {}", owners.len());
}

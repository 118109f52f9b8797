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
            "cli" => &[
                "classify", "data", "kernels", "nn", "onnx", "recipe", "record", "report", "train",
                "tricks", "world", "zoo",
            ],
            other => panic!("crates/{other} has no place in the house yet"),
        }
    };
    let ours = [
        "classify", "data", "kernels", "nn", "onnx", "recipe", "record", "report", "train",
        "tricks", "weights", "world", "zoo",
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

//! `trickbag predict`: where images come from, and what becomes of those that are none.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::fixtures::{Sandbox, stderr, write_image};

/// A run, and beside it `photos`: three images at different depths in three formats, and something else.
fn photos() -> Sandbox {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    sandbox.succeed(&["train", recipe, "--data", data, "--out", "run"]);
    for (class, name) in ["b/red.png", "a.webp", "b/c/green.bmp"].iter().enumerate() {
        write_image(&sandbox.path("photos").join(name), class, 5);
    }
    sandbox.write("photos/notes.txt", "words");
    sandbox.write("photos/.hidden.png", "words");
    sandbox
}

fn images(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|each| each["image"].as_str().unwrap()).collect()
}

#[test]
fn folders_are_read_at_any_depth_in_order() {
    let sandbox = photos();
    let text = sandbox.succeed(&["predict", "run", "photos", "colors/red/00.png", "--json"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    let expected =
        ["photos/a.webp", "photos/b/c/green.bmp", "photos/b/red.png", "colors/red/00.png"];
    assert_eq!(images(&list), expected);
    for each in list.as_array().unwrap() {
        let classes = each["classes"].as_array().unwrap();
        let probability = |class: &Value| class["probability"].as_f64().unwrap();
        let sum: f64 = classes.iter().map(probability).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{text}");
        assert!(classes.is_sorted_by(|a, b| probability(a) >= probability(b)), "{text}");
    }
    let table = sandbox.succeed(&["predict", "run", "photos", "--top", "1"]);
    assert_eq!(table.lines().count(), 1 + 3, "{table}");
    assert!(table.lines().next().unwrap().contains("probability"), "{table}");
}

/// What an image is taken for does not depend on what is beside it.
#[test]
fn standard_input_is_an_image() {
    let sandbox = photos();
    let mut child = sandbox
        .command(&["predict", "run", "-", "photos/a.webp", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = fs::read(sandbox.path("photos/a.webp")).unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(images(&list), ["standard input", "photos/a.webp"]);
    assert_eq!(list[0]["classes"], list[1]["classes"]);

    let text = sandbox.fail(&["predict", "run", "-", "-"], 2);
    assert!(text.contains("give - once"), "{text}");
}

#[test]
fn images_that_cannot_be_read_are_named_and_the_others_told() {
    let sandbox = photos();
    sandbox.write("photos/b/broken.jpg", "words");
    let output =
        sandbox.run(&["predict", "run", "nowhere.png", "photos", "--html", "p.html", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    for words in ["nowhere.png", "photos/b/broken.jpg", "2 of 5 images could not be read"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (told, broken): (Vec<_>, Vec<_>) =
        list.as_array().unwrap().iter().partition(|each| each.get("error").is_none());
    assert_eq!((told.len(), broken.len()), (3, 2));
    let page = fs::read_to_string(sandbox.path("p.html")).unwrap();
    assert_eq!(page.matches("data:image/png;base64,").count(), 3);
    assert!(page.contains("3 images by resnet18d") && page.contains("photos/b/broken.jpg"));
    assert!(!page.contains("://"), "it asks for nothing outside itself");

    // Alone, its own message is the whole story.
    let text = sandbox.fail(&["predict", "run", "nowhere.png"], 1);
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn places_that_cannot_be_meant_are_told_first() {
    let sandbox = photos();
    fs::create_dir(sandbox.path("empty")).unwrap();
    for (arguments, code, words) in [
        (vec!["empty"], 1, vec!["empty", "no images here"]),
        (vec!["photos", "--html", "none/p.html"], 2, vec!["none", "make it first"]),
        (vec!["photos", "--html", "empty"], 2, vec!["empty is a folder"]),
        (vec!["photos", "--top", "0"], 2, vec!["--top"]),
        (vec![], 2, vec!["IMAGE"]),
    ] {
        let output = sandbox.run(&[&["predict", "run"], &arguments[..]].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "nothing is told: {arguments:?}");
        for word in words {
            assert!(text.contains(word), "{arguments:?}: no {word:?} in: {text}");
        }
    }
}

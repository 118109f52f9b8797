//! Models for other programs.

use std::fs;

use serde_json::Value;

use crate::fixtures::{CLASSES, Sandbox};

/// A trained run of the tiny recipe.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    sandbox.succeed(&["train", recipe, "--data", data, "--out", "run"]);
    sandbox
}

/// A folder that a killed export left is written again by the same command, and the model that was there before is none.
#[test]
fn a_killed_export_needs_no_clearing() {
    let sandbox = trained();
    let export = ["export", "run", "--format", "timm", "-o", "out"];
    sandbox.succeed(&export);
    let whole = |name: &str| fs::read(sandbox.path("out").join(name)).unwrap();
    let files = ["model.safetensors", "config.json"].map(|name| (name, whole(name)));
    for left in [
        &[("model.safetensors", 1000), (".config.json.tmp", 10)][..],
        &[(".model.safetensors.tmp", 1000)],
        &[("model.safetensors", usize::MAX)],
        &[],
    ] {
        fs::remove_dir_all(sandbox.path("out")).unwrap();
        fs::create_dir(sandbox.path("out")).unwrap();
        for (name, length) in left {
            let bytes = &files[0].1;
            sandbox.write(&format!("out/{name}"), &bytes[..bytes.len().min(*length)]);
        }
        if left.len() == 1 && left[0].0 == "model.safetensors" {
            let text = sandbox.fail(&["predict", "out", "colors"], 1);
            assert!(text.contains("interrupted; give the same command again"), "{text}");
        }
        sandbox.succeed(&export);
        for (name, bytes) in &files {
            assert_eq!(whole(name), *bytes, "{name}");
        }
        assert_eq!(fs::read_dir(sandbox.path("out")).unwrap().count(), 2, "{left:?}");
    }
}

/// The text that an ONNX file's metadata hold; strings in a protocol buffer are as they are.
#[test]
fn an_onnx_file_holds_classes_and_preprocessing() {
    let sandbox = trained();
    let text = sandbox.succeed(&["export", "run", "--format", "onnx", "-o", "net.onnx", "--json"]);
    let said: Value = serde_json::from_str(&text).unwrap();
    let bytes = fs::read(sandbox.path("net.onnx")).unwrap();
    assert_eq!(said["bytes"], bytes.len());
    assert_eq!((&said["format"], &said["path"]), (&"onnx".into(), &"net.onnx".into()));
    assert_eq!((&said["opset"], &said["batch_norms"]), (&17.into(), &"folded".into()));
    let held = |words: &str| bytes.windows(words.len()).any(|window| window == words.as_bytes());
    let names = serde_json::to_string(&CLASSES).unwrap();
    for words in [names.as_str(), "label_names", "crop_pct", "[3,16,16]", "\"bilinear\"", "batch"] {
        assert!(held(words), "{words}");
    }
    assert!(!held("BatchNormalization"));
    // Over an ONNX file another one may be written; the default name is the network's.
    sandbox.succeed(&["export", "run", "--format", "onnx", "-o", "net.onnx", "--keep-batch-norms"]);
    let kept = fs::read(sandbox.path("net.onnx")).unwrap();
    assert!(kept.windows(18).any(|window| window == b"BatchNormalization"));
    sandbox.succeed(&["export", "run/model", "--format", "onnx"]);
    assert_eq!(
        fs::read(sandbox.path("resnet18d.onnx")).unwrap(),
        bytes,
        "the same bytes each time"
    );
}

#[test]
fn a_timm_folder_says_what_timm_cannot_build() {
    let sandbox = trained();
    let output = sandbox.run(&["export", "run", "--format", "timm", "-o", "deep/folder", "--json"]);
    let text = crate::fixtures::stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("timm cannot build resnet18d: timm has no ResNet stem of stride 1"),
        "{text}"
    );
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["timm"], false);
    for file in ["model.safetensors", "config.json"] {
        let read = |folder: &str| fs::read(sandbox.path(folder).join(file)).unwrap();
        assert_eq!(read("deep/folder"), read("run/model"), "{file}");
    }
    sandbox.succeed(&["export", "run", "--format", "timm", "-o", "deep/folder"]);
}

#[test]
fn exports_that_cannot_be_meant() {
    let sandbox = trained();
    sandbox.write("notes.txt", "words");
    sandbox.write("full/notes.txt", "words");
    for (arguments, code, words) in [
        (vec!["run", "--format", "onx"], 2, vec!["onx", "similar value", "onnx"]),
        (vec!["run"], 2, vec!["--format"]),
        (vec!["full", "--format", "onnx"], 1, vec!["full", "no model here"]),
        (vec!["run", "--format", "onnx", "-o", "notes.txt"], 2, vec!["notes.txt", "no ONNX file"]),
        (vec!["run", "--format", "onnx", "-o", "full"], 2, vec!["full is a folder", "-o"]),
        (
            vec!["run", "--format", "onnx", "-o", "none/a.onnx"],
            2,
            vec!["-o none/a.onnx: there is no folder none; make it first"],
        ),
        (vec!["run", "--format", "onnx", "-o", "/dev/null"], 2, vec!["no regular file"]),
        (vec!["run", "--format", "timm", "-o", "notes.txt/a"], 2, vec!["notes.txt is a file"]),
        (vec!["run", "--format", "timm", "-o", "run/model"], 2, vec!["is the model itself"]),
        (vec!["run", "--format", "timm", "-o", "notes.txt"], 2, vec!["notes.txt is a file"]),
        (vec!["run", "--format", "timm", "-o", "full"], 2, vec!["full holds other files"]),
        (vec!["run", "--format", "timm", "-o", "run"], 2, vec!["run holds other files"]),
        (vec!["run", "--format", "timm", "--keep-batch-norms"], 2, vec!["--keep-batch-norms"]),
    ] {
        let text = sandbox.fail(&[&["export"], &arguments[..]].concat(), code);
        for word in words {
            assert!(text.contains(word), "{arguments:?}: no {word:?} in: {text}");
        }
        assert!(!text.contains("--resume"), "an export resumes nothing: {text}");
    }
    assert_eq!(fs::read(sandbox.path("notes.txt")).unwrap(), b"words");
}

//! Datasets with bad images, from `data check` to the end of a run, and packed copies.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixtures::{Sandbox, stderr};

/// `trickbag train` of the tiny recipe.
fn train<'a>(recipe: &'a Path, data: &'a Path, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    [&["train", recipe, "--data", data, "--out", out][..], more].concat()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const SKIP: [&str; 2] = ["--set", "data.on_bad_sample=skip"];

#[test]
fn ten_spoiled_files_stop_a_run_that_names_all_ten() {
    let sandbox = Sandbox::new();
    let (recipe, (data, names)) = (sandbox.recipe(), sandbox.spoiled());
    let text = sandbox.fail(&train(&recipe, &data, "run", &[]), 1);
    assert!(text.contains("42 training and 12 validation images in 3 classes, "), "{text}");
    assert!(text.contains("10 of 54 images cannot be used"), "{text}");
    for name in &names {
        assert!(text.contains(&format!("{}: ", data.join(name).display())), "no {name} in: {text}");
    }
    assert!(!sandbox.path("run/model").exists());
}

#[test]
fn ten_spoiled_files_are_skipped_and_listed() {
    let sandbox = Sandbox::new();
    let (recipe, (data, names)) = (sandbox.recipe(), sandbox.spoiled());
    let output = sandbox.run(&train(&recipe, &data, "run", &[&SKIP[..], &["--json"]].concat()));
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    let result = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(result["bad_images"], 10);
    assert_eq!(result["images"], 12, "every validation image counts");

    let list = fs::read_to_string(sandbox.path("run/bad_samples.jsonl")).unwrap();
    let rows: Vec<Value> = list.lines().map(json).collect();
    assert_eq!(result["skips"], rows.len());
    let inner = |row: &Value, key: &str| {
        let path = row[key].as_str().unwrap().to_owned();
        path.strip_prefix(&format!("{}/", data.display())).unwrap().to_owned()
    };
    let bad: BTreeSet<String> = rows.iter().map(|row| inner(row, "image")).collect();
    assert_eq!(bad, names.iter().cloned().collect());
    for row in &rows {
        assert!(!names.contains(&inner(row, "stand_in")), "{row}");
        assert!(!row["reason"].as_str().unwrap().is_empty());
    }
    // Each is told once while the run goes on.
    for name in &names {
        assert_eq!(told.matches(name.as_str()).count(), 1, "{told}");
    }

    let threads = ["--threads", "3", "--loader-threads", "1"];
    sandbox.succeed(&train(&recipe, &data, "other", &[&SKIP[..], &threads].concat()));
    for file in ["bad_samples.jsonl", "model/model.safetensors"] {
        let bytes = |run: &str| fs::read(sandbox.path(run).join(file)).unwrap();
        assert!(bytes("run") == bytes("other"), "{file} depends on threads");
    }
}

#[test]
fn a_bad_validation_image_stops_a_run_that_skips() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.parts());
    fs::write(data.join("val/red/15.png"), b"").unwrap();
    let text = sandbox.fail(&train(&recipe, &data, "run", &SKIP), 1);
    assert!(text.contains("1 of 54 images cannot be used"), "{text}");
    assert!(text.contains("val/red/15.png: the file is empty"), "{text}");
    assert!(text.contains("never without a validation image"), "{text}");
}

#[test]
fn data_check_tells_all_kinds_and_whether_training_would_stop() {
    let sandbox = Sandbox::new();
    let (data, names) = sandbox.spoiled();
    let data = data.to_str().unwrap();
    let text = sandbox.fail(&["data", "check", data], 1);
    assert!(text.contains("parts: 10 findings would stop training"), "{text}");
    let output = sandbox.run(&["data", "check", data, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(report["stops_training"], true);
    assert_eq!(
        (report["train_images"].clone(), report["validation_images"].clone()),
        (42.into(), 12.into())
    );
    let counts = &report["counts"];
    let stopping = ["zero_bytes", "unreadable", "truncated", "too_many_pixels"];
    assert_eq!(stopping.map(|kind| counts[kind].as_u64().unwrap()), [3, 3, 2, 2]);
    assert_eq!(counts["duplicate"], 0);
    let found: BTreeSet<String> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["path"].as_str().unwrap().replace(&format!("{data}/"), ""))
        .collect();
    assert_eq!(found, names.into_iter().collect());

    let clean = sandbox.colors();
    fs::copy(clean.join("red/00.png"), clean.join("red/99.png")).unwrap();
    let text = sandbox.succeed(&["data", "check", clean.to_str().unwrap()]);
    assert!(text.contains("duplicate      1  goes on   the same content twice"), "{text}");
    assert!(text.contains("red/99.png: the same bytes as "), "{text}");
    sandbox.fail(&["data", "check", "nowhere"], 1);
}

#[test]
fn data_info_counts_and_draws() {
    let sandbox = Sandbox::new();
    let data = sandbox.parts();
    let data = data.to_str().unwrap();
    let info = json(&sandbox.succeed(&["data", "info", data, "-o", "sheet.png", "--json"]));
    assert_eq!(info["train_images"], 42);
    assert_eq!(info["classes"][2]["class"], "red");
    assert_eq!(info["classes"][2]["validation_images"], 4);
    assert_eq!(info["width"]["maximum"], 21);
    let mean = info["mean"][0].as_f64().unwrap();
    assert!((50.0..150.0).contains(&mean), "{info}");
    let sheet = image::open(sandbox.path("sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (10 * 100 + 4, 3 * 100 + 4));
    let text = sandbox.succeed(&["data", "info", data]);
    assert!(text.contains("normalize = { mean = [") && text.contains("red"), "{text}");
}

/// A run on a packed copy is the run on the original, to the bit.
#[test]
fn a_packed_copy_trains_to_the_same_model() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.parts());
    let pack = ["data", "pack", data.to_str().unwrap(), "-o", "copy", "--json"];
    let packed = json(&sandbox.succeed(&pack));
    assert_eq!((packed["images"].clone(), packed["shards"].clone()), (54.into(), 1.into()));
    sandbox.succeed(&pack);
    let text = sandbox.fail(&[&pack[..], &["--raw"]].concat(), 1);
    assert!(text.contains("copy: holds another pack"), "{text}");

    let copy = sandbox.path("copy");
    sandbox.succeed(&train(&recipe, &data, "run", &[]));
    sandbox.succeed(&train(&recipe, &copy, "run-on-copy", &[]));
    let model = |run: &str| fs::read(sandbox.path(run).join("model/model.safetensors")).unwrap();
    assert!(model("run") == model("run-on-copy"));
    let text = sandbox.succeed(&["data", "check", copy.to_str().unwrap()]);
    assert!(text.contains("nothing found"), "{text}");

    let shard = copy.join("shard-00000.pack");
    let whole = fs::read(&shard).unwrap();
    fs::write(&shard, &whole[..whole.len() - 9]).unwrap();
    let text = sandbox.fail(&train(&recipe, &copy, "cut", &[]), 1);
    assert!(text.contains("shard-00000.pack: not a usable packed copy"), "{text}");

    let (data, names) = sandbox.spoiled();
    let text = sandbox.fail(&["data", "pack", data.to_str().unwrap(), "-o", "bad"], 1);
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn bench_loader_tells_the_share_of_each_step() {
    let sandbox = Sandbox::new();
    let data = sandbox.parts();
    for augment in ["crop-flip", "paper"] {
        let arguments = ["bench", "loader", "--data", data.to_str().unwrap(), "--size", "16"];
        let more = ["--augment", augment, "--threads", "2", "--rounds", "3", "--seconds", "0.01"];
        let result = json(&sandbox.succeed(&[&arguments[..], &more, &["--json"]].concat()));
        assert!(result["images_per_second"].as_f64().unwrap() > 1.0, "{result}");
        assert_eq!(result["images"], 42);
        assert!(result["bytes"].as_u64().unwrap() > 1000);
        let shares = result["shares"].as_object().unwrap();
        let sum: f64 = shares.values().map(|share| share.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{result}");
        assert!(
            shares["decode"].as_f64().unwrap() > 0.0 && shares["color"].as_f64().unwrap() > 0.0
        );
    }
}

//! The paper's tables, run at the scale of a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::fixtures::Sandbox;

/// A teacher and three rows with two seeds each: seven runs.
fn arguments(out: &str) -> Vec<&str> {
    let rows = "smoothing,distillation,mixup";
    let of = ["ablate", "table6", "--preset", "smoke", "--columns", "resnet50d", "--rows", rows];
    [&of[..], &["--seeds", "2", "--out", out]].concat()
}

fn start(sandbox: &Sandbox, out: &str) -> Child {
    let mut command = sandbox.command(&arguments(out));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command runs")
}

/// Every run folder of the ablation that holds this file, sorted.
fn runs_with(folder: &Path, file: &str) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let mut found: Vec<PathBuf> = list(&folder.join("runs"))
        .iter()
        .flat_map(|row| list(row))
        .filter(|run| run.join(file).exists())
        .collect();
    found.sort();
    found
}

fn bytes(runs: &[PathBuf], file: &str) -> Vec<Vec<u8>> {
    runs.iter().map(|run| fs::read(run.join(file)).unwrap()).collect()
}

fn table(sandbox: &Sandbox, out: &str) -> Value {
    let text = fs::read_to_string(sandbox.path(out).join("table.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn killed_and_resumed_an_ablation_repeats_nothing_and_gives_the_same_table() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&arguments("whole"));
    let folder = sandbox.path("killed");
    // Inside the second, the fourth and the sixth run.
    for begun in [2, 4, 6] {
        let mut child = start(&sandbox, "killed");
        while runs_with(&folder, "recipe.toml").len() < begun {
            assert!(child.try_wait().unwrap().is_none(), "ended before run {begun}");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let finished = runs_with(&folder, "result.json");
    assert!((5..7).contains(&finished.len()), "{finished:?}");
    // How long each run took is in its result: one that was done again would say another time.
    let before = bytes(&finished, "result.json");
    sandbox.succeed(&arguments("killed"));
    assert_eq!(bytes(&finished, "result.json"), before);
    assert_eq!(runs_with(&folder, "result.json").len(), 7);
    assert_eq!(table(&sandbox, "killed"), table(&sandbox, "whole"));
    for (a, b) in runs_with(&folder, "model").iter().zip(runs_with(&sandbox.path("whole"), "model"))
    {
        let weights = |run: &Path| fs::read(run.join("model/model.safetensors")).unwrap();
        assert!(weights(a) == weights(&b), "{} and {}", a.display(), b.display());
    }
}

#[test]
fn a_table_tells_published_and_measured_numbers_apart() {
    let sandbox = Sandbox::new();
    let arguments = ["ablate", "table5", "--preset", "smoke", "--seeds", "2", "--out", "t"];
    let text = sandbox.succeed(&[&arguments[..], &["--json"]].concat());
    let printed: Value = serde_json::from_str(&text).unwrap();
    let written = table(&sandbox, "t");
    assert_eq!(printed, written);
    let rows = written["columns"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let d = &rows[3];
    assert_eq!(
        (&d["name"], &d["from"], &d["proxy"]),
        (&"resnet50-d".into(), &"resnet50-c".into(), &true.into())
    );
    assert_eq!(d["published"]["top1"], 77.16);
    assert_eq!(d["difference"]["top1"]["n"], 2);
    let values = |row: usize| -> Vec<f64> {
        let values = rows[row]["ours"]["top1"]["values"].as_array().unwrap();
        values.iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let expected = mean(&values(3)) - mean(&values(2));
    let found = d["difference"]["top1"]["mean"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    assert!(d["ours"]["parameters_millions"]["mean"].as_f64().unwrap() > 0.0);
    assert!(d["ours"]["images_per_second"]["mean"].as_f64().unwrap() > 0.0);

    let text = fs::read_to_string(sandbox.path("t/table.md")).unwrap();
    for words in [
        "## Table 5: ResNet-50 and its tweaks",
        "a proxy: 200 of the Fashion-MNIST images",
        "over seeds 1, 2",
        "`trickbag ablate table5 --preset smoke --seeds 2`",
        "| ResNet-50-D (proxy) | 25 M | ",
        "| 77.16 | ",
        "top-1 ours (smoke proxy)",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
}

#[test]
fn an_ablation_tells_its_time_first() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(&[&arguments("t")[..], &["--dry-run"]].concat());
    let (out, note) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{note}");
    assert!(note.contains("7 runs, ") && note.contains("minutes a run"), "{note}");
    assert!(out.contains("taught by teacher"), "{out}");
    assert!(!sandbox.path("t").exists(), "a dry run begins nothing");
}

#[test]
fn what_cannot_be_run_is_refused() {
    let sandbox = Sandbox::new();
    let refuse = |arguments: &[&str], words: &[&str]| {
        let text = sandbox.fail(&[&["ablate"], arguments].concat(), 2);
        for word in words {
            assert!(text.contains(word), "no {word:?} in: {text}");
        }
    };
    refuse(&["table44"], &["no table is named \"table44\"", "did you mean \"table4\"?"]);
    refuse(&["table4", "--preset", "smokey"], &["\"smokey\"", "did you mean \"smoke\"?"]);
    refuse(&["table4", "--rows", "warmpu"], &["did you mean \"warmup\"?", "zero-gamma"]);
    refuse(&["table4", "--columns", "bs1042"], &["did you mean \"bs1024\"?"]);
    refuse(&["table2", "--preset", "smoke", "--rows", "inception_v3"], &["no stand-in"]);
    refuse(&["table4", "--preset", "cifar10"], &["--data"]);
    refuse(&["table4", "--preset", "smoke", "--seeds", "0"], &["--seeds"]);

    let rows = ["--rows", "baseline", "--columns", "bs256", "--out", "t"];
    sandbox
        .succeed(&[&["ablate", "table4", "--preset", "smoke", "--seeds", "1"], &rows[..]].concat());
    for (other, words) in [
        (["table4", "--preset", "smoke", "--seeds", "2"], "seeds: [1] → [1,2]"),
        (["table5", "--preset", "smoke", "--seeds", "1"], "table: \"table4\" → \"table5\""),
    ] {
        refuse(
            &[&other[..], &["--out", "t"]].concat(),
            &["another ablation is here", words, "--out"],
        );
    }
    // More rows are no other ablation.
    let more = ["--rows", "warmup", "--columns", "bs256", "--out", "t"];
    sandbox
        .succeed(&[&["ablate", "table4", "--preset", "smoke", "--seeds", "1"], &more[..]].concat());
    let rows = table(&sandbox, "t")["columns"][0]["rows"].clone();
    let ran = |row: &&Value| row["ours"]["top1"]["n"] == 1;
    // The first row's run is the second row's too.
    assert_eq!(rows.as_array().unwrap().iter().filter(ran).count(), 3, "{rows}");
}

#[test]
fn rows_are_recipes_by_name() {
    let sandbox = Sandbox::new();
    let text = sandbox.succeed(&["recipes", "table6.mixup"]);
    assert!(
        text.starts_with("# Table 6, ResNet-50-D, + mixup w/o distill. Published: 79.15"),
        "{text}"
    );
    assert!(text.contains("duration = \"200 epochs\""), "{text}");
    let text = sandbox.fail(&["recipes", "table6.mixpu"], 2);
    assert!(text.contains("did you mean \"mixup\"?"), "{text}");
    let text = sandbox.fail(&["train", "table6.mixpu"], 2);
    assert!(text.contains("did you mean \"mixup\"?"), "{text}");
    let text = sandbox.fail(&["train", "table4.warmup"], 2);
    assert!(text.contains("recipe table4.warmup trains on a dataset of yours"), "{text}");
    assert!(sandbox.succeed(&["recipes"]).contains("table7.best"));
    let text = sandbox.succeed(&["recipes", "table3"]);
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(
        text.contains("Table 3, Baseline, MobileNet: 6.2 min time/epoch, 69.03 top-1"),
        "{text}"
    );
}

#[test]
fn a_submission_has_a_line_for_each_image_in_order() {
    let sandbox = Sandbox::new();
    let edits = ["--set", "train.duration=1 steps", "--set", "rate.decay={cosine={}}"];
    let of = ["--set", "rate.warmup=off", "--set", "data.limit=200", "--out", "run"];
    sandbox.succeed(&[&["train", "quickstart"], &edits[..], &of[..]].concat());
    let colors = sandbox.colors();
    let images = sandbox.path("test");
    fs::create_dir(&images).unwrap();
    for (from, to) in
        [("red/01.png", "b_2.png"), ("blue/02.png", "b_10.png"), ("green/03.png", "a.png")]
    {
        fs::copy(colors.join(from), images.join(to)).unwrap();
    }
    fs::write(images.join("notes.txt"), "no image").unwrap();
    let told = sandbox.succeed(&["predict", "run", "test", "--submission", "submission.txt"]);
    assert!(told.contains("3 images"), "{told}");
    let text = fs::read_to_string(sandbox.path("submission.txt")).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(
        lines.iter().map(|line| line[0]).collect::<Vec<_>>(),
        ["a.png", "b_10.png", "b_2.png"]
    );
    for line in &lines {
        let mut labels: Vec<usize> = line[1..].iter().map(|label| label.parse().unwrap()).collect();
        assert!(labels.len() == 5 && labels.iter().all(|&label| label < 10), "{line:?}");
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), 5, "five classes, each once");
    }
    // The first label is the class that `predict` names first.
    let told = sandbox.succeed(&["predict", "run", "test/a.png", "--top", "1", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let names = data::Dataset::fashion_mnist().classes;
    let first: usize = lines[0][1].parse().unwrap();
    assert_eq!(told[0]["classes"][0]["class"], names[first]);

    fs::rename(images.join("a.png"), images.join("a b.png")).unwrap();
    let text = sandbox.fail(&["predict", "run", "test", "--submission", "other.txt"], 2);
    assert!(text.contains("a b.png") && text.contains("spaces"), "{text}");
    let text = sandbox.fail(&["predict", "run", "colors", "--submission", "other.txt"], 2);
    assert!(text.contains("have one name"), "{text}");
}

//! Train, evaluate, predict.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixtures::{CLASSES, Sandbox};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Trains the tiny recipe into `out`.
fn train(sandbox: &Sandbox, out: &str, more: &[&str]) -> Value {
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let mut arguments = vec![
        "train",
        recipe.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
        "--out",
        out,
        "--json",
    ];
    arguments.extend(more);
    json(&sandbox.succeed(&arguments))
}

/// The rows of metrics.jsonl of a kind.
fn rows(folder: &Path, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines().map(json).filter(|row| row["kind"] == kind).collect()
}

#[test]
fn a_run_learns_and_leaves_what_it_promises() {
    let sandbox = Sandbox::new();
    let result = train(&sandbox, "run", &[]);
    assert_eq!(result["steps"], 40);
    assert_eq!(result["images"], 12);
    assert!(result["top1"].as_f64().unwrap() >= 75.0, "{result}");

    let run = sandbox.path("run");
    for file in ["recipe.toml", "run.json", "metrics.jsonl", "metrics.csv", "model/config.json"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    assert_eq!(rows(&run, "train").len(), 40);
    assert_eq!(rows(&run, "evaluation").len(), 4);
    let config = json(&fs::read_to_string(run.join("model/config.json")).unwrap());
    assert_eq!(config["label_names"], Value::from(CLASSES.to_vec()));
    assert_eq!(config["pretrained_cfg"]["input_size"], Value::from(vec![3, 16, 16]));
    let why = config["trickbag"]["timm"].as_str().unwrap();
    assert!(why.contains("cannot build it"), "{why}");

    let kept = fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert!((2..=3).contains(&kept), "{kept} checkpoints: the last two and the best");
}

#[test]
fn eval_repeats_the_accuracy_of_the_run() {
    let sandbox = Sandbox::new();
    let trained = train(&sandbox, "run", &[]);
    for model in ["run", "run/model"] {
        for threads in ["1", "2"] {
            let data = sandbox.path("colors");
            let evaluated = json(&sandbox.succeed(&[
                "eval",
                model,
                "--data",
                data.to_str().unwrap(),
                "--threads",
                threads,
                "--json",
            ]));
            for key in ["top1", "top5", "loss", "images"] {
                assert_eq!(evaluated[key], trained[key], "{key}");
            }
        }
    }
}

#[test]
fn one_and_two_threads_give_the_same_bytes() {
    let sandbox = Sandbox::new();
    let one = ["--threads", "1", "--loader-threads", "1"];
    let three = ["--threads", "3", "--loader-threads", "2"];
    train(&sandbox, "one", &one);
    train(&sandbox, "two", &["--threads", "2"]);
    train(&sandbox, "three", &three);
    let model = |out: &str| fs::read(sandbox.path(out).join("model/model.safetensors")).unwrap();
    assert!(model("one") == model("two"), "1 and 2 threads");
    assert!(model("one") == model("three"), "1 and 3 threads");
}

#[test]
fn predict_ranks_the_classes() {
    let sandbox = Sandbox::new();
    train(&sandbox, "run", &[]);
    let predictions =
        json(&sandbox.succeed(&["predict", "run", "colors/red/03.png", "--top", "2", "--json"]));
    let classes = predictions[0]["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 2);
    let probability = |index: usize| classes[index]["probability"].as_f64().unwrap();
    assert!(probability(0) >= probability(1) && probability(0) <= 1.0);
    assert!(CLASSES.contains(&classes[0]["class"].as_str().unwrap()));
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let sandbox = Sandbox::new();
    let plan = train(&sandbox, "run", &["--dry-run"]);
    assert_eq!(plan["steps"], 40);
    assert_eq!(plan["train_images"], 42);
    assert!(plan["memory_bytes"].as_u64().unwrap() > 100_000);
    assert!(plan["expected_seconds"].as_f64().unwrap() > 0.0);
    assert!(!sandbox.path("run").exists());
}

#[test]
fn a_set_changes_the_recipe_that_the_run_keeps() {
    let sandbox = Sandbox::new();
    train(&sandbox, "run", &["--set", "seed=9", "--set", "rate.warmup=off"]);
    let kept = fs::read_to_string(sandbox.path("run/recipe.toml")).unwrap();
    assert!(kept.contains("seed = 9") && !kept.contains("warmup"), "{kept}");
}

#[test]
fn without_out_a_second_run_gets_a_folder_of_its_own() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let short = ["--set", "train.duration=5 steps", "--set", "rate.warmup=off"];
    let mut arguments = vec!["train", recipe.to_str().unwrap(), "--data", data.to_str().unwrap()];
    arguments.extend(short);
    arguments.extend(["--set", "rate.decay.step.at=[]", "--set", "train.evaluate_every=5 steps"]);
    sandbox.succeed(&arguments);
    sandbox.succeed(&arguments);
    assert!(sandbox.path("runs/tiny/model").is_dir());
    assert!(sandbox.path("runs/tiny-2/model").is_dir());
}

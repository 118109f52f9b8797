//! Reports of real runs, and the figures that are in the repository.

use std::fs;
use std::path::Path;

use crate::fixtures::{CLASSES, Sandbox};

/// Trains the tiny recipe into `out`.
fn train(sandbox: &Sandbox, out: &str, more: &[&str]) {
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    let mut arguments = vec!["train", recipe, "--data", data, "--out", out];
    arguments.extend(more);
    sandbox.succeed(&arguments);
}

fn text(sandbox: &Sandbox, file: &str) -> String {
    fs::read_to_string(sandbox.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn a_run_keeps_its_predictions_and_ends_with_a_page() {
    let sandbox = Sandbox::new();
    train(&sandbox, "run", &[]);
    let metrics = text(&sandbox, "run/metrics.jsonl");
    let rows = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let last = rows.rev().find(|row| row["kind"] == "evaluation").unwrap();
    let predictions: Vec<serde_json::Value> = text(&sandbox, "run/predictions.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(predictions.len(), 12, "each validation image once");
    let right = predictions.iter().filter(|row| row["label"] == row["predicted"]).count();
    assert_eq!(100.0 * right as f64 / 12.0, last["top1"].as_f64().unwrap());
    for row in &predictions {
        assert_eq!(row["step"], 40, "of the last evaluation");
        let class = CLASSES[row["label"].as_u64().unwrap() as usize];
        let image = row["image"].as_str().unwrap();
        assert!(image.contains(&format!("/{class}/")), "{image} is {class}");
        let confidence = row["confidence"].as_f64().unwrap();
        assert!((1.0 / 3.0..=1.0).contains(&confidence), "{confidence}");
        assert!(row["gap"].as_f64().unwrap() >= 0.0);
    }
    let thumbnails = fs::read_dir(sandbox.path("run/mistakes")).unwrap().count();
    assert_eq!(thumbnails, 12 - right);
    let page = text(&sandbox, "run/report.html");
    sandbox.succeed(&["report", "run", "-o", "again.html"]);
    assert_eq!(page, text(&sandbox, "again.html"), "the same files give the same page");
    for expected in ["<h1>run</h1>", "Confusion matrix", "seed = 3", "instruction set"] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(!page.contains("class=\"note\""), "nothing is amiss");
}

#[test]
fn two_runs_share_a_page_and_the_figures_of_runs() {
    let sandbox = Sandbox::new();
    train(&sandbox, "a", &[]);
    train(&sandbox, "b", &["--set", "rate.base=0.1"]);
    let printed = sandbox.succeed(&["report", "a", "b"]);
    assert_eq!(printed.trim(), "report: report.html");
    let page = text(&sandbox, "report.html");
    assert!(page.contains("2 runs") && page.contains("<code>rate.base: 0.2 → 0.1</code>"));
    let arguments = ["figures", "-o", "f", "--curves", "a", "b", "--gaps", "a", "b"];
    assert_eq!(sandbox.succeed(&arguments).lines().count(), 6);
    assert!(text(&sandbox, "f/figure3b.svg").contains(">b</text>"));
    assert!(text(&sandbox, "f/figure4b.svg").contains("12 images"));
}

#[test]
fn what_is_no_run_is_refused() {
    let sandbox = Sandbox::new();
    let text = sandbox.fail(&["report", "nowhere"], 1);
    assert!(text.contains("nowhere: no such folder"), "{text}");
    fs::create_dir(sandbox.path("empty")).unwrap();
    let text = sandbox.fail(&["report", "empty"], 1);
    assert!(text.contains("empty: no run here"), "{text}");
    assert!(!sandbox.path("empty/report.html").exists());
    sandbox.fail(&["report"], 2);

    sandbox.write("young/recipe.toml", "");
    sandbox.succeed(&["report", "young"]);
    for (flag, figure) in [("--curves", "figure 3b"), ("--gaps", "figure 4b")] {
        let text = sandbox.fail(&["figures", "-o", "f", flag, "young"], 2);
        assert!(text.contains("young") && text.contains(figure), "{text}");
    }
    assert!(!sandbox.path("f").exists(), "nothing is written");
}

/// `trickbag figures`, run in the repository, writes these.
#[test]
fn the_figures_in_the_repository_are_what_the_command_writes() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["figures", "-o", "f"]);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/figures");
    for name in ["figure1.svg", "figure2.svg", "figure3a.svg", "figure4a.svg"] {
        let known = fs::read_to_string(kept.join(name)).unwrap();
        assert!(known == text(&sandbox, &format!("f/{name}")), "{name}: run `trickbag figures`");
    }
}

//! A run that is killed and resumed is the run that never was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::fixtures::Sandbox;

struct Case {
    sandbox: Sandbox,
    recipe: PathBuf,
    data: PathBuf,
}

impl Case {
    fn tiny() -> Case {
        let sandbox = Sandbox::new();
        Case { recipe: sandbox.recipe(), data: sandbox.colors(), sandbox }
    }

    /// Ten bad images, skipped.
    fn spoiled() -> Case {
        let sandbox = Sandbox::new();
        let text = fs::read_to_string(sandbox.recipe()).unwrap();
        let text = text.replace("split = 0.2", "split = 0.2\non_bad_sample = \"skip\"");
        let (data, _) = sandbox.spoiled();
        Case { recipe: sandbox.write("skipping.toml", text), data, sandbox }
    }

    /// From a run of the tiny recipe, the stem and the first stage frozen.
    fn fine_tuning() -> Case {
        let case = Case::tiny();
        let (recipe, data) = (case.recipe.to_str().unwrap(), case.sandbox.colors());
        let data = data.to_str().unwrap();
        case.sandbox.succeed(&["train", recipe, "--data", data, "--out", "source"]);
        let init = "[init]\nfrom = \"source\"\nfreeze = \"stage1\"\n\n[data]";
        let text = fs::read_to_string(recipe).unwrap().replacen("[data]", init, 1);
        let text = text.replacen("base = 0.2", "base = 0.2\nhead = 3.0", 1);
        Case { recipe: case.sandbox.write("fine.toml", text), ..case }
    }

    /// Every trick on.
    fn everything() -> Case {
        let sandbox = Sandbox::new();
        Case { recipe: sandbox.everything(), data: sandbox.colors(), sandbox }
    }

    /// Every trick on, and half precision.
    fn half() -> Case {
        let Case { recipe, data, sandbox } = Case::everything();
        Case { recipe: sandbox.in_half(&recipe), data, sandbox }
    }
}

/// The run of the tests here: long enough to be killed ten times.
fn arguments(case: &Case, out: &str) -> Vec<String> {
    let Case { recipe, data, .. } = case;
    let arguments = [
        "train",
        recipe.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
        "--out",
        out,
        "--set",
        "train.duration=24 epochs",
    ];
    arguments.map(str::to_owned).to_vec()
}

fn start(case: &Case, out: &str, resume: bool) -> Child {
    let mut arguments = arguments(case, out);
    if resume {
        arguments.push("--resume".to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = case.sandbox.command(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command runs")
}

fn finish(case: &Case, out: &str, resume: bool) {
    let status = start(case, out, resume).wait().unwrap();
    assert!(status.success(), "{out}");
}

/// The training steps in metrics.jsonl so far.
fn logged(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
    text.lines().filter(|line| line.contains("\"train\"")).count() as u64
}

/// Returns once the child has logged `steps` steps, or has ended.
fn wait_for(child: &mut Child, folder: &Path, steps: u64) {
    while logged(folder) < steps && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
}

fn model(case: &Case, out: &str) -> Vec<u8> {
    fs::read(case.sandbox.path(out).join("model/model.safetensors")).unwrap()
}

/// metrics.jsonl without what depends on the clock.
fn metrics(case: &Case, out: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(case.sandbox.path(out).join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
            let row_map = row.as_object_mut().unwrap();
            for key in ["images_per_second", "wait_share", "seconds"] {
                row_map.remove(key);
            }
            row
        })
        .collect()
}

#[test]
fn killed_at_ten_moments_a_run_ends_in_the_same_bytes() {
    kill_ten_times(&Case::tiny());
}

/// Mixing is a function of the step, the average of the weights is in the checkpoint, and the teacher is read again.
#[test]
fn so_does_a_run_with_every_trick_on() {
    kill_ten_times(&Case::everything());
}

/// What is frozen has no velocity to save.
#[test]
fn so_does_a_run_that_fine_tunes() {
    kill_ten_times(&Case::fine_tuning());
}

/// What stands in for a bad image is a function of its place, and the list of them is the whole run's.
#[test]
fn so_does_a_run_that_skips_bad_images() {
    let case = Case::spoiled();
    kill_ten_times(&case);
    let list = |out: &str| fs::read(case.sandbox.path(out).join("bad_samples.jsonl")).unwrap();
    assert!(list("whole") == list("killed"), "the lists differ");
}

/// Where the loss scale stands is in the checkpoint.
#[test]
fn so_does_a_run_in_half_precision() {
    kill_ten_times(&Case::half());
}

fn kill_ten_times(case: &Case) {
    finish(case, "whole", false);
    let folder = case.sandbox.path("killed");
    // Moments that no checkpoint knows of: a step, and then some instructions more.
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    for kill in 0..10u64 {
        let mut child = start(case, "killed", folder.join("recipe.toml").exists());
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(kill + 1);
        wait_for(&mut child, &folder, kill * 11 + random % 7);
        (0..random >> 48).for_each(|spin| {
            std::hint::black_box(spin);
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let killed = logged(&folder);
    assert!(killed < 120, "every kill came before the end: {killed} of 120 steps");
    finish(case, "killed", true);
    assert!(model(case, "whole") == model(case, "killed"), "the models differ");
    assert_eq!(metrics(case, "whole"), metrics(case, "killed"));
}

#[test]
fn a_run_that_is_told_to_stop_saves_and_says_how_to_go_on() {
    let case = Case::tiny();
    finish(&case, "whole", false);
    let arguments = arguments(&case, "stopped");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = case.sandbox.command(&arguments);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let folder = case.sandbox.path("stopped");
    wait_for(&mut child, &folder, 10);
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{text}");
    assert!(text.contains("stopped at step") && text.contains("--resume"), "{text}");
    assert!(!folder.join("model").exists());

    // The step it stopped at is saved, between the recipe's own checkpoints too.
    let last = fs::read_dir(folder.join("checkpoints")).unwrap().map(|e| e.unwrap().file_name());
    let last = last.max().unwrap().into_string().unwrap();
    assert_eq!(last, format!("step-{:08}.safetensors", logged(&folder)));

    finish(&case, "stopped", true);
    assert!(model(&case, "whole") == model(&case, "stopped"), "the models differ");
}

#[test]
fn resuming_a_finished_run_changes_nothing() {
    let case = Case::tiny();
    finish(&case, "run", false);
    let before = (model(&case, "run"), metrics(&case, "run"));
    finish(&case, "run", true);
    assert!(before == (model(&case, "run"), metrics(&case, "run")));
}

#[test]
fn a_run_without_a_checkpoint_starts_again_at_zero() {
    let case = Case::tiny();
    finish(&case, "whole", false);
    let mut child = start(&case, "early", false);
    let recipe = case.sandbox.path("early/recipe.toml");
    while !recipe.exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = fs::remove_dir_all(case.sandbox.path("early/checkpoints"));
    finish(&case, "early", true);
    assert!(model(&case, "whole") == model(&case, "early"), "the models differ");
}

//! What users, machines and other processes do to a run: it is refused with the reason or goes on, and is never something
//! else than it says.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::fixtures::{CLASSES, Sandbox, stderr, write_image};

/// Edits that make the tiny recipe a run of `steps` steps that evaluates and saves after each.
fn steps(steps: u64) -> Vec<String> {
    [
        format!("train.duration={steps} steps"),
        "train.evaluate_every=1 steps".to_owned(),
        "checkpoint.every=1 steps".to_owned(),
        "rate.warmup=off".to_owned(),
        "rate.decay={ cosine = {} }".to_owned(),
    ]
    .into_iter()
    .flat_map(|edit| ["--set".to_owned(), edit])
    .collect()
}

/// The command that trains the tiny recipe on `data`.
fn train(sandbox: &Sandbox, data: &str, edits: &[String], more: &[&str]) -> Command {
    if !sandbox.path("tiny.toml").exists() {
        sandbox.recipe();
    }
    let start = ["train", "tiny.toml", "--data", data];
    let edits = edits.iter().map(String::as_str);
    let arguments: Vec<&str> = start.into_iter().chain(edits).chain(more.iter().copied()).collect();
    sandbox.command(&arguments)
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
    text
}

/// A run that goes on for long, started and past its first new checkpoint.
fn under_way(sandbox: &Sandbox, out: &str, more: &[&str]) -> Child {
    let more = [&["--out", out], more].concat();
    let mut command = train(sandbox, "colors", &steps(100_000), &more);
    let newest = || checkpoints(&sandbox.path(out)).pop();
    let before = newest();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while newest() == before {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::yield_now();
    }
    child
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The checkpoint files of a run, oldest first.
fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("checkpoints")).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "safetensors")).collect();
    paths.sort();
    paths
}

#[test]
fn one_process_at_a_time_owns_a_run_folder_and_a_killed_one_leaves_no_lock() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    let mut child = under_way(&sandbox, "run", &[]);
    let owner = format!("process {}", child.id());
    for more in [&["--out", "run", "--resume"][..], &["--out", "run"]] {
        let second = train(&sandbox, "colors", &steps(100_000), more).output().unwrap();
        refused(&second, 1, &["run: ", &owner, "at work here", "--out"]);
    }
    assert!(child.try_wait().unwrap().is_none(), "the first run goes on");
    child.kill().unwrap();
    child.wait().unwrap();
    let child = under_way(&sandbox, "run", &["--resume"]);
    send(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    refused(&output, 130, &["resuming at step"]);
}

#[test]
fn one_process_at_a_time_owns_the_folder_of_an_ablation() {
    let sandbox = Sandbox::new();
    let arguments = ["ablate", "table4", "--preset", "smoke", "--out", "t", "--json"];
    let mut first = sandbox.command(&arguments);
    let mut first = first.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    while !sandbox.path("t/runs").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the ablation ended by itself");
        std::thread::yield_now();
    }
    let text = sandbox.fail(&arguments, 1);
    assert!(text.contains(&format!("process {}", first.id())), "{text}");
    send(&first, "-TERM");
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["stopped_by"], "SIGTERM");
    assert!(told["finished_runs"].as_u64() < told["runs"].as_u64(), "{told}");
}

#[test]
fn two_starts_at_once_get_a_folder_each() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    let start = || {
        let mut command = train(&sandbox, "colors", &steps(2), &[]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..6).map(|_| start()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let runs = fs::read_dir(sandbox.path("runs")).unwrap().map(|entry| entry.unwrap().path());
    let runs: Vec<PathBuf> = runs.collect();
    assert_eq!(runs.len(), 6, "{runs:?}");
    for run in runs {
        assert!(run.join("model/model.safetensors").is_file(), "{}", run.display());
    }
}

#[test]
fn a_run_inside_its_dataset_is_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.recipe();
    let data = sandbox.colors();
    let listed = || fs::read_dir(&data).unwrap().count();
    let before = listed();
    for more in
        [&["--data", ".", "--out", "red/run"][..], &["--data", "."], &["--data", "../colors"]]
    {
        let arguments = [&["train", recipe.to_str().unwrap()], more].concat();
        let output = sandbox.command(&arguments).current_dir(&data).output().unwrap();
        refused(&output, 2, &["inside the dataset", "--out"]);
        assert_eq!(listed(), before);
    }
    let arguments = ["ablate", "table4", "--preset", "cifar10", "--data", "."];
    let output = sandbox.command(&arguments).current_dir(&data).output().unwrap();
    refused(&output, 2, &["runs/table4-cifar10 lies inside the dataset"]);
    assert_eq!(listed(), before);
}

#[test]
fn a_place_that_is_no_folder_is_told_as_one() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    sandbox.write("file", "mine");
    let output = train(&sandbox, "colors", &steps(1), &["--out", "file"]).output().unwrap();
    refused(&output, 2, &["file: is a file, and a run needs a folder", "--out"]);
    let output = train(&sandbox, "colors", &steps(1), &["--out", "file/run"]).output().unwrap();
    refused(&output, 1, &["file/run", "a file stands where a folder is needed"]);
    assert_eq!(fs::read_to_string(sandbox.path("file")).unwrap(), "mine");
}

/// The rate makes weights that are finite and overflow in the next forward pass, which is that of the evaluation.
#[test]
fn an_evaluation_that_is_not_finite_ends_the_run_before_it_is_saved() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    let wild = |steps_: u64, rate: &str| {
        [steps(steps_), vec!["--set".to_owned(), format!("rate.base={rate}")]].concat()
    };
    let output = train(&sandbox, "colors", &wild(1, "1e12"), &["--out", "last"]).output().unwrap();
    refused(&output, 1, &["the evaluation came to nothing", "nothing was saved yet", "rate.base"]);
    assert!(!sandbox.path("last/model").exists());
    assert!(checkpoints(&sandbox.path("last")).is_empty());
    let rows = fs::read_to_string(sandbox.path("last/metrics.jsonl")).unwrap();
    assert!(rows.lines().last().unwrap().contains("\"evaluation\""), "{rows}");

    // A warm-up lets the first steps pass.
    let slow = ["rate.warmup={ duration = \"40 steps\" }", "rate.decay={ cosine = {} }"];
    let slow = slow.into_iter().flat_map(|edit| ["--set".to_owned(), edit.to_owned()]);
    let edits: Vec<String> = wild(60, "1e5").into_iter().chain(slow).collect();
    let output = train(&sandbox, "colors", &edits, &["--out", "later"]).output().unwrap();
    let said = refused(&output, 1, &["at step", "stands", "rate.base"]);
    let kept = checkpoints(&sandbox.path("later"));
    let newest = kept.last().expect("the first steps were saved").file_name().unwrap();
    let step: u64 = newest.to_str().unwrap()[5..13].parse().unwrap();
    assert!(said.contains(&format!("the checkpoint of step {step} in later stands")), "{said}");
    for path in kept {
        let bytes = fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for (name, view) in file.tensors() {
            let (words, _) = view.data().as_chunks::<4>();
            assert!(words.iter().all(|word| f32::from_le_bytes(*word).is_finite()), "{name}");
        }
    }
    assert!(!sandbox.path("later/model").exists());
}

/// A run of 6 steps that stands at step 3, with its folder, its recipe and its data as they were.
fn half_way(sandbox: &Sandbox, data: &str, edits: &[String]) -> Vec<String> {
    let edits = [steps(6), edits.to_vec()].concat();
    let keep = ["--out", "run", "--set", "checkpoint.keep=9"];
    let output = train(sandbox, data, &edits, &keep).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for late in 4..=6 {
        fs::remove_file(sandbox.path(&format!("run/checkpoints/step-{late:08}.safetensors")))
            .unwrap();
    }
    fs::remove_dir_all(sandbox.path("run/model")).unwrap();
    edits
}

fn resume(sandbox: &Sandbox, data: &str) -> Output {
    sandbox.run(&["train", "--resume", "--out", "run", "--data", data])
}

#[test]
fn a_run_resumes_on_the_very_images_it_began_with() {
    let sandbox = Sandbox::new();
    let data = sandbox.parts();
    half_way(&sandbox, "parts", &[]);
    let image = data.join("train/red/01.png");
    let aside = sandbox.path("aside.png");

    fs::rename(&image, &aside).unwrap();
    let words = ["41 training and 12 validation images now, and had 42", "other data than"];
    refused(&resume(&sandbox, "parts"), 2, &words);
    let renamed = data.join("train/red/1.png");
    fs::copy(&aside, &renamed).unwrap();
    refused(&resume(&sandbox, "parts"), 2, &["other names or labels"]);
    fs::remove_file(&renamed).unwrap();

    // A repaired image is no reason to lose the run, but it is told.
    write_image(&image, 2, 30);
    assert_ne!(fs::metadata(&image).unwrap().len(), fs::metadata(&aside).unwrap().len());
    fs::rename(&data, sandbox.path("moved")).unwrap();
    let output = resume(&sandbox, "moved");
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("have other sizes in bytes than when the run began"), "{said}");
}

#[test]
fn a_run_resumes_under_the_recipe_of_its_checkpoint() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    half_way(&sandbox, "colors", &[]);
    let path = sandbox.path("run/recipe.toml");
    let recipe = fs::read_to_string(&path).unwrap();
    let edited = recipe.replace("base = 0.2", "base = 0.3").replace("batch = 8", "batch = 6");
    assert_ne!(edited, recipe);
    fs::write(&path, edited).unwrap();
    let words = ["checkpoint of step 3", "rate.base: 0.2 → 0.3", "train.batch: 8 → 6", "edited"];
    refused(&resume(&sandbox, "colors"), 2, &words);

    fs::write(&path, [recipe.as_bytes(), b"# \xff\n"].concat()).unwrap();
    refused(&resume(&sandbox, "colors"), 1, &["recipe.toml: is not text in UTF-8"]);
    fs::write(&path, recipe).unwrap();
    assert!(resume(&sandbox, "colors").status.success());
}

#[test]
fn a_student_resumes_under_its_own_teacher() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.everything();
    let arguments = ["train", recipe.to_str().unwrap(), "--data", "colors", "--out", "run"];
    sandbox.succeed(&arguments);
    let last = checkpoints(&sandbox.path("run")).pop().unwrap();
    fs::remove_file(last).unwrap();
    let weights = sandbox.path("teacher/model/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&weights, other).unwrap();
    refused(&resume(&sandbox, "colors"), 2, &["distillation.teacher has other weights"]);
    fs::write(&weights, whole).unwrap();
    assert!(resume(&sandbox, "colors").status.success());
}

#[test]
fn torn_lines_of_the_log_are_left_out_and_the_run_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    half_way(&sandbox, "colors", &[]);
    let path = sandbox.path("run/metrics.jsonl");
    let rows = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = rows.lines().collect();
    lines.insert(2, "{\"kind\":\"train\",\"st{\"kind\":\"train\",\"step\":2,");
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let output = resume(&sandbox, "colors");
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 line of run/metrics.jsonl could not be read"), "{said}");
    let rows = fs::read_to_string(&path).unwrap();
    let steps: Vec<u64> = rows
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6], "a row and an evaluation a step");
}

#[test]
fn the_seed_of_a_run_does_not_move_its_validation_images() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    let validated = |out: &str, split_seed: &str, seed: &str| {
        let edits = [format!("data.split_seed={split_seed}"), format!("seed={seed}")];
        let more = ["--out", out, "--set", &edits[0], "--set", &edits[1]];
        let output = train(&sandbox, "colors", &steps(1), &more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let rows = fs::read_to_string(sandbox.path(out).join("predictions.jsonl")).unwrap();
        let image = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap()["image"].as_str().unwrap().to_owned()
        };
        rows.lines().map(image).collect::<Vec<_>>()
    };
    let first = validated("one", "off", "1");
    assert_eq!(first.len(), 12);
    assert_eq!(validated("two", "off", "2"), first);
    assert_ne!(validated("other", "2", "1"), first);
    let config = fs::read_to_string(sandbox.path("other/model/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["trickbag"]["seed"], 2);

    // What begins with a model that was trained on other images says so.
    let more = ["--out", "tuned", "--set", "init.from=other"];
    let output = train(&sandbox, "colors", &steps(1), &more).output().unwrap();
    let said = stderr(&output);
    assert!(
        said.contains("init.from held out other images") && said.contains("split_seed=2"),
        "{said}"
    );
}

#[test]
fn a_stopped_run_has_the_exit_code_of_its_signal_and_says_where_it_is() {
    for (signal, name, code) in
        [("-INT", "SIGINT", 130), ("-TERM", "SIGTERM", 143), ("-HUP", "SIGHUP", 129)]
    {
        let sandbox = Sandbox::new();
        sandbox.colors();
        let child = under_way(&sandbox, "a run", &["--json"]);
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let said = refused(&output, code, &["stopped at step", "--out 'a run' --data colors"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["stopped_by"], name);
        assert_eq!((&told["run"], &told["total_steps"]), (&"a run".into(), &100_000.into()));
        assert!(said.contains(told["resume"].as_str().unwrap()), "{said}");
        let newest = checkpoints(&sandbox.path("a run")).pop().unwrap();
        let step = told["steps"].as_u64().unwrap();
        assert!(newest.ends_with(format!("step-{step:08}.safetensors")), "{}", newest.display());
    }
}

/// `nohup` lets a run outlive its terminal.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_was_told_to_outlive_its_terminal_does() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    let command = train(&sandbox, "colors", &steps(100_000), &["--out", "run"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" HUP; exec "$@""#, "sh"]).arg(command.get_program());
    shell.args(command.get_args()).current_dir(sandbox.path(""));
    let mut child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let logged = || {
        let text = fs::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap_or_default();
        text.lines().count()
    };
    let mut wait_for = |rows: usize| {
        while logged() < rows {
            assert!(child.try_wait().unwrap().is_none(), "the run ended");
            std::thread::yield_now();
        }
        child.id()
    };
    let id = wait_for(2);
    let sent = Command::new("kill").args(["-HUP", &id.to_string()]).status().unwrap();
    assert!(sent.success());
    let now = logged();
    wait_for(now + 4);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_a_failure_but_a_reader_that_left_is_not() {
    let sandbox = Sandbox::new();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in [&["recipes"][..], &["models", "--json"], &["--help"], &["train", "--help"]] {
        let output = sandbox.command(arguments).stdout(full()).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        let mut child = sandbox.command(arguments);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    }
    let output = sandbox.command(&["recipes"]).stdout(full()).output().unwrap();
    refused(&output, 1, &["standard output cannot be written", "No space left"]);
}

/// Names of images and classes that would color the terminal, set its title, or turn the text around.
#[test]
fn names_reach_the_terminal_spelled_out() {
    let sandbox = Sandbox::new();
    let data = sandbox.parts();
    let evil = "\u{1b}[31mred\u{1b}]0;pwn\u{7}\u{202e}\u{9b}";
    for part in ["train", "val"] {
        fs::rename(data.join(part).join("red"), data.join(part).join(evil)).unwrap();
    }
    fs::write(data.join("train").join(evil).join("01.png"), "words").unwrap();
    let skip = ["--out", "run", "--set", "data.on_bad_sample=skip"];
    let output = train(&sandbox, "parts", &steps(12), &skip).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(r"skipped parts/train/\u{1b}[31mred\u{1b}]0;pwn\u{7}"), "{said}");
    let stop = train(&sandbox, "parts", &steps(12), &["--out", "stopped"]).output().unwrap();
    let image = format!("parts/val/{evil}/15.png");
    let predicted = sandbox.run(&["predict", "run", &image]);
    let json = sandbox.run(&["predict", "run", &image, "--json"]);
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    let classes = told[0]["classes"].as_array().unwrap();
    assert!(classes.iter().any(|class| class["class"] == evil), "{told}");
    refused(&stop, 1, &[r"\u{1b}[31mred"]);
    for output in [output, stop, predicted, json] {
        let both = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(both).unwrap();
        let strange = text.chars().find(|&c| c != '\n' && (c.is_control() || c == '\u{202e}'));
        assert_eq!(strange, None, "{text}");
    }
}

#[test]
fn a_name_cannot_put_a_run_anywhere_else() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    let outside = sandbox.path("deep");
    fs::create_dir(&outside).unwrap();
    for name in ["../../evil", "/tmp/evil", "a\nb", ".."] {
        let edits = [steps(1), vec!["--set".to_owned(), format!("name={name}")]].concat();
        let mut command = train(&sandbox, "../colors", &edits, &[]);
        sandbox.write("deep/tiny.toml", fs::read(sandbox.path("tiny.toml")).unwrap());
        refused(&command.current_dir(&outside).output().unwrap(), 2, &["name"]);
    }
    assert!(!sandbox.path("evil").exists() && !outside.join("runs").exists());
}

#[test]
fn one_class_only_is_told() {
    let sandbox = Sandbox::new();
    let data = sandbox.colors();
    for class in &CLASSES[1..] {
        fs::remove_dir_all(data.join(class)).unwrap();
    }
    let output = train(&sandbox, "colors", &steps(1), &["--out", "run"]).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("note: blue is the only class"), "{said}");
}

/// Room for the program, and none for a thousand stacks.
#[cfg(target_os = "linux")]
#[test]
fn threads_that_cannot_be_started_are_an_error_with_the_mend() {
    let sandbox = Sandbox::new();
    let command = sandbox.command(&["train", "--threads", "1024", "--dry-run"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"ulimit -v 1500000; exec "$@""#, "sh"]).arg(command.get_program());
    let output = shell.args(command.get_args()).current_dir(sandbox.path("")).output().unwrap();
    refused(&output, 1, &["1024 threads cannot be started", "--threads"]);
}

#[test]
fn the_last_line_of_progress_has_the_last_evaluation() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    let mut command = train(&sandbox, "colors", &steps(7), &["--out", "run"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let last = |mark: &str| said.lines().rfind(|line| line.starts_with(mark)).expect(mark);
    let (line, evaluation) = (last("step 7/7, epoch 1.40/1.40, "), last("epoch 1.40: "));
    let top1 = evaluation.split_once(": ").unwrap().1.split_once(',').unwrap().0;
    assert!(line.contains(&format!(", {top1}, ")), "{line} and {evaluation}");
}

//! Bad input: one clear message with the path and the mend, exit code 2 for usage and 1 for failure, nothing lost.

use std::fs;
use std::path::Path;

use crate::fixtures::{Sandbox, write_image};

/// Trains the tiny recipe, which has to fail with `code` and a message that holds every one of `words`.
#[track_caller]
fn refuse(sandbox: &Sandbox, data: &Path, more: &[&str], code: i32, words: &[&str]) {
    let recipe = sandbox.recipe();
    let mut arguments =
        vec!["train", recipe.to_str().unwrap(), "--data", data.to_str().unwrap(), "--out", "run"];
    arguments.extend(more);
    let text = sandbox.fail(&arguments, code);
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[test]
fn datasets_that_are_none() {
    let sandbox = Sandbox::new();
    refuse(&sandbox, &sandbox.path("nowhere"), &[], 1, &["nowhere", "no such file or folder"]);

    let empty = sandbox.path("empty");
    fs::create_dir(&empty).unwrap();
    refuse(&sandbox, &empty, &[], 1, &["empty", "no images here"]);

    let hollow = sandbox.colors();
    fs::create_dir(hollow.join("yellow")).unwrap();
    refuse(&sandbox, &hollow, &[], 1, &["yellow", "this class folder is empty", "add images"]);
    assert!(!sandbox.path("run").exists(), "nothing is begun");
}

#[test]
fn train_and_validation_of_other_classes() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("parts");
    for (part, classes) in [("train", ["a", "b"]), ("val", ["a", "c"])] {
        for (class, name) in classes.iter().enumerate() {
            for index in 0..8 {
                let file = root.join(part).join(name).join(format!("{index}.png"));
                write_image(&file, class, index);
            }
        }
    }
    refuse(&sandbox, &root, &[], 1, &["b", "c", "parts"]);
}

#[test]
fn images_that_cannot_be_read() {
    let sandbox = Sandbox::new();
    let data = sandbox.colors();
    let whole = fs::read(data.join("red/05.png")).unwrap();
    let cut = data.join("red/05.png");
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    refuse(&sandbox, &data, &[], 1, &["red/05.png"]);

    fs::remove_dir_all(sandbox.path("run")).unwrap();
    fs::write(&cut, b"these are words").unwrap();
    refuse(&sandbox, &data, &[], 1, &["red/05.png"]);
}

#[test]
fn datasets_too_small() {
    let sandbox = Sandbox::new();
    let data = sandbox.colors();
    let large = ["--set", "train.batch=64"];
    refuse(&sandbox, &data, &large, 1, &["42", "64", "train.batch"]);
    let lonely = ["--set", "train.batch=1", "--set", "preprocess.size=8"];
    refuse(&sandbox, &data, &lonely, 2, &["one value per channel", "train.batch"]);
}

#[test]
fn recipes_with_mistakes_tell_all_of_them() {
    let sandbox = Sandbox::new();
    let data = sandbox.colors();
    let wrong = [
        "--set",
        "rate.bse=0.1",
        "--set",
        "train.batch=many",
        "--set",
        "update.optimizer.nag.momentum=2",
    ];
    refuse(
        &sandbox,
        &data,
        &wrong,
        2,
        &["rate.bse", "base", "many", "update.optimizer.nag.momentum"],
    );
    let model = ["--set", "network.model=resnet50x"];
    refuse(&sandbox, &data, &model, 2, &["resnet50x", "resnet50"]);

    let shaped = ["--set", "network.model=mobilenetv1_100"];
    refuse(&sandbox, &data, &shaped, 2, &["mobilenetv1_100", "network.shape"]);

    let text = fs::read_to_string(sandbox.recipe()).unwrap();
    let text = text.replace("momentum", "momentun").replace("flip = 0.5", "flip = 5");
    let file = sandbox.write("wrong.toml", text);
    let message = sandbox.fail(&["train", file.to_str().unwrap()], 2);
    for word in ["wrong.toml:", "momentun", "momentum", "flip"] {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

#[test]
fn command_lines_that_cannot_be_meant() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.recipe();
    let recipe = recipe.to_str().unwrap();
    for (arguments, words) in [
        (vec!["train", "quickstrt"], vec!["quickstrt", "quickstart"]),
        (vec!["train", recipe], vec!["--data"]),
        (vec!["train", "quickstart", "--data", "."], vec!["leave --data out"]),
        (vec!["train", "--resume", "--out", "nothing"], vec!["nothing", "no run to resume"]),
        (vec!["train", "--threads", "0"], vec!["--threads"]),
        (vec!["models", "resnet51"], vec!["resnet51", "did you mean"]),
        (vec!["recipes", "basline"], vec!["basline", "baseline"]),
        (vec!["fly"], vec!["fly"]),
    ] {
        let text = sandbox.fail(&arguments, 2);
        for word in words {
            assert!(text.contains(word), "{arguments:?}: no {word:?} in: {text}");
        }
    }
    let text = sandbox.fail(&["eval", "."], 1);
    assert!(text.contains("no model here"), "{text}");
}

#[test]
fn a_loss_that_turns_nan_stops_the_run_and_keeps_what_was_saved() {
    let sandbox = Sandbox::new();
    let data = sandbox.colors();
    let wild = ["--set", "rate.base=1e30"];
    refuse(&sandbox, &data, &wild, 1, &["the loss became", "rate.base"]);
    assert!(!sandbox.path("run/model").exists());
}

#[test]
fn a_run_is_never_overwritten_nor_resumed_under_another_recipe() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let train = ["train", recipe.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let arguments = |more: &[&'static str]| [&train[..], &["--out", "run"], more].concat();
    sandbox.succeed(&arguments(&[]));
    let model = || fs::read(sandbox.path("run/model/model.safetensors")).unwrap();
    let before = model();

    let text = sandbox.fail(&arguments(&[]), 2);
    assert!(text.contains("never overwrites") && text.contains("--resume"), "{text}");
    let text = sandbox.fail(&arguments(&["--resume", "--set", "rate.base=0.3"]), 2);
    assert!(text.contains("rate.base: 0.2 → 0.3"), "{text}");

    fs::rename(data.join("red"), data.join("rot")).unwrap();
    let text = sandbox.fail(&arguments(&["--resume"]), 2);
    assert!(text.contains("other classes"), "{text}");
    assert!(before == model());
}

#[test]
fn damaged_checkpoints_are_named_with_the_mend() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let train = ["train", recipe.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let train = |more: &[&'static str]| [&train[..], &["--out", "run"], more].concat();
    sandbox.succeed(&train(&[]));
    let newest = sandbox.path("run/checkpoints/step-00000040.safetensors");
    let whole = fs::read(&newest).unwrap();

    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [&whole[..whole.len() - 7], &whole[..5], &flipped] {
        fs::write(&newest, damaged).unwrap();
        let text = sandbox.fail(&train(&["--resume"]), 1);
        assert!(text.contains("step-00000040.safetensors"), "{text}");
        assert!(text.contains("delete it to resume from step"), "{text}");
    }

    // Doing what the message says goes on from the one before, to the same end.
    let model = || fs::read(sandbox.path("run/model/model.safetensors")).unwrap();
    let before = model();
    fs::remove_file(&newest).unwrap();
    sandbox.succeed(&train(&["--resume"]));
    assert!(before == model());
    // The header holds the seconds of work, which are never the same twice.
    let tensors = |file: &[u8]| {
        let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        file[8 + header..].to_vec()
    };
    assert!(tensors(&whole) == tensors(&fs::read(&newest).unwrap()));
}

/// A limit on the size of files stands in for a full disk: writes fail in the middle of a checkpoint.
#[cfg(target_os = "linux")]
#[test]
fn a_checkpoint_that_does_not_fit_is_named_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    let train = ["train", recipe, "--data", data, "--out"];
    let model = |out: &str| fs::read(sandbox.path(out).join("model/model.safetensors")).unwrap();
    sandbox.succeed(&[&train[..], &["whole"]].concat());

    let limited = r#"trap "" XFSZ; ulimit -f 100; exec "$@""#;
    let command = sandbox.command(&[&train[..], &["run"]].concat());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", limited, "sh"]).arg(command.get_program()).args(command.get_args());
    let output = shell.current_dir(sandbox.path("")).output().unwrap();
    let text = crate::fixtures::stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("checkpoints/step-00000003.safetensors"), "{text}");
    let left = fs::read_dir(sandbox.path("run/checkpoints")).unwrap().count();
    assert_eq!(left, 0, "half a checkpoint stays nowhere");

    sandbox.succeed(&[&train[..], &["run", "--resume"]].concat());
    assert!(model("run") == model("whole"));
}

#[test]
fn a_run_of_version_1_is_not_resumed() {
    let sandbox = Sandbox::new();
    let text = fs::read_to_string(sandbox.recipe()).unwrap();
    let old = text
        .replace("version = 2", "version = 1")
        .replace("parts = 1\n", "")
        .replace("optimizer = { nag = { momentum = 0.9 } }", "momentum = 0.9");
    sandbox.write("old/recipe.toml", &old);
    let message = sandbox.fail(&["train", "--resume", "--out", "old"], 2);
    let line = |word: &str| old.lines().position(|line| line.starts_with(word)).unwrap() + 1;
    for words in [
        format!("old/recipe.toml:{}: version: this program no longer reads", line("version")),
        format!("old/recipe.toml:{}: train: the key 'parts' is new", line("[train]")),
        format!("old/recipe.toml:{}: update.momentum:", line("momentum")),
    ] {
        assert!(message.contains(&words), "no {words:?} in: {message}");
    }
}

#[test]
fn damaged_models_are_named() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    sandbox.succeed(&["train", recipe, "--data", data, "--out", "run"]);
    let weights = sandbox.path("run/model/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let text = sandbox.fail(&["eval", "run", "--data", data], 1);
    assert!(text.contains("model.safetensors"), "{text}");
    fs::write(&weights, &whole).unwrap();
    fs::write(sandbox.path("run/model/config.json"), "{").unwrap();
    let text = sandbox.fail(&["eval", "run", "--data", data], 1);
    assert!(text.contains("config.json"), "{text}");

    let text = sandbox.fail(&["predict", "run", "tiny.toml"], 1);
    assert!(text.contains("config.json"), "{text}");
}

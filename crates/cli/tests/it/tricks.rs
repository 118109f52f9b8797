//! The tricks of §5 and the practitioners' in whole runs.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixtures::Sandbox;

#[test]
fn every_trick_at_once_gives_the_same_bytes_on_one_and_three_threads() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.everything();
    let half = sandbox.in_half(&recipe);
    same_bytes_on_one_and_three_threads(&sandbox, &recipe, "plain");
    same_bytes_on_one_and_three_threads(&sandbox, &half, "half");
}

fn same_bytes_on_one_and_three_threads(sandbox: &Sandbox, recipe: &Path, name: &str) {
    let data = sandbox.path("colors");
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    let train = ["train", recipe, "--data", data, "--json"];
    let [out, other] = ["one", "three"].map(|threads| format!("{name}-{threads}"));
    let one = ["--out", out.as_str(), "--threads", "1", "--loader-threads", "1"];
    let three = ["--out", other.as_str(), "--threads", "3", "--loader-threads", "2"];
    let result = sandbox.succeed(&[&train[..], &one].concat());
    sandbox.succeed(&[&train[..], &three].concat());
    let file =
        |out: &str, name: &str| fs::read(sandbox.path(out).join("model").join(name)).unwrap();
    assert!(file(&out, "model.safetensors") == file(&other, "model.safetensors"));

    // What the run measured is what the stored model, the average, gives.
    let trained: Value = serde_json::from_str(&result).unwrap();
    let evaluated = sandbox.succeed(&["eval", out.as_str(), "--data", data, "--json"]);
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    for key in ["top1", "top5", "loss", "images"] {
        assert_eq!(trained[key], evaluated[key], "{key}");
    }
}

/// Each trick alone changes what is learned, so none of them is a key that does nothing.
#[test]
fn each_trick_moves_the_weights() {
    let sandbox = Sandbox::new();
    let data = sandbox.colors();
    let teacher = sandbox.recipe();
    let run = |out: &str, edit: Option<&str>| {
        let mut arguments = vec!["train", teacher.to_str().unwrap(), "--data"];
        arguments.extend([data.to_str().unwrap(), "--out", out, "--set", "train.duration=4 steps"]);
        arguments.extend(["--set", "rate.warmup.duration=2 steps"]);
        arguments.extend(["--set", "rate.decay.step.at=[]", "--set", "checkpoint.every=99 steps"]);
        arguments.extend(edit.iter().flat_map(|edit| ["--set", edit]));
        sandbox.succeed(&arguments);
        fs::read(sandbox.path(out).join("model/model.safetensors")).unwrap()
    };
    let mut seen = vec![run("plain", None)];
    let edits = [
        "rate.decay={ cosine = {} }",
        "rate.decay={ cosine = { last = \"zero\" } }",
        "rate.decay={ exponential = { factor = 0.5, every = \"2 steps\" } }",
        "rate.warmup.first=zero",
        "target.smoothing={ epsilon = 0.1, over = \"others\" }",
        "target.smoothing={ epsilon = 0.1, over = \"all\" }",
        "mixup={ alpha = 0.2, pairing = \"permutation\" }",
        "mixup={ alpha = 0.2, pairing = \"reversed\" }",
        "cutmix={ alpha = 1.0 }",
        "distillation={ teacher = \"plain\", temperature = 2.0, weighting = \"sum\" }",
        "distillation={ teacher = \"plain\", temperature = 2.0, weighting = \"half\" }",
        "average={ decay = 0.9 }",
        "update.clip={ norm = 0.01 }",
        "train.parts=2",
        "train.precision=f16",
        "train.precision=bf16",
        "preprocess.randaugment={ operations = 2, magnitude = 9.0 }",
        "preprocess.erasing={ probability = 1.0, area = [0.1, 0.4], aspect = [0.3, 3.3] }",
    ];
    for (index, edit) in edits.iter().enumerate() {
        let model = run(&format!("run-{index}"), Some(edit));
        assert!(!seen.contains(&model), "{edit} changes nothing");
        seen.push(model);
    }
}

/// Of three classes and 5 steps an epoch; each mistake with its line.
#[test]
fn what_only_the_data_show_is_refused_all_at_once_before_the_first_step() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.everything(), sandbox.path("colors"));
    let text = fs::read_to_string(&recipe).unwrap();
    let text = text
        .replace("epsilon = 0.1", "epsilon = 0.7")
        .replace("duration = \"1 epoch\"", "duration = \"41 steps\"")
        .replace("size = 16", "size = 20")
        .replace("std = [58.393", "std = [60.0");
    let line = |word: &str| text.lines().position(|line| line.starts_with(word)).unwrap() + 1;
    let file = sandbox.write("wrong.toml", &text);
    let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
    let message = sandbox.fail(&["train", file, "--data", data, "--out", "run"], 2);
    let expected = [
        format!(
            ":{}: target.smoothing.epsilon: 0.7 is out of range for 3 classes",
            line("smoothing")
        ),
        format!(":{}: rate.warmup.duration: a warm-up of 41 steps is longer", line("warmup")),
        format!(
            ":{}: distillation.teacher: the teacher teacher looks at images of 16",
            line("teacher")
        ),
        ": the teacher teacher was trained with another normalization".to_owned(),
    ];
    for words in &expected {
        assert!(message.contains(words), "no {words:?} in: {message}");
    }
    assert_eq!(message.lines().count(), expected.len(), "{message}");
    assert!(!sandbox.path("run").exists(), "nothing is begun");
}

#[test]
fn teachers_of_other_classes_and_teachers_that_are_none() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.everything(), sandbox.path("colors"));
    let (recipe, path) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    let train = ["train", recipe, "--data", path, "--out", "run"];
    let none = ["--set", "distillation.teacher=nobody"];
    let text = sandbox.fail(&[&train[..], &none].concat(), 2);
    assert!(text.contains("nobody: no model here"), "{text}");

    fs::rename(data.join("red"), data.join("rot")).unwrap();
    let text = sandbox.fail(&train, 2);
    for words in ["knows other classes", "only in the data: rot", "only in the model: red"] {
        assert!(text.contains(words), "no {words:?} in: {text}");
    }
    fs::rename(data.join("rot"), data.join("red")).unwrap();

    let weights = sandbox.path("teacher/model/model.safetensors");
    fs::write(&weights, b"half").unwrap();
    let text = sandbox.fail(&train, 1);
    assert!(text.contains("model.safetensors"), "{text}");
}

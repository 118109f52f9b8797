//! Weights and datasets by name, from servers on the loopback address.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::fixtures::{Sandbox, stderr};
use crate::server::{Answer, Server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NAME: &str = "timm/mobilenetv1_025.x_in1k";

/// A hub with a MobileNet of two classes that was trained bicubically on images of 32 pixels.
fn hub(sandbox: &Sandbox) -> Server {
    let file = sandbox.path("published.safetensors");
    super::transfer::mobilenet(&file, |_| {});
    let weights = fs::read(file).unwrap();
    let config = json!({
        "architecture": "mobilenetv1_025",
        "num_classes": 2,
        "label_names": ["cat", "dog"],
        "pretrained_cfg": {
            "tag": "x_in1k", "input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 0.8,
            "crop_mode": "center", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]
        },
    });
    Server::start(move |asked| {
        let said = |bytes: &[u8], etag: &str| {
            Answer::of_file(asked, bytes).with("x-repo-commit", COMMIT).with("etag", etag)
        };
        match asked.path.strip_prefix(&format!("/{NAME}/resolve/")) {
            Some(path) if path.ends_with("/config.json") => {
                said(config.to_string().as_bytes(), "\"c0\"")
            }
            Some(path) if path.ends_with("/model.safetensors") => said(&weights, "\"a0\""),
            _ => Answer::new(404, b""),
        }
    })
}

/// Runs the command with a hub and a cache of its own.
fn run(sandbox: &Sandbox, endpoint: &str, arguments: &[&str]) -> Output {
    let mut command = sandbox.command(arguments);
    for name in [
        "HF_TOKEN",
        "HF_HUB_CACHE",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
    command.env("HF_ENDPOINT", endpoint).env("HF_HOME", sandbox.path("home"));
    command.output().expect("the command runs")
}

#[test]
fn published_weights_are_imported_by_name_and_trained_on() {
    let sandbox = Sandbox::new();
    let hub = hub(&sandbox);
    let output = run(&sandbox, &hub.address, &["import", NAME, "--json"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["model"], "models/mobilenetv1_025.x_in1k");
    assert_eq!((&told["network"], &told["classes"]), (&json!("mobilenetv1_025"), &json!(2)));
    let model = sandbox.path("models/mobilenetv1_025.x_in1k");
    let config: Value =
        serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["label_names"], json!(["cat", "dog"]));
    assert_eq!(config["pretrained_cfg"]["interpolation"], "bicubic");
    assert_eq!(config["pretrained_cfg"]["input_size"], json!([3, 32, 32]));
    let before = fs::read(model.join("model.safetensors")).unwrap();
    let twice = stderr(&run(&sandbox, &hub.address, &["import", NAME]));
    assert!(twice.contains("a model is here already"), "{twice}");

    // In one step, and then from the cache alone.
    fs::remove_dir_all(sandbox.path("models")).unwrap();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let from = format!("init.from={NAME}");
    let edits = [
        "network.model=mobilenetv1_025",
        "network.shape=off",
        "network.stem=imagenet",
        "preprocess.size=32",
        "train.duration=2 steps",
        "train.evaluate_every=2 steps",
        "rate.warmup=off",
        "rate.decay=cosine",
        &from,
    ];
    let mut arguments =
        vec!["train", recipe.to_str().unwrap(), "--data", data.to_str().unwrap(), "--out", "tuned"];
    edits.iter().for_each(|edit| arguments.extend(["--set", *edit]));
    hub.asked();
    drop(hub);
    let output = run(&sandbox, "http://127.0.0.1:9", &arguments);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for words in [
        "the copy in the cache is taken",
        "imported to models/mobilenetv1_025.x_in1k",
        "--set preprocess.interpolation=bicubic does the same",
    ] {
        assert!(said.contains(words), "{words} in: {said}");
    }
    assert!(fs::read(model.join("model.safetensors")).unwrap() == before);
    let saved = fs::read_to_string(sandbox.path("tuned/recipe.toml")).unwrap();
    assert!(saved.contains("from = \"models/mobilenetv1_025.x_in1k\""), "{saved}");
}

#[test]
fn what_cannot_be_fetched_is_said_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let hub = hub(&sandbox);
    for (name, code, words) in [
        ("timm/nothing", 1, "says 404; check the name"),
        ("timm/", 2, "write timm/NAME"),
        ("nothing.safetensors", 1, "nothing.safetensors: cannot be read"),
    ] {
        let output = run(&sandbox, &hub.address, &["import", name]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{words} in: {said}");
    }
    assert!(!sandbox.path("models").exists());
    let local = sandbox.fail(&["import", "published.safetensors"], 1);
    assert!(local.contains("give the network with --model"), "{local}");
}

#[test]
fn datasets_are_listed_and_a_file_of_another_content_is_refused() {
    let sandbox = Sandbox::new();
    let listed = sandbox.succeed(&["data", "get"]);
    for words in ["cifar10", "imagenette-160", "flowers102", "licence", "CC BY-SA 4.0"] {
        assert!(listed.contains(words), "{words} in: {listed}");
    }
    let told: Value = serde_json::from_str(&sandbox.succeed(&["data", "get", "--json"])).unwrap();
    assert!(told.as_array().unwrap().iter().all(|set| set["files"][0]["md5"].is_string()));
    let unknown = sandbox.fail(&["data", "get", "cifar"], 2);
    assert!(unknown.contains("no such dataset; there are cifar10"), "{unknown}");

    let server = Server::start(|asked| Answer::of_file(asked, b"no photos"));
    let mut command = sandbox.command(&["data", "get", "imagenette-160", "-o", "photos"]);
    let output = command.env("TRICKBAG_DATA_MIRROR", &server.address).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("its MD5 is") && said.contains("e793b78cc4c9e9a4ccc0c1155377a412"),
        "{said}"
    );
    assert_eq!(server.asked()[0].path, "/imagenette2-160.tgz");
    assert!(!sandbox.path("photos").exists());
}

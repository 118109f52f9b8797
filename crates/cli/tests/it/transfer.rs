//! Weights that come from elsewhere: `import`, and fine-tuning by `init.from`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use crate::fixtures::{Sandbox, stderr, write_image};

/// The bytes of each tensor of a model folder.
fn tensors(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect()
}

/// A sandbox with a run of the tiny recipe on three classes in `run`, and a dataset of two other classes in `shapes`.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let arguments = ["train", recipe.to_str().unwrap(), "--data", data.to_str().unwrap()];
    sandbox.succeed(&[&arguments[..], &["--out", "run"]].concat());
    for (class, name) in ["round", "square"].into_iter().enumerate() {
        for index in 0..18 {
            let file = sandbox.path("shapes").join(name).join(format!("{index:02}.png"));
            write_image(&file, class, index);
        }
    }
    sandbox
}

const TUNE: [&str; 5] = ["train", "tiny.toml", "--set", "init.from=run", "--data"];

#[test]
fn fine_tuning_takes_the_body_and_leaves_what_is_frozen() {
    let sandbox = trained();
    let more = ["--set", "init.freeze=stage2", "--set", "rate.head=10", "--out", "tuned"];
    let output = sandbox.run(&[&TUNE[..], &["shapes"], &more].concat());
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for words in [
        "starts from run: a new classifier for 2 classes takes the place of its own for 3",
        "frozen up to stage2: 24 of ",
    ] {
        assert!(said.contains(words), "{words} in: {said}");
    }
    let (before, after) =
        (tensors(&sandbox.path("run/model")), tensors(&sandbox.path("tuned/model")));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let is_counter = |name: &String| name.ends_with("num_batches_tracked");
    for (name, bytes) in before.iter().filter(|(name, _)| !is_counter(name)) {
        let is_frozen =
            ["conv1.", "bn1.", "layer1.", "layer2."].iter().any(|p| name.starts_with(p));
        assert_eq!(after[name] == *bytes, is_frozen, "{name}");
    }
    assert_eq!(after["fc.weight"].len(), 2 * 16 * 4);
}

/// Where the classes are the same, so is the classifier: at a rate of next to nothing the model stays the one it was.
#[test]
fn fine_tuning_on_the_same_classes_keeps_the_classifier() {
    let sandbox = trained();
    let more = ["--set", "rate.base=1e-30", "--set", "update.decay=0.0", "--out", "tuned"];
    let output = sandbox.run(&[&TUNE[..], &["colors"], &more].concat());
    let said = stderr(&output);
    assert!(said.contains("starts from run: its classifier of 3 classes stays"), "{said}");
    let (before, after) =
        (tensors(&sandbox.path("run/model")), tensors(&sandbox.path("tuned/model")));
    for name in ["fc.weight", "fc.bias", "layer4.0.conv2.weight"] {
        assert!(before[name] == after[name], "{name}");
    }
}

/// What a run with its own rate for the classifier does in one step is ten times what the others do.
#[test]
fn the_classifier_may_have_a_rate_of_its_own() {
    let sandbox = trained();
    let step = ["--set", "train.duration=1 steps", "--set", "train.evaluate_every=1 steps"];
    let still =
        ["--set", "rate.warmup=off", "--set", "rate.decay.step.at=[]", "--set", "update.decay=0.0"];
    let run = |out: &str, head: &str| {
        let more = ["--out", out, "--set", head];
        sandbox.succeed(&[&TUNE[..], &["colors"], &step, &still, &more].concat());
        tensors(&sandbox.path(out).join("model"))
    };
    let (plain, fast) = (run("plain", "rate.head=off"), run("fast", "rate.head=10"));
    let before = tensors(&sandbox.path("run/model"));
    assert!(plain["layer4.0.conv2.weight"] == fast["layer4.0.conv2.weight"]);
    let moved = |after: &BTreeMap<String, Vec<u8>>| -> Vec<f32> {
        let numbers =
            |bytes: &[u8]| bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        let (before, after): (Vec<f32>, Vec<f32>) =
            (numbers(&before["fc.bias"]), numbers(&after["fc.bias"]));
        after.iter().zip(before).map(|(after, before)| after - before).collect()
    };
    for (fast, plain) in moved(&fast).iter().zip(moved(&plain)) {
        assert!((fast - 10.0 * plain).abs() < 1e-5 + 1e-3 * fast.abs(), "{fast} and {plain}");
    }
}

#[test]
fn what_cannot_be_fine_tuned_is_said_all_at_once() {
    let sandbox = trained();
    let edits = ["--set", "network.model=resnet34d", "--set", "init.freeze=stage9"];
    let said = sandbox.fail(&[&TUNE[..], &["shapes"], &edits].concat(), 2);
    for words in [
        "--set init.from=run: run is a resnet18d, and the recipe trains a resnet34d",
        "--set init.freeze=stage9: resnet34d has no feature 'stage9'; it has stem, stage1, stage2",
    ] {
        assert!(said.contains(words), "{words} in: {said}");
    }
    let nowhere = ["train", "tiny.toml", "--set", "init.from=nowhere", "--data", "shapes"];
    let said = sandbox.fail(&nowhere, 2);
    assert!(said.contains("init.from=nowhere: nowhere: no model here"), "{said}");
    for (edit, words) in [
        ("network.stem=imagenet", "has another stem, \"small\"; set network.stem to the same"),
        ("network.shape.blocks=[1, 2, 1, 1]", "has another shape, blocks = [1, 1, 1, 1]"),
    ] {
        let said = sandbox.fail(&[&TUNE[..], &["shapes", "--set", edit]].concat(), 2);
        assert!(said.contains(words), "{words} in: {said}");
    }
    assert!(!sandbox.path("runs").exists(), "nothing is begun");
}

/// A run that goes on needs its own folder and no other.
#[test]
fn a_fine_tuned_run_resumes_without_the_model_it_began_with() {
    let sandbox = trained();
    let out = ["--out", "tuned", "--set", "init.freeze=stage1"];
    sandbox.succeed(&[&TUNE[..], &["shapes"], &out].concat());
    let whole = tensors(&sandbox.path("tuned/model"));
    let last = sandbox.path("tuned/checkpoints/step-00000024.safetensors");
    assert!(last.exists(), "24 steps of 8 epochs");
    fs::remove_file(last).unwrap();
    fs::rename(sandbox.path("run"), sandbox.path("elsewhere")).unwrap();
    sandbox.succeed(&["train", "--resume", "--out", "tuned", "--data", "shapes"]);
    assert!(tensors(&sandbox.path("tuned/model")) == whole);
}

/// The tensors of a MobileNet of a quarter's width and two classes, as a file, after `change`.
pub(crate) fn mobilenet(
    path: &Path,
    change: impl Fn(&mut BTreeMap<String, (Vec<usize>, Vec<f32>)>),
) {
    let network = zoo::network("mobilenetv1_025", &zoo::Options::plain(2)).unwrap();
    let mut tensors: BTreeMap<_, _> = nn::file_shapes(&network)
        .into_iter()
        .enumerate()
        .map(|(tensor, (name, shape))| {
            let count = shape.iter().product::<usize>();
            let number = |i: usize| ((i * 37 + tensor * 11) % 101) as f32 / 400.0 + 0.01;
            (name, (shape, (0..count).map(number).collect::<Vec<f32>>()))
        })
        .collect();
    change(&mut tensors);
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, (shape, values))| {
            (name, shape, values.into_iter().flat_map(f32::to_le_bytes).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn an_imported_model_predicts_and_is_fine_tuned() {
    let sandbox = Sandbox::new();
    mobilenet(&sandbox.path("m.safetensors"), |_| {});
    sandbox.write("names.txt", "cat\ndog\n");
    let arguments = ["import", "m.safetensors", "--model", "mobilenetv1_025"];
    let named = ["--class-names", "names.txt", "-o", "named", "--json"];
    let told: Value =
        serde_json::from_str(&sandbox.succeed(&[&arguments[..], &named].concat())).unwrap();
    for (key, value) in [
        ("network", Value::from("mobilenetv1_025")),
        ("classes", Value::from(2)),
        ("format", Value::from("safetensors")),
        ("replaced_classes", Value::Null),
    ] {
        assert_eq!(told[key], value, "{key}");
    }
    let config = fs::read_to_string(sandbox.path("named/config.json")).unwrap();
    assert!(config.contains("\"cat\""), "{config}");
    sandbox.recipe();
    let image = sandbox.colors().join("red/03.png");
    let ranked = sandbox.succeed(&["predict", "named", image.to_str().unwrap()]);
    assert!(ranked.contains("cat") && ranked.contains("dog"), "{ranked}");
    let said = sandbox.fail(&[&arguments[..], &named].concat(), 2);
    assert!(said.contains("named: a model is here already"), "{said}");

    let output = sandbox.run(&[&arguments[..], &["--classes", "3"]].concat());
    assert!(stderr(&output).contains("new classifier for 3 classes"), "{}", stderr(&output));
    let body = |folder: &str| {
        let mut tensors = tensors(&sandbox.path(folder));
        tensors.retain(|name, _| !name.starts_with("classifier."));
        tensors
    };
    assert!(body("named") == body("models/mobilenetv1_025"));
    let tune = [
        &["train", "tiny.toml", "--data", "colors", "--set", "train.duration=8 steps"][..],
        &["--set", "init.from=models/mobilenetv1_025", "--set", "network.model=mobilenetv1_025"],
        &[
            "--set",
            "network.shape=off",
            "--set",
            "network.stem=imagenet",
            "--set",
            "rate.warmup=off",
        ],
        &[
            "--set",
            "rate.decay.step.at=[]",
            "--set",
            "preprocess.size=32",
            "--set",
            "init.freeze=stage4",
        ],
    ];
    let output = sandbox.run(&tune.concat());
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("its classifier of 3 classes stays"), "{said}");
}

#[test]
fn what_cannot_be_imported_is_said() {
    let sandbox = Sandbox::new();
    mobilenet(&sandbox.path("whole.safetensors"), |_| {});
    mobilenet(&sandbox.path("wrong.safetensors"), |tensors| {
        let stem = tensors.remove("conv_stem.weight").unwrap();
        tensors.insert("conv_stm.weight".into(), stem);
        tensors.get_mut("bn1.bias").unwrap().0 = vec![2, 4];
    });
    mobilenet(&sandbox.path("nan.safetensors"), |tensors| {
        tensors.get_mut("bn1.bias").unwrap().1[3] = f32::NAN;
    });
    sandbox.write("words.pth", "these are words");
    let command = include_bytes!("../../../weights/testdata/command.pth");
    sandbox.write("command.pth", command);
    sandbox.write("names.txt", "cat\n\ndog\n");
    sandbox.write("one.txt", "cat\n");
    let with = |file: &'static str, more: &[&'static str]| {
        [&["import", file, "--model", "mobilenetv1_025"], more].concat()
    };
    for (arguments, code, words) in [
        (
            with("wrong.safetensors", &[]),
            1,
            vec![
                "wrong.safetensors: the tensors are not those of mobilenetv1_025",
                "1 missing:\n    conv_stem.weight",
                "1 unexpected:\n    conv_stm.weight (is it conv_stem.weight?)",
                "1 of another shape:\n    bn1.bias is [2, 4], not [8]",
            ],
        ),
        (
            vec!["import", "whole.safetensors", "--model", "resnet18"],
            1,
            vec!["\n    and ", "they are those of mobilenetv1_025 or mobilenetv1_025_relu6: give"],
        ),
        (with("nan.safetensors", &[]), 1, vec!["nan.safetensors: bn1.bias holds NaN"]),
        (with("words.pth", &[]), 1, vec!["words.pth: neither a safetensors file"]),
        (with("nothing.pth", &[]), 1, vec!["nothing.pth: cannot be read"]),
        (with("command.pth", &[]), 1, vec!["posix.system", "nothing was executed"]),
        (with("whole.safetensors", &["--classes", "0"]), 2, vec!["--classes"]),
        (
            with("whole.safetensors", &["--class-names", "one.txt"]),
            1,
            vec!["2 classes, and 1 names"],
        ),
        (
            with("whole.safetensors", &["--class-names", "names.txt"]),
            1,
            vec!["names.txt:2: a class"],
        ),
        (
            vec!["import", "words.pth", "--model", "mobilnet_025"],
            2,
            vec!["mobilnet_025", "did you mean"],
        ),
    ] {
        let text = sandbox.fail(&arguments, code);
        for word in words {
            assert!(text.contains(word), "{arguments:?}: no {word:?} in: {text}");
        }
        assert!(!sandbox.path("models").exists(), "{arguments:?} leaves nothing");
    }
}

/// A model that was trained bicubically says so in its folder, and a run that starts from it is told where it differs.
#[test]
fn the_interpolation_goes_with_the_model() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let train = ["train", recipe.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let short = ["--set", "train.duration=2 epochs", "--set", "rate.decay=cosine"];
    let cubic = ["--set", "preprocess.interpolation=bicubic", "--out", "cubic"];
    sandbox.succeed(&[&train[..], &short, &cubic].concat());
    let config = |run: &str| fs::read_to_string(sandbox.path(run).join("model/config.json"));
    assert!(config("cubic").unwrap().contains("\"interpolation\": \"bicubic\""));
    let saved = fs::read_to_string(sandbox.path("cubic/recipe.toml")).unwrap();
    assert!(saved.contains("interpolation = \"bicubic\""), "{saved}");
    let tuned = ["--set", "init.from=cubic", "--out", "tuned"];
    let said = stderr(&sandbox.run(&[&train[..], &short, &tuned].concat()));
    assert!(said.contains("--set preprocess.interpolation=bicubic does the same"), "{said}");
    assert!(config("tuned").unwrap().contains("\"interpolation\": \"bilinear\""));
    let eval = ["eval", "cubic", "--data", data.to_str().unwrap(), "--json"];
    assert!(sandbox.succeed(&eval).contains("\"images\": 12"));
}

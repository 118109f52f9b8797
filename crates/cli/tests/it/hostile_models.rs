//! Models, images and folders that somebody changed, damaged or made up.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::fixtures::{Sandbox, stderr, write_image};

/// A run of the tiny recipe, as `run`, on the images in `colors`.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    sandbox.succeed(&["train", recipe, "--data", data, "--out", "run"]);
    sandbox
}

/// A change of a config.
type Edit = Box<dyn Fn(&mut Value)>;

/// Gives the config of the run's model an edit, and takes it back after `check`.
fn edited(sandbox: &Sandbox, edit: impl Fn(&mut Value), check: impl Fn()) {
    let file = sandbox.path("run/model/config.json");
    let before = fs::read(&file).unwrap();
    let mut config: Value = serde_json::from_slice(&before).unwrap();
    edit(&mut config);
    fs::write(&file, config.to_string()).unwrap();
    check();
    fs::write(&file, before).unwrap();
}

#[test]
fn edits_of_a_config_count_or_are_refused() {
    let sandbox = trained();
    let image = "colors/red/00.png";
    let cfg = |key: &'static str, value: Value| {
        move |config: &mut Value| config["pretrained_cfg"][key] = value.clone()
    };
    let own = |key: &'static str, value: Value| {
        move |config: &mut Value| config["trickbag"][key] = value.clone()
    };
    let top =
        |key: &'static str, value: Value| move |config: &mut Value| config[key] = value.clone();
    let edits: Vec<(Edit, &str)> = vec![
        (Box::new(own("crop", json!(64))), "trickbag.crop is 64"),
        (Box::new(own("resize", json!(0))), "trickbag.resize is 0"),
        (Box::new(cfg("input_size", json!([3, 100_000, 100_000]))), "pretrained_cfg.input_size is"),
        (Box::new(cfg("crop_pct", json!(1.5))), "pretrained_cfg.crop_pct is 1.5"),
        (Box::new(cfg("std", json!([0, 0, 0]))), "pretrained_cfg.std is"),
        (Box::new(cfg("mean", json!([123.0, 116.0, 103.0]))), "pretrained_cfg.mean is"),
        (Box::new(cfg("num_classes", json!(7))), "pretrained_cfg.num_classes is 7"),
        (Box::new(cfg("interpolation", json!("bicubic"))), "is \"bicubic\""),
        (Box::new(top("num_classes", json!(1_000_000_000))), "1000000000 classes"),
        (Box::new(top("num_classes", json!(-1))), "expected usize at line"),
        (
            Box::new(own(
                "shape",
                json!({"blocks": [100_000_000, 1, 1, 1], "channels": [8, 8, 16, 16], "stem_channels": 8}),
            )),
            "100000000 blocks",
        ),
    ];
    for (edit, words) in edits {
        edited(&sandbox, edit, || {
            for command in [
                &["predict", "run", image][..],
                &["eval", "run", "--data", "colors"],
                &["export", "run", "--format", "onnx", "-o", "net.onnx"],
            ] {
                let text = sandbox.fail(command, 1);
                assert!(
                    text.contains(words) && text.contains("config.json"),
                    "no {words:?} in: {text}"
                );
            }
        });
    }
    // An edit that can be meant changes the answer.
    let predict = || sandbox.succeed(&["predict", "run", image, "--json"]);
    let before = predict();
    edited(&sandbox, cfg("mean", json!([0.1, 0.9, 0.1])), || assert_ne!(predict(), before));
    edited(&sandbox, cfg("crop_pct", json!(0.5)), || assert_ne!(predict(), before));
    assert_eq!(predict(), before);
}

/// Three spellings of absurd networks, in a recipe and for a dry run, end as mistakes and not as an abort.
#[test]
fn shapes_beyond_the_limits_are_mistakes_of_the_recipe() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    for (blocks, channels, words) in [
        (
            "[1, 1, 1, 1]",
            "[100000, 100000, 100000, 100000]",
            "100000 is out of range; channels is at most 8192",
        ),
        ("[100000, 1, 1, 1]", "[8, 8, 16, 16]", "100000 is out of range; blocks is at most 512"),
        (
            "[512, 512, 512, 512]",
            "[8192, 8192, 8192, 8192]",
            "1073741824 are the most; give fewer blocks or channels",
        ),
    ] {
        let edit = format!(
            "network.shape={{ blocks = {blocks}, channels = {channels}, stem_channels = 8 }}"
        );
        for more in [&["--dry-run"][..], &[]] {
            let command = ["train", recipe, "--data", data, "--out", "run", "--set", &edit];
            let text = sandbox.fail(&[&command, more].concat(), 2);
            assert!(text.contains(words), "no {words:?} in: {text}");
            assert!(!sandbox.path("run").exists(), "nothing is begun");
        }
    }
    let text = fs::read_to_string(recipe)
        .unwrap()
        .replace("channels = [8, 8, 16, 16]", "channels = [30000, 8, 16, 16]");
    let file = sandbox.write("wide.toml", text);
    let text = sandbox.fail(&["train", file.to_str().unwrap(), "--data", data], 2);
    assert!(
        text.contains("wide.toml:11: network.shape.channels: 30000"),
        "it names the line: {text}"
    );
}

/// Writes the tensors of a model folder again, as another program would, after a change of their values.
fn rewrite(folder: &Path, change: impl Fn(&str, &mut [f32])) {
    let file = folder.join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let archive = SafeTensors::deserialize(&bytes).unwrap();
    let changed: Vec<(String, safetensors::Dtype, Vec<usize>, Vec<u8>)> = archive
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let mut data = view.data().to_vec();
            if view.dtype() == safetensors::Dtype::F32 {
                let mut values: Vec<f32> =
                    data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                change(&name, &mut values);
                data = values.into_iter().flat_map(f32::to_le_bytes).collect();
            }
            (name, view.dtype(), view.shape().to_vec(), data)
        })
        .collect();
    let views = changed.iter().map(|(name, dtype, shape, data)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn answers_that_are_no_numbers_are_failures() {
    let sandbox = trained();
    // Without the checksum of ours the folder opens still.
    let before = sandbox.succeed(&["predict", "run", "colors/red", "--json"]);
    rewrite(&sandbox.path("run/model"), |_, _| {});
    assert_eq!(sandbox.succeed(&["predict", "run", "colors/red", "--json"]), before);
    let told = sandbox.succeed(&["verify", "run/model"]);
    assert!(told.contains("without a checksum"), "{told}");
    // Finite weights whose products are not.
    rewrite(&sandbox.path("run/model"), |name, values| {
        if name == "fc.weight" {
            values.fill(f32::MAX);
        }
    });
    for command in [
        &["predict", "run", "colors/red"][..],
        &["predict", "run", "colors/red/00.png", "--json"],
        &["eval", "run", "--data", "colors"],
    ] {
        let output = sandbox.run(command);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {text}");
        assert!(output.stdout.is_empty(), "nothing is told: {command:?}");
        assert!(text.contains("no number") && text.contains("lower rate"), "{command:?}: {text}");
    }
    rewrite(&sandbox.path("run/model"), |name, values| {
        if name == "fc.bias" {
            values[0] = f32::NAN;
        }
    });
    let text = sandbox.fail(&["predict", "run", "colors/red"], 1);
    assert!(text.contains("fc.bias holds NaN"), "{text}");
}

/// Asserts that `verify` finds one file of the run broken, in these words.
#[track_caller]
fn broken(sandbox: &Sandbox, words: &str) {
    let output = sandbox.run(&["verify", "run"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = text.lines().find(|line| line.starts_with("BROKEN")).expect("a broken file");
    assert!(line.contains(words), "no {words:?} in: {line}");
    assert!(stderr(&output).contains("1 of "), "{}", stderr(&output));
}

#[test]
fn damage_is_found_wherever_the_model_is_read_and_verify_names_it() {
    let sandbox = trained();
    let told = sandbox.succeed(&["verify", "run", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["kind"], &told["sound"]), (&json!("run"), &json!(true)));
    let files = told["files"].as_array().unwrap();
    for name in [
        "recipe.toml",
        "run.json",
        "metrics.jsonl",
        "metrics.csv",
        "tfevents",
        "checkpoints/step-",
        "predictions.jsonl",
        "run/model",
    ] {
        let found = files.iter().any(|file| file["file"].as_str().unwrap().contains(name));
        assert!(found, "{name} is not looked at: {told}");
    }
    let flip = |file: &str, from_end: usize| {
        let path = sandbox.path(file);
        let before = fs::read(&path).unwrap();
        let mut bytes = before.clone();
        let at = bytes.len() - from_end;
        bytes[at] ^= 0x20;
        fs::write(&path, bytes).unwrap();
        move || fs::write(&path, before.clone()).unwrap()
    };

    let mend = flip("run/model/model.safetensors", 1001);
    broken(&sandbox, "checksum");
    for command in [
        &["predict", "run", "colors/red"][..],
        &["eval", "run", "--data", "colors"],
        &["export", "run", "--format", "onnx", "-o", "a.onnx"],
        &["import", "run/model/model.safetensors", "--model", "resnet18d", "-o", "imported"],
    ] {
        let text = sandbox.fail(command, 1);
        assert!(text.contains("checksum") && text.contains("model.safetensors"), "{text}");
    }
    mend();
    let name =
        fs::read_dir(sandbox.path("run/checkpoints")).unwrap().next().unwrap().unwrap().file_name();
    let mend = flip(&format!("run/checkpoints/{}", name.to_str().unwrap()), 100);
    broken(&sandbox, "checkpoints/step-");
    mend();
    sandbox.succeed(&["verify", "run"]);
}

#[test]
fn verify_reads_packs_whole_and_refuses_what_is_nothing() {
    let sandbox = Sandbox::new();
    sandbox.colors();
    sandbox.succeed(&["data", "pack", "colors", "-o", "packed"]);
    let told = sandbox.succeed(&["verify", "packed"]);
    assert!(
        told.lines().count() == 2 && told.lines().all(|line| line.starts_with("sound")),
        "{told}"
    );
    let shard = sandbox.path("packed/shard-00000.pack");
    let before = fs::read(&shard).unwrap();
    let mut changed = before.clone();
    changed[5000] ^= 1;
    fs::write(&shard, changed).unwrap();
    let output = sandbox.run(&["verify", "packed"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("its bytes have changed"));
    fs::write(&shard, before).unwrap();
    fs::remove_file(sandbox.path("packed/index.pack")).unwrap();
    let output = sandbox.run(&["verify", "packed"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("the pack is not finished"));
    let text = sandbox.fail(&["verify", "colors"], 2);
    assert!(
        text.contains("no run, model or packed copy; give a folder that holds recipe.toml"),
        "{text}"
    );
}

/// A log that ends in half a row, and a recipe that was changed behind a run's back.
#[test]
fn verify_names_torn_logs_and_another_recipe() {
    let sandbox = trained();
    for (file, words) in [
        ("run/metrics.jsonl", "no whole row"),
        ("run/metrics.csv", "no whole row"),
        ("run/events.out.tfevents.0000000001.trickbag", "no whole row"),
        ("run/predictions.jsonl", "cannot be read"),
    ] {
        let path = sandbox.path(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, &before[..before.len() - 5]).unwrap();
        broken(&sandbox, words);
        fs::write(&path, before).unwrap();
    }
    let recipe = sandbox.path("run/recipe.toml");
    let before = fs::read_to_string(&recipe).unwrap();
    fs::write(&recipe, before.replace("base = 0.2", "base = 0.3")).unwrap();
    let output = sandbox.run(&["verify", "run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("another recipe than recipe.toml"));
    fs::write(&recipe, before).unwrap();
    sandbox.succeed(&["verify", "run"]);
}

/// A pipe would be read for ever, a device without end, and a sparse file costs memory that is not there.
#[test]
fn predict_reads_only_what_begins_as_an_image() {
    let sandbox = trained();
    fs::create_dir(sandbox.path("odd")).unwrap();
    write_image(&sandbox.path("odd/z.png"), 1, 3);
    let made =
        Command::new("mkfifo").arg(sandbox.path("odd/pipe.jpg")).status().expect("mkfifo runs");
    assert!(made.success());
    fs::File::create(sandbox.path("odd/sparse.jpg")).unwrap().set_len(20 << 30).unwrap();
    fs::write(sandbox.path("odd/large.jpg"), b"\xFF\xD8").unwrap();
    fs::File::options()
        .write(true)
        .open(sandbox.path("odd/large.jpg"))
        .unwrap()
        .set_len(20 << 30)
        .unwrap();
    fs::File::create(sandbox.path("odd/zeros.png")).unwrap().set_len(100 << 20).unwrap();
    symlink("/dev/zero", sandbox.path("odd/device.png")).unwrap();
    symlink("nowhere", sandbox.path("odd/dangling.png")).unwrap();
    symlink(".", sandbox.path("odd/self")).unwrap();
    symlink("..", sandbox.path("odd/up")).unwrap();
    let strange = OsStr::from_bytes(b"odd/\xFF\xFEname.png");
    fs::copy(sandbox.path("odd/z.png"), sandbox.path("").join(strange)).unwrap();

    let output = sandbox.run(&["predict", "run", "odd", "--json", "--top", "1"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = |name: &str| {
        let each =
            list.as_array().unwrap().iter().find(|each| each["image"] == format!("odd/{name}"));
        each.unwrap_or_else(|| panic!("{name} is not told: {list}"))["error"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(error("z.png"), None);
    assert_eq!(error("\u{FFFD}\u{FFFD}name.png"), None, "a name that is no text is an image still");
    for (name, words) in [
        ("pipe.jpg", "it is a FIFO, and only regular files are read"),
        ("device.png", "it is a device, and only regular files are read"),
        ("sparse.jpg", "are more than any picture"),
        ("large.jpg", "are more than any picture"),
        ("zeros.png", "not a JPEG, PNG, WebP, BMP or GIF file"),
        ("dangling.png", "cannot be read"),
    ] {
        let text = error(name).expect(name);
        assert!(text.contains(words), "{name}: no {words:?} in: {text}");
    }
    // What the links lead to is read once: the folder itself, and the one above it.
    let count = |name: &str| {
        list.as_array()
            .unwrap()
            .iter()
            .filter(|each| each["image"].as_str().unwrap().ends_with(name))
            .count()
    };
    assert_eq!((count("z.png"), count("red/00.png")), (1, 1));
}

#[test]
fn outputs_that_cannot_be_written_are_told_first_and_advise_no_resume() {
    let sandbox = trained();
    sandbox.write("notes.txt", "words");
    let weights = "run/model/model.safetensors";
    for (arguments, words) in [
        (
            vec!["export", "run", "--format", "onnx", "-o", "none/a.onnx"],
            "there is no folder none; make it first",
        ),
        (vec!["export", "run", "--format", "timm", "-o", "notes.txt/a"], "notes.txt is a file"),
        (vec!["import", weights, "--model", "resnet18d", "-o", "notes.txt"], "notes.txt is a file"),
        (vec!["models", "resnet18", "-o", "none/a.svg"], "there is no folder none"),
        (vec!["predict", "run", "colors", "--submission", "none/a.txt"], "there is no folder none"),
        (vec!["predict", "run", "colors", "--html", "/dev/null"], "no regular file"),
        (
            vec![
                "import",
                weights,
                "--model",
                "resnet18d",
                "-o",
                "x",
                "--class-names",
                "/dev/zero",
            ],
            "--class-names /dev/zero: it is no regular file",
        ),
    ] {
        let text = sandbox.fail(&arguments, 2);
        assert!(text.contains(words), "{arguments:?}: no {words:?} in: {text}");
        assert!(!text.contains("--resume"), "{arguments:?}: {text}");
    }
    assert_eq!(fs::read(sandbox.path("notes.txt")).unwrap(), b"words");
    let text = sandbox.fail(&["import", "/dev/zero", "--model", "resnet18d", "-o", "x"], 1);
    assert!(text.contains("no regular file"), "{text}");
}

/// A fine-tuning that was stopped before its first checkpoint begins anew, and by now its origin may be another network.
#[test]
fn an_origin_that_was_replaced_is_a_mistake_and_not_a_panic() {
    let sandbox = trained();
    let recipe = sandbox.recipe();
    let recipe = recipe.to_str().unwrap();
    let train = ["train", recipe, "--data", "colors", "--set", "train.duration=2 epochs"];
    let later = ["--set", "rate.decay={ cosine = {} }", "--out"];
    let tuned = [&train[..], &["--set", "init.from=run"], &later, &["tuned"]].concat();
    sandbox.succeed(&tuned);
    fs::remove_dir_all(sandbox.path("tuned/checkpoints")).unwrap();
    fs::remove_dir_all(sandbox.path("run")).unwrap();
    let other = [&train[..], &["--set", "network.model=resnet34d"], &later, &["run"]].concat();
    sandbox.succeed(&other);
    let text = sandbox.fail(&["train", "--resume", "--out", "tuned", "--data", "colors"], 2);
    assert!(text.contains("init.from: run is a resnet34d"), "{text}");
}

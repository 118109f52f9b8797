//! Segmentation from the command line: data, training, evaluation, predictions, exports.

use std::fs;

use serde_json::Value;

use crate::fixtures::Sandbox;

/// What makes `segment-small` a matter of seconds.
const SMALL: [&str; 9] = [
    "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 8, 16, 16], stem_channels = 8 }",
    "segment.crop=24",
    "segment.shorter=[20, 48]",
    "train.duration=60 steps",
    "train.batch=4",
    "train.evaluate_every=30 steps",
    "rate.warmup=off",
    "checkpoint.every=20 steps",
    "checkpoint.keep=2",
];

/// Images of 40×32 pixels in ADE20K's layout, dark at the left and light at the right.
fn scenes() -> Sandbox {
    let sandbox = Sandbox::new();
    for index in 0..10u32 {
        let part = if index < 8 { "training" } else { "validation" };
        let edge = 8 + 2 * index;
        let shade = |x, y| if x >= edge { 190 + (x * y % 40) as u8 } else { 20 + (x + y) as u8 };
        let photo = image::RgbImage::from_fn(40, 32, |x, y| image::Rgb([shade(x, y); 3]));
        let mask = image::GrayImage::from_fn(40, 32, |x, _| image::Luma([1 + u8::from(x >= edge)]));
        for (folder, file) in [
            ("images", image::DynamicImage::from(photo)),
            ("annotations", image::DynamicImage::from(mask)),
        ] {
            let path = sandbox.path(&format!("scenes/{folder}/{part}/{index}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            file.save(path).unwrap();
        }
    }
    sandbox.write("scenes/classes.txt", "dark\nlight\n");
    sandbox
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_segmenter_is_trained_evaluated_used_and_exported() {
    let sandbox = scenes();
    let mut train = vec!["train", "segment-small", "--data", "scenes", "--out", "run", "--json"];
    SMALL.iter().for_each(|edit| train.extend(["--set", edit]));
    let said = json(&sandbox.succeed(&train));
    assert_eq!((&said["steps"], &said["images"]), (&60.into(), &2.into()));
    let reached = said["mean_iou"].as_f64().unwrap();
    assert!(reached > 60.0, "{said}");
    assert!(fs::read_to_string(sandbox.path("run/report.html")).unwrap().contains("mIoU"));

    let eval = json(&sandbox.succeed(&["eval", "run", "--data", "scenes", "--json"]));
    assert_eq!(eval["mean_iou"].as_f64(), Some(reached));
    assert_eq!(eval["pixel_accuracy"], said["pixel_accuracy"]);
    assert_eq!(eval["classes"][1]["class"], "light");
    let text = sandbox.succeed(&["eval", "run/model", "--data", "scenes"]);
    assert!(text.contains("mean IoU") && text.contains("dark"), "{text}");

    let text = sandbox.succeed(&["verify", "run"]);
    assert!(text.contains("fcn_resnet50 with") && !text.contains("BROKEN"), "{text}");

    let image = "scenes/images/validation/9.png";
    let page = ["predict", "run", image, "--draw", "drawn", "--html", "page.html", "--json"];
    let told = json(&sandbox.succeed(&page));
    let shares = told[0]["classes"].as_array().unwrap();
    let sum: f64 = shares.iter().map(|class| class["share"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{told}");
    let mask = image::open(sandbox.path("drawn/0000-9.png")).unwrap();
    let overlay = image::open(sandbox.path("drawn/0000-9-overlay.png")).unwrap();
    assert_eq!([mask.width(), mask.height(), overlay.width(), overlay.height()], [40, 32, 40, 32]);
    assert!(sandbox.path("page.html").is_file());

    let export = ["export", "run", "--format", "onnx", "-o", "net.onnx", "--json"];
    let said = json(&sandbox.succeed(&export));
    assert_eq!((&said["side"], &said["network"]), (&24.into(), &"fcn_resnet50".into()));
    let text = sandbox.fail(&["export", "run", "--format", "timm"], 2);
    assert!(text.contains("timm has no segmenters"), "{text}");
}

#[test]
fn a_run_of_segmentation_goes_on_where_it_was() {
    let sandbox = scenes();
    let train = |folder: &str, edits: &[&str]| {
        let mut command = vec!["train", "segment-small", "--data", "scenes", "--out", folder];
        SMALL.iter().chain(edits).for_each(|edit| command.extend(["--set", edit]));
        sandbox.succeed(&command);
    };
    train("whole", &[]);
    train("again", &[]);
    // A later checkpoint is gone, as if the run had been killed before.
    let checkpoints = sandbox.path("again/checkpoints");
    let mut names: Vec<_> =
        fs::read_dir(&checkpoints).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 2, "{names:?}");
    fs::remove_file(names.last().unwrap()).unwrap();
    fs::remove_dir_all(sandbox.path("again/model")).unwrap();
    sandbox.succeed(&["train", "--resume", "--out", "again", "--data", "scenes"]);
    let weights = |run: &str| fs::read(sandbox.path(run).join("model/model.safetensors")).unwrap();
    assert!(weights("whole") == weights("again"));
}

#[test]
fn data_of_masks_are_checked_and_counted() {
    let sandbox = scenes();
    let check = json(&sandbox.succeed(&["data", "check", "scenes", "--json"]));
    assert_eq!(check["stops_training"], false);
    assert_eq!((&check["train_images"], &check["classes"]), (&8.into(), &2.into()));
    let info = json(&sandbox.succeed(&["data", "info", "scenes", "--json", "-o", "sheet.png"]));
    let share = info["classes"][0]["share"].as_f64().unwrap();
    assert!((0.3..0.7).contains(&share), "{info}");
    assert!(sandbox.path("sheet.png").is_file());
    fs::remove_file(sandbox.path("scenes/annotations/training/3.png")).unwrap();
    let text = sandbox.fail(&["data", "check", "scenes"], 1);
    assert!(text.contains("1 finding would stop training"), "{text}");
    let train = ["train", "segment-small", "--data", "scenes", "--out", "run"];
    let text = sandbox.fail(&train, 1);
    assert!(text.contains("1 images have no mask") && text.contains("3.png"), "{text}");
    let text = sandbox.fail(&["train", "segment-small", "--out", "run"], 2);
    assert!(text.contains("give their path with --data"), "{text}");
}

//! A detector from the command line: trained, killed, resumed, measured, and asked for boxes.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::fixtures::{Sandbox, stderr};

/// Pascal VOC with one square a picture: red ones are of the class `red`, blue ones of `blue`.
fn squares(sandbox: &Sandbox, count: u32) {
    let mut lists = [String::new(), String::new()];
    for number in 0..count {
        let (side, x, y) = (18 + number % 7, (number * 5) % 38, (number * 7) % 22);
        let (class, color) = if number % 2 == 0 {
            ("red", Rgb([220, 30, 30]))
        } else {
            ("blue", Rgb([30, 30, 220]))
        };
        let picture = RgbImage::from_fn(64, 48, |column, row| {
            let inside = (x..x + side).contains(&column) && (y..y + side).contains(&row);
            if inside { color } else { Rgb([110, 115, 120]) }
        });
        let path = sandbox.write(&format!("voc/JPEGImages/{number:03}.png"), "");
        picture.save(path).unwrap();
        let [right, bottom] = [x + side, y + side];
        let text = format!(
            "<annotation><size><width>64</width><height>48</height></size><object><name>{class}</name><bndbox>\
             <xmin>{}</xmin><ymin>{}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object></annotation>",
            x + 1,
            y + 1
        );
        sandbox.write(&format!("voc/Annotations/{number:03}.xml"), text);
        lists[usize::from(number % 4 == 3)] += &format!("{number:03}\n");
    }
    sandbox.write("voc/ImageSets/Main/trainval.txt", &lists[0]);
    sandbox.write("voc/ImageSets/Main/test.txt", &lists[1]);
}

const SMALL: [&str; 12] = [
    "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 16, 16, 24], stem_channels = 8 }",
    "detect.side=96",
    "detect.longest=128",
    "detect.anchors={ scales = [2.0, 3.0], ratios = [1.0], border = \"trained\" }",
    "detect.proposals={ channels = 16, batch = 32, least_side = 4, training = { before = 50, after = 20 }, test = { before = 50, after = 10 } }",
    "detect.regions.batch=16",
    "detect.regions.size=4",
    "train.evaluate_every=20 steps",
    "rate.warmup.duration=4 steps",
    "rate.base=0.05",
    "checkpoint.every=3 steps",
    "network.last_gamma=1",
];

fn train<'a>(steps: &'a str, out: &'a str) -> Vec<&'a str> {
    let mut args = vec!["train", "detect-small", "--data", "voc", "--out", out, "--json"];
    SMALL.iter().for_each(|edit| args.extend(["--set", edit]));
    args.extend(["--set", steps]);
    args
}

#[test]
fn a_detector_is_trained_measured_and_asked() {
    let sandbox = Sandbox::new();
    squares(&sandbox, 32);
    let summary = sandbox.succeed(&train("train.duration=60 steps", "run"));
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((summary["steps"].as_u64(), summary["images"].as_u64()), (Some(60), Some(8)));
    assert!(summary["map_11_point"].as_f64().unwrap() > 0.0, "{summary}");

    let told = sandbox.succeed(&["eval", "run", "--data", "voc", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    for key in ["map", "map_11_point"] {
        assert_eq!(told[key], summary[key], "{key}");
    }
    assert_eq!(told["coco"].as_object().unwrap().len(), 12);
    assert_eq!(told["coco"]["average_precision"], summary["coco_map"]);
    assert_eq!(told["classes"].as_array().unwrap().len(), 2);

    let args = ["predict", "run", "voc/JPEGImages", "--score", "0", "--json"];
    let boxes = sandbox.succeed(&[&args[..], &["--draw", "drawn", "--html", "page.html"]].concat());
    let boxes: Value = serde_json::from_str(&boxes).unwrap();
    let mut found = boxes.as_array().unwrap().iter().filter_map(|one| one["boxes"].get(0));
    let first = found.next().expect("a box in one of the pictures");
    assert!(["red", "blue"].contains(&first["class"].as_str().unwrap()), "{boxes}");
    let edges: Vec<f64> =
        first["box"].as_array().unwrap().iter().map(|edge| edge.as_f64().unwrap()).collect();
    assert!(edges[0] < edges[2] && edges[2] <= 64.0 && edges[3] <= 48.0, "{boxes}");
    let drawn = image::open(sandbox.path("drawn/0000-000.png")).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (64, 48));
    assert!(fs::read_to_string(sandbox.path("page.html")).unwrap().contains("003.png"));
    assert!(
        fs::read_to_string(sandbox.path("run/report.html"))
            .unwrap()
            .contains("Precision against recall")
    );
}

/// `kill -9` in the middle, and `--resume`: the same weights, byte for byte.
#[test]
fn a_killed_detector_goes_on_as_if_nothing_had_happened() {
    let sandbox = Sandbox::new();
    squares(&sandbox, 24);
    let steps = "train.duration=14 steps";
    sandbox.succeed(&train(steps, "whole"));
    let mut child = sandbox
        .command(&train(steps, "killed"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let checkpoints = sandbox.path("killed/checkpoints");
    while fs::read_dir(&checkpoints).map_or(0, Iterator::count) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before its first checkpoint");
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.succeed(&["train", "--resume", "--out", "killed", "--data", "voc"]);
    let weights = |run: &str| fs::read(sandbox.path(run).join("model/model.safetensors")).unwrap();
    assert!(weights("killed") == weights("whole"));
}

#[test]
fn what_a_detector_cannot_do_is_said() {
    let sandbox = Sandbox::new();
    squares(&sandbox, 8);
    let colors = sandbox.colors();
    let refused = |args: &[&str]| stderr(&sandbox.run(args));
    let other = refused(&["train", "detect-small", "--data", colors.to_str().unwrap()]);
    assert!(other.contains("no images with boxes here"), "{other}");
    assert!(refused(&["train", "detect-small"]).contains("--data"));
    let table = refused(&["ablate", "table8", "--data", "voc"]);
    assert!(table.contains("trickbag train table8.standard"), "{table}");
    sandbox.write("voc/Annotations/000.xml", "<annotation><object>");
    let broken = refused(&["train", "detect-small", "--data", "voc"]);
    assert!(broken.contains("000.xml: broken XML"), "{broken}");
    let checked = sandbox.run(&["data", "check", "voc"]);
    assert!(!checked.status.success());
    assert!(String::from_utf8_lossy(&checked.stdout).contains("bad annotation"));
    let drawn = sandbox.succeed(&["models", "faster_rcnn_resnet50d"]);
    assert!(drawn.contains("294.7 G multiply-adds"), "{drawn}");
    let network = refused(&["models", "faster_rcnn_vgg19"]);
    assert!(network.contains("vgg19 is none"), "{network}");
}

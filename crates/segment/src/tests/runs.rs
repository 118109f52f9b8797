//! Runs of segmentation on a few small images: trained to the end, killed and resumed, in parts over ranks, with the same
//! files; and what is refused before the first step.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use data::{Mask, Resources, RgbImage, png};
use recipe::Recipe;
use record::{ClassRow, PictureRow, names};
use serde_json::json;
use tempfile::TempDir;
use train::{Fed, Feed, Start, TrainError};
use world::World;

use crate::{
    CropFeed, Crops, LabelledPicture, Segment, SegmentError, SegmentPlan, SegmentRun, evaluate,
    model_folder, predict,
};

/// Ten images of 40×32 pixels in ADE20K's layout: their left part is dark and of class 0, their right part is light and of
/// class 1, and a row is not labelled.
fn dataset() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for index in 0..10usize {
        let part = if index < 8 { "training" } else { "validation" };
        let edge = 8 + 2 * index;
        let (mut pixels, mut indices) = (Vec::new(), Vec::new());
        for at in 0..40 * 32usize {
            let is_right = at % 40 >= edge;
            let noise = (at * 7 + index * 13) % 40;
            let shade = if is_right { 180 + noise } else { 20 + noise };
            pixels.extend([shade as u8; 3]);
            indices.push(if at / 40 == 5 { data::IGNORED } else { u16::from(is_right) });
        }
        let write = |folder: &str, bytes: &[u8]| {
            let folder = place.path().join(folder).join(part);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("{index}.png")), bytes).unwrap();
        };
        write("images", &png(&RgbImage { width: 40, height: 32, pixels }));
        let mask = Mask { width: 40, height: 32, indices };
        write("annotations", &mask.to_png(true, |_| [0; 3]));
    }
    fs::write(place.path().join("classes.txt"), "dark\nlight\nnever\n").unwrap();
    place
}

fn recipe(edits: &[&str]) -> Recipe {
    let small = [
        "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 8, 16, 16], stem_channels = 8 }",
        "segment.crop=24",
        "segment.shorter=[20, 48]",
        "segment.blur=on",
        "segment.base=32",
        "train.duration=6 steps",
        "train.batch=4",
        "train.parts=2",
        "train.evaluate_every=3 steps",
        "rate.warmup=off",
        "checkpoint.every=2 steps",
    ];
    let edits: Vec<String> = small.iter().chain(edits).map(ToString::to_string).collect();
    let text = recipe::builtin("segment-small").expect("a built-in recipe");
    recipe::parse_with_edits(text, "segment-small", &edits, &zoo::names())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// A feed whose parts end at a step, as if the process had been killed there.
struct Killed {
    feed: CropFeed,
    at: u64,
}

impl Feed<Crops> for Killed {
    fn part(&mut self, step: u64, index: usize) -> Result<Fed<Crops>, TrainError> {
        match step == self.at {
            true => Err(TrainError::OnlyOverflows { step }),
            false => self.feed.part(step, index),
        }
    }
}

impl train::ValidationFeed<LabelledPicture> for Killed {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, LabelledPicture), TrainError>>, TrainError> {
        self.feed.batches()
    }
}

/// One rank's session of a run: to its end, or to where it is killed.
fn session(
    (recipe, data): (Recipe, &Path),
    folder: &Path,
    resume: bool,
    killed_at: Option<u64>,
    mut world: World,
) -> Result<(), SegmentError> {
    let plan = SegmentPlan::new(recipe, Some(data), resume)?;
    let device = nn::cpu();
    let start = Start { folder, resume, device: &device, environment: json!({}) };
    let mut run = SegmentRun::start(plan, &start, &mut world)?;
    let resources = Resources::from(1);
    let Some(at) = killed_at else {
        return run.train_to_end(resources, &mut world).map(drop);
    };
    let SegmentRun { plan, journal, state, .. } = &mut run;
    let task = Segment::new(&plan.recipe, plan.dataset.clone());
    let mut feed = Killed { feed: CropFeed::new(plan, state.step, resources, &world)?, at };
    let error = train::train(&task, &mut feed, state, &mut world, journal).unwrap_err();
    assert!(matches!(error, TrainError::OnlyOverflows { .. }), "{error}");
    Ok(())
}

fn on_ranks(
    what: (&Recipe, &Path),
    folder: &Path,
    resume: bool,
    killed_at: Option<u64>,
    ranks: usize,
    threads: usize,
) {
    thread::scope(|scope| {
        let ranks: Vec<_> = World::threads(ranks)
            .into_iter()
            .map(|world| {
                scope.spawn(move || {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    let what = (what.0.clone(), what.1);
                    pool.expect("threads start")
                        .install(|| session(what, folder, resume, killed_at, world))
                })
            })
            .collect();
        for rank in ranks {
            rank.join().expect("a rank").unwrap_or_else(|error| panic!("{error}"));
        }
    });
}

/// The files of a run that depend on what was computed alone.
fn files(folder: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let names = ["model/model.safetensors", "model/config.json", names::CLASSES, names::PICTURES];
    names.map(|name| (name, fs::read(folder.join(name)).expect(name))).into()
}

#[test]
fn a_run_killed_and_resumed_over_other_ranks_leaves_the_files_of_a_run_alone() {
    let (data, place) = (dataset(), tempfile::tempdir().unwrap());
    let recipe = recipe(&[]);
    let what = (&recipe, data.path());
    let (alone, other) = (place.path().join("alone"), place.path().join("other"));
    on_ranks(what, &alone, false, None, 1, 1);
    on_ranks(what, &other, false, Some(3), 2, 2);
    on_ranks(what, &other, true, Some(5), 1, 3);
    on_ranks(what, &other, true, None, 2, 1);
    let (expected, found) = (files(&alone), files(&other));
    for (name, bytes) in expected {
        assert!(found[name] == bytes, "{name} differs");
    }
    let mistakes = fs::read_dir(alone.join(names::MISTAKES)).unwrap().count();
    assert_eq!(mistakes, 2, "two validation images");
}

#[test]
fn a_run_learns_and_its_model_says_the_same_again() {
    let (data, place) = (dataset(), tempfile::tempdir().unwrap());
    for mode in ["center", "whole", "multi-scale"] {
        let mode_edit = format!("segment.evaluation={mode}");
        let recipe =
            recipe(&["train.duration=80 steps", "train.evaluate_every=80 steps", &mode_edit]);
        let folder = place.path().join(mode);
        on_ranks((&recipe, data.path()), &folder, false, None, 1, 2);
        assert!(model_folder::is_segmenter(&folder));
        let (model, card) = model_folder::read(&folder, &nn::cpu()).unwrap();
        assert_eq!((card.classes.len(), card.behind_zero, card.step), (3, true, 80));
        let measure = evaluate(&model, &card, data.path()).unwrap();
        // Two of three classes can be right: the third has no pixel.
        assert!(measure.pixel_accuracy() > 75.0, "{mode}: {}", measure.pixel_accuracy());
        assert!(measure.mean_iou() > 35.0, "{mode}: {}", measure.mean_iou());
        let rows = fs::read_to_string(folder.join(names::CLASSES)).unwrap();
        let rows: Vec<ClassRow> = rows.lines().map(|line| ClassRow::read(line).unwrap()).collect();
        for (row, counts) in rows.iter().zip(&measure.counts.classes) {
            assert_eq!((row.truth_pixels, row.answer_pixels), (counts.truth, counts.answer));
        }
        assert!(rows[2].truth_pixels == 0);
        let rows = fs::read_to_string(folder.join(names::PICTURES)).unwrap();
        assert_eq!(rows.lines().filter_map(PictureRow::read).count(), 2);
        let image = RgbImage { width: 17, height: 9, pixels: vec![200; 17 * 9 * 3] };
        let mask = predict(&model, &card, &image);
        assert_eq!((mask.width, mask.height, mask.indices.len()), (17, 9, 17 * 9));
    }
}

#[test]
fn a_part_whose_pixels_are_all_ignored_teaches_nothing_and_breaks_nothing() {
    let (data, place) = (dataset(), tempfile::tempdir().unwrap());
    for entry in fs::read_dir(data.path().join("annotations/training")).unwrap() {
        let mask = Mask { width: 40, height: 32, indices: vec![data::IGNORED; 40 * 32] };
        fs::write(entry.unwrap().path(), mask.to_png(true, |_| [0; 3])).unwrap();
    }
    let recipe = recipe(&[]);
    on_ranks((&recipe, data.path()), place.path(), false, None, 1, 1);
    let metrics = fs::read_to_string(place.path().join(names::METRICS_JSONL)).unwrap();
    assert!(metrics.contains("\"loss\":0.0"), "{metrics}");
    assert!(!metrics.contains("null"), "{metrics}");
}

/// The message of what stops a run.
fn refusal(recipe: Recipe, data: &Path) -> String {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    session((recipe, data), &folder, false, None, World::alone()).unwrap_err().to_string()
}

#[test]
fn bad_masks_stop_a_run_and_are_named() {
    let data = dataset();
    let mask = |name: &str| data.path().join(format!("annotations/{name}.png"));
    let whole = fs::read(mask("training/3")).unwrap();
    let small = Mask { width: 4, height: 4, indices: vec![0; 16] };
    let beyond = Mask { width: 40, height: 32, indices: vec![7; 40 * 32] };
    for (bytes, said) in [
        (small.to_png(true, |_| [0; 3]), "it has 4×4 pixels, and its image 40×32"),
        (beyond.to_png(true, |_| [0; 3]), "1280 pixels have the values 8"),
        (b"nothing".to_vec(), "it is no PNG"),
    ] {
        for name in ["training/3", "validation/9"] {
            fs::write(mask(name), &bytes).unwrap();
            let message = refusal(recipe(&[]), data.path());
            assert!(message.contains(said) && message.contains(name), "{message}");
            fs::write(mask(name), fs::read(mask("training/4")).unwrap()).unwrap();
        }
    }
    fs::write(mask("training/3"), whole).unwrap();
    fs::remove_file(mask("training/5")).unwrap();
    let message = refusal(recipe(&[]), data.path());
    assert!(message.contains("have no mask (images/training/5.png)"), "{message}");
}

#[test]
fn what_cannot_be_trained_is_refused_before_the_first_step() {
    let data = dataset();
    for (edits, said) in [
        (vec!["segment.norm=batch"], "norms over the whole batch need it in one part, not in 2"),
        (vec!["network.model=vgg16", "network.shape=off"], "vgg16"),
        (vec!["train.batch=16"], "8 training images do not fill one batch of 16"),
        (vec!["init={ from = \"nowhere\" }"], "nowhere"),
        (vec!["data.split=0.5", "init={ from = \"nowhere\", freeze = \"stage9\" }"], "stage9"),
    ] {
        let message = refusal(recipe(&edits), data.path());
        assert!(message.contains(said), "{edits:?}: {message}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(refusal(recipe(&[]), empty.path()).contains("no images with masks here"));
}

/// A segmenter begins with the weights of another, and keeps its classes only where they are the same.
#[test]
fn a_run_begins_with_another_runs_weights() {
    let (data, place) = (dataset(), tempfile::tempdir().unwrap());
    let first = place.path().join("first");
    on_ranks((&recipe(&[]), data.path()), &first, false, None, 1, 2);
    let from = format!("init={{ from = \"{}\" }}", first.display());
    let second = place.path().join("second");
    let plan = SegmentPlan::new(recipe(&[&from]), Some(data.path()), false).unwrap();
    let device = nn::cpu();
    let start = Start { folder: &second, resume: false, device: &device, environment: json!({}) };
    let run = SegmentRun::start(plan, &start, &mut World::alone()).unwrap();
    let (model, _) = model_folder::read(&first, &device).unwrap();
    assert_eq!(run.state.model.tensors(), model.tensors());
    let other =
        "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 8, 16, 24], stem_channels = 8 }";
    let message = refusal(recipe(&[&from, other]), data.path());
    assert!(message.contains("holds another network"), "{message}");
}

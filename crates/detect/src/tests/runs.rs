//! Whole runs on made-up pictures: they learn, they can be killed and resumed, and over ranks they leave the same bytes.

use std::fs;
use std::path::Path;
use std::thread;

use data::{Resources, RgbImage, thumbnail};
use recipe::Recipe;
use record::names;
use serde_json::json;
use tempfile::TempDir;
use train::{Fed, Feed, Start, TrainError};
use world::World;

use crate::feed::SceneFeed;
use crate::plan::DetectPlan;
use crate::run::{DetectRun, evaluate, predict};
use crate::task::{Detect, TrainingScene, UnseenScene};
use crate::{DetectError, model_folder};

/// Pascal VOC with red and blue squares on grey, one or two a picture; one picture in four shows none.
pub(super) fn squares(train: usize, test: usize) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let at = |path: String| {
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let mut lists = [String::new(), String::new()];
    for number in 0..train + test {
        let (width, height) = (64, 48);
        let mut pixels = vec![110u8; width * height * 3];
        for (place, value) in pixels.iter_mut().enumerate() {
            *value += (place * 7 + number * 13) as u8 % 9;
        }
        let mut objects = String::new();
        for index in 0..[1, 2, 1, 0][number % 4] {
            let side = 16 + (number * 5 + index * 3) % 10;
            let (x, y) = ((number * 11) % 10 + 32 * index, (number * 7) % (48 - side));
            let red = (number + index).is_multiple_of(2);
            for row in y..y + side {
                for column in x..(x + side).min(width) {
                    let color = if red { [220, 30, 30] } else { [30, 30, 220] };
                    pixels[(row * width + column) * 3..][..3].copy_from_slice(&color);
                }
            }
            objects += &format!(
                "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>",
                if red { "red" } else { "blue" },
                x + 1,
                y + 1,
                (x + side).min(width),
                y + side,
            );
        }
        let image = RgbImage { width, height, pixels };
        fs::write(at(format!("JPEGImages/{number:03}.png")), thumbnail(&image, 64)).unwrap();
        let text = format!(
            "<annotation><size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"
        );
        fs::write(at(format!("Annotations/{number:03}.xml")), text).unwrap();
        lists[usize::from(number >= train)] += &format!("{number:03}\n");
    }
    for (name, list) in ["trainval", "test"].iter().zip(lists) {
        fs::write(at(format!("ImageSets/Main/{name}.txt")), list).unwrap();
    }
    place
}

fn recipe(edits: &[&str]) -> Recipe {
    let small = [
        "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 16, 16, 24], stem_channels = 8 }",
        "detect.side=96",
        "detect.longest=128",
        "detect.anchors={ scales = [2.0, 3.0], ratios = [1.0], border = \"trained\" }",
        "detect.proposals.channels=16",
        "detect.proposals.batch=32",
        "detect.proposals.least_side=4",
        "detect.proposals.training={ before = 50, after = 20 }",
        "detect.proposals.test={ before = 50, after = 10 }",
        "detect.regions.batch=16",
        "detect.regions.size=4",
        "train.duration=6 steps",
        "train.evaluate_every=3 steps",
        "rate.warmup.duration=2 steps",
        "checkpoint.every=2 steps",
    ];
    let edits: Vec<String> = small.iter().chain(edits).map(ToString::to_string).collect();
    let text = recipe::builtin("detect-small").expect("a built-in recipe");
    recipe::parse_with_edits(text, "detect-small", &edits, &zoo::names())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// A feed whose parts end at a step, as if the process had been killed there.
struct Killed {
    feed: SceneFeed,
    at: u64,
}

impl Feed<TrainingScene> for Killed {
    fn part(&mut self, step: u64, index: usize) -> Result<Fed<TrainingScene>, TrainError> {
        if step == self.at { Err(TrainError::Peer) } else { self.feed.part(step, index) }
    }
}

impl train::ValidationFeed<UnseenScene> for Killed {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, UnseenScene), TrainError>>, TrainError> {
        self.feed.batches()
    }
}

/// One rank's session of a run: to its end, or to where it is killed.
fn session(
    recipe: Recipe,
    [data, folder]: [&Path; 2],
    resume: bool,
    killed_at: Option<u64>,
    mut world: World,
) -> Result<(), DetectError> {
    let plan = DetectPlan::new(recipe, Some(data), resume)?;
    let device = nn::cpu();
    let start = Start { folder, resume, device: &device, environment: json!({}) };
    let mut run = DetectRun::start(plan, &start, &world)?;
    let resources = Resources::from(1);
    let Some(at) = killed_at else {
        return run.train_to_end(resources, &mut world).map(drop);
    };
    let DetectRun { plan, journal, state, .. } = &mut run;
    let task = Detect::new(plan.recipe.train.precision, plan.dataset.clone());
    let mut feed = Killed { feed: SceneFeed::new(plan, state.step, resources, &world)?, at };
    let error = train::train(&task, &mut feed, state, &mut world, journal).unwrap_err();
    assert!(matches!(error, TrainError::Peer), "{error}");
    Ok(())
}

/// Runs a session on every rank, each with a pool of `threads` threads.
fn on_ranks(
    recipe: &Recipe,
    places: [&Path; 2],
    resume: bool,
    killed_at: Option<u64>,
    ranks: usize,
    threads: usize,
) {
    thread::scope(|scope| {
        for world in World::threads(ranks) {
            scope.spawn(move || {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| session(recipe.clone(), places, resume, killed_at, world)).unwrap();
            });
        }
    });
}

/// The files whose bytes every way to the end of a run shares.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    ["model/model.safetensors", "model/config.json", names::DETECTIONS, names::PRECISION]
        .map(|name| fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
        .into()
}

#[test]
fn kills_ranks_and_threads_change_no_byte() {
    let data = squares(9, 4);
    let recipe = recipe(&[]);
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    on_ranks(&recipe, [data.path(), &place("alone")], false, None, 1, 1);
    let expected = files(&place("alone"));
    on_ranks(&recipe, [data.path(), &place("threads")], false, None, 1, 3);
    assert!(files(&place("threads")) == expected, "three threads");
    on_ranks(&recipe, [data.path(), &place("two")], false, None, 2, 1);
    assert!(files(&place("two")) == expected, "two ranks");
    // Killed on four ranks, resumed alone, killed again, resumed on two.
    let killed = place("killed");
    on_ranks(&recipe, [data.path(), &killed], false, Some(3), 4, 1);
    on_ranks(&recipe, [data.path(), &killed], true, Some(5), 1, 2);
    on_ranks(&recipe, [data.path(), &killed], true, None, 2, 1);
    assert!(files(&killed) == expected, "killed and resumed");
}

#[test]
fn squares_are_learned_found_and_measured_again() {
    let data = squares(32, 8);
    let edits = [
        "train.duration=160 steps",
        "train.evaluate_every=160 steps",
        "rate.base=0.05",
        "network.last_gamma=1",
        "rate.warmup.duration=10 steps",
        "checkpoint.every=1000 steps",
    ];
    let recipe = recipe(&edits);
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    session(recipe, [data.path(), &run], false, None, World::alone()).unwrap();
    let (model, card) = model_folder::read(&run, &nn::cpu()).unwrap();
    assert!(model_folder::is_detector(&run) && card.step == 160);
    let measured = evaluate(&model, &card, data.path(), Resources::from(1)).unwrap();
    assert!(measured.voc.area > 0.6, "mAP {}", measured.voc.area);
    let values = train::Measure::values(&measured);
    let rows = fs::read_to_string(run.join(names::METRICS_JSONL)).unwrap();
    let last: serde_json::Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    assert_eq!(last["map_11_point"].as_f64(), Some(values[0]), "{last}");
    // One image by itself is found as in the evaluation.
    let bytes = fs::read(data.path().join("JPEGImages/032.png")).unwrap();
    let image = data::decode(&bytes, "032.png").unwrap();
    assert_eq!(predict(&model, &card, &image), measured.scenes[0].found);
    // Another run begins with this one's weights, other classes or not.
    let from = format!("init.from={}", run.display());
    let plan = DetectPlan::new(self::recipe(&[&from]), Some(data.path()), false).unwrap();
    assert!(nn::Module::norms(&plan.detector).iter().all(|norm| norm.frozen));
    let wider =
        "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 16, 16, 32], stem_channels = 8 }";
    let error =
        DetectPlan::new(self::recipe(&[&from, wider]), Some(data.path()), false).unwrap_err();
    assert!(error.to_string().contains("holds another network"), "{error}");
}

#[test]
fn what_cannot_be_trained_is_refused_before_the_first_step() {
    let data = squares(8, 4);
    let refused = |edits: &[&str], data: &Path| {
        DetectPlan::new(recipe(edits), Some(data), false).unwrap_err().to_string()
    };
    let parts = refused(&["train.parts=2"], data.path());
    assert!(parts.contains("set train.parts to 4"), "{parts}");
    let network = refused(&["network.model=mobilenetv1_025", "network.shape=off"], data.path());
    assert!(network.contains("mobilenetv1_025 is none"), "{network}");
    let none = DetectPlan::new(recipe(&[]), None, false).unwrap_err().to_string();
    assert!(none.contains("give their path with --data"), "{none}");
    let missing = refused(&["init.from=nowhere"], data.path());
    assert!(missing.contains("nowhere: no model here"), "{missing}");
    for number in 0..8 {
        let file = data.path().join(format!("Annotations/{number:03}.xml"));
        fs::write(file, "<annotation></annotation>").unwrap();
    }
    let empty = refused(&[], data.path());
    assert!(empty.contains("\"red\" is none of the training part's"), "{empty}");
    for number in 8..12 {
        let file = data.path().join(format!("Annotations/{number:03}.xml"));
        fs::write(file, "<annotation></annotation>").unwrap();
    }
    let empty = refused(&[], data.path());
    assert!(empty.contains("no training image has a box around an object"), "{empty}");
}

/// Every fourth picture shows nothing, so some batches hold images without objects; the steps stay finite.
#[test]
fn images_without_objects_are_trained_on() {
    let data = squares(8, 2);
    for number in [0, 2, 4, 5, 6] {
        let file = data.path().join(format!("Annotations/{number:03}.xml"));
        fs::write(file, "<annotation></annotation>").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    session(recipe(&[]), [data.path(), folder.path()], false, None, World::alone()).unwrap();
    let rows = fs::read_to_string(folder.path().join(names::METRICS_JSONL)).unwrap();
    assert!(rows.lines().count() >= 3 && !rows.contains("null"), "{rows}");
}

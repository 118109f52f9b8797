//! A run over several ranks, on any number of threads each, killed and resumed by another number of ranks, leaves the files
//! of a run alone. Ranks are threads of this process, each with a state of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use data::Resources;
use nn::{Model, Pass};
use recipe::Recipe;
use record::names;
use serde_json::json;
use train::{Fed, Feed, Start, Task, TrainError};
use world::World;
use zoo::Network;

use crate::{Beginning, Classify, ClassifyError, Examples, ImageFeed, Plan, Question, Run};

const STEPS: u64 = 6;

/// Quickstart with a narrow network on few images, a batch of 32 in 8 parts.
fn recipe(edits: &[&str]) -> Recipe {
    let small = [
        "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 8, 16, 16], stem_channels = 8 }",
        "data.limit=96",
        "preprocess.size=16",
        "validation={ resize = 18, crop = 16 }",
        "train.duration=6 steps",
        "train.batch=32",
        "train.parts=8",
        "train.evaluate_every=3 steps",
        "rate.warmup.duration=2 steps",
        "rate.decay.step.at=[\"5 steps\"]",
        "checkpoint.every=2 steps",
    ];
    let edits: Vec<String> = small.iter().chain(edits).map(ToString::to_string).collect();
    let text = recipe::builtin("quickstart").expect("a built-in recipe");
    recipe::parse_with_edits(text, "quickstart", &edits, &zoo::names())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// What every trick of §3.2 and §5 adds, with a teacher in this folder.
fn everything(teacher: &Path) -> Vec<String> {
    vec![
        "train.precision=f16".to_owned(),
        "mixup={ alpha = 0.2, pairing = \"permutation\" }".to_owned(),
        "target.smoothing={ epsilon = 0.1, over = \"others\" }".to_owned(),
        format!(
            "distillation={{ teacher = \"{}\", temperature = 4.0, weighting = \"sum\" }}",
            teacher.display()
        ),
        "average.decay=0.9".to_owned(),
        "update.clip={ norm = 2.0 }".to_owned(),
    ]
}

/// A feed whose parts end at a step, as if the process had been killed there.
struct Killed {
    feed: ImageFeed,
    at: u64,
}

impl Feed<Examples> for Killed {
    fn part(&mut self, step: u64, index: usize) -> Result<Fed<Examples>, TrainError> {
        match step == self.at {
            true => Err(TrainError::OnlyOverflows { step }),
            false => self.feed.part(step, index),
        }
    }
}

impl train::ValidationFeed<Question> for Killed {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, Question), TrainError>>, TrainError> {
        self.feed.batches()
    }
}

/// One rank's session of a run: to its end, or to where it is killed.
fn session(
    recipe: Recipe,
    folder: &Path,
    resume: bool,
    killed_at: Option<u64>,
    mut world: World,
) -> Result<(), ClassifyError> {
    let beginning = if resume { Beginning::Resumed } else { Beginning::New };
    let plan = Plan::new(recipe, None, beginning)?;
    let device = nn::cpu();
    let start = Start { folder, resume, device: &device, environment: json!({}) };
    let mut run = Run::start(plan, &start, &mut world)?;
    let resources = Resources::from(1);
    let Some(at) = killed_at else {
        return run.train_to_end(resources, &mut world).map(drop);
    };
    let Run { plan, journal, state, .. } = &mut run;
    let task = Classify::new(&plan.recipe, plan.dataset.clone(), &device)?;
    let mut feed = Killed { feed: ImageFeed::new(plan, state.step, resources, &world)?, at };
    let error = train::train(&task, &mut feed, state, &mut world, journal).unwrap_err();
    assert!(matches!(error, TrainError::OnlyOverflows { .. }), "{error}");
    Ok(())
}

/// Runs a session on every rank, each with a pool of `threads` threads.
fn on_ranks(
    recipe: &Recipe,
    folder: &Path,
    resume: bool,
    killed_at: Option<u64>,
    ranks: usize,
    threads: usize,
) {
    thread::scope(|scope| {
        let worlds = World::threads(ranks).into_iter();
        let ranks: Vec<_> = worlds
            .map(|world| {
                scope.spawn(move || {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    pool.expect("threads start")
                        .install(|| session(recipe.clone(), folder, resume, killed_at, world))
                })
            })
            .collect();
        for rank in ranks {
            rank.join().expect("a rank").unwrap_or_else(|error| panic!("{error}"));
        }
    });
}

/// The files of a run that depend on what was computed, without times.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in ["model/model.safetensors", "model/config.json", names::PREDICTIONS] {
        files.insert(name.to_owned(), fs::read(folder.join(name)).expect(name));
    }
    let metrics = fs::read_to_string(folder.join(names::METRICS_JSONL)).expect("metrics");
    let rows = metrics.lines().map(|line| {
        let mut row: serde_json::Value = serde_json::from_str(line).expect("a row");
        for key in ["images_per_second", "wait_share", "seconds", "ranks"] {
            row.as_object_mut().expect("an object").remove(key);
        }
        row.to_string()
    });
    files.insert("metrics".to_owned(), rows.collect::<Vec<_>>().join("\n").into_bytes());
    files
}

#[track_caller]
fn assert_same(expected: &BTreeMap<String, Vec<u8>>, folder: &Path, case: &str) {
    for (name, found) in files(folder) {
        assert!(found == expected[&name], "{case}: another {name}");
    }
}

#[test]
fn any_number_of_ranks_and_threads_leaves_the_same_files() {
    let sandbox = tempfile::tempdir().unwrap();
    let recipe = recipe(&[]);
    let alone = sandbox.path().join("alone");
    on_ranks(&recipe, &alone, false, None, 1, 1);
    let expected = files(&alone);
    assert_eq!(expected["metrics"].split(|&byte| byte == b'\n').count() as u64, STEPS + 2);
    for ranks in [1, 2, 4, 8] {
        for threads in [1, 2, 3, 7] {
            let folder = sandbox.path().join(format!("{ranks}-{threads}"));
            on_ranks(&recipe, &folder, false, None, ranks, threads);
            assert_same(&expected, &folder, &format!("{ranks} ranks of {threads} threads"));
        }
    }
}

/// Half precision, mixup, smoothing, distillation, averaging and clipping; killed in each of four sessions and resumed by
/// another number of ranks each time.
#[test]
fn so_does_a_run_with_every_trick_killed_and_resumed_by_other_numbers_of_ranks() {
    let sandbox = tempfile::tempdir().unwrap();
    let teacher = sandbox.path().join("teacher");
    on_ranks(&recipe(&[]), &teacher, false, None, 1, 2);
    let edits = everything(&teacher);
    let edits: Vec<&str> = edits.iter().map(String::as_str).collect();
    let recipe = recipe(&edits);
    let alone = sandbox.path().join("alone");
    on_ranks(&recipe, &alone, false, None, 1, 2);
    let expected = files(&alone);
    for (ranks, threads) in [(2, 3), (4, 1), (8, 2)] {
        let folder = sandbox.path().join(format!("{ranks}-{threads}"));
        on_ranks(&recipe, &folder, false, None, ranks, threads);
        assert_same(&expected, &folder, &format!("{ranks} ranks of {threads} threads"));
    }
    let killed = sandbox.path().join("killed");
    for (session, (ranks, at)) in [(4, 3), (1, 4), (8, 5), (2, 5)].into_iter().enumerate() {
        on_ranks(&recipe, &killed, session > 0, Some(at), ranks, 1 + session);
    }
    on_ranks(&recipe, &killed, true, None, 4, 2);
    assert_same(&expected, &killed, "killed four times");
}

/// With one part the batch is normalized as a whole; with eight each part is by itself.
#[test]
fn the_number_of_parts_is_part_of_the_result() {
    let sandbox = tempfile::tempdir().unwrap();
    let folders = ["train.parts=1", "train.parts=8"].map(|parts| {
        let folder = sandbox.path().join(parts);
        on_ranks(&recipe(&[parts]), &folder, false, None, 1, 2);
        files(&folder)
    });
    assert_ne!(folders[0]["model/model.safetensors"], folders[1]["model/model.safetensors"]);
}

/// A pass of training borrows the model: after it every tensor is as it was.
#[test]
fn neither_training_passes_nor_evaluations_move_a_model() {
    let recipe = recipe(&[]);
    let plan = Plan::new(recipe.clone(), None, Beginning::New).unwrap();
    let model: Model<Network> = crate::drawn(&recipe, plan.network.clone(), &nn::cpu());
    let before = model.tensors();
    let task = Classify::new(&recipe, plan.dataset.clone(), &nn::cpu()).unwrap();
    let world = World::alone();
    let mut feed = ImageFeed::new(&plan, 0, Resources::from(1), &world).unwrap();
    let part = feed.part(0, 0).unwrap().part;
    let (leaves, observations) = (model.parameters.tracked(), nn::Observations::default());
    let draw = nn::Draw::default();
    let pass = Pass::training(&leaves, &model.statistics, &observations, draw);
    let loss = task.loss(&model, &pass, part);
    assert!(loss.total.into_scalar::<f32>() > 0.0);
    assert!(!observations.into_table().is_empty());
    let evaluate = || {
        let preparation = crate::feed::validation(&recipe);
        crate::evaluate(&model, &plan.dataset, preparation, Resources::from(1)).unwrap()
    };
    let (first, again) = (evaluate(), evaluate());
    assert_eq!(first.answers, again.answers);
    assert!(model.tensors() == before);
}

/// A cell of an ablation, with as many parts as there may be ranks.
#[test]
fn a_run_of_an_ablation_has_the_same_result_by_any_number_of_ranks() {
    let sandbox = tempfile::tempdir().unwrap();
    let outcome = |ranks: usize| {
        let folder = sandbox.path().join(ranks.to_string());
        let job = crate::ablation::Job { cell: 0, seed: 1, folder, recipe: recipe(&[]) };
        let job = &job;
        let outcomes: Vec<_> = thread::scope(|scope| {
            let worlds = World::threads(ranks).into_iter();
            let ranks: Vec<_> = worlds
                .map(|mut world| {
                    scope.spawn(move || {
                        let settings = crate::ablation::Settings {
                            data: None,
                            resources: Resources::from(1),
                            device: nn::cpu(),
                            environment: json!({}),
                        };
                        let done = crate::ablation::run(job, &settings, &mut world);
                        done.unwrap_or_else(|error| panic!("{error}")).expect("an outcome")
                    })
                })
                .collect();
            ranks.into_iter().map(|rank| rank.join().expect("a rank")).collect()
        });
        assert!(crate::ablation::is_finished(job).unwrap());
        for outcome in &outcomes {
            assert_eq!(outcome.values, outcomes[0].values);
        }
        (outcomes[0].values.clone(), outcomes[0].steps)
    };
    let alone = outcome(1);
    assert_eq!(alone.1, STEPS);
    assert_eq!(outcome(4), alone);
}

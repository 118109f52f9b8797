//! The same steps by several ranks.

use std::fs;
use std::path::Path;
use std::thread;

use record::names;
use world::World;

use super::fixtures::{Levels, Net, Sides, model, no_request, recipe};
use super::journal;
use crate::signal::StopSignal;
use crate::{
    Cause, Control, Ending, Fed, Feed, Hyper, Report, State, TrainError, ValidationFeed, evaluate,
    step,
};

/// Runs `body` on every rank of a world of threads.
fn on_ranks<T: Send>(ranks: usize, body: impl Fn(World) -> T + Sync) -> Vec<T> {
    let body = &body;
    thread::scope(|scope| {
        let worlds = World::threads(ranks).into_iter();
        let threads: Vec<_> = worlds.map(|world| scope.spawn(move || body(world))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a rank")).collect()
    })
}

type Outcome = (Vec<Report>, Vec<u32>);

/// Five steps, the second of which overflows; reports and the bits of the state.
fn train(mut world: World) -> Outcome {
    let recipe = recipe(&["train.precision=f16", "train.parts=8", "average.decay=0.9"]);
    let task = Sides(recipe.train.precision);
    let mut feed = Levels { bad: vec![(1, 5)], skips: true, ..Levels::default() };
    let mut state: State<Net> = State::initial(&recipe, model());
    let hyper = Hyper::of(&recipe, 0.1);
    let mut reports = Vec::new();
    for number in 0..5 {
        let asked = number == 3 && world.rank() == world.size() - 1;
        let stop = asked.then_some(StopSignal::Terminate);
        let asks = || Ok(Control { stop, ..Control::default() });
        reports.push(step(&task, &mut feed, &mut state, &mut world, &hyper, asks).unwrap());
    }
    let tensors = state.tensors(&recipe.update.optimizer);
    let bits =
        tensors.values().flat_map(|tensor| tensor.values.iter().map(|value| value.to_bits()));
    (reports, bits.collect())
}

#[test]
fn any_number_of_ranks_makes_the_same_bits_and_the_same_reports() {
    let (reports, bits) = train(World::alone());
    assert!(reports[1].overflowed && !reports[2].overflowed);
    assert_eq!(reports[0].skipped.len(), 8);
    for ranks in [1, 2, 4, 8] {
        for (rank, (found, found_bits)) in on_ranks(ranks, train).into_iter().enumerate() {
            assert!(found_bits == bits, "rank {rank} of {ranks}: other bits");
            for (found, expected) in found.iter().zip(&reports) {
                let seen = |report: &Report| {
                    let Report { step, loss, gradient_norm, loss_scale, overflowed, .. } = report;
                    let numbers = [loss.to_bits(), gradient_norm.to_bits()];
                    let terms: Vec<u64> = report.terms.iter().map(|(_, t)| t.to_bits()).collect();
                    (*step, numbers, *loss_scale, *overflowed, terms, report.skipped.clone())
                };
                assert_eq!(seen(found), seen(expected), "rank {rank} of {ranks}");
            }
            let stops: Vec<bool> =
                found.iter().map(|report| report.agreed.stop.is_some()).collect();
            assert_eq!(stops, [false, false, false, true, false], "rank {rank} of {ranks}");
        }
    }
}

#[test]
fn a_part_that_one_rank_cannot_have_ends_every_rank() {
    let ends = on_ranks(4, |mut world| {
        let recipe = recipe(&["train.parts=8"]);
        let mut feed = Levels { broken: vec![(1, 5)], ..Levels::default() };
        let mut state: State<Net> = State::initial(&recipe, model());
        let hyper = Hyper::of(&recipe, 0.1);
        let task = Sides(recipe.train.precision);
        let mut run = || step(&task, &mut feed, &mut state, &mut world, &hyper, no_request);
        assert!(run().is_ok());
        run().unwrap_err()
    });
    for (rank, error) in ends.into_iter().enumerate() {
        match error {
            // Parts 4 and 5 are the third rank's.
            TrainError::OnlyOverflows { step: 1 } => assert_eq!(rank, 2),
            TrainError::Peer { rank: whose, .. } => assert!(rank != 2 && whose == "rank 2"),
            other => panic!("rank {rank}: {other}"),
        }
    }
}

#[test]
fn ranks_that_do_not_divide_the_parts_are_refused() {
    let ends = on_ranks(4, |mut world| {
        let recipe = recipe(&["train.parts=2"]);
        let mut state: State<Net> = State::initial(&recipe, model());
        let (task, hyper) = (Sides(recipe.train.precision), Hyper::of(&recipe, 0.1));
        let mut feed = Levels::default();
        step(&task, &mut feed, &mut state, &mut world, &hyper, no_request).unwrap_err()
    });
    for error in ends {
        let text = error.to_string();
        assert!(text.contains("train.parts"), "{text}");
    }
}

#[test]
fn an_evaluation_has_every_answer_once_and_in_order_whoever_gives_it() {
    let answers = |mut world: World| {
        let mut feed =
            Levels { share: (world.rank() as u64, world.size() as u64), ..Levels::default() };
        let task = Sides(nn::Precision::F32);
        evaluate(&task, &mut feed, &model(), &mut world).unwrap().0
    };
    let alone = answers(World::alone());
    assert_eq!(alone.len(), 21);
    for ranks in [2, 4, 8] {
        for found in on_ranks(ranks, answers) {
            assert_eq!(found, alone, "{ranks} ranks");
        }
    }
}

/// A feed that fails on purpose.
#[derive(Clone, Copy)]
enum Fails {
    Never,
    /// The rank that has this part panics at this step.
    Panics(u64, usize),
    /// The rank that has this part cannot write checkpoints from this step on, if it is rank 0.
    CannotSave(u64, usize),
}

struct Failing<'a> {
    levels: Levels,
    fails: Fails,
    folder: &'a Path,
}

impl Feed<Vec<f32>> for Failing<'_> {
    fn part(&mut self, step: u64, index: usize) -> Result<Fed<Vec<f32>>, TrainError> {
        match self.fails {
            Fails::Panics(at, part) if (at, part) == (step, index) => panic!("on purpose"),
            Fails::CannotSave(at, part) if (at, part) == (step, index) => {
                let checkpoints = self.folder.join(names::CHECKPOINTS);
                fs::remove_dir_all(&checkpoints).unwrap();
                fs::write(checkpoints, "a file where a folder should be").unwrap();
            }
            _ => {}
        }
        self.levels.part(step, index)
    }
}

impl ValidationFeed<Vec<f32>> for Failing<'_> {
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, Vec<f32>), TrainError>>, TrainError> {
        self.levels.batches()
    }
}

/// A run of 20 steps with a journal, by one of several ranks; gives the step and the bits of the state that it ends with.
fn journaled(
    mut world: World,
    folder: &Path,
    resume: bool,
    fails: Fails,
) -> Result<(u64, Vec<u32>), TrainError> {
    let edits = ["train.parts=8", "checkpoint.every=4 steps", "train.evaluate_every=10 steps"];
    let (mut journal, checkpoint) = journal::of_rank(folder, &edits, resume, &mut world)?;
    let recipe = recipe(&edits);
    let mut state: State<Net> = match checkpoint {
        Some(checkpoint) => State::restored(&recipe, Net::new(), checkpoint, &nn::cpu())?,
        None => State::initial(&recipe, model()),
    };
    let share = (world.rank() as u64, world.size() as u64);
    let levels = Levels { share, ..Levels::default() };
    let mut feed = Failing { levels, fails, folder };
    let task = Sides(recipe.train.precision);
    let ending = crate::train(&task, &mut feed, &mut state, &mut world, &mut journal)?;
    assert_eq!(ending, Ending::Finished);
    journal.save(&state, &mut world)?;
    let tensors = state.tensors(&recipe.update.optimizer);
    let bits = tensors.values().flat_map(|tensor| tensor.values.iter().map(|v| v.to_bits()));
    Ok((state.step, bits.collect()))
}

#[test]
fn a_run_goes_on_by_another_number_of_ranks_of_which_only_the_first_sees_the_folder() {
    let whole = tempfile::tempdir().unwrap();
    let expected = journaled(World::alone(), whole.path(), false, Fails::Never).unwrap();
    assert_eq!(expected.0, 20);
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("not/there");
    let place = |world: &World| match world.rank() {
        0 => folder.path().to_owned(),
        _ => nowhere.clone(),
    };
    for (ranks, resume, fails) in
        [(8, false, Fails::Panics(9, 6)), (2, true, Fails::Panics(15, 1)), (4, true, Fails::Never)]
    {
        let ends = on_ranks(ranks, |world| {
            let folder = place(&world);
            journaled(world, &folder, resume, fails)
        });
        for end in ends {
            match fails {
                Fails::Never => assert!(end.unwrap() == expected, "other bits"),
                _ => assert!(end.unwrap_err().is_loss()),
            }
        }
    }
    assert!(!nowhere.exists());
}

#[test]
fn a_panic_of_one_rank_ends_all_and_the_message_says_what_is_saved() {
    for (ranks, whose) in [(2, 1), (4, 2), (8, 5)] {
        let folder = tempfile::tempdir().unwrap();
        let ends = on_ranks(ranks, |world| {
            journaled(world, folder.path(), false, Fails::Panics(9, 5)).unwrap_err()
        });
        for (rank, error) in ends.into_iter().enumerate() {
            assert!(error.is_loss());
            let TrainError::Lost { cause, step: 9, .. } = &error else { panic!("{error}") };
            assert_eq!(*cause == Cause::Panic, rank == whose, "rank {rank} of {ranks}: {error}");
            let text = error.to_string();
            let words = "The run was at step 9 (epoch 0.90); the checkpoint of step 8 in ";
            assert!(text.contains(words), "{text}");
        }
    }
}

#[test]
fn a_checkpoint_that_rank_0_cannot_write_ends_all_with_its_reason() {
    for ranks in [1, 2, 8] {
        let folder = tempfile::tempdir().unwrap();
        let ends = on_ranks(ranks, |world| {
            journaled(world, folder.path(), false, Fails::CannotSave(9, 0)).unwrap_err()
        });
        for (rank, error) in ends.into_iter().enumerate() {
            assert!(!error.is_loss(), "{error}");
            let text = error.to_string();
            assert!(text.contains(names::CHECKPOINTS), "{text}");
            assert_eq!(text.starts_with("rank 0: "), rank > 0, "{text}");
        }
    }
}

#[test]
fn ranks_with_other_recipes_or_too_few_parts_leave_no_folder_behind() {
    let sandbox = tempfile::tempdir().unwrap();
    let folder = sandbox.path().join("run");
    let refused = |ranks, edits: fn(usize) -> [&'static str; 2]| {
        on_ranks(ranks, |mut world| {
            let edits = edits(world.rank());
            journal::of_rank(&folder, &edits, false, &mut world).err().unwrap().to_string()
        })
    };
    for text in refused(4, |rank| ["train.parts=8", ["seed=1", "seed=2"][rank / 3]]) {
        assert!(text.contains("rank 3") && text.contains("seed = 2"), "{text}");
    }
    for text in refused(4, |_| ["train.parts=2", "seed=1"]) {
        assert!(text.contains("train.parts=4"), "{text}");
    }
    assert!(!folder.exists());
}

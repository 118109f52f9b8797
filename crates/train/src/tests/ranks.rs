//! The same steps by several ranks.

use std::thread;

use world::World;

use super::fixtures::{Levels, Net, Sides, model, no_request, recipe};
use crate::signal::StopSignal;
use crate::{Control, Hyper, Report, State, TrainError, evaluate, step};

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

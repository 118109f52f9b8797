//! Worlds of threads, compared to the bit with a binary tree written down plainly.

use std::thread;
use std::time::Duration;

use crate::threads::connected;
use crate::{World, WorldError};

const SIZES: [usize; 4] = [1, 2, 4, 8];

/// Runs `body` on every rank of a world, each in its thread, and returns what the ranks return, in their order.
fn on_ranks<T: Send>(size: usize, body: impl Fn(World) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let body = &body;
        let threads: Vec<_> = World::threads(size)
            .into_iter()
            .map(|world| scope.spawn(move || body(world)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Values of very different size and both signs, so that another order of addition gives other bits.
fn values(rank: usize, round: usize, length: usize) -> Vec<f32> {
    let mut state = 1 + (rank + 100 * round) as u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..length).map(|_| next() * (24.0 * next()).exp2()).collect()
}

/// The sum of neighbouring ranks' vectors as a binary tree: the two halves first, then both.
fn tree(vectors: &[Vec<f32>]) -> Vec<f32> {
    match vectors {
        [one] => one.clone(),
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            tree(left).iter().zip(tree(right)).map(|(left, right)| left + right).collect()
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Takes a time that differs from rank to rank and from round to round.
fn dawdle(rank: usize, round: usize) {
    for _ in 0..(rank * 7 + round * 13) % 31 {
        thread::yield_now();
    }
}

#[test]
fn a_sum_is_the_binary_tree_over_the_ranks_to_the_bit() {
    for size in SIZES {
        for length in [0, 1, 3, 7, 8, 1000, 100_003] {
            let all: Vec<_> = (0..size).map(|rank| values(rank, 0, length)).collect();
            let expected = bits(&tree(&all));
            let sums = on_ranks(size, |mut world| {
                let mut mine = all[world.rank()].clone();
                world.sum(&mut mine).unwrap();
                mine
            });
            for (rank, sum) in sums.iter().enumerate() {
                assert!(bits(sum) == expected, "{length} values, rank {rank} of {size}");
            }
        }
    }
}

#[test]
fn the_values_of_these_tests_tell_orders_of_addition_apart() {
    let all: Vec<_> = (0..4).map(|rank| values(rank, 0, 1000)).collect();
    let in_turn: Vec<f32> =
        (0..1000).map(|i| all[0][i] + all[1][i] + all[2][i] + all[3][i]).collect();
    let differing = bits(&in_turn).iter().zip(bits(&tree(&all))).filter(|(a, b)| *a != b).count();
    assert!(differing > 100, "{differing} of 1000");
}

#[test]
fn gather_returns_every_ranks_bytes_in_the_order_of_ranks() {
    for size in SIZES {
        // The lengths differ, and one message is empty.
        let bytes = |rank: usize| vec![rank as u8 + 1; rank * rank * 50];
        let expected: Vec<_> = (0..size).map(bytes).collect();
        for gathered in on_ranks(size, |mut world| world.gather(bytes(world.rank())).unwrap()) {
            assert_eq!(gathered, expected);
        }
    }
}

#[test]
fn agree_is_the_or_of_all_words() {
    for size in SIZES {
        let expected = (0..size).fold(0, |all, rank| all | 1 << (9 * rank));
        for word in on_ranks(size, |mut world| world.agree(1 << (9 * world.rank())).unwrap()) {
            assert_eq!(word, expected);
        }
    }
}

#[test]
fn many_rounds_of_ranks_at_different_speeds_stay_in_step() {
    for size in SIZES {
        on_ranks(size, |mut world| {
            let rank = world.rank();
            for round in 0..50 {
                let length = round * 37 % 101;
                let all: Vec<_> = (0..size).map(|rank| values(rank, round, length)).collect();
                dawdle(rank, round);
                let mut mine = all[rank].clone();
                world.sum(&mut mine).unwrap();
                assert!(bits(&mine) == bits(&tree(&all)), "round {round}, rank {rank} of {size}");
                dawdle(rank + 3, round);
                assert_eq!(world.agree((round == rank) as u64).unwrap(), (round < size) as u64);
                let gathered = world.gather(vec![round as u8; rank]).unwrap();
                assert!(gathered.iter().enumerate().all(|(r, b)| *b == vec![round as u8; r]));
            }
        });
    }
}

#[test]
fn a_rank_that_drops_its_world_makes_all_others_fail() {
    for size in [2, 4, 8] {
        for leaver in 0..size {
            let outcomes = on_ranks(size, |mut world| {
                world.agree(0).unwrap();
                if world.rank() == leaver {
                    return None;
                }
                let failed = world.sum(&mut [1.0; 10]);
                Some((failed, world.gather(Vec::new())))
            });
            for (rank, outcome) in outcomes.into_iter().enumerate() {
                let Some((sum, gather)) = outcome else { continue };
                assert!(matches!(sum, Err(WorldError::Gone { .. })), "rank {rank}: {sum:?}");
                assert_eq!(gather, Err(WorldError::Left { verb: "gather" }), "rank {rank}");
                if rank == leaver ^ 1 {
                    assert_eq!(sum, Err(WorldError::Gone { rank: leaver }));
                }
            }
        }
    }
}

#[test]
fn lengths_that_differ_between_ranks_fail_on_every_rank() {
    for size in [2, 4, 8] {
        for odd in 0..size {
            let outcomes = on_ranks(size, |mut world| {
                let length = if world.rank() == odd { 9 } else { 8 };
                world.sum(&mut vec![1.0; length])
            });
            let named =
                |error: &WorldError| matches!(error, WorldError::Length { verb: "sum", .. });
            let errors: Vec<_> = outcomes.into_iter().map(|sum| sum.unwrap_err()).collect();
            assert!(errors.iter().any(named), "{errors:?}");
        }
    }
}

#[test]
fn an_unequal_length_is_told_with_the_verb_and_both_lengths() {
    let messages: Vec<String> = on_ranks(2, |mut world| {
        let length = [8, 10][world.rank()];
        world.sum(&mut vec![0.0; length]).unwrap_err().to_string()
    });
    let told = |sender: usize, sent: usize, expected: usize| {
        format!("sum: rank {sender} sent {sent} bytes where {expected} were expected")
    };
    let expected = [told(1, 20, 16), told(0, 16, 20)];
    assert!(messages.iter().zip(expected).any(|(m, e)| m.starts_with(&e)), "{messages:?}");
}

#[test]
fn a_world_of_one_keeps_its_values() {
    let mut world = World::alone();
    let mut mine = [1.5, -0.0];
    world.sum(&mut mine).unwrap();
    assert_eq!(bits(&mine), bits(&[1.5, -0.0]));
    assert_eq!(world.gather(vec![7]), Ok(vec![vec![7]]));
    assert_eq!(world.agree(5), Ok(5));
}

#[test]
fn ranks_share_neighbouring_parts_equally() {
    for size in SIZES {
        let shares: Vec<_> = World::threads(size).iter().map(|world| world.share(16)).collect();
        let parts: Vec<usize> = shares.into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(parts, Vec::from_iter(0..16));
    }
    let refused = World::threads(4)[1].share(6);
    assert_eq!(refused, Err(WorldError::Parts { parts: 6, size: 4 }));
}

#[test]
fn a_number_of_ranks_that_is_not_a_power_of_two_is_refused() {
    for size in [3, 6, 12] {
        let link = connected(size).remove(0);
        let refused = World::over(0, size, Box::new(link)).map(|world| world.size());
        assert_eq!(refused, Err(WorldError::Size { size }));
    }
}

#[test]
fn a_broadcast_is_the_bytes_of_rank_0() {
    for size in SIZES {
        let all = on_ranks(size, |mut world| world.broadcast(vec![world.rank() as u8; 3]).unwrap());
        assert!(all.iter().all(|bytes| *bytes == [0; 3]), "{size} ranks: {all:?}");
    }
}

#[test]
fn a_silent_rank_is_given_up_after_the_patience_and_named() {
    let mut worlds = World::threads(2);
    // It holds its link, and says nothing.
    let _silent = worlds.remove(1);
    let mut world = worlds.remove(0);
    world.set_patience(Duration::from_millis(20));
    assert_eq!(world.agree(0), Err(WorldError::Silent { rank: 1, seconds: 0 }));
    assert!(world.has_failed());
    assert_eq!(world.agree(0), Err(WorldError::Left { verb: "agree" }));
}

#[test]
fn ranks_that_work_long_are_waited_for_longer() {
    let mut world = World::threads(2).remove(0);
    world.set_patience(Duration::from_secs(5));
    assert_eq!(world.limit(), Duration::from_secs(5));
    assert_eq!(world.while_writing(|world| world.limit()), Duration::from_secs(50));
    world.longest = Duration::from_secs(40);
    assert_eq!(world.limit(), Duration::from_secs(400));
    world.begin();
    assert_eq!(world.limit(), Duration::from_secs(5));
    let last = World::threads(32).remove(31);
    assert_eq!(
        last.limit() - crate::PATIENCE,
        Duration::from_secs(10),
        "ranks speak one after another"
    );
}

#[test]
fn ranks_learn_where_the_others_are_and_who_shares_their_cores() {
    let places = [("a", "0-3"), ("a", "0-3"), ("b", "0-1"), ("b", "2-3")];
    let found = on_ranks(4, |mut world| {
        let (host, cores) = places[world.rank()];
        world.introduce_as(host, cores).unwrap();
        (world.neighbours(), world.hosts().to_vec(), world.name_of(2))
    });
    let neighbours: Vec<usize> = found.iter().map(|(count, ..)| *count).collect();
    assert_eq!(neighbours, [2, 2, 1, 1]);
    for (_, hosts, name) in found {
        assert_eq!(hosts, ["a", "a", "b", "b"]);
        assert_eq!(name, "rank 2 on b");
    }
}

#[test]
fn ranks_that_differ_in_a_fact_are_refused_with_the_first_line_that_differs() {
    let outcomes = on_ranks(4, |mut world| {
        let rate = if world.rank() == 2 { "seed = 1\nrate = 0.2" } else { "seed = 1\nrate = 0.1" };
        let facts = [("version", "1".to_owned()), ("recipe", rate.to_owned())];
        let alike = world.check_alike(&facts[..1]);
        (alike, world.check_alike(&facts))
    });
    for (alike, refused) in outcomes {
        assert_eq!(alike, Ok(()));
        let error = refused.unwrap_err();
        assert!(error.is_usage());
        let text = error.to_string();
        let words = "recipe: rank 0 has \"rate = 0.1\", rank 2 \"rate = 0.2\"";
        assert!(text.contains(words) && !text.contains("version"), "{text}");
    }
}

#[test]
fn what_is_exchanged_is_counted() {
    for traffic in on_ranks(4, |mut world| {
        world.sum(&mut [1.0; 100]).unwrap();
        world.traffic()
    }) {
        // Half of the values and a quarter, to and fro.
        assert_eq!(traffic.bytes, 4 * (50 + 25 + 25 + 50));
    }
    assert_eq!(World::alone().traffic().bytes, 0);
}

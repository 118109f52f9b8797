//! The pace of the ranks: how long each worked since the last logged row, and how long it waited for data and for the others.

use record::RanksRow;
use serde::{Deserialize, Serialize};
use world::{Traffic, World};

use crate::error::TrainError;
use crate::gather::gathered;

/// What one rank did since the last logged row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pace {
    pub(crate) seconds: f64,
    pub(crate) waited_for_data: f64,
    pub(crate) waited_for_ranks: f64,
    pub(crate) bytes: u64,
}

impl Pace {
    pub(crate) fn new(seconds: f64, waited_for_data: f64, before: Traffic, now: Traffic) -> Pace {
        let waited_for_ranks = (now.waited - before.waited).as_secs_f64();
        Pace { seconds, waited_for_data, waited_for_ranks, bytes: now.bytes - before.bytes }
    }

    /// The time that this rank did not wait for others.
    fn worked(&self) -> f64 {
        self.seconds - self.waited_for_ranks
    }
}

/// The pace of all ranks over `steps` steps, and the mean share of the time that they waited for data.
pub(crate) fn of_all(
    own: Pace,
    steps: u64,
    world: &mut World,
) -> Result<(f64, RanksRow), TrainError> {
    let all = gathered(&[own], world)?;
    let mean = |share: fn(&Pace) -> f64| all.iter().map(share).sum::<f64>() / all.len() as f64;
    let by_step = |rank: usize| all[rank].worked() / steps.max(1) as f64;
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&one, &other| by_step(one).total_cmp(&by_step(other)));
    let slowest = *order.last().expect("this rank is one of them");
    let row = RanksRow {
        ranks: all.len() as u64,
        slowest: slowest as u64,
        slowest_seconds: by_step(slowest),
        median_seconds: by_step(order[(all.len() - 1) / 2]),
        wait_share: mean(|pace| (pace.waited_for_ranks / pace.seconds).min(1.0)),
        bytes: all.iter().map(|pace| pace.bytes).sum(),
    };
    Ok((mean(|pace| (pace.waited_for_data / pace.seconds).min(1.0)), row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn the_slowest_rank_is_the_one_that_worked_and_not_the_one_that_waited() {
        // All take 10 seconds for 5 steps; rank 2 works most of them, and the others wait for it.
        let paces = [4.0, 6.0, 0.5, 5.0].map(|waited_for_ranks| Pace {
            seconds: 10.0,
            waited_for_data: 1.0,
            waited_for_ranks,
            bytes: 100,
        });
        let ranks: Vec<_> = World::threads(4)
            .into_iter()
            .map(|mut world| {
                thread::spawn(move || of_all(paces[world.rank()], 5, &mut world).unwrap())
            })
            .collect();
        for rank in ranks {
            let (data, row) = rank.join().unwrap();
            assert!((data - 0.1).abs() < 1e-12);
            assert_eq!((row.ranks, row.slowest, row.bytes), (4, 2, 400));
            assert!((row.slowest_seconds - 1.9).abs() < 1e-12, "{row:?}");
            assert!((row.median_seconds - 1.0).abs() < 1e-12, "{row:?}");
            assert!((row.wait_share - 0.3875).abs() < 1e-12, "{row:?}");
        }
    }
}

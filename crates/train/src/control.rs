//! What the ranks of a world agree on: whether to stop, to save, or that one of them failed.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use world::World;

use crate::error::TrainError;
use crate::gather::{read, written};
use crate::signal::StopSignal;

/// The requests of one rank, or of all ranks together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The signal that asks to save a checkpoint and stop.
    pub stop: Option<StopSignal>,
    /// Whether to save a checkpoint and go on.
    pub checkpoint: bool,
    /// Whether some images could not be decoded, so that their names have to be gathered.
    pub skipped: bool,
}

const CHECKPOINT: u64 = 1;
const SKIPPED: u64 = 2;
const FAILED: u64 = 4;
/// A bit for each signal, the one that is reported where there are several first.
const SIGNALS: [(u64, StopSignal); 3] =
    [(8, StopSignal::Interrupt), (16, StopSignal::Terminate), (32, StopSignal::Hangup)];

/// What is at fault where a rank failed: the exit code says so, and an ablation takes a divergence for a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The command line or the recipe.
    Usage,
    /// The run diverged, which is the recipe's doing.
    Divergence,
    /// A file, the machine or another rank.
    World,
}

/// An error that a rank can tell to the others, who then get [`TrainError::Peer`].
pub trait RankError: From<TrainError> + Display {
    fn fault(&self) -> Fault;
}

impl RankError for TrainError {
    fn fault(&self) -> Fault {
        match self {
            error if error.is_usage() => Fault::Usage,
            error if error.is_divergence() => Fault::Divergence,
            _ => Fault::World,
        }
    }
}

impl Control {
    fn word(self) -> u64 {
        let bit = |asked: bool, bit| if asked { bit } else { 0 };
        let signal = SIGNALS.iter().find(|(_, signal)| self.stop == Some(*signal));
        bit(self.checkpoint, CHECKPOINT)
            | bit(self.skipped, SKIPPED)
            | signal.map_or(0, |(bit, _)| *bit)
    }

    fn of_word(word: u64) -> Control {
        let asked = |bit| word & bit != 0;
        let signal = SIGNALS.iter().find(|(bit, _)| asked(*bit));
        Control {
            stop: signal.map(|(_, signal)| *signal),
            checkpoint: asked(CHECKPOINT),
            skipped: asked(SKIPPED),
        }
    }
}

/// Joins this rank's result and requests with those of the other ranks. Every rank calls it at the same place; when one
/// of them failed, all of them get an error: the failed ones their own, the others that of the first who failed.
pub fn together<T, E: RankError>(
    world: &mut World,
    result: Result<T, E>,
    asks: Control,
) -> Result<(T, Control), E> {
    if world.size() == 1 {
        return result.map(|value| (value, asks));
    }
    let failed = if result.is_err() { FAILED } else { 0 };
    let all = world.agree(asks.word() | failed);
    let all = match (all, &result) {
        (Ok(all), _) => all,
        (Err(lost), Ok(_)) => return Err(TrainError::World(lost).into()),
        // This rank's own error says more than that of the connection.
        (Err(_), Err(_)) => 0,
    };
    if all & FAILED != 0 {
        let said = result.as_ref().err().map(|error| (error.to_string(), error.fault()));
        let peer = first_error(world, said);
        // This rank's own error comes first here too.
        result?;
        return Err(peer?.into());
    }
    Ok((result?, Control::of_word(all)))
}

/// The error of the first rank that failed, told to all.
fn first_error(world: &mut World, said: Option<(String, Fault)>) -> Result<TrainError, TrainError> {
    let all = world.gather(written(&said))?;
    for (rank, bytes) in all.iter().enumerate() {
        if let Some((said, fault)) = read::<Option<(String, Fault)>>(bytes, rank)? {
            return Ok(TrainError::Peer { rank: world.name_of(rank), said, fault });
        }
    }
    unreachable!("one of the ranks said that it failed")
}

/// Lets the first rank do what only one may do, such as writing files, and gives its result to all. The others wait for it, and
/// where it fails, all fail.
pub fn first_does<T, E>(world: &mut World, work: impl FnOnce() -> Result<T, E>) -> Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: RankError,
{
    let own = if world.rank() == 0 { work().map(Some) } else { Ok(None) };
    let (own, _) = world.while_writing(|world| together(world, own, Control::default()))?;
    match own {
        Some(value) if world.size() == 1 => Ok(value),
        own => {
            let bytes = own.as_ref().map_or(Vec::new(), written);
            let bytes = world.broadcast(bytes).map_err(TrainError::World)?;
            own.map_or_else(|| read(&bytes, 0).map_err(E::from), Ok)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// What each of four ranks, threads of this process, gets.
    fn on_four<T: Send + 'static>(body: fn(World) -> T) -> Vec<T> {
        let ranks: Vec<_> =
            World::threads(4).into_iter().map(|world| thread::spawn(move || body(world))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    }

    #[test]
    fn what_one_rank_asks_for_all_get() {
        let asked = Control { stop: Some(StopSignal::Interrupt), checkpoint: true, skipped: false };
        for (rank, (first, second)) in on_four(|mut world| {
            let rank = world.rank();
            let asks = match rank {
                1 => Control { stop: Some(StopSignal::Hangup), ..Control::default() },
                2 => Control { checkpoint: true, ..Control::default() },
                3 => Control { stop: Some(StopSignal::Interrupt), ..Control::default() },
                _ => Control::default(),
            };
            let first = together::<_, TrainError>(&mut world, Ok(rank), asks).unwrap();
            let second = together::<_, TrainError>(&mut world, Ok(rank), Control::default());
            (first, second.unwrap())
        })
        .into_iter()
        .enumerate()
        {
            assert_eq!(first, (rank, asked));
            assert_eq!(second, (rank, Control::default()));
        }
    }

    #[test]
    fn an_error_of_one_rank_is_everybodys_and_says_whose_it_is() {
        let errors = on_four(|mut world| {
            let own = match world.rank() {
                2 | 3 => Err(TrainError::OnlyOverflows { step: world.rank() as u64 }),
                rank => Ok(rank),
            };
            together(&mut world, own, Control::default()).unwrap_err()
        });
        for (rank, error) in errors.iter().enumerate() {
            assert!(error.is_divergence() && !error.is_usage(), "{error}");
            match error {
                TrainError::OnlyOverflows { step } => assert_eq!(*step, rank as u64),
                TrainError::Peer { .. } => {
                    assert!(rank < 2);
                    let text = error.to_string();
                    assert!(text.starts_with("rank 2: the gradient overflowed"), "{text}");
                }
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn what_the_first_rank_does_is_done_once_and_known_to_all() {
        let done = on_four(|mut world| {
            let rank = world.rank();
            let work = || Ok::<_, TrainError>(vec![rank as u64 + 7]);
            let value = first_does(&mut world, work).unwrap();
            let fails = || Err(TrainError::OnlyOverflows { step: 1 });
            let failed = first_does::<u8, _>(&mut world, fails).unwrap_err();
            (value, failed.to_string().starts_with("rank 0: "))
        });
        for (rank, (value, is_peer)) in done.into_iter().enumerate() {
            assert_eq!(value, [7]);
            assert_eq!(is_peer, rank > 0);
        }
    }
}

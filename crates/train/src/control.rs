//! What the ranks of a world agree on once a step: whether to stop, to save, or that one of them failed.

use world::World;

use crate::error::TrainError;

/// The requests of one rank, or of all ranks together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Whether to save a checkpoint and stop.
    pub stop: bool,
    /// Whether to save a checkpoint and go on.
    pub checkpoint: bool,
    /// Whether some images could not be decoded, so that their names have to be gathered.
    pub skipped: bool,
}

const STOP: u64 = 1;
const CHECKPOINT: u64 = 2;
const SKIPPED: u64 = 4;
const FAILED: u64 = 8;

/// Joins this rank's result and requests with those of the other ranks. Every rank calls it at the same place; when one
/// of them failed, all of them get an error.
pub(crate) fn together<T>(
    world: &mut World,
    result: Result<T, TrainError>,
    asks: Control,
) -> Result<(T, Control), TrainError> {
    let bit = |asked: bool, bit| if asked { bit } else { 0 };
    let word = bit(asks.stop, STOP)
        | bit(asks.checkpoint, CHECKPOINT)
        | bit(asks.skipped, SKIPPED)
        | bit(result.is_err(), FAILED);
    let all = world.agree(word);
    // This rank's own error comes first: it says more than the error that a peer failed.
    let value = result?;
    let all = all?;
    if all & FAILED != 0 {
        return Err(TrainError::Peer);
    }
    let asked = |bit| all & bit != 0;
    let agreed =
        Control { stop: asked(STOP), checkpoint: asked(CHECKPOINT), skipped: asked(SKIPPED) };
    Ok((value, agreed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_one_rank_asks_for_all_get_and_an_error_of_one_is_everybodys() {
        let ask = |rank| match rank {
            1 => Control { stop: true, ..Control::default() },
            2 => Control { checkpoint: true, ..Control::default() },
            _ => Control::default(),
        };
        let failed = || TrainError::OnlyOverflows { step: 3 };
        let ranks = World::threads(4).into_iter().map(|mut world| {
            thread::spawn(move || {
                let rank = world.rank();
                let first = together(&mut world, Ok(rank), ask(rank));
                let second = together(&mut world, Ok(rank), Control::default());
                let own = if rank == 3 { Err(failed()) } else { Ok(rank) };
                (rank, first, second, together(&mut world, own, Control::default()))
            })
        });
        let ranks: Vec<_> = ranks.collect();
        for thread in ranks {
            let (rank, first, second, third) = thread.join().unwrap();
            assert_eq!(
                first.unwrap(),
                (rank, Control { stop: true, checkpoint: true, skipped: false })
            );
            assert_eq!(second.unwrap(), (rank, Control::default()));
            match third.unwrap_err() {
                TrainError::OnlyOverflows { .. } => assert_eq!(rank, 3),
                TrainError::Peer => assert_ne!(rank, 3),
                other => panic!("{other}"),
            }
        }
    }
}

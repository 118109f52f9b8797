//! The schedule of a verb's messages, found by running the verb itself: for simulations of more ranks than there are machines.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::link::Link;
use crate::{World, WorldError};

/// One exchange of a rank with another: both send a message of so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub peer: usize,
    pub bytes: u64,
}

/// The exchanges of `rank` among `size` ranks, in their order, when it calls verbs whose messages have the same length on both
/// sides, such as a sum of a multiple of `size` values. Nothing is sent, and what arrives is zero.
pub fn schedule(
    rank: usize,
    size: usize,
    verbs: impl FnOnce(&mut World) -> Result<(), WorldError>,
) -> Result<Vec<Exchange>, WorldError> {
    let exchanges = Arc::new(Mutex::new(Vec::new()));
    let mut world = World::over(rank, size, Box::new(Recorder(exchanges.clone())))?;
    verbs(&mut world)?;
    world.leave();
    let found = exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(found)
}

/// A link to nobody that remembers what was sent.
struct Recorder(Arc<Mutex<Vec<Exchange>>>);

impl Link for Recorder {
    fn exchange(
        &mut self,
        peer: usize,
        send: &[u8],
        receive: &mut Vec<u8>,
        _: Duration,
    ) -> Result<(), WorldError> {
        let exchange = Exchange { peer, bytes: send.len() as u64 };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        receive.clear();
        receive.resize(send.len(), 0);
        Ok(())
    }

    fn close(&mut self) {}

    fn leave(&mut self) {}

    fn abort(&mut self, _: i32) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_halves_its_messages_at_each_distance_and_comes_back() {
        let found = schedule(5, 8, |world| world.sum(&mut [0.0; 16])).unwrap();
        let expected = [(4, 32), (7, 16), (1, 8), (1, 8), (7, 16), (4, 32)];
        assert_eq!(found, expected.map(|(peer, bytes)| Exchange { peer, bytes }));
    }

    #[test]
    fn every_exchange_is_in_the_schedule_of_both() {
        let all: Vec<_> = (0..16)
            .map(|rank| {
                schedule(rank, 16, |world| {
                    world.agree(0)?;
                    world.sum(&mut [0.0; 16])
                })
            })
            .collect::<Result<_, _>>()
            .unwrap();
        for (rank, exchanges) in all.iter().enumerate() {
            assert_eq!(exchanges.len(), 4 + 8);
            for (at, exchange) in exchanges.iter().enumerate() {
                let theirs = all[exchange.peer][at];
                assert_eq!((theirs.peer, theirs.bytes), (rank, exchange.bytes));
            }
        }
    }
}

//! A link between threads of one process: a channel for each ordered pair of ranks.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::WorldError;
use crate::link::Link;

/// One rank's ends of all channels, by the number of the other rank.
pub(crate) struct Channels {
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

/// The links of `size` ranks, in the order of ranks.
pub(crate) fn connected(size: usize) -> Vec<Channels> {
    let mut links: Vec<Channels> =
        (0..size).map(|_| Channels { to: Vec::new(), from: Vec::new() }).collect();
    for sender in 0..size {
        for receiver in 0..size {
            let (to, from) = channel();
            links[sender].to.push(to);
            links[receiver].from.push(from);
        }
    }
    links
}

impl Link for Channels {
    fn exchange(
        &mut self,
        peer: usize,
        send: &[u8],
        receive: &mut Vec<u8>,
        limit: Duration,
    ) -> Result<(), WorldError> {
        let gone = WorldError::Gone { rank: peer };
        let (Some(to), Some(from)) = (self.to.get(peer), self.from.get(peer)) else {
            return Err(gone);
        };
        to.send(send.to_vec()).map_err(|_| gone.clone())?;
        *receive = from.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Disconnected => gone,
            RecvTimeoutError::Timeout => {
                WorldError::Silent { rank: peer, seconds: limit.as_secs() }
            }
        })?;
        Ok(())
    }

    fn close(&mut self) {
        self.to.clear();
        self.from.clear();
    }

    fn leave(&mut self) {
        self.close();
    }

    fn abort(&mut self, _: i32) {
        self.close();
    }
}

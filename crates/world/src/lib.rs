//! The ranks that compute one run together, or a process that computes a run alone.
//!
//! A step's parts are dealt out to the ranks as neighbouring blocks ([`World::share`]). Three verbs connect the ranks:
//! [`World::sum`], [`World::gather`] and [`World::agree`]. Every rank has to call the same verbs in the same order. In a world
//! of one the same code runs; its loops have no rounds. Ranks are processes that MPI connects ([`World::launched`]), or threads
//! of one process.

mod alike;
mod error;
mod link;
mod mpi;
mod schedule;
#[cfg(test)]
mod tests;
mod threads;
mod verbs;

use std::ops::Range;
use std::time::{Duration, Instant};

pub use alike::host;
pub use error::WorldError;
use link::Link;
pub use mpi::{Launcher, MpiLibrary, library};
pub use schedule::{Exchange, schedule};

/// The time after which a silent rank counts as gone, where nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A rank may take this many times as long as the longest stretch of work of the rank that waits for it.
const STRETCHES: u32 = 10;

/// The patience is this many times longer while a rank writes files, which can take long on a slow file system.
const WRITES: u32 = 10;

/// Ranks give up one after another, so that one of them prints its message and ends all before the next one speaks.
const APART: Duration = Duration::from_secs(1);
const MOST_APART: usize = 10;

/// One rank's view of all the ranks that compute together.
///
/// After a verb has failed this rank calls no other: it tells its error and calls [`World::abort`], which ends all ranks. A world
/// that is dropped without [`World::leave`] aborts as well.
pub struct World {
    rank: usize,
    size: usize,
    /// The link to the other ranks; None in a world of one.
    link: Option<Box<dyn Link>>,
    /// Whether a verb has failed.
    failed: bool,
    /// The memory for messages that arrive, kept from one call to the next.
    received: Vec<u8>,
    /// The machine of each rank; empty where all are threads of this process.
    hosts: Vec<String>,
    /// How many ranks share this rank's cores, this one included.
    neighbours: usize,
    patience: Duration,
    /// The longest time between two messages that this rank has worked.
    longest: Duration,
    /// The end of the last exchange.
    worked_since: Instant,
    traffic: Traffic,
}

/// What a rank has exchanged with others so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent.
    pub bytes: u64,
    /// The time in exchanges, waiting for the others included.
    pub waited: Duration,
}

impl World {
    /// The world of a process that computes alone.
    pub fn alone() -> World {
        World::with(0, 1, None)
    }

    /// Worlds for `size` threads of this process, one for each rank, in the order of ranks.
    ///
    /// # Panics
    ///
    /// If `size` is not a power of two.
    pub fn threads(size: usize) -> Vec<World> {
        let worlds = threads::connected(size).into_iter().enumerate();
        worlds
            .map(|(rank, link)| {
                World::over(rank, size, Box::new(link)).unwrap_or_else(|error| panic!("{error}"))
            })
            .collect()
    }

    /// The world of `rank` among `size` ranks that `link` connects.
    fn over(rank: usize, size: usize, link: Box<dyn Link>) -> Result<World, WorldError> {
        if !size.is_power_of_two() {
            return Err(WorldError::Size { size });
        }
        Ok(World::with(rank, size, Some(link)))
    }

    fn with(rank: usize, size: usize, link: Option<Box<dyn Link>>) -> World {
        World {
            rank,
            size,
            link,
            failed: false,
            received: Vec::new(),
            hosts: Vec::new(),
            neighbours: 1,
            patience: PATIENCE,
            longest: Duration::ZERO,
            worked_since: Instant::now(),
            traffic: Traffic::default(),
        }
    }

    /// This rank's number, counted from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The machine of each rank; empty where they are threads of this process, or this process is alone.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// How many ranks share this rank's cores, this one included.
    pub fn neighbours(&self) -> usize {
        self.neighbours
    }

    /// What this rank has exchanged so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Lets silent ranks count as gone after `patience`, or after ten times this rank's longest stretch of work where that is
    /// longer.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Counts stretches of work from now on: what came before, such as opening the data, says nothing about a step.
    pub fn begin(&mut self) {
        self.longest = Duration::ZERO;
        self.worked_since = Instant::now();
    }

    /// Calls verbs while another rank may be writing files, which can take minutes.
    pub fn while_writing<T>(&mut self, verbs: impl FnOnce(&mut World) -> T) -> T {
        let usual = self.patience;
        self.patience = WRITES * usual;
        let result = verbs(self);
        self.patience = usual;
        result
    }

    /// Whether a verb has failed, so that this rank has lost the others.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Leaves the other ranks in order. All ranks do so at the same place.
    pub fn leave(mut self) {
        if let Some(link) = &mut self.link {
            link.leave();
        }
    }

    /// Ends all ranks with an exit code, where they are processes. It comes back where this process is alone, or ranks are threads.
    pub fn abort(mut self, code: u8) {
        if let Some(link) = &mut self.link {
            link.abort(code.into());
        }
    }

    /// The neighbouring parts, out of `parts`, that this rank computes.
    pub fn share(&self, parts: usize) -> Result<Range<usize>, WorldError> {
        if !parts.is_multiple_of(self.size) {
            return Err(WorldError::Parts { parts, size: self.size });
        }
        let each = parts / self.size;
        Ok(self.rank * each..(self.rank + 1) * each)
    }

    /// The time that this rank waits for a message.
    fn limit(&self) -> Duration {
        let apart = APART * self.rank.min(MOST_APART) as u32;
        self.patience.max(STRETCHES * self.longest) + apart
    }
}

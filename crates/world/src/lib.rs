//! The ranks that compute one run together, or a process that computes a run alone.
//!
//! A step's parts are dealt out to the ranks as neighbouring blocks ([`World::share`]). Three verbs connect the ranks:
//! [`World::sum`], [`World::gather`] and [`World::agree`]. Every rank has to call the same verbs in the same order. In a world
//! of one the same code runs; its loops have no rounds.

mod error;
mod link;
#[cfg(test)]
mod tests;
mod threads;
mod verbs;

use std::ops::Range;

pub use error::WorldError;
use link::Link;

/// One rank's view of all the ranks that compute together.
///
/// A verb that fails closes this rank's link, so that the other ranks fail as well and do not wait for ever; so does dropping
/// the world.
pub struct World {
    rank: usize,
    size: usize,
    /// The link to the other ranks; None in a world of one, and None after an error.
    link: Option<Box<dyn Link>>,
    /// The memory for messages that arrive, kept from one call to the next.
    received: Vec<u8>,
}

impl World {
    /// The world of a process that computes alone.
    pub fn alone() -> World {
        World { rank: 0, size: 1, link: None, received: Vec::new() }
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
        Ok(World { rank, size, link: Some(link), received: Vec::new() })
    }

    /// This rank's number, counted from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The neighbouring parts, out of `parts`, that this rank computes.
    pub fn share(&self, parts: usize) -> Result<Range<usize>, WorldError> {
        if !parts.is_multiple_of(self.size) {
            return Err(WorldError::Parts { parts, size: self.size });
        }
        let each = parts / self.size;
        Ok(self.rank * each..(self.rank + 1) * each)
    }
}

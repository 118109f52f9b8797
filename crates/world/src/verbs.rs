//! The three verbs of a world: sum, gather, agree.
//!
//! Each is a sequence of rounds of doubling distance: in the round of distance `d`, a rank exchanges messages with the rank whose
//! number differs from its own in the bit `d`. After it, a rank holds data of its whole aligned block of `2d` ranks.

use std::time::Instant;

use crate::{World, WorldError};

impl World {
    /// Replaces each of `values` by its sum over all ranks, ((r0 + r1) + (r2 + r3)) + …, the same bits on every rank.
    ///
    /// This is a reduce-scatter followed by the same exchanges backwards as an allgather. In a round of the reduce-scatter two
    /// ranks halve the range that both still hold; each gives one half away and adds what arrives to the other half. So every
    /// element is added up as one binary tree over the ranks, wherever the ranges are cut. A range may be empty. After an error
    /// `values` are partly summed.
    pub fn sum(&mut self, values: &mut [f32]) -> Result<(), WorldError> {
        let mut held = 0..values.len();
        let mut rounds = Vec::new();
        for distance in self.distances() {
            let middle = held.start + held.len() / 2;
            let (lower, upper) = (held.start..middle, middle..held.end);
            let (kept, given) =
                if self.is_lower(distance) { (lower, upper) } else { (upper, lower) };
            let sent = bytemuck::cast_slice(&values[given.clone()]);
            let arrived = self.exchange("sum", distance, sent, size_of::<f32>() * kept.len())?;
            for (value, bytes) in values[kept.clone()].iter_mut().zip(arrived.as_chunks().0) {
                *value += f32::from_ne_bytes(*bytes);
            }
            held = kept.clone();
            rounds.push((distance, kept, given));
        }
        for (distance, kept, given) in rounds.into_iter().rev() {
            let sent = bytemuck::cast_slice(&values[kept]);
            let arrived = self.exchange("sum", distance, sent, size_of::<f32>() * given.len())?;
            bytemuck::cast_slice_mut(&mut values[given]).copy_from_slice(arrived);
        }
        Ok(())
    }

    /// Returns the bytes of every rank, in the order of ranks. Their lengths may differ.
    pub fn gather(&mut self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, WorldError> {
        let mut lengths = vec![mine.len() as u64];
        let mut bytes = mine;
        for distance in self.distances() {
            let sent = bytemuck::cast_slice(&lengths);
            let arrived = self.exchange("gather", distance, sent, sent.len())?;
            let theirs: Vec<u64> =
                arrived.as_chunks().0.iter().map(|&length| u64::from_ne_bytes(length)).collect();
            let expected = theirs.iter().sum::<u64>() as usize;
            let lower = self.is_lower(distance);
            let arrived = self.exchange("gather", distance, &bytes, expected)?;
            if lower {
                bytes.extend_from_slice(arrived);
                lengths.extend(theirs);
            } else {
                bytes.splice(..0, arrived.iter().copied());
                lengths.splice(..0, theirs);
            }
        }
        let last_first = lengths.iter().rev();
        let mut all: Vec<Vec<u8>> =
            last_first.map(|&length| bytes.split_off(bytes.len() - length as usize)).collect();
        all.reverse();
        Ok(all)
    }

    /// Returns the bytes of rank 0. What other ranks give is of no account.
    pub fn broadcast(&mut self, mine: Vec<u8>) -> Result<Vec<u8>, WorldError> {
        let mine = if self.rank == 0 { mine } else { Vec::new() };
        Ok(self.gather(mine)?.swap_remove(0))
    }

    /// Returns the bitwise or of every rank's word.
    pub fn agree(&mut self, word: u64) -> Result<u64, WorldError> {
        let mut all = word;
        for distance in self.distances() {
            let sent = all.to_ne_bytes();
            let arrived = self.exchange("agree", distance, &sent, sent.len())?;
            for &bytes in arrived.as_chunks().0 {
                all |= u64::from_ne_bytes(bytes);
            }
        }
        Ok(all)
    }

    /// The distances of the rounds: 1, 2, 4, … below the number of ranks.
    fn distances(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.size.trailing_zeros()).map(|round| 1 << round)
    }

    /// Whether this rank has the lower number of the two that meet at `distance`.
    fn is_lower(&self, distance: usize) -> bool {
        self.rank & distance == 0
    }

    /// Exchanges messages with the rank at `distance` and returns its message, which has to be of `expected` bytes.
    fn exchange(
        &mut self,
        verb: &'static str,
        distance: usize,
        sent: &[u8],
        expected: usize,
    ) -> Result<&[u8], WorldError> {
        let peer = self.rank ^ distance;
        let limit = self.limit();
        let link = self.link.as_mut().filter(|_| !self.failed).ok_or(WorldError::Left { verb })?;
        let began = Instant::now();
        self.longest = self.longest.max(began - self.worked_since);
        let mut exchanged = link.exchange(peer, sent, &mut self.received, limit);
        self.worked_since = Instant::now();
        self.traffic.bytes += sent.len() as u64;
        self.traffic.waited += self.worked_since - began;
        let length = self.received.len();
        if exchanged.is_ok() && length != expected {
            exchanged = Err(WorldError::Length { verb, rank: peer, sent: length, expected });
        }
        if let Err(error) = exchanged {
            link.close();
            self.failed = true;
            return Err(error);
        }
        Ok(&self.received)
    }
}

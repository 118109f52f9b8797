//! What the ranks tell each other before they begin: their machines, and whether they are about to compute the same.

use std::fs;

use crate::{World, WorldError};

/// The name of this machine; empty where the system does not tell.
pub fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// The cores on which this process may run, as the system spells them.
fn cores() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    allowed.unwrap_or_default().trim().to_owned()
}

impl World {
    /// Learns where the other ranks are, and which of them share this rank's cores.
    pub(crate) fn introduce(&mut self) -> Result<(), WorldError> {
        self.introduce_as(&host(), &cores())
    }

    pub(crate) fn introduce_as(&mut self, host: &str, cores: &str) -> Result<(), WorldError> {
        let mine = format!("{host}\n{cores}");
        let all = self.gather(mine.clone().into_bytes())?;
        self.neighbours = all.iter().filter(|other| **other == mine.as_bytes()).count();
        let host = |place: Vec<u8>| {
            let place = String::from_utf8_lossy(&place).into_owned();
            place.split('\n').next().unwrap_or_default().to_owned()
        };
        self.hosts = all.into_iter().map(host).collect();
        Ok(())
    }

    /// The name of a rank in messages: its number and, where that is known, its machine.
    pub fn name_of(&self, rank: usize) -> String {
        match self.hosts.get(rank).filter(|host| !host.is_empty()) {
            Some(host) => format!("rank {rank} on {host}"),
            None => format!("rank {rank}"),
        }
    }

    /// Refuses to go on where ranks differ in a fact, such as the version of the program. Every rank gives the same names in the
    /// same order, and every rank gets the same answer.
    pub fn check_alike(&mut self, facts: &[(&str, String)]) -> Result<(), WorldError> {
        const BETWEEN: &str = "\u{1f}";
        let values: Vec<&str> = facts.iter().map(|(_, value)| value.as_str()).collect();
        let all = self.gather(values.join(BETWEEN).into_bytes())?;
        let all: Vec<String> =
            all.iter().map(|values| String::from_utf8_lossy(values).into_owned()).collect();
        let mut differences = Vec::new();
        for (at, (name, _)) in facts.iter().enumerate() {
            let value = |rank: usize| all[rank].split(BETWEEN).nth(at).unwrap_or_default();
            let other = (1..self.size).find(|&rank| value(rank) != value(0));
            if let Some(other) = other {
                let (first, second) = first_difference(value(0), value(other));
                let (of_first, of_second) = (self.name_of(0), self.name_of(other));
                differences
                    .push(format!("{name}: {of_first} has {first:?}, {of_second} {second:?}"));
            }
        }
        match differences.is_empty() {
            true => Ok(()),
            false => Err(WorldError::Differ { differences }),
        }
    }
}

/// The first lines in which two texts differ.
fn first_difference<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    let (mut ones, mut others) = (one.lines(), other.lines());
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return (one, other),
            (one, other) if one == other => {}
            (one, other) => return (one.unwrap_or_default(), other.unwrap_or_default()),
        }
    }
}

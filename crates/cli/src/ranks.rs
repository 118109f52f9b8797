//! Work that several ranks do together, started by a launcher such as `mpirun` or `srun`: rank 0 speaks for all, and all end
//! together.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use classify::ClassifyError;
use detect::DetectError;
use segment::SegmentError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use train::{Control, Fault, RankError, TrainError};
use world::{World, WorldError};

use crate::args::Ranks;
use crate::output;

/// The exit code of ranks that end because one of them is gone.
const GONE: u8 = 75;

/// The command by which this work goes on after ranks were lost; None before there is anything to go on with.
static GOES_ON_BY: Mutex<Option<String>> = Mutex::new(None);

/// An error that was told already, with the exit code.
#[derive(Debug)]
pub(crate) struct Told(pub(crate) u8);

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ended with exit code {}", self.0)
    }
}

impl std::error::Error for Told {}

/// Does work on every rank that a launcher started, or in this process alone.
pub(crate) fn run(ranks: &Ranks, work: impl FnOnce(&mut World) -> Result<()>) -> Result<()> {
    let mut world = World::launched(ranks.mpi.as_deref()).map_err(|(rank, error)| {
        // All ranks are refused for the same reason; one says so.
        if rank > 0 && error.is_usage() && !matches!(error, WorldError::NoLibrary { .. }) {
            output::be_silent(true);
        }
        error
    })?;
    if world.size() == 1 {
        let done = work(&mut world);
        world.leave();
        return done;
    }
    world.set_patience(Duration::from_secs(ranks.patience));
    output::be_silent(world.rank() > 0);
    match work(&mut world) {
        Ok(()) => {
            world.leave();
            Ok(())
        }
        Err(error) if is_loss(&error) || world.has_failed() => {
            output::be_silent(false);
            // In one piece: another rank may end this one at any moment.
            let mut said = format!("{}: {error:#}", world.name_of(world.rank()));
            if let Ok(Some(command)) = GOES_ON_BY.lock().as_deref() {
                said += &format!("\nOnce that is mended, go on with: {command}");
            }
            output::problem(&anyhow::anyhow!(said));
            world.abort(GONE);
            Err(Told(GONE).into())
        }
        Err(error) => {
            let code = crate::code_of(&error);
            output::finish();
            // Nobody ends before rank 0 has said why: launchers end all ranks when one of them fails.
            if world.agree(0).is_ok() {
                world.leave();
            }
            Err(Told(code).into())
        }
    }
}

/// Remembers how this work goes on, should a rank be lost.
pub(crate) fn goes_on_by(command: &str) {
    if let Ok(mut known) = GOES_ON_BY.lock() {
        *known = Some(command.to_owned());
    }
}

/// Joins this rank's result with those of the others: where one failed, all fail.
pub(crate) fn together<T>(world: &mut World, result: Result<T>) -> Result<T> {
    match train::together(world, result.map_err(OfRank), Control::default()) {
        Ok((value, _)) => Ok(value),
        Err(OfRank(error)) => Err(error),
    }
}

/// Lets rank 0 do what only one may do, and gives its result to all.
pub(crate) fn first_does<T: Serialize + DeserializeOwned>(
    world: &mut World,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    train::first_does(world, || work().map_err(OfRank)).map_err(|OfRank(error)| error)
}

/// The machines of the ranks, with the number of ranks on each, in words.
pub(crate) fn hosts(world: &World) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for host in world.hosts() {
        match counts.iter_mut().find(|(known, _)| known == host) {
            Some((_, count)) => *count += 1,
            None => counts.push((host, 1)),
        }
    }
    let word = |count| if count == 1 { "rank" } else { "ranks" };
    let hosts = counts.iter().map(|(host, count)| format!("{host} ({count} {})", word(*count)));
    hosts.collect::<Vec<_>>().join(", ")
}

/// An error of a verb, as one rank tells it to the others.
struct OfRank(anyhow::Error);

impl fmt::Display for OfRank {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.0)
    }
}

impl From<TrainError> for OfRank {
    fn from(error: TrainError) -> OfRank {
        OfRank(error.into())
    }
}

impl RankError for OfRank {
    fn fault(&self) -> Fault {
        if crate::is_usage(&self.0) { Fault::Usage } else { Fault::World }
    }
}

/// Whether the ranks lost each other.
fn is_loss(error: &anyhow::Error) -> bool {
    let lost = |error: &WorldError| !error.is_usage();
    error.downcast_ref::<TrainError>().is_some_and(TrainError::is_loss)
        || error.downcast_ref::<ClassifyError>().is_some_and(ClassifyError::is_loss)
        || error.downcast_ref::<DetectError>().is_some_and(DetectError::is_loss)
        || error.downcast_ref::<SegmentError>().is_some_and(SegmentError::is_loss)
        || error.downcast_ref::<WorldError>().is_some_and(lost)
}

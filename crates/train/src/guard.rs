//! What becomes of an error or a panic of the loop: where the ranks lose each other, the message says what is saved.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use world::World;

use crate::error::{Cause, TrainError};
use crate::journal::Journal;

/// Runs the loop. A panic of one rank among several becomes an error, after which the others are told to end; they would
/// wait for this rank otherwise.
pub(crate) fn guarded<T>(
    world: &mut World,
    journal: &mut Journal,
    work: impl FnOnce(&mut World, &mut Journal) -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    world.begin();
    let done = catch_unwind(AssertUnwindSafe(|| work(world, journal)));
    let done = done.unwrap_or_else(|panic| match world.size() {
        1 => resume_unwind(panic),
        _ => Err(journal.lost(Cause::Panic)),
    });
    done.map_err(|error| journal.with_what_is_saved(error))
}

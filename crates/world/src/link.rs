//! The one primitive that connects two ranks.

use std::time::Duration;

use crate::WorldError;

/// A carrier of bytes between this rank and each of the others.
pub(crate) trait Link: Send {
    /// Sends `send` to `peer` and replaces `receive` by what `peer` sends in its own call for this rank.
    ///
    /// The two messages may differ in length. Messages between two ranks arrive in the order of the calls. A peer that closed
    /// its link is an error on this side, and so is one that sends nothing within `limit`: never a wait without end.
    fn exchange(
        &mut self,
        peer: usize,
        send: &[u8],
        receive: &mut Vec<u8>,
        limit: Duration,
    ) -> Result<(), WorldError>;

    /// Makes the other ranks fail after an error, where that can be done without ending this process.
    fn close(&mut self);

    /// Leaves the others in order. All ranks do so at the same place.
    fn leave(&mut self);

    /// Ends all ranks at once, this one with them where ranks are processes.
    fn abort(&mut self, code: i32);
}

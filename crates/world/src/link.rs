//! The one primitive that connects two ranks.

use crate::WorldError;

/// A carrier of bytes between this rank and each of the others.
pub(crate) trait Link: Send {
    /// Sends `send` to `peer` and replaces `receive` by what `peer` sends in its own call for this rank.
    ///
    /// The two messages may differ in length. Messages between two ranks arrive in the order of the calls. A peer that closed
    /// its link is an error on this side, never a wait without end.
    fn exchange(
        &mut self,
        peer: usize,
        send: &[u8],
        receive: &mut Vec<u8>,
    ) -> Result<(), WorldError>;
}

//! What a rank does with MPI, whatever the library.

/// A call that did not succeed, with what the library says about it.
#[derive(Debug)]
pub(super) enum Failed {
    Call {
        name: &'static str,
        said: String,
    },
    /// The caller did not want to wait any longer.
    GaveUp,
}

/// This process as a rank of `MPI_COMM_WORLD`.
pub(super) struct Connected {
    pub(super) calls: Box<dyn Calls>,
    pub(super) rank: usize,
    pub(super) size: usize,
}

/// What a rank does once it is connected.
///
/// # Panics
/// When another thread calls than the one that connected: MPI is initialised for that thread alone.
pub(super) trait Calls: Send {
    /// Sends all of `send` to a peer, fills `receive` with what the peer sends, and returns it. `waits` is asked again and again
    /// whether to go on waiting; it may take its time.
    fn exchange(
        &self,
        peer: usize,
        send: &[u8],
        receive: Vec<u8>,
        waits: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<u8>, Failed>;

    /// Ends all ranks; comes back only where that fails.
    fn abort(&self, code: i32);

    /// Leaves the other ranks in order. No other call may follow.
    fn finalize(&self) -> Result<(), Failed>;
}

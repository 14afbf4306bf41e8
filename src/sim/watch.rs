//! How long work tells how far it is and learns that it should stop.

/// Looked at every few thousand steps by long work.
pub trait Watch: Sync {
    /// `done` of `total` parts of the work are done (bytes, jobs, milliseconds: the caller knows).
    fn advanced(&self, done: u64, total: u64);

    /// The work should end now; what is done so far counts.
    fn cancelled(&self) -> bool;
}

/// Nobody watches.
impl Watch for () {
    fn advanced(&self, _: u64, _: u64) {}

    fn cancelled(&self) -> bool {
        false
    }
}

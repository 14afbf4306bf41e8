//! Jobs to nodes: what a job asks of one node, what a node has left, and how many nodes a set of
//! waiting jobs needs.
//!
//! Knows nothing of time. Two representations of "what is left": [`Room`] is one node with all its
//! dimensions; [`Bins`] is many nodes at once for the question "would it fit, and what is left then".

mod bins;
mod growing;
mod mix;
mod part;
mod room;

pub use bins::{Bins, Fragments};
pub use growing::{Growing, pack_units};
pub use mix::{Class, LOSS_STEP, Mix};
pub use part::{Part, split};
pub use room::{DeviceMask, Room};

//! The controller on a Kubernetes API: watches build the snapshot, the engine decides, one module writes.
//!
//! | module | what for |
//! |---|---|
//! | [`gpu_pool`] | our own object: settings and status of a pool |
//! | [`index`] | news of objects in, a whole picture out |
//! | [`objects`] | objects of the API, parsed into facts |
//! | [`extender`] | what a scheduler asks over HTTP |
//! | [`look`] | what the index hands to the controller at one instant |
#![allow(
    clippy::disallowed_methods,
    reason = "the controller reads the clock and its environment; what decides does not"
)]

pub mod announce;
pub mod clock;
pub mod extender;
#[allow(unreachable_pub, reason = "the derive makes a private module of its own")]
pub mod gpu_pool;
pub mod http;
pub mod index;
pub mod journal;
pub mod kept_memory;
pub mod look;
pub mod metrics;
pub mod objects;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;

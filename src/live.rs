//! The controller on a Kubernetes API: watches build the snapshot, the engine decides, one module writes.
//!
//! | module | what for |
//! |---|---|
//! | [`actuate`] | every change of a cluster: planned purely, then written |
//! | [`client`] | clients of the two clusters, discovery of Cluster API |
//! | [`gpu_pool`] | our own object: settings and status of a pool |
//! | [`leader`] | which replica acts |
//! | [`look`] | what the index hands to the controller at one instant |
#![allow(
    clippy::disallowed_methods,
    reason = "the controller reads the clock and its environment; what decides does not"
)]

pub mod actuate;
pub mod client;
#[allow(unreachable_pub, reason = "the derive makes a private module of its own")]
pub mod gpu_pool;
pub mod leader;
pub mod look;
#[cfg(test)]
mod mock_api;

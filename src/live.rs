//! The controller on a Kubernetes API: watches build the snapshot, the engine decides, one module writes.
//!
//! | module | what for |
//! |---|---|
//! | [`run`] | starts everything, turns the loop, ends in good order |
//! | [`controller`] | one turn: look and decide, and what lasts from turn to turn |
//! | [`client`] | clients of the two clusters, discovery of Cluster API |
//! | [`watch`], [`watched`] | streams of the API, and which of them there are |
//! | [`objects`] | objects of the API, parsed into facts |
//! | [`index`] | facts in, at any instant a whole picture out |
//! | [`look`] | what the index hands to the controller at one instant |
//! | [`gpu_pool`] | our own object: settings and status of a pool |
//! | [`actuate`] | the only place that writes to a cluster |
//! | [`release`](mod@release) | takes everything of ours back, without a controller |
//! | [`extender`] | what a scheduler asks over HTTP |
//! | [`nudging`] | pods that the extender refused and would not any more |
//! | [`leader`] | one replica acts |
//! | [`acting`], [`status`], [`status_writer`] | what a pool's status says, and writing it |
//! | [`announce`] | Events |
//! | [`kept_memory`] | what was learned, over restarts |
//! | [`journal`] | what was decided: the last decisions, and the log |
//! | [`metrics`], [`http`], [`vitals`] | metrics, endpoints, what they say of health |
//! | [`clock`] | the one place that reads the system clock |
#![allow(
    clippy::disallowed_methods,
    reason = "the controller reads the clock and its environment; what decides does not"
)]

pub mod acting;
pub mod actuate;
pub mod announce;
pub mod client;
pub mod clock;
pub mod controller;
pub mod extender;
#[allow(unreachable_pub, reason = "the derive makes a private module of its own")]
pub mod gpu_pool;
mod hints;
pub mod http;
pub mod index;
pub mod journal;
pub mod kept_memory;
pub mod leader;
pub mod look;
pub mod metrics;
#[cfg(test)]
mod mock_api;
pub mod nudging;
pub mod objects;
pub mod past;
pub mod release;
pub mod run;
pub mod signals;
pub mod status;
pub mod status_writer;
#[cfg(test)]
pub(crate) mod testing;
pub mod vitals;
pub mod watch;
pub mod watched;

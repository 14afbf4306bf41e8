//! End to end: the controller against a Kubernetes API, with a fleet that plays Cluster API, kubelets, GPU
//! drivers, the scheduler and jobs.
//!
//! Without `KUBECONFIG` the embedded API is used; with it, that cluster (see `stage`).
#![cfg(all(feature = "live", feature = "embedded"))]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::default_trait_access,
    reason = "tests read the environment and the clock, stop where they cannot go on, and show what they measured"
)]

#[path = "../support/prometheus.rs"]
mod prometheus;

mod annotations;
mod autoscaler;
mod discovery;
mod endpoints;
mod extender;
mod fast_motion;
mod faults;
#[path = "../support/http.rs"]
mod http;
mod kills;
mod modes;
mod past;
mod release;
mod rights;
mod scale;
mod scale_down;
mod scale_up;
mod signals;
mod stage;
mod traces;
mod two_clusters;
mod warm_up;

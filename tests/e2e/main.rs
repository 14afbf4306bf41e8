//! End to end: the controller against a Kubernetes API, with a fleet that plays Cluster API, kubelets, GPU
//! drivers, the scheduler and jobs.
//!
//! Without `KUBECONFIG` the embedded API is used; with it, that cluster (see `stage`).
#![cfg(all(feature = "live", feature = "embedded"))]
#![allow(clippy::disallowed_methods, reason = "tests read the environment and the clock")]

mod faults;
mod modes;
mod scale;
mod scale_up;
mod stage;

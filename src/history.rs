//! What happened in a cluster, from its metrics: pods' lives, nodes' lives, how long nodes take, and what was
//! lost between two scrapes. Typed answers in, facts out; who asks is `prometheus`.
//!
//! - `source`, `query`, `plan`: what is asked, by which names, in which pieces of time.
//! - `facts`: answers put together. In whatever order they come, the result is the same.
//! - `pod`, `node`, `scrapes`: what the facts mean; instants no series tells lie between two scrapes.
//! - `pools`, `recover`: the trace, the pools and what really happened, in the terms of the simulator.
//!
//! # Source
//! kube-state-metrics 2.20 (`docs/metrics`), kube-scheduler (`pkg/scheduler/metrics/resources`).

mod actual;
mod asked_for;
mod discover;
mod facts;
mod lost;
mod node;
mod plan;
mod pod;
mod pools;
mod query;
mod recover;
mod resource;
mod scrapes;
mod source;
#[cfg(test)]
mod testing;

pub use actual::{Actual, Day, actual};
pub use asked_for::{AskedFor, asked_for};
pub use discover::{Discovery, Need, Presence, needs};
pub use facts::Facts;
pub use lost::lost_pods;
pub use node::{LeadSamples, NodeLead, NodeLife, lead_samples, node_lives};
pub use plan::{Question, Window, questions, questions_of_nodes};
pub use pod::{End, PodLife, demand_gpu_hours, pod_lives};
pub use pools::{PoolRule, RuleFault, assign, guess};
pub use query::{Part, Sight};
pub use recover::{Recovered, recover};
pub use resource::original_name;
pub use scrapes::Scrapes;
pub use source::{GpuMetric, Names, Source};

//! Request traces of inference services, turned into demand: how many replicas would have run?
//!
//! The formats (`azure-llm`, `burstgpt`, `mooncake`, `servegen`) give the load; [`ReplicaRule`] says what a
//! Kubernetes `HorizontalPodAutoscaler` with a target per replica would have made of it
//! ([`hpa`]); every replica is a job from its start to its removal. What a replica waits for a node is the
//! simulator's question, not this one's: the replica count does not react to it.

pub(super) mod azure_llm;
pub(super) mod burstgpt;
mod hpa;
mod load;
pub(super) mod mooncake;
pub(super) mod servegen;

use super::ImportError;
use super::cell;
use super::table::{Column, Row};
use crate::time::Millis;

/// What one replica can take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Capacity {
    /// Requests per second.
    Requests(f64),
    /// Tokens per second, read and written together; only for formats that count tokens.
    Tokens(f64),
}

/// How load becomes replicas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplicaRule {
    /// What one replica takes. 2 requests a second is a placeholder of the right order; measure yours.
    pub capacity: Capacity,
    /// GPUs of one replica. 1.
    pub gpus_per_replica: u32,
    /// Replicas that are always there. 1.
    pub min_replicas: u32,
    /// The load is averaged over this long, and the count may change after each. 60 s.
    pub window: Millis,
    /// The count goes down only to the highest wish of this long. 300 s, as in Kubernetes.
    pub scale_down_stabilization: Millis,
    /// No change while load and capacity differ by at most this share. 0.1, as in Kubernetes.
    pub tolerance: f64,
}

impl Default for ReplicaRule {
    fn default() -> Self {
        Self {
            capacity: Capacity::Requests(2.0),
            gpus_per_replica: 1,
            min_replicas: 1,
            window: Millis::from_secs(60),
            scale_down_stabilization: Millis::from_secs(300),
            tolerance: 0.1,
        }
    }
}

/// Tokens of a request in all of these columns.
fn tokens(row: &Row<'_>, columns: &[Column]) -> Result<u64, ImportError> {
    let mut sum = 0;
    for &column in columns {
        let tokens = cell::number(row, Some(column), "the number of tokens")?.unwrap_or(0.0);
        if !(0.0..=f64::from(load::MOST_TOKENS)).contains(&tokens) {
            let most = load::MOST_TOKENS;
            return Err(row.wrong(column, &format!("the number of tokens is from 0 to {most}")));
        }
        sum += tokens as u64;
    }
    Ok(sum)
}

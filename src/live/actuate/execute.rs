//! Sends the writes of a plan, one after the other.
//!
//! Right before each one it asks again: is the switch on, do we lead, is this still the newest decision? A
//! failed write stops what comes after it for the same pool. Nothing is retried here: the next look decides
//! anew, on what is there then.

use super::{
    orders::{DecisionId, Plan, Position, Step},
    wire::{Cluster, Wire, wire},
    write::{Object, Write},
};
use crate::live::{client::ClusterApi, leader::Authority};
use kube::{
    Client,
    api::{Patch, PatchParams},
    core::{PartialObjectMeta, Request},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// As which writes show up in `managedFields`.
pub const FIELD_MANAGER: &str = "prewarm";

/// One write gets at most so long.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A write may still be under way when the right to write ends; the lease lasts 4 s longer than that.
const GRACE: Duration = Duration::from_secs(3);

/// The kill switch, to be turned at any time from anywhere.
#[derive(Debug, Default)]
pub struct Switch(AtomicU8);

impl Switch {
    /// In that position.
    pub fn new(position: Position) -> Self {
        let switch = Self::default();
        switch.turn(position);
        switch
    }

    /// Turns it; the very next write obeys.
    pub fn turn(&self, position: Position) {
        let code = match position {
            Position::Off => 1,
            Position::DryRun => 2,
            Position::Active => 3,
        };
        self.0.store(code, Ordering::SeqCst);
    }

    /// Where it is. One that was never turned is off.
    pub fn position(&self) -> Position {
        match self.0.load(Ordering::SeqCst) {
            3 => Position::Active,
            2 => Position::DryRun,
            _ => Position::Off,
        }
    }
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Done,
    /// Dry run: it was not sent.
    DryRun,
    /// The kill switch is off.
    SwitchedOff,
    /// Another replica acts.
    NotLeading,
    /// There is a newer decision.
    Superseded,
    /// A write before it, for the same pool, failed.
    Skipped,
    /// Somebody else wrote first (409): look again.
    Conflict,
    /// The object is not there any more (404).
    Gone,
    /// We may not (403); which verb on which resource is missing.
    Forbidden(String),
    /// The API server does not take it (400, 415, 422, ...).
    Invalid(String),
    /// For now: 429, 5xx, no connection.
    Transient(String),
    /// No answer in time; it may have taken effect.
    TimedOut,
}

impl Outcome {
    /// One word for metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::DryRun => "dry_run",
            Self::SwitchedOff => "switched_off",
            Self::NotLeading => "not_leading",
            Self::Superseded => "superseded",
            Self::Skipped => "skipped",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Forbidden(_) => "forbidden",
            Self::Invalid(_) => "invalid",
            Self::Transient(_) => "transient",
            Self::TimedOut => "timed_out",
        }
    }

    /// The writes after it may be sent.
    const fn goes_on(&self) -> bool {
        matches!(self, Self::Done | Self::DryRun)
    }
}

/// The versions of what a plan has written so far. A second write to an object names what the first one
/// left: since the first one named the version that was seen, nobody else has written in between.
#[derive(Debug, Default)]
pub struct Versions(BTreeMap<(&'static str, Object), String>);

impl Versions {
    /// The version that `write` has to name.
    pub fn of<'a>(&'a self, write: &'a Write) -> &'a str {
        let seen = &write.object().version;
        self.0.get(&Self::key(write)).unwrap_or(seen)
    }

    /// `write` was accepted and left this version.
    pub fn wrote(&mut self, write: &Write, version: String) {
        self.0.insert(Self::key(write), version);
    }

    /// The kind of the object, and the object as it was seen.
    fn key(write: &Write) -> (&'static str, Object) {
        let kind = match write {
            Write::NoteHolds { .. }
            | Write::Scale { .. }
            | Write::Floor { .. }
            | Write::FloorRestore { .. } => "target",
            Write::HoldNode { .. }
            | Write::ReleaseNode { .. }
            | Write::Cordon { .. }
            | Write::Uncordon { .. }
            | Write::TouchNode { .. } => "node",
            Write::DelayPod { .. } | Write::UndelayPod { .. } => "pod",
            Write::MarkMachine { .. } | Write::UnmarkMachine { .. } => "machine",
        };
        (kind, write.object().clone())
    }
}

/// Writes to the clusters.
pub struct Actuator {
    management: Client,
    workload: Client,
    api: ClusterApi,
    switch: Arc<Switch>,
    authority: watch::Receiver<Authority>,
    newest: AtomicU64,
}

impl Actuator {
    /// Writes while `switch` is on and `authority` holds.
    pub fn new(
        clients: &crate::live::client::Clients,
        api: ClusterApi,
        switch: Arc<Switch>,
        authority: watch::Receiver<Authority>,
    ) -> Self {
        let (management, workload) = (clients.management.clone(), clients.workload.clone());
        Self { management, workload, api, switch, authority, newest: AtomicU64::new(0) }
    }

    /// From now on nothing older than this decision is written.
    pub fn announce(&self, id: &DecisionId) {
        self.newest.fetch_max(id.counter, Ordering::SeqCst);
    }

    /// No newer decision has been announced.
    pub fn is_current(&self, id: &DecisionId) -> bool {
        id.counter >= self.newest.load(Ordering::SeqCst)
    }

    /// Sends the writes in order; one outcome for each.
    pub async fn carry_out(&self, plan: &Plan) -> Vec<Outcome> {
        self.announce(&plan.id);
        let (mut outcomes, mut stopped) = (Vec::with_capacity(plan.writes.len()), BTreeSet::new());
        let mut versions = Versions::default();
        for step in &plan.writes {
            let is_stopped = step.pool.is_some_and(|pool| stopped.contains(&pool));
            let outcome = if is_stopped && !step.write.is_undo() {
                Outcome::Skipped
            } else {
                self.one(plan, step, &mut versions).await
            };
            if let Some(pool) = step.pool.filter(|_| !outcome.goes_on() && step.write.stops_pool())
            {
                stopped.insert(pool);
            }
            tell(&plan.id, step, &outcome);
            outcomes.push(outcome);
        }
        outcomes
    }

    async fn one(&self, plan: &Plan, step: &Step, versions: &mut Versions) -> Outcome {
        match self.switch.position() {
            Position::Off => return Outcome::SwitchedOff,
            Position::DryRun => return Outcome::DryRun,
            Position::Active => {}
        }
        if !self.is_current(&plan.id) {
            return Outcome::Superseded;
        }
        let left = self.authority.borrow().left();
        if left.is_zero() {
            return Outcome::NotLeading;
        }
        let wire = wire(&step.write, versions.of(&step.write), &self.api);
        let sent = self.send(&wire, &step.write.object().name);
        match tokio::time::timeout(WRITE_TIMEOUT.min(left + GRACE), sent).await {
            Err(_) => Outcome::TimedOut,
            Ok(Err(error)) => outcome_of(&error, &wire),
            Ok(Ok(version)) => {
                versions.wrote(&step.write, version);
                Outcome::Done
            }
        }
    }

    /// Sends it and gives the new `resourceVersion`.
    async fn send(&self, wire: &Wire, name: &str) -> Result<String, kube::Error> {
        let client = match wire.cluster {
            Cluster::Management => &self.management,
            Cluster::Workload => &self.workload,
        };
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let (collection, patch) = (Request::new(wire.path.clone()), Patch::Merge(&wire.body));
        let request = match wire.subresource {
            Some(subresource) => collection.patch_subresource(subresource, name, &params, &patch),
            None => collection.patch(name, &params, &patch),
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        // Of the answer, an object or a Scale, only metadata matters.
        let written: PartialObjectMeta = client.request(request).await?;
        Ok(written.metadata.resource_version.unwrap_or_default())
    }
}

fn outcome_of(error: &kube::Error, wire: &Wire) -> Outcome {
    let kube::Error::Api(status) = error else { return Outcome::Transient(error.to_string()) };
    match status.code {
        409 => Outcome::Conflict,
        404 => Outcome::Gone,
        401 => Outcome::Forbidden("the API server does not accept our credentials".to_owned()),
        403 => Outcome::Forbidden(format!(
            "the service account may not patch {}: add it to its role ({})",
            wire.resource, status.message
        )),
        429 | 500.. => Outcome::Transient(status.message.clone()),
        _ => Outcome::Invalid(status.message.clone()),
    }
}

fn tell(id: &DecisionId, step: &Step, outcome: &Outcome) {
    let (write, kind, word) = (&step.write, step.write.kind(), outcome.word());
    match outcome {
        Outcome::Done => tracing::info!(decision = %id, kind, "{write}"),
        Outcome::DryRun => tracing::info!(decision = %id, kind, "dry run: would {write}"),
        Outcome::Skipped | Outcome::SwitchedOff | Outcome::Superseded | Outcome::Conflict => {
            tracing::debug!(decision = %id, kind, outcome = word, "{write}");
        }
        _ => tracing::warn!(decision = %id, kind, ?outcome, "failed to {write}"),
    }
}

#[cfg(test)]
mod tests;

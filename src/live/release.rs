//! Everything of ours out of a cluster, without a controller: holds, floors, cordons, marks, delays of pods. What
//! a graceful stop does, for whoever uninstalls after one that was not graceful.
//!
//! It looks until all watches have been listed, takes back what is there, and looks again until nothing is left:
//! others write in between, and a controller that still runs puts back what it wants.

use super::{
    actuate::{self, ActuationSettings, Actuator, DecisionId, Outcome, Switch},
    clock::Clock,
    index::{Event, Index, IndexSettings},
    leader::Authority,
    objects::CapiKeys,
    run::Clusters,
    watch::{Sink, Watches},
    watched,
};
use crate::{
    model::Sight,
    time::{Millis, Timestamp},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// All watches are listed within this time.
const LISTED_WITHIN: Duration = Duration::from_mins(2);
/// News of our own writes is waited for so long before the next look.
const SETTLE: Duration = Duration::from_millis(700);
/// Looks before it gives up.
const ROUNDS: u64 = 6;
/// Events of the watches that may wait.
const QUEUE: usize = 10_000;

/// Why nothing could be taken back.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// Not everything could be listed; with what the watches say.
    #[error("not everything could be listed within 2 minutes: {0}")]
    NotListed(String),
}

/// What was taken back, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// A sentence for every write that took effect; with dry run, for every one that would be sent.
    pub done: Vec<String>,
    /// What is left, and why.
    pub left: Vec<String>,
}

/// Takes back everything. `namespace`: where Prewarm's own objects are.
///
/// # Errors
/// See [`ReleaseError`]; writes that fail are in [`Released::left`].
pub async fn release(
    clusters: &Clusters,
    namespace: &str,
    settings: &ActuationSettings,
    clock: Clock,
) -> Result<Released, ReleaseError> {
    let stop = CancellationToken::new();
    let (sender, events) = mpsc::channel(QUEUE);
    let sink = Sink {
        events: sender,
        extender: None,
        watches: Watches::default(),
        clock,
        stop: stop.clone(),
    };
    let watched = watched::start(clusters, namespace, &sink);
    let index = Index::new(IndexSettings {
        // Pools that nobody declared are strays here, and taken back all the same.
        discovery: false,
        keys: CapiKeys::new(clusters.api.group.as_str()),
        ..IndexSettings::default()
    });
    let mut view = View { events, index, watches: sink.watches.clone(), clock };
    let released = match view.list().await {
        Ok(()) => Ok(take_back(&mut view, clusters, settings).await),
        Err(error) => Err(error),
    };
    stop.cancel();
    // Watches that wait for room in the queue must find nobody.
    drop((view, sink));
    for task in watched.tasks {
        task.await.ok();
    }
    released
}

async fn take_back(view: &mut View, clusters: &Clusters, settings: &ActuationSettings) -> Released {
    let switch = Arc::new(Switch::new(settings.switch));
    let (_keep, authority) = watch::channel(Authority::forever());
    let actuator = Actuator::new(&clusters.clients, clusters.api.clone(), switch, authority);
    let mut released = Released::default();
    for counter in 1..=ROUNDS {
        let now = view.clock.now();
        let id = DecisionId { counter, digest: "release".to_owned() };
        let plan = actuate::release_all(now, id, &view.look(now), settings);
        let outcomes = actuator.carry_out(&plan).await;
        let mut left = BTreeMap::new();
        for (step, outcome) in plan.writes.iter().zip(&outcomes) {
            match outcome {
                Outcome::Done | Outcome::DryRun => released.done.push(step.write.to_string()),
                // It went with its object.
                Outcome::Gone => {}
                other => {
                    left.insert(step.write.to_string(), why(other));
                }
            }
        }
        released.left = left.into_iter().map(|(write, why)| format!("{write}: {why}")).collect();
        let is_dry = outcomes.contains(&Outcome::DryRun);
        if plan.writes.is_empty() || is_dry {
            break;
        }
        view.settle(SETTLE).await;
    }
    released.done.sort();
    released.done.dedup();
    released
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Forbidden(why) | Outcome::Invalid(why) | Outcome::Transient(why) => why.clone(),
        other => other.word().to_owned(),
    }
}

/// What the watches tell, put together.
struct View {
    events: mpsc::Receiver<Event>,
    index: Index,
    watches: Watches,
    clock: Clock,
}

impl View {
    async fn list(&mut self) -> Result<(), ReleaseError> {
        let end = Instant::now() + LISTED_WITHIN;
        while !self.index.is_synced() {
            match tokio::time::timeout_at(end, self.events.recv()).await {
                Ok(Some(event)) => self.index.apply(event),
                _ => return Err(ReleaseError::NotListed(self.watches.faults().join("; "))),
            }
        }
        Ok(())
    }

    /// Takes what comes within `span`.
    async fn settle(&mut self, span: Duration) {
        let end = Instant::now() + span;
        while let Ok(Some(event)) = tokio::time::timeout_at(end, self.events.recv()).await {
            self.index.apply(event);
        }
    }

    fn look(&mut self, now: Timestamp) -> super::look::Look {
        let sight = Sight { view_age: Millis::ZERO, api_fails: false };
        self.index.look(now, sight)
    }
}

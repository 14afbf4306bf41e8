//! Pods that the extender has refused and would not refuse any more: the Node is touched so that kube-scheduler
//! asks again, and the pod is told.
//!
//! Apart from the loop, which takes longer for a turn than such a pod should wait. The write goes through
//! [`super::actuate`] like every other: by the leader, with the switch on, on nodes of pools in mode Active.

use super::{
    actuate::{self, Actuator, DecisionId},
    announce::{Announcer, Said, Where},
    clock::Clock,
    extender::{Meters, keep::Found},
};
use k8s_openapi::api::core::v1::ObjectReference;
use std::collections::BTreeSet;
use tokio::sync::{mpsc, watch};

/// Pods told of at once.
const PODS: usize = 20;

/// What is needed for it.
pub struct Nudging {
    /// Writes.
    pub actuator: Actuator,
    /// Tells pods.
    pub announcer: Announcer,
    /// Names of nodes that may be touched now.
    pub allowed: watch::Receiver<BTreeSet<String>>,
    /// Counts.
    pub meters: Meters,
    /// The clock.
    pub clock: Clock,
    /// Tells touches of this process from those of others.
    pub digest: String,
}

impl Nudging {
    /// Until there is nobody who finds anything.
    pub async fn run(self, mut found: mpsc::Receiver<Found>) {
        let (mut counter, mut told) = (0, BTreeSet::new());
        while let Some(found) = found.recv().await {
            self.say(&found, &mut told);
            if !found.is_due {
                continue;
            }
            counter += 1;
            let id = DecisionId { counter, digest: format!("nudge-{}", self.digest) };
            let outcome = self.touch(id, &found).await;
            self.meters.note_nudge(outcome);
        }
    }

    async fn touch(&self, id: DecisionId, found: &Found) -> &'static str {
        let node = {
            let allowed = self.allowed.borrow();
            found.open.iter().find(|(name, _)| allowed.contains(name)).cloned()
        };
        let Some((name, version)) = node else { return "not_active" };
        let plan = actuate::touch(self.clock.now(), id, name, version);
        let outcomes = self.actuator.carry_out(&plan).await;
        outcomes.first().map_or("not_active", actuate::Outcome::word)
    }

    /// Each pod is told once, until it waits no longer in vain.
    fn say(&self, found: &Found, told: &mut BTreeSet<String>) {
        let stranded = &found.stranded;
        told.retain(|uid| stranded.iter().any(|one| one.pod.meta.uid == *uid));
        if self.allowed.borrow().is_empty() {
            return;
        }
        let news = stranded.iter().filter(|one| !told.contains(&one.pod.meta.uid));
        let news: Vec<_> = news.take(PODS).cloned().collect();
        let said = |one: &crate::extender::Stranded| Said {
            place: Where::Workload,
            regarding: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: Some(one.pod.meta.namespace.clone()),
                name: Some(one.pod.meta.name.clone()),
                uid: Some(one.pod.meta.uid.clone()),
                ..ObjectReference::default()
            },
            reason: "NodeOpenAgain",
            note: format!("Node {} was refused and takes the pod now", one.node),
            is_warning: false,
        };
        self.announcer.say(news.iter().map(said).collect());
        told.extend(news.into_iter().map(|one| one.pod.meta.uid.clone()));
    }
}

//! Pods that matter: those that ask for devices, and of the others what they take on GPU nodes.
//!
//! Most pods of a cluster have nothing to do with GPUs; of those on other nodes nothing is kept. Until
//! nodes and machines are known nobody can tell, so they are kept, a few words each, until the first look.

use super::store::Store;
use crate::{
    model::{
        ShapeId,
        object::{Pod, PodPhase, Unscheduled},
    },
    time::Timestamp,
};

/// Pods with this label stand in for others: capacity, not demand.
const PLACEHOLDER: &str = "prewarm.dev/placeholder";

/// A pod that asks for devices.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) pod: Pod,
    /// Its number and pool, once it has arrived.
    pub(super) job: Option<Job>,
    /// It was held back when it was last looked at.
    pub(super) was_gated: bool,
    /// Its end was told.
    pub(super) is_told: bool,
    /// Where it fits, and for which generation of pools that holds.
    pub(super) fit: Option<(u64, Fit)>,
}

/// A job as the engine knows it.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) number: u32,
    /// `namespace/name` of its pool.
    pub(super) pool: String,
}

/// Where a pod fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fit {
    /// First pool that can hold it, and its shape.
    pub(super) home: Option<(usize, ShapeId)>,
}

/// What a pod without devices takes of its node.
#[derive(Clone, Debug)]
pub(super) struct Bystander {
    uid: String,
    pub(super) node: String,
    pub(super) cpu_milli: u64,
    pub(super) memory_bytes: u64,
    /// Of a DaemonSet or a mirror pod: on every node.
    pub(super) is_everywhere: bool,
}

impl Tracked {
    fn new(pod: Pod) -> Self {
        Self { pod, job: None, was_gated: false, is_told: false, fit: None }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.pod.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// It holds devices of this node.
    pub(super) fn holds(&self) -> Option<&str> {
        self.pod.node.as_deref().filter(|_| !self.is_over())
    }

    /// Neither demand nor use: whoever asks takes its place.
    pub(super) fn is_expendable(&self, below: i32) -> bool {
        self.pod.priority < below || self.pod.meta.labels.contains_key(PLACEHOLDER)
    }

    pub(super) fn is_everywhere(&self) -> bool {
        is_everywhere(&self.pod)
    }

    pub(super) fn is_gated(&self) -> bool {
        self.pod.unscheduled == Some(Unscheduled::Gated)
    }
}

fn is_everywhere(pod: &Pod) -> bool {
    pod.meta.owner.as_ref().is_some_and(|owner| matches!(owner.kind.as_str(), "DaemonSet" | "Node"))
}

/// All pods that matter.
#[derive(Clone, Debug, Default)]
pub(super) struct Pods {
    pub(super) tracked: Store<Tracked>,
    pub(super) others: Store<Bystander>,
    /// Gone since the last look.
    pub(super) gone: Vec<Tracked>,
}

impl Pods {
    /// `concerns`: whether a pod on that node can matter although it asks for no devices.
    pub(super) fn put(&mut self, mut pod: Pod, concerns: impl Fn(&str) -> bool) {
        let key = pod.meta.key();
        // Of annotations only ours and the autoscaler's delay are used, of labels only ours.
        pod.meta.labels.retain(|label, _| label == PLACEHOLDER);
        if pod.requests.extended.is_empty() && pod.claims.is_empty() {
            self.drop_tracked(&key);
            self.put_other(key, pod, concerns);
            return;
        }
        self.others.remove(&key);
        let known = self.tracked.remove(&key);
        let (same, other) = match known {
            Some(known) if known.pod.meta.uid == pod.meta.uid => (Some(known), None),
            other => (None, other),
        };
        self.gone.extend(other);
        let told = Tracked::new(pod);
        let next = same.map_or_else(|| told.clone(), |known| carry_over(known, &told));
        self.tracked.put(key, next);
    }

    fn put_other(&mut self, key: String, pod: Pod, concerns: impl Fn(&str) -> bool) {
        let is_everywhere = is_everywhere(&pod);
        let is_over = matches!(pod.phase, PodPhase::Succeeded | PodPhase::Failed);
        match pod.node.filter(|node| !is_over && concerns(node)) {
            Some(node) => {
                let other = Bystander {
                    uid: pod.meta.uid,
                    node,
                    cpu_milli: pod.requests.cpu_milli,
                    memory_bytes: pod.requests.memory_bytes,
                    is_everywhere,
                };
                self.others.put(key, other);
            }
            None => {
                self.others.remove(&key);
            }
        }
    }

    /// A pod is gone; news of one that was replaced under its name in the meantime is old.
    pub(super) fn remove(&mut self, key: &str, uid: &str) {
        let is_same = |known: &str| uid.is_empty() || known == uid;
        if self.tracked.get(key).is_some_and(|known| is_same(&known.pod.meta.uid)) {
            self.drop_tracked(key);
        }
        if self.others.get(key).is_some_and(|known| is_same(&known.uid)) {
            self.others.remove(key);
        }
    }

    fn drop_tracked(&mut self, key: &str) {
        self.gone.extend(self.tracked.remove(key));
    }

    pub(super) fn restart(&mut self) {
        self.tracked.restart();
        self.others.restart();
    }

    pub(super) fn sync(&mut self) {
        self.gone.extend(self.tracked.sync());
        self.others.sync();
    }

    /// Forgets what turned out not to matter: of pods that ask for no device of a pool the devices.
    pub(super) fn prune(
        &mut self,
        concerns: impl Fn(&str) -> bool,
        is_device: impl Fn(&str) -> bool,
    ) {
        self.others.retain(|_, other| concerns(&other.node));
        let mut strangers = Vec::new();
        self.tracked.retain(|key, tracked| {
            let matters = !tracked.pod.claims.is_empty()
                || tracked.pod.requests.extended.keys().any(|name| is_device(name));
            if !matters {
                strangers.push((key.clone(), tracked.pod.clone()));
            }
            matters
        });
        for (key, pod) in strangers {
            self.put_other(key, pod, &concerns);
        }
    }
}

/// What was found out about a pod before stays true; where it fits only while what it asks for does.
fn carry_over(known: Tracked, told: &Tracked) -> Tracked {
    let is_same_request = known.pod.requests == told.pod.requests
        && known.pod.node_selector == told.pod.node_selector
        && known.pod.tolerations == told.pod.tolerations
        && known.pod.gpu_models == told.pod.gpu_models
        && known.pod.priority == told.pod.priority;
    Tracked { pod: told.pod.clone(), fit: known.fit.filter(|_| is_same_request), ..known }
}

/// When a pod that is gone or over ended, not before it began.
pub(super) fn ended(pod: &Pod, now: Timestamp) -> (Timestamp, Timestamp) {
    let end = pod.finished_at.map_or(now, |at| at.min(now));
    let began = pod.scheduled_at.or(pod.started_at).filter(|_| pod.node.is_some());
    (began.map_or(end, |at| at.min(end)), end)
}

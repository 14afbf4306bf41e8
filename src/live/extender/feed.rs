//! Keeps the extender's snapshot true to what the watches tell: news in, now and then a new snapshot out. No
//! clock, no I/O.
//!
//! A burst of news costs one digest a node that changed, not one a change: nodes are marked, and digested when a
//! snapshot is asked for.

use super::facts::seen;
use crate::{
    extender::{Arrivals, Ask, Boots, ExtenderSnapshot, Namespace, Policy, Seen, Taken, trim},
    live::index::{Event, Kind, claims::slices, store::Store},
    model::object::{Node, Pod, PodPhase, ResourceSlice},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Written anew each time feature discovery has looked at the GPUs.
const DISCOVERED: &str = "nvidia.com/gfd.timestamp";

/// What is watched for the extender.
pub const KINDS: [Kind; 4] = [Kind::Pod, Kind::Node, Kind::Namespace, Kind::ResourceSlice];

/// What a controller knows of the days of nodes, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prospects {
    /// Chosen to go.
    pub to_go: BTreeSet<String>,
    /// Come and go with demand: somebody scales their pools.
    pub elastic: BTreeSet<String>,
}

/// See the module.
pub struct Feed {
    snapshot: ExtenderSnapshot,
    nodes: Store<Known>,
    pods: Store<Placed>,
    /// Pods that wait for a node, whole.
    waiting: BTreeMap<String, Arc<Pod>>,
    slices: Store<ResourceSlice>,
    namespaces: Store<()>,
    /// What pods take, by node.
    pods_on: BTreeMap<Arc<str>, Vec<Arc<Taken>>>,
    /// Keys of ResourceSlices by node.
    slices_of: BTreeMap<String, BTreeSet<String>>,
    boots: Boots,
    arrivals: Arrivals,
    prospects: Prospects,
    /// Nodes to digest anew.
    marked: BTreeSet<String>,
    has_news: bool,
}

/// A node and what was noticed about it over time.
struct Known {
    node: Node,
    rebooted: Option<Timestamp>,
    ready_since: Option<Timestamp>,
}

/// A pod that has not finished.
struct Placed {
    uid: Box<str>,
    /// Its node, and what it takes there.
    seat: Option<(Arc<str>, Arc<Taken>)>,
}

impl Feed {
    /// Nothing is known yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            snapshot: ExtenderSnapshot::new(policy),
            nodes: Store::default(),
            pods: Store::default(),
            waiting: BTreeMap::new(),
            slices: Store::default(),
            namespaces: Store::default(),
            pods_on: BTreeMap::new(),
            slices_of: BTreeMap::new(),
            boots: Boots::default(),
            arrivals: Arrivals::default(),
            prospects: Prospects::default(),
            marked: BTreeSet::new(),
            has_news: false,
        }
    }

    /// All lists were complete once.
    pub fn is_synced(&self) -> bool {
        self.nodes.is_synced()
            && self.pods.is_synced()
            && self.slices.is_synced()
            && self.namespaces.is_synced()
    }

    /// A pod (`namespace/name`) that waits for a node.
    pub fn waiting(&self, key: &str) -> Option<Arc<Pod>> {
        self.waiting.get(key).cloned()
    }

    /// All pods that wait for a node, in the order of their keys.
    pub fn all_waiting(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.waiting.values()
    }

    /// `resourceVersion` of a node.
    pub fn node_version(&self, name: &str) -> Option<&str> {
        Some(&self.nodes.get(name)?.node.meta.resource_version)
    }

    /// What the controller says of nodes.
    pub fn set_prospects(&mut self, new: Prospects) {
        let known = std::mem::replace(&mut self.prospects, new);
        let new = &self.prospects;
        self.marked.extend(new.to_go.symmetric_difference(&known.to_go).cloned());
        self.marked.extend(new.elastic.symmetric_difference(&known.elastic).cloned());
    }

    /// Another policy: all nodes are digested anew. What jobs have come so far was counted by the old one; it
    /// fades.
    pub fn set_policy(&mut self, policy: Policy) {
        self.snapshot.policy = Arc::new(policy);
        self.marked.extend(self.nodes.iter().map(|(name, _)| name.clone()));
        self.has_news = true;
    }

    /// Takes news that were heard at `now`.
    pub fn apply(&mut self, event: Event, now: Timestamp) {
        self.has_news = true;
        match event {
            Event::Pod(pod) if matches!(pod.phase, PodPhase::Succeeded | PodPhase::Failed) => {
                self.forget_pod(&pod.meta.key(), &pod.meta.uid);
            }
            Event::Pod(pod) => self.put_pod(*pod, now),
            Event::PodGone { namespace, name, uid } => {
                self.forget_pod(&format!("{namespace}/{name}"), &uid);
            }
            Event::Node(node) => self.put_node(*node, now),
            Event::Slice(slice) => self.put_slice(*slice),
            Event::Namespace(namespace) => self.put_namespace(*namespace),
            Event::Gone { kind, key } => self.gone(kind, &key),
            Event::Restarted(kind) => self.restarted(kind),
            Event::Synced(kind) => self.synced(kind),
            _ => {}
        }
    }

    /// The picture at `now`, if there is anything new in it.
    pub fn publish(&mut self, now: Timestamp) -> Option<ExtenderSnapshot> {
        self.has_news |= !self.marked.is_empty();
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        self.snapshot.at = now;
        for name in std::mem::take(&mut self.marked) {
            self.digest(&name, now);
        }
        match self.arrivals.news(now) {
            Some(mix) => self.snapshot.set_mix(&mix),
            None => self.snapshot.follow_supply(),
        }
        self.snapshot.is_synced = self.is_synced();
        self.snapshot.generation += 1;
        Some(self.snapshot.clone())
    }

    fn digest(&mut self, name: &str, now: Timestamp) {
        let is_first = !self.is_synced();
        let Some(known) = self.nodes.get_mut(name) else {
            self.snapshot.remove_node(name);
            return;
        };
        let published = self.slices_of.get(name).into_iter().flatten();
        let published = published.filter_map(|key| self.slices.get(key));
        let published = slices(published).remove(name);
        let pods = self.pods_on.get(name).into_iter().flatten().map(AsRef::as_ref).collect();
        let seen = seen(&known.node, pods, published.as_ref());
        known.ready_since = match known.ready_since {
            _ if !seen.readiness.is_usable() => None,
            // It was ready before anybody looked.
            None if is_first => Some(Timestamp::ZERO),
            since => since.or(Some(now)),
        };
        self.snapshot.set_node(&Seen {
            ready_since: known.ready_since,
            rebooted: known.rebooted,
            is_to_go: self.prospects.to_go.contains(name),
            is_scaled: self.prospects.elastic.contains(name),
            ..seen
        });
    }

    fn put_pod(&mut self, pod: Pod, now: Timestamp) {
        let key = pod.meta.key();
        let before = self.pods.get(&key);
        if before.is_none_or(|before| *before.uid != *pod.meta.uid) {
            let ask = Ask::new(&pod, None, &self.snapshot.policy);
            // What a first list tells came long ago.
            let is_dated = pod.meta.created != Timestamp::ZERO;
            self.arrivals.note(&ask, if is_dated { pod.meta.created.min(now) } else { now });
        }
        let uid = Box::from(pod.meta.uid.as_str());
        let taken = Taken::of(&pod);
        let known = before.and_then(|before| before.seat.clone());
        let is_same = |(node, seat): &(Arc<str>, Arc<Taken>)| {
            pod.node.as_deref() == Some(node) && **seat == taken
        };
        let seat = match (known, &pod.node) {
            (Some(known), _) if is_same(&known) => Some(known),
            (_, node) => {
                self.leave(&key);
                node.as_deref().map(|node| self.sit(node, taken))
            }
        };
        if seat.is_none() {
            self.waiting.insert(key.clone(), Arc::new(pod));
        } else {
            self.waiting.remove(&key);
        }
        self.pods.put(key, Placed { uid, seat });
    }

    /// A pod uses a node.
    fn sit(&mut self, node: &str, taken: Taken) -> (Arc<str>, Arc<Taken>) {
        let known = self.pods_on.get_key_value(node);
        let name = known.map_or_else(|| Arc::from(node), |(name, _)| Arc::clone(name));
        let taken = Arc::new(taken);
        self.pods_on.entry(Arc::clone(&name)).or_default().push(Arc::clone(&taken));
        self.marked.insert(node.to_owned());
        (name, taken)
    }

    /// The pod does not use its node any more.
    fn leave(&mut self, key: &str) {
        let seat = self.pods.get_mut(key).and_then(|pod| pod.seat.take());
        let Some((node, taken)) = seat else { return };
        if let Some(pods) = self.pods_on.get_mut(&node) {
            pods.retain(|other| !Arc::ptr_eq(other, &taken));
            if pods.is_empty() {
                self.pods_on.remove(&node);
            }
        }
        self.marked.insert(node.as_ref().to_owned());
    }

    fn forget_pod(&mut self, key: &str, uid: &str) {
        let is_it = |pod: &Placed| uid.is_empty() || *pod.uid == *uid;
        if self.pods.get(key).is_some_and(is_it) {
            self.leave(key);
            self.waiting.remove(key);
            self.pods.remove(key);
        }
    }

    fn put_node(&mut self, mut node: Node, now: Timestamp) {
        trim(&mut node, |key| key == DISCOVERED);
        let name = node.meta.name.clone();
        let stamp = node.meta.labels.get(DISCOVERED).map_or("", String::as_str);
        let gpus = node.allocatable.extended.values().copied().fold(0, u64::saturating_add);
        let rebooted = self.boots.note(&name, &node.boot_id, stamp, gpus, now);
        let ready_since = self.nodes.get(&name).and_then(|known| known.ready_since);
        self.marked.insert(name.clone());
        self.nodes.put(name, Known { node, rebooted, ready_since });
    }

    fn put_slice(&mut self, slice: ResourceSlice) {
        let key = slice.meta.key();
        self.drop_slice(&key);
        if let Some(node) = &slice.node {
            self.slices_of.entry(node.clone()).or_default().insert(key.clone());
            self.marked.insert(node.clone());
        }
        self.slices.put(key, slice);
    }

    fn drop_slice(&mut self, key: &str) {
        let Some(node) = self.slices.remove(key).and_then(|slice| slice.node) else { return };
        if let Some(keys) = self.slices_of.get_mut(&node) {
            keys.remove(key);
        }
        self.marked.insert(node);
    }

    fn put_namespace(&mut self, namespace: Namespace) {
        self.namespaces.put(namespace.name.clone(), ());
        self.snapshot.set_namespace(namespace);
    }

    fn gone(&mut self, kind: Kind, key: &str) {
        match kind {
            Kind::Pod => self.forget_pod(key, ""),
            Kind::Node => {
                self.nodes.remove(key);
                self.forget_node(key.to_owned());
            }
            Kind::ResourceSlice => self.drop_slice(key),
            Kind::Namespace => {
                self.namespaces.remove(key);
                self.snapshot.remove_namespace(key);
            }
            _ => {}
        }
    }

    fn forget_node(&mut self, name: String) {
        self.boots.forget(&name);
        self.marked.insert(name);
    }

    fn restarted(&mut self, kind: Kind) {
        match kind {
            Kind::Pod => self.pods.restart(),
            Kind::Node => self.nodes.restart(),
            Kind::ResourceSlice => self.slices.restart(),
            Kind::Namespace => self.namespaces.restart(),
            _ => {}
        }
    }

    fn synced(&mut self, kind: Kind) {
        match kind {
            Kind::Pod => {
                for key in self.pods.unlisted() {
                    self.leave(&key);
                    self.waiting.remove(&key);
                }
                self.pods.sync();
            }
            Kind::Node => {
                for gone in self.nodes.sync() {
                    self.forget_node(gone.node.meta.name);
                }
            }
            Kind::ResourceSlice => {
                for key in self.slices.unlisted() {
                    self.drop_slice(&key);
                }
                self.slices.sync();
            }
            Kind::Namespace => {
                for key in self.namespaces.unlisted() {
                    self.snapshot.remove_namespace(&key);
                }
                self.namespaces.sync();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;

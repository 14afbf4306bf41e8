//! Pods that wait although a node would take them by now, and which Node to touch so that kube-scheduler asks again.
//!
//! kube-scheduler asks again about a pod that was refused when a Node changes (a label, an annotation, a taint,
//! the status of a condition), some 4 ms later; otherwise after more than five minutes. That fails in two ways:
//! it has seen the change before our own watch did and has asked too early; or what changed is not on the Node
//! at all (time, a namespace, ResourceSlices). So answers are remembered, and when a node opens for a pod after
//! its last answer and nobody has asked since, the Node is touched: once for all pods that wait, at growing
//! intervals, and never without need.
//!
//! Pure: time, answers and snapshots come in. What is touched, and whether it may be, is for others.
//!
//! Source: kube-scheduler 1.36 `schedule_one.go` and `backend/queue` (events of the plugin `Extender`); measured.

use super::{Ask, ExtenderSnapshot, NodeView, Rejection, Verdict, reason, verdict};
use crate::{
    model::object::{Pod, Unscheduled},
    time::{Millis, Timestamp},
};
use std::{collections::BTreeMap, sync::Arc};

/// The scheduler has so long to ask of its own accord.
const GRACE: Millis = Millis(150);
/// Where only the pod's condition tells of the refusal, it has so long after both, the refusal and the node: it may be
/// asking somebody else. With a look and a write after that no pod waits for a second.
const TOLD_GRACE: Millis = Millis(700);
/// Between two touches.
const GAP: Millis = Millis(400);
/// A pod for which a touch did not help is touched for again after this, doubled each time.
const AGAIN: Millis = Millis::from_secs(1);
/// The longest such pause.
const LONGEST: Millis = Millis::from_mins(5);
/// A pod that no watch has told of is remembered for so long.
const YOUNG: Millis = Millis::from_secs(10);
/// Pods that ask for different things are looked after up to this number of kinds.
const KINDS: usize = 64;

/// One answer to a filter request about nodes by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The pod.
    pub uid: String,
    /// What it asks.
    pub ask: Ask,
    /// The snapshot it was answered from.
    pub generation: u64,
    /// When.
    pub at: Timestamp,
    /// At least one node was refused.
    pub has_refusals: bool,
}

/// A pod that waits although a node would take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranded {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The node.
    pub node: String,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nudge {
    /// Pods that wait in vain, by uid.
    pub stranded: Vec<Stranded>,
    /// Touch this Node now.
    pub touch: Option<String>,
}

/// Remembers answers, and what nodes said to pods that were refused.
#[derive(Clone, Debug, Default)]
pub struct Nudger {
    kinds: Vec<Kind>,
    pods: BTreeMap<String, Refused>,
    last: Option<Arc<ExtenderSnapshot>>,
    touched: Option<Timestamp>,
}

/// Pods that ask for the same.
#[derive(Clone, Debug)]
struct Kind {
    ask: Ask,
    /// By number of the node: it is refused.
    refused: Vec<bool>,
    /// By number: since when it is not.
    opened: BTreeMap<usize, Opened>,
}

/// A node has opened.
#[derive(Clone, Copy, Debug)]
struct Opened {
    seen: Timestamp,
    /// Answers from this snapshot on know it; `None` = answers from `at` on.
    generation: Option<u64>,
    at: Timestamp,
}

#[derive(Clone, Debug)]
struct Refused {
    kind: usize,
    last: Last,
    nudges: u32,
    next: Timestamp,
}

/// What is known of the last answer about a pod.
#[derive(Clone, Debug)]
enum Last {
    /// It was ours.
    Own { generation: u64, at: Timestamp },
    /// Another extender's; the pod's condition tells.
    Told { message: String, since: Timestamp },
}

impl Nudger {
    /// An answer was given about a pod that waits.
    pub fn answered(&mut self, answer: Answered, snapshot: &ExtenderSnapshot) {
        let Answered { uid, ask, generation, at, has_refusals } = answer;
        if has_refusals {
            self.remember(uid, Last::Own { generation, at }, ask, snapshot, at);
        } else {
            self.pods.remove(&uid);
        }
    }

    /// Looks at the pods that wait.
    pub fn look<'a>(
        &mut self,
        now: Timestamp,
        snapshot: &Arc<ExtenderSnapshot>,
        waiting: impl Iterator<Item = &'a Arc<Pod>>,
    ) -> Nudge {
        self.follow(now, snapshot);
        let mut before = std::mem::take(&mut self.pods);
        let mut stranded: Vec<(String, Stranded)> = Vec::new();
        let mut told = BTreeMap::new();
        for pod in waiting {
            let uid = pod.meta.uid.as_str();
            if let Some((uid, refused)) = before.remove_entry(uid) {
                self.pods.insert(uid, refused);
            }
            self.take_condition(pod, snapshot, now);
            if let Some(node) = self.open_node(uid, snapshot, now, &mut told) {
                let found = Stranded { pod: Arc::clone(pod), node };
                stranded.push((uid.to_owned(), found));
            }
        }
        // A pod can be asked about before our own watch tells of it.
        let is_young = |one: &Refused| matches!(one.last, Last::Own { at, .. } if now - at < YOUNG);
        self.pods.extend(before.into_iter().filter(|(_, one)| is_young(one)));
        self.forget_kinds();
        let touch = self.touch(now, &stranded);
        stranded.sort_by(|one, other| one.0.cmp(&other.0));
        Nudge { stranded: stranded.into_iter().map(|(_, one)| one).collect(), touch }
    }

    fn remember(
        &mut self,
        uid: String,
        last: Last,
        ask: Ask,
        snapshot: &ExtenderSnapshot,
        now: Timestamp,
    ) {
        let known = self.kinds.iter().position(|kind| kind.ask == ask);
        let kind = match known {
            Some(kind) => kind,
            None if self.kinds.len() < KINDS => {
                // As it was when it was last looked: what changed since is found by the next look.
                let base = self.last.as_deref().unwrap_or(snapshot);
                self.kinds.push(Kind::new(ask, base, now));
                self.kinds.len() - 1
            }
            None => return,
        };
        self.pods.insert(uid, Refused { kind, last, nudges: 0, next: now });
    }

    /// Another replica's refusals stand in the pod's condition.
    fn take_condition(&mut self, pod: &Pod, snapshot: &ExtenderSnapshot, now: Timestamp) {
        let Some(Unscheduled::Unschedulable(message)) = &pod.unscheduled else { return };
        match self.pods.get(&pod.meta.uid).map(|refused| &refused.last) {
            Some(Last::Own { .. }) => return,
            Some(Last::Told { message: known, .. }) if known == message => return,
            _ => {}
        }
        if reason::ALL.iter().any(|reason| message.contains(reason)) {
            let last = Last::Told { message: message.clone(), since: now };
            let ask = Ask::new(pod, snapshot.namespace(&pod.meta.namespace), &snapshot.policy);
            self.remember(pod.meta.uid.clone(), last, ask, snapshot, now);
        }
    }

    /// Takes note of which nodes have opened and closed since the last look.
    fn follow(&mut self, now: Timestamp, snapshot: &Arc<ExtenderSnapshot>) {
        let before = self.last.replace(Arc::clone(snapshot));
        let (before, after) = (before.as_ref().unwrap_or(snapshot), snapshot);
        if self.kinds.is_empty() {
            return;
        }
        let changed = after.changed_since(before);
        let held = after.held().difference(&changed).map(|&number| (number, false));
        let news: Vec<(usize, bool)> =
            changed.iter().map(|&number| (number, true)).chain(held).collect();
        for kind in &mut self.kinds {
            let namespace = after.namespace(&kind.ask.namespace.name);
            let is_new = namespace.is_some_and(|namespace| *namespace != kind.ask.namespace);
            if let (true, Some(namespace)) = (is_new, namespace) {
                kind.ask.namespace = namespace.clone();
            }
            // Of pods of exempt namespaces none was refused; those of a namespace that is exempt now were.
            let is_exempt = after.policy.exempt_namespaces.contains(&kind.ask.namespace.name);
            let is_new = is_new || (is_exempt && !kind.ask.is_exempt);
            kind.ask.is_exempt |= is_exempt;
            if is_new {
                let all: Vec<_> = (0..after.node_numbers()).map(|number| (number, true)).collect();
                kind.follow(now, after, &all);
            } else {
                kind.follow(now, after, &news);
            }
        }
    }

    /// A node that has opened for this pod since it was last answered, if the scheduler has had time to ask. `told`: what was
    /// found in this look for pods that others refused, by kind.
    fn open_node(
        &self,
        uid: &str,
        snapshot: &ExtenderSnapshot,
        now: Timestamp,
        told: &mut BTreeMap<usize, Option<usize>>,
    ) -> Option<String> {
        let refused = self.pods.get(uid)?;
        let kind = self.kinds.get(refused.kind)?;
        let number = match &refused.last {
            Last::Own { generation, at } => kind.missed(snapshot, *generation, *at, now),
            Last::Told { since, .. } if now - *since >= TOLD_GRACE => {
                *told.entry(refused.kind).or_insert_with(|| kind.open(snapshot, now))
            }
            Last::Told { .. } => None,
        };
        snapshot.view_at(number?).map(|node| node.name.clone())
    }

    /// One touch wakes every pod that was refused.
    fn touch(&mut self, now: Timestamp, stranded: &[(String, Stranded)]) -> Option<String> {
        if self.touched.is_some_and(|at| now - at < GAP) {
            return None;
        }
        let is_due = |uid: &str| self.pods.get(uid).is_some_and(|refused| now >= refused.next);
        let node = stranded.iter().find(|(uid, _)| is_due(uid)).map(|(_, one)| one.node.clone())?;
        self.touched = Some(now);
        for (uid, _) in stranded {
            if let Some(refused) = self.pods.get_mut(uid) {
                let pause = Millis(AGAIN.0 << refused.nudges.min(20)).min(LONGEST);
                (refused.nudges, refused.next) = (refused.nudges + 1, now + pause);
            }
        }
        Some(node)
    }

    fn forget_kinds(&mut self) {
        if self.pods.is_empty() {
            self.kinds.clear();
        }
    }
}

impl Kind {
    fn new(ask: Ask, snapshot: &ExtenderSnapshot, now: Timestamp) -> Self {
        let mut kind = Self { ask, refused: Vec::new(), opened: BTreeMap::new() };
        kind.refused = (0..snapshot.node_numbers())
            .map(|number| kind.refuses(snapshot, number, now))
            .collect();
        kind
    }

    /// Nodes nobody knows are refused in strict mode alone.
    fn refuses(&self, snapshot: &ExtenderSnapshot, number: usize, now: Timestamp) -> bool {
        match snapshot.view_at(number) {
            None => snapshot.policy.is_strict && !self.ask.is_exempt,
            Some(node) => matches!(
                verdict(&self.ask, node, &snapshot.policy, now),
                Verdict::Reject { class: Rejection::Unresolvable | Rejection::Resolvable, .. }
            ),
        }
    }

    fn fits(&self, snapshot: &ExtenderSnapshot, number: usize) -> bool {
        let node = snapshot.view_at(number);
        // How many devices claims have taken is not known here.
        let fits = |node: &NodeView| node.has_slices || node.room.fits(&self.ask.part);
        node.is_some_and(|node| node.is_gpu && fits(node))
    }

    /// A node that has opened since this answer, long enough ago.
    fn missed(
        &self,
        snapshot: &ExtenderSnapshot,
        generation: u64,
        at: Timestamp,
        now: Timestamp,
    ) -> Option<usize> {
        let is_missed = |opened: &Opened| {
            let is_later = opened.generation.map_or(opened.at > at, |own| own > generation);
            is_later && now - opened.seen >= GRACE
        };
        let opened = self.opened.iter().filter(|(_, opened)| is_missed(opened));
        let mut numbers = opened.map(|(&number, _)| number);
        numbers.find(|&number| self.fits(snapshot, number))
    }

    /// A node that is open, and has been for long enough.
    fn open(&self, snapshot: &ExtenderSnapshot, now: Timestamp) -> Option<usize> {
        let is_new = |number: usize| {
            let opened = self.opened.get(&number);
            opened.is_some_and(|opened| now - opened.seen < TOLD_GRACE)
        };
        let refused = self.refused.iter().enumerate().take(snapshot.node_numbers());
        let mut open = refused.filter(|(number, refused)| !**refused && !is_new(*number));
        open.find(|(number, _)| self.fits(snapshot, *number)).map(|(number, _)| number)
    }

    /// `news`: numbers of nodes that may have opened or closed, and whether that is because they are not as they were.
    fn follow(&mut self, now: Timestamp, after: &ExtenderSnapshot, news: &[(usize, bool)]) {
        let absent = after.policy.is_strict && !self.ask.is_exempt;
        self.refused.resize(after.node_numbers(), absent);
        for &(number, is_new) in news {
            let held = after.view_at(number).and_then(|node| node.held);
            let refuses = self.refuses(after, number, now);
            let was_refused = std::mem::replace(&mut self.refused[number], refuses);
            if refuses {
                self.opened.remove(&number);
            } else if was_refused {
                let generation = is_new.then_some(after.generation);
                let at = held.map_or(now, |held| held.until.min(now));
                self.opened.insert(number, Opened { seen: now, generation, at });
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! From the body of a request to the body of its answer. Reads the snapshot, writes nothing.

use super::{
    facts::seen,
    wire::{
        self, About, ByNode, HasUid, PreemptionArgs, Request, Sent, Victims,
        told::{self, Told},
    },
};
use crate::{
    extender::{Ask, ExtenderSnapshot, Filtered, Seen, explain, filter, preempt, prioritize},
    model::object::Pod,
    time::Timestamp,
};
use rayon::prelude::*;
use serde_json::json;
use std::{collections::BTreeMap, sync::Once};

pub use super::wire::Unreadable;

fn ask_of(pod: &Pod, snapshot: &ExtenderSnapshot) -> Ask {
    Ask::new(pod, snapshot.namespace(&pod.meta.namespace), &snapshot.policy)
}

/// The snapshot as it would be with these nodes.
fn suppose(snapshot: &ExtenderSnapshot, nodes: &[Sent<'_>]) -> ExtenderSnapshot {
    let seen: Vec<Seen<'_>> =
        nodes.par_iter().map(|sent| seen(&sent.node, Vec::new(), None)).collect();
    let mut supposed = snapshot.clone();
    supposed.suppose_nodes(&seen);
    supposed
}

fn names<'a>(nodes: &'a [Sent<'_>]) -> impl Iterator<Item = &'a str> {
    nodes.iter().map(|sent| sent.node.meta.name.as_str())
}

/// Simulations send nodes that do not exist. Whoever sends those of the cluster is a scheduler that is told to, and
/// takes every node for empty in its own scores (kubernetes #141781). Said once.
fn warn_of_known(snapshot: &ExtenderSnapshot, nodes: &[Sent<'_>]) {
    static SAID: Once = Once::new();
    if !SAID.is_completed() && names(nodes).any(|name| snapshot.find(name).is_some()) {
        SAID.call_once(|| {
            let what = "a scheduler sends whole Nodes: its own scores are wrong and it is slow";
            tracing::warn!("{what}; set nodeCacheCapable: true in its configuration");
        });
    }
}

/// Answers `filter` in the form the request has. `note` is told the uid of the pod, what it asks and the verdicts about nodes by
/// name; about nodes in full, which need not exist, nobody is told.
///
/// # Errors
/// [`Unreadable`].
pub fn filter_told(
    body: &[u8],
    snapshot: &ExtenderSnapshot,
    now: Timestamp,
    note: impl FnOnce(String, Ask, &Filtered<'_>),
) -> Result<Told, Unreadable> {
    let Request { pod, about } = wire::request(body)?;
    let ask = ask_of(&pod, snapshot);
    Ok(match &about {
        About::Names(names) => {
            let (names, quote) = (names.asked(), names.quote());
            let filtered = filter(snapshot, &ask, names.iter().copied(), now);
            let is_whole = filtered.passed.len() == names.len();
            let as_sent = if is_whole { told::as_sent(body, &names) } else { None };
            let told = told::filter_names(&filtered, as_sent, quote);
            note(pod.meta.uid, ask, &filtered);
            told
        }
        About::Nodes(nodes) => {
            warn_of_known(snapshot, nodes);
            let filtered = filter(&suppose(snapshot, nodes), &ask, names(nodes), now);
            told::filter_nodes(&filtered, body, nodes)
        }
    })
}

/// The answer to `filter` in one piece, see [`filter_told`].
///
/// # Errors
/// [`Unreadable`].
pub fn filter_body(
    body: &[u8],
    snapshot: &ExtenderSnapshot,
    now: Timestamp,
    note: impl FnOnce(String, Ask, &Filtered<'_>),
) -> Result<Vec<u8>, Unreadable> {
    Ok(filter_told(body, snapshot, now, note)?.joined(body))
}

/// Answers `prioritize`.
///
/// # Errors
/// [`Unreadable`].
pub fn prioritize_body(
    body: &[u8],
    snapshot: &ExtenderSnapshot,
    now: Timestamp,
) -> Result<Vec<u8>, Unreadable> {
    let Request { pod, about } = wire::request(body)?;
    let ask = ask_of(&pod, snapshot);
    Ok(match &about {
        About::Names(given) => {
            let asked = given.asked();
            let scores = prioritize(snapshot, &ask, asked.iter().copied(), now);
            told::priorities(&scores, given.quote())
        }
        About::Nodes(nodes) => {
            let supposed = suppose(snapshot, nodes);
            told::priorities(&prioritize(&supposed, &ask, names(nodes), now), told::text)
        }
    })
}

/// Answers `preempt`.
///
/// # Errors
/// [`Unreadable`].
pub fn preempt_body(
    body: &[u8],
    snapshot: &ExtenderSnapshot,
    now: Timestamp,
) -> Result<Vec<u8>, Unreadable> {
    let args: PreemptionArgs<'_> = wire::read(body)?;
    let pod = wire::facts(args.pod.ok_or(Unreadable::NoPod)?)?;
    let ask = ask_of(&pod, snapshot);
    Ok(match (&args.meta_victims, &args.victims) {
        (Some(victims), _) => kept(snapshot, &ask, victims, now),
        (None, Some(victims)) => kept(snapshot, &ask, victims, now),
        (None, None) => told::preemption::<wire::MetaPod>(&[]),
    })
}

fn kept<'a, P: HasUid>(
    snapshot: &ExtenderSnapshot,
    ask: &Ask,
    victims: &'a ByNode<P>,
    now: Timestamp,
) -> Vec<u8> {
    let told = |(name, victims): (&'a String, &'a Option<Victims<P>>)| {
        Some((name.as_str(), victims.as_ref()?))
    };
    let all: Vec<(&str, &Victims<P>)> = victims.iter().filter_map(told).collect();
    let count = |victims: &Victims<P>| victims.pods.as_ref().map_or(0, Vec::len);
    let candidates = all.iter().map(|&(name, victims)| (name, count(victims)));
    let is_kept = preempt(snapshot, ask, candidates, now);
    let kept: Vec<_> =
        all.into_iter().zip(is_kept).filter(|(_, is_kept)| *is_kept).map(|(one, _)| one).collect();
    told::preemption(&kept)
}

/// Every check of one pod on one node, its score among all GPU nodes that would take the pod, and what that rests on;
/// `None` = no such node.
pub fn explain_node(
    pod: &Pod,
    node: &str,
    snapshot: &ExtenderSnapshot,
    now: Timestamp,
) -> Option<serde_json::Value> {
    let (_, view) = snapshot.find(node)?;
    let ask = ask_of(pod, snapshot);
    let told = explain(&ask, view, &snapshot.policy, snapshot.mix(), now);
    let checks =
        told.findings.iter().map(|one| json!({"check": one.check, "refusal": one.refusal}));
    let all = snapshot.nodes().filter(|node| node.is_gpu).map(|node| node.name.as_str());
    let passed = filter(snapshot, &ask, all, now).passed;
    let scores = prioritize(snapshot, &ask, passed.iter().copied(), now);
    let members = ask.gang.as_ref().and_then(|(gang, _)| view.gangs.get(gang)).copied();
    Some(json!({
        "pod": pod.meta.key(),
        "node": node,
        "verdict": format!("{:?}", told.verdict),
        "unchecked": told.unchecked,
        "score": scores.iter().find(|(name, _)| *name == node).map(|(_, score)| score),
        "scoredAmong": scores.len(),
        // What the score rests on beside the loss, the weightiest first.
        "standing": {
            "clique": view.clique,
            "membersOfItsGang": members.unwrap_or_default(),
            "isToGo": view.is_to_go,
            "priceMilli": view.price_milli,
            "isIdle": view.is_idle,
            // Of nodes that were ready before anybody looked nobody knows.
            "readyForMs": view.ready_since.filter(|&at| at > Timestamp::ZERO).map(|at| (now - at).0),
            "freeMilli": view.room.free_milli,
        },
        "checks": checks.collect::<Vec<_>>(),
        "lossMicroGpus": told.loss,
        "elastic": {"is": told.is_elastic, "by": told.elastic_by.word()},
    }))
}

/// How many GPU nodes would take one pod, and why the others would not.
pub fn explain_pod(pod: &Pod, snapshot: &ExtenderSnapshot, now: Timestamp) -> serde_json::Value {
    let ask = ask_of(pod, snapshot);
    let names = snapshot.nodes().filter(|node| node.is_gpu).map(|node| node.name.as_str());
    let filtered = filter(snapshot, &ask, names, now);
    let mut refusals: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, _, reason) in &filtered.rejected {
        *refusals.entry(reason).or_default() += 1;
    }
    json!({"pod": pod.meta.key(), "passed": filtered.passed.len(), "refusals": refusals})
}

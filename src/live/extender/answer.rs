//! From the body of a request to the body of its answer. Reads the snapshot, writes nothing.

use super::{
    facts::seen,
    wire::{
        self, About, HasUid, PreemptionArgs, Request, Sent, Victims,
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
use std::collections::BTreeMap;

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

fn kept<P: HasUid>(
    snapshot: &ExtenderSnapshot,
    ask: &Ask,
    victims: &BTreeMap<String, Victims<P>>,
    now: Timestamp,
) -> Vec<u8> {
    let count = |victims: &Victims<P>| victims.pods.as_ref().map_or(0, Vec::len);
    let candidates = victims.iter().map(|(name, victims)| (name.as_str(), count(victims)));
    let is_kept = preempt(snapshot, ask, candidates, now);
    let all = victims.iter().map(|(name, victims)| (name.as_str(), victims)).zip(is_kept);
    let kept: Vec<_> = all.filter(|(_, is_kept)| *is_kept).map(|(one, _)| one).collect();
    told::preemption(&kept)
}

/// Every check of one pod on one node; `None` = no such node.
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
    Some(json!({
        "pod": pod.meta.key(),
        "node": node,
        "verdict": format!("{:?}", told.verdict),
        "unchecked": told.unchecked,
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

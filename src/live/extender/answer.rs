//! From the body of a request to the body of its answer. Reads the snapshot, writes nothing.

use super::{
    facts::seen,
    wire::{self, HasUid, PreemptionArgs, Victims},
};
use crate::{
    extender::{Ask, ExtenderSnapshot, Filtered, explain, filter, preempt, prioritize},
    model::object::{Node, Pod},
    time::Timestamp,
};
use rayon::prelude::*;
use serde_json::{json, value::RawValue};
use std::collections::BTreeMap;

/// Why a request cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not the JSON it should be.
    #[error("the request cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// No pod in it.
    #[error("the request has no Pod")]
    NoPod,
    /// Neither names nor nodes.
    #[error("the request has neither NodeNames nor Nodes")]
    NoNodes,
}

/// A request about nodes that were sent in full: the snapshot as it would be with them.
struct Supposed<'a> {
    snapshot: ExtenderSnapshot,
    names: Vec<String>,
    sent: BTreeMap<String, &'a RawValue>,
}

fn ask(raw: Option<&RawValue>, snapshot: &ExtenderSnapshot) -> Result<Ask, Unreadable> {
    let pod: Pod = wire::facts(raw.ok_or(Unreadable::NoPod)?)?;
    Ok(ask_of(&pod, snapshot))
}

fn ask_of(pod: &Pod, snapshot: &ExtenderSnapshot) -> Ask {
    Ask::new(pod, snapshot.namespace(&pod.meta.namespace), &snapshot.policy)
}

fn suppose<'a>(
    snapshot: &ExtenderSnapshot,
    nodes: &[&'a RawValue],
) -> Result<Supposed<'a>, Unreadable> {
    let mut supposed = Supposed {
        snapshot: snapshot.clone(),
        names: Vec::with_capacity(nodes.len()),
        sent: BTreeMap::new(),
    };
    let read: Result<Vec<Node>, serde_json::Error> =
        nodes.par_iter().map(|raw| wire::facts(raw)).collect();
    for (node, raw) in read?.into_iter().zip(nodes) {
        supposed.snapshot.suppose_node(&seen(&node, Vec::new(), None));
        supposed.names.push(node.meta.name.clone());
        supposed.sent.insert(node.meta.name, raw);
    }
    Ok(supposed)
}

/// Answers `filter` in the form the request has. `note` is told the uid of the pod, what it asks and the verdicts about nodes by
/// name; about nodes in full, which need not exist, nobody is told.
///
/// # Errors
/// [`Unreadable`].
pub fn filter_body(
    body: &[u8],
    snapshot: &ExtenderSnapshot,
    now: Timestamp,
    note: impl FnOnce(String, Ask, &Filtered<'_>),
) -> Result<Vec<u8>, Unreadable> {
    let args = wire::args(body)?;
    let pod: Pod = wire::facts(args.pod.ok_or(Unreadable::NoPod)?)?;
    let ask = ask_of(&pod, snapshot);
    if let Some(names) = &args.names {
        let names = names.asked();
        let filtered = filter(snapshot, &ask, names.iter().copied(), now);
        let is_whole = filtered.passed.len() == names.len();
        let as_sent = if is_whole { wire::as_sent(body, &names) } else { None };
        let json = wire::filter_names(&filtered, as_sent);
        note(pod.meta.uid, ask, &filtered);
        return Ok(json);
    }
    let items = args.nodes.ok_or(Unreadable::NoNodes)?.items.unwrap_or_default();
    let supposed = suppose(snapshot, &items)?;
    let names = supposed.names.iter().map(String::as_str);
    let filtered = filter(&supposed.snapshot, &ask, names, now);
    Ok(wire::filter_nodes(&filtered, |name| supposed.sent.get(name).copied()))
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
    let args = wire::args(body)?;
    let ask = ask(args.pod, snapshot)?;
    if let Some(names) = &args.names {
        let scores = prioritize(snapshot, &ask, names.asked().iter().copied(), now);
        return Ok(wire::priorities(&scores));
    }
    let items = args.nodes.ok_or(Unreadable::NoNodes)?.items.unwrap_or_default();
    let supposed = suppose(snapshot, &items)?;
    let names = supposed.names.iter().map(String::as_str);
    Ok(wire::priorities(&prioritize(&supposed.snapshot, &ask, names, now)))
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
    let ask = ask(args.pod, snapshot)?;
    Ok(match (&args.meta_victims, &args.victims) {
        (Some(victims), _) => kept(snapshot, &ask, victims, now),
        (None, Some(victims)) => kept(snapshot, &ask, victims, now),
        (None, None) => wire::preemption::<wire::MetaPod>(&[]),
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
    wire::preemption(&kept)
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

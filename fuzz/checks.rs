//! What must be so of any answer, whatever the bytes that were asked with. Shared by the fuzz targets and by
//! `tests/extender_requests.rs`.

use prewarm::{
    extender::{ExtenderSnapshot, Policy},
    live::extender::{
        answer::{filter_body, preempt_body, prioritize_body},
        seen,
    },
    model::object::{Meta, Node, Resources},
    time::Timestamp,
};
use serde_json::Value;
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp(1_000);

/// `gpu-0` is being upgraded, `gpu-1` and `gpu-2` are ready.
pub(crate) fn snapshot() -> ExtenderSnapshot {
    let mut snapshot = ExtenderSnapshot::new(Policy::default());
    snapshot.is_synced = true;
    for nth in 0..3 {
        let extended = [("nvidia.com/gpu".to_owned(), 8)].into();
        let all = Resources { cpu_milli: 96_000, memory_bytes: 1 << 40, extended };
        let mut node = Node {
            meta: Meta { name: format!("gpu-{nth}"), ..Meta::default() },
            capacity: all.clone(),
            allocatable: all,
            ..Node::default()
        };
        if nth == 0 {
            let key = "nvidia.com/gpu-driver-upgrade-state".to_owned();
            node.meta.labels.insert(key, "drain-required".to_owned());
        }
        snapshot.set_node(&seen(&node, Vec::new(), None));
    }
    snapshot
}

fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

/// The names asked about, where the request says them in the one usual way.
fn asked(request: &Value) -> Option<Value> {
    let is_usual = request
        .as_object()?
        .keys()
        .all(|key| matches!(key.as_str(), "Pod" | "Nodes" | "NodeNames"));
    let names = request["NodeNames"].clone();
    (is_usual && strings(&names).is_some()).then_some(names)
}

/// The request as a whole. What nobody looks at may be worse than this reader allows (half a surrogate pair), and
/// nodes go back as they came: then nothing is checked.
fn whole(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

/// The same request with a space before it: not as Go writes it, so that the reader of any JSON reads it. The answer must be
/// the same. Of nodes in full it looks at more, and may refuse what the other lets pass.
fn is_answered_alike<E>(
    body: &[u8],
    answer: &[u8],
    request: &Value,
    ask: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) {
    match ask(&[b" ", body].concat()) {
        Ok(other) => assert!(answer == other, "it depends on the reader"),
        Err(_) => assert!(!request["Nodes"].is_null(), "only one reader reads it"),
    }
}

/// Every node asked about is in the answer once, and no other. `true` = it was answered.
pub(crate) fn filter(body: &[u8], snapshot: &ExtenderSnapshot) -> bool {
    let Ok(answer) = filter_body(body, snapshot, NOW, |_, _, _| {}) else { return false };
    let Some(request) = whole(body) else { return true };
    is_answered_alike(body, &answer, &request, |other| {
        filter_body(other, snapshot, NOW, |_, _, _| {})
    });
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    assert_eq!(answer["Error"], "");
    let Some(asked) = asked(&request) else { return true };
    let mut told: Vec<&str> = strings(&answer["NodeNames"]).expect("names for names");
    for key in ["FailedNodes", "FailedAndUnresolvableNodes"] {
        told.extend(answer[key].as_object().expect("a map").keys().map(String::as_str));
    }
    let once: BTreeSet<&str> = told.iter().copied().collect();
    assert_eq!(once.len(), told.len(), "a node is told of twice");
    assert_eq!(once, strings(&asked).into_iter().flatten().collect());
    true
}

/// Whole numbers from 0 to 10, one a name and in their order.
pub(crate) fn prioritize(body: &[u8], snapshot: &ExtenderSnapshot) -> bool {
    let Ok(answer) = prioritize_body(body, snapshot, NOW) else { return false };
    let Some(request) = whole(body) else { return true };
    is_answered_alike(body, &answer, &request, |other| prioritize_body(other, snapshot, NOW));
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    let scores = answer.as_array().expect("a list");
    for one in scores {
        assert!(one["Score"].as_u64().expect("a whole number") <= 10);
    }
    let Some(asked) = asked(&request) else { return true };
    let hosts: Vec<&str> = scores.iter().filter_map(|one| one["Host"].as_str()).collect();
    assert_eq!(Some(hosts), strings(&asked));
    true
}

/// Nodes of the answer were asked about, have victims, and are not such as refuse anyway.
pub(crate) fn preempt(body: &[u8], snapshot: &ExtenderSnapshot) -> bool {
    let Ok(answer) = preempt_body(body, snapshot, NOW) else { return false };
    let Some(request) = whole(body) else { return true };
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    let kept = answer["NodeNameToMetaVictims"].as_object().expect("a map");
    let keys = ["NodeNameToMetaVictims", "nodeNameToMetaVictims", "nodenametometavictims"];
    let keys =
        keys.into_iter().chain(["NodeNameToVictims", "nodeNameToVictims", "nodenametovictims"]);
    let asked: BTreeSet<&String> = keys
        .filter_map(|key| request.get(key)?.as_object())
        .flat_map(serde_json::Map::keys)
        .collect();
    for (name, victims) in kept {
        assert!(asked.contains(name), "{name} was not asked about");
        assert!(!victims["Pods"].as_array().expect("a list").is_empty());
    }
    true
}

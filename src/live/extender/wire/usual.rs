//! Requests as Go writes them: without spaces, keys in the order of its types. Each is read once, in place: names where
//! they stand, and of nodes in full only what answers look at, on all cores.
//!
//! Whatever is written otherwise, or wrong, is left to the reader of any JSON (`None` here).

use super::{About, Bare, Name, Names, Request, Sent, nothing};
use crate::{
    extender::{Asked, is_read},
    live::objects::{NodeSpec, NodeStatus, PodSpec, PodStatus},
    model::object::Strings,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::ObjectMeta;
use rayon::prelude::*;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use std::fmt;

/// Reads a filter or prioritize request.
pub(super) fn request(text: &str) -> Option<Request<'_>> {
    let (pod, rest) = value::<Bare<PodSpec, PodStatus>>(text.strip_prefix("{\"Pod\":")?)?;
    let in_full = rest.strip_prefix(",\"Nodes\":{\"metadata\":{},\"items\":[");
    let (about, rest) = if let Some(list) = in_full {
        let (nodes, rest) = nodes(list)?;
        (About::Nodes(nodes), rest.strip_prefix("},\"NodeNames\":null")?)
    } else {
        let (names, rest) = names(rest.strip_prefix(",\"Nodes\":null,\"NodeNames\":[")?)?;
        (About::Names(Names::Plain(names)), rest)
    };
    let is_end = rest.trim_end_matches([' ', '\n', '\r', '\t']) == "}";
    is_end.then(|| Request { pod: pod.facts(), about })
}

/// The object at the start of `text`, and what comes after it.
fn value<'a, T: Deserialize<'a>>(text: &'a str) -> Option<(T, &'a str)> {
    if !text.starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

/// Names up to the end of their list, and what comes after it.
fn names(list: &str) -> Option<(Vec<Asked<'_>>, &str)> {
    let mut names = Vec::new();
    if let Some(rest) = list.strip_prefix(']') {
        return Some((names, rest));
    }
    let mut rest = list.strip_prefix('"')?;
    loop {
        let asked = Asked::quoted(rest)?;
        if names.is_empty() {
            names.reserve(list.len() / (asked.name.len() + 3) + 8);
        }
        names.push(asked);
        rest = rest.get(asked.name.len() + 1..)?;
        match rest.strip_prefix(",\"") {
            Some(next) => rest = next,
            None => return Some((names, rest.strip_prefix(']')?)),
        }
    }
}

/// Where a node begins, as a rule.
const NEXT: &str = "},{\"metadata\":{";
/// Lists shorter than this are read in one go.
const SHORT: usize = 1 << 18;

/// Nodes up to the end of their list, and what comes after it.
///
/// The list is cut into pieces where nodes seem to begin. They do if each piece ends with a node: then the next one
/// begins with one. If not, the guess was wrong, and so is nothing that was read: it is dropped.
fn nodes(list: &str) -> Option<(Vec<Sent<'_>>, &str)> {
    if let Some(rest) = list.strip_prefix(']') {
        return Some((Vec::new(), rest));
    }
    let pieces = pieces(list);
    let read: Option<Vec<_>> = pieces.par_iter().map(|piece| some_nodes(piece)).collect();
    let read = read?;
    let (_, end) = read.last()?;
    let rest = end.strip_prefix(']')?;
    let are_whole = read.iter().rev().skip(1).all(|(_, rest)| rest.is_empty());
    let nodes = || read.into_iter().flat_map(|(nodes, _)| nodes).collect();
    are_whole.then(|| (nodes(), rest))
}

/// The list in pieces, without the commas between them.
fn pieces(list: &str) -> Vec<&str> {
    let count = if list.len() < SHORT { 1 } else { 4 * rayon::current_num_threads() };
    let (mut pieces, mut start) = (Vec::with_capacity(count), 0);
    for nth in 1..count {
        let from = list.floor_char_boundary(nth * (list.len() / count)).max(start);
        let Some(at) = list[from..].find(NEXT) else { break };
        pieces.push(&list[start..=from + at]);
        start = from + at + 2;
    }
    pieces.push(&list[start..]);
    pieces
}

/// Nodes with commas between them, and what comes after the last.
fn some_nodes(mut text: &str) -> Option<(Vec<Sent<'_>>, &str)> {
    let mut nodes = Vec::new();
    loop {
        let (node, rest) = value::<Lean>(text)?;
        let json = text.get(..text.len() - rest.len())?;
        nodes.push(Sent { node: node.bare().facts(), json });
        match rest.strip_prefix(',') {
            Some(next) => text = next,
            None => return Some((nodes, rest)),
        }
    }
}

/// What is read of a Node.
#[derive(Deserialize)]
struct Lean {
    #[serde(default)]
    metadata: LeanMeta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default = "nothing")]
    status: Option<NodeStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LeanMeta {
    name: Option<String>,
    deletion_timestamp: Option<Time>,
    labels: Option<Kept>,
    annotations: Option<Kept>,
}

impl Lean {
    fn bare(self) -> Bare<NodeSpec, NodeStatus> {
        let Self { metadata, spec, status } = self;
        let LeanMeta { name, deletion_timestamp, labels, annotations } = metadata;
        let kept = |kept: Option<Kept>| kept.map(|Kept(strings)| strings);
        let (labels, annotations) = (kept(labels), kept(annotations));
        let metadata =
            ObjectMeta { name, deletion_timestamp, labels, annotations, ..ObjectMeta::default() };
        Bare { metadata, spec, status }
    }
}

/// Of labels or annotations those that answers look at.
struct Kept(Strings);

struct KeptVisitor;

impl<'de> Visitor<'de> for KeptVisitor {
    type Value = Kept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kept, A::Error> {
        let mut kept = Strings::new();
        while let Some((Name(key), Name(value))) = map.next_entry()? {
            if is_read(&key) {
                kept.insert(key.into_owned(), value.into_owned());
            }
        }
        Ok(Kept(kept))
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeptVisitor)
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    /// A list longer than [`SHORT`].
    fn list(other: &str) -> String {
        let node = |nth: usize| {
            let images = "x".repeat(1_000 + nth % 7);
            format!(
                r#"{{"metadata":{{"name":"n-{nth}","labels":{{"a":"\"}},{{","nvidia.com/gpu.memory":"81920"}}}},"status":{{"images":["{images}"]}}{other}}}"#
            )
        };
        (0..500).map(node).collect::<Vec<_>>().join(",")
    }

    fn in_full(list: &str) -> String {
        format!(r#"{{"Pod":{{}},"Nodes":{{"metadata":{{}},"items":[{list}]}},"NodeNames":null}}"#)
    }

    #[test]
    fn pieces_are_read_as_one_list() {
        let list = list("");
        assert!(list.len() > SHORT);
        let text = in_full(&list);
        let Request { about: About::Nodes(nodes), .. } = request(&text).unwrap() else { panic!() };
        let read: Vec<String> = nodes.iter().map(|sent| sent.json.to_owned()).collect();
        assert_eq!(read.join(","), list);
        for (nth, sent) in nodes.iter().enumerate() {
            assert_eq!(sent.node.meta.name, format!("n-{nth}"));
            let labels: Vec<&str> = sent.node.meta.labels.keys().map(String::as_str).collect();
            assert_eq!(labels, ["nvidia.com/gpu.memory"]);
        }
    }

    /// What looks like the start of a node inside of one: a piece that ends in the middle is noticed.
    #[test]
    fn a_wrong_guess_is_noticed() {
        let list = list(r#","other":[{"a":1},{"metadata":{"b":2}}]"#);
        let (start, end) = list.split_at(list.rfind(NEXT).unwrap() + 1);
        assert!(some_nodes(start).is_none_or(|(_, rest)| !rest.is_empty()));
        assert!(some_nodes(&end[1..]).is_none_or(|(_, rest)| !rest.is_empty()));
        let text = in_full(&list);
        if let Some(Request { about: About::Nodes(nodes), .. }) = request(&text) {
            assert_eq!(nodes.len(), 500);
        }
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_others() {
        let usual = r#"{"Pod":{},"Nodes":null,"NodeNames":["a","b-1.c"]}"#;
        assert!(request(usual).is_some());
        assert!(request(&format!("{usual}\n")).is_some());
        assert!(request(r#"{"Pod":{},"Nodes":null,"NodeNames":[]}"#).is_some());
        for other in [
            r#"{"Pod":null,"Nodes":null,"NodeNames":["a"]}"#,
            r#"{"Pod": {},"Nodes":null,"NodeNames":["a"]}"#,
            r#"{"Pod":{},"Nodes":null,"NodeNames":["a", "b"]}"#,
            r#"{"Pod":{},"Nodes":null,"NodeNames":["a\u0062"]}"#,
            r#"{"Pod":{},"Nodes":null,"NodeNames":["a","b]}"#,
            r#"{"Pod":{},"Nodes":null,"NodeNames":["a",]}"#,
            r#"{"Pod":{},"Nodes":null,"NodeNames":["a"],"Pod":{}}"#,
            r#"{"Pod":{},"Nodes":null,"NodeNames":["a"]}}"#,
            r#"{"Pod":{},"Nodes":{"metadata":{},"items":[{}]},"NodeNames":["a"]}"#,
            r#"{"Pod":{},"Nodes":{"metadata":{},"items":[{},]},"NodeNames":null}"#,
            r#"{"Pod":{},"Nodes":{"metadata":{},"items":[{},1]},"NodeNames":null}"#,
            r#"{"Pod":{},"Nodes":{"metadata":{},"items":[{}"#,
        ] {
            assert!(request(other).is_none(), "{other}");
        }
    }
}

//! Requests and answers as kube-scheduler writes and reads them.
//!
//! The Go types have no JSON tags, so keys are capitalised; older and foreign clients write them otherwise, Go
//! does not mind, and neither do we. Answers are written by hand into one buffer: an answer may name 5,000
//! nodes. Source: kube-scheduler `extender/v1/types.go`.

use crate::{
    extender::{Asked, Filtered, Rejection},
    live::objects::{CapiKeys, Facts},
};
use kube::core::{Object, ObjectMeta};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// `ExtenderArgs`: a filter or prioritize request.
#[derive(Debug, Deserialize)]
pub struct Args<'a> {
    /// The pod.
    #[serde(rename = "Pod", alias = "pod", borrow, default)]
    pub pod: Option<&'a RawValue>,
    /// Nodes in full (`nodeCacheCapable: false`).
    #[serde(rename = "Nodes", alias = "nodes", borrow, default)]
    pub nodes: Option<NodeList<'a>>,
    /// Names (`nodeCacheCapable: true`).
    #[serde(rename = "NodeNames", alias = "nodeNames", alias = "nodenames", borrow, default)]
    pub names: Option<Names<'a>>,
}

/// A `NodeList`, of which only the items are read.
#[derive(Debug, Deserialize)]
pub struct NodeList<'a> {
    /// The nodes.
    #[serde(alias = "Items", borrow, default)]
    pub items: Option<Vec<&'a RawValue>>,
}

/// Names.
#[derive(Debug)]
pub enum Names<'a> {
    /// As they stand in the request.
    Plain(Vec<Asked<'a>>),
    /// In a request that is not written as Go writes it, or with something escaped in them.
    Other(Vec<Cow<'a, str>>),
}

impl Names<'_> {
    /// They, in their order.
    pub fn asked(&self) -> Cow<'_, [Asked<'_>]> {
        match self {
            Self::Plain(names) => Cow::Borrowed(names),
            Self::Other(names) => names.iter().map(|name| Asked::from(&**name)).collect(),
        }
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Names<'de>, A::Error> {
        let mut names = Vec::with_capacity(seq.size_hint().unwrap_or(512));
        while let Some(Name(name)) = seq.next_element()? {
            names.push(name);
        }
        Ok(Names::Other(names))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Names<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(NamesVisitor)
    }
}

struct Name<'a>(Cow<'a, str>);

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

/// `ExtenderPreemptionArgs`.
#[derive(Debug, Deserialize)]
pub struct PreemptionArgs<'a> {
    /// The pod.
    #[serde(rename = "Pod", alias = "pod", borrow, default)]
    pub pod: Option<&'a RawValue>,
    /// Victims in full (`nodeCacheCapable: false`).
    #[serde(
        rename = "NodeNameToVictims",
        alias = "nodeNameToVictims",
        alias = "nodenametovictims",
        default
    )]
    pub victims: Option<BTreeMap<String, Victims<FullPod>>>,
    /// Victims by uid.
    #[serde(
        rename = "NodeNameToMetaVictims",
        alias = "nodeNameToMetaVictims",
        alias = "nodenametometavictims",
        default
    )]
    pub meta_victims: Option<BTreeMap<String, Victims<MetaPod>>>,
}

/// `Victims`, `MetaVictims`.
#[derive(Debug, Deserialize)]
pub struct Victims<P> {
    /// Pods to go.
    #[serde(rename = "Pods", alias = "pods", default = "none")]
    pub pods: Option<Vec<P>>,
    /// Budgets that would be violated.
    #[serde(
        rename = "NumPDBViolations",
        alias = "numPDBViolations",
        alias = "numpdbviolations",
        default
    )]
    pub violations: i64,
}

fn none<P>() -> Option<Vec<P>> {
    None
}

/// A pod of which only the uid is told.
#[derive(Debug, Deserialize)]
pub struct MetaPod {
    /// Its uid.
    #[serde(rename = "UID", alias = "uid", default)]
    pub uid: String,
}

/// A pod of which only the uid is read.
#[derive(Debug, Deserialize)]
pub struct FullPod {
    #[serde(default)]
    metadata: ObjectMeta,
}

/// Whatever has a uid.
pub trait HasUid {
    /// It.
    fn uid(&self) -> &str;
}

impl HasUid for MetaPod {
    fn uid(&self) -> &str {
        &self.uid
    }
}

impl HasUid for FullPod {
    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }
}

/// An object without `apiVersion` and `kind`, as schedulers send it.
#[derive(Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de> + Default, T: Deserialize<'de>"))]
struct Bare<S, T> {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: S,
    #[serde(default = "nothing")]
    status: Option<T>,
}

fn nothing<T>() -> Option<T> {
    None
}

/// Reads the body of a request. Looking for invalid UTF-8 once is quicker than in every name.
///
/// # Errors
/// If it is not what it should be.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    match str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    }
}

/// The facts of an object inside a request.
///
/// # Errors
/// If it is no such object.
pub fn facts<T: Facts>(raw: &RawValue) -> Result<T, serde_json::Error>
where
    T::Spec: Default,
{
    let bare: Bare<T::Spec, T::Status> = serde_json::from_str(raw.get())?;
    let Bare { metadata, spec, status } = bare;
    Ok(T::facts(Object { types: None, metadata, spec, status }, &CapiKeys::default()))
}

/// `ExtenderArgs`. 5,000 names are most of a request, so requests as Go writes them, which is all, are read by a
/// reader that knows what comes.
///
/// # Errors
/// If it is not what it should be.
pub fn args(body: &[u8]) -> Result<Args<'_>, serde_json::Error> {
    match str::from_utf8(body).ok().and_then(as_go_writes) {
        Some(args) => Ok(args),
        None => read(body),
    }
}

/// A request with names, without spaces, and its keys in this order; `None`: another, or one with mistakes.
fn as_go_writes(text: &str) -> Option<Args<'_>> {
    let text = text.strip_prefix("{\"Pod\":")?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let pod = values.next()?.ok().filter(|pod| pod.get() != "null")?;
    let rest = text.get(values.byte_offset()..)?;
    let rest = rest.strip_prefix(",\"Nodes\":null,\"NodeNames\":[")?;
    let (names, rest) = plain_names(rest)?;
    let is_end = rest.trim_end_matches([' ', '\n', '\r', '\t']) == "}";
    is_end.then_some(Args { pod: Some(pod), nodes: None, names: Some(Names::Plain(names)) })
}

/// Names up to the end of their list, and what comes after it.
fn plain_names(list: &str) -> Option<(Vec<Asked<'_>>, &str)> {
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

/// The names as they were sent: what is between the brackets of the list. `None`: they are not in the body, something
/// was escaped.
pub fn as_sent<'b>(body: &'b [u8], names: &[Asked<'_>]) -> Option<&'b [u8]> {
    let start = |asked: &Asked<'_>| asked.name.as_ptr().addr().checked_sub(body.as_ptr().addr());
    let (first, last) = (names.first()?, names.last()?);
    // With the quotes around them.
    body.get(start(first)?.checked_sub(1)?..=start(last)?.checked_add(last.name.len())?)
}

/// `ExtenderFilterResult` with names. `as_sent`: see [`as_sent`], if all names asked about pass, each once.
pub fn filter_names(filtered: &Filtered<'_>, as_sent: Option<&[u8]>) -> Vec<u8> {
    let size = as_sent.map_or(48 * filtered.passed.len(), <[u8]>::len);
    let mut json = Vec::with_capacity(160 + size + 96 * filtered.rejected.len());
    json.extend_from_slice(b"{\"Nodes\":null,\"NodeNames\":");
    if let Some(names) = as_sent {
        json.push(b'[');
        json.extend_from_slice(names);
        json.push(b']');
    } else {
        list(&mut json, filtered.passed.iter(), |json, name| text(json, name));
    }
    failed(&mut json, filtered);
    json
}

/// `ExtenderFilterResult` with nodes as they came.
pub fn filter_nodes<'n>(
    filtered: &Filtered<'_>,
    node: impl Fn(&str) -> Option<&'n RawValue>,
) -> Vec<u8> {
    let nodes: Vec<&str> =
        filtered.passed.iter().filter_map(|name| node(name)).map(RawValue::get).collect();
    let size = nodes.iter().map(|node| node.len() + 1).sum::<usize>();
    let mut json = Vec::with_capacity(128 + size + 96 * filtered.rejected.len());
    json.extend_from_slice(b"{\"Nodes\":{\"metadata\":{},\"items\":");
    list(&mut json, nodes.iter(), |json, node| json.extend_from_slice(node.as_bytes()));
    json.extend_from_slice(b"},\"NodeNames\":null");
    failed(&mut json, filtered);
    json
}

fn failed(json: &mut Vec<u8>, filtered: &Filtered<'_>) {
    for (key, class) in [
        (&b",\"FailedNodes\":{"[..], Rejection::Resolvable),
        (b",\"FailedAndUnresolvableNodes\":{", Rejection::Unresolvable),
    ] {
        json.extend_from_slice(key);
        let mut separator = &b""[..];
        for (name, _, reason) in filtered.rejected.iter().filter(|(_, one, _)| *one == class) {
            json.extend_from_slice(separator);
            text(json, name);
            json.push(b':');
            text(json, reason);
            separator = b",";
        }
        json.push(b'}');
    }
    json.extend_from_slice(b",\"Error\":\"\"}");
}

/// `HostPriorityList`.
pub fn priorities(scores: &[(&str, u8)]) -> Vec<u8> {
    let mut json = Vec::with_capacity(2 + 72 * scores.len());
    list(&mut json, scores.iter(), |json, (name, score)| {
        json.extend_from_slice(b"{\"Host\":");
        text(json, name);
        json.extend_from_slice(b",\"Score\":");
        if *score > 9 {
            json.push(b'0' + score / 10);
        }
        json.push(b'0' + score % 10);
        json.push(b'}');
    });
    json
}

/// `ExtenderPreemptionResult`, always by uid.
pub fn preemption<P: HasUid>(kept: &[(&str, &Victims<P>)]) -> Vec<u8> {
    let mut json = b"{\"NodeNameToMetaVictims\":{".to_vec();
    let mut separator = &b""[..];
    for (name, victims) in kept {
        json.extend_from_slice(separator);
        text(&mut json, name);
        json.extend_from_slice(b":{\"Pods\":");
        list(&mut json, victims.pods.iter().flatten(), |json, pod| {
            json.extend_from_slice(b"{\"UID\":");
            text(json, pod.uid());
            json.push(b'}');
        });
        json.extend_from_slice(b",\"NumPDBViolations\":");
        json.extend_from_slice(victims.violations.to_string().as_bytes());
        json.push(b'}');
        separator = b",";
    }
    json.extend_from_slice(b"}}");
    json
}

fn list<T>(json: &mut Vec<u8>, items: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    json.push(b'[');
    for (nth, item) in items.enumerate() {
        if nth > 0 {
            json.push(b',');
        }
        write(json, item);
    }
    json.push(b']');
}

/// Nothing in it needs an escape. Looks at all bytes, which is many at once, and not one by one up to the first.
fn is_plain(text: &str) -> bool {
    let is_bad =
        |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    text.bytes().fold(0, |bad, byte| bad | is_bad(byte)) == 0
}

/// A JSON string.
fn text(json: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        json.reserve(text.len() + 2);
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    } else {
        // Writing to memory does not fail.
        serde_json::to_writer(json, text).ok();
    }
}

//! Requests and answers as kube-scheduler writes and reads them.
//!
//! The Go types have no JSON tags, so keys are capitalised; older and foreign clients write them otherwise, Go
//! does not mind, and neither do we. Source: kube-scheduler `extender/v1/types.go`.

pub mod told;
mod usual;

use crate::{
    extender::Asked,
    live::objects::{CapiKeys, Facts},
    model::object::{Node, Pod},
};
use kube::core::{Object, ObjectMeta};
use rayon::prelude::*;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt};

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

/// A filter or prioritize request.
#[derive(Debug)]
pub struct Request<'a> {
    /// The pod.
    pub pod: Pod,
    /// What is asked about.
    pub about: About<'a>,
}

/// Nodes that are asked about.
#[derive(Debug)]
pub enum About<'a> {
    /// By name (`nodeCacheCapable: true`).
    Names(Names<'a>),
    /// In full (`nodeCacheCapable: false`).
    Nodes(Vec<Sent<'a>>),
}

/// A node that was sent in full.
#[derive(Debug)]
pub struct Sent<'a> {
    /// What it tells: at least what an answer looks at.
    pub node: Node,
    /// As it was sent.
    pub json: &'a str,
}

/// Reads a filter or prioritize request. Requests as Go writes them, which is all, are read by a reader that knows
/// what comes.
///
/// # Errors
/// [`Unreadable`].
pub fn request(body: &[u8]) -> Result<Request<'_>, Unreadable> {
    if let Some(request) = str::from_utf8(body).ok().and_then(usual::request) {
        return Ok(request);
    }
    let args: Args<'_> = read(body)?;
    let pod = facts(args.pod.ok_or(Unreadable::NoPod)?)?;
    if let Some(names) = args.names {
        return Ok(Request { pod, about: About::Names(names) });
    }
    let items = args.nodes.ok_or(Unreadable::NoNodes)?.items.unwrap_or_default();
    let nodes: Result<Vec<_>, serde_json::Error> = items.par_iter().map(|raw| sent(raw)).collect();
    Ok(Request { pod, about: About::Nodes(nodes?) })
}

fn sent(raw: &RawValue) -> Result<Sent<'_>, serde_json::Error> {
    Ok(Sent { node: facts(raw)?, json: raw.get() })
}

/// `ExtenderArgs`: a filter or prioritize request, however it is written.
#[derive(Deserialize)]
struct Args<'a> {
    #[serde(rename = "Pod", alias = "pod", borrow, default)]
    pod: Option<&'a RawValue>,
    #[serde(rename = "Nodes", alias = "nodes", borrow, default)]
    nodes: Option<NodeList<'a>>,
    #[serde(rename = "NodeNames", alias = "nodeNames", alias = "nodenames", borrow, default)]
    names: Option<Names<'a>>,
}

/// A `NodeList`, of which only the items are read.
#[derive(Deserialize)]
struct NodeList<'a> {
    #[serde(alias = "Items", borrow, default)]
    items: Option<Vec<&'a RawValue>>,
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

    /// What writes them.
    pub fn quote(&self) -> told::Quote {
        match self {
            Self::Plain(_) => told::plain,
            Self::Other(_) => told::text,
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
    pub victims: Option<ByNode<FullPod>>,
    /// Victims by uid.
    #[serde(
        rename = "NodeNameToMetaVictims",
        alias = "nodeNameToMetaVictims",
        alias = "nodenametometavictims",
        default
    )]
    pub meta_victims: Option<ByNode<MetaPod>>,
}

/// Victims by node; `None` = `null`, which Go writes for none.
pub type ByNode<P> = BTreeMap<String, Option<Victims<P>>>;

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
    Ok(bare.facts())
}

impl<S: Clone, U: Clone> Bare<S, U> {
    fn facts<T: Facts<Spec = S, Status = U>>(self) -> T {
        let Self { metadata, spec, status } = self;
        T::facts(Object { types: None, metadata, spec, status }, &CapiKeys::default())
    }
}

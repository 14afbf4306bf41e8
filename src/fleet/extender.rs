//! Plays the part of kube-scheduler that asks an HTTP extender: the same bodies, headers and rules.
//!
//! Of the nodes on which a pod fits the extender drops some and scores the rest; the best takes the pod. A pod
//! that was refused everywhere is not asked about again before a Node has changed in a way that counts (labels,
//! annotations, taints, allocatable, the status of a condition) or the pods of the cluster have.
//!
//! Source: kube-scheduler 1.36 `extender.go`, `schedule_one.go`, `framework/types.go`; recorded requests.

use super::{
    State,
    act::Act,
    objects::{self, at, created, name, place, rfc3339},
    scheduler::{self, gpus},
    view::Seen,
};
use crate::time::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// `httpTimeout` of the recommended configuration.
const TIMEOUT: Duration = Duration::from_millis(200);

/// An extender as the scheduler knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtenderAt {
    /// Host and port.
    pub address: String,
    /// Without an answer pods are placed without it (`ignorable`).
    pub is_ignorable: bool,
}

/// What the scheduler remembers of its questions.
#[derive(Debug)]
pub struct Asking {
    at: ExtenderAt,
    connection: Option<TcpStream>,
    /// By uid of a refused pod: what the cluster looked like.
    parked: BTreeMap<String, u64>,
}

impl Asking {
    /// Nobody has been asked.
    pub const fn new(at: ExtenderAt) -> Self {
        Self { at, connection: None, parked: BTreeMap::new() }
    }

    /// What the scheduler does next. `note`: takes the time a pod has waited.
    pub async fn step(
        &mut self,
        now: Timestamp,
        seen: &Seen,
        note: impl Fn(&mut dyn FnMut(&mut State)),
    ) -> Vec<Act> {
        let (mut rooms, waiting) = scheduler::rooms_and_waiting(seen);
        let looks = looks_of(seen);
        let uids = |pod: &&DynamicObject| pod.metadata.uid.clone().unwrap_or_default();
        let known: Vec<String> = waiting.iter().map(uids).collect();
        self.parked.retain(|uid, _| known.contains(uid));
        let mut acts = Vec::new();
        for (pod, uid) in waiting.into_iter().zip(known) {
            if self.parked.get(&uid) == Some(&looks) {
                continue;
            }
            let wanted = gpus(pod);
            let fits: Vec<String> = rooms
                .iter()
                .filter(|room| room.fits(pod, &wanted))
                .map(|room| name(room.node).to_owned())
                .collect();
            let count = rooms.len();
            let verdict = if fits.is_empty() {
                Ok(Err(String::new()))
            } else {
                self.choose(pod, &fits).await
            };
            match verdict {
                Ok(Ok(chosen)) => {
                    if let Some(room) = rooms.iter_mut().find(|room| name(room.node) == chosen) {
                        room.take(&wanted);
                    }
                    note(&mut |state| {
                        state.waits.entry(uid.clone()).or_insert_with(|| now - created(pod));
                    });
                    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
                    acts.push(Act::Bind(namespace, name(pod).to_owned(), chosen));
                }
                Ok(Err(reasons)) => {
                    self.parked.insert(uid, looks);
                    acts.extend(unschedulable(now, pod, count, &wanted, &reasons));
                }
                // Tried again at the next step.
                Err(error) => tracing::debug!(%error, "the extender did not answer"),
            }
        }
        acts
    }

    /// The node for a pod, or the reasons why there is none.
    async fn choose(
        &mut self,
        pod: &DynamicObject,
        fits: &[String],
    ) -> io::Result<Result<String, String>> {
        let answer = match self.post("/v1/filter", pod, fits).await {
            Ok(answer) => answer,
            Err(_) if self.at.is_ignorable => json!({"NodeNames": fits}),
            Err(error) => return Err(error),
        };
        let passed: Vec<String> = answer["NodeNames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect();
        if let Some(foreign) = passed.iter().find(|name| !fits.contains(name)) {
            return Err(io::Error::other(format!("{foreign} was not asked about")));
        }
        if passed.len() <= 1 {
            return Ok(passed.into_iter().next().ok_or_else(|| histogram(&answer)));
        }
        let scores = self.post("/v1/prioritize", pod, &passed).await.unwrap_or_default();
        let score = |node: &String| {
            let of = |one: &&Value| one["Host"].as_str() == Some(node);
            let found = scores.as_array().into_iter().flatten().find(of);
            found.and_then(|one| one["Score"].as_i64()).unwrap_or_default()
        };
        // Of equal nodes the first by name, where kube-scheduler draws lots.
        let best = passed.iter().rev().max_by_key(|node| score(node)).cloned();
        Ok(best.ok_or_else(String::new))
    }

    async fn post(
        &mut self,
        path: &str,
        pod: &DynamicObject,
        names: &[String],
    ) -> io::Result<Value> {
        let host = &self.at.address;
        let request = request(host, path, pod, names);
        let mut socket = match self.connection.take() {
            Some(socket) => socket,
            None => TcpStream::connect(host.as_str()).await?,
        };
        let answered = tokio::time::timeout(TIMEOUT, exchange(&mut socket, &request)).await;
        let (status, answer) = answered.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if status != 200 {
            return Err(io::Error::other(format!("status {status}")));
        }
        self.connection = Some(socket);
        serde_json::from_slice(&answer).map_err(io::Error::other)
    }
}

/// A request as kube-scheduler sends it (`nodeCacheCapable: true`).
pub fn request(host: &str, path: &str, pod: &DynamicObject, names: &[String]) -> String {
    let pod = json!({
        "metadata": pod.metadata, "spec": pod.data["spec"], "status": pod.data["status"],
    });
    let body = json!({"Pod": pod, "Nodes": null, "NodeNames": names}).to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {length}\r\n\
         Content-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n{body}"
    )
}

async fn exchange(socket: &mut TcpStream, request: &str) -> io::Result<(u16, Vec<u8>)> {
    socket.write_all(request.as_bytes()).await?;
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some((status, start, length)) = head_of(&read)
            && read.len() >= start + length
        {
            return Ok((status, read.split_off(start)));
        }
        match socket.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Status, where the body begins, its length.
fn head_of(read: &[u8]) -> Option<(u16, usize, usize)> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = str::from_utf8(&read[..end]).ok()?.to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some((status, end + 4, length.trim().parse().ok()?))
}

/// `3 GPU driver not ready, 1 pod requests no GPU`.
fn histogram(answer: &Value) -> String {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for key in ["FailedNodes", "FailedAndUnresolvableNodes"] {
        for reason in answer[key].as_object().into_iter().flat_map(|map| map.values()) {
            *counts.entry(reason.as_str().unwrap_or_default()).or_default() += 1;
        }
    }
    let parts: Vec<String> =
        counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.join(", ")
}

fn unschedulable(
    now: Timestamp,
    pod: &DynamicObject,
    nodes: usize,
    wanted: &BTreeMap<String, u64>,
    reasons: &str,
) -> Option<Act> {
    let resource = wanted.keys().next().map_or("cpu", String::as_str);
    let reasons = if reasons.is_empty() {
        format!("{nodes} Insufficient {resource}")
    } else {
        reasons.to_owned()
    };
    let message = format!("0/{nodes} nodes are available: {reasons}.");
    let shown = at(pod, "/status/conditions").and_then(Value::as_array);
    let is_shown = shown.into_iter().flatten().any(|one| one["message"] == json!(message));
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": rfc3339(now),
    });
    let status = json!({ "phase": "Pending", "conditions": [condition] });
    (!is_shown).then(|| Act::MergeStatus(place(objects::pods(), pod), status))
}

/// What makes the scheduler look again: the nodes as far as it minds, and which pods are on them.
fn looks_of(seen: &Seen) -> u64 {
    let mut hasher = DefaultHasher::new();
    for node in &seen.nodes {
        let meta = &node.metadata;
        (name(node), &meta.labels, &meta.annotations).hash(&mut hasher);
        for part in ["/spec", "/status/allocatable"] {
            at(node, part).map(Value::to_string).hash(&mut hasher);
        }
        let conditions = at(node, "/status/conditions").and_then(Value::as_array);
        for one in conditions.into_iter().flatten() {
            (one["type"].as_str(), one["status"].as_str()).hash(&mut hasher);
        }
    }
    for pod in seen.pods.iter().filter(|pod| scheduler::is_using(pod)) {
        (objects::key(pod), objects::text(pod, "/spec/nodeName")).hash(&mut hasher);
    }
    hasher.finish()
}

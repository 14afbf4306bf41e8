//! From a request to its response: the verbs under `/v1` and without it, `/explain`.
//!
//! Rules that Go's client makes: answers have a length and are one JSON value; everything but 200 fails the pod
//! (or, with `ignorable`, passes it).

use super::{
    answer::{self, Unreadable},
    frames::Frames,
    server::Service,
    wire::told::Told,
};
use crate::extender::{Answered, ExtenderSnapshot};
use axum::extract::Query;
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{self, HeaderValue},
};
use serde::Deserialize;
use std::{sync::Arc, time::Instant};
use tokio::{
    task::{JoinError, spawn_blocking},
    time::timeout,
};

pub(super) type Answer = Response<Frames>;

/// Bodies from this length on are read on another thread, so that other connections need not wait for them.
const LONG: usize = 1 << 20;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

fn answer(status: StatusCode, kind: HeaderValue, body: impl Into<Frames>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    answer(status, TEXT, text.into())
}

/// A verb as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Filter,
    Prioritize,
    Preempt,
}

impl Verb {
    fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/v1").unwrap_or(path) {
            "/filter" => Some(Self::Filter),
            "/prioritize" => Some(Self::Prioritize),
            "/preempt" => Some(Self::Preempt),
            _ => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Prioritize => "prioritize",
            Self::Preempt => "preempt",
        }
    }
}

/// Answers one request.
pub(super) async fn route(service: &Arc<Service>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path();
    match (request.method(), Verb::of(path), path) {
        (&Method::POST, Some(verb), _) => respond(verb, service, request.into_body()).await,
        (_, Some(_), _) => {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "POST a scheduler's request\n");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            answer
        }
        (&Method::GET, None, "/explain") => explain(service, &request),
        _ => text(StatusCode::NOT_FOUND, "filter, prioritize, preempt (or under /v1), explain\n"),
    }
}

async fn respond(verb: Verb, service: &Arc<Service>, body: Incoming) -> Answer {
    let refuse = |status: StatusCode, result: &'static str| {
        service.meters.note(verb.word(), result, None);
        text(status, result)
    };
    let settings = &service.settings;
    let body = match timeout(settings.body_within, read(body, service)).await {
        Ok(Ok(body)) => body,
        Ok(Err((status, result))) => return refuse(status, result),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "slow"),
    };
    let began = Instant::now();
    let snapshot = service.shared.load();
    if !snapshot.is_synced {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "not-synced");
    }
    let said = if body.len() < LONG {
        say(verb, service, &body, &snapshot)
    } else {
        drop(snapshot);
        match say_aside(verb, service, &body).await {
            Ok(said) => said,
            Err(_) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        }
    };
    match said {
        Ok(told) => {
            service.meters.note(verb.word(), "ok", Some(began.elapsed()));
            answer(StatusCode::OK, JSON, Frames::new(told, &body))
        }
        Err(why) => {
            service.meters.note(verb.word(), "unreadable", None);
            tracing::debug!(verb = verb.word(), %why, "a request that cannot be read");
            text(StatusCode::BAD_REQUEST, format!("{why}\n"))
        }
    }
}

/// As [`say`], on another thread.
async fn say_aside(
    verb: Verb,
    service: &Arc<Service>,
    body: &Bytes,
) -> Result<Result<Told, Unreadable>, JoinError> {
    let (service, body) = (Arc::clone(service), body.clone());
    spawn_blocking(move || say(verb, &service, &body, &service.shared.load())).await
}

fn say(
    verb: Verb,
    service: &Service,
    body: &[u8],
    snapshot: &ExtenderSnapshot,
) -> Result<Told, Unreadable> {
    let now = service.clock.now();
    match verb {
        Verb::Filter => answer::filter_told(body, snapshot, now, |uid, ask, filtered| {
            service.meters.note_filtered(filtered);
            service.answers.note(Answered {
                uid,
                ask,
                generation: snapshot.generation,
                at: now,
                has_refusals: !filtered.rejected.is_empty(),
            });
        }),
        Verb::Prioritize => answer::prioritize_body(body, snapshot, now).map(Told::from),
        Verb::Preempt => answer::preempt_body(body, snapshot, now).map(Told::from),
    }
}

/// The body as a whole. All bodies that are being read share a limit, so that many large ones cannot use up the
/// memory.
async fn read(mut body: Incoming, service: &Service) -> Result<Bytes, (StatusCode, &'static str)> {
    let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "too-large");
    let limit = service.settings.body_limit;
    let length = match body.size_hint().exact().map(usize::try_from) {
        Some(Ok(length)) if length <= limit => length,
        Some(_) => return Err(too_large),
        None => limit,
    };
    let Ok(_room) = service.bodies.try_acquire_many(kib(length)) else {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "busy"));
    };
    let mut whole: Option<Vec<u8>> = None;
    let mut first = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "broken-off"))?;
        let Ok(data) = frame.into_data() else { continue };
        match &mut whole {
            None if first.is_empty() => first = data,
            None => {
                let mut bytes = Vec::with_capacity(body.size_hint().exact().map_or(0, |rest| {
                    first.len() + data.len() + usize::try_from(rest).unwrap_or_default()
                }));
                bytes.extend_from_slice(&first);
                bytes.extend_from_slice(&data);
                whole = Some(bytes);
            }
            Some(bytes) => bytes.extend_from_slice(&data),
        }
        if whole.as_ref().map_or(first.len(), Vec::len) > limit {
            return Err(too_large);
        }
    }
    Ok(whole.map_or(first, Bytes::from))
}

/// What a body takes of [`Service::bodies`], and how much there is.
pub(super) fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

#[derive(Deserialize)]
struct About {
    pod: String,
    node: Option<String>,
}

fn explain(service: &Service, request: &Request<Incoming>) -> Answer {
    let missing = |what: String| text(StatusCode::NOT_FOUND, what);
    let Ok(Query(about)) = Query::<About>::try_from_uri(request.uri()) else {
        return text(StatusCode::BAD_REQUEST, "/explain?pod=NAMESPACE/NAME[&node=NODE]\n");
    };
    let Some(pod) = (service.pods)(&about.pod) else {
        return missing(format!("no pod {} waits for a node\n", about.pod));
    };
    let (snapshot, now) = (service.shared.load(), service.clock.now());
    let told = match &about.node {
        None => answer::explain_pod(&pod, &snapshot, now),
        Some(node) => match answer::explain_node(&pod, node, &snapshot, now) {
            Some(told) => told,
            None => return missing(format!("no node {node}\n")),
        },
    };
    answer(StatusCode::OK, JSON, Bytes::from(told.to_string()))
}

//! Connections: the verbs under `/v1` and without it, `/explain`, limits, stop.
//!
//! Rules that Go's client makes: connections are kept open without limit (it closes after 90 s and does not
//! retry a POST), answers have a length and are one JSON value, everything but 200 fails the pod.

use super::{
    answer::{self, Unreadable},
    meters::Meters,
};
use crate::{extender::ExtenderSnapshot, live::clock::Clock, model::object::Pod};
use arc_swap::ArcSwap;
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use serde::Deserialize;
use std::{
    future::Future,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

/// Bounds of the server.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Largest body in bytes. Names of 5,000 nodes are 0.2 MB, 5,000 nodes in full 73 MB.
    pub body_limit: usize,
    /// Requests answered at once; more are told 503.
    pub at_once: usize,
    /// A body must have arrived within this time.
    pub body_within: Duration,
}

impl Default for Settings {
    /// 256 MiB, 64 requests at once, 5 s (kube-scheduler itself gives up after that).
    fn default() -> Self {
        Self { body_limit: 256 << 20, at_once: 64, body_within: Duration::from_secs(5) }
    }
}

/// Finds a pod by `namespace/name`, for `/explain`.
pub type FindPod = Arc<dyn Fn(&str) -> Option<Pod> + Send + Sync>;

/// What requests are answered from.
pub struct Service {
    /// The newest snapshot.
    pub shared: Arc<ArcSwap<ExtenderSnapshot>>,
    /// The clock.
    pub clock: Clock,
    /// What is counted.
    pub meters: Meters,
    /// Pods, for `/explain`.
    pub pods: FindPod,
    settings: Settings,
    places: Semaphore,
}

impl Service {
    /// Answers from `shared`.
    pub fn new(
        shared: Arc<ArcSwap<ExtenderSnapshot>>,
        clock: Clock,
        meters: Meters,
        pods: FindPod,
        settings: Settings,
    ) -> Self {
        Self { shared, clock, meters, pods, settings, places: Semaphore::new(settings.at_once) }
    }
}

/// Serves until `stop` is done, then answers what has been asked and closes.
///
/// # Errors
/// If the socket fails.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.tap_io(|socket| {
        if let Err(why) = socket.set_nodelay(true) {
            tracing::debug!(%why, "a connection without TCP_NODELAY");
        }
    });
    axum::serve(listener, router(service)).with_graceful_shutdown(stop).await
}

/// All routes.
pub fn router(service: Arc<Service>) -> Router {
    let mut router = Router::new().route("/explain", get(explain));
    for prefix in ["", "/v1"] {
        router = router
            .route(&format!("{prefix}/filter"), post(filter))
            .route(&format!("{prefix}/prioritize"), post(prioritize))
            .route(&format!("{prefix}/preempt"), post(preempt));
    }
    router.with_state(service)
}

async fn filter(State(service): State<Arc<Service>>, body: Body) -> Response {
    respond("filter", &service, body, |body, snapshot| {
        answer::filter_body(body, snapshot, &service.meters, service.clock.now())
    })
    .await
}

async fn prioritize(State(service): State<Arc<Service>>, body: Body) -> Response {
    respond("prioritize", &service, body, |body, snapshot| {
        answer::prioritize_body(body, snapshot, service.clock.now())
    })
    .await
}

async fn preempt(State(service): State<Arc<Service>>, body: Body) -> Response {
    respond("preempt", &service, body, |body, snapshot| {
        answer::preempt_body(body, snapshot, service.clock.now())
    })
    .await
}

async fn respond(
    verb: &'static str,
    service: &Service,
    body: Body,
    answer: impl FnOnce(&[u8], &ExtenderSnapshot) -> Result<Vec<u8>, Unreadable>,
) -> Response {
    let refuse = |status: StatusCode, result: &'static str| {
        service.meters.note(verb, result, None);
        (status, result).into_response()
    };
    let Ok(_place) = service.places.try_acquire() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "busy");
    };
    let body =
        match timeout(service.settings.body_within, to_bytes(body, service.settings.body_limit))
            .await
        {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "slow"),
        };
    let began = Instant::now();
    let snapshot = service.shared.load();
    if !snapshot.is_synced {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "not-synced");
    }
    service.meters.note_age(&snapshot, service.clock.now());
    match answer(&body, &snapshot) {
        Ok(json) => {
            service.meters.note(verb, "ok", Some(began.elapsed()));
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
        Err(why) => {
            service.meters.note(verb, "unreadable", None);
            tracing::debug!(verb, %why, "a request that cannot be read");
            (StatusCode::BAD_REQUEST, why.to_string()).into_response()
        }
    }
}

#[derive(Deserialize)]
struct About {
    pod: String,
    node: Option<String>,
}

async fn explain(State(service): State<Arc<Service>>, Query(about): Query<About>) -> Response {
    let missing = |what: String| (StatusCode::NOT_FOUND, what).into_response();
    let Some(pod) = (service.pods)(&about.pod) else {
        return missing(format!("no pod {}\n", about.pod));
    };
    let (snapshot, now) = (service.shared.load(), service.clock.now());
    match &about.node {
        None => Json(answer::explain_pod(&pod, &snapshot, now)).into_response(),
        Some(node) => match answer::explain_node(&pod, node, &snapshot, now) {
            Some(told) => Json(told).into_response(),
            None => missing(format!("no node {node}\n")),
        },
    }
}

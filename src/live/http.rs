//! The controller's own endpoints: `/metrics`, `/livez`, `/readyz`, `/debug/decisions`.
//!
//! Alive means that the loop has turned lately; ready means that all watches have been listed and the view is
//! fresh. Neither asks for leadership: every replica answers.

use super::{clock::Clock, journal::Journal, metrics::Metrics};
use crate::time::{Millis, Timestamp};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{
    future::Future,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

/// The loop must have turned within this time, really passing.
const TURNS_WITHIN: Duration = Duration::from_mins(1);
/// The view must not be older.
const FRESH_WITHIN: Millis = Millis::from_mins(10);

/// What the endpoints show. Written by the loop, read here.
pub struct Shown {
    /// Its clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Decisions.
    pub journal: Mutex<Journal>,
    /// When the loop last turned (milliseconds since the epoch).
    last_turn: AtomicI64,
    /// All watches have been listed.
    is_synced: AtomicBool,
    /// Age of the view in milliseconds.
    view_age: AtomicI64,
    /// Watches that fail, a sentence each.
    faults: Mutex<Vec<String>>,
}

impl Shown {
    /// Nothing has happened yet.
    pub fn new(clock: Clock, journal: Journal) -> Self {
        Self {
            metrics: Metrics::new(),
            journal: Mutex::new(journal),
            last_turn: AtomicI64::new(clock.now().0),
            is_synced: AtomicBool::new(false),
            view_age: AtomicI64::new(0),
            faults: Mutex::default(),
            clock,
        }
    }

    /// The loop has turned.
    pub fn turned(&self, now: Timestamp, is_synced: bool, view_age: Millis) {
        self.last_turn.store(now.0, Ordering::Relaxed);
        self.is_synced.store(is_synced, Ordering::Relaxed);
        self.view_age.store(view_age.0, Ordering::Relaxed);
        self.metrics.snapshot_age_seconds.set(view_age.as_secs_f64());
    }

    /// These watches fail now.
    pub fn failing(&self, faults: Vec<String>) {
        if let Ok(mut shown) = self.faults.lock() {
            *shown = faults;
        }
    }

    /// Why it is not alive.
    fn stuck(&self) -> Option<String> {
        let since = self.clock.now() - Timestamp(self.last_turn.load(Ordering::Relaxed));
        let real = self.clock.real(since);
        (real > TURNS_WITHIN).then(|| format!("the loop last turned {} s ago", real.as_secs()))
    }

    /// What is not so, and which watches fail.
    fn because(&self, what: String) -> String {
        let faults = self.faults.lock().map(|faults| faults.join("; ")).unwrap_or_default();
        if faults.is_empty() { what } else { format!("{what}: {faults}") }
    }

    /// Why it is not ready.
    fn unready(&self) -> Option<String> {
        if !self.is_synced.load(Ordering::Relaxed) {
            return Some(self.because("not all watches have been listed".to_owned()));
        }
        let age = Millis(self.view_age.load(Ordering::Relaxed));
        (age > FRESH_WITHIN).then(|| self.because(format!("the view is {} s old", age.0 / 1000)))
    }
}

/// Serves until `stop` is done.
///
/// # Errors
/// If the socket fails.
pub async fn serve(
    listener: TcpListener,
    shown: Arc<Shown>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let app = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/debug/decisions", get(decisions))
        .with_state(shown);
    axum::serve(listener, app).with_graceful_shutdown(stop).await
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics.text()).into_response()
}

async fn livez(State(shown): State<Arc<Shown>>) -> Response {
    health(shown.stuck())
}

async fn readyz(State(shown): State<Arc<Shown>>) -> Response {
    health(shown.stuck().or_else(|| shown.unready()))
}

fn health(fault: Option<String>) -> Response {
    match fault {
        None => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, format!("{fault}\n")).into_response(),
    }
}

async fn decisions(State(shown): State<Arc<Shown>>) -> Response {
    let told: Vec<_> = match shown.journal.lock() {
        Ok(journal) => journal.recent().cloned().collect(),
        Err(_) => Vec::new(),
    };
    Json(told).into_response()
}

//! The controller's own endpoints: `/metrics`, `/livez`, `/readyz`, `/debug/decisions`.
//!
//! Alive means that the loop has turned lately; ready means that all watches have been listed and the view is
//! fresh. Neither asks for leadership: every replica answers.

use super::{clock::Clock, journal::Journal, metrics::Metrics, vitals::Vitals};
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
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

/// What is behind `/metrics`, `/livez` and `/readyz`.
pub trait Health: Send + Sync + 'static {
    /// All metrics as text.
    fn metrics(&self) -> String;
    /// Signs of life.
    fn vitals(&self) -> &Vitals;
}

/// What the controller's endpoints show. Written by the loop, read here.
pub struct Shown {
    /// Its clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Decisions.
    pub journal: Mutex<Journal>,
    vitals: Vitals,
}

impl Health for Shown {
    fn metrics(&self) -> String {
        self.metrics.text()
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }
}

impl Shown {
    /// Nothing has happened yet.
    pub fn new(clock: Clock, journal: Journal) -> Self {
        Self {
            metrics: Metrics::new(),
            journal: Mutex::new(journal),
            vitals: Vitals::new(clock),
            clock,
        }
    }

    /// The loop has turned.
    pub fn turned(&self, now: Timestamp, is_synced: bool, view_age: Millis) {
        self.vitals.turned(now, is_synced, view_age);
        self.metrics.snapshot_age_seconds.set(view_age.as_secs_f64());
    }

    /// These watches fail now.
    pub fn failing(&self, faults: Vec<String>) {
        self.vitals.failing(faults);
    }
}

/// Serves the controller's endpoints until `stop` is done.
///
/// # Errors
/// If the socket fails.
pub async fn serve(
    listener: TcpListener,
    shown: Arc<Shown>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let own = Router::new().route("/debug/decisions", get(decisions));
    let app = health_routes(Arc::clone(&shown)).merge(own.with_state(shown));
    axum::serve(listener, app).with_graceful_shutdown(stop).await
}

/// `/metrics`, `/livez`, `/readyz`.
pub fn health_routes<H: Health>(of: Arc<H>) -> Router {
    Router::new()
        .route("/metrics", get(metrics::<H>))
        .route("/livez", get(livez::<H>))
        .route("/readyz", get(readyz::<H>))
        .with_state(of)
}

async fn metrics<H: Health>(State(of): State<Arc<H>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], of.metrics()).into_response()
}

async fn livez<H: Health>(State(of): State<Arc<H>>) -> Response {
    health(of.vitals().stuck())
}

async fn readyz<H: Health>(State(of): State<Arc<H>>) -> Response {
    health(of.vitals().stuck().or_else(|| of.vitals().unready()))
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

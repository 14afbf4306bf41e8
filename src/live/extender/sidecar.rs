//! An extender without a controller, beside a scheduler: its own watches, no writes.

use super::{
    keep::{self, ExtenderSettings, Footing, StartError},
    meters::Meters,
};
use crate::live::{
    clock::Clock,
    http::{Health, health_routes},
    metrics,
    vitals::Vitals,
    watch::{Sink, Watches},
    watched,
};
use kube::Client;
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::sync::Arc;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

/// Events of the watches that may wait. What waits is memory that is never given back.
const QUEUE: usize = 1_000;

/// What its endpoints show.
struct Shown {
    vitals: Arc<Vitals>,
    registry: Registry,
}

impl Health for Shown {
    fn metrics(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        encode(&mut text, &self.registry).ok();
        text
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }
}

/// Runs until `stop`. `health`: where `/metrics`, `/livez` and `/readyz` are served.
///
/// # Errors
/// See [`StartError`]; a cluster that does not answer is no error, it is waited for.
pub async fn run(
    client: &Client,
    settings: ExtenderSettings,
    health: &str,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), StartError> {
    let listener = TcpListener::bind(health)
        .await
        .map_err(|source| StartError::Listen { address: health.to_owned(), source })?;
    let (sender, events) = mpsc::channel(QUEUE);
    let watches = Watches::default();
    let ends = CancellationToken::new();
    let sink = Sink {
        events: sender,
        extender: None,
        watches: watches.clone(),
        clock,
        stop: ends.clone(),
    };
    let (meters, vitals) = (Meters::default(), Arc::new(Vitals::new(clock)));
    let mut registry = metrics::registry();
    meters.register(&mut registry);
    let vitals_of_feed = Arc::clone(&vitals);
    let footing = Footing { events, watches, meters, found: None, vitals: vitals_of_feed, clock };
    let extender = keep::start(settings, footing, stop.clone()).await?;
    let tasks = watched::start_extender(client, &sink);
    drop(sink);
    let app = health_routes(Arc::new(Shown { vitals, registry }));
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    stop.cancelled().await;
    tracing::info!("stopping");
    for task in extender.tasks {
        task.await.ok();
    }
    ends.cancel();
    for task in tasks {
        task.await.ok();
    }
    server.abort();
    Ok(())
}

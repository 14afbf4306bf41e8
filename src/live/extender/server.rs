//! Connections: plain or TLS, kept open, bounded in number, time and memory, and closed in good order.

use super::{
    meters::Meters,
    patience::{Limits, Patient, Requests},
    routes::{kib, route},
    tls::Tls,
};
use crate::{
    extender::{Answered, ExtenderSnapshot},
    live::clock::Clock,
    model::object::Pod,
};
use arc_swap::ArcSwap;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bounds of the server.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Largest body in bytes. Names of 5,000 nodes are 0.2 MB, 5,000 nodes in full 73 MB.
    pub body_limit: usize,
    /// Bytes of all bodies that are being read; more are told 503.
    pub all_bodies: usize,
    /// A body must have arrived within this time.
    pub body_within: Duration,
    /// The head of a request must have arrived within this time, a TLS handshake be done.
    pub head_within: Duration,
    /// A connection without a request is closed after this time. Go's client closes after 90 s itself and does
    /// not repeat a POST that met a closed connection: it must be longer.
    pub idle: Duration,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// After a stop, what has been asked is answered for so long.
    pub drain: Duration,
}

impl Default for Settings {
    /// 256 MiB a body and 384 MiB of them, 5 s each (kube-scheduler itself gives up after that), 2 minutes idle,
    /// 256 connections.
    fn default() -> Self {
        Self {
            body_limit: 256 << 20,
            all_bodies: 384 << 20,
            body_within: Duration::from_secs(5),
            head_within: Duration::from_secs(5),
            idle: Duration::from_mins(2),
            connections: 256,
            drain: Duration::from_secs(5),
        }
    }
}

/// Finds a pod that waits by `namespace/name`, for `/explain`.
pub type FindPod = Arc<dyn Fn(&str) -> Option<Arc<Pod>> + Send + Sync>;

/// Answers that wait to be looked at are kept up to this number.
const ANSWERS: usize = 10_000;

/// What was answered lately.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Vec<Answered>>);

impl Answers {
    /// One more.
    pub(super) fn note(&self, answered: Answered) {
        if let Ok(mut answers) = self.0.lock()
            && answers.len() < ANSWERS
        {
            answers.push(answered);
        }
    }

    /// All since the last time, in order.
    pub fn take(&self) -> Vec<Answered> {
        self.0.lock().map(|mut answers| std::mem::take(&mut *answers)).unwrap_or_default()
    }
}

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
    /// What was answered, until somebody takes it.
    pub answers: Answers,
    pub(super) settings: Settings,
    /// KiB of bodies that may yet be read.
    pub(super) bodies: Semaphore,
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
        let bodies = Semaphore::new(kib(settings.all_bodies) as usize);
        Self { shared, clock, meters, pods, answers: Answers::default(), settings, bodies }
    }
}

/// Serves until `stop`, then answers what has been asked, closes, and after [`Settings::drain`] closes what is
/// left. `tls`: without it connections are plain.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
) {
    let (tasks, ends) = (TaskTracker::new(), CancellationToken::new());
    let places = Arc::new(Semaphore::new(service.settings.connections));
    loop {
        let socket = tokio::select! {
            () = stop.cancelled() => break,
            socket = accept(&listener, &places) => socket,
        };
        let (socket, place) = match socket {
            Ok(accepted) => accepted,
            Err(why) => {
                // Out of file handles, as a rule: those that are open will close.
                tracing::warn!(%why, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (service, tls) = (Arc::clone(&service), tls.clone());
        let (stop, ends) = (stop.clone(), ends.clone());
        tasks.spawn(async move {
            let _place = place;
            tokio::select! {
                () = ends.cancelled() => {}
                () = connection(socket, service, tls, stop) => {}
            }
        });
    }
    drop(listener);
    tasks.close();
    if timeout(service.settings.drain, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections that did not end are closed");
        ends.cancel();
        tasks.wait().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (socket, _) = listener.accept().await?;
    socket.set_nodelay(true)?;
    Ok((socket, place))
}

async fn connection(
    socket: TcpStream,
    service: Arc<Service>,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
) {
    let Some(tls) = tls else { return answer_all(socket, service, stop).await };
    match timeout(service.settings.head_within, tls.acceptor().accept(socket)).await {
        Ok(Ok(socket)) => answer_all(socket, service, stop).await,
        Ok(Err(why)) => {
            service.meters.note_handshake_failed();
            tracing::debug!(%why, "a TLS handshake failed");
        }
        Err(_) => service.meters.note_handshake_failed(),
    }
}

/// Answers the requests of one connection until it closes.
async fn answer_all<S>(socket: S, service: Arc<Service>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Settings { head_within: head, idle, .. } = service.settings;
    let requests = Arc::new(Requests::default());
    let socket = Patient::new(socket, Arc::clone(&requests), Limits { head, idle });
    let one = |request: Request<Incoming>| {
        requests.begin();
        let (service, requests) = (Arc::clone(&service), Arc::clone(&requests));
        async move {
            let answer = route(&service, request).await;
            requests.end();
            Ok::<_, Infallible>(answer)
        }
    };
    // A client may close its side once it has asked.
    let served = http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(socket), service_fn(one));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, "a connection ended");
    }
}

#[cfg(test)]
mod tests;

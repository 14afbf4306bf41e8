//! Watches: streams of the API turned into events of the index, one task a kind.
//!
//! Objects are read into the few fields we use and turned into facts at once; nothing else of them is kept.
//! Where the server has streaming lists they are used; where it refuses them (an old etcd), lists and watches
//! are. A watch that fails starts again after a growing pause, for ever; what went wrong is told.

use super::{
    clock::Clock,
    extender::feed,
    index::{Event, Kind},
};
use crate::time::{Millis, Timestamp};
use futures::StreamExt;
use kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt,
        utils::Backoff,
        watcher::{self, Config, watcher},
    },
};
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

/// How one watch is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchState {
    /// When something was last heard, a bookmark or an answer without news included.
    pub heard: Option<Timestamp>,
    /// What last went wrong, until it works again.
    pub error: Option<WatchFault>,
    /// How often anything went wrong.
    pub errors: u64,
}

/// What went wrong with a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchFault {
    /// HTTP status, 0 = no answer.
    pub code: u16,
    /// What was said.
    pub message: String,
    /// Since when it fails.
    pub since: Timestamp,
    /// When it last failed.
    last: Instant,
}

impl WatchFault {
    /// It may still fail. A watch that works again says nothing until something happens; one that fails
    /// says so again soon.
    pub fn is_current(&self) -> bool {
        self.last.elapsed() < TOLD_AGAIN
    }
}

/// Longest pause before a watch that failed is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A watch that fails says so again within this time: a pause and a connection that is not made.
const TOLD_AGAIN: Duration = Duration::from_secs(12);

/// Pauses that grow from a quarter of a second.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(Duration::from_millis(250))
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// All watches, by kind.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    states: Arc<Mutex<BTreeMap<Kind, WatchState>>>,
}

impl Watches {
    /// All states.
    pub fn states(&self) -> BTreeMap<Kind, WatchState> {
        self.states.lock().map(|states| states.clone()).unwrap_or_default()
    }

    /// What fails now, one sentence a watch; of a 403 the API server's own words, which name verb and resource.
    pub fn faults(&self) -> Vec<String> {
        let states = self.states();
        let faults = states.iter().filter_map(|(kind, state)| Some((kind, state.error.as_ref()?)));
        faults
            .filter(|(_, fault)| fault.is_current())
            .map(|(kind, fault)| format!("{}: {} ({})", kind.word(), fault.message, fault.code))
            .collect()
    }

    /// How old the view is: as old as the longest failure of a watch of one of these kinds.
    pub fn view_age(&self, now: Timestamp, is_of: impl Fn(Kind) -> bool) -> Millis {
        let states = self.states().into_iter().filter(|(kind, _)| is_of(*kind));
        let faults = states.filter_map(|(_, state)| state.error);
        let faults = faults.filter(WatchFault::is_current);
        faults.map(|fault| now - fault.since).max().unwrap_or(Millis::ZERO)
    }

    fn heard(&self, kind: Kind, now: Timestamp) {
        if let Ok(mut states) = self.states.lock() {
            let state = states.entry(kind).or_default();
            (state.heard, state.error) = (Some(now), None);
        }
    }

    fn failed(&self, kind: Kind, now: Timestamp, error: &watcher::Error) {
        let (code, message) = told(error);
        if let Ok(mut states) = self.states.lock() {
            let state = states.entry(kind).or_default();
            state.errors += 1;
            let before = state.error.as_ref().filter(|before| before.is_current());
            let since = before.map_or(now, |before| before.since);
            state.error = Some(WatchFault { code, message, since, last: Instant::now() });
        }
    }
}

/// HTTP status and message.
fn told(error: &watcher::Error) -> (u16, String) {
    let api = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        watcher::Error::WatchError(status) => return (status.code, status.message.clone()),
        watcher::Error::NoResourceVersion => return (0, error.to_string()),
    };
    match api {
        kube::Error::Api(status) => (status.code, status.message.clone()),
        other => (0, other.to_string()),
    }
}

/// Where a watch's events go and how it is told of.
#[derive(Clone)]
pub struct Sink {
    /// To the loop.
    pub events: Sender<Event>,
    /// To the extender, of the kinds it needs.
    pub extender: Option<Sender<Event>>,
    /// States to keep.
    pub watches: Watches,
    /// The clock.
    pub clock: Clock,
    /// Ends all watches.
    pub stop: CancellationToken,
}

/// What a watch makes of what it hears.
pub struct Translate<K> {
    /// Of what.
    pub kind: Kind,
    /// An object is there or has changed.
    pub applied: Box<dyn Fn(K) -> Event + Send + Sync>,
    /// An object is gone.
    pub gone: Box<dyn Fn(K) -> Event + Send + Sync>,
    /// The kind may be unknown to the server (404): then there are none.
    pub may_be_absent: bool,
}

/// Watches one kind until stopped.
pub async fn watch<K>(api: Api<K>, config: Config, translate: Translate<K>, sink: Sink)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let streaming = config.clone().streaming_lists();
    let mut uses_streaming = true;
    while !sink.stop.is_cancelled() {
        let config = if uses_streaming { streaming.clone() } else { config.clone() };
        match follow(&api, config, &translate, &sink, uses_streaming).await {
            Ended::Stopped => return,
            Ended::NoStreamingLists => {
                tracing::info!(
                    kind = translate.kind.word(),
                    "no streaming lists here: list and watch"
                );
                uses_streaming = false;
            }
        }
    }
}

enum Ended {
    Stopped,
    NoStreamingLists,
}

async fn follow<K>(
    api: &Api<K>,
    config: Config,
    translate: &Translate<K>,
    sink: &Sink,
    uses_streaming: bool,
) -> Ended
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let kind = translate.kind;
    let mut stream = watcher(api.clone(), config).backoff(Pauses::default()).boxed();
    let (mut was_synced, mut is_absent) = (false, false);
    loop {
        let heard = tokio::select! {
            () = sink.stop.cancelled() => return Ended::Stopped,
            heard = stream.next() => heard,
        };
        let Some(heard) = heard else { return Ended::Stopped };
        let now = sink.clock.now();
        let event = match heard {
            Ok(event) => {
                sink.watches.heard(kind, now);
                is_absent = false;
                match event {
                    watcher::Event::Init => Event::Restarted(kind),
                    watcher::Event::InitDone => {
                        was_synced = true;
                        Event::Synced(kind)
                    }
                    watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                        (translate.applied)(object)
                    }
                    watcher::Event::Delete(object) => (translate.gone)(object),
                }
            }
            Err(error) => {
                let (code, message) = told(&error);
                if uses_streaming && !was_synced && refuses_streaming(code, &message) {
                    return Ended::NoStreamingLists;
                }
                if translate.may_be_absent && code == 404 {
                    sink.watches.heard(kind, now);
                    if is_absent {
                        continue;
                    }
                    is_absent = true;
                    send(sink, Event::Restarted(kind)).await;
                    Event::Synced(kind)
                } else {
                    let word = kind.word();
                    tracing::warn!(kind = word, code, error = %message, "watch failed, trying again");
                    sink.watches.failed(kind, now, &error);
                    continue;
                }
            }
        };
        send(sink, event).await;
    }
}

/// What servers say that do not know streaming lists, or whose etcd cannot do them.
fn refuses_streaming(code: u16, message: &str) -> bool {
    message.contains("RequestWatchProgress")
        || message.contains("sendInitialEvents")
        || (code == 422 && message.contains("resourceVersionMatch"))
}

async fn send(sink: &Sink, event: Event) {
    if let Some(extender) = &sink.extender
        && feed::KINDS.contains(&event.kind())
    {
        extender.send(event.clone()).await.ok();
    }
    // The loop ends after the watches; what it does not take any more is not missed.
    sink.events.send(event).await.ok();
}

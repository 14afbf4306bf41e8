//! The extender at work: watches' news into the feed, its snapshots to the server.

use super::{
    feed::{Feed, KINDS, Prospects},
    files,
    meters::Meters,
    policy_file::{PolicyError, PolicySource},
    server::{FindPod, Service, Settings, serve},
    tls::{Tls, TlsError, TlsFiles},
};
use crate::{
    extender::{ExtenderSnapshot, Nudge, Nudger, Policy, Stranded},
    live::{clock::Clock, index::Event, vitals::Vitals, watch::Watches},
    model::object::Pod,
};
use arc_swap::ArcSwap;
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    runtime::Builder,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Between two snapshots there is at least this pause: a burst of news makes one.
const PAUSE: Duration = Duration::from_millis(3);
/// Without news it turns this often.
const TURN: Duration = Duration::from_millis(100);
/// Health is told this often.
const TELL: Duration = Duration::from_secs(1);

/// What the extender is told when it starts.
#[derive(Clone, Debug)]
pub struct ExtenderSettings {
    /// Where the verbs are served.
    pub listen: String,
    /// Who may use GPU nodes.
    pub policy: PolicySource,
    /// Certificates; `None` = plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Files of policy and certificates are looked at this often.
    pub look_every: Duration,
    /// Bounds of the server.
    pub limits: Settings,
}

/// Why it does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The verbs cannot be served.
    #[error("the extender cannot listen on {address}: {source}")]
    Listen {
        /// As given.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// There is no thread for it.
    #[error("the extender cannot be given a thread: {0}")]
    Thread(io::Error),
    /// The certificates cannot be used.
    #[error("certificates of the extender: {0}")]
    Tls(#[from] TlsError),
}

/// What the extender stands on.
pub struct Footing {
    /// What its watches tell.
    pub events: mpsc::Receiver<Event>,
    /// How they are doing.
    pub watches: Watches,
    /// What is counted.
    pub meters: Meters,
    /// Whoever may touch Nodes; `None` = nobody, it is only counted.
    pub found: Option<mpsc::Sender<Found>>,
    /// Signs of life are left here.
    pub vitals: Arc<Vitals>,
    /// The clock.
    pub clock: Clock,
}

/// An extender at work.
pub struct Extender {
    /// They end after the `stop` that was given.
    pub tasks: Vec<JoinHandle<()>>,
    /// A controller says here what becomes of nodes.
    pub prospects: watch::Sender<Prospects>,
}

/// Pods that wait although nodes would take them.
#[derive(Clone, Debug)]
pub struct Found {
    /// They.
    pub stranded: Vec<Stranded>,
    /// Name and `resourceVersion` of such nodes.
    pub open: Vec<(String, String)>,
    /// One of the nodes should be touched now.
    pub is_due: bool,
}

/// Starts it. `stop`: it serves no longer.
///
/// # Errors
/// See [`StartError`].
pub async fn start(
    settings: ExtenderSettings,
    footing: Footing,
    stop: CancellationToken,
) -> Result<Extender, StartError> {
    let tls = settings.tls.map(Tls::load).transpose()?.map(Arc::new);
    let address = settings.listen;
    let listener = TcpListener::bind(&address).await.and_then(TcpListener::into_std);
    let listener = listener.map_err(|source| StartError::Listen { address, source })?;
    let policy = settings.policy.policy();
    let shared = Arc::new(ArcSwap::from_pointee(ExtenderSnapshot::new(policy.clone())));
    let feed = Arc::new(Mutex::new(Feed::new(policy.clone())));
    let (to_policies, policies) = watch::channel(policy.clone());
    let (meters, clock) = (footing.meters.clone(), footing.clock);
    let known = Arc::clone(&feed);
    let pods: FindPod = Arc::new(move |key| find(&known, key));
    let service = Service::new(Arc::clone(&shared), clock, meters.clone(), pods, settings.limits);
    let (to_prospects, prospects) = watch::channel(Prospects::default());
    let service = Arc::new(service);
    let (served, certificates, end) = (Arc::clone(&service), tls.clone(), stop.clone());
    let mut tasks = vec![alone(async move || match TcpListener::from_std(listener) {
        Ok(listener) => serve(listener, served, certificates, end).await,
        Err(why) => tracing::error!(%why, "the extender cannot serve"),
    })?];
    if let Some(tls) = tls {
        let (every, stop, meters) = (settings.look_every, stop.clone(), meters.clone());
        tasks.push(tokio::spawn(async move {
            tls.follow(every, stop, |are_used| meters.note_certificates(are_used)).await;
        }));
    }
    if settings.policy.has_file() {
        let (every, stop) = (settings.look_every, stop.clone());
        tasks.push(tokio::spawn(follow(settings.policy, to_policies, every, stop, meters)));
    }
    let nudger = Nudger::default();
    let keeper =
        Keeper { feed, shared, service, nudger, prospects, policies, footing, had_stranded: false };
    // Scoring thousands of nodes anew must not hold up requests.
    tasks.push(alone(|| keeper.keep(stop))?);
    Ok(Extender { tasks, prospects: to_prospects })
}

/// Sends each policy that the file has from now on.
async fn follow(
    mut source: PolicySource,
    to: watch::Sender<Policy>,
    every: Duration,
    stop: CancellationToken,
    meters: Meters,
) {
    let look = || {
        let is_new = source.reload()?;
        if is_new {
            to.send_replace(source.policy().clone());
        }
        Ok::<_, PolicyError>(is_new)
    };
    files::follow("policy", every, stop, look, |is_used| meters.note_policy(is_used)).await;
}

/// Runs on a thread with a runtime of its own. Where one thread reads, answers and writes, no other has to be
/// woken, which costs more than a small request does.
fn alone<F: Future<Output = ()>>(
    task: impl FnOnce() -> F + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    Ok(tokio::task::spawn_blocking(move || runtime.block_on(task())))
}

fn find(feed: &Mutex<Feed>, key: &str) -> Option<Arc<Pod>> {
    feed.lock().ok()?.waiting(key)
}

struct Keeper {
    feed: Arc<Mutex<Feed>>,
    shared: Arc<ArcSwap<ExtenderSnapshot>>,
    service: Arc<Service>,
    nudger: Nudger,
    had_stranded: bool,
    prospects: watch::Receiver<Prospects>,
    policies: watch::Receiver<Policy>,
    footing: Footing,
}

impl Keeper {
    async fn keep(mut self, stop: CancellationToken) {
        let mut told: Option<tokio::time::Instant> = None;
        loop {
            let first = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TURN) => None,
                event = self.footing.events.recv() => match event {
                    Some(event) => Some(event),
                    None => return,
                },
            };
            let has_news = first.is_some();
            self.turn(first);
            if told.is_none_or(|at| at.elapsed() >= TELL) {
                told = Some(tokio::time::Instant::now());
                self.tell();
            }
            if has_news {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Takes what there is and publishes what is new.
    fn turn(&mut self, first: Option<Event>) {
        let now = self.footing.clock.now();
        let Ok(mut feed) = self.feed.lock() else { return };
        let events = &mut self.footing.events;
        for event in first.into_iter().chain(std::iter::from_fn(|| events.try_recv().ok())) {
            feed.apply(event, now);
        }
        if self.prospects.has_changed().unwrap_or_default() {
            feed.set_prospects(self.prospects.borrow_and_update().clone());
        }
        if self.policies.has_changed().unwrap_or_default() {
            feed.set_policy(self.policies.borrow_and_update().clone());
        }
        if let Some(snapshot) = feed.publish(now) {
            self.shared.store(Arc::new(snapshot));
        }
        let snapshot = self.shared.load();
        for answered in self.service.answers.take() {
            self.nudger.answered(answered, &snapshot);
        }
        if !snapshot.is_synced {
            return;
        }
        let nudge = self.nudger.look(now, &snapshot, feed.all_waiting());
        let open = nudge
            .stranded
            .iter()
            .filter_map(|one| Some((one.node.clone(), feed.node_version(&one.node)?.to_owned())));
        let open: Vec<_> = open.collect();
        drop(feed);
        self.note(nudge, open);
    }

    /// Counts, and tells whoever may touch a Node.
    fn note(&mut self, nudge: Nudge, open: Vec<(String, String)>) {
        let Footing { meters, found, .. } = &self.footing;
        meters.note_stranded(nudge.stranded.len());
        let (is_due, has_any) = (nudge.touch.is_some(), !nudge.stranded.is_empty());
        match found {
            None if is_due => meters.note_nudge("counted"),
            // The end is told as well.
            Some(found) if is_due || has_any != self.had_stranded => {
                // Whoever has not taken the last ones has enough to do.
                found.try_send(Found { stranded: nudge.stranded, open, is_due }).ok();
            }
            _ => {}
        }
        self.had_stranded = has_any;
    }

    fn tell(&self) {
        let Footing { watches, meters, vitals, clock, .. } = &self.footing;
        let now = clock.now();
        let age = watches.view_age(now, |kind| KINDS.contains(&kind));
        let snapshot = self.shared.load();
        meters.note_view(age, &snapshot);
        vitals.failing(watches.faults());
        vitals.turned(now, snapshot.is_synced, age);
    }
}

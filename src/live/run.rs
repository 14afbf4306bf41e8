//! The controller at work: starts watches, election and endpoints, turns the loop, and ends in good order.
//!
//! One turn: take what the watches told, look, decide, carry out (if this replica leads), tell. Turns follow
//! events after a short pause that gathers them, and otherwise the engine's own alarm.

use super::{
    acting::{Acting, acting},
    actuate::{self, ActuationSettings, Actuator, Outcome, Position, Switch},
    announce::{Announcer, Told},
    client::{Clients, ClusterApi},
    clock::Clock,
    controller::{Controller, Turn, orders},
    extender::{
        Meters,
        keep::{self, Extender, ExtenderSettings, Footing, Found, StartError},
    },
    gpu_pool::Mode,
    hints::Hints,
    http::{self, Shown},
    index::{Event, Index, IndexSettings},
    journal::Journal,
    kept_memory::{self, Kept},
    leader::{self, Authority, Election},
    metrics::{KindLabel, KindResult, ReasonLabel},
    nudging::Nudging,
    objects::CapiKeys,
    past::{self, Past, PastSource},
    signals,
    status_writer::StatusWriter,
    vitals::Vitals,
    watch::{Sink, Watches},
    watched,
};
use crate::{
    prometheus::Client,
    time::{Millis, Timestamp},
};
use std::{collections::BTreeSet, io, path::PathBuf, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Events are gathered for so long before a look.
const GATHER: Millis = Millis(100);
/// Between two looks there is at least this pause.
const PAUSE: Millis = Millis(250);
/// However fast the clock runs, a pause is really as long as this.
const LEAST_PAUSE: Duration = Duration::from_millis(2);
/// Without events and alarms it looks this often.
const HEARTBEAT: Millis = Millis::from_secs(10);
/// The memory is kept this often.
const KEEP_EVERY: Millis = Millis::from_mins(10);
/// When it ends, it tries so often to take back what is its own.
const RELEASES: u32 = 3;
/// Events of the watches that may wait for their turn.
const QUEUE: usize = 10_000;
/// Finds of the extender that may wait.
const FINDS: usize = 16;

/// What the controller is told when it starts.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// Where our own Lease and ConfigMaps are.
    pub namespace: String,
    /// Name of this replica, unique among all.
    pub identity: String,
    /// Take part in an election; without it this replica acts at once.
    pub elect: bool,
    /// Make GpuPools (in Shadow) for MachineDeployments that look like GPU pools.
    pub discovery: bool,
    /// Where endpoints listen.
    pub listen: String,
    /// Folder of decision logs.
    pub decision_log: Option<PathBuf>,
    /// The scheduler extender, if it is served.
    pub extender: Option<ExtenderSettings>,
    /// How writes are made.
    pub actuation: ActuationSettings,
    /// Where the past is read from, if nothing was kept; nothing waits for it.
    pub past: Option<PastSource>,
    /// Where signals are read from.
    pub signals: Option<Arc<Client>>,
    /// The clock.
    pub clock: Clock,
}

/// Both clusters, and where Cluster API is.
#[derive(Clone)]
pub struct Clusters {
    /// A client of each.
    pub clients: Clients,
    /// Kinds of Cluster API.
    pub api: ClusterApi,
}

/// Why the controller ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// The endpoints cannot be served.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// As given.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The scheduler extender.
    #[error(transparent)]
    Extender(#[from] StartError),
    /// The folder for logs.
    #[error("--decision-log {}: {source}", folder.display())]
    Journal {
        /// As given.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Runs until `stop`; then takes holds back, keeps the memory and hands leadership over.
///
/// # Errors
/// See [`RunError`]; a cluster that does not answer is no error, it is waited for.
pub async fn run(
    clusters: Clusters,
    settings: RunSettings,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let address = settings.listen.clone();
    let listener =
        TcpListener::bind(&address).await.map_err(|source| RunError::Listen { address, source })?;
    let folder = settings.decision_log.clone();
    let journal = Journal::new(folder.clone())
        .map_err(|source| RunError::Journal { folder: folder.unwrap_or_default(), source })?;
    let shown = Arc::new(Shown::new(settings.clock, journal));
    // Watches and election outlive the loop: what it does last still needs them.
    let after = CancellationToken::new();
    let (sender, events) = mpsc::channel(QUEUE);
    let (extender, told) = settings.extender.is_some().then(|| mpsc::channel(QUEUE)).unzip();
    let sink = Sink {
        events: sender,
        extender,
        watches: Watches::default(),
        clock: settings.clock,
        stop: after.clone(),
    };
    let extender = start_extender(&settings, told, &sink, &shown, stop.clone()).await?;
    let mut watched = watched::start(&clusters, &settings.namespace, &sink);
    if extender.is_some() {
        watched.tasks.push(watched::start_namespaces(&clusters.clients.workload, &sink));
    }
    let (authority, is_leader) = watch::channel(Authority::default());
    let election = elect(&clusters, &settings, authority, after.clone());
    let kept = read_kept(&clusters, &settings.namespace).await;
    let server =
        tokio::spawn(http::serve(listener, Arc::clone(&shown), after.clone().cancelled_owned()));
    let past = settings.past.clone().filter(|_| kept.is_none()).map(|source| {
        let now = settings.clock.now();
        tokio::spawn(async move { past::recalled(&source, now).await })
    });
    let reading = past.as_ref().map(JoinHandle::abort_handle);
    let heard = Heard {
        stop: after.clone(),
        watches: sink.watches.clone(),
        events,
        ceiling: watched.ceiling,
        past,
    };
    let mut life = Life::new(clusters.clone(), settings, shown, heard, is_leader, kept);
    let joined = extender.map(|serving| serving.join(&life, &clusters));
    let (answering, hints) = joined.unzip();
    life.hints = hints;
    drop(sink);
    Box::pin(life.live(stop)).await;
    if let Some(reading) = reading {
        reading.abort();
    }
    for task in answering.into_iter().flatten() {
        task.await.ok();
    }
    after.cancel();
    for task in watched.tasks.into_iter().chain(election) {
        task.await.ok();
    }
    server.abort();
    Ok(())
}

async fn start_extender(
    settings: &RunSettings,
    events: Option<mpsc::Receiver<Event>>,
    sink: &Sink,
    shown: &Shown,
    stop: CancellationToken,
) -> Result<Option<Serving>, StartError> {
    let (Some(own), Some(events)) = (&settings.extender, events) else { return Ok(None) };
    let (meters, clock) = (Meters::default(), settings.clock);
    shown.metrics.also(|registry| meters.register(registry));
    let vitals = Arc::new(Vitals::new(clock));
    let (found, finds) = mpsc::channel(FINDS);
    let (watches, found) = (sink.watches.clone(), Some(found));
    let footing = Footing { events, watches, meters: meters.clone(), found, vitals, clock };
    let extender = keep::start(own.clone(), footing, stop).await?;
    Ok(Some(Serving { extender, meters, finds }))
}

/// The extender beside the controller.
struct Serving {
    extender: Extender,
    meters: Meters,
    finds: mpsc::Receiver<Found>,
}

impl Serving {
    /// Starts what may write for it. What ends by itself, and what the loop has to tell.
    fn join(self, life: &Life, clusters: &Clusters) -> (Vec<JoinHandle<()>>, Hints) {
        let (touchable, allowed) = watch::channel(BTreeSet::new());
        let switch = Arc::new(Switch::new(life.settings.actuation.switch));
        let authority = life.authority.clone();
        let nudging = Nudging {
            actuator: Actuator::new(&clusters.clients, clusters.api.clone(), switch, authority),
            announcer: life.announcer.clone(),
            allowed,
            meters: self.meters,
            clock: life.settings.clock,
            digest: digest(&life.settings.identity, life.settings.clock.now()),
        };
        let mut tasks = self.extender.tasks;
        tasks.push(tokio::spawn(nudging.run(self.finds)));
        (tasks, Hints { prospects: self.extender.prospects, touchable })
    }
}

fn elect(
    clusters: &Clusters,
    settings: &RunSettings,
    authority: watch::Sender<Authority>,
    stop: CancellationToken,
) -> Option<JoinHandle<()>> {
    if !settings.elect {
        authority.send_replace(Authority::forever());
        return None;
    }
    let election = Election {
        namespace: settings.namespace.clone(),
        name: "prewarm".to_owned(),
        identity: settings.identity.clone(),
        terms: leader::candidate::Terms::default(),
    };
    Some(tokio::spawn(leader::run(clusters.clients.management.clone(), election, authority, stop)))
}

/// What the watches tell.
struct Heard {
    /// Ends what only serves the loop.
    stop: CancellationToken,
    watches: Watches,
    events: mpsc::Receiver<Event>,
    ceiling: watch::Receiver<Mode>,
    /// The past, while it is being read.
    past: Option<JoinHandle<Option<Past>>>,
}

/// The loop.
struct Life {
    settings: RunSettings,
    shown: Arc<Shown>,
    controller: Controller,
    actuator: Actuator,
    announcer: Announcer,
    told: Told,
    statuses: StatusWriter,
    clusters: Clusters,
    watches: Watches,
    events: mpsc::Receiver<Event>,
    authority: watch::Receiver<Authority>,
    ceiling: watch::Receiver<Mode>,
    /// The past, while it is being read.
    past: Option<JoinHandle<Option<Past>>>,
    kept_at: Timestamp,
    was_leader: bool,
    /// To the extender.
    hints: Option<Hints>,
}

impl Life {
    fn new(
        clusters: Clusters,
        settings: RunSettings,
        shown: Arc<Shown>,
        heard: Heard,
        authority: watch::Receiver<Authority>,
        kept: Option<Kept>,
    ) -> Self {
        let index = Index::new(IndexSettings {
            discovery: settings.discovery,
            keys: CapiKeys::new(clusters.api.group.as_str()),
            seeds: kept.as_ref().map(|kept| kept.seeds.clone()).unwrap_or_default(),
            ..IndexSettings::default()
        });
        let clock = settings.clock;
        let digest = digest(&settings.identity, clock.now());
        let switch = Arc::new(Switch::new(settings.actuation.switch));
        let deployments = clusters.api.scalable.api_version.clone();
        let mut controller =
            Controller::new(clock, Arc::clone(&shown), heard.watches.clone(), index, digest);
        if let Some(kept) = kept {
            controller.remember(kept.memory);
        }
        if let Some(client) = &settings.signals {
            controller.listen(signals::start(Arc::clone(client), clock, heard.stop.clone()));
        }
        Self {
            controller,
            watches: heard.watches,
            actuator: Actuator::new(
                &clusters.clients,
                clusters.api.clone(),
                switch,
                authority.clone(),
            ),
            announcer: Announcer::start(
                &clusters.clients,
                &settings.identity,
                deployments.clone(),
                Arc::clone(&shown),
            ),
            told: Told::default(),
            statuses: StatusWriter::start(clusters.clients.management.clone(), deployments),
            clusters,
            kept_at: clock.now(),
            settings,
            shown,
            events: heard.events,
            authority,
            ceiling: heard.ceiling,
            past: heard.past,
            was_leader: false,
            hints: None,
        }
    }

    async fn live(mut self, stop: CancellationToken) {
        let mut wait = Duration::ZERO;
        while !stop.is_cancelled() {
            let begun = tokio::time::Instant::now();
            let has_news = tokio::select! {
                () = stop.cancelled() => break,
                event = self.events.recv() => {
                    let Some(event) = event else { break };
                    self.take(event);
                    true
                }
                _ = self.authority.changed() => self.is_leader() != self.was_leader,
                changed = self.ceiling.changed() => changed.is_ok(),
                () = self.controller.signals_changed() => true,
                past = known(&mut self.past) => {
                    self.controller.recall(past);
                    true
                }
                () = tokio::time::sleep(wait) => true,
            };
            wait = wait.saturating_sub(begun.elapsed());
            if !has_news {
                continue;
            }
            self.pause(GATHER).await;
            self.take_all();
            self.measure_watches();
            wait = if self.controller.index.is_synced() {
                self.turn().await
            } else {
                self.shown.turned(self.settings.clock.now(), false, Millis::ZERO);
                self.settings.clock.real(PAUSE)
            };
            self.pause(PAUSE).await;
        }
        self.end().await;
    }

    async fn pause(&self, span: Millis) {
        tokio::time::sleep(self.settings.clock.real(span).max(LEAST_PAUSE)).await;
    }

    fn is_leader(&self) -> bool {
        self.authority.borrow().holds()
    }

    fn take(&mut self, event: Event) {
        let label = KindLabel { kind: event.kind().word() };
        self.shown.metrics.watch_events.get_or_create(&label).inc();
        self.controller.index.apply(event);
    }

    fn take_all(&mut self) {
        self.shown.metrics.queue_length.set(self.events.len() as i64);
        while let Ok(event) = self.events.try_recv() {
            self.take(event);
        }
    }

    fn measure_watches(&self) {
        self.shown.failing(self.watches.faults());
        for (kind, state) in self.watches.states() {
            let label = KindLabel { kind: kind.word() };
            let counter = self.shown.metrics.watch_errors.get_or_create(&label);
            counter.inc_by(state.errors.saturating_sub(counter.get()));
        }
    }

    /// One turn; how long to wait for the next if nothing happens.
    async fn turn(&mut self) -> Duration {
        let ceiling = *self.ceiling.borrow_and_update();
        let mut turn = self.controller.turn(ceiling);
        let view_age = turn.look.snapshot.sight.view_age;
        self.shown.turned(turn.now, true, view_age);
        let is_leader = self.is_leader();
        if is_leader != self.was_leader {
            tracing::info!(leader = is_leader, "leadership changed");
            self.was_leader = is_leader;
        }
        self.shown.metrics.leader.set(i64::from(is_leader));
        if let Some(hints) = &self.hints {
            hints.tell(&turn, is_leader);
        }
        if is_leader {
            let (acting, raised) = self.act(&mut turn).await;
            let Turn { now, look, decision, modes, .. } = &turn;
            self.announcer.say(self.told.say(*now, look, decision, modes, &raised));
            self.statuses.show(&turn, &acting, &self.controller);
            self.keep(turn.now).await;
        }
        let alarm = (turn.decision.wake_at - turn.now).min(HEARTBEAT);
        self.settings.clock.real(alarm)
    }

    /// Carries the decision out; what came of it by pool, and which pools were raised.
    async fn act(&mut self, turn: &mut Turn) -> (Vec<Acting>, BTreeSet<usize>) {
        for (pool, mode) in turn.look.pools.iter_mut().zip(&turn.modes) {
            pool.spec.mode = *mode;
        }
        let plan = actuate::plan(turn.now, &orders(turn), &turn.look, &self.settings.actuation);
        let told: Vec<String> = plan.writes.iter().map(|step| step.write.to_string()).collect();
        let outcomes = self.actuator.carry_out(&plan).await;
        for (step, outcome) in plan.writes.iter().zip(&outcomes) {
            let (kind, result) = (step.write.kind(), outcome.word());
            self.shown.metrics.writes.get_or_create(&KindResult { kind, result }).inc();
        }
        for refusal in &plan.refusals {
            let label = ReasonLabel { reason: refusal.reason.word() };
            self.shown.metrics.refusals.get_or_create(&label).inc();
        }
        let raised = raised(&plan, &outcomes);
        self.measure_reaction(turn, &raised);
        let failed = outcomes.iter().any(|outcome| {
            matches!(outcome, Outcome::Transient(_) | Outcome::TimedOut | Outcome::Forbidden(_))
        });
        self.controller.note_writes(turn.now, failed);
        if let Ok(mut journal) = self.shown.journal.lock() {
            journal.wrote(told);
        }
        (acting(turn, &plan, &outcomes), raised)
    }

    /// Takes back everything of ours; `true` when all of it was.
    async fn release(&mut self) -> bool {
        self.take_all();
        let turn = self.controller.turn(Mode::Shadow);
        let settings = &self.settings.actuation;
        let plan = actuate::release_all(turn.now, turn.id.clone(), &turn.look, settings);
        let outcomes = self.actuator.carry_out(&plan).await;
        plan.writes.len() < settings.most_pods
            && outcomes.iter().all(|outcome| *outcome != Outcome::Conflict)
    }

    /// How long the pods that came since the last look waited for the write that serves them.
    fn measure_reaction(&self, turn: &Turn, raised: &BTreeSet<usize>) {
        let now = self.settings.clock.now();
        for pool in raised.iter().filter_map(|&pool| turn.look.snapshot.pools.get(pool)) {
            for arrival in &pool.arrivals {
                let waited = (now - arrival.at).as_secs_f64().max(0.0);
                self.shown.metrics.reaction_seconds.observe(waited);
            }
        }
    }

    async fn keep(&mut self, now: Timestamp) {
        if now - self.kept_at < KEEP_EVERY || self.settings.actuation.switch == Position::DryRun {
            return;
        }
        self.kept_at = now;
        self.keep_now().await;
    }

    async fn keep_now(&mut self) {
        let seeds = self.controller.index.seeds();
        let Some(memory) = self.controller.memory() else { return };
        let (client, namespace) = (&self.clusters.clients.management, &self.settings.namespace);
        let kept = kept_memory::keep(client, namespace, seeds, memory).await;
        self.shown.metrics.note_kept(self.settings.clock.now(), kept.is_ok());
        match kept {
            Ok(bytes) => tracing::debug!(bytes, "memory kept"),
            Err(error) => tracing::warn!(%error, "the memory was not kept"),
        }
    }

    /// Takes holds back and keeps what was learned, if this replica leads.
    async fn end(mut self) {
        tracing::info!("stopping");
        if self.is_leader() && self.controller.index.is_synced() {
            for _ in 0..RELEASES {
                if self.release().await {
                    break;
                }
                // Somebody else wrote, or there is more than one plan holds: look again.
                self.pause(PAUSE).await;
            }
            if self.settings.actuation.switch != Position::DryRun {
                self.keep_now().await;
            }
        }
        if let Ok(mut journal) = self.shown.journal.lock()
            && let Err(error) = journal.finish()
        {
            tracing::warn!(%error, "the decision log was not finished");
        }
    }
}

/// The past, when it is known; never if it cannot be.
async fn known(reading: &mut Option<JoinHandle<Option<Past>>>) -> Past {
    if let Some(task) = reading {
        let read = task.await;
        *reading = None;
        if let Ok(Some(past)) = read {
            return past;
        }
    }
    std::future::pending().await
}

/// Pools of which more nodes were asked for, and the write was accepted.
fn raised(plan: &actuate::Plan, outcomes: &[Outcome]) -> BTreeSet<usize> {
    let steps = plan.writes.iter().zip(outcomes);
    let raised =
        steps.filter(|(step, outcome)| step.write.is_raise() && **outcome == Outcome::Done);
    raised.filter_map(|(step, _)| step.pool).collect()
}

/// What an earlier process kept. Nothing hangs on it, so a fault is told and forgotten.
async fn read_kept(clusters: &Clusters, namespace: &str) -> Option<Kept> {
    match kept_memory::read(&clusters.clients.management, namespace).await {
        Ok(kept) => kept,
        Err(error) => {
            tracing::warn!(%error, "the kept memory cannot be read: learning starts anew");
            None
        }
    }
}

/// A few letters of identity and start, so that decisions of two processes have different names.
fn digest(identity: &str, now: Timestamp) -> String {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in identity.bytes().chain(now.0.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    format!("{:08x}", hash >> 32)
}

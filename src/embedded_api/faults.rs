//! What a test can make the API do wrong, and the record of what was written.

use super::{State, lock, status::ApiError};
use jiff::Timestamp;
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// One request that changes something. Parts that a request does not have are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteInfo {
    /// Who asked.
    pub user: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// API group; empty for core.
    pub group: String,
    /// Plural name.
    pub resource: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name; empty for a creation with a name in the body.
    pub name: String,
    /// For example `scale` or `status`.
    pub subresource: String,
    /// By the clock of the API.
    pub time: Timestamp,
    /// A rehearsal (`dryRun=All`).
    pub dry_run: bool,
}

/// What happens to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is carried out.
    Allow,
    /// It is answered with this HTTP status and not carried out.
    Refuse(u16),
    /// The connection breaks before it is carried out.
    BreakBefore,
    /// It is carried out, and the connection breaks before the answer.
    BreakAfter,
}

type Hook = dyn FnMut(&WriteInfo) -> Verdict + Send;

#[derive(Default)]
struct Orders {
    delay: Duration,
    is_down: bool,
    throttled: u64,
    refuses: Option<Refusal>,
    no_streaming_lists: bool,
    /// Of its own lock: the hook may give orders.
    hook: Option<Arc<Mutex<Hook>>>,
}

/// Every `every`-th write on one of `resources` (all if empty) is refused.
struct Refusal {
    every: u64,
    status: u16,
    resources: Vec<String>,
    seen: u64,
}

impl Refusal {
    fn refuses(&mut self, write: &WriteInfo) -> bool {
        if !self.resources.is_empty() && !self.resources.contains(&write.resource) {
            return false;
        }
        self.seen += 1;
        self.seen.is_multiple_of(self.every)
    }
}

#[derive(Default)]
struct Log {
    /// With the HTTP status of the answer.
    attempts: Vec<(WriteInfo, u16)>,
}

/// Handle on the faults of one API; clones are the same handle.
#[derive(Clone)]
pub struct Faults {
    orders: Arc<Mutex<Orders>>,
    log: Arc<Mutex<Log>>,
    cuts: watch::Sender<u64>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Faults").finish_non_exhaustive()
    }
}

impl Faults {
    pub(crate) fn new(state: Arc<Mutex<State>>) -> Self {
        let (cuts, _) = watch::channel(0);
        Self { orders: Arc::default(), log: Arc::default(), cuts, state }
    }

    /// Lets every request wait before anything is done; real time, not that of the API's clock.
    pub fn delay(&self, delay: Duration) {
        lock(&self.orders).delay = delay;
    }

    /// Refuses every `every`-th write on `resources` (plural names; none means all) with an HTTP status;
    /// `every` = 0 ends it.
    pub fn refuse_every(&self, every: u64, status: u16, resources: &[&str]) {
        let resources = resources.iter().map(|name| (*name).to_owned()).collect();
        let refusal = Refusal { every, status, resources, seen: 0 };
        lock(&self.orders).refuses = (every > 0).then_some(refusal);
    }

    /// Answers every request with 503 and ends all watches, or comes back.
    pub fn down(&self, is_down: bool) {
        lock(&self.orders).is_down = is_down;
        if is_down {
            self.cut_watches();
        }
    }

    /// Ends all watches, as a lost connection does.
    pub fn cut_watches(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Forgets the past: what starts from an older resourceVersion is answered with 410. Watches that have
    /// seen everything go on.
    pub fn compact(&self) {
        lock(&self.state).store.compact();
    }

    /// Answers the next `requests` with 429 as priority and fairness does.
    pub fn too_many_requests(&self, requests: u64) {
        lock(&self.orders).throttled = requests;
    }

    /// Whether streaming lists work; if not they end with the error of a storage that is too old.
    pub fn streaming_lists(&self, work: bool) {
        lock(&self.orders).no_streaming_lists = !work;
    }

    /// Asks `hook` before every write, one at a time; it may give orders to the same handle.
    pub fn before_write(&self, hook: impl FnMut(&WriteInfo) -> Verdict + Send + 'static) {
        lock(&self.orders).hook = Some(Arc::new(Mutex::new(hook)));
    }

    /// Writes that were carried out, in order.
    pub fn writes(&self) -> Vec<WriteInfo> {
        let log = lock(&self.log);
        let done =
            log.attempts.iter().filter(|(write, code)| (200..300).contains(code) && !write.dry_run);
        done.map(|(write, _)| write.clone()).collect()
    }

    /// Writes that were asked for, with the HTTP status of the answer (0: the connection broke).
    pub fn attempts(&self) -> Vec<(WriteInfo, u16)> {
        lock(&self.log).attempts.clone()
    }

    pub(crate) fn record(&self, write: WriteInfo, code: u16) {
        lock(&self.log).attempts.push((write, code));
    }

    pub(crate) fn current_delay(&self) -> Duration {
        lock(&self.orders).delay
    }

    /// What every request is told first, if anything.
    pub(crate) fn on_request(&self) -> Result<(), ApiError> {
        let mut orders = lock(&self.orders);
        if orders.is_down {
            return Err(ApiError::ordered(503));
        }
        if orders.throttled > 0 {
            orders.throttled -= 1;
            return Err(ApiError::throttled());
        }
        Ok(())
    }

    pub(crate) fn on_write(&self, write: &WriteInfo) -> Verdict {
        let mut orders = lock(&self.orders);
        if let Some(refusal) = &mut orders.refuses {
            let status = refusal.status;
            if refusal.refuses(write) {
                return Verdict::Refuse(status);
            }
        }
        let hook = orders.hook.clone();
        drop(orders);
        hook.map_or(Verdict::Allow, |hook| lock(&hook)(write))
    }

    pub(crate) fn has_streaming_lists(&self) -> bool {
        !lock(&self.orders).no_streaming_lists
    }

    pub(crate) fn cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }
}

//! Outside signals of pools (`GpuPool.spec.signals`): read from Prometheus, handed to the looks.
//!
//! A task asks each query every [`EVERY`]; the loop takes what is on the [`Board`] and never waits for it. A
//! query that fails leaves its last reading there, so that its age tells. A signal that is new is asked for its
//! last week first: whether it runs ahead of demand is known from the first hour, and not after days.
//!
//! - `number`: what an answer says, purely.
//! - `poll`: who asks.

mod number;
mod poll;

pub use number::{Number, number, past};
pub use poll::start;

use crate::{
    live::look::Look,
    model::{Reading, SignalPast},
    time::Millis,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// Time between two readings of a signal; a quarter of what counts as fresh.
pub const EVERY: Millis = Millis::from_secs(15);
/// How far back a new signal is read.
pub const PAST: Millis = Millis::from_hours(7 * 24);
/// Time between two values of its past.
pub const PAST_EVERY: Millis = Millis::from_mins(1);

/// Which signal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalKey {
    /// `namespace/name` of its pool.
    pub pool: String,
    /// Its name there.
    pub name: String,
}

impl SignalKey {
    /// Of that pool.
    pub fn new(pool: &str, name: &str) -> Self {
        Self { pool: pool.to_owned(), name: name.to_owned() }
    }
}

/// Queries by signal.
pub type Asked = BTreeMap<SignalKey, String>;

/// What came of asking.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    /// The query that this is the answer to.
    pub promql: String,
    /// The last reading.
    pub reading: Option<Reading>,
    /// What went wrong since, and what to do.
    pub trouble: Option<String>,
    /// Its last week, once.
    pub past: Option<Arc<SignalPast>>,
}

/// Answers by signal.
pub type Board = BTreeMap<SignalKey, Answered>;

/// The loop's side.
#[derive(Debug)]
pub struct Signals {
    asked: watch::Sender<Asked>,
    board: watch::Receiver<Board>,
    /// Signals whose past was handed over, with their queries.
    given: Asked,
}

impl Signals {
    pub(super) const fn new(asked: watch::Sender<Asked>, board: watch::Receiver<Board>) -> Self {
        Self { asked, board, given: BTreeMap::new() }
    }

    /// Says what to ask for from now on.
    pub fn ask(&self, asked: Asked) {
        self.asked.send_if_modified(|before| {
            let is_news = *before != asked;
            *before = asked;
            is_news
        });
    }

    /// What is known now.
    pub fn known(&self) -> Board {
        self.board.borrow().clone()
    }

    /// Says what to ask for from now on, and puts what is known into the look. What is wrong with a signal, by its
    /// key.
    pub fn fill(&mut self, look: &mut Look) -> BTreeMap<SignalKey, String> {
        let asked = asked(look);
        self.given.retain(|key, query| asked.get(key) == Some(query));
        self.ask(asked);
        let board = self.board.borrow_and_update();
        let mut troubles = BTreeMap::new();
        for (settings, told) in look.settings.pools.iter().zip(&mut look.snapshot.pools) {
            for signal in &settings.signals {
                let key = SignalKey::new(&settings.pool.name, &signal.name);
                let known = board.get(&key).filter(|known| known.promql == signal.source);
                let Some(known) = known else { continue };
                told.signals.extend(known.reading.clone());
                if let Some(past) = &known.past
                    && self.given.insert(key.clone(), known.promql.clone()).is_none()
                {
                    told.signal_pasts.push(SignalPast::clone(past));
                }
                if let Some(trouble) = &known.trouble {
                    troubles.insert(key, trouble.clone());
                }
            }
        }
        troubles
    }

    /// Returns when there is another value than before.
    pub async fn changed(&mut self) {
        if self.board.changed().await.is_err() {
            // Nobody asks any more.
            std::future::pending::<()>().await;
        }
    }
}

/// What is wrong with all signals where there is nobody to ask.
pub fn unread(look: &Look) -> BTreeMap<SignalKey, String> {
    let why = "no Prometheus is named: start with --prometheus-url";
    asked(look).into_keys().map(|key| (key, why.to_owned())).collect()
}

/// Queries of all signals.
fn asked(look: &Look) -> Asked {
    let queries = look.settings.pools.iter().flat_map(|settings| {
        let key = |name: &String| SignalKey::new(&settings.pool.name, name);
        settings.signals.iter().map(move |signal| (key(&signal.name), signal.source.clone()))
    });
    queries.collect()
}

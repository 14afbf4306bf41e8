//! Asks for the signals, again and again.

use super::{Answered, Asked, Board, EVERY, PAST, PAST_EVERY, SignalKey, Signals, number, past};
use crate::{
    live::clock::Clock,
    model::{ReadValue, Reading, SignalPast},
    prometheus::Client,
};
use futures::{StreamExt, stream};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A reading that takes longer is none; the next one is due by then.
const PATIENCE: Duration = Duration::from_secs(10);
/// The last week of a signal may take longer, but readings wait for it.
const PATIENCE_PAST: Duration = Duration::from_secs(30);
/// The client lets no more through at once.
const AT_ONCE: usize = 4;

/// Starts the task; it ends with `stop`, or when nobody listens any more.
pub fn start(client: Arc<Client>, clock: Clock, stop: CancellationToken) -> Signals {
    let (asked, wanted) = watch::channel(Asked::new());
    let (answers, board) = watch::channel(Board::new());
    let poller = Poller { client, clock, board: answers };
    tokio::spawn(async move { stop.run_until_cancelled(poller.run(wanted)).await });
    Signals::new(asked, board)
}

struct Poller {
    client: Arc<Client>,
    clock: Clock,
    board: watch::Sender<Board>,
}

impl Poller {
    async fn run(self, mut wanted: watch::Receiver<Asked>) {
        loop {
            let asked = wanted.borrow_and_update().clone();
            self.tidy(&asked);
            let asks = stream::iter(asked);
            let ask = |(key, promql)| self.ask(key, promql);
            asks.for_each_concurrent(AT_ONCE, ask).await;
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = self.clock.sleep(EVERY) => {}
            }
        }
    }

    /// Answers to queries that nobody asks any more go.
    fn tidy(&self, asked: &Asked) {
        self.board.send_if_modified(|board| {
            board.retain(|key, known| asked.get(key) == Some(&known.promql));
            false
        });
    }

    async fn ask(&self, key: SignalKey, promql: String) {
        let (key, promql) = (&key, promql.as_str());
        if !self.board.borrow().contains_key(key) {
            let past = self.past(key, promql).await;
            self.publish(key, promql, |known| known.past = past.map(Arc::new));
        }
        let at = self.clock.now();
        let asking = tokio::time::timeout(PATIENCE, self.client.instant_once(promql, at));
        let (reading, trouble) = match asking.await {
            Ok(Ok(answer)) => {
                let found = number(answer);
                let name = key.name.clone();
                (Some(Reading { name, at, value: found.value }), found.trouble)
            }
            Ok(Err(error)) => (None, Some(error.to_string())),
            Err(_) => (None, Some(format!("no answer within {} s", PATIENCE.as_secs()))),
        };
        self.publish(key, promql, |known| {
            if trouble.is_some() && known.trouble != trouble {
                let (pool, signal) = (&key.pool, &key.name);
                tracing::warn!(%pool, %signal, trouble, "a signal cannot be read");
            }
            known.trouble = trouble;
            known.reading = reading.or_else(|| known.reading.take());
        });
    }

    /// Its last week; without it usefulness is learned from now on.
    async fn past(&self, key: &SignalKey, promql: &str) -> Option<SignalPast> {
        let until = self.clock.now();
        let from = until - PAST;
        let asking = self.client.range(promql, from, until, PAST_EVERY);
        let (pool, signal) = (&key.pool, &key.name);
        match tokio::time::timeout(PATIENCE_PAST, asking).await {
            Ok(Ok(answer)) => {
                let values = past(answer, (from, until), PAST_EVERY);
                let known = values.iter().flatten().count();
                tracing::info!(%pool, %signal, values = known, "a signal's last week is known");
                let name = key.name.clone();
                (known > 0).then_some(SignalPast { name, from, every: PAST_EVERY, values })
            }
            Ok(Err(error)) => {
                tracing::warn!(%pool, %signal, %error, "a signal's past cannot be read");
                None
            }
            Err(_) => {
                tracing::warn!(%pool, %signal, "a signal's past takes too long to read");
                None
            }
        }
    }

    /// The loop is woken when it would see another number, not when the same comes again.
    fn publish(&self, key: &SignalKey, promql: &str, change: impl FnOnce(&mut Answered)) {
        let shown = |known: &Answered| {
            (units(known), known.trouble.clone(), known.past.as_ref().map(|past| past.from))
        };
        self.board.send_if_modified(|board| {
            let new = || Answered { promql: promql.to_owned(), ..Answered::default() };
            let known = board.entry(key.clone()).or_insert_with(new);
            let before = shown(known);
            change(known);
            shown(known) != before
        });
    }
}

fn units(known: &Answered) -> Option<ReadValue> {
    known.reading.as_ref().map(|reading| reading.value)
}

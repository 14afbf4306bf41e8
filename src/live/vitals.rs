//! Whether a loop is alive and what it sees is fresh: what `/livez` and `/readyz` tell.

use super::clock::Clock;
use crate::time::{Millis, Timestamp};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

/// The loop must have turned within this time, really passing.
const TURNS_WITHIN: Duration = Duration::from_mins(1);
/// The view must not be older.
const FRESH_WITHIN: Millis = Millis::from_mins(10);

/// Signs of life of one loop. Written by it, read by whoever asks.
#[derive(Debug)]
pub struct Vitals {
    /// Its clock.
    pub clock: Clock,
    /// When the loop last turned (milliseconds since the epoch).
    last_turn: AtomicI64,
    /// All watches have been listed.
    is_synced: AtomicBool,
    /// Age of the view in milliseconds.
    view_age: AtomicI64,
    /// Watches that fail, a sentence each.
    faults: Mutex<Vec<String>>,
}

impl Vitals {
    /// Nothing has happened yet.
    pub fn new(clock: Clock) -> Self {
        Self {
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
    }

    /// These watches fail now.
    pub fn failing(&self, faults: Vec<String>) {
        if let Ok(mut shown) = self.faults.lock() {
            *shown = faults;
        }
    }

    /// Why it is not alive.
    pub fn stuck(&self) -> Option<String> {
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
    pub fn unready(&self) -> Option<String> {
        if !self.is_synced.load(Ordering::Relaxed) {
            return Some(self.because("not all watches have been listed".to_owned()));
        }
        let age = Millis(self.view_age.load(Ordering::Relaxed));
        (age > FRESH_WITHIN).then(|| self.because(format!("the view is {} s old", age.0 / 1000)))
    }
}

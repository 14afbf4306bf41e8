//! Load per window and service, exact and independent of the order of the requests.
//!
//! Counted in millionths of a request (or token), as integers, so that sums do not depend on order.

use super::super::{ImportError, Source};
use super::{Capacity, ReplicaRule};
use crate::time::{Millis, Timestamp};
use std::collections::BTreeMap;

/// Millionths: what one request or token counts.
pub(super) const UNIT: u64 = 1_000_000;

/// Most windows from first to last; at 60 s this is 19 years.
pub(super) const MOST_WINDOWS: i64 = 10_000_000;

/// Largest number of tokens in a request.
pub(super) const MOST_TOKENS: u32 = 100_000_000;

/// Load of all services.
pub(super) struct Load {
    /// Span of a window in milliseconds.
    window: Millis,
    counts_tokens: bool,
    services: BTreeMap<String, BTreeMap<i64, u64>>,
}

impl Load {
    /// No load yet. Refuses rules that mean nothing.
    pub(super) fn new(source: &Source<'_>) -> Result<Self, ImportError> {
        let rule = &source.options.replicas;
        if let Some(problem) = problem(rule) {
            return Err(ImportError::File {
                file: source.file.to_owned(),
                problem: problem.to_owned(),
                remedy: "correct the rule that turns requests into replicas".to_owned(),
            });
        }
        let counts_tokens = matches!(rule.capacity, Capacity::Tokens(_));
        Ok(Self { window: rule.window, counts_tokens, services: BTreeMap::new() })
    }

    /// Whether a request counts with its tokens.
    pub(super) const fn counts_tokens(&self) -> bool {
        self.counts_tokens
    }

    /// A request came in at `at`.
    pub(super) fn request(&mut self, service: &str, at: Timestamp, tokens: u64) {
        let amount = if self.counts_tokens { tokens } else { 1 };
        self.add(service, self.window_of(at), amount.saturating_mul(UNIT));
    }

    /// The window in which an instant lies.
    pub(super) fn window_of(&self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.window.0)
    }

    /// Millionths in a window at a rate per second.
    pub(super) fn amount_at(&self, rate: f64) -> u64 {
        (rate * self.window.as_secs_f64() * UNIT as f64).round() as u64
    }

    /// Adds millionths to a window.
    pub(super) fn add(&mut self, service: &str, window: i64, amount: u64) {
        if !self.services.contains_key(service) {
            self.services.insert(service.to_owned(), BTreeMap::new());
        }
        if let Some(windows) = self.services.get_mut(service) {
            let sum = windows.entry(window).or_default();
            *sum = sum.saturating_add(amount);
        }
    }

    /// Load by service and window, once all of it is known; windows without load may be missing.
    pub(super) fn finish(
        self,
        source: &Source<'_>,
    ) -> Result<BTreeMap<String, BTreeMap<i64, u64>>, ImportError> {
        let first = self.services.values().filter_map(|w| w.keys().next()).min();
        let last = self.services.values().filter_map(|w| w.keys().next_back()).max();
        if let (Some(first), Some(last)) = (first, last)
            && last - first >= MOST_WINDOWS
        {
            return Err(ImportError::File {
                file: source.file.to_owned(),
                problem: format!("first and last request are {} windows apart", last - first),
                remedy: "are the times in the right unit? Else use a longer window".to_owned(),
            });
        }
        Ok(self.services)
    }
}

fn problem(rule: &ReplicaRule) -> Option<&'static str> {
    let (Capacity::Requests(capacity) | Capacity::Tokens(capacity)) = rule.capacity;
    if !(capacity > 0.0 && capacity.is_finite()) {
        return Some("the capacity of a replica is not more than 0");
    }
    if rule.window <= Millis::ZERO || rule.scale_down_stabilization < Millis::ZERO {
        return Some("the window is not more than 0 or the stabilisation is negative");
    }
    if rule.gpus_per_replica == 0 {
        return Some("a replica has no GPU");
    }
    if rule.min_replicas > super::super::cell::MOST {
        return Some("the minimum of replicas is absurd");
    }
    (!(0.0..1.0).contains(&rule.tolerance)).then_some("the tolerance is not from 0 to 1")
}

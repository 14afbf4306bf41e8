//! What waiting is for: splits the demand of waiting jobs over causes as time passes.
//!
//! Per class of waiting jobs, newest first: those not looked at yet are undecided; as many as the free
//! GPUs of a pool would hold wait for fragments to become whole; those no pool could grow for wait for
//! the maximum or for supply; the rest waits for nodes on their way. Classes do not compete for the
//! same fragments here, so fragmentation is an upper estimate where many shapes wait.

use super::{
    classes::{ClassId, Classes},
    fleet::Fleet,
    need::Need,
    outcome::{Causes, WaitCause},
    queue::Queue,
};
use crate::time::{Millis, Timestamp};

/// Demand of one class as the last decision left it.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    considered_milli: u64,
    unplaced_milli: u64,
}

#[derive(Debug)]
pub(super) struct Attribution {
    seen: Vec<Seen>,
    /// Waiting now, by cause, in thousandths of a GPU.
    rates: [u64; 6],
    pub(super) causes: Causes,
}

impl Attribution {
    pub(super) fn new() -> Self {
        Self { seen: Vec::new(), rates: [0; 6], causes: Causes::default() }
    }

    /// Time passes with nothing changed.
    pub(super) fn advance(&mut self, span: Millis) {
        for (cause, rate) in WaitCause::ALL.into_iter().zip(self.rates) {
            if rate > 0 {
                self.causes.add(cause, i128::from(rate) * i128::from(span.0));
            }
        }
    }

    /// A decision has looked at the queue.
    pub(super) fn decided(&mut self, need: &Need, classes: &Classes) {
        self.seen.clear();
        self.seen.resize(classes.len(), Seen::default());
        for class in &need.classes {
            let milli = classes.get(class.class).demand_milli;
            self.seen[class.class as usize] = Seen {
                considered_milli: u64::from(class.considered) * milli,
                unplaced_milli: u64::from(class.unplaced) * milli,
            };
        }
    }

    /// A unit of the class has started: the oldest, hence one that was looked at, if any was.
    pub(super) fn started(&mut self, class: ClassId, milli: u64) {
        if let Some(seen) = self.seen.get_mut(class as usize) {
            seen.considered_milli = seen.considered_milli.saturating_sub(milli);
        }
    }

    /// Something has changed: work out anew what waiting is for.
    pub(super) fn refresh(
        &mut self,
        now: Timestamp,
        queue: &Queue,
        classes: &Classes,
        fleets: &[Fleet],
    ) {
        self.rates = [0; 6];
        self.rates[WaitCause::Unplaceable as usize] = queue.forming_scored_milli;
        for &id in &queue.active {
            let line = queue.line(id);
            let class = classes.get(id);
            if class.pools.is_empty() {
                self.rates[WaitCause::Unplaceable as usize] += line.scored_milli;
                continue;
            }
            let seen = self.seen.get(id as usize).copied().unwrap_or_default();
            let waiting = line.units.len() as u64 * class.demand_milli;
            let pools = || class.pools.iter().map(|&pool| &fleets[pool as usize]);
            let free = pools().map(|fleet| fleet.free_milli).max().unwrap_or_default();
            let is_stock_out = pools().any(|fleet| now < fleet.backoff_until);
            let mut left = line.scored_milli;
            let mut charge = |cause: WaitCause, most: u64| {
                let part = most.min(left);
                self.rates[cause as usize] += part;
                left -= part;
            };
            charge(WaitCause::Undecided, waiting.saturating_sub(seen.considered_milli));
            charge(WaitCause::Fragmentation, free - free % class.demand_milli);
            let full = if is_stock_out { WaitCause::StockOut } else { WaitCause::Max };
            charge(full, seen.unplaced_milli);
            charge(WaitCause::Lead, u64::MAX);
        }
    }
}

//! The ledger: what speculation may cost. A token bucket in node-milliseconds.
//!
//! The shadow's nodes earn a share `rho` of their time; what is alive beyond both the shadow and what
//! is needed spends. The bucket is full at the start and never holds more than its capacity.
//!
//! **Guarantee.** At every look, whatever demand does,
//!
//! `integral of alive <= integral of max(shadow, needed) + rho * integral of shadow + capacity`
//!
//! if the caller (1) looks whenever alive, shadow or needed change and at [`Ledger::runs_dry_at`],
//! (2) requests on speculation no more than [`Ledger::allowance`], (3) lets [`Ledger::must_shed`] idle
//! nodes go, (4) commits every node that was requested on speculation until it is usable, also while
//! waiting work counts on it, and counts one that was requested for waiting work as needed as long,
//! also if the work is withdrawn; and if nodes are usable within the time they were committed with.
//!
//! Why: the time that in-flight speculation still needs is kept back, node by node, so credit less
//! commitments can fall only by nodes that can go at once; and when it is used up, they go.
//!
//! Source: token bucket (Turner 1986, New directions in communications), applied to the difference from
//! a reference policy.

use crate::{
    model::MAX_NODES,
    time::{Millis, Timestamp},
    units::MOST,
};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Credit is counted in thousandths of node-milliseconds, so that a `rho` in thousandths earns exactly.
const SCALE: i128 = 1000;

/// How much speculation may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSettings {
    /// What the shadow's nodes earn, in thousandths of their time.
    pub rho_permille: u32,
    /// Most credit, in node-milliseconds.
    pub capacity_node_ms: i64,
}

impl Default for LedgerSettings {
    /// 15 % of the shadow's node-time and 8 node-hours.
    fn default() -> Self {
        Self { rho_permille: 150, capacity_node_ms: Millis::from_hours(8).0 }
    }
}

/// Nodes of a pool from one look to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// That exist or are on their way, without those being removed.
    pub alive: u32,
    /// That the shadow has.
    pub shadow: u32,
    /// That run something, that waiting work is packed onto, or that are on their way because work
    /// waited when they were requested.
    pub needed: u32,
}

impl Standing {
    /// Nodes that are there on speculation alone.
    pub fn excess(&self) -> u32 {
        self.alive.saturating_sub(self.shadow.max(self.needed))
    }
}

/// What the ledger has seen so far, in node-milliseconds (rounded down) and counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerTotals {
    /// Earned from the shadow, also what found the bucket full.
    pub earned: i128,
    /// Earned when the bucket was full.
    pub forfeited: i128,
    /// Spent on speculation.
    pub spent: i128,
    /// How often it was noted that the credit bounded a decision.
    pub bound: u64,
}

/// The credit of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    settings: LedgerSettings,
    now: Timestamp,
    standing: Standing,
    /// This and the sums below in thousandths of node-milliseconds.
    credit: i128,
    earned: i128,
    forfeited: i128,
    spent: i128,
    bound: u64,
}

impl Ledger {
    /// After a time in which nobody looked: the same credit, an empty pool, nothing spent meanwhile.
    #[must_use]
    pub fn resumed(self, now: Timestamp) -> Self {
        Self { now, standing: Standing::default(), ..self }
    }

    /// A full bucket and an empty pool.
    pub fn new(start: Timestamp, settings: LedgerSettings) -> Self {
        Self {
            settings,
            now: start,
            standing: Standing::default(),
            credit: capacity(&settings),
            earned: 0,
            forfeited: 0,
            spent: 0,
            bound: 0,
        }
    }

    /// Changes the settings. A smaller bucket spills at the next look.
    pub fn set(&mut self, settings: LedgerSettings) {
        self.settings = settings;
    }

    /// A look: charges the time since the last one at the standing of then; from now on `standing`
    /// holds. An instant before the last look charges nothing. To be called again with what the look led
    /// to (the same instant costs nothing).
    pub fn advance(&mut self, now: Timestamp, standing: Standing) {
        let span = i128::from((now - self.now).0.max(0));
        let earned =
            i128::from(self.settings.rho_permille) * i128::from(self.standing.shadow) * span;
        let spent = SCALE * i128::from(self.standing.excess()) * span;
        let full = self.credit + earned - spent;
        let kept = full.min(capacity(&self.settings));
        self.credit = kept;
        self.earned += earned;
        self.spent += spent;
        self.forfeited += full - kept;
        self.now = self.now.max(now);
        self.standing = standing;
    }

    /// Credit in node-milliseconds, rounded down; negative only if nodes took longer than committed or
    /// a look came late.
    pub fn credit(&self) -> i128 {
        self.credit.div_euclid(SCALE)
    }

    /// Whether what was kept can have been: no sum overflows in a thousand years.
    pub(crate) fn is_sound(&self) -> bool {
        let sums = [self.credit, self.earned, self.forfeited, self.spent];
        let Standing { alive, shadow, needed } = self.standing;
        sums.into_iter().all(|sum| sum.unsigned_abs() <= 1 << 100)
            && [alive, shadow, needed].into_iter().all(|nodes| nodes <= 4 * MAX_NODES)
            && self.bound <= MOST as u64
    }

    /// The standing of the last look.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// New nodes that may be requested on speculation now. `committed`: for each node on its way that was
    /// requested on speculation, the longest it may still need until it is usable; `per_new`: the same
    /// for a new one. Even if nobody ever uses them, the credit lasts until they can go.
    pub fn allowance(&self, committed: impl Iterator<Item = Millis>, per_new: Millis) -> u32 {
        let free = self.credit - SCALE * sum(committed);
        let price = SCALE * i128::from(per_new.0.max(1));
        u32::try_from((free / price).max(0)).unwrap_or(u32::MAX)
    }

    /// When the credit will no longer cover the commitments if nothing changes but time: the last
    /// instant at which it does, [`Timestamp::NEVER`] if it always will. Look again then.
    pub fn runs_dry_at(&self, committed: impl Iterator<Item = Millis>) -> Timestamp {
        let mut flights: Vec<i128> =
            committed.filter(|left| left.0 > 0).map(|left| i128::from(left.0)).collect();
        flights.sort_unstable();
        let mut free = self.credit - SCALE * flights.iter().sum::<i128>();
        // A node on its way spends at most what was kept back for it.
        let mut slope = i128::from(self.settings.rho_permille) * i128::from(self.standing.shadow)
            + SCALE * (flights.len() as i128 - i128::from(self.standing.excess()));
        let mut after = 0;
        for landing in flights.into_iter().map(Some).chain([None]) {
            if free < 0 {
                return self.now;
            }
            let lasts = (slope < 0).then(|| after + free / -slope);
            match (lasts, landing) {
                (Some(lasts), Some(landing)) if lasts < landing => return self.at(lasts),
                (Some(lasts), None) => return self.at(lasts),
                (_, None) => break,
                (_, Some(landing)) => {
                    free += slope * (landing - after);
                    after = landing;
                    slope -= SCALE;
                }
            }
        }
        Timestamp::NEVER
    }

    fn at(&self, after: i128) -> Timestamp {
        self.now + Millis(i64::try_from(after).unwrap_or(i64::MAX))
    }

    /// Idle nodes that must go now because the credit is used up; what is on its way is paid for.
    pub fn must_shed(&self, committed: impl Iterator<Item = Millis>) -> u32 {
        let flights: Vec<Millis> = committed.filter(|left| left.0 > 0).collect();
        if self.runs_dry_at(flights.iter().copied()) > self.now {
            return 0;
        }
        self.standing.excess().saturating_sub(flights.len() as u32)
    }

    /// The credit bounded a decision: counted for reports.
    pub fn note_bound(&mut self) {
        self.bound += 1;
    }

    /// For reports.
    pub fn totals(&self) -> LedgerTotals {
        LedgerTotals {
            earned: self.earned / SCALE,
            forfeited: self.forfeited / SCALE,
            spent: self.spent / SCALE,
            bound: self.bound,
        }
    }
}

fn capacity(settings: &LedgerSettings) -> i128 {
    SCALE * i128::from(settings.capacity_node_ms)
}

fn sum(committed: impl Iterator<Item = Millis>) -> i128 {
    committed.map(|left| i128::from(left.0.max(0))).sum()
}

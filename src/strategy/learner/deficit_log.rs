//! Node deficits of the last 14 days, kept so that a refit computes only those that became known since.
//!
//! Labels that were computed stay as they are while the horizon moves by less than a tenth; then all are
//! computed anew.

use crate::{
    forecast::{
        bins::{Calendar, Features},
        deficit::{NodeSizes, deficits},
        events::Events,
        labels::{LOOK_BACK, STEP, Span},
        quantile::Table,
    },
    time::{Millis, Timestamp},
    units::is_amount,
};
use serde::{Deserialize, Serialize};

/// Labels of the instants `first`, `first + step`, ... in thousandths of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct DeficitLog {
    horizon: Millis,
    first: Timestamp,
    values: Vec<i64>,
}

impl DeficitLog {
    /// Takes in what is known at `span.now` and lets go of what is before `span.from`.
    pub(super) fn extend(&mut self, events: &Events, sizes: &NodeSizes, span: &Span) {
        if (span.horizon - self.horizon).0.abs() * 10 > self.horizon.0 {
            *self = Self { horizon: span.horizon, ..Self::default() };
        }
        let span = Span { horizon: self.horizon, ..*span };
        let (oldest, _) = span.grid(events);
        let gone = (oldest - self.first).0.max(0) / span.step.0.max(1);
        self.values.drain(..self.values.len().min(gone as usize));
        if self.values.is_empty() {
            self.first = oldest;
        } else {
            self.first = self.first.max(oldest);
        }
        let from = self.first + span.step * self.values.len() as i64;
        self.values.extend(deficits(events, sizes, &Span { from, ..span }).values);
    }

    /// Whether what was kept can have been.
    pub(super) fn is_sound(&self) -> bool {
        self.values.len() as i64 <= LOOK_BACK.0 / STEP.0 + 2
            && self.values.iter().all(|&value| is_amount(value))
            && (Millis::ZERO..=LOOK_BACK).contains(&self.horizon)
    }

    /// Their quantiles by situation, once there are any.
    pub(super) fn table(&self, events: &Events, step: Millis) -> Option<Table> {
        let count = self.values.len();
        let features = Features::sweep(events, self.first, step, count, Calendar::default());
        Table::fit(&features, &self.values, None)
    }
}

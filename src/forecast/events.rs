//! What happened to the demand of one pool: arrivals and finishes of the last weeks.
//!
//! Input: one event per job that comes (its demand counts from then on, waiting or running) and one per
//! job that ends. Output: the events of a time window and the demand at an instant, in thousandths of a
//! GPU. A finish names the arrival it ends, so that a reader of a window can tell jobs that came inside
//! it from older ones; no other identity of jobs is kept.
//!
//! The memory is bounded twice: by age and by number. What leaves goes into the demand before the oldest
//! event, so demand stays right; [`Events::known_since`] says from where on the events are complete.

use crate::{
    model::{OwnerId, ShapeId},
    time::{Millis, Timestamp},
    units::{self, is_amount},
};
use serde::{Deserialize, Serialize};
use std::collections::{VecDeque, vec_deque};

/// How long events are kept: two of the windows of 14 days that quantiles are taken from.
pub const KEEP: Millis = Millis::from_hours(28 * 24);

/// Most events kept, 8 MiB. The busiest pool seen has 62,000 in 28 days; half of this number would
/// still hold it, twice as many would only cost memory.
pub const MOST: usize = 1 << 18;

/// One change of demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// When the job came: equal to `at` for an arrival.
    pub arrived: Timestamp,
    /// Thousandths of a GPU: more than zero for an arrival, less for a finish.
    pub milli: i64,
    /// What the job asks for.
    pub shape: ShapeId,
    /// Whose job it is.
    pub owner: OwnerId,
}

impl Event {
    /// A job of `milli` thousandths comes.
    pub const fn arrival(at: Timestamp, milli: u64, shape: ShapeId, owner: OwnerId) -> Self {
        Self { at, arrived: at, milli: milli as i64, shape, owner }
    }

    /// The job of `arrival` ends (or is withdrawn) at `at`.
    #[must_use]
    pub fn finished(self, at: Timestamp) -> Self {
        Self { at: at.max(self.arrived), milli: -self.milli, ..self }
    }

    /// A job came.
    pub const fn is_arrival(&self) -> bool {
        self.milli > 0
    }
}

/// The events of one pool, ordered by time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    ring: VecDeque<Event>,
    keep: Millis,
    most: usize,
    known_since: Timestamp,
    /// Demand after all events.
    level: i64,
    lost: u64,
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = vec_deque::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Events {
    /// Nothing has happened yet; `demand` thousandths are there at `start`.
    pub const fn new(start: Timestamp, demand: i64) -> Self {
        Self::bounded(start, demand, KEEP, MOST)
    }

    /// As [`Events::new`], with bounds of one's own.
    pub const fn bounded(start: Timestamp, demand: i64, keep: Millis, most: usize) -> Self {
        let ring = VecDeque::new();
        Self { ring, keep, most, known_since: start, level: demand, lost: 0 }
    }

    /// Whether what was kept can have been: in order, within its bounds, of amounts that can be.
    pub(crate) fn is_sound(&self) -> bool {
        self.most <= MOST
            && self.ring.len() <= self.most
            && self.keep >= Millis::ZERO
            && self.ring.iter().is_sorted_by_key(|event| event.at)
            && self.ring.iter().all(|event| is_amount(event.milli))
            && self.level.unsigned_abs() <= (MOST as u64) * units::MOST as u64
            && self.lost <= units::MOST as u64
    }

    /// Events kept.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Events that went because there were too many, or that came too late to be kept. Age alone does
    /// not count.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// No event after this instant is missing.
    pub const fn known_since(&self) -> Timestamp {
        self.known_since
    }

    /// All kept events, oldest first; of equal instants the one pushed first.
    pub fn iter(&self) -> vec_deque::Iter<'_, Event> {
        self.ring.iter()
    }

    /// The events with `after < at <= until`, oldest first.
    pub fn window(&self, after: Timestamp, until: Timestamp) -> vec_deque::Iter<'_, Event> {
        let from = self.first_after(after);
        self.ring.range(from..self.first_after(until).max(from))
    }

    /// Demand in thousandths after all that happened up to and at `at`. Before
    /// [`Events::known_since`] it is the demand at that instant.
    pub fn demand_at(&self, at: Timestamp) -> i64 {
        let later = self.ring.range(self.first_after(at)..);
        self.level - later.map(|event| event.milli).sum::<i64>()
    }

    /// Takes an event. One that is late goes where it belongs; cheap when it is not very late.
    pub fn push(&mut self, event: Event) {
        self.level += event.milli;
        if event.at < self.known_since {
            self.lost += 1;
            return;
        }
        let place = match self.ring.back() {
            Some(last) if last.at > event.at => self.first_after(event.at),
            _ => self.ring.len(),
        };
        self.ring.insert(place, event);
        self.forget(event.at);
        while self.ring.len() > self.most {
            self.drop_oldest();
            self.lost += 1;
        }
    }

    /// Lets go of what is too old at `now`. Every push does it as well.
    pub fn forget(&mut self, now: Timestamp) {
        let edge = now - self.keep;
        while self.ring.front().is_some_and(|event| event.at < edge) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(event) = self.ring.pop_front() {
            self.known_since = event.at;
        }
    }

    fn first_after(&self, at: Timestamp) -> usize {
        if self.ring.back().is_none_or(|last| last.at <= at) {
            return self.ring.len();
        }
        self.ring.partition_point(|event| event.at <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn came(at: i64, gpus: u64) -> Event {
        Event::arrival(Timestamp(at), gpus * 1000, ShapeId(0), OwnerId(1))
    }

    #[test]
    fn demand_is_what_came_less_what_ended() {
        let mut events = Events::new(Timestamp::ZERO, 5000);
        events.push(came(10, 2));
        events.push(came(20, 1));
        events.push(came(10, 2).finished(Timestamp(30)));
        let seen = [0, 9, 10, 20, 29, 30, 99].map(|at| events.demand_at(Timestamp(at)));
        assert_eq!(seen, [5000, 5000, 7000, 8000, 8000, 6000, 6000]);
        let window: Vec<i64> =
            events.window(Timestamp(10), Timestamp(30)).map(|e| e.at.0).collect();
        assert_eq!(window, [20, 30]);
        assert_eq!(events.window(Timestamp(30), Timestamp(10)).count(), 0);
    }

    #[test]
    fn age_is_forgotten_quietly_and_number_is_counted() {
        let mut events = Events::bounded(Timestamp::ZERO, 0, Millis(100), 3);
        for at in [0, 50, 120] {
            events.push(came(at, 1));
        }
        assert_eq!((events.len(), events.lost(), events.known_since()), (2, 0, Timestamp(0)));
        for at in [130, 140] {
            events.push(came(at, 1));
        }
        assert_eq!((events.len(), events.lost(), events.known_since()), (3, 1, Timestamp(50)));
        assert_eq!(events.demand_at(Timestamp(140)), 5000);
        assert_eq!(events.demand_at(Timestamp(50)), 2000);
        // Older than what is known: part of the demand, not of the events.
        events.push(came(49, 7));
        assert_eq!((events.len(), events.lost()), (3, 2));
        assert_eq!(events.demand_at(Timestamp(50)), 9000);
    }

    #[test]
    fn an_event_is_small() {
        assert_eq!(size_of::<Event>(), 32);
    }

    proptest! {
            #[test]
            fn the_order_of_telling_does_not_matter(ats in prop::collection::vec(0i64..50, 0..30)) {
                let mut told = Events::new(Timestamp::ZERO, 0);
                for &at in &ats {
     told.push(came(at, 1));
    }
                let mut sorted = ats.clone();
                sorted.sort_unstable();
                prop_assert_eq!(told.iter().map(|e| e.at.0).collect::<Vec<_>>(), sorted);
                for at in 0..50 {
                    let expected = 1000 * ats.iter().filter(|&&then| then <= at).count() as i64;
                    prop_assert_eq!(told.demand_at(Timestamp(at)), expected);
                }
            }

            #[test]
            fn the_number_of_events_is_bounded(ats in prop::collection::vec(0i64..5000, 0..200)) {
                let mut events = Events::bounded(Timestamp::ZERO, 0, Millis(1000), 20);
                for (count, &at) in ats.iter().enumerate() {
                    events.push(came(at, 1));
                    prop_assert!(events.len() <= 20);
                    prop_assert_eq!(events.demand_at(Timestamp(5000)), 1000 * (count as i64 + 1));
                }
            }
        }
}

//! When was looked: the instants of the scrapes, holes included. What happened between two of them lies in the
//! middle, for want of anything better.

use crate::{
    promql::Series,
    time::{Millis, Timestamp},
};

/// Instants at which the exporter was scraped, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrapes {
    at: Vec<Timestamp>,
    /// Usual time between two.
    pub interval: Millis,
}

impl Scrapes {
    /// From the answers to [`super::Sight::Scraped`]: each value is the instant of a scrape.
    pub fn new(series: &[Series], interval: Millis) -> Self {
        let values = series.iter().flat_map(Series::finite);
        let mut at: Vec<Timestamp> =
            values.map(|point| Timestamp((point.value * 1000.0).round() as i64)).collect();
        at.sort_unstable();
        at.dedup();
        Self { at, interval }
    }

    /// The first scrape after an instant.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        self.at.get(self.at.partition_point(|&scrape| scrape <= at)).copied()
    }

    /// The last scrape before an instant.
    pub fn before(&self, at: Timestamp) -> Option<Timestamp> {
        self.at.partition_point(|&scrape| scrape < at).checked_sub(1).map(|place| self.at[place])
    }

    /// The last scrape.
    pub fn last(&self) -> Option<Timestamp> {
        self.at.last().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Spans of more than three intervals without a scrape.
    pub fn holes(&self) -> Vec<(Timestamp, Timestamp)> {
        let pairs = self.at.windows(2).map(|pair| (pair[0], pair[1]));
        pairs.filter(|(from, until)| *until - *from > self.interval * 3).collect()
    }
}

/// Middle of two instants.
pub(super) fn middle(from: Timestamp, until: Timestamp) -> Timestamp {
    Timestamp(from.0 + (until.0 - from.0) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::testing::series;

    #[test]
    fn neighbours_and_holes_of_scrapes() {
        let secs = Timestamp::from_secs;
        let values = [(60, 60.0), (120, 120.0), (180, 120.0), (240, 240.0), (600, 600.0)];
        let scrapes = Scrapes::new(&[series(&[], &values)], Millis::from_secs(60));
        assert_eq!(scrapes.len(), 4, "the same scrape is seen twice");
        assert_eq!(
            (scrapes.before(secs(120)), scrapes.after(secs(120))),
            (Some(secs(60)), Some(secs(240)))
        );
        assert_eq!((scrapes.before(secs(60)), scrapes.after(secs(600))), (None, None));
        assert_eq!(scrapes.holes(), [(secs(240), secs(600))]);
    }
}

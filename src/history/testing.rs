//! Answers made by hand.

use super::{Facts, Names, Part, Question, Scrapes, Window};
use crate::{
    promql::{Point, Series},
    time::{Millis, Timestamp},
};

pub(super) fn series(labels: &[(&str, &str)], points: &[(i64, f64)]) -> Series {
    let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let points = points.iter().map(|&(at, value)| Point { at: Timestamp::from_secs(at), value });
    Series { labels, points: points.collect() }
}

/// Facts from rows of a table, its labels and its value.
#[derive(Default)]
pub(super) struct Told(pub(super) Facts);

impl Told {
    pub(super) fn row(&mut self, part: Part, labels: &[(&str, &str)], value: f64) -> &mut Self {
        let window = Window { from: Timestamp::ZERO, until: Timestamp::from_secs(1) };
        self.0.take(
            &Names::default(),
            &Question { part, window },
            &[series(labels, &[(1, value)])],
        );
        self
    }

    /// A pod `p` of namespace `ml`: its table, and what else stands in the row.
    pub(super) fn pod(
        &mut self,
        uid: &str,
        part: Part,
        more: &[(&str, &str)],
        value: f64,
    ) -> &mut Self {
        let labels = [&[("namespace", "ml"), ("pod", "p"), ("uid", uid)], more].concat();
        self.row(part, &labels, value)
    }
}

/// A scrape every minute from second 0 to `until`.
pub(super) fn scrapes(until: i64) -> Scrapes {
    let points: Vec<(i64, f64)> = (0..=until / 60).map(|n| (n * 60, n as f64 * 60.0)).collect();
    Scrapes::new(&[series(&[], &points)], Millis::from_secs(60))
}

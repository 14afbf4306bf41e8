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

/// Facts from answers, row by row.
#[derive(Default)]
pub(super) struct Told(pub(super) Facts);

impl Told {
    pub(super) fn series(&mut self, part: Part, series: Series) -> &mut Self {
        let window = Window { from: Timestamp::ZERO, until: Timestamp::from_secs(1) };
        self.0.take(&Names::default(), &Question::new(part, window), &[series]);
        self
    }

    pub(super) fn row(&mut self, part: Part, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.series(part, series(labels, &[(1, value)]))
    }

    /// A pod `p` of namespace `ml` whose container asks for NVIDIA GPUs, at these instants, on a node or on none.
    pub(super) fn asks(&mut self, uid: &str, gpus: f64, node: &str, at: &[i64]) -> &mut Self {
        let points: Vec<(i64, f64)> = at.iter().map(|&at| (at, gpus)).collect();
        let labels = [
            &of_pod(uid)[..],
            &[("container", "main"), ("resource", "nvidia_com_gpu"), ("node", node)],
        ]
        .concat();
        self.series(Part::Requests, series(&labels, &points))
    }

    /// What that pod says of itself.
    pub(super) fn says(&mut self, uid: &str, metric: &str, value: f64) -> &mut Self {
        self.row(Part::Said, &[&of_pod(uid)[..], &[("__name__", metric)]].concat(), value)
    }
}

/// Labels of the pod `p` of namespace `ml`.
pub(super) const fn of_pod(uid: &str) -> [(&str, &str); 3] {
    [("namespace", "ml"), ("pod", "p"), ("uid", uid)]
}

/// A scrape every minute from second 0 to `until`.
pub(super) fn scrapes(until: i64) -> Scrapes {
    let points: Vec<(i64, f64)> = (0..=until / 60).map(|n| (n * 60, n as f64 * 60.0)).collect();
    Scrapes::new(&[series(&[], &points)], Millis::from_secs(60))
}

//! How much demand rises in a situation, as a table of quantiles per bin.
//!
//! Input: labels of past instants with their situations. Output: for every bin of every [`Scheme`] the
//! empirical quantiles (nearest rank) at [`LEVELS`], leaning on the coarser bin:
//! `Q = w Q_bin + (1 - w) Q_parent`, `w = n / (n + 50)`, and a bin with n < 60 says nothing of its own.
//! A [`Prior`] table from elsewhere (other pools) takes part with the weight of a day of labels, so a
//! new pool starts with it and leaves it behind within days.
//!
//! All in integers, every division rounds up: a table never says less than the formula does, and at most
//! one thousandth per blend more. It knows nothing of GPUs, nodes or what a rise costs.

use super::bins::{Features, Scheme};
use crate::units::is_amount;

use serde::{Deserialize, Serialize};

/// Levels of the table in thousandths; the last is the largest value seen.
pub const LEVELS: [u32; 8] = [500, 700, 800, 900, 950, 980, 990, 1000];

/// Labels below which a bin says nothing of its own. At 60 s spacing an hour of that situation.
pub const MIN_LABELS: u32 = 60;

/// Labels with which a bin weighs as much as its parent.
pub const SHRINK: u32 = 50;

/// Labels with which a pool weighs as much as its prior: a day at 60 s spacing.
pub const PRIOR_LABELS: u32 = 1440;

/// Values at [`LEVELS`].
pub type Row = [i64; LEVELS.len()];

/// A table to start from.
#[derive(Clone, Copy, Debug)]
pub struct Prior<'a> {
    /// What is known from elsewhere, in the same unit and for the same horizon.
    pub table: &'a Table,
    /// Labels with which one's own history weighs as much.
    pub labels: u32,
}

impl<'a> Prior<'a> {
    /// `table` with the weight of a day.
    pub const fn of(table: &'a Table) -> Self {
        Self { table, labels: PRIOR_LABELS }
    }
}

/// Quantiles per bin. Plain data of fixed size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// One row per bin of all schemes, in the order of [`Scheme::offset`].
    pub rows: Vec<Row>,
    /// Labels of each bin.
    pub counts: Vec<u32>,
    /// 0.9 quantile less 0.1 quantile of all labels: the usual size of a change.
    pub spread: i64,
}

impl Table {
    /// The same row for every situation, from no labels: a prior made of one distribution.
    pub fn uniform(row: Row) -> Self {
        let counts = vec![0; Scheme::ALL_BINS];
        Self { rows: vec![row; Scheme::ALL_BINS], counts, spread: 0 }
    }

    /// The table of `labels[i]` in the situations `features[i]`; what only one of them has is left
    /// out. `None` without labels and without prior.
    pub fn fit(features: &[Features], labels: &[i64], prior: Option<Prior<'_>>) -> Option<Self> {
        let own = Self::of_labels(features, labels);
        match (own, prior) {
            (None, None) => None,
            (None, Some(prior)) => Some(prior.table.clone()),
            (Some(own), None) => Some(own),
            (Some(own), Some(prior)) => Some(own.towards(prior)),
        }
    }

    /// Labels the table is made of.
    pub fn labels(&self) -> u32 {
        self.counts[Scheme::All.offset()]
    }

    /// Whether what was kept can have been: a row and a count for every bin.
    pub(crate) fn is_sound(&self) -> bool {
        self.rows.len() == Scheme::ALL_BINS
            && self.counts.len() == Scheme::ALL_BINS
            && self.rows.iter().flatten().all(|&label| is_amount(label))
    }

    /// The row of a situation.
    pub fn row(&self, scheme: Scheme, features: &Features) -> &Row {
        &self.rows[scheme.offset() + scheme.bin(features)]
    }

    /// The quantile `level` (0..=1) of a situation: linear between [`LEVELS`], rounded up; below the
    /// first level that of the first.
    pub fn quantile(&self, scheme: Scheme, features: &Features, level: f64) -> i64 {
        let row = self.row(scheme, features);
        // In millionths, so that 0.95 is 0.95 and not a hair above.
        let wanted = (level.clamp(0.0, 1.0) * 1e6).round() as i64;
        let millionths = |place: usize| i64::from(LEVELS[place]) * 1000;
        let Some(upper) = (0..LEVELS.len()).find(|&place| millionths(place) >= wanted) else {
            return row[LEVELS.len() - 1];
        };
        if upper == 0 || row[upper] == row[upper - 1] {
            return row[upper];
        }
        let (from, to) = (millionths(upper - 1), millionths(upper));
        blend(row[upper], wanted - from, row[upper - 1], to - wanted)
    }

    fn of_labels(features: &[Features], labels: &[i64]) -> Option<Self> {
        let (own, counts, spread) = empirical(features, labels)?;
        let mut rows = own;
        for scheme in Scheme::EVERY {
            for bin in 0..scheme.bins() {
                let Some((parent, of)) = scheme.parent(bin) else { continue };
                let place = scheme.offset() + bin;
                let base = rows[parent.offset() + of];
                let count = if counts[place] < MIN_LABELS { 0 } else { counts[place] };
                rows[place] = blend_rows(&rows[place], count, &base, SHRINK);
            }
        }
        Some(Self { rows, counts, spread })
    }

    fn towards(mut self, prior: Prior<'_>) -> Self {
        let own = self.labels();
        for (row, base) in self.rows.iter_mut().zip(&prior.table.rows) {
            *row = blend_rows(row, own, base, prior.labels);
        }
        self
    }
}

/// Nearest-rank quantiles of each bin on its own, the counts, and the spread of all.
fn empirical(features: &[Features], labels: &[i64]) -> Option<(Vec<Row>, Vec<u32>, i64)> {
    let mut sorted: Vec<(i64, [u8; 7])> = labels
        .iter()
        .zip(features)
        .map(|(&label, features)| {
            (label, Scheme::EVERY.map(|scheme| (scheme.offset() + scheme.bin(features)) as u8))
        })
        .collect();
    let mut counts = vec![0; Scheme::ALL_BINS];
    for place in sorted.iter().flat_map(|(_, places)| places) {
        counts[usize::from(*place)] += 1;
    }
    sorted.sort_unstable_by_key(|&(label, _)| label);
    let at = |permille| sorted.get(rank(sorted.len() as u32, permille) as usize - 1);
    let spread = at(900)?.0 - at(100)?.0;
    let mut rows = vec![Row::default(); Scheme::ALL_BINS];
    let mut marks: Vec<Mark> = counts.iter().map(|&count| Mark::new(count)).collect();
    for (label, places) in &sorted {
        for &place in places {
            marks[usize::from(place)].pass(*label, &mut rows[usize::from(place)]);
        }
    }
    Some((rows, counts, spread))
}

/// How far a bin has got on the way through its sorted labels.
struct Mark {
    count: u32,
    passed: u32,
    level: usize,
    due: u32,
}

impl Mark {
    fn new(count: u32) -> Self {
        Self { count, passed: 0, level: 0, due: rank(count, LEVELS[0]) }
    }

    fn pass(&mut self, label: i64, row: &mut Row) {
        self.passed += 1;
        while self.passed == self.due && self.level < LEVELS.len() {
            row[self.level] = label;
            self.level += 1;
            self.due = LEVELS.get(self.level).map_or(0, |&level| rank(self.count, level));
        }
    }
}

/// Nearest rank: the smallest number of labels that is at least `permille` of `count`, from 1.
fn rank(count: u32, permille: u32) -> u32 {
    ((u64::from(count) * u64::from(permille)).div_ceil(1000) as u32).max(1)
}

fn blend_rows(own: &Row, own_weight: u32, base: &Row, base_weight: u32) -> Row {
    std::array::from_fn(|level| {
        blend(own[level], i64::from(own_weight), base[level], i64::from(base_weight))
    })
}

/// Weighted mean, rounded up; `b` when nothing weighs.
fn blend(a: i64, a_weight: i64, b: i64, b_weight: i64) -> i64 {
    let total = i128::from(a_weight) + i128::from(b_weight);
    if total == 0 {
        return b;
    }
    let sum = i128::from(a) * i128::from(a_weight) + i128::from(b) * i128::from(b_weight);
    -((-sum).div_euclid(total)) as i64
}

#[cfg(test)]
mod tests;

//! A Kaplan-Meier survival curve: which share of nodes is still in a stage at a given age.
//!
//! `S(x) = prod over bins up to x of (1 - d / r)` with `d` the events in a bin and `r` the mass at risk
//! when it begins. Between the edges of a bin the curve is a straight line, as if durations were spread
//! evenly within it; on the edges it has the textbook's values.
//!
//! It knows neither failures nor forgetting: masses come in as they are.

use super::grid::{BINS, in_bins, interpolate, span_of};
use crate::time::Millis;

/// The share still in a stage, by age.
#[derive(Clone, Debug, PartialEq)]
pub struct Survival {
    /// At the edges of the bins: one value more than there are bins, from 1 down, never rising.
    at_edges: Vec<f64>,
}

/// Shares nearer than this are the same: rounding must not carry a quantile over a flat stretch.
const SAME: f64 = 1e-12;

impl Survival {
    /// The curve of `events[k]` nodes that left the stage in bin `k` and `leaving[k]` that were last seen
    /// (censored) at the end of bin `k`; `leaving[BINS]` were seen beyond the grid. Masses are not negative;
    /// missing ones are 0.
    pub(super) fn kaplan_meier(events: &[f64], leaving: &[f64]) -> Self {
        let mass = |masses: &[f64], bin: usize| masses.get(bin).copied().unwrap_or_default();
        let mut at_risk = vec![0.0; BINS];
        let mut behind = mass(leaving, BINS);
        for bin in (0..BINS).rev() {
            behind += mass(events, bin) + mass(leaving, bin);
            at_risk[bin] = behind;
        }
        let mut at_edges = Vec::with_capacity(BINS + 1);
        let mut survival = 1.0;
        at_edges.push(survival);
        for (bin, &at_risk) in at_risk.iter().enumerate() {
            let hazard = if at_risk > 0.0 { mass(events, bin) / at_risk } else { 0.0 };
            survival *= (1.0 - hazard).clamp(0.0, 1.0);
            at_edges.push(survival);
        }
        Self { at_edges }
    }

    /// The curve of durations that fall into bin `k` with probability `shares[k]`.
    pub(super) fn of_shares(shares: &[f64]) -> Self {
        let mut left = 0.0;
        let falling = shares.iter().map(|share| {
            left += share;
            (1.0_f64 - left).max(0.0)
        });
        Self { at_edges: std::iter::once(1.0).chain(falling).collect() }
    }

    /// The share still in the stage at this age: 1 at birth and before, constant beyond the grid.
    pub fn survival(&self, age: Millis) -> f64 {
        interpolate(&self.at_edges, in_bins(age))
    }

    /// The share that has left the stage by this age.
    pub fn left_by(&self, age: Millis) -> f64 {
        1.0 - self.survival(age)
    }

    /// The age by which the share `q` has left; the end of the grid when it does not on the grid. Odd `q`
    /// are taken as 0 or 1.
    pub fn quantile(&self, q: f64) -> Millis {
        age_reached(&self.at_edges, 1.0 - if q >= 0.0 { q.min(1.0) } else { 0.0 })
    }

    /// The first age at which fewer than `share` are left; `None` when more are at the end of the grid.
    pub(super) fn fewer_than(&self, share: f64) -> Option<Millis> {
        let at_end = self.at_edges.last().copied().unwrap_or(1.0);
        (at_end < share).then(|| age_reached(&self.at_edges, share))
    }

    /// `P(T - age in (x, x + 5 s] | T > age)` for `x` = 0, 5, 10, ... s until the end of the grid; empty
    /// when nobody is that old. Sums to less than 1 by those who stay beyond the grid.
    pub fn residual(&self, age: Millis) -> Vec<f64> {
        self.residual_bins(age).collect()
    }

    /// [`residual`](Self::residual) without the list.
    pub(super) fn residual_bins(&self, age: Millis) -> impl Iterator<Item = f64> {
        let bins = (self.at_edges.len() - 1) as f64;
        let old = in_bins(age).min(bins);
        let alive = interpolate(&self.at_edges, old);
        // Nobody left: no bins.
        let bins = if alive > 0.0 { (bins - old).ceil() as usize } else { 0 };
        let mut before = alive;
        (1..=bins).map(move |bin| {
            let after = interpolate(&self.at_edges, old + bin as f64);
            let share = ((before - after) / alive).clamp(0.0, 1.0);
            before = after;
            share
        })
    }

    /// Mean time still to go of those that are this old and leave on the grid; `None` if none does.
    pub fn mean_residual(&self, age: Millis) -> Option<Millis> {
        let (mut share, mut moment) = (0.0, 0.0);
        for (bin, part) in self.residual_bins(age).enumerate() {
            share += part;
            moment += part * (bin as f64 + 0.5);
        }
        (share > 0.0).then(|| span_of(moment / share))
    }

    /// The curve on the edges of the bins, from 1 down.
    pub fn at_edges(&self) -> &[f64] {
        &self.at_edges
    }
}

/// Where a falling curve on the edges of bins first comes down to `level`; its end when it does not.
fn age_reached(at_edges: &[f64], level: f64) -> Millis {
    let edge = at_edges.partition_point(|value| *value > level + SAME);
    let (Some(&after), Some(&before)) = (at_edges.get(edge), at_edges.get(edge.wrapping_sub(1)))
    else {
        return span_of(edge.min(at_edges.len().saturating_sub(1)) as f64);
    };
    // before > level >= after, but for rounding: the step is not zero.
    span_of(edge as f64 - ((level - after) / (before - after)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::{super::grid::GRID_END, *};

    fn masses(entries: &[(usize, f64)]) -> Vec<f64> {
        let mut masses = vec![0.0; BINS + 1];
        for &(bin, mass) in entries {
            masses[bin] += mass;
        }
        masses
    }

    #[test]
    fn two_events_and_one_censored_give_the_textbook_curve() {
        // Events at 10 s (bin 1) and 30 s (bin 5), censored at 20 s (bin 3): S falls by 1/3 of three at
        // risk, then by the whole of the one that is left.
        let curve = Survival::kaplan_meier(&masses(&[(1, 1.0), (5, 1.0)]), &masses(&[(3, 1.0)]));
        let read = [0, 5, 10, 25, 30, 1800].map(|secs| curve.survival(Millis::from_secs(secs)));
        let two_thirds = 2.0 / 3.0;
        let expected = [1.0, 1.0, two_thirds, two_thirds, 0.0, 0.0];
        assert!(read.iter().zip(expected).all(|(r, e)| (r - e).abs() < 1e-12), "{read:?}");
    }

    #[test]
    fn censored_before_the_first_event_does_not_count() {
        // Of five, one was lost at 5 s; the other four leave one by one: 3/4, 2/4, 1/4, 0.
        let events = masses(&[(2, 1.0), (4, 1.0), (6, 1.0), (8, 1.0)]);
        let curve = Survival::kaplan_meier(&events, &masses(&[(0, 1.0)]));
        for (secs, share) in [(15, 0.75), (25, 0.5), (35, 0.25), (45, 0.0)] {
            assert!((curve.survival(Millis::from_secs(secs)) - share).abs() < 1e-12, "{secs}");
        }
        assert_eq!(curve.quantile(0.5), Millis::from_secs(25));
    }

    #[test]
    fn the_residual_is_the_rest_of_the_curve_over_its_value() {
        let events = masses(&[(2, 1.0), (4, 1.0), (6, 1.0), (8, 1.0)]);
        let curve = Survival::kaplan_meier(&events, &[]);
        // At 20 s three of four are left; they leave 0-5, 10-15 and 20-25 s later.
        let residual = curve.residual(Millis::from_secs(20));
        for (bin, share) in residual.iter().enumerate() {
            let expected = if [0, 2, 4].contains(&bin) { 1.0 / 3.0 } else { 0.0 };
            assert!((share - expected).abs() < 1e-12, "{bin}: {share}");
        }
        // 2.5, 12.5 and 22.5 s to go on average.
        assert_eq!(curve.mean_residual(Millis::from_secs(20)), Some(Millis(12_500)));
        assert_eq!(curve.mean_residual(Millis::from_secs(60)), None);
    }

    #[test]
    fn an_empty_curve_promises_nothing() {
        let curve = Survival::kaplan_meier(&[], &[]);
        assert!((curve.survival(Millis::MAX) - 1.0).abs() < 1e-12);
        assert_eq!(curve.quantile(0.5), GRID_END);
        assert_eq!(curve.mean_residual(Millis::ZERO), None);
        assert_eq!(curve.fewer_than(0.01), None);
    }

    #[test]
    fn odd_ages_and_quantiles_have_answers() {
        let curve = Survival::kaplan_meier(&masses(&[(2, 1.0)]), &masses(&[(BINS, 1.0)]));
        assert!((curve.survival(Millis(i64::MIN)) - 1.0).abs() < 1e-12);
        assert!((curve.survival(Millis::MAX) - 0.5).abs() < 1e-12);
        assert_eq!(curve.quantile(f64::NAN), Millis::ZERO);
        assert_eq!(curve.quantile(7.0), GRID_END);
        assert!(curve.residual(Millis::MAX).is_empty());
    }
}

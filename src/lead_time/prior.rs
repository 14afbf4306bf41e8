//! What is believed of a stage before any node was seen: a few pseudo-events from a log-normal.

use super::grid::{BIN, BINS, bin_of};
use crate::time::Millis;

/// Points at which the density is read within a bin.
const POINTS: usize = 4;
/// The density is read up to so many grids, to know which share lies beyond the first.
const GRIDS: usize = 16;

/// Shares of a log-normal with this median and spread of the logarithm: one per bin, then the share beyond
/// the grid. They sum to 1. The median is at least a second, the spread 0.02 to 2.
pub(super) fn log_normal(median: Millis, sigma: f64) -> Vec<f64> {
    let median_secs = median.as_secs_f64().max(1.0);
    // `clamp` would keep a NaN.
    let sigma = if sigma.is_finite() { sigma.clamp(0.02, 2.0) } else { 0.25 };
    let density = |secs: f64| (-((secs / median_secs).ln() / sigma).powi(2) / 2.0).exp() / secs;
    let mut shares = vec![0.0; BINS + 1];
    for point in 0..BINS * GRIDS * POINTS {
        let bin = (point / POINTS).min(BINS);
        shares[bin] += density((point as f64 + 0.5) / POINTS as f64 * BIN.as_secs_f64());
    }
    let total: f64 = shares.iter().sum();
    if total > 0.0 && total.is_finite() {
        for share in &mut shares {
            *share /= total;
        }
    } else {
        // So far beyond the grid, or so narrow, that no point met it.
        shares.fill(0.0);
        shares[bin_of(median).unwrap_or(BINS)] = 1.0;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(shares: &[f64], secs: usize) -> f64 {
        shares[..secs / 5].iter().sum()
    }

    #[test]
    fn the_shares_follow_the_log_normal() {
        let shares = log_normal(Millis::from_secs(300), 0.25);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((below(&shares, 300) - 0.5).abs() < 1e-4);
        // 300 exp(0.25 x 1.2816) = 413.3 s is the 90 % point, 300 exp(-0.25) = 233.6 s the 15.87 % one.
        assert!((below(&shares, 410) - 0.8942).abs() < 2e-3, "{}", below(&shares, 410));
        assert!((below(&shares, 235) - 0.1643).abs() < 2e-3, "{}", below(&shares, 235));
    }

    #[test]
    fn odd_priors_are_still_distributions() {
        for (secs, sigma) in
            [(0, 0.25), (-5, 0.0), (1, 0.001), (3600, 0.25), (i64::MAX / 2000, 0.02)]
        {
            let shares = log_normal(Millis::from_secs(secs), sigma);
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{secs} {sigma}");
            assert!(shares.iter().all(|share| *share >= 0.0), "{secs} {sigma}");
        }
        assert!(log_normal(Millis::from_secs(3600), 0.25)[BINS] > 0.99);
        assert!(
            (log_normal(Millis::from_secs(300), f64::NAN).iter().sum::<f64>() - 1.0).abs() < 1e-9
        );
    }
}

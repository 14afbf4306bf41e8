//! A profile over one season plus a deviation that fades.
//!
//! `forecast(h) = profile(slot(h)) + rho^h * (now - profile(slot(now)))`: the mean of each slot of the
//! season over the past, and today's deviation from it, which decays with the lag-1 autocorrelation
//! `rho` of past deviations. This is the regression of demand on time of day and latest value.
//!
//! # Source
//! Seasonal means with AR(1) errors; Hyndman and Athanasopoulos, "Forecasting: Principles and
//! Practice", 3rd ed., chapters 5 and 10.

use std::collections::VecDeque;

/// A fitted model.
#[derive(Clone, Debug, PartialEq)]
pub struct Seasonal {
    profile: Vec<f64>,
    rho: f64,
    latest: f64,
    latest_slot: usize,
}

impl Seasonal {
    /// Fits `history` (equal bins, oldest first), whose first bin lies in slot `first_slot` of a season
    /// of `season` bins. `None` without a whole season.
    pub fn fit(history: &VecDeque<f64>, first_slot: usize, season: usize) -> Option<Self> {
        if season == 0 || history.len() < season {
            return None;
        }
        let slot = |index: usize| (first_slot + index) % season;
        let (mut sums, mut counts) = (vec![0.0; season], vec![0u32; season]);
        for (index, value) in history.iter().enumerate() {
            sums[slot(index)] += value;
            counts[slot(index)] += 1;
        }
        let profile: Vec<f64> =
            sums.iter().zip(&counts).map(|(sum, &count)| sum / f64::from(count)).collect();
        let deviations: Vec<f64> =
            history.iter().enumerate().map(|(index, value)| value - profile[slot(index)]).collect();
        let last = history.len() - 1;
        Some(Self {
            rho: autocorrelation(&deviations, 1).clamp(0.0, 1.0),
            profile,
            latest: history[last],
            latest_slot: slot(last),
        })
    }

    /// The mean of a slot of the season.
    pub fn profile(&self, slot: usize) -> f64 {
        self.profile[slot % self.profile.len()]
    }

    /// Share of a deviation that is left after one bin, 0..=1.
    pub const fn rho(&self) -> f64 {
        self.rho
    }

    /// The forecast for `ahead` bins after the latest one (1 = the next).
    pub fn ahead(&self, ahead: usize) -> f64 {
        let deviation = self.latest - self.profile[self.latest_slot];
        let fading = self.rho.powi(i32::try_from(ahead).unwrap_or(i32::MAX));
        (self.profile(self.latest_slot + ahead) + fading * deviation).max(0.0)
    }
}

/// Correlation of a series with itself `lag` bins later; 0 for a series that is constant or too short.
pub fn autocorrelation(series: &[f64], lag: usize) -> f64 {
    if series.len() <= lag {
        return 0.0;
    }
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    let variance: f64 = series.iter().map(|value| (value - mean).powi(2)).sum();
    if variance <= f64::EPSILON * mean.abs() {
        return 0.0;
    }
    let paired = series.iter().zip(&series[lag..]);
    paired.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / variance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daily(bins: usize) -> VecDeque<f64> {
        let angle = |bin: usize| std::f64::consts::TAU * bin as f64 / 24.0;
        (0..bins).map(|bin| 100.0 + 50.0 * angle(bin).sin()).collect()
    }

    #[test]
    fn a_pure_cycle_is_forecast_exactly() {
        let history = daily(24 * 5 + 7);
        let model = Seasonal::fit(&history, 0, 24).unwrap();
        let truth = daily(24 * 6 + 7);
        for ahead in 1..=24 {
            let expected = truth[history.len() - 1 + ahead];
            assert!((model.ahead(ahead) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn flat_demand_forecasts_itself() {
        let flat: VecDeque<f64> = std::iter::repeat_n(7.0, 60).collect();
        assert!((Seasonal::fit(&flat, 3, 24).unwrap().ahead(10) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn less_than_a_season_is_no_model() {
        assert!(Seasonal::fit(&daily(23), 0, 24).is_none());
    }

    #[test]
    fn autocorrelation_knows_a_cycle_from_none() {
        let cycle: Vec<f64> = daily(240).into();
        assert!(autocorrelation(&cycle, 24) > 0.85);
        assert!(autocorrelation(&cycle, 12) < -0.85);
        assert!(autocorrelation(&[5.0; 10], 1).abs() < 1e-12);
    }
}

//! The past cycles without their noise, plus a margin.
//!
//! # Source
//! gocrane/crane `pkg/prediction/dsp`: needs two cycles of history; if the series has a daily period,
//! several estimators (margin x components kept, and the highest value of each slot) forecast a
//! hold-out cycle, and the best forecasts the next one. Bins are 5 min here instead of 1 min, which
//! changes nothing above crane's cut-off of one hour.

use super::{PoolView, Strategy, Want};
use crate::{
    forecast::{DemandHistory, Denoise, autocorrelation, denoise},
    time::{Millis, Timestamp},
};

const BIN: Millis = Millis::from_mins(5);
const CYCLE: usize = 288;
const MOST_CYCLES: usize = 15;
const LEAST_CYCLES: usize = 2;
const REFRESH: Millis = Millis::from_hours(6);
const BINS_AN_HOUR: usize = 12;
/// Correlation with the day before from which on a series counts as periodic.
const PERIODIC: f64 = 0.3;
const MARGINS: [f64; 4] = [0.01, 0.10, 0.15, 0.20];
const COMPONENTS: [usize; 2] = [3, 50];

/// One way to forecast a cycle from those before it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Estimator {
    Fourier { margin: f64, components: usize },
    Highest { margin: f64 },
}

/// Reactive scaling above the forecast of a periodic series.
#[derive(Clone, Debug)]
pub struct DigitalSignal {
    idle: Millis,
    history: DemandHistory,
    /// Forecast of one cycle in thousandths of a GPU, by slot of the day; empty = no period found.
    cycle: Vec<f64>,
    refresh_at: Timestamp,
}

impl DigitalSignal {
    /// Idle nodes beyond the forecast go after `idle`.
    pub const fn new(idle: Millis) -> Self {
        Self {
            idle,
            history: DemandHistory::new(BIN, CYCLE * MOST_CYCLES),
            cycle: Vec::new(),
            refresh_at: Timestamp::ZERO,
        }
    }

    fn refresh(&mut self, now: Timestamp) {
        if now < self.refresh_at || self.history.means().len() < LEAST_CYCLES * CYCLE {
            return;
        }
        self.refresh_at = now + REFRESH;
        let means: Vec<f64> = self.history.means().iter().copied().collect();
        let whole = &means[means.len() % CYCLE..];
        let mut cycle = forecast_cycle(whole);
        // The forecast starts at the slot of the current bin; store it by slot of the day.
        let slot = self.history.current().rem_euclid(CYCLE as i64) as usize;
        if !cycle.is_empty() {
            cycle.rotate_right(slot);
        }
        self.cycle = cycle;
    }

    /// The highest forecast from now until a node asked for now is usable.
    fn highest_until(&self, now: Timestamp, ahead: Millis) -> f64 {
        let first = now.0.div_euclid(BIN.0);
        let last = (now + ahead).0.div_euclid(BIN.0);
        (first..=last)
            .filter_map(|bin| self.cycle.get(bin.rem_euclid(CYCLE as i64) as usize))
            .fold(0.0, |highest, &value| highest.max(value))
    }
}

/// The next cycle by the estimator that forecast the last one best; empty if there is no period.
fn forecast_cycle(cycles: &[f64]) -> Vec<f64> {
    if autocorrelation(cycles, CYCLE) < PERIODIC {
        return Vec::new();
    }
    let (past, hold_out) = cycles.split_at(cycles.len() - CYCLE);
    let error = |estimator: &Estimator| {
        let forecast = estimator.next_cycle(past);
        forecast.iter().zip(hold_out).map(|(a, b)| (a - b).abs()).sum::<f64>()
    };
    let fourier = MARGINS
        .into_iter()
        .flat_map(|margin| COMPONENTS.map(|components| Estimator::Fourier { margin, components }));
    let best = fourier
        .chain([Estimator::Highest { margin: MARGINS[0] }])
        .map(|estimator| (error(&estimator), estimator))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(Vec::new, |(_, estimator)| estimator.next_cycle(cycles))
}

impl Estimator {
    fn next_cycle(self, cycles: &[f64]) -> Vec<f64> {
        match self {
            Self::Fourier { margin, components } => {
                let keep = Denoise {
                    weakest_share: 1.0,
                    keep_at_least: components,
                    shortest_period: BINS_AN_HOUR,
                };
                let clean = denoise(cycles, keep);
                clean[clean.len() - CYCLE..].iter().map(|v| (v * (1.0 + margin)).max(0.0)).collect()
            }
            Self::Highest { margin } => (0..CYCLE)
                .map(|slot| {
                    let same = cycles.iter().skip(slot).step_by(CYCLE);
                    same.fold(0.0, |highest: f64, &v| highest.max(v)) * (1.0 + margin)
                })
                .collect(),
        }
    }
}

impl Strategy for DigitalSignal {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        self.history.note(view.now, view.demand_integral);
        self.refresh(view.now);
        let milli = self.highest_until(view.now, view.lead_time);
        Want {
            floor_nodes: (milli / view.node_milli() as f64).ceil() as u32,
            wake_at: self.history.next_edge(),
            ..Want::nothing(self.idle)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(cycles: usize) -> Vec<f64> {
        let value = |bin: usize| 100.0 + 60.0 * (TAU * bin as f64 / CYCLE as f64).sin();
        (0..cycles * CYCLE).map(value).collect()
    }

    #[test]
    fn a_daily_sine_is_forecast_within_a_few_percent() {
        let forecast = forecast_cycle(&sine(4));
        let truth = sine(1);
        assert_eq!(forecast.len(), CYCLE);
        assert!(forecast.iter().zip(&truth).all(|(f, t)| (f / t - 1.0).abs() < 0.03));
    }

    #[test]
    fn noise_has_no_period() {
        // A fixed scramble without period: multiplicative hashing of the index.
        let noise: Vec<f64> = (0..4 * CYCLE as u64)
            .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64)
            .collect();
        let noise: Vec<f64> = noise.iter().map(|v| (v * v) % 1009.0).collect();
        assert!(forecast_cycle(&noise).is_empty());
    }

    #[test]
    fn the_forecast_is_found_at_its_time_of_day() {
        let mut policy = DigitalSignal::new(Millis::ZERO);
        let mut integral = 0;
        // 16 GPUs in the third hour of each day; looked at every bin until the middle of day 3.
        for bin in 0..(2 * CYCLE + CYCLE / 2) as i64 {
            let view = PoolView {
                now: Timestamp(bin * BIN.0),
                demand_integral: integral,
                ..crate::strategy::want::test_view()
            };
            policy.want(&view);
            let busy = (24..36).contains(&(bin % CYCLE as i64));
            integral += i128::from(busy) * 16_000 * i128::from(BIN.0);
        }
        let at = |hours: i64| {
            policy.highest_until(Timestamp::ZERO + Millis::from_hours(72 + hours), Millis::ZERO)
        };
        assert!(at(2) > 8000.0, "{}", at(2));
        assert!(at(12) < 4000.0, "{}", at(12));
    }
}

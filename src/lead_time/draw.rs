//! Draws how long a simulated node takes through one stage.
//!
//! For the simulator only; what is learned from such durations is in the sibling modules.

use crate::{model::StageTime, time::Millis};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

/// Draws how long one stage takes: always its mean when `cv` is 0, else log-normal with that mean and
/// coefficient of variation, rounded to the millisecond.
///
/// # Source
/// For a log-normal, `cv^2 = exp(sigma^2) - 1` and `mean = exp(mu + sigma^2 / 2)`.
pub fn draw(stage: StageTime, rng: &mut ChaCha8Rng) -> Millis {
    if stage.cv <= 0.0 || stage.mean.0 <= 0 {
        return stage.mean;
    }
    let variance = (1.0 + stage.cv * stage.cv).ln();
    let mu = (stage.mean.0 as f64).ln() - variance / 2.0;
    LogNormal::new(mu, variance.sqrt())
        .map_or(stage.mean, |drawn| Millis(drawn.sample(rng).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn draws_have_the_mean_and_spread_asked_for() {
        let stage = StageTime { mean: Millis::from_secs(300), cv: 0.25 };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws: Vec<f64> = (0..20_000).map(|_| draw(stage, &mut rng).as_secs_f64()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 20_000.0;
        // Standard error of the mean: 75 / sqrt(20,000) = 0.53 s.
        assert!((mean - 300.0).abs() < 2.0, "{mean}");
        assert!((variance.sqrt() / mean - 0.25).abs() < 0.01, "{variance}");
    }

    #[test]
    fn no_spread_is_always_the_mean() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let stage = StageTime::fixed(Millis::from_secs(240));
        assert_eq!(draw(stage, &mut rng), Millis::from_secs(240));
    }
}

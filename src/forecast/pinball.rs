//! The loss that a quantile minimises.
//!
//! Pinball loss of a bound `b` at level `q` for a label `y`: `q (y - b)` if `y` lies above, else
//! `(1 - q) (b - y)`. Its mean is smallest where `b` is the `q`-quantile.
//!
//! Source: Koenker and Bassett (1978), Regression quantiles.

/// Pinball loss of a bound at level `q`.
pub fn pinball(q: f64, label: f64, bound: f64) -> f64 {
    let above = label - bound;
    if above > 0.0 { q * above } else { (q - 1.0) * above }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_above_costs_q_and_below_the_rest() {
        assert!((pinball(0.9, 10.0, 8.0) - 1.8).abs() < 1e-12);
        assert!((pinball(0.9, 8.0, 10.0) - 0.2).abs() < 1e-12);
        assert!(pinball(0.9, 8.0, 8.0).abs() < 1e-12);
    }
}

//! How often a creation fails: the competing risk of a stage, as a Beta posterior.

/// Failures and successes seen, on top of a prior. Forgetting is done by whoever owns it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Failures {
    /// Mass of nodes that failed in the stage.
    pub(super) failed: f64,
    /// Mass of nodes that came through it.
    pub(super) succeeded: f64,
}

impl Failures {
    /// Pseudo-counts per stage. Two stages make a 1 in 21 chance to fail on the whole way, the mean of
    /// Beta(1, 20).
    const PRIOR: Self = Self { failed: 0.5, succeeded: 20.0 };

    /// Scales what was seen.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { failed: self.failed * factor, succeeded: self.succeeded * factor }
    }

    /// Probability that a node in the stage fails there.
    pub(super) fn probability(self) -> f64 {
        let failed = Self::PRIOR.failed + self.failed;
        failed / (failed + Self::PRIOR.succeeded + self.succeeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_unseen_stages_fail_as_the_prior_of_the_whole_way_says() {
        let p = Failures::default().probability();
        assert!((1.0 - (1.0 - p) * (1.0 - p) - 1.0 / 21.0).abs() < 1e-3, "{p}");
    }

    #[test]
    fn many_nodes_outweigh_the_prior() {
        let p = Failures { failed: 100.0, succeeded: 900.0 }.probability();
        assert!((p - 0.1).abs() < 0.003, "{p}");
    }
}

//! The past cycles without their noise.
//!
//! A series of whole cycles is taken to the frequency domain, weak and fast components are dropped, and
//! what remains is the expected cycle.
//!
//! The scalar planner is used on purpose: vector units of different CPUs round differently.
//!
//! # Source
//! gocrane/crane, `pkg/prediction/dsp`: components above 1/3600 Hz and below an amplitude threshold are
//! removed, at least a minimum number of the strongest is kept.

use rustfft::{FftPlannerScalar, num_complex::Complex};

/// What to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denoise {
    /// Components with less than this share of the strongest amplitude (mean aside) are dropped ...
    pub weakest_share: f64,
    /// ... but at least so many are kept.
    pub keep_at_least: usize,
    /// Components with shorter periods than this many bins are dropped.
    pub shortest_period: usize,
}

/// The series without its noise; same length.
pub fn denoise(series: &[f64], keep: Denoise) -> Vec<f64> {
    let bins = series.len();
    if bins == 0 {
        return Vec::new();
    }
    let mut planner = FftPlannerScalar::<f64>::new();
    let mut spectrum: Vec<Complex<f64>> =
        series.iter().map(|&value| Complex::new(value, 0.0)).collect();
    planner.plan_fft_forward(bins).process(&mut spectrum);
    let kept = kept(&spectrum, keep);
    // Component k and its mirror image bins - k are one wave of period bins / k; they go together.
    for (component, value) in spectrum.iter_mut().enumerate().skip(1) {
        if !kept[component.min(bins - component)] {
            *value = Complex::new(0.0, 0.0);
        }
    }
    planner.plan_fft_inverse(bins).process(&mut spectrum);
    spectrum.iter().map(|value| value.re / bins as f64).collect()
}

/// Which waves stay, by cycles over the series.
fn kept(spectrum: &[Complex<f64>], keep: Denoise) -> Vec<bool> {
    let bins = spectrum.len();
    let is_slow = |cycles: usize| cycles * keep.shortest_period <= bins;
    let amplitude = |cycles: usize| spectrum[cycles].norm();
    let mut ranked: Vec<usize> = (1..=bins / 2).filter(|&cycles| is_slow(cycles)).collect();
    ranked.sort_by(|&a, &b| amplitude(b).total_cmp(&amplitude(a)).then(a.cmp(&b)));
    let weakest =
        ranked.first().map_or(0.0, |&strongest| amplitude(strongest)) * keep.weakest_share;
    let mut kept = vec![false; bins / 2 + 1];
    for (rank, &cycles) in ranked.iter().enumerate() {
        kept[cycles] = rank < keep.keep_at_least || amplitude(cycles) >= weakest;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    const KEEP: Denoise = Denoise { weakest_share: 0.2, keep_at_least: 1, shortest_period: 12 };

    fn wave(bins: usize, period: f64, amplitude: f64) -> impl Iterator<Item = f64> {
        (0..bins).map(move |bin| amplitude * (TAU * bin as f64 / period).sin())
    }

    #[test]
    fn a_slow_cycle_stays_and_fast_or_weak_ones_go() {
        let noisy: Vec<f64> = wave(288, 96.0, 10.0)
            .zip(wave(288, 4.0, 8.0))
            .zip(wave(288, 32.0, 1.0))
            .map(|((slow, fast), weak)| 50.0 + slow + fast + weak)
            .collect();
        let clean = denoise(&noisy, KEEP);
        for (found, expected) in clean.iter().zip(wave(288, 96.0, 10.0)) {
            assert!((found - 50.0 - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn more_components_can_be_kept_than_are_strong() {
        let two: Vec<f64> =
            wave(288, 96.0, 10.0).zip(wave(288, 32.0, 1.0)).map(|(a, b)| a + b).collect();
        let kept = denoise(&two, Denoise { keep_at_least: 2, ..KEEP });
        assert!(kept.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-9));
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert!(denoise(&[], KEEP).is_empty());
        assert!((denoise(&[3.0], KEEP)[0] - 3.0).abs() < 1e-12);
    }
}

//! At which lag two series move together: the maximum of the correlation of their changes.
//!
//! Changes are those of five minutes: over one minute the noise of a level hides its course, and over longer times
//! the peak gets blunt. They have no mean worth subtracting. A signal leads if the correlation at some lag ahead is
//! higher than at every lag that is not, by more than chance explains; what is a copy of demand with noise would
//! otherwise lead by a minute every other time.

/// Lags looked at, in minutes: the signal behind demand, and ahead of it.
pub const BEHIND: i32 = 30;
/// See [`BEHIND`].
pub const AHEAD: i32 = 60;

/// Minutes over which changes are taken.
const CHANGE: usize = 5;

/// Standard errors that count as more than chance.
const ERRORS: f64 = 2.0;

/// By how much the signal leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// By how many minutes it moves before demand does; zero and less: it does not.
    pub minutes: i32,
    /// Correlation of the changes at that lag.
    pub correlation: f64,
}

/// The best lag of `values` ahead of `demand`, both by the minute.
pub fn best(values: &[Option<f64>], demand: &[i64]) -> Lag {
    let value = |at: usize| Some(values[at]? - values[at.checked_sub(CHANGE)?]?);
    let moved: Vec<Option<f64>> = (0..values.len()).map(value).collect();
    let change = |at: usize| Some((demand[at] - demand[at.checked_sub(CHANGE)?]) as f64);
    let rose: Vec<Option<f64>> = (0..demand.len()).map(change).collect();
    let at = |minutes| Lag { minutes, correlation: correlation(&moved, &rose, minutes) };
    let behind = (-BEHIND..=0).rev().map(at).reduce(higher);
    let ahead = (1..=AHEAD).map(at).reduce(higher);
    let none = Lag { minutes: 0, correlation: 0.0 };
    let (behind, ahead) = (behind.unwrap_or(none), ahead.unwrap_or(none));
    let independent = moved.iter().flatten().count() as f64 / CHANGE as f64;
    let chance = ERRORS / independent.max(1.0).sqrt();
    if ahead.correlation > behind.correlation.max(0.0) + chance { ahead } else { behind }
}

/// Of equal ones the first.
fn higher(a: Lag, b: Lag) -> Lag {
    if b.correlation > a.correlation { b } else { a }
}

fn correlation(moved: &[Option<f64>], rose: &[Option<f64>], minutes: i32) -> f64 {
    let (behind, ahead) = ((-minutes).max(0) as usize, minutes.max(0) as usize);
    let pairs = moved.iter().skip(behind).zip(rose.iter().skip(ahead));
    let mut sums = (0.0, 0.0, 0.0);
    for (&moved, &rose) in pairs {
        let (Some(x), Some(y)) = (moved, rose) else { continue };
        sums = (sums.0 + x * y, sums.1 + x * x, sums.2 + y * y);
    }
    let (both, one, other) = sums;
    let scale = (one * other).sqrt();
    if scale > 0.0 { both / scale } else { 0.0 }
}

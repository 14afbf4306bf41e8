//! Instants and spans as plain integers of milliseconds. There is no clock here.
//!
//! An instant counts from a zero that its owner defines: the start of the trace in simulations,
//! the Unix epoch elsewhere. Arithmetic saturates, so "never" is simply a very late instant.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    ops::{Add, AddAssign, Mul, Sub},
};

/// An instant: milliseconds since the owner's zero.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A span of time in milliseconds; negative when "before".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Timestamp {
    /// The owner's zero.
    pub const ZERO: Self = Self(0);
    /// Later than everything: "never", "not yet".
    pub const NEVER: Self = Self(i64::MAX);

    /// The instant `secs` seconds after zero.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Seconds since zero.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Hours since zero.
    pub fn as_hours(self) -> f64 {
        self.0 as f64 / 3_600_000.0
    }

    /// The first multiple of `step` that is not before this instant. A step of zero or less
    /// means "no grid".
    #[must_use]
    pub fn ceil_to(self, step: Millis) -> Self {
        if step.0 <= 0 || self == Self::NEVER {
            return self;
        }
        let rest = self.0.rem_euclid(step.0);
        if rest == 0 { self } else { Self(self.0.saturating_add(step.0 - rest)) }
    }
}

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than every run.
    pub const MAX: Self = Self(i64::MAX);

    /// A span of seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// A span of minutes.
    pub const fn from_mins(mins: i64) -> Self {
        Self(mins.saturating_mul(60_000))
    }

    /// A span of hours.
    pub const fn from_hours(hours: i64) -> Self {
        Self(hours.saturating_mul(3_600_000))
    }

    /// Seconds with fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Hours with fraction.
    pub fn as_hours(self) -> f64 {
        self.0 as f64 / 3_600_000.0
    }
}

impl Add<Millis> for Timestamp {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Millis> for Timestamp {
    fn add_assign(&mut self, span: Millis) {
        *self = *self + span;
    }
}

impl Sub<Millis> for Timestamp {
    type Output = Self;
    fn sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Millis;
    fn sub(self, other: Self) -> Millis {
        Millis(self.0.saturating_sub(other.0))
    }
}

impl Add for Millis {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Millis {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<i64> for Millis {
    type Output = Self;
    fn mul(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl fmt::Display for Millis {
    /// `90s`, `5m`, `2h`: the largest unit that divides the span.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(f, "0s"),
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms if ms % 1000 == 0 => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_point_is_its_own_ceiling() {
        let grid = Millis::from_secs(10);
        assert_eq!(Timestamp(20_000).ceil_to(grid), Timestamp(20_000));
        assert_eq!(Timestamp(20_001).ceil_to(grid), Timestamp(30_000));
        assert_eq!(Timestamp(-1).ceil_to(grid), Timestamp(0));
        assert_eq!(Timestamp(7).ceil_to(Millis::ZERO), Timestamp(7));
        assert_eq!(Timestamp::NEVER.ceil_to(grid), Timestamp::NEVER);
    }

    #[test]
    fn never_plus_anything_is_never() {
        assert_eq!(Timestamp::NEVER + Millis::from_hours(1), Timestamp::NEVER);
    }

    #[test]
    fn spans_print_in_the_largest_fitting_unit() {
        let shown = [0, 90_000, 300_000, 7_200_000, 1_500].map(|ms| Millis(ms).to_string());
        assert_eq!(shown, ["0s", "90s", "5m", "2h", "1500ms"]);
    }
}

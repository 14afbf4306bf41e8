//! The one place of the controller that reads the system clock.
//!
//! A clock can run faster than time: end-to-end tests and demonstrations live a day in minutes.

use crate::time::{Millis, Timestamp};
use std::time::{Duration, Instant};

/// Tells the time and waits.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    start: Timestamp,
    speed: f64,
}

impl Clock {
    /// The system clock.
    pub fn system() -> Self {
        Self::fast(1.0)
    }

    /// Starts at the present and runs `speed` times as fast as time (at least 1).
    pub fn fast(speed: f64) -> Self {
        let start = Timestamp(jiff::Timestamp::now().as_millisecond());
        Self { started: Instant::now(), start, speed: speed.max(1.0) }
    }

    /// Milliseconds since the Unix epoch. Never goes back, whatever happens to the system clock: it was read
    /// once.
    pub fn now(&self) -> Timestamp {
        let passed = self.started.elapsed().as_secs_f64() * self.speed * 1000.0;
        self.start + Millis(passed as i64)
    }

    /// The same instant for libraries.
    pub fn civil(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.now().0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// Really passing time for a span of this clock.
    pub fn real(&self, span: Millis) -> Duration {
        Duration::from_secs_f64((span.0.max(0) as f64 / 1000.0 / self.speed).min(86_400.0))
    }

    /// Waits for a span of this clock.
    pub async fn sleep(&self, span: Millis) {
        tokio::time::sleep(self.real(span)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_waits_less() {
        let clock = Clock::fast(60.0);
        assert_eq!(clock.real(Millis::from_mins(1)), Duration::from_secs(1));
        assert_eq!(clock.real(Millis(-5)), Duration::ZERO);
        assert_eq!(clock.real(Millis::MAX), Duration::from_hours(24));
    }
}

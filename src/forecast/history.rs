//! Mean demand per equal bin of time, from a running integral.

use crate::time::{Millis, Timestamp};
use std::collections::VecDeque;

/// The last bins of demand. Bin `k` covers `[k * width, (k + 1) * width)` since zero.
///
/// Fed with the integral of demand at arbitrary instants; between two of them demand is taken as
/// constant, so a bin is exact if it was looked at on its edges.
#[derive(Clone, Debug)]
pub struct DemandHistory {
    width: Millis,
    most: usize,
    means: VecDeque<f64>,
    /// Index of the bin that is being filled.
    current: i64,
    filled: f64,
    last: Option<(Timestamp, i128)>,
}

impl DemandHistory {
    /// Bins of `width`, the last `most` of which are kept.
    pub const fn new(width: Millis, most: usize) -> Self {
        Self { width, most, means: VecDeque::new(), current: 0, filled: 0.0, last: None }
    }

    /// Takes the integral of demand (any unit times milliseconds) at `now`. Instants must not go back.
    pub fn note(&mut self, now: Timestamp, integral: i128) {
        let Some((last, before)) = self.last.replace((now, integral)) else {
            self.current = now.0.div_euclid(self.width.0);
            return;
        };
        let span = now - last;
        if span.0 <= 0 {
            return;
        }
        let mean = (integral - before) as f64 / span.0 as f64;
        let mut at = last.0;
        while at < now.0 {
            let edge = (self.current + 1) * self.width.0;
            let until = edge.min(now.0);
            self.filled += mean * (until - at) as f64;
            at = until;
            if at == edge {
                self.close_bin();
            }
        }
    }

    fn close_bin(&mut self) {
        self.means.push_back(self.filled / self.width.0 as f64);
        if self.means.len() > self.most {
            self.means.pop_front();
        }
        self.filled = 0.0;
        self.current += 1;
    }

    /// Means of the complete bins, oldest first.
    pub fn means(&self) -> &VecDeque<f64> {
        &self.means
    }

    /// Index of the bin that is being filled; `means()[i]` is bin `current() - len + i`.
    pub const fn current(&self) -> i64 {
        self.current
    }

    /// The next edge between bins after `now`.
    pub const fn next_edge(&self) -> Timestamp {
        Timestamp((self.current + 1) * self.width.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integral_is_shared_between_the_bins_it_spans() {
        let mut history = DemandHistory::new(Millis(100), 10);
        history.note(Timestamp(0), 0);
        history.note(Timestamp(50), 50 * 4);
        // 6 per millisecond over [50, 250).
        history.note(Timestamp(250), 50 * 4 + 200 * 6);
        assert_eq!(history.means().iter().copied().collect::<Vec<_>>(), [5.0, 6.0]);
        assert_eq!((history.current(), history.next_edge()), (2, Timestamp(300)));
    }

    #[test]
    fn only_the_last_bins_are_kept() {
        let mut history = DemandHistory::new(Millis(10), 3);
        for step in 0..=10 {
            history.note(Timestamp(step * 10), i128::from(step * step * 10));
        }
        // Bin k has mean (k+1)^2 - k^2.
        assert_eq!(history.means().iter().copied().collect::<Vec<_>>(), [15.0, 17.0, 19.0]);
    }
}

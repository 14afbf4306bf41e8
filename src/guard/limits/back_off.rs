//! Pauses after a refused or failed node: two minutes, doubling to thirty, until one comes up.

use crate::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// The first pause.
const FIRST: Millis = Millis::from_mins(2);
/// The longest.
const LONGEST: Millis = Millis::from_mins(30);
/// No speculation for two decision intervals after a failure, even if it is followed by a success.
const NO_SPECULATION: Millis = Millis::from_secs(30);

/// The state of one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackOff {
    /// The pause that is running or was the last.
    pause: Millis,
    until: Option<Timestamp>,
    failed_at: Option<Timestamp>,
}

impl BackOff {
    /// A request was refused or a node failed. Requests that were made together fail together: what
    /// fails within a pause does not lengthen it.
    pub fn failed(&mut self, now: Timestamp) {
        self.failed_at = Some(now);
        if self.blocks(now) {
            return;
        }
        self.pause = if self.pause == Millis::ZERO { FIRST } else { (self.pause * 2).min(LONGEST) };
        self.until = Some(now + self.pause);
    }

    /// A request was granted and its node came up.
    pub fn succeeded(&mut self) {
        (self.pause, self.until) = (Millis::ZERO, None);
    }

    /// No node of the pool may be requested.
    pub fn blocks(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// No node may be requested on speculation.
    pub fn blocks_speculation(&self, now: Timestamp) -> bool {
        self.blocks(now) || self.failed_at.is_some_and(|at| now < at + NO_SPECULATION)
    }

    /// When the next of the two blocks ends, [`Timestamp::NEVER`] if none is in force.
    pub fn next_change(&self, now: Timestamp) -> Timestamp {
        let ends = [self.until, self.failed_at.map(|at| at + NO_SPECULATION)];
        ends.into_iter().flatten().filter(|&end| end > now).min().unwrap_or(Timestamp::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn pauses_double_to_half_an_hour_and_success_ends_them() {
        let (mut back_off, mut now) = (BackOff::default(), secs(0));
        let mut pauses = Vec::new();
        for _ in 0..6 {
            back_off.failed(now);
            let until = back_off.until.unwrap();
            pauses.push((until - now).0 / 60_000);
            assert!(back_off.blocks(now + Millis(1)) && !back_off.blocks(until));
            now = until;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 30, 30]);
        back_off.succeeded();
        back_off.failed(now);
        assert_eq!(back_off.until, Some(now + FIRST));
    }

    #[test]
    fn what_fails_together_counts_once() {
        let mut back_off = BackOff::default();
        (0..5).for_each(|_| back_off.failed(secs(0)));
        back_off.failed(secs(100));
        assert_eq!(back_off.until, Some(secs(120)));
    }

    #[test]
    fn after_a_success_speculation_still_rests_for_a_moment() {
        let mut back_off = BackOff::default();
        back_off.failed(secs(0));
        back_off.succeeded();
        assert!(!back_off.blocks(secs(10)));
        assert!(back_off.blocks_speculation(secs(29)) && !back_off.blocks_speculation(secs(30)));
        assert_eq!(back_off.next_change(secs(10)), secs(30));
        assert_eq!(back_off.next_change(secs(30)), Timestamp::NEVER);
    }
}

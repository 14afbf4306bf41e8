//! How fast a pool may change: speculation up, anything down. What waiting work needs is exempt.

use super::Limit;
use crate::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// Sizes and spacing of steps. Shares are in thousandths of the pool's nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSettings {
    /// Nodes requested on speculation within `up_every`: at most this share ...
    pub up_permille: u32,
    /// ... or so many, whichever is more.
    pub up_least: u32,
    /// One decision interval.
    pub up_every: Millis,
    /// Nodes on their way on speculation at one time; `None` = half of the pool's maximum, and without
    /// a maximum no limit.
    pub max_in_flight: Option<u32>,
    /// Nodes removed within `down_every`: at most this share ...
    pub down_permille: u32,
    /// ... or so many, whichever is more.
    pub down_least: u32,
    /// Spacing of steps down.
    pub down_every: Millis,
    /// Nothing goes so long after a request whose nodes are still on their way.
    pub down_after_up: Millis,
    /// A node that has been usable for less than this stays, idle or not: what was paid for booting it is
    /// not thrown away by a change of strategy. Only where the credit is used up does it go before.
    #[serde(default = "min_hold")]
    pub min_hold: Millis,
}

/// The shortest idle time of any candidate. Ten minutes cost up to 0.08 % of J on the first 40 % of traces,
/// five nothing.
const fn min_hold() -> Millis {
    Millis::from_mins(5)
}

impl Default for StepSettings {
    /// Up 20 % or 2 in 15 s, down 10 % or 1 in 60 s, none down within 10 min of an up or 5 min
    /// of becoming usable.
    fn default() -> Self {
        Self {
            up_permille: 200,
            up_least: 2,
            up_every: Millis::from_secs(15),
            max_in_flight: None,
            down_permille: 100,
            down_least: 1,
            down_every: Millis::from_secs(60),
            down_after_up: Millis::from_mins(10),
            min_hold: min_hold(),
        }
    }
}

impl StepSettings {
    /// New nodes on speculation that those on their way leave.
    pub fn in_flight_room(&self, in_flight: u32, max_nodes: Option<u32>) -> u32 {
        let half = max_nodes.map(|max| (max / 2).max(1));
        self.max_in_flight.or(half).map_or(u32::MAX, |most| most.saturating_sub(in_flight))
    }
}

/// What was done within an interval. It begins with the first step, and the next one with the first
/// step after its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Interval {
    since: Option<Timestamp>,
    nodes: u32,
}

impl Interval {
    fn used(&self, now: Timestamp, every: Millis) -> u32 {
        if self.since.is_some_and(|since| now < since + every) { self.nodes } else { 0 }
    }

    fn note(&mut self, now: Timestamp, every: Millis, nodes: u32) {
        let used = self.used(now, every);
        if used == 0 {
            self.since = Some(now);
        }
        self.nodes = used.saturating_add(nodes);
    }
}

/// Steps of one pool so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    up: Interval,
    down: Interval,
    /// When nodes were last requested, for whatever reason.
    last_up: Option<Timestamp>,
}

impl Steps {
    /// Nodes that may be requested on speculation now by a pool of `alive` nodes.
    pub fn up_room(&self, now: Timestamp, alive: u32, settings: &StepSettings) -> u32 {
        let step = share(alive, settings.up_permille).max(settings.up_least);
        step.saturating_sub(self.up.used(now, settings.up_every))
    }

    /// Nodes that may go now, and which limit says so.
    pub fn down_room(
        &self,
        now: Timestamp,
        alive: u32,
        in_flight: u32,
        settings: &StepSettings,
    ) -> (Limit, u32) {
        let is_recent = self.last_up.is_some_and(|up| now < up + settings.down_after_up);
        if is_recent && in_flight > 0 {
            return (Limit::RecentUp, 0);
        }
        let step = share(alive, settings.down_permille).max(settings.down_least);
        (Limit::DownStep, step.saturating_sub(self.down.used(now, settings.down_every)))
    }

    /// Nodes were requested, `speculative` of them on speculation.
    pub fn note_up(
        &mut self,
        now: Timestamp,
        nodes: u32,
        speculative: u32,
        settings: &StepSettings,
    ) {
        if nodes > 0 {
            self.last_up = Some(now);
        }
        if speculative > 0 {
            self.up.note(now, settings.up_every, speculative);
        }
    }

    /// Nodes go.
    pub fn note_down(&mut self, now: Timestamp, nodes: u32, settings: &StepSettings) {
        if nodes > 0 {
            self.down.note(now, settings.down_every, nodes);
        }
    }

    /// When one of the intervals ends, so that more may be done; [`Timestamp::NEVER`] if none runs.
    pub fn next_change(&self, now: Timestamp, settings: &StepSettings) -> Timestamp {
        let ends = [
            self.up.since.map(|since| since + settings.up_every),
            self.down.since.map(|since| since + settings.down_every),
            self.last_up.map(|up| up + settings.down_after_up),
        ];
        ends.into_iter().flatten().filter(|&end| end > now).min().unwrap_or(Timestamp::NEVER)
    }
}

fn share(nodes: u32, permille: u32) -> u32 {
    (u64::from(nodes) * u64::from(permille) / 1000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn up_is_a_fifth_of_the_pool_or_two_an_interval() {
        let (settings, mut steps) = (StepSettings::default(), Steps::default());
        let room = |steps: &Steps, at, alive| steps.up_room(secs(at), alive, &settings);
        assert_eq!([0, 10, 14, 15, 50].map(|alive| room(&steps, 0, alive)), [2, 2, 2, 3, 10]);
        steps.note_up(secs(0), 6, 6, &settings);
        // 56 alive now: 11 less the 6.
        assert_eq!(room(&steps, 14, 56), 5);
        steps.note_up(secs(14), 5, 5, &settings);
        assert_eq!((room(&steps, 14, 56), room(&steps, 15, 56)), (0, 11));
        // What waiting work needs does not count.
        steps.note_up(secs(15), 40, 0, &settings);
        assert_eq!(room(&steps, 15, 56), 11);
    }

    #[test]
    fn down_is_a_tenth_of_the_pool_or_one_a_minute() {
        let (settings, mut steps) = (StepSettings::default(), Steps::default());
        let room = |steps: &Steps, at, alive| steps.down_room(secs(at), alive, 0, &settings);
        assert_eq!(room(&steps, 0, 5), (Limit::DownStep, 1));
        assert_eq!(room(&steps, 0, 39), (Limit::DownStep, 3));
        steps.note_down(secs(0), 3, &settings);
        assert_eq!(room(&steps, 59, 39), (Limit::DownStep, 0));
        assert_eq!(room(&steps, 60, 36), (Limit::DownStep, 3));
        assert_eq!(steps.next_change(secs(59), &settings), secs(60));
        assert_eq!(steps.next_change(secs(60), &settings), Timestamp::NEVER);
    }

    #[test]
    fn nothing_goes_while_recent_requests_are_on_their_way() {
        let (settings, mut steps) = (StepSettings::default(), Steps::default());
        steps.note_up(secs(0), 1, 0, &settings);
        let room = |at, in_flight| steps.down_room(secs(at), 10, in_flight, &settings);
        assert_eq!(room(599, 1), (Limit::RecentUp, 0));
        assert_eq!(room(599, 0), (Limit::DownStep, 1));
        assert_eq!(room(600, 1), (Limit::DownStep, 1));
    }

    #[test]
    fn on_the_way_is_at_most_half_of_the_maximum() {
        let settings = StepSettings::default();
        let given = StepSettings { max_in_flight: Some(3), ..settings };
        assert_eq!(settings.in_flight_room(2, Some(11)), 3);
        assert_eq!(settings.in_flight_room(0, Some(1)), 1);
        assert_eq!(settings.in_flight_room(2, None), u32::MAX);
        assert_eq!(given.in_flight_room(2, Some(100)), 1);
    }
}

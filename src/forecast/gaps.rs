//! How long the last-in nodes of a pool stay idle, and after how long they had better go.
//!
//! Nodes are levels: level `k` is needed while at least `k` nodes are, and idle otherwise. From the
//! needed nodes of the last 14 days come the idle gaps of every level; gaps that still run are
//! right-censored. Levels with few gaps share those of their neighbours. The timeout of a level weighs
//! the time an idle node costs against the price of starting it again.
//!
//! In go instants and numbers of nodes; out comes a timeout for a level and a price. Knows nothing of
//! single nodes: which of them go is decided elsewhere.
//!
//! # Source
//! Ski rental with a known distribution (Karlin et al., "Competitive randomized algorithms for nonuniform
//! problems", 1994), per level as in Lin et al., "Dynamic right-sizing for power-proportional data centers"
//! (INFOCOM 2011); survival of censored gaps after Kaplan and Meier (1958).

use crate::{
    model::MAX_NODES,
    time::{Millis, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How far back gaps are taken from.
const WINDOW: Millis = Millis::from_hours(14 * 24);

/// Most changes remembered, 2 MiB: one every ten seconds for 14 days.
const MOST_STEPS: usize = 1 << 17;

/// Gaps are told apart by these lengths, in minutes; the last is the longest timeout.
const EDGES: [u32; 25] = [
    0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 75, 90, 105, 120, 150, 180, 210,
    240,
];

/// No idle node is worth keeping longer without a forecast.
pub const LONGEST: Millis = Millis::from_mins(240);

/// Levels are put together until they have so many gaps that ended.
const GROUP_GAPS: u32 = 20;

/// Fewer gaps than this say nothing.
const HANDFUL: u32 = 8;

/// Most groups: more would differ by noise.
const MOST_GROUPS: u32 = 32;

/// By how much the learned timeout may differ from the price of a start, either way: a worst case of
/// three times the least possible cost, whatever the gaps do.
const CLAMP: i64 = 2;

/// The nodes a pool needed over the last 14 days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeededNodes {
    /// Needed from each instant on, oldest first.
    steps: VecDeque<(Timestamp, u32)>,
}

impl NeededNodes {
    /// So many nodes are needed from `now` on. Instants must not go back.
    pub fn note(&mut self, now: Timestamp, needed: u32) {
        if self.steps.back().is_none_or(|&(_, before)| before != needed) {
            self.steps.push_back((now, needed));
        }
        let edge = now - WINDOW;
        while self.steps.len() > MOST_STEPS || self.steps.get(1).is_some_and(|step| step.0 <= edge)
        {
            self.steps.pop_front();
        }
    }

    /// The gaps of all levels up to `now`. A gap that began before the window counts with the part of it
    /// that is known.
    pub fn gaps(&self, now: Timestamp) -> IdleGaps {
        let top = self.steps.iter().map(|&(_, needed)| needed).max().unwrap_or_default();
        let mut levels = vec![Tally::default(); top as usize];
        // Since when the levels above those needed are idle, the highest first.
        let mut idle: Vec<Timestamp> = Vec::new();
        for &(at, needed) in &self.steps {
            let idle_then = (top - needed) as usize;
            idle.resize(idle.len().max(idle_then), at);
            while idle.len() > idle_then {
                let level = top as usize - idle.len();
                let since = idle.pop().unwrap_or(at);
                levels[level].ended[bin(at - since)] += 1;
            }
        }
        for (&since, level) in idle.iter().zip(levels.iter_mut().rev()) {
            level.running[bin(now - since)] += 1;
        }
        IdleGaps { groups: group(&levels) }
    }
}

/// The bin of a length: the last one holds all from the last edge on.
impl NeededNodes {
    /// Whether what was kept can have been.
    pub(crate) fn is_sound(&self) -> bool {
        self.steps.len() <= MOST_STEPS && self.steps.iter().all(|&(_, needed)| needed <= MAX_NODES)
    }
}

fn bin(length: Millis) -> usize {
    EDGES.partition_point(|&edge| Millis::from_mins(edge.into()) <= length).saturating_sub(1)
}

/// Gaps by length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    ended: [u32; EDGES.len()],
    running: [u32; EDGES.len()],
}

impl Tally {
    fn add(&mut self, other: &Self) {
        let add = |to: &mut [u32], from: &[u32]| to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
        add(&mut self.ended, &other.ended);
        add(&mut self.running, &other.running);
    }

    fn ended(&self) -> u32 {
        self.ended.iter().sum()
    }

    /// The timeout with the least expected cost per gap: idle time until it, and `restart` if the gap is
    /// longer than it.
    fn timeout(&self, restart: Millis) -> Millis {
        let usual = restart.min(LONGEST);
        if self.ended() < HANDFUL {
            return usual;
        }
        let allowed =
            Millis(usual.0.min(restart.0 / CLAMP))..=Millis(restart.0.saturating_mul(CLAMP));
        let price = restart.0 as f64;
        let mut at_risk = f64::from(self.ended() + self.running.iter().sum::<u32>());
        let (mut survival, mut idle) = (1.0, 0.0);
        let mut best = (f64::INFINITY, usual);
        for (index, &edge) in EDGES.iter().enumerate() {
            let timeout = Millis::from_mins(edge.into());
            if timeout > *allowed.end() {
                break;
            }
            let cost = idle + survival * price;
            if allowed.contains(&timeout) && cost < best.0 {
                best = (cost, timeout);
            }
            let Some(&next) = EDGES.get(index + 1) else { break };
            if at_risk <= 0.0 {
                break;
            }
            let left = survival * (1.0 - f64::from(self.ended[index]) / at_risk);
            idle +=
                (Millis::from_mins(next.into()) - timeout).0 as f64 * f64::midpoint(survival, left);
            survival = left;
            at_risk -= f64::from(self.ended[index] + self.running[index]);
        }
        best.1
    }
}

/// The gaps of neighbouring levels, from `from` up to the next group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Group {
    from: u32,
    gaps: Tally,
}

/// Idle gaps of all levels, in groups: at most 7 kB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleGaps {
    /// By level, lowest first.
    groups: Vec<Group>,
}

/// When a level may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// After so much time idle.
    pub after: Millis,
    /// The lowest level of which the same is true.
    pub from: u32,
}

impl IdleGaps {
    /// The timeout of a level (1 = the first node) if starting a node again costs as much as `restart`
    /// of a node's time. Never longer than that of a lower level, so that the last in goes first.
    /// Without gaps to learn from it is `restart` itself: at most twice the least possible cost.
    pub fn timeout(&self, level: u32, restart: Millis) -> Timeout {
        let below = self.groups.iter().take_while(|group| group.from <= level);
        let shorter = |least: Option<Timeout>, group: &Group| {
            let after = group.gaps.timeout(restart);
            Some(match least {
                Some(least) if least.after <= after => least,
                _ => Timeout { after, from: group.from },
            })
        };
        let unknown = Timeout { after: restart.min(LONGEST), from: 1 };
        below.fold(None, shorter).unwrap_or(unknown)
    }
}

/// Puts neighbouring levels together, from the lowest, until each group has gaps enough.
impl IdleGaps {
    /// Whether what was kept can have been: no more gaps than the steps they come from.
    pub(crate) fn is_sound(&self) -> bool {
        let most = 1 << 24;
        let few = |gaps: &Tally| gaps.ended.iter().chain(&gaps.running).all(|&count| count <= most);
        self.groups.iter().all(|group| few(&group.gaps))
    }
}

fn group(levels: &[Tally]) -> Vec<Group> {
    let enough = (levels.iter().map(Tally::ended).sum::<u32>() / MOST_GROUPS).max(GROUP_GAPS);
    let mut groups: Vec<Group> = Vec::new();
    let mut open = Group { from: 1, gaps: Tally::default() };
    for (level, gaps) in (1..).zip(levels) {
        open.gaps.add(gaps);
        if open.gaps.ended() >= enough {
            groups.push(open);
            open = Group { from: level + 1, gaps: Tally::default() };
        }
    }
    // The highest levels have the fewest gaps: they go with the group below.
    match groups.last_mut() {
        Some(last) => last.gaps.add(&open.gaps),
        None => groups.push(open),
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn minute(at: i64) -> Timestamp {
        Timestamp(at * 60_000)
    }

    const fn mins(span: i64) -> Millis {
        Millis::from_mins(span)
    }

    fn history(steps: &[(i64, u32)]) -> NeededNodes {
        let mut needed = NeededNodes::default();
        for &(at, nodes) in steps {
            needed.note(minute(at), nodes);
        }
        needed
    }

    /// Level 2 idles `gap` minutes out of every `gap` + 10, again and again.
    fn regular(gap: i64, times: i64) -> IdleGaps {
        let cycle = |round: i64| [(round * (gap + 10), 2), (round * (gap + 10) + 10, 1)];
        let steps: Vec<(i64, u32)> = (0..times).flat_map(cycle).collect();
        history(&steps).gaps(minute(times * (gap + 10)))
    }

    #[test]
    fn gaps_end_last_in_first_out() {
        // Level 3 idles 10..50, level 2 20..30 and from 60 on, as does level 3.
        let gaps = history(&[(0, 3), (10, 2), (20, 1), (30, 2), (50, 3), (60, 1)]).gaps(minute(65));
        let all = &gaps.groups[0].gaps;
        let (mut ended, mut running) = ([0; EDGES.len()], [0; EDGES.len()]);
        ended[bin(mins(40))] = 1;
        ended[bin(mins(10))] = 1;
        running[bin(mins(5))] = 2;
        assert_eq!((gaps.groups.len(), all.ended, all.running), (1, ended, running));
    }

    #[test]
    fn a_level_that_always_comes_back_soon_is_waited_for() {
        // Gaps of 25 min, a start costs 20: waiting 25 (the next edge: 30) costs 25 and never a start,
        // giving up at once 10 + 20 at the least the clamp allows.
        assert_eq!(regular(25, 30).timeout(2, mins(20)).after, mins(30));
        // Gaps of 100 min: nothing to wait for, half the price is the shortest allowed.
        assert_eq!(regular(100, 30).timeout(2, mins(20)).after, mins(10));
    }

    #[test]
    fn a_handful_of_gaps_is_needed_to_differ_from_the_price_of_a_start() {
        assert_eq!(regular(100, 7).timeout(2, mins(20)).after, mins(20));
        assert_eq!(IdleGaps::default().timeout(2, mins(20)), Timeout { after: mins(20), from: 1 });
        assert_eq!(IdleGaps::default().timeout(2, mins(500)).after, LONGEST);
    }

    #[test]
    fn gaps_still_running_speak_against_waiting() {
        let mut gaps = Tally::default();
        gaps.ended[bin(mins(25))] = 10;
        assert_eq!(gaps.timeout(mins(20)), mins(30));
        // As many again have been idle for longer than any timeout: half of all starts cannot be saved,
        // 30 min of waiting cost 27.5 + 10, ten cost 10 + 20.
        gaps.running[EDGES.len() - 1] = 10;
        assert_eq!(gaps.timeout(mins(20)), mins(10));
    }

    #[test]
    fn old_steps_go_but_the_level_at_the_edge_of_the_window_stays() {
        let mut needed = history(&[(0, 5), (10, 1)]);
        needed.note(minute(10) + WINDOW, 1);
        assert_eq!(needed.steps, [(minute(10), 1)]);
    }

    #[test]
    fn it_survives_being_written_down() {
        let gaps = regular(25, 30);
        let text = serde_json::to_string(&gaps).unwrap();
        assert_eq!(serde_json::from_str::<IdleGaps>(&text).unwrap(), gaps);
    }

    proptest! {
        /// Every level above those needed is idle, by brute force over single minutes.
        #[test]
        fn every_gap_of_every_level_counts_once(
            nodes in prop::collection::vec(0u32..8, 2..60), pace in 1i64..5,
        ) {
            let steps: Vec<(i64, u32)> = (0..).step_by(pace as usize).zip(nodes.clone()).collect();
            let end = nodes.len() as i64 * pace;
            let mut expected = Tally::default();
            for level in 1..=nodes.iter().copied().max().unwrap_or_default() {
                let is_idle: Vec<bool> = nodes.iter().map(|&needed| needed < level).collect();
                let mut runs = is_idle.chunk_by(|a, b| a == b).peekable();
                while let Some(run) = runs.next() {
                    let length = bin(mins(run.len() as i64 * pace));
                    if run[0] && runs.peek().is_some() {
                        expected.ended[length] += 1;
                    } else if run[0] {
                        expected.running[length] += 1;
                    }
                }
            }
            let gaps = history(&steps).gaps(minute(end));
            let mut found = Tally::default();
            gaps.groups.iter().for_each(|group| found.add(&group.gaps));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn higher_levels_never_wait_longer_and_all_stay_within_bounds(
            nodes in prop::collection::vec(0u32..30, 2..400), price in 1i64..600,
        ) {
            let steps: Vec<(i64, u32)> = (0..).step_by(7).zip(nodes).collect();
            let gaps = history(&steps).gaps(minute(3000));
            let timeouts: Vec<Timeout> =
                (0..40).map(|level| gaps.timeout(level, mins(price))).collect();
            for pair in timeouts[1..].windows(2) {
                prop_assert!(pair[0].after >= pair[1].after && pair[0].from <= pair[1].from);
            }
            for timeout in timeouts {
                prop_assert!(timeout.after <= LONGEST);
                prop_assert!(timeout.after <= mins(price * 2));
                prop_assert!(timeout.after >= Millis(mins(price).0 / 2).min(LONGEST));
            }
        }
    }
}

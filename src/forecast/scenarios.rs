//! Past windows as scenarios of the next one: how many empty nodes each would need beside what is free now.
//!
//! A window is what came in one lead time after a past instant. [`Scenarios`] keeps, for each burst level and
//! for all situations together, up to [`WINDOWS`] of them, as the states in which its jobs may need most. At a
//! decision each is packed onto the parts of nodes that are free then ("fragments"): what does not fit there
//! needs empty nodes. A quantile of these needs is what has to be ready. So sizes, gangs and fragments count
//! together: four free GPUs on each of eight nodes hold eight small jobs, and none of eight GPUs.
//!
//! Packing is that of [`super::deficit`], best-fit decreasing, with its limits: devices alone count, jobs older
//! than the window neither help nor count, and what is left of a shared device counts as used.
//!
//! Windows are chosen where tables of quantiles are taken: only those whose horizon has passed by then. A
//! situation that has seen little leans on all situations as tables do, but rounds to the nearest node: a
//! thousandth of somebody else's node is none.
//!
//! # Source
//! Scenario approximation of a chance constraint (Calafiore and Campi 2005; Luedtke and Ahmed 2008): the
//! quantile of what each of a sample of past windows would have needed.

use super::{
    bins::{Features, Scheme},
    deficit::{NodeSizes, Running, best_fit},
    events::Events,
    labels::Span,
    quantile::{MIN_LABELS, SHRINK},
};
use crate::{time::Timestamp, units::is_amount};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// Most windows of one situation.
pub const WINDOWS: usize = 64;

/// States kept of one window: those that need most on no free capacity.
const STATES: usize = 4;

/// The jobs of a window at one instant, by devices: entry 0 is whole nodes, entry `d` parts of `d` devices.
type State = Vec<u32>;

/// A window in which something came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Window {
    /// Nodes it needs on no free capacity.
    alone: u32,
    states: Vec<State>,
}

/// The windows of one situation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bin {
    /// Instants seen in this situation.
    labels: u32,
    /// Windows chosen, those in which nothing came included.
    chosen: u32,
    /// Those in which something came; those that need most alone first.
    windows: Vec<Window>,
}

/// Past windows by burst level. Plain data of bounded size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenarios {
    gpus_per_node: u32,
    all: Bin,
    bursts: Vec<Bin>,
}

impl Scenarios {
    /// The windows of `span` of which `features` (one for each instant of its grid) tell the situation; `None`
    /// if there is none.
    pub fn fit(
        events: &Events,
        sizes: &NodeSizes,
        span: &Span,
        features: &[Features],
    ) -> Option<Self> {
        let (first, count) = span.grid(events);
        let count = count.min(features.len());
        if count == 0 {
            return None;
        }
        let mut fitting = Fitting { events, span, running: Running::new(sizes) };
        let instant = |index: usize| first + span.step * index as i64;
        let mut bin = |is_in: &dyn Fn(&Features) -> bool| {
            let within = (0..count).rev().filter(|&index| is_in(&features[index]));
            fitting.bin(&within.map(instant).collect::<Vec<_>>())
        };
        let levels = 0..Scheme::Burst.bins();
        let all = bin(&|_| true);
        let bursts = levels.map(|level| bin(&|of| Scheme::Burst.bin(of) == level)).collect();
        Some(Self { gpus_per_node: sizes.gpus_per_node(), all, bursts })
    }

    /// Empty nodes with which, beside `fragments`, all jobs of a window could start at once with probability
    /// `level` (0..=1) in this situation. `fragments[d]`: nodes with `d` free devices that are not empty.
    pub fn empty_nodes(
        &self,
        scheme: Scheme,
        features: &Features,
        level: f64,
        fragments: &[u32],
    ) -> u32 {
        let need = |bin: &Bin| bin.empty_nodes(self.gpus_per_node, level, fragments);
        let own = match scheme {
            Scheme::All => None,
            _ => self.bursts.get(Scheme::Burst.bin(features)),
        };
        let Some(own) = own.filter(|own| own.labels >= MIN_LABELS) else { return need(&self.all) };
        let (labels, others) = (u64::from(own.labels), u64::from(SHRINK));
        let sum = labels * u64::from(need(own)) + others * u64::from(need(&self.all));
        // To the nearest; half a node is none.
        let weight = labels + others;
        ((2 * sum + weight - 1) / (2 * weight)) as u32
    }

    /// Whether what was kept can have been.
    pub(crate) fn is_sound(&self) -> bool {
        self.gpus_per_node > 0
            && self.bursts.len() == Scheme::Burst.bins()
            && self.bursts.iter().chain([&self.all]).all(|bin| bin.is_sound(self.gpus_per_node))
    }
}

/// What windows are taken from.
struct Fitting<'a> {
    events: &'a Events,
    span: &'a Span,
    running: Running<'a>,
}

impl Fitting<'_> {
    /// The bin of these instants, newest first.
    fn bin(&mut self, instants: &[Timestamp]) -> Bin {
        let chosen = choose(instants);
        let mut windows: Vec<Window> = chosen.iter().filter_map(|&t0| self.window(t0)).collect();
        windows.sort_by(|a, b| b.cmp(a));
        Bin { labels: instants.len() as u32, chosen: chosen.len() as u32, windows }
    }

    fn window(&mut self, t0: Timestamp) -> Option<Window> {
        let mut states: Vec<State> = Vec::new();
        let window = self.events.window(t0, t0 + self.span.horizon);
        self.running.visit_peaks(window, t0, |running| {
            let state = running.by_devices();
            if !states.iter().any(|other| is_within(&state, other)) {
                states.retain(|other| !is_within(other, &state));
                states.push(state);
            }
        });
        let (per_node, mut open) = (self.running.gpus_per_node(), Vec::new());
        let alone = |state: &State, open: &mut Vec<_>| beyond(state, per_node, &[], open);
        states.sort_by_cached_key(|state| Reverse(alone(state, &mut open)));
        states.truncate(STATES);
        let alone = alone(states.first()?, &mut open);
        Some(Window { alone, states })
    }
}

/// Up to [`WINDOWS`] of the instants, evenly over all of them: neighbours tell nearly the same.
fn choose(instants: &[Timestamp]) -> Vec<Timestamp> {
    let count = instants.len().min(WINDOWS);
    (0..count).map(|nth| instants[nth * instants.len() / count]).collect()
}

/// Whether a state asks for nothing that the other does not.
fn is_within(state: &State, other: &State) -> bool {
    state.iter().zip(other).all(|(count, of_other)| count <= of_other)
}

impl Bin {
    /// The quantile `level` (nearest rank) of the empty nodes that the windows need.
    ///
    /// No window needs more than it does alone, and those that need most alone come first: once as many as the
    /// rank asks for need at least as much as the next one alone, the rest cannot matter.
    fn empty_nodes(&self, per_node: u32, level: f64, fragments: &[u32]) -> u32 {
        let rank = rank(self.chosen, level);
        let largest = (self.chosen + 1).saturating_sub(rank).max(1) as usize;
        let mut needs: Vec<u32> = Vec::with_capacity(largest + 1);
        let mut open = Vec::with_capacity(2 * fragments.len());
        for window in &self.windows {
            if needs.len() == largest && needs[largest - 1] >= window.alone {
                break;
            }
            let need = window.empty_nodes(per_node, fragments, &mut open);
            let place = needs.partition_point(|&other| other >= need);
            needs.insert(place, need);
            needs.truncate(largest);
        }
        needs.get(largest - 1).copied().unwrap_or(0)
    }

    fn is_sound(&self, per_node: u32) -> bool {
        let is_state = |state: &State| {
            state.len() == per_node as usize && state.iter().all(|&count| is_amount(count.into()))
        };
        self.windows.len() <= self.chosen as usize
            && self.windows.iter().all(|window| window.states.iter().all(is_state))
    }
}

impl Window {
    fn empty_nodes(&self, per_node: u32, fragments: &[u32], open: &mut Vec<(u32, i64)>) -> u32 {
        let need = |state| beyond(state, per_node, fragments, open);
        self.states.iter().map(need).max().unwrap_or(0).min(self.alone)
    }
}

/// Empty nodes that a state needs beside the fragments.
fn beyond(state: &State, per_node: u32, fragments: &[u32], open: &mut Vec<(u32, i64)>) -> u32 {
    open.clear();
    let free = (0u32..).zip(fragments).filter(|&(free, &nodes)| free > 0 && nodes > 0);
    open.extend(free.map(|(free, &nodes)| (free, i64::from(nodes))));
    let rests = (1..state.len()).rev().map(|size| (size as u32, i64::from(state[size])));
    let whole = state.first().map(|&nodes| (per_node, i64::from(nodes)));
    u32::try_from(best_fit(per_node, whole.into_iter().chain(rests), open)).unwrap_or(u32::MAX)
}

/// Number of the smallest of `count` values that is at least the quantile `level`, from 1.
fn rank(count: u32, level: f64) -> u32 {
    // In millionths, so that 0.95 is 0.95 and not a hair above.
    let millionths = (level.clamp(0.0, 1.0) * 1e6).round() as u64;
    ((u64::from(count) * millionths).div_ceil(1_000_000) as u32).max(1)
}

#[cfg(test)]
mod tests;

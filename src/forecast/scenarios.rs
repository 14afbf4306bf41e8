//! Past windows as scenarios of the next one: how many empty nodes each would need beside what is free now.
//!
//! A window is what came in one lead time after a past instant. [`Scenarios`] keeps, for each burst level and
//! for all situations together, up to [`WINDOWS`] of them, as the states in which its jobs may need most. At a
//! decision each is packed onto the parts of nodes that are free then ("fragments"): what does not fit there
//! needs empty nodes. A quantile of these needs is what has to be ready. So sizes, gangs and fragments count
//! together: four free GPUs on each of eight nodes hold eight small jobs, and none of eight GPUs.
//!
//! Packing is that of [`super::deficit`], best-fit decreasing, with its limits: devices alone count, and jobs
//! older than the window neither help nor count. (To count what they leave as free was tried and changed little:
//! see ARCHITECTURE.md.)
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
    deficit::{NodeSizes, Running},
    events::Events,
    fill::{fill_bins, fill_nodes},
    labels::Span,
    quantile::{MIN_LABELS, SHRINK},
};
use crate::{
    time::Timestamp,
    units::{GPU_MILLI, is_amount},
};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, iter::repeat_n};

/// Most windows of one situation.
pub const WINDOWS: usize = 64;

/// States kept of one window: those that need most on no free capacity.
const STATES: usize = 4;

/// What is free on nodes that are not empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Free<'a> {
    /// Entry `d`: nodes with `d` devices free.
    pub nodes: &'a [u32],
    /// Shared devices of which something is left: (thousandths, devices), each amount once.
    pub devices: &'a [(u32, u32)],
}

/// The jobs of a window at one instant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct State {
    /// Entry 0: whole nodes; entry `d`: parts of `d` devices.
    parts: Vec<u32>,
    /// Shares of a device in thousandths, largest first, and how many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shares: Vec<(u32, u32)>,
}

/// Windows in which the same came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Window {
    /// Nodes each needs on no free capacity.
    alone: u32,
    states: Vec<State>,
    /// How many there are.
    count: u32,
}

/// The windows of one situation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bin {
    /// Instants seen in this situation.
    labels: u32,
    /// Windows chosen, those in which nothing came included.
    chosen: u32,
    /// Those in which something came; what needs most alone first.
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

    /// Empty nodes with which, beside what is `free`, all jobs of a window could start at once with each of the
    /// probabilities `levels` (0..=1) in this situation.
    pub fn empty_nodes<const N: usize>(
        &self,
        scheme: Scheme,
        features: &Features,
        levels: [f64; N],
        free: Free<'_>,
    ) -> [u32; N] {
        let mut packer = Packer::new(self.gpus_per_node, free);
        let own = match scheme {
            Scheme::All => None,
            _ => self.bursts.get(Scheme::Burst.bin(features)),
        };
        let Some(own) = own.filter(|own| own.labels >= MIN_LABELS) else {
            return self.all.empty_nodes(levels, &mut packer);
        };
        let needs = own.empty_nodes(levels, &mut packer);
        let (labels, others) = (u64::from(own.labels), u64::from(SHRINK));
        let weight = labels + others;
        let most = needs.iter().chain(&self.all.alone(levels)).copied().max().unwrap_or(0);
        if 2 * others * u64::from(most) < weight {
            return needs;
        }
        let of_all = self.all.empty_nodes(levels, &mut packer);
        // To the nearest; half a node is none.
        let lean = |own, all| {
            let sum = labels * u64::from(own) + others * u64::from(all);
            ((2 * sum + weight - 1) / (2 * weight)) as u32
        };
        std::array::from_fn(|level| lean(needs[level], of_all[level]))
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
        windows.dedup_by(|next, window| {
            let is_same = next.states == window.states;
            window.count += if is_same { next.count } else { 0 };
            is_same
        });
        Bin { labels: instants.len() as u32, chosen: chosen.len() as u32, windows }
    }

    fn window(&mut self, t0: Timestamp) -> Option<Window> {
        let mut states: Vec<State> = Vec::new();
        let window = self.events.window(t0, t0 + self.span.horizon);
        self.running.visit_peaks(window, t0, |running| {
            let state = State::of(running);
            if !states.iter().any(|other| state.is_within(other)) {
                states.retain(|other| !other.is_within(&state));
                states.push(state);
            }
        });
        let mut packer = Packer::new(self.running.gpus_per_node(), Free::default());
        states.sort_by_cached_key(|state| Reverse(packer.empty_nodes(state)));
        states.truncate(STATES);
        let alone = packer.empty_nodes(states.first()?);
        Some(Window { alone, states, count: 1 })
    }
}

/// Up to [`WINDOWS`] of the instants, evenly over all of them: neighbours tell nearly the same.
fn choose(instants: &[Timestamp]) -> Vec<Timestamp> {
    let count = instants.len().min(WINDOWS);
    (0..count).map(|nth| instants[nth * instants.len() / count]).collect()
}

impl State {
    fn of(running: &Running<'_>) -> Self {
        let count = |count: i64| u32::try_from(count).unwrap_or(0);
        let shares = running.shares().iter().map(|&(milli, of)| (milli, count(of)));
        Self {
            parts: running.by_devices().map(count).collect(),
            shares: shares.filter(|&(_, of)| of > 0).collect(),
        }
    }

    /// Whether it asks for nothing that the other does not. Of states with different shares none is.
    fn is_within(&self, other: &Self) -> bool {
        self.shares == other.shares && self.parts.iter().zip(&other.parts).all(|(a, b)| a <= b)
    }

    fn is_sound(&self, per_node: u32) -> bool {
        self.parts.len() == per_node as usize
            && self.shares.iter().all(|&(milli, _)| (1..GPU_MILLI).contains(&milli))
    }
}

impl Bin {
    /// The quantiles (nearest rank) of the empty nodes that the windows need.
    ///
    /// No window needs more than it does alone, and what needs most alone comes first: once as many as the rank
    /// asks for need at least as much as the next one alone, the rest cannot matter.
    fn empty_nodes<const N: usize>(&self, levels: [f64; N], packer: &mut Packer) -> [u32; N] {
        let places = levels.map(|level| self.place(level));
        let most = places.into_iter().max().unwrap_or(1);
        let mut needs: Vec<u32> = Vec::with_capacity(2 * WINDOWS);
        for window in &self.windows {
            let least = needs.get(most - 1).copied().unwrap_or(0);
            if least >= window.alone {
                break;
            }
            let need = window.empty_nodes(packer);
            let place = needs.partition_point(|&other| other >= need);
            if place < most {
                needs.splice(place..place, repeat_n(need, (window.count as usize).min(most)));
                needs.truncate(most);
            }
        }
        places.map(|place| needs.get(place - 1).copied().unwrap_or(0))
    }

    /// The quantiles of what the windows need alone.
    fn alone<const N: usize>(&self, levels: [f64; N]) -> [u32; N] {
        levels.map(|level| {
            let mut left = self.place(level);
            let reaches = |window: &&Window| {
                let is_beyond = left > window.count as usize;
                left = left.saturating_sub(window.count as usize);
                !is_beyond
            };
            self.windows.iter().find(reaches).map_or(0, |window| window.alone)
        })
    }

    /// How many windows from the largest down the quantile is, from 1.
    fn place(&self, level: f64) -> usize {
        (self.chosen + 1).saturating_sub(rank(self.chosen, level)).max(1) as usize
    }

    fn is_sound(&self, per_node: u32) -> bool {
        let count: u64 = self.windows.iter().map(|window| u64::from(window.count)).sum();
        let states = |window: &Window| {
            window.states.len() <= STATES && window.states.iter().all(|of| of.is_sound(per_node))
        };
        count <= u64::from(self.chosen)
            && self.chosen as usize <= WINDOWS
            && is_amount(self.labels.into())
            && self.windows.iter().all(states)
    }
}

impl Window {
    fn empty_nodes(&self, packer: &mut Packer) -> u32 {
        let need = |state| packer.empty_nodes(state);
        self.states.iter().map(need).max().unwrap_or(0).min(self.alone)
    }
}

/// Packs states onto the same free capacity, one at a time.
struct Packer {
    levels: Vec<i64>,
    devices: Vec<(u32, i64)>,
    /// Room for computations.
    open_levels: Vec<i64>,
    open_devices: Vec<(u32, i64)>,
}

impl Packer {
    fn new(per_node: u32, free: Free<'_>) -> Self {
        let mut levels = vec![0; per_node as usize + 1];
        levels.iter_mut().zip(free.nodes).for_each(|(level, &nodes)| *level = i64::from(nodes));
        let devices = free.devices.iter().map(|&(milli, count)| (milli, i64::from(count)));
        Self {
            open_levels: levels.clone(),
            open_devices: Vec::new(),
            devices: devices.collect(),
            levels,
        }
    }

    /// Empty nodes that a state needs beside what is free.
    fn empty_nodes(&mut self, state: &State) -> u32 {
        let mut taken = 0;
        if !state.shares.is_empty() {
            self.open_devices.clone_from(&self.devices);
            let shares = state.shares.iter().map(|&(milli, count)| (milli, i64::from(count)));
            taken = fill_bins(GPU_MILLI, shares, &mut self.open_devices);
        }
        self.open_levels.copy_from_slice(&self.levels);
        let per_node = self.levels.len() - 1;
        let of = |place: usize| state.parts.get(place).map_or(0, |&count| i64::from(count));
        let parts = [(per_node, of(0))].into_iter().chain((1..per_node).rev().map(|d| (d, of(d))));
        let nodes = fill_nodes(&mut self.open_levels, parts.chain([(1, taken)]));
        u32::try_from(nodes).unwrap_or(u32::MAX)
    }
}

/// Number of the smallest of `count` values that is at least the quantile `level`, from 1.
fn rank(count: u32, level: f64) -> u32 {
    // In millionths, so that 0.95 is 0.95 and not a hair above.
    let millionths = (level.clamp(0.0, 1.0) * 1e6).round() as u64;
    ((u64::from(count) * millionths).div_ceil(1_000_000) as u32).max(1)
}

#[cfg(test)]
mod tests;

//! How many nodes would have had to be ready for all jobs of a window to start at once.
//!
//! `N(t0)` = the peak over `(t0, t0 + H]` of the nodes that the jobs which came since `t0` and still run
//! fill, on no free capacity at all. Unlike the rise in GPUs it sees sizes: eight jobs of one GPU fill
//! a node of eight, eight jobs of five fill eight. Jobs older than the window neither help nor count.
//!
//! Packing: workers of at least a node take whole nodes; the rest goes in falling order of size where
//! the least is left over (best-fit decreasing: at most 11/9 of the optimum and a node; exact when each
//! size divides the next, as 1, 2, 4, 8). Shares of a device are first packed into devices in the same
//! way. Devices are all that is packed: CPU and memory are not looked at. A worker with shares of several
//! devices is taken to need them whole, which errs to more nodes. Packs are only made where the set of
//! jobs is about to shrink, since a larger set never needs fewer nodes.
//!
//! As in [`super::labels`], a label is known at `t0 + H` and not before.

use super::{
    events::{Event, Events},
    labels::{Labels, Span},
};
use crate::{model::Shape, time::Timestamp, units::GPU_MILLI};
use std::collections::vec_deque;

/// Thousandths of a node in a node: labels are kept in these, so that blending tables rounds finely and
/// only the last step rounds up to nodes.
pub const NODE_MILLI: i64 = 1000;

/// What one job of a class takes of a node shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Footprint {
    whole_nodes: i64,
    /// Workers with a rest smaller than a node.
    rests: i64,
    rest: Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Whole devices, fewer than a node has.
    Devices(u32),
    /// Thousandths of one device.
    Share(u32),
}

impl Footprint {
    fn of(workers: u32, gpus: u32, gpu_milli: u32, per_node: u32) -> Self {
        let workers = i64::from(workers);
        if gpus == 1 && gpu_milli < GPU_MILLI {
            return Self { whole_nodes: 0, rests: workers, rest: Rest::Share(gpu_milli.max(1)) };
        }
        Self {
            whole_nodes: workers * i64::from(gpus / per_node),
            rests: workers,
            rest: Rest::Devices(gpus % per_node),
        }
    }
}

/// The classes of a pool as seen from its nodes.
#[derive(Clone, Debug)]
pub struct NodeSizes {
    per_node: u32,
    classes: Vec<Footprint>,
}

impl NodeSizes {
    /// Nodes of `gpus_per_node` devices (at least one); `shapes` in the order of their ids.
    pub fn new<'a>(gpus_per_node: u32, shapes: impl IntoIterator<Item = &'a Shape>) -> Self {
        let per_node = gpus_per_node.max(1);
        let of = |s: &Shape| Footprint::of(s.workers, s.gpus, u32::from(s.gpu_milli), per_node);
        Self { per_node, classes: shapes.into_iter().map(of).collect() }
    }

    /// Devices of a node.
    pub(super) const fn gpus_per_node(&self) -> u32 {
        self.per_node
    }

    /// A shape that is not in the table is one worker of as many GPUs as the event says.
    fn footprint(&self, event: &Event) -> Footprint {
        self.classes.get(event.shape.0 as usize).copied().unwrap_or_else(|| {
            let milli = event.milli.unsigned_abs().min(u64::from(u32::MAX)) as u32;
            if milli < GPU_MILLI {
                return Footprint::of(1, 1, milli, self.per_node);
            }
            Footprint::of(1, milli.div_ceil(GPU_MILLI), GPU_MILLI, self.per_node)
        })
    }
}

/// Node deficits of the instants of `span` in thousandths of a node ([`NODE_MILLI`]).
///
/// Each event is looked at in as many windows as the horizon has steps.
pub fn deficits(events: &Events, sizes: &NodeSizes, span: &Span) -> Labels {
    let (first, count) = span.grid(events);
    let mut running = Running::new(sizes);
    let peak = |index: usize| {
        let t0 = first + span.step * index as i64;
        let mut peak = 0;
        let window = events.window(t0, t0 + span.horizon);
        running.visit_peaks(window, t0, |running| peak = peak.max(running.nodes()));
        peak * NODE_MILLI
    };
    Labels { first, step: span.step, values: (0..count).map(peak).collect() }
}

/// The jobs of a window that still run, by size.
#[derive(Debug)]
pub(super) struct Running<'a> {
    sizes: &'a NodeSizes,
    whole_nodes: i64,
    /// `devices[d]` rests of `d` devices; of 0 devices are those that need none.
    devices: Vec<i64>,
    /// Shares of a device, largest first.
    shares: Vec<(u32, i64)>,
    open: Vec<(u32, i64)>,
}

impl<'a> Running<'a> {
    pub(super) fn new(sizes: &'a NodeSizes) -> Self {
        let devices = vec![0; sizes.per_node as usize];
        Self { sizes, whole_nodes: 0, devices, shares: Vec::new(), open: Vec::new() }
    }

    pub(super) const fn gpus_per_node(&self) -> u32 {
        self.sizes.per_node
    }

    /// Visits the states that may need most: the last one before each time the set shrinks, and the last of
    /// all. All events of an instant count together, so a job that comes as another goes needs no node.
    pub(super) fn visit_peaks(
        &mut self,
        window: vec_deque::Iter<'_, Event>,
        t0: Timestamp,
        mut visit: impl FnMut(&mut Self),
    ) {
        self.whole_nodes = 0;
        self.devices.fill(0);
        self.shares.clear();
        let mut window = window.filter(|event| event.arrived > t0).peekable();
        let mut grown = false;
        while let Some(&&Event { at, .. }) = window.peek() {
            let mut together = window.clone().take_while(|event| event.at == at);
            if grown && together.any(|event| !event.is_arrival()) {
                visit(self);
                grown = false;
            }
            while let Some(event) = window.next_if(|event| event.at == at) {
                self.count(event);
                grown |= event.is_arrival();
            }
        }
        if grown {
            visit(self);
        }
    }

    fn count(&mut self, event: &Event) {
        let sign = event.milli.signum();
        let print = self.sizes.footprint(event);
        self.whole_nodes += sign * print.whole_nodes;
        match print.rest {
            Rest::Devices(devices) => self.devices[devices as usize] += sign * print.rests,
            Rest::Share(milli) => {
                let place = self.shares.partition_point(|&(size, _)| size > milli);
                if self.shares.get(place).is_none_or(|&(size, _)| size != milli) {
                    self.shares.insert(place, (milli, 0));
                }
                self.shares[place].1 += sign * print.rests;
            }
        }
    }

    /// Nodes that the state fills on no free capacity.
    fn nodes(&mut self) -> i64 {
        let shared = self.shared_devices();
        let last = self.devices.len() - 1;
        let rests = (1..=last).rev().map(|size| (size as u32, self.devices[size]));
        // On nodes of one device there are no rests: a shared device is a node.
        if last == 0 {
            return self.whole_nodes + shared;
        }
        let rests = rests.chain([(1, shared)]);
        self.open.clear();
        self.whole_nodes + best_fit(self.sizes.per_node, rests, &mut self.open)
    }

    /// The state by devices: entry 0 is whole nodes, entry `d` parts of `d` devices, shares of devices packed
    /// into whole ones.
    pub(super) fn by_devices(&mut self) -> Vec<u32> {
        let shared = self.shared_devices();
        let mut counts = self.devices.clone();
        counts[0] = self.whole_nodes;
        let last = counts.len() - 1;
        counts[last.min(1)] += shared;
        counts.into_iter().map(|count| u32::try_from(count).unwrap_or(0)).collect()
    }

    fn shared_devices(&mut self) -> i64 {
        self.open.clear();
        best_fit(GPU_MILLI, self.shares.iter().copied(), &mut self.open)
    }
}

/// New bins of `capacity` that `(size, count)`, largest size first, fill beyond the `open` ones, when each goes
/// where the least is left over. `open`: (free, bins), each amount once; left as it then is.
pub(super) fn best_fit(
    capacity: u32,
    sizes: impl Iterator<Item = (u32, i64)>,
    open: &mut Vec<(u32, i64)>,
) -> i64 {
    let mut bins = 0;
    for (size, mut left) in sizes {
        while left > 0 {
            let fitting = (0..open.len()).filter(|&place| open[place].0 >= size);
            let tightest = fitting.min_by_key(|&place| open[place].0);
            let found = tightest.map(|place| open.swap_remove(place));
            let (free, count) = found.unwrap_or_else(|| {
                let per_bin = i64::from(capacity / size).max(1);
                let fresh = (left + per_bin - 1) / per_bin;
                bins += fresh;
                (capacity.max(size), fresh)
            });
            // Equal sizes go on filling the same bin, since it then has the least left.
            let per_bin = i64::from(free / size);
            let full = count.min(left / per_bin);
            put(open, free - per_bin as u32 * size, full);
            left -= full * per_bin;
            let mut untouched = count - full;
            if untouched > 0 && left > 0 {
                put(open, free - left as u32 * size, 1);
                untouched -= 1;
                left = 0;
            }
            put(open, free, untouched);
        }
    }
    bins
}

fn put(open: &mut Vec<(u32, i64)>, free: u32, bins: i64) {
    if free == 0 || bins == 0 {
        return;
    }
    match open.iter_mut().find(|entry| entry.0 == free) {
        Some(entry) => entry.1 += bins,
        None => open.push((free, bins)),
    }
}

#[cfg(test)]
mod tests;

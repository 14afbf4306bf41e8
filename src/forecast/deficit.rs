//! How many nodes would have had to be ready for all jobs of a window to start at once.
//!
//! `N(t0)` = the peak over `(t0, t0 + H]` of the nodes that the jobs which came since `t0` and still run
//! fill, on no free capacity at all. Unlike the rise in GPUs it sees sizes: eight jobs of one GPU fill
//! a node of eight, eight jobs of five fill eight. Jobs older than the window neither help nor count.
//!
//! Packing: workers of at least a node take whole nodes; the rest goes in falling order of size where
//! the least is left over (best-fit decreasing, see `fill`). Shares of a device are first packed into devices in the same
//! way. Devices are all that is packed: CPU and memory are not looked at. A worker with shares of several
//! devices is taken to need them whole, which errs to more nodes. Packs are only made where the set of
//! jobs is about to shrink, since a larger set never needs fewer nodes.
//!
//! As in [`super::labels`], a label is known at `t0 + H` and not before.

use super::{
    events::{Event, Events},
    fill::{fill_bins, fill_nodes},
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
    /// Room for computations.
    open: Vec<(u32, i64)>,
    levels: Vec<i64>,
}

impl<'a> Running<'a> {
    pub(super) fn new(sizes: &'a NodeSizes) -> Self {
        let devices = vec![0; sizes.per_node as usize];
        let levels = vec![0; devices.len() + 1];
        Self { sizes, whole_nodes: 0, devices, shares: Vec::new(), open: Vec::new(), levels }
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
        self.open.clear();
        let shared = fill_bins(GPU_MILLI, self.shares.iter().copied(), &mut self.open);
        // On nodes of one device there are no rests: a shared device is a node.
        if self.devices.len() == 1 {
            return self.whole_nodes + shared;
        }
        self.levels.fill(0);
        let rests = self.devices.iter().copied().enumerate().skip(1).rev();
        self.whole_nodes + fill_nodes(&mut self.levels, rests.chain([(1, shared)]))
    }

    /// The state by devices: entry 0 is whole nodes, entry `d` parts of `d` devices.
    pub(super) fn by_devices(&self) -> impl Iterator<Item = i64> {
        std::iter::once(self.whole_nodes).chain(self.devices.iter().copied().skip(1))
    }

    /// Shares of a device by size, largest first.
    pub(super) fn shares(&self) -> &[(u32, i64)] {
        &self.shares
    }
}

#[cfg(test)]
mod tests;

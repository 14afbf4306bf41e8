//! How many nodes were asked for: the sizes of the MachineDeployments of Cluster API over time.
//!
//! A node is paid for from its request on, which the metrics of nodes do not show. No metric names the
//! MachineDeployment of a node; but Machines are named after it (`pool-x7d9f-k2m4q` is of `pool`), and so are most
//! nodes, so the longest name that fits is taken.
//!
//! # Source
//! Cluster API, `config/metrics/templates/machinedeployment.yaml` (names of metrics and labels); Kubernetes,
//! `generateName` (names of Machines).

use super::{node::NodeLife, plan::Window};
use crate::{
    promql::{Point, Series},
    time::{Millis, Timestamp},
};
use std::collections::BTreeMap;

/// What a MachineDeployment was asked for in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedFor {
    /// Its name, and that of its cluster before it if there is one: `prod/gpu-a100`.
    pub name: String,
    /// The pool of its nodes.
    pub pool: usize,
    /// Fewest nodes at one time.
    pub least: u32,
    /// Most nodes at one time.
    pub most: u32,
    /// By how many nodes it was raised, together.
    pub raised: u64,
    /// Nodes asked for, over time.
    pub node_hours: f64,
}

/// The sizes of those MachineDeployments that nodes of pools belong to. `sizes`: answers to
/// [`super::Sight::AskedFor`]; `pools`: the pool of each node.
pub fn asked_for(
    sizes: &[Series],
    nodes: &[NodeLife],
    pools: &[Option<usize>],
    window: Window,
) -> Vec<AskedFor> {
    let mut points: BTreeMap<(&str, &str), Vec<Point>> = BTreeMap::new();
    for series in sizes {
        let key = (series.label("cluster_name"), series.label("name"));
        points.entry(key).or_default().extend(series.finite().filter(|point| point.value >= 0.0));
    }
    let mut votes: BTreeMap<&str, BTreeMap<usize, u32>> = BTreeMap::new();
    for (node, pool) in nodes.iter().zip(pools) {
        let name = node.machine.as_ref().map_or(node.name.as_str(), |(machine, _)| machine);
        let owners = points.keys().map(|(_, owner)| *owner).filter(|owner| is_of(name, owner));
        if let (Some(owner), Some(pool)) = (owners.max_by_key(|owner| owner.len()), pool) {
            *votes.entry(owner).or_default().entry(*pool).or_default() += 1;
        }
    }
    let found = points.into_iter().filter_map(|((cluster, name), mut points)| {
        // Most votes; of equally many the first pool.
        let pools = votes.get(name)?.iter();
        let (&pool, _) = pools.max_by_key(|(pool, votes)| (**votes, std::cmp::Reverse(**pool)))?;
        points.sort_unstable_by_key(|point| point.at);
        let name = if cluster.is_empty() { name.to_owned() } else { format!("{cluster}/{name}") };
        over_time(name, pool, &points, window)
    });
    found.collect()
}

fn is_of(machine: &str, deployment: &str) -> bool {
    machine.strip_prefix(deployment).is_some_and(|rest| rest.starts_with('-'))
}

/// A size holds until the next one is seen.
fn over_time(name: String, pool: usize, points: &[Point], window: Window) -> Option<AskedFor> {
    let size = |point: &Point| point.value.round().min(f64::from(u32::MAX)) as u32;
    let ends = points.iter().skip(1).map(|point| point.at).chain([window.until]);
    let held = |(point, end): (&Point, Timestamp)| {
        let span = (end - point.at).max(Millis::ZERO);
        f64::from(size(point)) * span.as_hours()
    };
    let raised = |pair: &[Point]| u64::from(size(&pair[1]).saturating_sub(size(&pair[0])));
    Some(AskedFor {
        name,
        pool,
        least: points.iter().map(size).min()?,
        most: points.iter().map(size).max()?,
        raised: points.windows(2).map(raised).sum(),
        node_hours: points.iter().zip(ends).map(held).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::testing::series;

    fn node(name: &str, machine: Option<&str>) -> NodeLife {
        NodeLife {
            name: name.to_owned(),
            gpus: 8,
            resource: "nvidia_com_gpu".to_owned(),
            created: Timestamp::ZERO,
            gone: None,
            ready: None,
            gpu_ready: None,
            machine: machine.map(|machine| (machine.to_owned(), Timestamp::ZERO)),
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn sizes_add_up_over_time_and_find_their_pool() {
        let hour = 3600;
        let sizes = [
            series(&[("name", "gpu")], &[(0, 2.0), (hour, 5.0)]),
            series(&[("name", "gpu")], &[(3 * hour, 4.0), (4 * hour, 6.0)]),
            series(&[("name", "gpu-big"), ("cluster_name", "prod")], &[(0, 1.0)]),
            series(&[("name", "cpu")], &[(0, 9.0)]),
        ];
        // By its Machine, by its own name, of no pool, and of nobody.
        let nodes = [
            node("ip-10-0-0-1", Some("gpu-x7-k2")),
            node("gpu-big-y2-aa", None),
            node("cpu-1", None),
            node("gpux-1", None),
        ];
        let window = Window { from: Timestamp::ZERO, until: Timestamp::from_secs(5 * hour) };
        let found = asked_for(&sizes, &nodes, &[Some(1), Some(0), None, Some(0)], window);
        assert_eq!(found.len(), 2);
        // 2 for an hour, 5 for two, 4 and 6 for one each; raised by 3 and by 2.
        let gpu = &found[0];
        assert_eq!((gpu.name.as_str(), gpu.pool), ("gpu", 1));
        assert_eq!((gpu.least, gpu.most, gpu.raised), (2, 6, 5));
        assert!((gpu.node_hours - 22.0).abs() < 1e-9);
        assert_eq!((found[1].name.as_str(), found[1].pool), ("prod/gpu-big", 0));
        assert!((found[1].node_hours - 5.0).abs() < 1e-9);
    }
}

//! The life of a node, and how long nodes took.
//!
//! A node whose registration lies before the window has told nothing of how it came up (left-censored): only
//! those registered within it give samples. Stages end between two scrapes; the middle is taken. When a node was
//! asked for is what its Machine says, where Cluster API's metrics are there.

use super::{
    facts::{Facts, MachineFacts, NodeFacts},
    plan::Window,
    pod::PodLife,
    scrapes::{Scrapes, middle},
};
use crate::time::{Millis, Timestamp};
use std::collections::BTreeMap;

/// The life of a node that had GPUs. Instants are of the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLife {
    /// Name.
    pub name: String,
    /// Most GPUs it ever offered.
    pub gpus: u32,
    /// Resource of these, as the metric writes it.
    pub resource: String,
    /// When it was registered; for a node older than the window, before it.
    pub created: Timestamp,
    /// When it was gone; `None` = still there at the end.
    pub gone: Option<Timestamp>,
    /// When it became Ready, if that was in the window.
    pub ready: Option<Timestamp>,
    /// When its GPUs were there, if that was in the window.
    pub gpu_ready: Option<Timestamp>,
    /// Its Machine: name, and when it was created. `None` = no metric tells.
    pub machine: Option<(String, Timestamp)>,
    /// Its labels, as kube-state-metrics writes them (`_` for every character that cannot be in a name).
    pub labels: BTreeMap<String, String>,
}

/// How long nodes took, by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadSamples {
    /// From the request to the registration. A node's Machine tells; without it a pod may: one that was placed
    /// on the node as soon as its GPUs were there, and had been waiting since before it was registered, is why
    /// it was asked for.
    pub boot: Vec<Millis>,
    /// How many of these a Machine told.
    pub of_machines: usize,
    /// From the registration to Ready.
    pub ready: Vec<Millis>,
    /// From Ready to the GPUs.
    pub warm_up: Vec<Millis>,
    /// Node by node, in the order in which their GPUs came.
    pub nodes: Vec<NodeLead>,
}

/// How long one node took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeLead {
    /// When its GPUs were there.
    pub usable: Timestamp,
    /// From the request to the registration, if anything tells.
    pub boot: Option<Millis>,
    /// From the registration to Ready.
    pub ready: Millis,
    /// From Ready to the GPUs.
    pub warm_up: Millis,
}

/// Nodes with GPUs, by name.
pub fn node_lives(facts: &Facts, scrapes: &Scrapes, window: Window) -> Vec<NodeLife> {
    let of_nodes = |(name, machine): (&'_ String, &MachineFacts)| {
        Some((machine.node.clone()?, (name.clone(), machine.created?)))
    };
    let mut machines: BTreeMap<String, (String, Timestamp)> =
        facts.machines.iter().filter_map(of_nodes).collect();
    let nodes = facts.nodes.iter();
    nodes
        .filter_map(|(name, node)| {
            Some(NodeLife { machine: machines.remove(name), ..life(name, node, scrapes, window)? })
        })
        .collect()
}

fn life(name: &str, node: &NodeFacts, scrapes: &Scrapes, window: Window) -> Option<NodeLife> {
    let most = node.gpus.iter().max_by_key(|(_, gpus)| **gpus)?;
    let (resource, &gpus) = most;
    if gpus == 0 {
        return None;
    }
    let created = node.created.or(node.ready).or(node.gpu_ready)?;
    let is_new = created > window.from;
    let since = |seen: Option<Timestamp>, not_before: Timestamp| {
        let seen = seen.filter(|&seen| is_new && seen >= created)?;
        let before = scrapes.before(seen).unwrap_or(window.from);
        Some(middle(before.max(not_before), seen))
    };
    let ready = since(node.ready, created);
    let gpu_ready = since(node.gpu_ready, ready.unwrap_or(created));
    let last = node.last_seen.or(node.gpu_ready)?;
    Some(NodeLife {
        name: name.to_owned(),
        gpus,
        resource: resource.clone(),
        created,
        gone: scrapes.after(last).map(|next| middle(last, next)),
        ready,
        gpu_ready,
        machine: None,
        labels: node.labels.clone(),
    })
}

/// Pods that a node was asked for are placed within this of its GPUs' being there.
const SOON: Millis = Millis::from_mins(2);
/// Longer than this no pod waited for one node: something else was in the way.
const LONGEST_BOOT: Millis = Millis::from_hours(1);

/// Samples of the lead times of some nodes.
pub fn lead_samples<'a>(
    nodes: impl IntoIterator<Item = &'a NodeLife>,
    pods: &[PodLife],
    interval: Millis,
) -> LeadSamples {
    let mut placed: BTreeMap<&str, Vec<&PodLife>> = BTreeMap::new();
    for pod in pods {
        if let Some(node) = &pod.node {
            placed.entry(node).or_default().push(pod);
        }
    }
    let mut samples = LeadSamples::default();
    for node in nodes {
        let (Some(ready), Some(gpu_ready)) = (node.ready, node.gpu_ready) else { continue };
        let of_pods = || {
            let pods = placed.get(node.name.as_str()).into_iter().flatten();
            let is_why = |pod: &&&PodLife| {
                let soon = gpu_ready + SOON + interval;
                pod.scheduled.is_some_and(|at| at > node.created && at < soon)
            };
            let created = pods.filter(is_why).filter_map(|pod| pod.created);
            created.filter(|&created| created < node.created).max()
        };
        let of_machine = node.asked();
        let asked = of_machine.or_else(of_pods);
        let boot = asked.map(|asked| node.created - asked).filter(|&boot| boot <= LONGEST_BOOT);
        samples.of_machines += usize::from(of_machine.is_some() && boot.is_some());
        samples.nodes.push(NodeLead {
            usable: gpu_ready,
            boot,
            ready: ready - node.created,
            warm_up: gpu_ready - ready,
        });
    }
    samples.nodes.sort_unstable();
    samples.boot = samples.nodes.iter().filter_map(|node| node.boot).collect();
    samples.ready = samples.nodes.iter().map(|node| node.ready).collect();
    samples.warm_up = samples.nodes.iter().map(|node| node.warm_up).collect();
    for stage in [&mut samples.boot, &mut samples.ready, &mut samples.warm_up] {
        stage.sort_unstable();
    }
    samples
}

impl NodeLife {
    /// When it was asked for, as its Machine says.
    pub fn asked(&self) -> Option<Timestamp> {
        let (_, created) = self.machine.as_ref()?;
        Some(*created).filter(|&created| created <= self.created)
    }
}

/// Middle of sorted samples.
pub(super) fn median(sorted: &[Millis]) -> Option<Millis> {
    sorted.get(sorted.len() / 2).copied()
}

/// Mean and coefficient of variation.
pub(super) fn mean_and_variation(samples: &[Millis]) -> Option<(Millis, f64)> {
    let n = samples.len() as f64;
    let mean = samples.iter().map(|sample| sample.0 as f64).sum::<f64>() / n;
    let squares = samples.iter().map(|sample| (sample.0 as f64 - mean).powi(2)).sum::<f64>();
    (samples.len() >= 2 && mean > 0.0)
        .then(|| (Millis(mean.round() as i64), (squares / (n - 1.0)).sqrt() / mean))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{
        Part, pod_lives,
        testing::{Told, scrapes, series},
    };

    fn told() -> Told {
        let mut told = Told::default();
        for (name, created) in [("old", -500_i64), ("new", 1000)] {
            let node = [("node", name)];
            let gpus = [("node", name), ("resource", "nvidia_com_gpu")];
            let seen = |after: i64| i64::max(created + after, 0);
            told.row(Part::NodeCreated, &node, f64::from(i32::max(created as i32, 0)))
                .series(Part::NodeReady, series(&node, &[(seen(20), 0.0), (seen(80), 1.0)]))
                .series(Part::NodeGpus, series(&gpus, &[(seen(260), 0.0), (seen(320), 8.0)]))
                .series(Part::NodeGpus, series(&gpus, &[(2400, 8.0)]));
        }
        told.row(Part::NodeCreated, &[("node", "cpu")], 0.0);
        told.asks("1", 2.0, "", &[720]).asks("1", 2.0, "new", &[1320]);
        told.says("1", "kube_pod_created", 700.0).says(
            "1",
            "kube_pod_status_scheduled_time",
            1310.0,
        );
        told
    }

    fn window() -> Window {
        Window { from: Timestamp::ZERO, until: Timestamp::from_secs(3600) }
    }

    #[test]
    fn stages_end_between_scrapes_and_old_nodes_tell_nothing() {
        let nodes = node_lives(&told().0, &scrapes(3600), window());
        let secs = Timestamp::from_secs;
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["new", "old"], "a node without GPUs is none of ours");
        // Ready seen at 1080, the scrape before at 1020; GPUs at 1320, before 1260.
        assert_eq!((nodes[0].ready, nodes[0].gpu_ready), (Some(secs(1050)), Some(secs(1290))));
        assert_eq!(nodes[0].gone, Some(secs(2430)));
        assert_eq!((nodes[1].ready, nodes[1].gpu_ready), (None, None));
    }

    #[test]
    fn the_pod_that_waited_for_a_node_tells_when_it_was_asked_for() {
        let (told, scrapes) = (told(), scrapes(3600));
        let pods = pod_lives(&told.0, &scrapes);
        let samples =
            lead_samples(&node_lives(&told.0, &scrapes, window()), &pods, scrapes.interval);
        assert_eq!(samples.boot, [Millis::from_secs(300)]);
        assert_eq!(samples.ready, [Millis::from_secs(50)]);
        assert_eq!(samples.warm_up, [Millis::from_secs(240)]);
    }

    #[test]
    fn a_machine_tells_better_than_a_pod_when_a_node_was_asked_for() {
        let (mut told, scrapes) = (told(), scrapes(3600));
        let name = [("name", "gpu-x7-k2")];
        let created = [&[("__name__", "capi_machine_created")], &name[..]].concat();
        let node = [("__name__", "capi_machine_status_noderef"), ("node_name", "new")];
        told.row(Part::Machines, &created, 880.0);
        told.row(Part::Machines, &[&node[..], &name].concat(), 1.0);
        let pods = pod_lives(&told.0, &scrapes);
        let nodes = node_lives(&told.0, &scrapes, window());
        let machine = ("gpu-x7-k2".to_owned(), Timestamp::from_secs(880));
        assert_eq!((&nodes[0].machine, &nodes[1].machine), (&Some(machine), &None));
        let samples = lead_samples(&nodes, &pods, scrapes.interval);
        assert_eq!((samples.boot, samples.of_machines), (vec![Millis::from_secs(120)], 1));
    }

    #[test]
    fn mean_and_variation_by_hand() {
        let (mean, cv) = mean_and_variation(&[Millis(10), Millis(20), Millis(30)]).unwrap();
        assert_eq!(mean, Millis(20));
        assert!((cv - 0.5).abs() < 1e-12);
        assert_eq!(mean_and_variation(&[Millis(10)]), None);
    }
}

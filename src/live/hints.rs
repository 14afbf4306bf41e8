//! What the controller's loop tells the extender beside it after every turn: which nodes are chosen to go, which come
//! and go with demand, and which may be touched.

use super::{
    controller::Turn,
    extender::feed::Prospects,
    gpu_pool::Mode,
    look::{Look, PoolLook, PoolNode},
};
use crate::{engine::PoolReport, model::Pool};
use std::collections::BTreeSet;
use tokio::sync::watch;

/// Where it is told.
pub(super) struct Hints {
    /// What becomes of nodes.
    pub(super) prospects: watch::Sender<Prospects>,
    /// Names of nodes that may be touched.
    pub(super) touchable: watch::Sender<BTreeSet<String>>,
}

impl Hints {
    /// After a turn. Whoever listens hears of it only if anything is new.
    pub(super) fn tell(&self, turn: &Turn, is_leader: bool) {
        let prospects =
            Prospects { to_go: nodes_to_go(turn), elastic: elastic_nodes(&turn.look, &turn.modes) };
        self.prospects.send_if_modified(|known| replace(known, prospects));
        self.touchable.send_if_modified(|known| replace(known, touchable_nodes(turn, is_leader)));
    }
}

/// Puts a new value in place of the old one; `true` = it is another one.
fn replace<T: PartialEq>(known: &mut T, new: T) -> bool {
    let is_new = *known != new;
    *known = new;
    is_new
}

/// Names of nodes that the decision lets go.
fn nodes_to_go(turn: &Turn) -> BTreeSet<String> {
    let pools = turn.look.pools.iter().zip(&turn.decision.why);
    let goes = |report: &PoolReport, node: &&PoolNode| {
        node.is_cordoned_by_us || report.scale_down.nodes.contains(&node.id)
    };
    let nodes =
        pools.flat_map(|(pool, report)| pool.nodes.iter().filter(move |node| goes(report, node)));
    nodes.filter_map(|node| node.node.clone()).collect()
}

/// Names of nodes of pools that somebody scales. Every replica says the same, whether it leads or not.
fn elastic_nodes(look: &Look, modes: &[Mode]) -> BTreeSet<String> {
    let pools = look.pools.iter().zip(&look.settings.pools).zip(modes);
    let scaled = pools.filter(|((pool, settings), mode)| is_scaled(pool, &settings.pool, **mode));
    names(scaled.map(|((pool, _), _)| pool))
}

/// The pool may have more or fewer nodes, and there is somebody who sees to it: Prewarm, or whoever the limits were
/// written for (cluster-autoscaler's annotations, `maxReplicas`). Where nobody wrote limits and Prewarm only watches,
/// the pool stays as it is.
fn is_scaled(pool: &PoolLook, limits: &Pool, mode: Mode) -> bool {
    let has_room = limits.max_nodes.is_none_or(|max| limits.min_nodes < max);
    let of_autoscaler = pool.target.as_ref().and_then(|target| target.autoscaler_limits);
    let has_limits = of_autoscaler.is_some() || pool.spec.limits.max_replicas.is_some();
    has_room && (mode == Mode::Active || has_limits)
}

/// Names of nodes of pools in mode Active, if this replica leads.
fn touchable_nodes(turn: &Turn, is_leader: bool) -> BTreeSet<String> {
    let pools = turn.look.pools.iter().zip(&turn.modes);
    let pools = pools.filter(|(_, mode)| is_leader && **mode == Mode::Active);
    names(pools.map(|(pool, _)| pool))
}

fn names<'a>(pools: impl Iterator<Item = &'a PoolLook>) -> BTreeSet<String> {
    pools.flat_map(|pool| &pool.nodes).filter_map(|node| node.node.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::{
            index::{Event, Index, IndexSettings, Kind},
            objects::pool,
        },
        model::{
            Sight,
            object::{Machine, MachineDeployment, Meta, Node},
        },
        time::Timestamp,
    };
    use serde_json::{Value, json};

    fn meta(namespace: &str, name: &str) -> Meta {
        let uid = format!("uid-of-{name}");
        Meta { namespace: namespace.into(), name: name.into(), uid, ..Meta::default() }
    }

    /// The node `n` of a pool with these settings. `group`: limits by cluster-autoscaler's annotations.
    fn look(group: Option<(&str, &str)>, spec: &Value) -> Look {
        let mut deployment =
            MachineDeployment { meta: meta("demo", "a"), replicas: Some(1), ..Default::default() };
        let key = |end| format!("cluster.x-k8s.io/cluster-api-autoscaler-node-group-{end}-size");
        if let Some((min, max)) = group {
            let limits = [(key("min"), min.to_owned()), (key("max"), max.to_owned())];
            deployment.meta.annotations.extend(limits);
        }
        let provider_id = "aws:///zone/n".to_owned();
        let machine = Machine {
            meta: meta("demo", "n"),
            deployment: Some("a".into()),
            provider_id: provider_id.clone(),
            ..Machine::default()
        };
        let node = Node { meta: meta("", "n"), provider_id, ..Node::default() };
        let object = json!({
            "apiVersion": "prewarm.dev/v1alpha1", "kind": "GpuPool",
            "metadata": {"name": "a", "namespace": "demo"}, "spec": spec,
        });
        let pool = pool(serde_json::from_value(object).unwrap());
        let mut index = Index::new(IndexSettings::default());
        Kind::ALL.map(Event::Restarted).into_iter().for_each(|event| index.apply(event));
        index.apply(Event::MachineDeployment(Box::new(deployment)));
        index.apply(Event::Machine(Box::new(machine)));
        index.apply(Event::Node(Box::new(node)));
        index.apply(Event::Pool(Box::new(pool)));
        Kind::ALL.map(Event::Synced).into_iter().for_each(|event| index.apply(event));
        index.look(Timestamp::from_secs(100), Sight::default())
    }

    fn is_elastic(look: &Look, mode: Mode) -> bool {
        assert_eq!(look.pools[0].nodes[0].node.as_deref(), Some("n"));
        let elastic = elastic_nodes(look, &[mode]);
        assert!(elastic.is_empty() || elastic == ["n".to_owned()].into());
        !elastic.is_empty()
    }

    #[test]
    fn nodes_of_pools_that_somebody_scales_come_and_go() {
        let none = || json!({});
        let both = [Mode::Shadow, Mode::Active];
        let told = |group, spec: Value| {
            let look = look(group, &spec);
            both.map(|mode| is_elastic(&look, mode))
        };
        // cluster-autoscaler's annotations.
        assert_eq!(told(Some(("0", "4")), none()), [true, true]);
        assert_eq!(told(Some(("1", "1")), none()), [false, false]);
        // Limits of ours, alone and narrower than the annotations.
        let limits = |min, max| json!({"limits": {"minReplicas": min, "maxReplicas": max}});
        assert_eq!(told(None, limits(0, 4)), [true, true]);
        assert_eq!(told(None, limits(1, 1)), [false, false]);
        assert_eq!(told(Some(("0", "4")), limits(2, 2)), [false, false]);
        // Nobody says how many there may be: Prewarm may still take some away.
        assert_eq!(told(None, none()), [false, true]);
        // What cannot be read keeps the pool at its size.
        assert_eq!(told(Some(("0", "four")), none()), [false, false]);
    }
}

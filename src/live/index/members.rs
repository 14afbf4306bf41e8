//! Which Machine is of which deployment, and which Node is whose.
//!
//! Source: cluster-autoscaler's clusterapi provider: provider ids, then `nodeRef`, then annotations.

use super::store::Store;
use crate::{
    live::objects::CapiKeys,
    model::object::{Machine, MachineDeployment, Node},
};
use std::{collections::BTreeMap, sync::Arc};

/// A Machine and its Node, if it has registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) machine: &'a Arc<Machine>,
    pub(super) node: Option<&'a Node>,
}

/// All Machines by namespace and deployment, oldest first.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(BTreeMap<&'a str, BTreeMap<&'a str, Vec<Member<'a>>>>);

impl<'a> Members<'a> {
    pub(super) fn new(
        machines: &'a Store<Arc<Machine>>,
        nodes: &'a Store<Node>,
        keys: &CapiKeys,
    ) -> Self {
        let (machine_key, namespace_key) = (keys.machine(), keys.cluster_namespace());
        let mut by_provider: BTreeMap<&str, &Node> = BTreeMap::new();
        let mut by_machine: BTreeMap<(&str, &str), &Node> = BTreeMap::new();
        for node in nodes.values() {
            if let Some(id) = provider_id(&node.provider_id) {
                by_provider.insert(id, node);
            }
            let annotation = |key: &str| node.meta.annotations.get(key).map(String::as_str);
            if let (Some(machine), Some(namespace)) =
                (annotation(&machine_key), annotation(&namespace_key))
            {
                by_machine.insert((namespace, machine), node);
            }
        }
        let mut all: BTreeMap<&str, BTreeMap<&str, Vec<Member<'_>>>> = BTreeMap::new();
        for machine in machines.values() {
            let Some(deployment) = machine.deployment.as_ref().or(machine.set.as_ref()) else {
                continue;
            };
            let meta = &machine.meta;
            let node = provider_id(&machine.provider_id)
                .and_then(|id| by_provider.get(id).copied())
                .or_else(|| machine.node.as_ref().and_then(|name| nodes.get(name)))
                .or_else(|| {
                    by_machine.get(&(meta.namespace.as_str(), meta.name.as_str())).copied()
                });
            let member = Member { machine, node };
            let own = all.entry(&meta.namespace).or_default();
            own.entry(deployment).or_default().push(member);
        }
        for members in all.values_mut().flat_map(BTreeMap::values_mut) {
            members.sort_by(|a, b| age(a).cmp(&age(b)));
        }
        Self(all)
    }

    pub(super) fn of(&self, deployment: &MachineDeployment) -> &[Member<'a>] {
        let own = self.0.get(deployment.meta.namespace.as_str());
        let own = own.and_then(|own| own.get(deployment.meta.name.as_str()));
        own.map_or(&[], Vec::as_slice)
    }
}

fn age<'a>(member: &Member<'a>) -> (crate::time::Timestamp, &'a str, &'a str) {
    let meta = &member.machine.meta;
    (meta.created, meta.name.as_str(), meta.uid.as_str())
}

/// What of a provider id tells machines apart: the text after the last slash, of Azure's scale sets all.
fn provider_id(id: &str) -> Option<&str> {
    let is_scale_set = id.starts_with("azure:") && id.contains("/virtualMachineScaleSets/");
    let last = if is_scale_set { id } else { id.rsplit('/').next().unwrap_or_default() };
    (!last.is_empty()).then_some(last)
}

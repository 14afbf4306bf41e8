//! Everything the extender knows at one instant. One writer changes it and publishes copies; a copy shares all
//! nodes with the one before, so that publishing after a change of one pod costs a few numbers a node.

use super::{
    Asked, ElasticBy, Namespace, NodeView, Policy, Seen,
    names::Names,
    pages::Pages,
    traits::{Kinds, Standing, Traits},
    view,
};
use crate::{
    packing::{Class, Mix, Part, Room},
    time::Timestamp,
};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Everything the extender knows at one instant.
#[derive(Clone, Debug)]
pub struct ExtenderSnapshot {
    /// Settings.
    pub policy: Arc<Policy>,
    /// All watches have been listed once. Before that nothing is answered.
    pub is_synced: bool,
    /// When it was last changed.
    pub at: Timestamp,
    /// Rises with every snapshot that is published.
    pub generation: u64,
    names: Arc<Names>,
    nodes: Pages<Option<Arc<NodeView>>>,
    /// Numbers of nodes that are held.
    held: Arc<BTreeSet<usize>>,
    kinds: Kinds<Traits>,
    standings: Kinds<Standing>,
    /// Until when a node counts as ready only now, by number.
    fresh_until: Vec<Timestamp>,
    unused: Vec<u32>,
    namespaces: Arc<BTreeMap<String, Namespace>>,
    mix: Arc<Mix>,
    models: Arc<Vec<String>>,
    /// GPUs by bits of the nodes' models.
    supply: BTreeMap<u64, u64>,
}

/// Models told apart in scores.
const MODELS_MAX: usize = 64;

impl ExtenderSnapshot {
    /// Nothing is known.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy: Arc::new(policy),
            is_synced: false,
            at: Timestamp::ZERO,
            generation: 0,
            names: Arc::default(),
            nodes: Pages::default(),
            held: Arc::default(),
            kinds: Kinds::default(),
            standings: Kinds::default(),
            fresh_until: Vec::new(),
            unused: Vec::new(),
            namespaces: Arc::default(),
            mix: Arc::default(),
            models: Arc::default(),
            supply: BTreeMap::new(),
        }
    }

    /// A node is new, or it, its pods or what else is seen of it has changed.
    pub fn set_node(&mut self, seen: &Seen<'_>) {
        let models = view::models(seen.node);
        self.learn_models(&models);
        let mut view = view(seen, &self.policy, |names| self.bits(names));
        // Time does not go back: what is over need not be looked at again.
        view.held = view.held.filter(|held| self.at < held.until);
        view.score(&self.mix);
        let at = self.put(view);
        self.classify(at);
        if self.kinds.is_overgrown() || self.standings.is_overgrown() {
            (self.kinds, self.standings) = (Kinds::default(), Kinds::default());
            (0..self.nodes.len()).for_each(|at| self.classify(at));
        }
    }

    /// Takes nodes as they are sent, for this copy only: for questions about how things would be. What is known
    /// of their use stays.
    pub fn suppose_nodes(&mut self, all: &[Seen<'_>]) {
        for seen in all {
            self.learn_models(&view::models(seen.node));
        }
        let views: Vec<NodeView> = all.par_iter().map(|seen| self.supposed(seen)).collect();
        for view in views {
            let at = self.put(view);
            // They are asked about once.
            self.kinds.put(at, None);
            self.standings.put(at, None);
        }
    }

    fn supposed(&self, seen: &Seen<'_>) -> NodeView {
        let mut view = view(seen, &self.policy, |names| self.bits(names));
        if let Some((_, known)) = self.find(&view.name) {
            // Slices are not sent.
            view.is_gpu |= known.has_slices;
            (view.has_slices, view.awaits_slices) = (known.has_slices, known.awaits_slices);
            view.room.clone_from(&known.room);
            view.losses.clone_from(&known.losses);
            view.gangs.clone_from(&known.gangs);
            view.is_idle = known.is_idle;
            view.held = known.held;
            view.price_milli = known.price_milli;
            view.is_to_go = known.is_to_go;
            if view.elastic_by == ElasticBy::Nobody {
                (view.is_elastic, view.elastic_by) = (known.is_elastic, known.elastic_by);
            }
            view.ready_since = known.ready_since;
        } else {
            view.score(&self.mix);
        }
        view
    }

    /// The number of the node from now on.
    fn put(&mut self, view: NodeView) -> usize {
        let known = self.names.get(view.name.as_str().into());
        let at = known.or_else(|| self.unused.pop()).unwrap_or(self.nodes.len() as u32);
        if known.is_none() {
            Arc::make_mut(&mut self.names).insert(&view.name, at);
        }
        let at = at as usize;
        if at == self.nodes.len() {
            self.nodes.push(None);
            self.fresh_until.push(Timestamp::ZERO);
        }
        let ready_since = view.ready_since;
        self.fresh_until[at] =
            ready_since.map_or(Timestamp(i64::MAX), |since| since + self.policy.fresh);
        self.take_out(at);
        *self.supply.entry(view.model_bits).or_default() += u64::from(view.gpus());
        self.hold(at, view.held.is_some());
        self.nodes.put(at, Some(Arc::new(view)));
        at
    }

    fn hold(&mut self, at: usize, is_held: bool) {
        // Shared until there is something to change.
        if self.held.contains(&at) != is_held {
            let held = Arc::make_mut(&mut self.held);
            if is_held {
                held.insert(at)
            } else {
                held.remove(&at)
            };
        }
    }

    /// Nothing is known of the node of this number.
    fn take_out(&mut self, at: usize) {
        let Some(Some(node)) = self.nodes.get(at) else { return };
        if let Some(gpus) = self.supply.get_mut(&node.model_bits) {
            *gpus -= u64::from(node.gpus());
        }
        self.nodes.put(at, None);
    }

    fn classify(&mut self, at: usize) {
        let Some(Some(node)) = self.nodes.get(at) else { return };
        self.kinds.put(at, node.held.is_none().then(|| Traits::of(node)));
        self.standings.put(at, Some(Standing::of(node)));
    }

    /// Nodes of one kind get one verdict, whatever the time.
    pub(super) const fn kinds(&self) -> &Kinds<Traits> {
        &self.kinds
    }

    /// Nodes of one kind have one rank for pods without a gang, if both or neither are fresh.
    pub(super) const fn standings(&self) -> &Kinds<Standing> {
        &self.standings
    }

    /// Whether the node of this number counts as ready only now.
    #[inline]
    pub(super) fn is_fresh(&self, number: u32, now: Timestamp) -> bool {
        self.fresh_until.get(number as usize).is_none_or(|&until| now < until)
    }

    /// A node is gone.
    pub fn remove_node(&mut self, name: &str) {
        // Shared until there is something to change.
        if self.names.get(name.into()).is_some()
            && let Some(at) = Arc::make_mut(&mut self.names).remove(name)
        {
            self.take_out(at as usize);
            self.hold(at as usize, false);
            self.unused.push(at);
        }
    }

    /// A namespace is new or has changed.
    pub fn set_namespace(&mut self, namespace: Namespace) {
        Arc::make_mut(&mut self.namespaces).insert(namespace.name.clone(), namespace);
    }

    /// A namespace is gone.
    pub fn remove_namespace(&mut self, name: &str) {
        Arc::make_mut(&mut self.namespaces).remove(name);
    }

    /// The jobs to come: what each asks of a node, of which models (none = any), how often. All nodes are
    /// scored anew.
    pub fn set_mix(&mut self, expected: &[(Part, Vec<String>, u64)]) {
        for (_, models, _) in expected {
            self.learn_models(models);
        }
        let class = |(part, models, weight): &(Part, Vec<String>, u64)| Class {
            part: *part,
            models: if models.is_empty() { u64::MAX } else { self.bits(models) },
            weight: *weight,
        };
        let mix = Mix::with_supply(expected.iter().map(class), |models| self.gpus_of(models));
        if mix != *self.mix {
            self.score_all(mix);
        }
    }

    /// Nodes have come and gone since the mix was set: where that makes a model scarcer, or less so, by more than
    /// 5 %, all nodes are scored anew.
    pub fn follow_supply(&mut self) {
        if let Some(mix) = self.mix.with_other_supply(|models| self.gpus_of(models)) {
            self.score_all(mix);
        }
    }

    /// Nodes of which as much is left share their losses.
    fn score_all(&mut self, mix: Mix) {
        let rooms: BTreeSet<(&Room, u64)> =
            self.nodes().map(|node| (&node.room, node.model_bits)).collect();
        let rooms: Vec<(Room, u64)> =
            rooms.into_iter().map(|(room, bits)| (room.clone(), bits)).collect();
        let losses = rooms.par_iter().map(|(room, bits)| mix.losses(room, *bits).into());
        let losses: Vec<Arc<[Option<i64>]>> = losses.collect();
        let losses: BTreeMap<(Room, u64), Arc<[Option<i64>]>> =
            rooms.into_iter().zip(losses).collect();
        for node in self.nodes.iter_mut().flatten() {
            let alike = losses.get(&(node.room.clone(), node.model_bits));
            if let Some(alike) = alike.cloned() {
                Arc::make_mut(node).losses = alike;
            }
        }
        self.mix = Arc::new(mix);
    }

    /// What is known of a node, and its number.
    pub fn find(&self, name: &str) -> Option<(u32, &NodeView)> {
        let at = self.number(name.into())?;
        Some((at, self.view_at(at as usize)?))
    }

    /// The number of a node.
    #[inline]
    pub(super) fn number(&self, asked: Asked<'_>) -> Option<u32> {
        self.names.get(asked)
    }

    /// All nodes, in the order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.iter().flatten().map(AsRef::as_ref)
    }

    /// The node of this number.
    pub(super) fn view_at(&self, number: usize) -> Option<&NodeView> {
        self.nodes.get(number)?.as_deref()
    }

    /// Numbers of nodes that are not as they were in `before`.
    pub(super) fn changed_since(&self, before: &Self) -> BTreeSet<usize> {
        let is_new = |number: &usize| match (self.nodes.get(*number), before.nodes.get(*number)) {
            (Some(Some(one)), Some(Some(other))) => !Arc::ptr_eq(one, other),
            (None | Some(None), None | Some(None)) => false,
            _ => true,
        };
        self.nodes.changed_since(&before.nodes).filter(is_new).collect()
    }

    /// Numbers of nodes that are held, or were when they were last looked at.
    pub(super) fn held(&self) -> &BTreeSet<usize> {
        &self.held
    }

    /// Numbers of nodes are below this.
    pub fn node_numbers(&self) -> usize {
        self.nodes.len()
    }

    /// What a namespace says.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// The jobs to come.
    pub fn mix(&self) -> &Mix {
        &self.mix
    }

    /// GPUs of all nodes of these models.
    fn gpus_of(&self, models: u64) -> u64 {
        let of_model = self.supply.iter().filter(|&(bits, _)| bits & models != 0);
        of_model.map(|(_, gpus)| gpus).sum()
    }

    fn learn_models(&mut self, names: &[String]) {
        for name in names {
            if !self.models.contains(name) && self.models.len() < MODELS_MAX {
                Arc::make_mut(&mut self.models).push(name.clone());
            }
        }
    }

    /// Bits of the models; those beyond the 64th match anything.
    fn bits(&self, names: &[String]) -> u64 {
        let bit = |name| self.models.iter().position(|known| known == name).map(|at| 1 << at);
        names.iter().map(|name| bit(name).unwrap_or(u64::MAX)).fold(0, |sum, bit| sum | bit)
    }
}

//! The lead time of a pool, learned from the stages its nodes are seen in.
//!
//! A node that is seen in the next stage has gone through the one before; one that is gone before it was
//! usable has failed, because nodes on their way are never removed by us. What is known is worked out
//! anew at most every ten minutes and only when something was learned.

use crate::{
    lead_time::{
        DamagedParts, LeadTimeModel, LeadTimeParts, LeadTimePrior, LeadTimes, Learning, Stage,
    },
    model::{LeadTime, NodeId, NodeSnapshot, NodeStage},
    time::{Millis, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Working out what is known takes a fraction of a millisecond; lead times do not change faster.
const REFRESH: Millis = Millis::from_mins(10);

/// What is learned and what is known of the lead time of one pool.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lead {
    model: LeadTimeModel,
    /// Nodes on their way, as last seen.
    coming: BTreeMap<NodeId, (NodeStage, Timestamp)>,
    known: Known,
    times: LeadTimes,
    is_outdated: bool,
}

/// A node of the past that came to its GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStarted {
    /// When its GPUs were usable.
    pub usable: Timestamp,
    /// From its request to Ready, if that is known.
    pub provisioning: Option<Millis>,
    /// From Ready to usable GPUs.
    pub warm_up: Millis,
}

/// From what [`Lead::times`] was worked out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    at: Timestamp,
    parts: LeadTimeParts,
    in_flight: Vec<(Stage, Millis)>,
}

/// The state to keep over a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptLead {
    parts: LeadTimeParts,
    coming: BTreeMap<NodeId, (NodeStage, Timestamp)>,
    known: Known,
    is_outdated: bool,
}

impl Lead {
    pub(super) fn new(prior: &LeadTime) -> Self {
        let model = LeadTimeModel::new(prior_of(prior), Learning::default());
        let times = model.at(Timestamp::ZERO, &[]);
        let known = Known { at: Timestamp::ZERO, parts: model.to_parts(), in_flight: Vec::new() };
        Self { model, coming: BTreeMap::new(), known, times, is_outdated: false }
    }

    pub(super) fn keep(&self) -> KeptLead {
        KeptLead {
            parts: self.model.to_parts(),
            coming: self.coming.clone(),
            known: self.known.clone(),
            is_outdated: self.is_outdated,
        }
    }

    pub(super) fn restore(prior: &LeadTime, kept: KeptLead) -> Result<Self, DamagedParts> {
        let model = |parts| LeadTimeModel::from_parts(prior_of(prior), Learning::default(), parts);
        let times = model(&kept.known.parts)?.at(kept.known.at, &kept.known.in_flight);
        Ok(Self {
            model: model(&kept.parts)?,
            coming: kept.coming,
            known: kept.known,
            times,
            is_outdated: kept.is_outdated,
        })
    }

    /// Learns from nodes of the past, in the order in which they became usable.
    pub(super) fn recall(&mut self, nodes: &[NodeStarted]) {
        for node in nodes {
            if let Some(provisioning) = node.provisioning {
                self.model.record(Stage::Provisioning, provisioning, node.usable);
            }
            self.model.record(Stage::WarmUp, node.warm_up, node.usable);
        }
        if let Some(last) = nodes.last() {
            self.refresh(self.known.at.max(last.usable));
        }
    }

    /// Nodes on their way are seen as if for the first time.
    pub(super) fn forget_nodes(&mut self) {
        self.coming.clear();
    }

    /// What is known.
    pub(super) const fn times(&self) -> &LeadTimes {
        &self.times
    }

    /// Learns from the nodes that are there now.
    pub(super) fn observe(&mut self, now: Timestamp, nodes: &[NodeSnapshot]) {
        let before = std::mem::take(&mut self.coming);
        for node in nodes.iter().filter(|node| node.stage != NodeStage::Usable) {
            self.coming.insert(node.id, (node.stage, node.since));
        }
        for (id, (stage, since)) in before {
            let seen = nodes.binary_search_by_key(&id, |node| node.id);
            match seen.map(|place| &nodes[place]) {
                Ok(node) if node.stage == stage => continue,
                Ok(node) => self.record(now, stage, since, node),
                Err(_) => self.model.record_failure(stage_of(stage), now - since, now),
            }
            self.is_outdated = true;
        }
        if self.is_outdated && now - self.known.at >= REFRESH {
            self.refresh(now);
        }
    }

    /// A node was seen in `stage` and is now further. Of stages that passed between two looks the
    /// instants are not known, so nothing is learned of them.
    fn record(&mut self, now: Timestamp, stage: NodeStage, since: Timestamp, node: &NodeSnapshot) {
        let is_next = matches!(
            (stage, node.stage),
            (NodeStage::Requested, NodeStage::Warming) | (NodeStage::Warming, NodeStage::Usable)
        );
        if is_next {
            self.model.record(stage_of(stage), node.since - since, now);
        }
    }

    fn refresh(&mut self, now: Timestamp) {
        let in_flight = self.in_flight(now);
        self.times = self.model.at(now, &in_flight);
        self.known = Known { at: now, parts: self.model.to_parts(), in_flight };
        self.is_outdated = false;
    }

    /// Stage and age in it of all nodes on their way.
    fn in_flight(&self, now: Timestamp) -> Vec<(Stage, Millis)> {
        self.coming.values().map(|&(stage, since)| (stage_of(stage), now - since)).collect()
    }

    /// Whether a node that was on its way is usable now.
    pub(super) fn became_usable(&self, nodes: &[NodeSnapshot]) -> bool {
        let usable = nodes.iter().filter(|node| node.stage == NodeStage::Usable);
        !self.coming.is_empty() && usable.into_iter().any(|node| self.coming.contains_key(&node.id))
    }

    /// 99 of 100 nodes that are Ready have usable GPUs after this long.
    pub(super) fn warm_up_within(&self) -> Millis {
        self.times.stage(Stage::WarmUp).survival().quantile(0.99)
    }

    /// Whether a node takes longer than 99 of 100.
    pub(super) fn is_stuck(&self, now: Timestamp, node: &NodeSnapshot) -> bool {
        node.stage != NodeStage::Usable
            && self.times.is_stuck(stage_of(node.stage), now - node.since)
    }

    /// How many of the nodes on their way come within the median lead time: mean and 5 % quantile.
    pub(super) fn ready_within_median(&self, now: Timestamp, median: Millis) -> (f64, u32) {
        if self.coming.is_empty() {
            return (0.0, 0);
        }
        let ready = self.times.ready_within(&self.in_flight(now), median);
        (ready.mean, ready.quantile05)
    }
}

fn prior_of(lead: &LeadTime) -> LeadTimePrior {
    LeadTimePrior { provisioning: lead.provisioning.mean, warm_up: lead.warm_up.mean }
}

const fn stage_of(stage: NodeStage) -> Stage {
    match stage {
        NodeStage::Requested => Stage::Provisioning,
        NodeStage::Warming | NodeStage::Usable => Stage::WarmUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Free;

    fn node(id: u32, stage: NodeStage, since: i64) -> NodeSnapshot {
        NodeSnapshot {
            id: NodeId(id),
            stage,
            since: Timestamp::from_secs(since),
            gpus: 0,
            free: Free::default(),
            idle_since: None,
        }
    }

    /// Nodes that boot in 100 s and warm up in 50 s, one an hour.
    fn taught(hours: i64) -> Lead {
        let mut lead = Lead::new(&LeadTime::default());
        for hour in 0..hours {
            let (id, at) = (hour as u32, hour * 3600);
            let looks = [
                (at, NodeStage::Requested),
                (at + 100, NodeStage::Warming),
                (at + 150, NodeStage::Usable),
            ];
            for (since, stage) in looks {
                lead.observe(Timestamp::from_secs(since), &[node(id, stage, since)]);
            }
            lead.observe(Timestamp::from_secs(at + 1000), &[]);
        }
        lead
    }

    #[test]
    fn what_nodes_really_take_replaces_the_prior() {
        let cold = Lead::new(&LeadTime::default()).times().quantile(0.5).as_secs_f64();
        assert!((cold - 545.0).abs() < 15.0, "{cold}");
        let learned = taught(100).times().quantile(0.5).as_secs_f64();
        assert!((learned - 150.0).abs() < 15.0, "{learned}");
    }

    #[test]
    fn nodes_of_the_past_teach_as_if_they_had_been_seen() {
        let node = |hour: i64| NodeStarted {
            usable: Timestamp::from_secs(hour * 3600 + 150),
            provisioning: Some(Millis::from_secs(100)),
            warm_up: Millis::from_secs(50),
        };
        let nodes: Vec<NodeStarted> = (0..100).map(node).collect();
        let mut lead = Lead::new(&LeadTime::default());
        lead.recall(&nodes);
        let median = lead.times().quantile(0.5).as_secs_f64();
        assert!((median - 150.0).abs() < 15.0, "{median}");
        let again = Lead::restore(&LeadTime::default(), lead.keep()).unwrap();
        assert_eq!(again, lead);
        // Of an unknown first stage nothing is learned.
        let mut warm = Lead::new(&LeadTime::default());
        let half: Vec<NodeStarted> =
            nodes.iter().map(|node| NodeStarted { provisioning: None, ..*node }).collect();
        warm.recall(&half);
        let median = warm.times().quantile(0.5).as_secs_f64();
        assert!((median - 350.0).abs() < 25.0, "{median}");
    }

    #[test]
    fn a_node_that_takes_far_too_long_is_stuck_and_one_that_vanishes_has_failed() {
        let mut lead = taught(100);
        let late = node(200, NodeStage::Requested, 0);
        assert!(!lead.is_stuck(Timestamp::from_secs(90), &late));
        assert!(lead.is_stuck(Timestamp::from_secs(1500), &late));
        let before = lead.times().failure(Stage::Provisioning);
        lead.observe(Timestamp::from_secs(400_000), &[late]);
        lead.observe(Timestamp::from_secs(401_000), &[]);
        assert!(lead.times().failure(Stage::Provisioning) > before);
    }

    #[test]
    fn a_kept_lead_time_knows_the_same() {
        let mut lead = taught(5);
        lead.observe(Timestamp::from_secs(30_000), &[node(9, NodeStage::Requested, 29_900)]);
        let again = Lead::restore(&LeadTime::default(), lead.keep()).unwrap();
        assert_eq!(again, lead);
    }
}

//! Why a pod may or may not go to a node: every check, not only the first that fails.

use super::{
    Ask, ElasticBy, NodeView, Policy, Verdict, verdict,
    verdict::{CHECKS, Check},
};
use crate::time::Timestamp;

/// What one check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub check: &'static str,
    /// Why it fails; `None` = it does not.
    pub refusal: Option<&'static str>,
}

/// Everything about one pod and one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What a filter says.
    pub verdict: Verdict,
    /// Why nothing was checked, if so.
    pub unchecked: Option<&'static str>,
    /// The checks in their order.
    pub findings: Vec<Finding>,
    /// What placing it here takes from the jobs to come, in millionths of a GPU; `None` = it does not fit now.
    pub loss: Option<i64>,
    /// The node comes and goes with demand, so that its score does not rest on `loss`.
    pub is_elastic: bool,
    /// Who says so, or that it does not.
    pub elastic_by: ElasticBy,
}

/// Everything about one pod and one node at `now`.
pub fn explain(
    ask: &Ask,
    node: &NodeView,
    policy: &Policy,
    mix: &crate::packing::Mix,
    now: Timestamp,
) -> Explanation {
    let unchecked = match () {
        () if !node.is_gpu => Some("not a GPU node"),
        () if ask.is_exempt => Some("the pod keeps nodes running"),
        () => None,
    };
    let found = |(name, check): &(&'static str, Check)| Finding {
        check: name,
        refusal: check(ask, node, policy, now),
    };
    Explanation {
        verdict: verdict(ask, node, policy, now),
        findings: if unchecked.is_some() { Vec::new() } else { CHECKS.iter().map(found).collect() },
        unchecked,
        is_elastic: node.is_elastic,
        elastic_by: node.elastic_by,
        loss: node.room.fits(&ask.part).then(|| mix.loss(&node.room, node.model_bits, &ask.part)),
    }
}

//! Which nodes are worth clearing for the pod.
//!
//! Source: kube-scheduler 1.36 `preemption.go` (`callExtenders`), kubernetes #135486: an extender is also asked
//! about nodes on which nothing needs to go; those it must leave out.

use super::{Ask, ExtenderSnapshot, Rejection, Verdict, verdict};
use crate::time::Timestamp;

/// Whether each candidate (node, number of victims) is kept: not where eviction would be in vain, because the
/// node refuses the pod anyway, and not where there is nobody to evict.
pub fn preempt<'a>(
    snapshot: &ExtenderSnapshot,
    ask: &Ask,
    candidates: impl IntoIterator<Item = (&'a str, usize)>,
    now: Timestamp,
) -> Vec<bool> {
    let refuses = |name: &str| match snapshot.find(name) {
        Some((_, node)) => matches!(
            verdict(ask, node, &snapshot.policy, now),
            Verdict::Reject { class: Rejection::Unresolvable, .. }
        ),
        None => snapshot.policy.is_strict && !ask.is_exempt,
    };
    candidates.into_iter().map(|(name, victims)| victims > 0 && !refuses(name)).collect()
}

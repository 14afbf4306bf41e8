//! Which of the nodes asked about may take the pod.

use super::{Ask, ExtenderSnapshot, Rejection, Verdict, reason, verdict, verdict::rejection};
use crate::time::Timestamp;

/// The answer to a filter request. Every name stands in it once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filtered<'a> {
    /// Nodes that may, in the order asked.
    pub passed: Vec<&'a str>,
    /// Nodes that may not, in the order asked.
    pub rejected: Vec<(&'a str, Rejection, &'static str)>,
    /// Nodes nobody knows; they are in one of the two others as well.
    pub unknown: u32,
}

/// Which of these nodes may take the pod at `now`. Names that come twice count once.
pub fn filter<'a>(
    snapshot: &ExtenderSnapshot,
    ask: &Ask,
    names: impl IntoIterator<Item = &'a str>,
    now: Timestamp,
) -> Filtered<'a> {
    let names = names.into_iter();
    let passed = Vec::with_capacity(names.size_hint().0);
    let mut filtered = Filtered { passed, ..Filtered::default() };
    let mut seen = vec![0_u64; snapshot.node_numbers().div_ceil(64)];
    let kinds = snapshot.kinds();
    let mut verdicts: Vec<Option<Verdict>> = vec![None; kinds.count()];
    let mut strangers: Vec<&str> = Vec::new();
    for name in names {
        let verdict = if let Some((at, node)) = snapshot.find(name) {
            let (word, bit) = (&mut seen[at as usize / 64], 1 << (at % 64));
            if *word & bit != 0 {
                continue;
            }
            *word |= bit;
            let own = || verdict(ask, node, &snapshot.policy, now);
            match kinds.of(at) {
                Some(kind) => *verdicts[kind].get_or_insert_with(own),
                None => own(),
            }
        } else {
            if strangers.contains(&name) {
                continue;
            }
            strangers.push(name);
            filtered.unknown += 1;
            stranger(snapshot.policy.is_strict && !ask.is_exempt)
        };
        match verdict {
            Verdict::Pass => filtered.passed.push(name),
            Verdict::Reject { class, reason } => filtered.rejected.push((name, class, reason)),
        }
    }
    filtered
}

/// A node that is not in the snapshot: it may have registered this instant.
fn stranger(is_refused: bool) -> Verdict {
    if is_refused { rejection(reason::UNKNOWN) } else { Verdict::Pass }
}

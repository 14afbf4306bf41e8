//! Which of the nodes asked about may take the pod.

use super::{
    Ask, Asked, ExtenderSnapshot, Rejection, Verdict, reason, verdict, verdict::rejection,
};
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
    names: impl IntoIterator<Item = impl Into<Asked<'a>>>,
    now: Timestamp,
) -> Filtered<'a> {
    let names = names.into_iter();
    let passed = Vec::with_capacity(names.size_hint().0);
    let mut filtered = Filtered { passed, ..Filtered::default() };
    let mut seen = vec![0_u64; snapshot.node_numbers().div_ceil(64)];
    let kinds = snapshot.kinds();
    let mut verdicts: Vec<Option<Verdict>> = vec![None; kinds.count()];
    let mut strangers: Vec<&str> = Vec::new();
    for asked in names {
        let asked = asked.into();
        let name = asked.name;
        let verdict = if let Some(at) = snapshot.number(asked) {
            let (word, bit) = (&mut seen[at as usize / 64], 1 << (at % 64));
            if *word & bit != 0 {
                continue;
            }
            *word |= bit;
            let own = || own(snapshot, ask, at, now);
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

/// The verdict about the node of this number.
fn own(snapshot: &ExtenderSnapshot, ask: &Ask, at: u32, now: Timestamp) -> Verdict {
    let node = snapshot.view_at(at as usize);
    node.map_or(Verdict::Pass, |node| verdict(ask, node, &snapshot.policy, now))
}

/// A node that is not in the snapshot: it may have registered this instant.
fn stranger(is_refused: bool) -> Verdict {
    if is_refused { rejection(reason::UNKNOWN) } else { Verdict::Pass }
}

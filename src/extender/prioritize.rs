//! Which of the nodes that may take the pod should.
//!
//! Reasons stand in a fixed order, and a later one counts only where the earlier ones are equal: the gang's
//! NVLink domain; nodes about to go last; what the place costs, its worth to the jobs to come included; idle
//! nodes last, so that whole nodes stay drainable; nodes ready only now last; the fullest node. The order of
//! the nodes becomes a whole number from 10 to 0.
//!
//! What a place costs differs between nodes that stay and nodes that come and go. The GPUs of a fixed node are paid
//! for, used or not: what counts is what jobs to come could have done with them ([`crate::packing::Mix::loss`]). Of
//! an elastic node jobs to come lose nothing, for another can be started; but it cannot be given back as long as it is
//! used. So elastic nodes are equals but for their prices, which makes it best-fit, and where there are both kinds, a
//! place on an elastic node costs a whole node more ([`KEPT`]). No fixed node of the same size and price can lose
//! as much, unless jobs to come insist on its rare model.
//!
//! Sources: Weng et al., USENIX ATC 2023 (fragmentation); KAI scheduler (the fullest domain that holds the
//! gang); kube-scheduler `extender/v1` (`MaxExtenderPriority` 10, whole numbers only).

use super::{Ask, Asked, ExtenderSnapshot, NodeView};
use crate::{packing::LOSS_STEP, time::Timestamp};
use std::collections::BTreeMap;

/// The best score.
pub const MAX_SCORE: u8 = 10;

/// Why a node comes before another; lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    domain: (u8, u64),
    is_to_go: bool,
    cost: i64,
    is_idle: bool,
    is_fresh: bool,
    free_milli: u32,
}

/// What a pod on a node that comes and goes takes: the node cannot be given back. A node of 8 GPUs, in millionths of
/// a GPU.
const KEPT: i64 = 8_000_000;

/// Nodes nobody knows come last.
const STRANGER: Rank = Rank {
    domain: (u8::MAX, u64::MAX),
    is_to_go: true,
    cost: i64::MAX,
    is_idle: true,
    is_fresh: true,
    free_milli: u32::MAX,
};

/// Scores from 0 to [`MAX_SCORE`] in the order asked. Equal nodes get equal scores; the best alone get the
/// best score.
pub fn prioritize<'a>(
    snapshot: &ExtenderSnapshot,
    ask: &Ask,
    names: impl IntoIterator<Item = impl Into<Asked<'a>>>,
    now: Timestamp,
) -> Vec<(&'a str, u8)> {
    let domains = Domains::new(snapshot, ask);
    let class = snapshot.mix().classes().iter().position(|class| class.part == ask.part);
    let rank = |node: &NodeView, is_fresh: bool| Rank {
        domain: domains.rank(&node.clique),
        is_to_go: node.is_to_go,
        cost: cost(snapshot, ask, node, class),
        is_idle: node.is_idle,
        is_fresh,
        free_milli: node.room.free_milli,
    };
    let kinds = snapshot.standings();
    let mut ranks = Vec::new();
    // Places in `ranks` of what is known by kind: not fresh, fresh.
    let mut known: Vec<[Option<u32>; 2]> = vec![[None; 2]; kinds.count()];
    let mut place = |asked: Asked<'_>| {
        let Some(at) = snapshot.number(asked) else { return push(&mut ranks, STRANGER) };
        let is_fresh = snapshot.is_fresh(at, now);
        let own = || snapshot.view_at(at as usize).map_or(STRANGER, |node| rank(node, is_fresh));
        match kinds.of(at).filter(|_| ask.gang.is_none()) {
            Some(kind) => {
                *known[kind][usize::from(is_fresh)].get_or_insert_with(|| push(&mut ranks, own()))
            }
            None => push(&mut ranks, own()),
        }
    };
    let placed = |asked: Asked<'a>| (asked.name, place(asked));
    let placed: Vec<(&str, u32)> = names.into_iter().map(Into::into).map(placed).collect();
    let scores = scores(&ranks);
    placed.into_iter().map(|(name, place)| (name, scores[place as usize])).collect()
}

/// The place it gets.
fn push(ranks: &mut Vec<Rank>, rank: Rank) -> u32 {
    ranks.push(rank);
    ranks.len() as u32 - 1
}

/// Scores of ranks, in their order.
fn scores(ranks: &[Rank]) -> Vec<u8> {
    let mut sorted: Vec<Rank> = ranks.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let nth = |rank: &Rank| sorted.partition_point(|one| one < rank);
    ranks.iter().map(|rank| score(nth(rank), sorted.len())).collect()
}

/// The best of `of` ranks gets 10, the others 9 to 0 in even steps.
fn score(nth: usize, of: usize) -> u8 {
    match nth {
        0 => MAX_SCORE,
        _ if of <= 2 => 0,
        nth => ((of - 1 - nth) * 9 / (of - 2)) as u8,
    }
}

/// What the pod takes, from others to come as well (in steps of [`LOSS_STEP`]): millionths of a GPU of average price.
fn cost(snapshot: &ExtenderSnapshot, ask: &Ask, node: &NodeView, class: Option<usize>) -> i64 {
    let loss = match class {
        Some(class) => node.losses.get(class).copied().flatten(),
        None if node.room.fits(&ask.part) => {
            Some(snapshot.mix().loss(&node.room, node.model_bits, &ask.part))
        }
        None => None,
    };
    // kube-scheduler says it fits: what is known here is a moment old.
    let Some(loss) = loss else { return i64::MAX };
    let loss = if node.is_elastic { KEPT } else { loss.div_euclid(LOSS_STEP) * LOSS_STEP };
    let taken = i64::from(ask.part.demand_milli()) * 1000 + loss;
    let price = i64::from(node.price_milli);
    taken.saturating_mul(price).div_euclid(1000)
}

/// NVLink domains as the gang of one pod sees them; empty for pods without one.
struct Domains<'a> {
    ranks: BTreeMap<&'a str, (u8, u64)>,
    other: (u8, u64),
}

/// Members of the gang in a domain, and GPUs free there.
#[derive(Clone, Copy, Default)]
struct Domain {
    members: u32,
    free_milli: u64,
}

impl<'a> Domains<'a> {
    fn new(snapshot: &'a ExtenderSnapshot, ask: &Ask) -> Self {
        let Some((gang, min_members)) = &ask.gang else {
            return Self { ranks: BTreeMap::new(), other: (0, 0) };
        };
        let mut domains: BTreeMap<&str, Domain> = BTreeMap::new();
        let mut placed = 0;
        for node in snapshot.nodes() {
            let members = node.gangs.get(gang).copied().unwrap_or_default();
            placed += members;
            if !node.clique.is_empty() {
                let domain = domains.entry(&node.clique).or_default();
                domain.members += members;
                domain.free_milli += u64::from(node.room.free_milli);
            }
        }
        let remaining = min_members.saturating_sub(placed).max(1);
        let need = u64::from(ask.part.demand_milli()) * u64::from(remaining);
        let rank = |(name, domain)| (name, rank(domain, need));
        Self { ranks: domains.into_iter().map(rank).collect(), other: (3, 0) }
    }

    fn rank(&self, clique: &str) -> (u8, u64) {
        self.ranks.get(clique).copied().unwrap_or(self.other)
    }
}

/// With members already, most of them first; else the fullest that holds all that remain; else the emptiest.
fn rank(domain: Domain, need: u64) -> (u8, u64) {
    match domain {
        Domain { members: 1.., .. } => (0, u64::MAX - u64::from(domain.members)),
        _ if domain.free_milli >= need => (1, domain.free_milli),
        _ => (2, u64::MAX - domain.free_milli),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_run_from_ten_to_nought() {
        let scores = |of: usize| (0..of).map(|nth| score(nth, of)).collect::<Vec<_>>();
        assert_eq!(scores(1), [10]);
        assert_eq!(scores(2), [10, 0]);
        assert_eq!(scores(3), [10, 9, 0]);
        assert_eq!(scores(11), [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!((scores(5000)[0], scores(5000)[1], scores(5000)[2]), (10, 9, 8));
        assert_eq!(scores(5000).last(), Some(&0));
    }
}

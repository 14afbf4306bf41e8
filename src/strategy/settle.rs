//! From what a strategy wants to nodes created and removed: one arithmetic for all strategies.
//!
//! Creating fills a deficit of waiting jobs, floor and spare; removing stops where the same three, or what
//! is to be kept, would be hurt. Keep is never less than spare, so what is removed is never created again
//! by the next look at the same state.

use super::{PoolView, Want};
use crate::time::Timestamp;

/// What to do with one pool now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Nodes to request.
    pub create: u32,
    /// Idle nodes to remove, those idle longest first.
    pub remove: u32,
}

/// Settles a pool. `idle_since` gives the instants since when the idle usable nodes are idle, oldest
/// first.
pub fn settle(
    view: &PoolView<'_>,
    want: &Want,
    idle_since: impl Iterator<Item = Timestamp>,
) -> Plan {
    let create = missing(view, want).min(room_below_max(view));
    if create > 0 {
        return Plan { create, remove: 0 };
    }
    let expired = idle_since.take_while(|&since| since + want.idle_timeout <= view.now).count();
    Plan { create: 0, remove: (expired as u32).min(surplus(view, want)).min(want.most_removals) }
}

/// Nodes missing for waiting jobs, and beyond them for floor and spare. A new node counts for all of
/// them at once.
fn missing(view: &PoolView<'_>, want: &Want) -> u32 {
    let alive = view.alive_nodes() + view.firm_nodes;
    let floor = want.floor_nodes.max(view.min_nodes).saturating_sub(alive);
    let spare_nodes = want.spare_nodes.saturating_sub(view.spare_nodes);
    let spare_milli = want.spare_milli.saturating_sub(view.spare_milli).div_ceil(view.node_milli());
    let beyond = floor.max(spare_nodes).max(u32::try_from(spare_milli).unwrap_or(u32::MAX));
    view.firm_nodes.saturating_add(beyond)
}

fn room_below_max(view: &PoolView<'_>) -> u32 {
    view.max_nodes.map_or(u32::MAX, |max| max.saturating_sub(view.alive_nodes()))
}

/// Nodes that could go without hurting waiting jobs, floor, spare or keep.
fn surplus(view: &PoolView<'_>, want: &Want) -> u32 {
    let above_floor = view.alive_nodes().saturating_sub(want.floor_nodes.max(view.min_nodes));
    let above_keep_nodes = view.spare_nodes.saturating_sub(want.keep_nodes.max(want.spare_nodes));
    let keep_milli = want.keep_milli.max(want.spare_milli);
    let above_keep = view.spare_milli.saturating_sub(keep_milli) / view.node_milli();
    above_floor
        .min(above_keep_nodes)
        .min(u32::try_from(above_keep).unwrap_or(u32::MAX))
        .min(view.idle_nodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{packing::Fragments, time::Millis};
    use proptest::prelude::*;

    fn view(usable: u32, idle: u32) -> PoolView<'static> {
        PoolView {
            now: Timestamp::from_secs(3600),
            gpus_per_node: 8,
            lead_time: Millis::from_secs(540),
            min_nodes: 0,
            max_nodes: None,
            usable_nodes: usable,
            idle_nodes: idle,
            in_flight_nodes: 0,
            running_milli: u64::from(usable - idle) * 8000,
            waiting_milli: 0,
            demand_integral: 0,
            firm_nodes: 0,
            spare_milli: u64::from(idle) * 8000,
            spare_nodes: idle,
            fragments: Fragments::none(),
            arrivals: &[],
            finishes: &[],
            shapes: &[],
            last_create: None,
        }
    }

    fn long_idle(count: usize) -> impl Iterator<Item = Timestamp> {
        std::iter::repeat_n(Timestamp::ZERO, count)
    }

    #[test]
    fn nodes_idle_long_enough_go_and_others_stay() {
        let want = Want::nothing(Millis::from_mins(10));
        let since = [0, 3000, 3001].map(Timestamp::from_secs);
        assert_eq!(settle(&view(5, 3), &want, since.into_iter()), Plan { create: 0, remove: 2 });
    }

    #[test]
    fn one_new_node_serves_floor_and_spare_at_once() {
        let want = Want {
            floor_nodes: 6,
            spare_milli: 9000,
            spare_nodes: 1,
            ..Want::nothing(Millis::MAX)
        };
        assert_eq!(settle(&view(5, 1), &want, long_idle(1)).create, 1);
    }

    #[test]
    fn spare_and_floor_keep_idle_nodes() {
        let base = Want::nothing(Millis::ZERO);
        let kept = |want| settle(&view(5, 3), &want, long_idle(3)).remove;
        assert_eq!(kept(base), 3);
        assert_eq!(kept(Want { spare_milli: 9000, ..base }), 1);
        assert_eq!(kept(Want { spare_nodes: 3, ..base }), 0);
        assert_eq!(kept(Want { floor_nodes: 4, ..base }), 1);
    }

    #[test]
    fn what_is_kept_stays_but_is_not_created() {
        let want = Want { spare_nodes: 1, keep_nodes: 2, ..Want::nothing(Millis::ZERO) };
        let plan = |idle| settle(&view(5, idle), &want, long_idle(idle as usize));
        assert_eq!(plan(0), Plan { create: 1, remove: 0 });
        assert_eq!(plan(1), Plan::default());
        assert_eq!(plan(3), Plan { create: 0, remove: 1 });
        // 17 of 24 free GPUs are kept: one node may go only if 17 stay.
        let in_gpus = Want { spare_milli: 8000, keep_milli: 17_000, ..Want::nothing(Millis::ZERO) };
        assert_eq!(settle(&view(5, 3), &in_gpus, long_idle(3)), Plan::default());
        assert_eq!(settle(&view(5, 4), &in_gpus, long_idle(4)).remove, 1);
    }

    #[test]
    fn no_more_go_in_one_look_than_allowed() {
        let want = Want { most_removals: 2, ..Want::nothing(Millis::ZERO) };
        assert_eq!(settle(&view(5, 3), &want, long_idle(3)).remove, 2);
        assert_eq!(settle(&view(3, 1), &want, long_idle(1)).remove, 1);
    }

    #[test]
    fn the_maximum_caps_creation_and_never_removes() {
        let capped = PoolView { firm_nodes: 9, max_nodes: Some(7), ..view(5, 0) };
        let want = Want::nothing(Millis::ZERO);
        assert_eq!(settle(&capped, &want, long_idle(0)), Plan { create: 2, remove: 0 });
        let above = PoolView { max_nodes: Some(3), ..view(5, 0) };
        assert_eq!(settle(&above, &want, long_idle(0)), Plan::default());
    }

    proptest! {
        /// Fixpoint: after a plan is carried out, the same want asks for nothing more.
        #[test]
        fn a_settled_pool_stays_settled(
            busy in 0u32..20, idle in 0u32..20, flying in 0u32..5, firm in 0u32..5,
            floor in 0u32..30, spare in 0u64..100_000, spare_nodes in 0u32..10, min in 0u32..5,
            keep in 0u64..150_000, keep_nodes in 0u32..15,
        ) {
            // Nodes are equal: a job that needs a new one leaves no empty one over.
            let (idle, flying) = if firm > 0 { (0, 0) } else { (idle, flying) };
            let before = PoolView {
                in_flight_nodes: flying,
                firm_nodes: firm,
                min_nodes: min,
                spare_nodes: idle + flying,
                spare_milli: u64::from(idle + flying) * 8000,
                ..view(busy + idle, idle)
            };
            let want = Want {
                floor_nodes: floor,
                spare_milli: spare,
                spare_nodes,
                keep_milli: keep,
                keep_nodes,
                ..Want::nothing(Millis::ZERO)
            };
            let plan = settle(&before, &want, long_idle(idle as usize));
            let extra = plan.create.saturating_sub(firm);
            let after = PoolView {
                usable_nodes: before.usable_nodes - plan.remove,
                idle_nodes: idle - plan.remove,
                in_flight_nodes: flying + plan.create,
                firm_nodes: 0,
                spare_nodes: before.spare_nodes + extra - plan.remove,
                spare_milli: before.spare_milli + u64::from(extra) * 8000 - u64::from(plan.remove) * 8000,
                ..before
            };
            prop_assert_eq!(settle(&after, &want, long_idle(after.idle_nodes as usize)), Plan::default());
        }
    }
}

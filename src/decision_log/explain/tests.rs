use super::*;
use crate::{
    engine::{Decision, FirmNeed, Guarded, Observed, PoolReport, ScaleDown, Selected, Speculative},
    guard::ladder::{Cause, Rung},
    model::{NodeId, Pool, Snapshot},
};

/// A quiet pool of 4 nodes, one of them idle.
fn quiet() -> PoolReport {
    PoolReport {
        observed: Observed {
            usable_nodes: 4,
            idle_nodes: 1,
            running_milli: 24_000,
            lead_median: Millis::from_mins(9),
            ..Observed::default()
        },
        firm: FirmNeed { spare_milli: 8000, spare_nodes: 1, ..FirmNeed::default() },
        selected: Selected { candidate: 0, name: "watermark:0.2".into(), days: 0, kappa: 20.0 },
        promised: None,
        drifted: None,
        signals: Vec::new(),
        speculative: Speculative::default(),
        guarded: Guarded {
            rung: Rung::Normal,
            causes: Vec::new(),
            shadow_nodes: 3,
            needed_nodes: 3,
            credit_node_ms: 9_000_000,
            allowed_nodes: 0,
            bindings: Vec::new(),
        },
        scale_down: ScaleDown { idle_timeout: Millis::from_mins(10), ..ScaleDown::default() },
        create: 0,
        target_nodes: 4,
    }
}

fn sentences(report: PoolReport, wake_at: Timestamp) -> Vec<String> {
    let decision =
        Decision { actions: Vec::new(), wake_at, why: vec![report], replays_due: Vec::new() };
    let now = Timestamp::from_secs(93_600);
    let entry = Entry { line: 7, now, snapshot: Snapshot::default(), decision };
    let settings = Settings::new([Pool::new("a100", 8)], 20.0);
    assert_eq!(explain(&entry, &settings, 1), None);
    let explanation = explain(&entry, &settings, 0).unwrap();
    let head = (explanation.pool.as_str(), explanation.at.as_str(), explanation.line);
    assert_eq!(head, ("a100", "1d2h", 7));
    explanation.sentences
}

#[test]
fn a_quiet_pool_is_told_in_full() {
    let told = sentences(quiet(), Timestamp::from_secs(93_600 + 90));
    assert_eq!(
        told,
        [
            "Nothing was done: the pool stays at 4 nodes.",
            "Nothing waits; 8 GPUs are free or will be, among them 1 empty node.",
            "Ahead of demand: nothing is wanted.",
            "Strategy: `watermark:0.2`, the one to start with: no day has been replayed yet; a waiting \
             GPU-hour costs as much as 20 GPU-hours.",
            "Guards: a reactive controller would have 3 nodes; 2.5 node-hours of credit are left for more.",
            "Idle nodes: a node that is not needed goes after 10m.",
            "Seen: 4 nodes usable (1 idle), 0 booting, 0 waiting for the GPU driver; 24 GPUs in use.",
            "Next look: 1m30s later, or before if something changes.",
        ]
    );
}

#[test]
fn new_nodes_are_divided_among_their_reasons_and_limits_are_named() {
    let quiet = quiet();
    let told = sentences(
        PoolReport {
            observed: Observed { waiting_milli: 12_500, idle_nodes: 0, ..quiet.observed },
            firm: FirmNeed { nodes: 2, unplaced_units: 1, ..FirmNeed::default() },
            speculative: Speculative { spare_nodes: 9, wanted_nodes: 9, ..Speculative::default() },
            guarded: Guarded {
                allowed_nodes: 3,
                bindings: vec![
                    Binding { limit: Limit::UpStep, wanted: 9, allowed: 8 },
                    Binding { limit: Limit::Credit, wanted: 8, allowed: 3 },
                ],
                ..quiet.guarded.clone()
            },
            create: 6,
            target_nodes: 10,
            ..quiet
        },
        Timestamp::NEVER,
    );
    assert_eq!(
        told[..4],
        [
            "Asked for 6 nodes: 2 for waiting work, 1 because a reactive controller, or the pool's \
             minimum, would have as many, 3 ahead of demand. The pool then has 10 nodes.",
            "Work for 12.50 GPUs waits: beyond what is free or on its way it needs 2 nodes. Jobs or gangs \
             without a place, because no pool that suits them may grow: 1.",
            "Ahead of demand: the strategy wants 9 empty nodes to spare; for that 9 more nodes were \
             wanted.",
            "Held back: 8 of 9 nodes ahead of demand allowed, because of the step limit for new nodes \
             ahead of demand; 3 of 8 nodes ahead of demand allowed, because of the credit for nodes \
             ahead of demand.",
        ]
    );
    assert_eq!(told.last().unwrap(), NO_ALARM);
}

#[test]
fn removals_name_their_number_and_what_slows_them() {
    let quiet = quiet();
    let told = sentences(
        PoolReport {
            scale_down: ScaleDown { nodes: vec![NodeId(3)], idle_timeout: Millis::ZERO, shed: 1 },
            guarded: Guarded {
                bindings: vec![Binding { limit: Limit::DownStep, wanted: 2, allowed: 1 }],
                ..quiet.guarded.clone()
            },
            target_nodes: 3,
            ..quiet
        },
        Timestamp::NEVER,
    );
    assert_eq!(told[0], "Removed 1 idle node; the pool then has 3 nodes.");
    let down =
        "Held back: 1 of 2 nodes to remove allowed, because of the step limit for removing nodes.";
    assert_eq!(told[3], down);
    let idle =
        "Idle nodes: a node that is not needed goes at once; 1 went because the credit is used up.";
    assert!(told.iter().any(|sentence| sentence == idle), "{told:?}");
}

#[test]
fn who_cannot_see_says_so() {
    let quiet = quiet();
    let told = sentences(
        PoolReport {
            speculative: Speculative { spare_nodes: 2, wanted_nodes: 2, ..Speculative::default() },
            guarded: Guarded {
                rung: Rung::Freeze,
                causes: vec![Cause::StalePods(Millis::from_secs(150))],
                ..quiet.guarded.clone()
            },
            scale_down: ScaleDown { idle_timeout: Millis::MAX, ..ScaleDown::default() },
            ..quiet
        },
        Timestamp::NEVER,
    );
    let held = "Held back: 0 of 2 nodes ahead of demand allowed, because of the caution below.";
    assert_eq!(told[3], held);
    assert_eq!(
        told[4],
        "Caution: frozen: nothing new ahead of demand, nothing removed. Pods and nodes were last seen \
         150 s ago."
    );
    assert!(
        told.iter().any(|sentence| sentence == "Idle nodes: no idle node goes now."),
        "{told:?}"
    );
}

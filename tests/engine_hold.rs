//! A node that has just become usable stays for a while, unless the credit is used up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use prewarm::{
    engine::{Memory, PoolReport, Settings, check, decide},
    guard::limits::{Binding, Limit},
    model::{Free, NodeId, NodeSnapshot, NodeStage, Pool, PoolSnapshot, Snapshot},
    strategy::{Candidate, Idle, candidates},
    time::{Millis, Timestamp},
};

const USABLE: Timestamp = Timestamp::from_secs(100_000);

/// Follows the candidate that lets nodes go after five minutes, and holds them for ten.
fn settings() -> Settings {
    let mut settings = Settings::new([Pool::new("p", 8)], 20.0);
    settings.pools[0].steps.min_hold = Millis::from_mins(10);
    let five = Candidate::Reactive { idle: Idle::Fixed(Millis::from_mins(5)) };
    settings.pools[0].pinned = candidates(20.0).iter().position(|other| *other == five);
    assert!(settings.pools[0].pinned.is_some());
    settings
}

/// Nodes that became usable so many minutes after [`USABLE`] and have never been used.
fn unused(usable_at: &[i64]) -> Snapshot {
    let nodes = (0..).zip(usable_at).map(|(id, &mins)| NodeSnapshot {
        id: NodeId(id),
        stage: NodeStage::Usable,
        since: USABLE + Millis::from_mins(mins),
        gpus: 8,
        free: Free { gpus: 8, ..Free::default() },
        idle_since: Some(USABLE + Millis::from_mins(mins)),
    });
    let pool = PoolSnapshot { nodes: nodes.collect(), ..PoolSnapshot::default() };
    Snapshot { pools: vec![pool], ..Snapshot::default() }
}

/// What a fresh engine does so many minutes after [`USABLE`], and in how many it looks again.
fn after(mins: i64, snapshot: &Snapshot, settings: &Settings) -> (PoolReport, i64) {
    let now = USABLE + Millis::from_mins(mins);
    let mut decision = decide(now, snapshot, settings, &mut Memory::new(settings));
    assert_eq!(check(now, snapshot, settings, &decision), []);
    (decision.why.remove(0), (decision.wake_at - now).0 / 60_000)
}

fn is_held(report: &PoolReport) -> bool {
    report.guarded.bindings.iter().any(|binding| binding.limit == Limit::MinHold)
}

#[test]
fn what_became_usable_less_than_ten_minutes_ago_stays() {
    let (settings, snapshot) = (settings(), unused(&[0]));
    let (report, looks_in) = after(6, &snapshot, &settings);
    assert_eq!(report.scale_down.nodes, []);
    let bindings = [Binding { limit: Limit::MinHold, wanted: 1, allowed: 0 }];
    assert_eq!(report.guarded.bindings, bindings);
    assert_eq!(looks_in, 4);
    let (report, _) = after(10, &snapshot, &settings);
    assert_eq!((report.scale_down.nodes.as_slice(), report.scale_down.shed), (&[NodeId(0)][..], 0));
    assert!(!is_held(&report));
}

#[test]
fn without_a_hold_the_strategy_decides() {
    let mut settings = settings();
    settings.pools[0].steps.min_hold = Millis::ZERO;
    let (report, _) = after(6, &unused(&[0]), &settings);
    assert_eq!(report.scale_down.nodes, [NodeId(0)]);
}

#[test]
fn an_older_node_goes_in_place_of_a_younger_one() {
    let (mut settings, mut snapshot) = (settings(), unused(&[-20, 0]));
    settings.pools[0].steps.down_least = 2;
    // The older one worked until a minute after the younger one came.
    snapshot.pools[0].nodes[0].idle_since = Some(USABLE + Millis::from_mins(1));
    let (report, _) = after(7, &snapshot, &settings);
    assert_eq!(report.scale_down.nodes, [NodeId(0)]);
    assert!(is_held(&report));
}

#[test]
fn used_up_credit_overrides_the_hold() {
    let mut settings = settings();
    settings.pools[0].ledger.capacity_node_ms = 0;
    let (report, _) = after(2, &unused(&[0]), &settings);
    assert_eq!((report.scale_down.nodes.as_slice(), report.scale_down.shed), (&[NodeId(0)][..], 1));
    assert!(!is_held(&report));
}

#[test]
fn settings_kept_without_a_hold_get_the_usual_one() {
    let mut kept = serde_json::to_value(settings()).unwrap();
    kept["pools"][0]["steps"].as_object_mut().unwrap().remove("min_hold").unwrap();
    let read: Settings = serde_json::from_value(kept).unwrap();
    assert_eq!(read.pools[0].steps.min_hold, Millis::from_mins(5));
}

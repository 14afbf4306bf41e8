//! Outside signals in decisions: what they ask for, when they freeze, what is learned of them and kept.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use prewarm::{
    engine::{Decision, Memory, Settings, SignalSettings, SignalState, check, decide},
    guard::ladder::Rung,
    model::{
        Arrival, Finish, OwnerId, Pool, PoolSnapshot, ReadValue, Reading, Shape, ShapeId,
        SignalPast, Snapshot,
    },
    time::{Millis, Timestamp},
};
use std::sync::Arc;

/// Two pools of nodes of 8 GPUs, the first with these signals.
fn settings(signals: &[SignalSettings]) -> Settings {
    let mut settings = Settings::new([Pool::new("a", 8), Pool::new("b", 8)], 20.0);
    settings.pools[0].signals = signals.to_vec();
    settings.pools[0].pinned = Some(0);
    settings.pools[1].pinned = Some(0);
    settings
}

fn queue() -> SignalSettings {
    SignalSettings { gpus_per_unit: 8.0, ..SignalSettings::new("queue") }
}

fn secs(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

struct Live {
    settings: Settings,
    memory: Memory,
    /// Told at the next look.
    pasts: Vec<SignalPast>,
}

impl Live {
    fn new(signals: &[SignalSettings]) -> Self {
        let settings = settings(signals);
        Self { memory: Memory::new(&settings), settings, pasts: Vec::new() }
    }

    fn look(&mut self, now: i64, read_at: i64, value: ReadValue) -> Decision {
        let reading = Reading { name: "queue".into(), at: secs(read_at), value };
        let signal_pasts = std::mem::take(&mut self.pasts);
        let pool = PoolSnapshot { signals: vec![reading], signal_pasts, ..PoolSnapshot::default() };
        let shapes: Arc<[Shape]> = Arc::from([Shape::whole_gpus(8)]);
        let pools = vec![pool, PoolSnapshot::default()];
        let snapshot = Snapshot { pools, shapes, ..Snapshot::default() };
        let decision = decide(secs(now), &snapshot, &self.settings, &mut self.memory);
        let faults = check(secs(now), &snapshot, &self.settings, &decision);
        assert!(faults.is_empty(), "{faults:?}");
        decision
    }
}

fn state(decision: &Decision) -> (SignalState, u32, Rung) {
    let report = &decision.why[0];
    (report.signals[0].state, report.speculative.signal_nodes, report.guarded.rung)
}

#[test]
fn a_signal_asks_and_grows_old() {
    let mut live = Live::new(&[queue()]);
    let three = ReadValue::Units(3.0);
    let first = live.look(6000, 5990, three);
    assert_eq!(state(&first), (SignalState::Trial, 3, Rung::Normal));
    // Two at a time, so that a slip costs little.
    assert_eq!(first.why[0].create, 2);
    assert!(first.wake_at <= secs(6060));
    assert_eq!(state(&live.look(6110, 5990, three)), (SignalState::Trial, 3, Rung::Normal));
    let stale = live.look(6111, 5990, three);
    assert_eq!(state(&stale), (SignalState::Stale, 3, Rung::Freeze));
    assert_eq!(stale.why[0].create, 0);
    assert_eq!(stale.why[1].guarded.rung, Rung::Normal);
    assert_eq!(state(&live.look(6590, 5990, three)), (SignalState::Stale, 3, Rung::Freeze));
    let out = live.look(6591, 5990, three);
    assert_eq!(state(&out), (SignalState::Stale, 0, Rung::NonForecast));
    let back = live.look(6600, 6595, ReadValue::Units(1.0));
    assert_eq!(state(&back), (SignalState::Trial, 1, Rung::Normal));
}

#[test]
fn what_cannot_be_counts_as_no_reading() {
    for value in
        [ReadValue::Absent, ReadValue::Absurd, ReadValue::Units(f64::NAN), ReadValue::Units(-2.0)]
    {
        let mut live = Live::new(&[queue()]);
        assert_eq!(state(&live.look(6000, 6000, value)), (SignalState::Unread, 0, Rung::Normal));
        // Nothing that was never read freezes anything, however long.
        assert_eq!(state(&live.look(9000, 9000, value)), (SignalState::Unread, 0, Rung::Normal));
        live.look(9010, 9005, ReadValue::Units(2.0));
        assert_eq!(state(&live.look(9125, 9120, value)), (SignalState::Trial, 2, Rung::Normal));
        let stale = live.look(9126, 9120, value);
        assert_eq!(state(&stale), (SignalState::Stale, 2, Rung::Freeze));
        assert_eq!(stale.why[0].signals[0].age, Some(Millis::from_secs(121)));
    }
}

#[test]
fn one_that_runs_far_ahead_must_have_stood() {
    // Nodes take about ten minutes; forty minutes ahead is thirty too early.
    let ahead = SignalSettings { lead: Some(Millis::from_mins(40)), ..queue() };
    let mut live = Live::new(&[ahead]);
    let mut asked = Vec::new();
    for minute in 0..60_i64 {
        let units = if minute < 10 { 0.0 } else { 4.0 };
        let decision = live.look(minute * 60, minute * 60, ReadValue::Units(units));
        asked.push(state(&decision).1);
    }
    let from = asked.iter().position(|&nodes| nodes > 0).unwrap();
    assert!((35..45).contains(&from), "acted upon after {from} min");
    assert!(asked[..from].iter().all(|&nodes| nodes == 0) && asked[from..].iter().all(|&n| n == 4));
}

#[test]
fn no_more_than_its_maximum() {
    let mut live = Live::new(&[SignalSettings { max_gpus: Some(20), ..queue() }]);
    assert_eq!(state(&live.look(6000, 6000, ReadValue::Units(1e12))).1, 3);
}

/// Bursts of one to three nodes at no particular time, a day and a half of them.
fn past() -> (Vec<Arrival>, Vec<Finish>, Vec<Option<f64>>) {
    let (mut arrivals, mut finishes) = (Vec::new(), Vec::new());
    let mut queue = vec![Some(0.0); 36 * 60];
    for burst in 0..30_u32 {
        let minute = i64::from(burst) * 70 + i64::from(burst * burst % 31) + 30;
        for worker in 0..=(burst % 3) {
            let (job, at) = (burst * 3 + worker, secs(minute * 60));
            arrivals.push(Arrival {
                job,
                at,
                shape: ShapeId(0),
                owner: OwnerId(0),
                gpu_milli: 8000,
                is_running: false,
            });
            finishes.push(Finish { job, started: at, at: at + Millis::from_mins(20) });
        }
        let ahead = (minute - 10) as usize..minute as usize;
        queue[ahead].fill(Some(f64::from(1 + burst % 3)));
    }
    (arrivals, finishes, queue)
}

/// The memory of a pool that had a queue ten minutes ahead and the hour of the day as signals.
fn taught() -> Live {
    let clock = SignalSettings::new("clock");
    let mut live = Live::new(&[queue(), clock]);
    let (arrivals, finishes, queue) = past();
    live.memory.recall(0, &arrivals, &finishes, &[]);
    let every = Millis::from_mins(1);
    let clock: Vec<Option<f64>> = (0..queue.len()).map(|m| Some((m / 60 % 24) as f64)).collect();
    let past = |name: &str, values: &[Option<f64>]| {
        let (name, values) = (name.to_owned(), values.to_vec());
        SignalPast { name, from: secs(0), every, values }
    };
    live.pasts = vec![past("queue", &queue), past("clock", &clock), past("nobody", &clock)];
    live
}

#[test]
fn what_the_past_says_of_signals_is_known_at_once() {
    let mut live = taught();
    let now = 36 * 3600;
    // One signal is studied at a look.
    live.look(now, now, ReadValue::Units(2.0));
    let decision = live.look(now + 1, now, ReadValue::Units(2.0));
    let [queue, clock] = decision.why[0].signals.as_slice() else { panic!("two signals") };
    let study = queue.study.unwrap();
    assert_eq!((queue.state, study.lag_minutes), (SignalState::Useful, 10));
    assert!(study.skill > 0.3 && study.hours > 30.0, "{study:?}");
    assert_eq!(decision.why[0].speculative.signal_nodes, 2);
    // It was never read since, so it is told as such and freezes nothing.
    assert!(!clock.study.unwrap().is_useful);
    assert_eq!((clock.state, clock.asks_milli), (SignalState::Unread, 0));
}

#[test]
fn what_was_learned_is_kept_and_follows_the_settings() {
    let mut live = taught();
    let now = 36 * 3600;
    live.look(now, now, ReadValue::Units(2.0));
    let kept = live.memory.keep().unwrap();
    let study = |settings: &Settings| {
        let memory = Memory::restore(&kept, settings).unwrap();
        let mut live = Live { settings: settings.clone(), memory, pasts: Vec::new() };
        live.look(now + 60, now + 60, ReadValue::Units(2.0)).why.remove(0).signals
    };
    let same = study(&live.settings);
    assert_eq!(same[0].study.unwrap().at, secs(now) - Millis(1));
    let mut changed = live.settings.clone();
    changed.pools[0].signals[0].gpus_per_unit = 4.0;
    // The samples are still right, the verdict is not: it is studied anew.
    assert_eq!(study(&changed)[0].study.unwrap().at, secs(now + 60) - Millis(1));
    changed.pools[0].signals[0].source = "sum(other)".into();
    assert_eq!((study(&changed)[0].study, study(&changed)[0].state), (None, SignalState::Trial));
    changed.pools[0].signals.remove(0);
    assert_eq!(study(&changed).len(), 1);
    // A memory without signals is what it was before there were any.
    let plain = Memory::new(&settings(&[])).keep().unwrap();
    assert!(!plain.contains("signals"));
    assert!(Memory::restore(&plain, &live.settings).is_ok());
}

/// A pool that nobody uses, and a signal that goes on asking for it.
#[test]
fn one_that_asks_and_nobody_comes_is_ignored_after_a_day() {
    let mut live = Live::new(&[queue()]);
    let mut states = Vec::new();
    for minute in 0..30 * 60_i64 {
        let decision = live.look(minute * 60, minute * 60, ReadValue::Units(1.0));
        states.push(state(&decision).0);
    }
    let ignored = states.iter().position(|&state| state == SignalState::Useless).unwrap();
    assert!((24 * 60..26 * 60).contains(&ignored), "after {ignored} min");
    assert!(states[..ignored].iter().all(|&state| state == SignalState::Trial));
    assert!(states[ignored..].iter().all(|&state| state == SignalState::Useless));
    // One that asks for nothing does no harm, and may yet prove itself.
    let mut live = Live::new(&[queue()]);
    for minute in 0..30 * 60_i64 {
        let decision = live.look(minute * 60, minute * 60, ReadValue::Units(0.0));
        assert_eq!(state(&decision).0, SignalState::Trial, "after {minute} min");
    }
}

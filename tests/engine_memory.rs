//! What the engine keeps over a restart: the same decisions after it, nothing that grows, and no damage
//! that passes unnoticed and then panics.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "figures of the test")]

mod support;

use prewarm::{
    engine::{DamagedMemory, Memory, SCHEMA, Settings, decide},
    model::{Action, Pool, Snapshot, Trace},
    time::{Millis, Timestamp},
    world::{Controller, Setup, run_controlled},
};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::engine::{Checked, Rng, World, random_world};
use support::{Row, job, setup, trace};

/// Writes down every decision; now and then it is stopped and started again.
struct Restarted {
    engine: Checked,
    /// Stops at every look of which the number is a multiple of this.
    every: Option<u64>,
    decisions: Vec<String>,
}

impl Restarted {
    fn new(settings: Settings, every: Option<u64>) -> Self {
        Self { engine: Checked::new(settings), every, decisions: Vec::new() }
    }
}

impl Controller for Restarted {
    fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp) {
        if self.every.is_some_and(|every| self.engine.looks % every == every - 1) {
            let kept = self.engine.memory.keep().unwrap();
            self.engine.memory = Memory::restore(&kept, &self.engine.settings).unwrap();
            assert_eq!(self.engine.memory.keep().unwrap(), kept);
        }
        let answer = self.engine.decide(now, snapshot);
        self.decisions.push(serde_json::to_string(&self.engine.last).unwrap());
        answer
    }
}

#[test]
fn a_restart_changes_no_decision() {
    for seed in 0..60 {
        let World { trace, setup, settings } = random_world(&mut Rng(seed));
        let run = |every| {
            let mut controller = Restarted::new(settings.clone(), every);
            run_controlled(&trace, &setup, &mut controller, &|_| true);
            controller.decisions
        };
        let whole = run(None);
        for every in [1 + seed % 7, 50] {
            let restarted = run(Some(every));
            let differs = whole.iter().zip(&restarted).position(|(a, b)| a != b);
            assert_eq!(differs, None, "seed {seed}, restarted at every {every}th look");
            assert_eq!(whole.len(), restarted.len(), "seed {seed}");
        }
    }
}

/// Bursts of all sizes by two dozen users, for so many days.
fn busy(days: i64) -> (Trace, Setup) {
    let mut rng = Rng(7);
    let mut rows: Vec<Row> = Vec::new();
    let mut at = 0;
    while at < days * 86_400 {
        at += rng.within(1, 1_500);
        let (gpus, duration) = (rng.pick(&[1, 1, 1, 2, 4, 8, 16]), rng.within(60, 7_200));
        for _ in 0..rng.pick(&[1, 1, 2, 6]) {
            let row = job(at, duration, gpus);
            rows.push(if rng.chance(20) { row.milli(250) } else { row });
        }
    }
    let end = Timestamp::ZERO + Millis::from_hours(days * 24);
    (trace(&rows), Setup { end, ..setup() })
}

/// The engine and, at the end of some days, how large each part of its memory is.
struct Weighed {
    engine: Checked,
    at: Vec<Timestamp>,
    sizes: Vec<Vec<(String, usize)>>,
}

impl Controller for Weighed {
    fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp) {
        let answer = self.engine.decide(now, snapshot);
        if self.at.first().is_some_and(|&at| now >= at) {
            self.at.remove(0);
            let kept: Value = serde_json::from_str(&self.engine.memory.keep().unwrap()).unwrap();
            let pool = &kept["pools"][0];
            let parts = [&pool["kept"], &pool["lead"]].map(|part| part.as_object().unwrap().iter());
            let size = |(name, part): (&String, &Value)| (name.clone(), part.to_string().len());
            self.sizes.push(parts.into_iter().flatten().map(size).collect());
        }
        answer
    }
}

#[test]
fn two_months_take_no_more_memory_than_one() {
    let (trace, setup) = busy(61);
    let settings = Settings::new(setup.pools.clone(), 20.0);
    let day = |days: i64| Timestamp::ZERO + Millis::from_hours(days * 24);
    let mut weighed =
        Weighed { engine: Checked::new(settings), at: vec![day(30), day(60)], sizes: Vec::new() };
    run_controlled(&trace, &setup, &mut weighed, &|_| true);
    assert!(weighed.engine.faults.is_empty(), "{:?}", weighed.engine.faults);
    let [first, second] = &weighed.sizes[..] else { panic!("{} weighings", weighed.sizes.len()) };
    let total = |sizes: &[(String, usize)]| sizes.iter().map(|(_, size)| size).sum::<usize>();
    eprintln!("kept: {} bytes after 30 days, {} after 60", total(first), total(second));
    assert!(total(second) * 10 <= total(first) * 11, "{first:?}\n{second:?}");
    for ((name, before), (_, after)) in first.iter().zip(second) {
        // Eight kilobytes are digits of growing numbers, and the jobs and nodes of that very instant.
        let is_bounded = *after <= before + before / 4 + 8_000;
        assert!(is_bounded, "{name}: {before} bytes after 30 days, {after} after 60");
    }
}

/// A memory with something in every part of it, and a picture to decide on.
fn rich() -> (Settings, String, Snapshot, Timestamp) {
    struct Last(Checked, Snapshot, Timestamp);
    impl Controller for Last {
        fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp) {
            let answer = self.0.decide(now, snapshot);
            (self.1, self.2) = (snapshot.clone(), now);
            answer
        }
    }
    let (trace, setup) = busy(2);
    let settings = Settings::new(setup.pools.clone(), 20.0);
    let mut last = Last(Checked::new(settings.clone()), Snapshot::default(), Timestamp::ZERO);
    run_controlled(&trace, &setup, &mut last, &|_| true);
    (settings, last.0.memory.keep().unwrap(), last.1, last.2)
}

#[test]
fn a_memory_of_another_version_or_other_pools_is_refused() {
    let settings = Settings::new([Pool::new("a", 8)], 20.0);
    let kept = Memory::new(&settings).keep().unwrap();
    let refused = |kept: &str, settings: &Settings| Memory::restore(kept, settings).unwrap_err();
    let other = kept.replace(SCHEMA, "prewarm.memory/v0");
    assert!(matches!(refused(&other, &settings), DamagedMemory::Version(_)));
    for pools in [vec!["b"], vec!["a", "b"], vec![]] {
        let settings = Settings::new(pools.into_iter().map(|name| Pool::new(name, 8)), 20.0);
        assert!(matches!(refused(&kept, &settings), DamagedMemory::Pools { .. }));
    }
    let smaller = Settings::new([Pool::new("a", 4)], 20.0);
    assert!(matches!(refused(&kept, &smaller), DamagedMemory::NodeSize { .. }));
    // The candidates hang on what waiting costs.
    let dearer = Settings::new([Pool::new("a", 8)], 50.0);
    assert!(matches!(refused(&kept, &dearer), DamagedMemory::Candidates { .. }));
    let forged = kept.replace("\"candidates\":[", "\"candidates\":[\"x\",");
    assert!(matches!(refused(&forged, &settings), DamagedMemory::Digest { .. }));
    for end in [0, 1, kept.len() / 2, kept.len() - 1] {
        assert!(matches!(refused(&kept[..end], &settings), DamagedMemory::Unreadable(_)));
    }
}

/// Every place of a document at which a value stands, as keys from the top.
fn places(value: &Value, here: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    found.push(here.clone());
    let inner: Vec<(String, &Value)> = match value {
        Value::Array(items) => {
            items.iter().enumerate().map(|(nth, item)| (nth.to_string(), item)).collect()
        }
        Value::Object(fields) => fields.iter().map(|(name, item)| (name.clone(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, item) in inner {
        here.push(name);
        places(item, here, found);
        here.pop();
    }
}

fn at<'a>(value: &'a mut Value, place: &[String]) -> &'a mut Value {
    let step = |value: &'a mut Value, key: &String| match value {
        Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
        other => &mut other[key.as_str()],
    };
    place.iter().fold(value, step)
}

/// Does something bad to a value.
fn damage(value: &mut Value, rng: &mut Rng) {
    let numbers: [Value; 9] = [
        Value::Null,
        0.into(),
        (-1).into(),
        i64::MAX.into(),
        i64::MIN.into(),
        u64::from(u32::MAX).into(),
        1e300.into(),
        (-1e300).into(),
        0.5.into(),
    ];
    match value {
        Value::Array(items) if !items.is_empty() && rng.chance(90) => match rng.within(0, 5) {
            0 => items.reverse(),
            1 => drop(items.pop()),
            2 => items.push(items[0].clone()),
            3 => items.clear(),
            _ => {
                let other = rng.next() as usize % items.len();
                items.swap(0, other);
            }
        },
        Value::Object(fields) if rng.chance(50) => fields.clear(),
        Value::Bool(flag) => *flag = !*flag,
        other => *other = numbers[rng.next() as usize % numbers.len()].clone(),
    }
}

/// Places by kind: long lists of alike items would get all the damage otherwise.
fn kinds_of_places(whole: &Value) -> Vec<(String, Vec<Vec<String>>)> {
    let mut all = Vec::new();
    places(whole, &mut Vec::new(), &mut all);
    let mut kinds = std::collections::BTreeMap::<String, Vec<Vec<String>>>::new();
    for place in all {
        let is_name = |key: &&String| key.parse::<u64>().is_err();
        let kind = place.iter().filter(is_name).map(String::as_str).collect::<Vec<_>>().join(".");
        kinds.entry(format!("{kind}/{}", place.len())).or_default().push(place);
    }
    kinds.into_iter().collect()
}

#[test]
fn damage_is_refused_or_harmless() {
    let (settings, kept, picture, now) = rich();
    let whole: Value = serde_json::from_str(&kept).unwrap();
    let kinds = kinds_of_places(&whole);
    let (mut rng, mut refused, mut panicked) = (Rng(11), 0, std::collections::BTreeSet::new());
    for case in 0..2_000 {
        let mut damaged = whole.clone();
        let (kind, places) = &kinds[case % kinds.len()];
        let place = &places[rng.next() as usize % places.len()];
        damage(at(&mut damaged, place), &mut rng);
        let lives = catch_unwind(AssertUnwindSafe(|| {
            let Ok(mut memory) = Memory::restore(&damaged.to_string(), &settings) else {
                return false;
            };
            for step in 0..3 {
                let now = now + Millis::from_secs(10 + step * 7_200);
                decide(now, &picture, &settings, &mut memory);
                memory.brief(0, &settings, &picture.shapes);
            }
            true
        }));
        match lives {
            Ok(lives) => refused += u32::from(!lives),
            Err(_) => drop(panicked.insert(kind.clone())),
        }
    }
    eprintln!("of 2000 damaged memories {refused} were refused");
    assert!(panicked.is_empty(), "damage here panics later: {panicked:#?}");
    assert!(refused > 500, "{refused}");
}

#[test]
fn any_broken_text_is_refused_or_harmless() {
    let (settings, kept, picture, now) = rich();
    let mut rng = Rng(13);
    for case in 0..300 {
        let mut bytes = kept.clone().into_bytes();
        for _ in 0..rng.within(1, 4) {
            let place = rng.next() as usize % bytes.len();
            bytes[place] = rng.pick(b"0123456789-.e,:[]{}\"xn");
        }
        let text = String::from_utf8(bytes).unwrap();
        let lives = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(mut memory) = Memory::restore(&text, &settings) {
                decide(now + Millis::from_secs(10), &picture, &settings, &mut memory);
            }
        }));
        assert!(lives.is_ok(), "case {case}");
    }
}

/// Numbers that no pool comes to, but that fit their fields.
fn distort(value: &mut Value, rng: &mut Rng) {
    let signed = [-1, i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 1 << 40, -(1 << 40), 1 << 53];
    let whole =
        [0, 1, 7, u64::from(u32::MAX), u64::from(u32::MAX) - 1, 1 << 31, u64::from(u16::MAX), 999];
    match value {
        Value::Array(items) if !items.is_empty() => match rng.within(0, 5) {
            0 => items.truncate(items.len() / 2),
            1 => items.clear(),
            2 => items.reverse(),
            3 => items.extend(items.clone()),
            _ => items.insert(0, items[items.len() / 2].clone()),
        },
        Value::Number(number) if number.is_f64() => {
            *value = rng.pick(&[0.0, -1.0, 1e-300, 1e15, 1e300, -1e300]).into();
        }
        Value::Number(_) if rng.chance(50) => *value = rng.pick(&signed).into(),
        Value::Number(_) => *value = rng.pick(&whole).into(),
        _ => {}
    }
}

/// The memory with a digest that fits, as after a fault in what writes it.
fn restored(mut damaged: Value, settings: &Settings) -> Result<Memory, DamagedMemory> {
    match Memory::restore(&damaged.to_string(), settings) {
        Err(DamagedMemory::Digest { found, .. }) => {
            damaged["digest"] = found.into();
            Memory::restore(&damaged.to_string(), settings)
        }
        other => other,
    }
}

#[test]
fn absurd_numbers_are_refused_or_harmless() {
    let (settings, kept, picture, now) = rich();
    let whole: Value = serde_json::from_str(&kept).unwrap();
    let kinds = kinds_of_places(&whole);
    let (mut rng, mut refused, mut panicked) =
        (Rng(17), 0_usize, std::collections::BTreeMap::new());
    let cases = 1_500;
    for case in 0..cases {
        let mut damaged = whole.clone();
        let (kind, places) = &kinds[case % kinds.len()];
        let place = &places[rng.next() as usize % places.len()];
        distort(at(&mut damaged, place), &mut rng);
        let told = at(&mut damaged, place).to_string().chars().take(60).collect::<String>();
        let lives = catch_unwind(AssertUnwindSafe(|| {
            let Ok(mut memory) = restored(damaged, &settings) else { return false };
            for look in 1..=10 {
                let now = now + Millis::from_secs(10 + 7_200 * look);
                let decision = decide(now, &picture, &settings, &mut memory);
                assert!(decision.wake_at > now);
                memory.brief(0, &settings, &picture.shapes);
            }
            memory.keep().unwrap();
            true
        }));
        match lives {
            Ok(lives) => refused += usize::from(!lives),
            Err(_) => drop(panicked.insert(kind.clone(), told)),
        }
    }
    eprintln!("of {cases} absurd memories {refused} were refused");
    assert!(panicked.is_empty(), "these numbers panic later: {panicked:#?}");
    assert!(refused > cases / 10 && refused < cases, "{refused}");
}

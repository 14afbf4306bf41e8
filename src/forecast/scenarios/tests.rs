use super::*;
use crate::{
    forecast::{bins::Calendar, events::Event},
    model::{OwnerId, Shape, ShapeId},
    time::Millis,
};
use proptest::prelude::*;

/// Class `i` asks for so many GPUs.
const GPUS: [u32; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 11, 16];

fn sizes() -> NodeSizes {
    NodeSizes::new(8, &GPUS.map(Shape::whole_gpus))
}

fn class(gpus: u32) -> usize {
    GPUS.iter().position(|&of| of == gpus).unwrap()
}

/// Jobs: when they come, how long they last (seconds), and their class.
fn events_of(jobs: &[(i64, i64, usize)]) -> Events {
    let mut events = Events::new(Timestamp::ZERO, 0);
    for &(at, lasts, class) in jobs {
        let milli = u64::from(GPUS[class]) * 1000;
        let shape = ShapeId(class as u32);
        let came = Event::arrival(Timestamp::from_secs(at), milli, shape, OwnerId(0));
        events.push(came);
        events.push(came.finished(Timestamp::from_secs(at + lasts)));
    }
    events
}

fn span(now: i64, horizon: i64, step: i64) -> Span {
    let secs = Millis::from_secs;
    let now = Timestamp::from_secs(now);
    Span { from: Timestamp::ZERO, now, horizon: secs(horizon), step: secs(step) }
}

fn fit(jobs: &[(i64, i64, usize)], span: &Span) -> Scenarios {
    let events = events_of(jobs);
    let (first, count) = span.grid(&events);
    let features = Features::sweep(&events, first, span.step, count, Calendar::default());
    Scenarios::fit(&events, &sizes(), span, &features).unwrap()
}

/// What the only window of 100 s, the one after second 0, needs beside these fragments.
fn need(jobs: &[(i64, i64, usize)], fragments: &[u32]) -> u32 {
    let scenarios = fit(jobs, &span(100, 100, 1000));
    most(&scenarios, 1.0, fragments)
}

/// The quantile over all situations beside these fragments.
fn most(scenarios: &Scenarios, level: f64, fragments: &[u32]) -> u32 {
    let free = Free { nodes: fragments, devices: &[] };
    let [need] = scenarios.empty_nodes(Scheme::All, &Features::default(), [level], free);
    need
}

/// `fragments[d]` of nodes with so many devices free each.
fn counted(free: &[u32]) -> Vec<u32> {
    let mut counts = vec![0; 9];
    for &free in free {
        counts[free as usize] += 1;
    }
    counts
}

/// Whether the parts fit on bins with so many free devices: tries every assignment.
fn fits(parts: &[u32], bins: &mut [u32]) -> bool {
    let Some((&first, rest)) = parts.split_first() else { return true };
    (0..bins.len()).any(|bin| {
        let room = bins[bin] >= first;
        if room {
            bins[bin] -= first;
        }
        let found = room && fits(rest, bins);
        if room {
            bins[bin] += first;
        }
        found
    })
}

/// The fewest empty nodes that hold what runs at every second, when the best place is found for everything.
fn brute(jobs: &[(i64, i64, usize)], horizon: i64, free: &[u32]) -> u32 {
    let at = |at: i64| {
        let running = jobs.iter().filter(|job| 0 < job.0 && job.0 <= at && at < job.0 + job.1);
        let mut parts = Vec::new();
        for job in running {
            let gpus = GPUS[job.2];
            parts.extend(repeat_n(8, gpus as usize / 8));
            parts.extend(Some(gpus % 8).filter(|&rest| rest > 0));
        }
        parts.sort_unstable_by(|a, b| b.cmp(a));
        let enough = |&nodes: &u32| {
            let new = repeat_n(8, nodes as usize);
            fits(&parts, &mut free.iter().copied().chain(new).collect::<Vec<_>>())
        };
        (0..=parts.len() as u32).find(enough).unwrap()
    };
    (1..=horizon).map(at).max().unwrap_or(0)
}

#[test]
fn fragments_do_not_hold_a_job_of_a_whole_node() {
    let eight_halves = counted(&[4; 8]);
    assert_eq!(need(&[(1, 500, class(8))], &eight_halves), 1);
    assert_eq!(need(&[(1, 500, class(4)); 8], &eight_halves), 0);
    assert_eq!(need(&[(1, 500, class(4)); 9], &eight_halves), 1);
    // 16 GPUs are two whole nodes; 11 are a whole one and three, which a fragment holds.
    assert_eq!(need(&[(1, 500, class(16)), (2, 500, class(11))], &eight_halves), 3);
}

#[test]
fn a_window_in_which_nothing_came_asks_for_nothing() {
    // The job came with the window's first instant, which is not after it.
    for jobs in [&[][..], &[(0, 500, class(8))]] {
        assert_eq!(need(jobs, &[]), 0);
    }
}

#[test]
fn shares_go_onto_what_is_left_of_shared_devices_first() {
    let shapes = [Shape { gpu_milli: 600, ..Shape::whole_gpus(1) }];
    let mut events = Events::new(Timestamp::ZERO, 0);
    for second in 1..=3 {
        let at = Timestamp::from_secs(second);
        events.push(Event::arrival(at, 600, ShapeId(0), OwnerId(0)));
    }
    let (sizes, span) = (NodeSizes::new(2, &shapes), span(100, 100, 1000));
    let scenarios = Scenarios::fit(&events, &sizes, &span, &[Features::default()]).unwrap();
    let need = |nodes: &[u32], devices: &[(u32, u32)]| {
        let free = Free { nodes, devices };
        scenarios.empty_nodes(Scheme::All, &Features::default(), [1.0], free)
    };
    // Three shares of 600 take three devices, two nodes of two.
    assert_eq!(need(&[], &[]), [2]);
    assert_eq!(need(&[], &[(600, 1)]), [1]);
    assert_eq!(need(&[], &[(599, 9)]), [2]);
    assert_eq!(need(&[0, 1], &[(700, 2)]), [0]);
    assert_eq!(need(&[0, 1], &[]), [1]);
}

#[test]
fn jobs_that_replace_each_other_need_one_node() {
    assert_eq!(need(&[(1, 10, class(8)), (11, 10, class(8))], &[]), 1);
    assert_eq!(need(&[(1, 11, class(8)), (11, 10, class(8))], &[]), 2);
}

#[test]
fn a_quantile_is_that_of_the_windows() {
    // Windows of 10 s every 10 s. After seconds 100 to 390 nothing comes; before, in the n-th, n % 4 jobs of 8.
    let comes = |nth: i64| (0..nth % 4).map(move |_| (nth * 10 + 1, 5, class(8)));
    let jobs: Vec<_> = (0..10).flat_map(comes).collect();
    let scenarios = fit(&jobs, &span(400, 10, 10));
    // 0 1 2 3 0 1 2 3 0 1 and thirty zeros: of 40, 33 are 0, 3 are 1, 2 are 2, 2 are 3.
    let levels = [0.0, 0.825, 0.826, 0.9, 0.901, 0.95, 0.951, 1.0];
    let features = Features::default();
    let needs = scenarios.empty_nodes(Scheme::All, &features, levels, Free::default());
    assert_eq!(needs, [0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(scenarios.all.alone(levels), needs);
}

#[test]
fn a_situation_leans_on_all_and_one_that_has_seen_little_is_all() {
    let bin = |labels, need| {
        let state = State { parts: vec![need, 0, 0, 0, 0, 0, 0, 0], shares: Vec::new() };
        let window = Window { alone: need, states: vec![state], count: 1 };
        Bin { labels, chosen: 1, windows: vec![window] }
    };
    let calm = Features::default();
    let need = |labels, own, all| {
        let bursts = vec![bin(labels, own); Scheme::Burst.bins()];
        let scenarios = Scenarios { gpus_per_node: 8, all: bin(9999, all), bursts };
        assert!(scenarios.is_sound());
        scenarios.empty_nodes(Scheme::Burst, &calm, [0.9], Free::default())
    };
    assert_eq!(need(59, 0, 10), [10]);
    // 60 own labels weigh 60 of 110: 4.5 of 10 are the others'; half a node is none.
    assert_eq!(need(60, 0, 10), [5]);
    assert_eq!(need(150, 0, 2), [0]);
    assert_eq!(need(149, 0, 2), [1]);
    assert_eq!(need(20_000, 0, 10), [0]);
}

#[test]
fn windows_are_taken_from_all_of_the_past() {
    let instants: Vec<_> = (0..1000).rev().map(Timestamp).collect();
    let chosen = choose(&instants);
    assert_eq!(chosen.len(), WINDOWS);
    assert_eq!((chosen[0], chosen[63]), (Timestamp(999), Timestamp(15)));
    assert_eq!(choose(&instants[..5]), instants[..5]);
}

fn jobs_of(classes: usize) -> impl Strategy<Value = Vec<(i64, i64, usize)>> {
    prop::collection::vec((0i64..20, 1i64..30, 0..classes), 0..6)
}

proptest! {
    #[test]
    fn sizes_that_divide_each_other_need_what_the_best_packing_needs(
        jobs in prop::collection::vec((0i64..20, 1i64..30, 0usize..5), 0..6),
        free in prop::collection::vec(prop::sample::select(vec![1u32, 2, 4, 8]), 0..4),
        horizon in 1i64..30,
    ) {
        let divides = [1, 2, 4, 8, 16].map(class);
        let jobs: Vec<_> = jobs.iter().map(|&(at, lasts, of)| (at, lasts, divides[of])).collect();
        let scenarios = fit(&jobs, &span(horizon, horizon, 1000));
        let found = most(&scenarios, 1.0, &counted(&free));
        prop_assert_eq!(found, brute(&jobs, horizon, &free));
    }

    #[test]
    fn other_sizes_need_at_least_the_best_packing_and_at_most_what_they_need_alone(
        jobs in jobs_of(10),
        free in prop::collection::vec(1u32..=8, 0..4),
        horizon in 1i64..30,
    ) {
        let scenarios = fit(&jobs, &span(horizon, horizon, 1000));
        let need = |fragments: &[u32]| most(&scenarios, 1.0, fragments);
        let (found, alone) = (need(&counted(&free)), need(&[]));
        prop_assert!(brute(&jobs, horizon, &free) <= found && found <= alone);
        let best = brute(&jobs, horizon, &[]);
        prop_assert!(9 * alone <= 11 * best + 6, "{alone} of {best}");
    }

    #[test]
    fn more_that_is_free_never_asks_for_more(
        jobs in prop::collection::vec((0i64..300, 1i64..300, 0usize..10), 0..40),
        mut free in prop::collection::vec(0u32..8, 1..8),
        (grown, by) in (any::<prop::sample::Index>(), 1u32..=8),
        level in 0.5f64..1.0,
    ) {
        let scenarios = fit(&jobs, &span(300, 60, 5));
        let need = |free: &[u32]| most(&scenarios, level, &counted(free));
        let before = need(&free);
        let place = grown.index(free.len());
        free[place] = (free[place] + by).min(8);
        prop_assert!(need(&free) <= before);
    }

    #[test]
    fn the_shortcut_finds_the_quantile_of_all_windows(
        jobs in prop::collection::vec((0i64..300, 1i64..300, 0usize..10), 0..40),
        free in prop::collection::vec(0u32..8, 0..8),
        level in 0.0f64..=1.0,
    ) {
        let scenarios = fit(&jobs, &span(300, 60, 5));
        let bin = &scenarios.all;
        let fragments = counted(&free);
        let mut packer = Packer::new(8, Free { nodes: &fragments, devices: &[] });
        let mut need = |window: &Window| {
            let most = window.states.iter().map(|state| packer.empty_nodes(state)).max().unwrap();
            prop_assert!(most <= window.alone);
            Ok(repeat_n(most, window.count as usize))
        };
        let mut needs = Vec::new();
        for window in &bin.windows {
            needs.extend(need(window)?);
        }
        needs.resize(bin.chosen as usize, 0);
        needs.sort_unstable();
        prop_assert_eq!(
            bin.empty_nodes([level, 0.5], &mut packer),
            [level, 0.5].map(|level| needs[rank(bin.chosen, level) as usize - 1])
        );
    }

    #[test]
    fn what_happens_later_changes_nothing(
        jobs in prop::collection::vec((0i64..300, 1i64..300, 0usize..10), 0..40),
        now in 60i64..300,
    ) {
        let span = span(now, 60, 5);
        let all = events_of(&jobs);
        let mut told = Events::new(Timestamp::ZERO, 0);
        all.iter().filter(|event| event.at <= span.now).for_each(|&event| told.push(event));
        let fit = |events: &Events| {
            let (first, count) = span.grid(events);
            let features = Features::sweep(events, first, span.step, count, Calendar::default());
            Scenarios::fit(events, &sizes(), &span, &features)
        };
        prop_assert_eq!(fit(&all), fit(&told));
    }
}

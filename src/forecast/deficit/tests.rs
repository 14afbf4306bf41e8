use super::*;
use crate::{
    model::{OwnerId, ShapeId},
    time::Millis,
};
use proptest::prelude::*;

/// Class `i` asks for the `i`-th of these.
fn shapes(gpus: &[(u32, u16)]) -> Vec<Shape> {
    gpus.iter()
        .map(|&(gpus, milli)| Shape { gpu_milli: milli, ..Shape::whole_gpus(gpus) })
        .collect()
}

fn events_of(jobs: &[(i64, i64, usize)], shapes: &[Shape]) -> Events {
    let mut events = Events::new(Timestamp::ZERO, 0);
    for &(at, lasts, class) in jobs {
        let milli = shapes[class].demand_milli();
        let came = Event::arrival(Timestamp(at), milli, ShapeId(class as u32), OwnerId(0));
        events.push(came);
        events.push(came.finished(Timestamp(at + lasts)));
    }
    events
}

fn span(now: i64, horizon: i64) -> Span {
    Span { from: Timestamp::ZERO, now: Timestamp(now), horizon: Millis(horizon), step: Millis(10) }
}

/// Fewest bins, by trying every place for every item.
fn fewest(capacity: u32, items: &[u32], open: &mut Vec<u32>) -> i64 {
    let Some((&item, rest)) = items.split_first() else { return 0 };
    open.push(capacity - item);
    let mut best = 1 + fewest(capacity, rest, open);
    open.pop();
    for place in 0..open.len() {
        if open[place] >= item {
            open[place] -= item;
            best = best.min(fewest(capacity, rest, open));
            open[place] += item;
        }
    }
    best
}

/// The deficit after `t0` with the best packing at every instant; sizes up to and beyond a node of 8.
fn brute(jobs: &[(i64, i64, usize)], sizes: &[u32], t0: i64, horizon: i64) -> i64 {
    (t0 + 1..=t0 + horizon)
        .map(|at| {
            let running = jobs.iter().filter(|j| j.0 > t0 && j.0 <= at && at < j.0 + j.1);
            let running: Vec<u32> = running.map(|j| sizes[j.2]).collect();
            let whole: u32 = running.iter().map(|size| size / 8).sum();
            let rests: Vec<u32> = running.iter().map(|s| s % 8).filter(|&s| s > 0).collect();
            i64::from(whole) + fewest(8, &rests, &mut Vec::new())
        })
        .max()
        .unwrap_or(0)
}

#[test]
fn eight_of_one_fill_a_node_and_eight_of_five_fill_eight() {
    let shapes = shapes(&[(1, 1000), (5, 1000)]);
    let sizes = NodeSizes::new(8, &shapes);
    for (class, nodes) in [(0, 1), (1, 8)] {
        let jobs: Vec<_> = (0..8).map(|job| (1 + job, 100, class)).collect();
        let labels = deficits(&events_of(&jobs, &shapes), &sizes, &span(20, 20));
        assert_eq!(labels.values, [nodes * NODE_MILLI]);
    }
}

#[test]
fn a_gang_takes_whole_nodes_and_its_rest_shares_one() {
    // 2 workers of 12 GPUs: a node and a half each; the halves go together.
    let shapes = vec![Shape { workers: 2, ..Shape::whole_gpus(12) }];
    let sizes = NodeSizes::new(8, &shapes);
    let labels = deficits(&events_of(&[(5, 9, 0)], &shapes), &sizes, &span(10, 10));
    assert_eq!(labels.values, [3 * NODE_MILLI]);
}

#[test]
fn shares_of_devices_fill_devices_before_nodes() {
    // 600 and 400 make a device; the second 600 needs another; both are on the node with the 6.
    let shapes = shapes(&[(1, 600), (1, 400), (6, 1000), (1, 1000)]);
    let sizes = NodeSizes::new(8, &shapes);
    let mut jobs = vec![(1, 50, 0), (2, 50, 0), (3, 50, 1), (4, 50, 2)];
    let labels = |jobs: &[_]| deficits(&events_of(jobs, &shapes), &sizes, &span(10, 10)).values;
    assert_eq!(labels(&jobs), [NODE_MILLI]);
    jobs.push((5, 50, 3));
    assert_eq!(labels(&jobs), [2 * NODE_MILLI]);
}

#[test]
fn on_nodes_of_one_device_every_device_is_a_node() {
    let shapes = shapes(&[(1, 600), (3, 1000)]);
    let sizes = NodeSizes::new(1, &shapes);
    let jobs = [(1, 50, 0), (2, 50, 0), (3, 50, 1)];
    assert_eq!(deficits(&events_of(&jobs, &shapes), &sizes, &span(10, 10)).values, [5000]);
}

#[test]
fn a_job_that_makes_room_in_the_same_instant_counts_once() {
    let shapes = shapes(&[(8, 1000)]);
    let sizes = NodeSizes::new(8, &shapes);
    // The second comes as the first ends; then one ends with nobody coming; then one comes again.
    let jobs = [(1, 3, 0), (4, 1, 0), (7, 1, 0)];
    assert_eq!(deficits(&events_of(&jobs, &shapes), &sizes, &span(10, 10)).values, [1000]);
}

proptest! {
    #[test]
    fn sizes_that_divide_each_other_are_packed_as_well_as_can_be(
        jobs in prop::collection::vec((0i64..30, 1i64..30, 0usize..5), 0..7),
        horizon in 1i64..30,
    ) {
        let gpus = [1, 2, 4, 8, 16];
        let shapes: Vec<Shape> = gpus.map(Shape::whole_gpus).to_vec();
        let labels =
            deficits(&events_of(&jobs, &shapes), &NodeSizes::new(8, &shapes), &span(40, horizon));
        prop_assert!(!labels.values.is_empty());
        for (index, &label) in labels.values.iter().enumerate() {
            let best = brute(&jobs, &gpus, index as i64 * 10, horizon);
            prop_assert_eq!(label, best * NODE_MILLI);
        }
    }

    #[test]
    fn other_sizes_are_packed_near_the_best(
        jobs in prop::collection::vec((0i64..20, 1i64..30, 0usize..9), 0..7),
        horizon in 1i64..20,
    ) {
        let gpus = [1, 2, 3, 4, 5, 6, 7, 8, 11];
        let shapes: Vec<Shape> = gpus.map(Shape::whole_gpus).to_vec();
        let labels =
            deficits(&events_of(&jobs, &shapes), &NodeSizes::new(8, &shapes), &span(20, horizon));
        for (index, &label) in labels.values.iter().enumerate() {
            let best = brute(&jobs, &gpus, index as i64 * 10, horizon);
            let nodes = label / NODE_MILLI;
            prop_assert!(best <= nodes && 9 * nodes <= 11 * best + 6, "{nodes} of {best}");
        }
    }
}

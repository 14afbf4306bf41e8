use super::*;
use crate::strategy::want::test_view;
use proptest::prelude::*;

/// A job: comes at and ends at so many seconds, with so many GPUs.
type Job = (i64, i64, u64);

fn arrival(job: usize, (came, _, gpus): Job) -> Arrival {
    Arrival {
        job: job as u32,
        at: Timestamp::from_secs(came),
        shape: ShapeId(0),
        owner: OwnerId(1),
        gpu_milli: gpus * 1000,
        is_running: false,
    }
}

fn finish(job: usize, (came, ended, _): Job) -> Finish {
    Finish { job: job as u32, started: Timestamp::from_secs(came), at: Timestamp::from_secs(ended) }
}

/// Shows the jobs to `learner` every `every` seconds up to `until`, from a first look at second 0; `told`:
/// whether finishes are.
fn show(learner: &mut Learner, jobs: &[Job], every: i64, until: i64, told: bool) {
    for now in (0..=until).step_by(every as usize) {
        let since = |at: i64| now - every < at && at <= now;
        let came = jobs.iter().enumerate().filter(|(_, job)| since(job.0));
        let arrivals: Vec<_> = came.map(|(id, &job)| arrival(id, job)).collect();
        let ended = jobs.iter().enumerate().filter(|(_, job)| told && since(job.1));
        let finishes: Vec<_> = ended.map(|(id, &job)| finish(id, job)).collect();
        let runs = jobs.iter().filter(|job| job.0 <= now && now < job.1);
        let running_milli = runs.map(|job| job.2 * 1000).sum();
        learner.observe(&PoolView {
            now: Timestamp::from_secs(now),
            running_milli,
            arrivals: &arrivals,
            finishes: &finishes,
            ..test_view()
        });
    }
}

#[test]
fn a_finish_that_was_told_names_its_arrival_and_another_has_no_name() {
    let jobs = [(10, 100, 2), (20, 100, 3)];
    for (told, arrived) in [(true, vec![10_000, 20_000]), (false, vec![i64::MIN])] {
        let mut learner = Learner::default();
        show(&mut learner, &jobs, 15, 120, told);
        let ended = learner.events().unwrap().iter().filter(|event| !event.is_arrival());
        // Noticed at the look of second 105.
        let ended: Vec<_> = ended.map(|event| (event.at.0, event.arrived.0)).collect();
        let expected: Vec<_> = arrived.into_iter().map(|at| (105_000, at)).collect();
        assert_eq!(ended, expected);
        assert_eq!(learner.open.len(), if told { 0 } else { 2 });
    }
}

#[test]
fn what_was_open_when_history_ended_is_named_later() {
    let mut learner = Learner::default();
    let job = (-600, 30, 4);
    learner.recall(&[arrival(0, job)], &[]);
    show(&mut learner, &[job], 15, 60, true);
    let last = learner.events().unwrap().iter().next_back().copied().unwrap();
    assert_eq!((last.arrived.0, last.milli), (-600_000, -4000));
}

/// Whether the past is told before the first view or some views later, what is known of demand is the same.
#[test]
fn a_past_that_is_told_late_is_as_good_as_one_that_is_told_at_once() {
    // Two that ended before the first view, one that goes on.
    let past = [(-7200, -3600, 2), (-5000, -4000, 4), (-900, 30, 8)];
    let arrivals: Vec<Arrival> =
        past.iter().zip(100..).map(|(&job, id)| arrival(id, job)).collect();
    let finishes = [finish(101, past[1]), finish(100, past[0])];
    let (mut early, mut late) = (Learner::default(), Learner::default());
    let live = [(-900, 30, 8), (10, 40, 1)];
    early.recall(&arrivals, &finishes);
    show(&mut early, &live, 15, 60, false);
    show(&mut late, &live, 15, 60, false);
    late.recall(&arrivals, &finishes);
    let demand = |learner: &Learner, at: i64| {
        learner.events().unwrap().demand_at(Timestamp::from_secs(at)) / 1000
    };
    for (at, gpus) in [(-6000, 2), (-4500, 6), (-3700, 2), (-1000, 0), (-10, 8), (60, 0)] {
        assert_eq!((demand(&early, at), demand(&late, at)), (gpus, gpus), "at {at} s");
    }
    assert_eq!(early.demand, late.demand);
    assert_eq!(late.next_refit(), Timestamp::ZERO, "what is new is learned at the next view");
    // A past of nothing changes nothing.
    let before = serde_json::to_string(&late).unwrap();
    late.recall(&[], &[]);
    assert_eq!(serde_json::to_string(&late).unwrap(), before);
}

#[test]
fn open_jobs_are_bounded() {
    let mut learner = Learner::default();
    let jobs: Vec<Arrival> = (0..=MOST_OPEN).map(|id| arrival(id, (0, 0, 1))).collect();
    learner.recall(&jobs, &[]);
    assert_eq!(learner.open.len(), MOST_OPEN);
    assert!(!learner.open.contains_key(&0));
}

proptest! {
    /// Names change no rise, whatever the delay between looks and whichever finishes are told.
    #[test]
    fn rises_do_not_depend_on_names(
        jobs in prop::collection::vec((1i64..3000, 1i64..900, 1u64..9), 0..12),
        every in 5i64..200,
    ) {
        let jobs: Vec<Job> = jobs.into_iter().map(|(at, lasts, gpus)| (at, at + lasts, gpus)).collect();
        let rises = |told| {
            let mut learner = Learner::default();
            show(&mut learner, &jobs, every, 3600, told);
            let now = Timestamp::from_secs(3600);
            let span = Span::recent(now, Millis::from_mins(5));
            deltas(learner.events().unwrap(), &span)
        };
        prop_assert_eq!(rises(true), rises(false));
    }

    /// A kept learner goes on as the one that was never kept.
    #[test]
    fn a_restored_learner_is_the_same(
        jobs in prop::collection::vec((1i64..3000, 1i64..900, 1u64..9), 0..12),
    ) {
        let mut learner = Learner::default();
        let jobs: Vec<Job> = jobs.into_iter().map(|(at, lasts, gpus)| (at, at + lasts, gpus)).collect();
        show(&mut learner, &jobs, 60, 1800, true);
        let kept = serde_json::to_string(&learner).unwrap();
        let restored: Learner = serde_json::from_str(&kept).unwrap();
        prop_assert_eq!(&restored.open, &learner.open);
        prop_assert_eq!(serde_json::to_string(&restored).unwrap(), kept);
    }
}

/// Labels that are added at each refit are those that are computed at once.
#[test]
fn deficits_grow_to_what_they_are_at_once() {
    let jobs: Vec<Job> = (0..40).map(|n| (n * 611 + 1, n * 611 + 700, 1 + n as u64 % 9)).collect();
    let mut learner = Learner::default();
    show(&mut learner, &jobs, 60, 30_000, true);
    let events = learner.events().unwrap();
    let sizes = NodeSizes::new(8, []);
    let span = |secs| Span::recent(Timestamp::from_secs(secs), Millis::from_mins(9));
    let (mut grown, mut whole) = (DeficitLog::default(), DeficitLog::default());
    for secs in [7_000, 7_010, 20_000, 30_000] {
        grown.extend(events, &sizes, &span(secs));
    }
    whole.extend(events, &sizes, &span(30_000));
    assert_eq!(grown, whole);
    assert!(learner.learned().unwrap().deficits.is_some());
    // The horizon moves by more than a tenth: all anew.
    let longer = Span { horizon: Millis::from_mins(12), ..span(30_000) };
    let mut anew = DeficitLog::default();
    anew.extend(events, &sizes, &longer);
    grown.extend(events, &sizes, &longer);
    assert_eq!(grown, anew);
}

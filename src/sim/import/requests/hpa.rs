//! Replicas wanted for a load, as a `HorizontalPodAutoscaler` decides, and their lives as jobs.
//!
//! At the end of each window of length `w` with load `L` (requests or tokens), with capacity `c` a second
//! and `n` replicas: the wish is `ceil(L / (w c))`, but `n` while `|L / (w c n) - 1| <= tolerance`, and at least
//! the minimum. Up at once; down to the highest wish of the last `scale_down_stabilization`. So demand
//! follows load by one window. The youngest replica goes first. At the end of the recording all are
//! removed (counted as `end_censored`).
//!
//! Source of the rule: Kubernetes documentation, "Horizontal Pod Autoscaling", algorithm details and
//! stabilisation window (autoscaling/v2). Left out: rate limits of scaling, missing metrics.

use super::super::recording::END_CENSORED;
use super::super::{ImportError, Source};
use super::load::{Load, UNIT};
use super::{Capacity, ReplicaRule};
use crate::model::{GangId, Job, Shape, TraceBuilder};
use crate::time::{Millis, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Kind of the jobs.
const KIND: &str = "inference-hpa";

/// Most replicas of one service: more is a slip in the capacity.
const MOST_REPLICAS: f64 = 1_000_000.0;

/// Remembers the wishes that hold the count up.
struct Hpa<'a> {
    rule: &'a ReplicaRule,
    replicas: u32,
    /// Wishes of the stabilisation window, oldest first.
    wishes: VecDeque<u32>,
}

/// Replicas of one service, oldest first.
struct Replicas<'a> {
    service: &'a str,
    gpus: u32,
    starts: Vec<Timestamp>,
}

/// Turns the load of all services into jobs.
pub(super) fn push_replicas(
    load: Load,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<(), ImportError> {
    for (service, windows) in load.finish(source)? {
        push_service(&service, &windows, source, sink)?;
    }
    Ok(())
}

fn push_service(
    service: &str,
    windows: &BTreeMap<i64, u64>,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<(), ImportError> {
    let (Some((&first, _)), Some((&last, _))) =
        (windows.first_key_value(), windows.last_key_value())
    else {
        return Ok(());
    };
    let rule = &source.options.replicas;
    let start_of = |window: i64| Timestamp(window.saturating_mul(rule.window.0));
    let mut hpa = Hpa { rule, replicas: rule.min_replicas, wishes: VecDeque::new() };
    let mut replicas = Replicas { service, gpus: rule.gpus_per_replica, starts: Vec::new() };
    replicas.change(hpa.replicas, start_of(first), sink);
    for window in first..=last {
        let load = windows.get(&window).copied().unwrap_or(0);
        let count = hpa.decide(load).ok_or_else(|| too_many(service, source))?;
        // A change at the very end would be a replica without a life.
        if window < last {
            replicas.change(count, start_of(window + 1), sink);
        }
    }
    for _ in &replicas.starts {
        sink.adjust(END_CENSORED);
    }
    replicas.change(0, start_of(last + 1), sink);
    Ok(())
}

impl Hpa<'_> {
    /// The count after a window with this load; `None` if it is absurd.
    fn decide(&mut self, load: u64) -> Option<u32> {
        let (Capacity::Requests(capacity) | Capacity::Tokens(capacity)) = self.rule.capacity;
        let needed = load as f64 / UNIT as f64 / (self.rule.window.as_secs_f64() * capacity);
        if needed > MOST_REPLICAS {
            return None;
        }
        let ratio = needed / f64::from(self.replicas);
        let is_close = (ratio - 1.0).abs() <= self.rule.tolerance;
        let wish = if is_close { self.replicas } else { needed.ceil() as u32 };
        self.wishes.push_back(wish.max(self.rule.min_replicas));
        let remembered = self.rule.scale_down_stabilization.0 / self.rule.window.0 + 1;
        while self.wishes.len() as i64 > remembered {
            self.wishes.pop_front();
        }
        let highest = self.wishes.iter().copied().max().unwrap_or(0);
        let wish = self.wishes.back().copied().unwrap_or(0);
        self.replicas = if wish >= self.replicas { wish } else { highest.min(self.replicas) };
        Some(self.replicas)
    }
}

impl Replicas<'_> {
    /// Starts or removes replicas at `now`; a removed one becomes a job.
    fn change(&mut self, count: u32, now: Timestamp, sink: &mut TraceBuilder) {
        let count = count as usize;
        if self.starts.len() > count {
            for submit in self.starts.split_off(count) {
                self.push(submit, now - submit, sink);
            }
        }
        self.starts.resize(count, now);
    }

    fn push(&self, submit: Timestamp, duration: Millis, sink: &mut TraceBuilder) {
        let job = Job {
            submit,
            duration,
            shape: sink.shape(&Shape::whole_gpus(self.gpus)),
            owner: sink.owner(self.service),
            gang: GangId::NONE,
            kind: sink.kind(KIND),
        };
        sink.push(job);
    }
}

fn too_many(service: &str, source: &Source<'_>) -> ImportError {
    ImportError::File {
        file: source.file.to_owned(),
        problem: format!("`{service}` would need more than {MOST_REPLICAS} replicas"),
        remedy: "raise the capacity of a replica".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Options;
    use super::*;
    use crate::model::Trace;

    /// Replicas of capacity 1 for this many requests per second in each minute.
    fn replicas(rates: &[u64], rule: ReplicaRule) -> Trace {
        let options = Options { replicas: rule, ..Options::default() };
        let source = Source { file: "x", options: &options, watch: &() };
        let mut load = Load::new(&source).unwrap();
        for (window, rate) in rates.iter().enumerate() {
            load.add("s", window as i64, rate * 60 * UNIT);
        }
        let mut sink = TraceBuilder::new();
        push_replicas(load, &source, &mut sink).unwrap();
        sink.build()
    }

    fn rule() -> ReplicaRule {
        ReplicaRule { capacity: Capacity::Requests(1.0), ..ReplicaRule::default() }
    }

    /// Minutes of start and end.
    fn lives(trace: &Trace) -> Vec<(i64, i64)> {
        let minute = |at: Timestamp| at.0 / 60_000;
        trace.jobs.iter().map(|j| (minute(j.submit), minute(j.submit + j.duration))).collect()
    }

    #[test]
    fn up_after_one_window_down_after_the_stabilisation() {
        let trace = replicas(&[1, 3, 1, 1, 1, 1, 1, 1, 1, 1], rule());
        // The wish for 3 is of the end of minute 2 and counts until 300 s later, the end of minute 7,
        // inclusive; the decision of minute 8 is the first without it.
        assert_eq!(lives(&trace), [(0, 10), (2, 8), (2, 8)]);
        assert_eq!(trace.adjusted[END_CENSORED], 1);
        assert_eq!(trace.kinds[trace.jobs[0].kind.0 as usize], "inference-hpa");
    }

    #[test]
    fn the_minimum_stays_and_windows_without_requests_count_as_idle() {
        let none = ReplicaRule { scale_down_stabilization: Millis::ZERO, ..rule() };
        let none = ReplicaRule { min_replicas: 2, gpus_per_replica: 4, ..none };
        let trace = replicas(&[0, 5, 0, 0], none);
        assert_eq!(lives(&trace), [(0, 4), (0, 4), (2, 3), (2, 3), (2, 3)]);
        assert_eq!(trace.shapes[0].gpus, 4);
    }

    #[test]
    fn small_differences_change_nothing() {
        let none = ReplicaRule { scale_down_stabilization: Millis::ZERO, ..rule() };
        // 21 for 20 is within a tenth, 23 is not.
        let trace = replicas(&[20, 21, 23, 23], none);
        let starts: Vec<_> = lives(&trace).iter().map(|life| life.0).collect();
        assert_eq!(starts.iter().filter(|&&minute| minute == 1).count(), 19);
        assert_eq!(starts.iter().filter(|&&minute| minute == 2).count(), 0);
        assert_eq!(starts.iter().filter(|&&minute| minute == 3).count(), 3);
    }

    #[test]
    fn a_rule_without_sense_is_refused() {
        let options = Options {
            replicas: ReplicaRule { capacity: Capacity::Requests(0.0), ..rule() },
            ..Options::default()
        };
        let source = Source { file: "x", options: &options, watch: &() };
        let error = Load::new(&source).err().unwrap().to_string();
        assert!(error.starts_with("x: the capacity of a replica is not more than 0"), "{error}");
    }
}

//! Metrics of each signal of each pool. What is not known has no series.

use super::{FloatGauge, pools::set};
use crate::engine::{SignalReport, SignalState};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// A signal of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct SignalLabel {
    pool: String,
    signal: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct SignalMetrics {
    value: Family<SignalLabel, FloatGauge>,
    age: Family<SignalLabel, FloatGauge>,
    gpus: Family<SignalLabel, FloatGauge>,
    is_useful: Family<SignalLabel, Gauge>,
    /// What has series.
    known: Mutex<BTreeSet<SignalLabel>>,
}

impl SignalMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        let metrics = Self {
            value: Family::default(),
            age: Family::default(),
            gpus: Family::default(),
            is_useful: Family::default(),
            known: Mutex::default(),
        };
        to.register("signal_value", "Last reading of a signal", metrics.value.clone());
        let age = "Age of the last reading of a signal that is in use";
        to.register("signal_age_seconds", age, metrics.age.clone());
        let gpus = "GPUs that a signal asks for beyond what runs and waits";
        to.register("signal_gpus", gpus, metrics.gpus.clone());
        let useful = "1 while a signal is of use, 0 while it is ignored; absent on trial";
        to.register("signal_useful", useful, metrics.is_useful.clone());
        metrics
    }

    pub(super) fn note(&self, pool: &str, reports: &[SignalReport]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now: BTreeSet<SignalLabel> =
            reports.iter().map(|report| label(pool, &report.name)).collect();
        known.retain(|label| {
            let is_gone = label.pool == pool && !now.contains(label);
            if is_gone {
                self.remove(label);
            }
            !is_gone
        });
        known.extend(now);
        for report in reports {
            let label = label(pool, &report.name);
            set(&self.value, &label, report.value);
            let age = report.age.filter(|_| report.is_in_use());
            set(&self.age, &label, age.map(crate::time::Millis::as_secs_f64));
            set(&self.gpus, &label, Some(report.asks_milli as f64 / 1000.0));
            match report.state {
                SignalState::Useful => drop(self.is_useful.get_or_create(&label).set(1)),
                SignalState::Useless => drop(self.is_useful.get_or_create(&label).set(0)),
                _ => drop(self.is_useful.remove(&label)),
            }
        }
    }

    fn remove(&self, label: &SignalLabel) {
        for family in [&self.value, &self.age, &self.gpus] {
            family.remove(label);
        }
        self.is_useful.remove(label);
    }
}

fn label(pool: &str, signal: &str) -> SignalLabel {
    SignalLabel { pool: pool.to_owned(), signal: signal.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;
    use prometheus_client::encoding::text::encode;

    fn report(name: &str, state: SignalState) -> SignalReport {
        let (value, age) = (Some(3.0), Some(Millis::from_secs(20)));
        SignalReport { name: name.into(), value, age, state, asks_milli: 8000, study: None }
    }

    #[test]
    fn a_signal_that_is_gone_takes_its_series_with_it() {
        let mut registry = Registry::default();
        let metrics = SignalMetrics::new(&mut registry);
        let shown = |registry: &Registry| {
            let mut text = String::new();
            encode(&mut text, registry).unwrap();
            text
        };
        let all = [report("queue", SignalState::Useful), report("noise", SignalState::Useless)];
        metrics.note("gpu/a", &all);
        metrics.note("gpu/b", &[report("queue", SignalState::Trial)]);
        let text = shown(&registry);
        for line in [
            r#"signal_useful{pool="gpu/a",signal="queue"} 1"#,
            r#"signal_useful{pool="gpu/a",signal="noise"} 0"#,
            r#"signal_age_seconds{pool="gpu/a",signal="queue"} 20.0"#,
            r#"signal_gpus{pool="gpu/b",signal="queue"} 8.0"#,
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        // What is ignored may be as old as it likes; what is on trial is neither useful nor not.
        assert!(!text.contains(r#"signal_age_seconds{pool="gpu/a",signal="noise"}"#), "{text}");
        assert!(!text.contains(r#"signal_useful{pool="gpu/b""#), "{text}");
        metrics.note("gpu/a", &all[..1]);
        assert!(!shown(&registry).contains("noise"));
        metrics.note("gpu/a", &[]);
        let text = shown(&registry);
        assert!(!text.contains("gpu/a") && text.contains("gpu/b"), "{text}");
    }
}

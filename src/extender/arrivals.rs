//! The jobs to come, learned from those that came: how often each shape of GPU pod arrives.
//!
//! Counted as in the simulator's placement, with one difference: old arrivals fade, so that a cluster that is
//! used differently since last month is scored by how it is used now.

use super::Ask;
use crate::packing::Part;
use std::collections::BTreeMap;

/// Beyond so many arrivals all counts are halved.
const REMEMBERED: u64 = 20_000;
/// Shapes remembered; beyond them the rarest are forgotten.
const SHAPES: usize = 256;

/// Arrivals by shape.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    counts: BTreeMap<(Part, Vec<String>), u64>,
    seen: u64,
    next_refresh: u64,
}

impl Arrivals {
    /// A pod has come. Those without GPUs do not count.
    pub fn note(&mut self, ask: &Ask) {
        if ask.part.devices == 0 || ask.is_exempt {
            return;
        }
        *self.counts.entry((ask.part, ask.models.clone())).or_default() += 1;
        self.seen += 1;
        if self.seen >= REMEMBERED {
            self.fade();
        }
    }

    fn fade(&mut self) {
        self.counts.retain(|_, count| {
            *count /= 2;
            *count > 0
        });
        while self.counts.len() > SHAPES {
            let rarest = self.counts.iter().min_by_key(|&(_, &count)| count);
            let Some(rarest) = rarest.map(|(shape, _)| shape.clone()) else { break };
            self.counts.remove(&rarest);
        }
        self.seen = self.counts.values().sum();
        self.next_refresh = self.seen;
    }

    /// What [`super::ExtenderSnapshot::set_mix`] takes, when there are 5 % more arrivals than the last time.
    pub fn news(&mut self) -> Option<Vec<(Part, Vec<String>, u64)>> {
        if self.seen < self.next_refresh || self.seen == 0 {
            return None;
        }
        self.next_refresh = self.seen + self.seen / 20 + 1;
        let class =
            |((part, models), &count): (&(Part, Vec<String>), &u64)| (*part, models.clone(), count);
        Some(self.counts.iter().map(class).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{extender::Policy, model::object::Pod};

    fn ask(gpus: u64) -> Ask {
        let mut pod = Pod::default();
        pod.requests.extended.insert("nvidia.com/gpu".into(), gpus);
        Ask::new(&pod, None, &Policy::default())
    }

    #[test]
    fn shapes_are_counted_and_told_after_five_percent_more() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.news(), None);
        arrivals.note(&ask(0));
        assert_eq!(arrivals.news(), None);
        for _ in 0..40 {
            arrivals.note(&ask(1));
        }
        assert_eq!(arrivals.news().unwrap()[0].2, 40);
        arrivals.note(&ask(8));
        arrivals.note(&ask(8));
        assert_eq!(arrivals.news(), None);
        arrivals.note(&ask(8));
        let counts: Vec<u64> = arrivals.news().unwrap().iter().map(|one| one.2).collect();
        assert_eq!(counts, [40, 3]);
    }

    /// What keeps nodes running comes with every node: it says nothing of jobs.
    #[test]
    fn exempt_pods_are_no_jobs() {
        let mut arrivals = Arrivals::default();
        arrivals.note(&Ask { is_exempt: true, ..ask(1) });
        assert_eq!(arrivals.news(), None);
    }

    #[test]
    fn old_arrivals_fade() {
        let mut arrivals = Arrivals::default();
        for _ in 0..REMEMBERED {
            arrivals.note(&ask(1));
        }
        assert_eq!(arrivals.news().unwrap()[0].2, REMEMBERED / 2);
    }
}

//! The jobs to come, learned from those that came: how often each shape of GPU pod is expected, as in the
//! simulator's placement.

use super::Ask;
use crate::{forecast::shape_mix::ShapeMix, packing::Part, time::Timestamp};

/// Arrivals by what a pod asks of a node and the models it takes.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(ShapeMix<(Part, Vec<String>)>);

impl Arrivals {
    /// A pod has come, now or earlier. Those without GPUs do not count.
    pub fn note(&mut self, ask: &Ask, at: Timestamp) {
        if ask.part.devices > 0 && !ask.is_exempt {
            self.0.note((ask.part, ask.models.clone()), at);
        }
    }

    /// What [`super::ExtenderSnapshot::set_mix`] takes, as often as [`ShapeMix::news`] has any.
    pub fn news(&mut self, now: Timestamp) -> Option<Vec<(Part, Vec<String>, u64)>> {
        let flat = |((part, models), weight)| (part, models, weight);
        Some(self.0.news(now)?.into_iter().map(flat).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{extender::Policy, model::object::Pod};

    #[test]
    fn pods_that_want_gpus_are_counted() {
        let ask = |gpus, namespace: &str| {
            let mut pod = Pod::default();
            pod.meta.namespace = namespace.into();
            pod.requests.extended.insert("nvidia.com/gpu".into(), gpus);
            Ask::new(&pod, None, &Policy::default())
        };
        let mut arrivals = Arrivals::default();
        arrivals.note(&ask(0, "ml"), Timestamp::ZERO);
        arrivals.note(&ask(8, "kube-system"), Timestamp::ZERO);
        assert_eq!(arrivals.news(Timestamp::ZERO), None);
        for gpus in [1, 1, 1, 8] {
            arrivals.note(&ask(gpus, "ml"), Timestamp::ZERO);
        }
        let told = arrivals.news(Timestamp::ZERO).unwrap();
        let told: Vec<(u32, u64)> = told.iter().map(|one| (one.0.devices, one.2)).collect();
        assert_eq!(told, [(1, 750_000), (8, 250_000)]);
    }
}

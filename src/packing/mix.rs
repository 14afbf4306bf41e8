//! The typical mix of jobs, and how much of a node it cannot use.
//!
//! # Source
//! Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient
//! Descent", USENIX ATC 2023: the fragmentation of a node is what a job drawn from the mix cannot use of its
//! idle GPUs, on average.

use super::{Part, Room};
use std::cmp::Reverse;

/// More classes than this make scoring slow without changing it.
const CLASSES_MAX: usize = 64;
/// The classes kept make up so many percent of the jobs.
const COVERED_PERCENT: u64 = 99;
/// Nothing is worth more than so many times what it would be if every job took every model.
const SCARCITY_MAX: u64 = 1_000;
/// Units of [`Mix::worths`].
const MILLI: u64 = 1_000;
/// Of so many parts of [`Mix::loss`], all but one are about the job that comes next.
const VIEWS: u64 = 4;

/// Losses (see [`Mix::loss`]) that differ by less, in millionths of a GPU, are equal: the fullest node decides. A tenth of
/// this gives out 0.1 % more of a cluster in which no job ever ends; but where jobs end, nodes are then filled so evenly
/// that hardly one falls idle, and jobs that need a whole node wait many times as long (docs/extender.md).
pub const LOSS_STEP: i64 = 50_000;

/// Jobs of one class that are expected on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// What one of them asks of a node, at least one device.
    pub part: Part,
    /// Bit `i`: takes GPU model number `i`. All bits = any.
    pub models: u64,
    /// How often, relative to the others.
    pub weight: u64,
}

/// What jobs are expected, most frequent class first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    classes: Vec<Class>,
    /// Of each class, what a GPU it could use is worth: its weight over the share of all GPUs that it takes,
    /// in thousandths.
    worths: Vec<u64>,
}

impl Mix {
    /// The most frequent classes that together make up 99 % of all, about 64 at most, of a cluster where all
    /// nodes are of one model. What is left out counts as the most frequent class that takes the same models.
    pub fn new(counts: impl IntoIterator<Item = Class>) -> Self {
        Self::with_supply(counts, |_| 1)
    }

    /// The same where models are told apart. `supply`: how many GPUs the cluster has of these models (bits as
    /// in [`Class::models`]).
    pub fn with_supply(
        counts: impl IntoIterator<Item = Class>,
        supply: impl Fn(u64) -> u64,
    ) -> Self {
        let mut classes: Vec<Class> =
            counts.into_iter().filter(|class| class.weight > 0 && class.part.devices > 0).collect();
        classes.sort_by_key(|&Class { part, models, weight }| (Reverse(weight), part, models));
        cut(&mut classes);
        let worths = worths(&classes, supply);
        Self { classes, worths }
    }

    /// The same classes where there are other GPUs now; `None` if that changes what a GPU is worth to any of them
    /// by 5 % at most.
    pub fn with_other_supply(&self, supply: impl Fn(u64) -> u64) -> Option<Self> {
        let worths = worths(&self.classes, supply);
        let differs = |(&old, &new): (&u64, &u64)| u128::from(old.abs_diff(new)) * 20 > old.into();
        let is_other = self.worths.iter().zip(&worths).any(differs);
        is_other.then(|| Self { classes: self.classes.clone(), worths })
    }

    /// The classes, most frequent first.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Thousandths of GPUs of a node that jobs of the mix cannot use, summed over the weights. `model`: the
    /// node's own bit, all bits = unspecified.
    pub fn fragmentation(&self, room: &Room, model: u64) -> u128 {
        let of_class = |class: &Class| u128::from(class.weight) * useless(room, model, class);
        self.classes.iter().map(of_class).sum()
    }

    /// How much placing the part, which must fit, adds to the node's fragmentation.
    pub fn gradient(&self, room: &Room, model: u64, part: &Part) -> i128 {
        self.fragmentation(&after(room, part), model) as i128
            - self.fragmentation(room, model) as i128
    }

    /// What placing the part, which must fit, takes from the jobs to come beyond its own demand: millionths
    /// of a GPU, the mean over the mix. Negative = it uses up what is of little use to others.
    ///
    /// Two things are added to the fragmentation of the paper. It notices that CPU or memory run short when not
    /// a single job fits any more, which is late. So two views are weighed: the GPUs that one job of a class could
    /// use now (fragmentation), and, a quarter, those that jobs of that class alone could use up, CPU, memory
    /// and devices in proportion. And it takes a GPU of a rare model for as useful as any other that as many
    /// jobs accept. Here what a class could use counts the more, the fewer GPUs there are that it takes. On the
    /// nodes and jobs of the paper both leave fewer GPUs idle than fragmentation alone.
    pub fn loss(&self, room: &Room, model: u64, part: &Part) -> i64 {
        self.loss_of(room, self.usable(room, model), model, part)
    }

    /// [`Self::loss`] of one job of each class; `None` = it does not fit.
    pub fn losses(&self, room: &Room, model: u64) -> Vec<Option<i64>> {
        let usable = self.usable(room, model);
        let loss = |part| room.fits(part).then(|| self.loss_of(room, usable, model, part));
        self.classes.iter().map(|class| loss(&class.part)).collect()
    }

    /// `usable`: of the room as it is.
    fn loss_of(&self, room: &Room, usable: u128, model: u64, part: &Part) -> i64 {
        let weights: i128 = self.classes.iter().map(|class| i128::from(class.weight)).sum();
        if weights == 0 {
            return 0;
        }
        let lost = usable as i128 - self.usable(&after(room, part), model) as i128;
        let demand = i128::from(part.demand_milli()) * i128::from(VIEWS * MILLI) * weights;
        ((lost - demand) / (i128::from(VIEWS) * weights)) as i64
    }

    /// What jobs of the mix could use, the next one and each class alone, by what it is worth.
    fn usable(&self, room: &Room, model: u64) -> u128 {
        let of_class = |(class, &worth): (&Class, &u64)| {
            let now = u128::from(room.free_milli) - useless(room, model, class);
            let alone = u128::from(filled(room, model, class));
            u128::from(worth) * (now * u128::from(VIEWS - 1) + alone)
        };
        self.classes.iter().zip(&self.worths).map(of_class).sum()
    }
}

/// Of each class its weight over the share of all GPUs that it takes, in thousandths.
fn worths(classes: &[Class], supply: impl Fn(u64) -> u64) -> Vec<u64> {
    let all = supply(u64::MAX);
    let scarcity = |models: u64| match supply(models) {
        0 => MILLI,
        some => {
            let times = u128::from(all) * u128::from(MILLI) / u128::from(some);
            times.min(u128::from(SCARCITY_MAX * MILLI)) as u64
        }
    };
    classes.iter().map(|class| class.weight.saturating_mul(scarcity(class.models))).collect()
}

/// Keeps the most frequent classes. What is cut counts as the most frequent class that takes the same models, and
/// stays where there is none: those who want a rare model are few of each shape, and many together.
fn cut(classes: &mut Vec<Class>) {
    let all: u64 = classes.iter().fold(0, |sum, class| sum.saturating_add(class.weight));
    let mut covered: u64 = 0;
    let enough = classes.iter().position(|class| {
        covered = covered.saturating_add(class.weight);
        u128::from(covered) * 100 >= u128::from(all) * u128::from(COVERED_PERCENT)
    });
    let kept = enough.map_or(CLASSES_MAX, |last| (last + 1).min(CLASSES_MAX)).min(classes.len());
    for class in classes.split_off(kept) {
        match classes.iter_mut().find(|one| one.models == class.models) {
            Some(same) => same.weight = same.weight.saturating_add(class.weight),
            None => classes.push(class),
        }
    }
}

fn after(room: &Room, part: &Part) -> Room {
    let mut after = room.clone();
    after.take(part);
    after
}

/// Thousandths of GPUs that jobs of the class can take in all; of CPU and memory, parts of jobs count.
fn filled(room: &Room, model: u64, class: &Class) -> u64 {
    let part = &class.part;
    if class.models & model == 0 {
        return 0;
    }
    let slots = if part.is_whole() {
        room.whole
    } else {
        room.devices().iter().map(|&left| u32::from(left / part.milli.max(1))).sum()
    };
    let whole_jobs = u64::from(slots / part.devices) * 1000;
    let bounded = |left: u32, each: u32| match each {
        0 => u64::MAX,
        _ if left == u32::MAX => u64::MAX,
        each => u64::from(left) * 1000 / u64::from(each),
    };
    let cpu = bounded(room.cpu_milli, part.cpu_milli);
    let memory = bounded(room.memory_mib, part.memory_mib);
    whole_jobs.min(cpu).min(memory) * u64::from(part.demand_milli()) / 1000
}

fn useless(room: &Room, model: u64, class: &Class) -> u128 {
    if class.models & model == 0 || !room.fits(&class.part) {
        return u128::from(room.free_milli);
    }
    let too_little = |left: &&u16| **left < class.part.milli;
    room.devices().iter().filter(too_little).map(|&left| u128::from(left)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pool;
    use proptest::prelude::*;

    const ANY: u64 = u64::MAX;

    fn part(devices: u32, milli: u16, cpu_milli: u32) -> Part {
        Part { devices, milli, cpu_milli, memory_mib: 0 }
    }

    fn class(part: Part, weight: u64) -> Class {
        Class { part, models: ANY, weight }
    }

    fn node(gpus: u32, cpu: u32) -> Room {
        Room::empty_node(&Pool { cpu_milli: Some(cpu), ..Pool::new("p", gpus) }, true)
    }

    #[test]
    fn rare_classes_are_left_out() {
        let common = class(part(1, 1000, 0), 99);
        let mix = Mix::new([class(part(8, 1000, 0), 1), common, class(part(0, 1000, 7), 900)]);
        assert_eq!(mix.classes(), [Class { weight: 100, ..common }]);
        let rare = Class { models: 2, ..class(part(8, 1000, 0), 1) };
        assert_eq!(Mix::new([rare, common]).classes(), [common, rare]);
        assert_eq!(Mix::new((1..100).map(|cpu| class(part(1, 1000, cpu), 1))).classes().len(), 64);
    }

    /// By hand: of two devices 400 and 1000 are left. A job of 500 can use the 1000, one of 1000 too, one of
    /// two whole devices nothing.
    #[test]
    fn fragmentation_is_what_a_job_of_the_mix_cannot_use() {
        let mut room = node(2, 10_000);
        room.take(&part(1, 600, 0));
        let of = |part: Part| Mix::new([class(part, 1)]).fragmentation(&room, ANY);
        assert_eq!(of(part(1, 500, 0)), 400);
        assert_eq!(of(part(1, 300, 0)), 0);
        assert_eq!(of(part(2, 1000, 0)), 1400);
        assert_eq!(of(part(1, 300, 20_000)), 1400);
        let other = Mix::new([Class { models: 2, ..class(part(1, 300, 0), 1) }]);
        assert_eq!((other.fragmentation(&room, 1), other.fragmentation(&room, 2)), (1400, 0));
    }

    /// By hand: 4 GPUs and 40 CPUs, jobs of 1 GPU and 10 CPUs. A job with 20 CPUs leaves 3 GPUs and CPUs for
    /// two jobs: a GPU is stranded, though each single job still fits. A quarter of the loss is that GPU.
    #[test]
    fn cpu_that_runs_short_is_seen_before_nothing_fits() {
        let mix = Mix::new([class(part(1, 1000, 10_000), 1)]);
        let room = node(4, 40_000);
        assert_eq!(mix.gradient(&room, ANY, &part(1, 1000, 20_000)), 0);
        assert_eq!(mix.loss(&room, ANY, &part(1, 1000, 20_000)), 250_000);
        assert_eq!(mix.loss(&room, ANY, &part(1, 1000, 10_000)), 0);
        assert_eq!(mix.loss(&node(4, 80_000), ANY, &part(1, 1000, 20_000)), 0);
    }

    /// By hand: 8 GPUs of model 0, 2 of model 1. Half of the jobs insist on model 1, so each of its GPUs is wanted
    /// by the half that takes any and by 5 times the other half: 1/2 + 5/2 = 3. A GPU of model 0 is wanted by
    /// the first half only. What is beyond the GPU itself is the loss.
    #[test]
    fn a_rare_model_is_left_to_those_who_insist_on_it() {
        let (any, rare) = (class(part(1, 1000, 0), 1), class(part(1, 1000, 0), 1));
        let rare = Class { models: 2, ..rare };
        let supply = |models: u64| {
            [8, 2].iter().zip(0..).map(|(gpus, bit)| gpus * (models >> bit & 1)).sum()
        };
        let mix = Mix::with_supply([any, rare], supply);
        let loss = |model: u64| mix.loss(&node(2, 10_000), model, &part(1, 1000, 0));
        assert_eq!((loss(1), loss(2)), (-500_000, 2_000_000));
        // A ninth GPU of model 0 makes those of model 1 scarcer by a tenth: 11 / 2 for 10 / 2.
        assert_eq!(mix.with_other_supply(supply), None);
        let other = |models: u64| supply(models) + (models & 1);
        assert_eq!(mix.with_other_supply(other), Some(Mix::with_supply([any, rare], other)));
        let unaware = Mix::new([any, rare]);
        assert_eq!(unaware.loss(&node(2, 10_000), 2, &part(1, 1000, 0)), 0);
    }

    #[test]
    fn an_empty_mix_has_no_preference() {
        assert_eq!(Mix::default().loss(&node(4, 1), ANY, &part(1, 500, 0)), 0);
    }

    proptest! {
        /// What is filled is never more than is there, and never less than equal jobs placed one by one.
        #[test]
        fn filling_is_bounded(
            taken in prop::collection::vec((1u32..3, 1u16..=1000, 0u32..20_000), 0..6),
            (devices, milli, cpu) in (1u32..5, 1u16..=1000, 0u32..20_000),
        ) {
            let mut room = node(4, 64_000);
            for (devices, milli, cpu) in taken {
                let part = part(devices, milli, cpu);
                if room.fits(&part) {
                    room.take(&part);
                }
            }
            let class = class(part(devices, milli, cpu), 1);
            let filled = filled(&room, ANY, &class);
            let placed = room.count_fitting(&class.part) * class.part.demand_milli();
            prop_assert!(filled <= u64::from(room.free_milli));
            prop_assert!(filled >= u64::from(placed), "{filled} < {placed}");
        }
    }
}

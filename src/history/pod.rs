//! The life of a pod.
//!
//! When it ended: the end of its containers if its phase says that it is over; else when it was asked to go,
//! but no later than the first scrape without it; else half-way between the last scrape that saw it and the
//! next. Whoever the last scrape of all still saw is running (censored).

use super::{
    facts::{Facts, PodFacts, PodKey},
    plan::Window,
    scrapes::{Scrapes, middle},
};
use crate::time::{Millis, Timestamp};

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At this instant; the pod says so.
    At(Timestamp),
    /// About then: between two scrapes.
    About(Timestamp),
    /// It had not when the window ended.
    Open,
    /// It ended, and nobody knows when.
    Unknown,
}

/// The life of a pod that asked for GPUs. Instants are of the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct PodLife {
    /// Namespace.
    pub namespace: String,
    /// Name; several pods can have had it one after the other.
    pub name: String,
    /// Its resource, as the metric writes it. Of several the one it asks most of.
    pub resource: String,
    /// GPUs of its containers.
    pub gpus: u32,
    /// GPUs it needs to be placed: those of its largest init container, if that is more. (Sidecars among the
    /// init containers cannot be told from the others; they would add to `gpus`.)
    pub need: u32,
    /// When it was created, if that is known.
    pub created: Option<Timestamp>,
    /// When it was given a node.
    pub scheduled: Option<Timestamp>,
    /// When its first container started, if a scrape saw it running.
    pub started: Option<Timestamp>,
    /// The last scrape that saw it.
    pub last_seen: Option<Timestamp>,
    /// When it ended.
    pub end: End,
    /// Its phase said `Failed`.
    pub failed: bool,
    /// Kind of its outermost controller, empty = none: `Deployment`, `CronJob`, ...
    pub owner_kind: String,
    /// Name of that.
    pub owner_name: String,
    /// Its node.
    pub node: Option<String>,
}

impl PodLife {
    /// The instant at which it ended, for those of which that is known at all.
    pub const fn ended(&self) -> Option<Timestamp> {
        match self.end {
            End::At(at) | End::About(at) => Some(at),
            End::Open | End::Unknown => None,
        }
    }

    /// Pods that come with each node, and no demand.
    pub fn is_of_node(&self) -> bool {
        matches!(self.owner_kind.as_str(), "DaemonSet" | "Node")
    }
}

/// All pods, in the order of namespace, name and uid.
pub fn pod_lives(facts: &Facts, scrapes: &Scrapes) -> Vec<PodLife> {
    facts.pods.iter().filter_map(|(key, pod)| life(key, pod, facts, scrapes)).collect()
}

/// GPU-hours that pods asked for within a window, from their creation to their end, waiting included: what
/// [`super::Sight::Demand`] adds up to over time.
pub fn demand_gpu_hours(pods: &[PodLife], window: Window) -> f64 {
    let hours = |pod: &PodLife| {
        let end = match pod.end {
            End::At(at) | End::About(at) => at.min(window.until),
            End::Open => window.until,
            End::Unknown => return None,
        };
        let span = end - pod.created?.max(window.from);
        Some(span.max(Millis::ZERO).as_hours() * f64::from(pod.gpus))
    };
    pods.iter().filter_map(hours).sum()
}

/// `None` for what asks for nothing.
fn life(key: &PodKey, pod: &PodFacts, facts: &Facts, scrapes: &Scrapes) -> Option<PodLife> {
    let (namespace, name, _) = key.clone();
    let need = |resource: &str| {
        let of_containers = pod.requests.iter().filter(|request| request.resource == resource);
        let gpus = of_containers.fold(0_u32, |sum, request| sum.saturating_add(request.gpus));
        (gpus, gpus.max(pod.init_gpus.get(resource).copied().unwrap_or(0)))
    };
    let of_containers = pod.requests.iter().map(|request| &request.resource);
    let resources = of_containers.chain(pod.init_gpus.keys());
    let (resource, (gpus, need)) = resources
        .map(|resource| (resource.clone(), need(resource)))
        .max_by_key(|(resource, (_, need))| (*need, std::cmp::Reverse(resource.clone())))?;
    if need == 0 {
        return None;
    }
    let created = pod.created.or(pod.first_seen);
    let not_before = |at: Timestamp| created.map_or(at, |created| at.max(created));
    let scheduled = pod.scheduled.or(pod.first_placed).map(not_before);
    let (owner_kind, owner_name) = outermost(pod, &namespace, facts);
    Some(PodLife {
        name,
        resource,
        gpus,
        need,
        created,
        scheduled,
        started: pod.started.map(not_before),
        last_seen: pod.last_seen,
        end: end(pod, scrapes),
        failed: pod.has_failed,
        owner_kind,
        owner_name,
        node: pod.node.clone(),
        namespace,
    })
}

fn end(pod: &PodFacts, scrapes: &Scrapes) -> End {
    if pod.has_ended {
        // An evicted pod has no containers that ended.
        return pod.completed.map_or(End::Unknown, End::At);
    }
    let Some(last) = pod.last_seen else { return End::Unknown };
    let Some(next) = scrapes.after(last) else { return End::Open };
    End::About(
        pod.deleted.filter(|&at| last <= at && at < next).unwrap_or_else(|| middle(last, next)),
    )
}

/// The controller's controller, where a ReplicaSet or a Job has one.
fn outermost(pod: &PodFacts, namespace: &str, facts: &Facts) -> (String, String) {
    let Some((kind, name)) = pod.owner.clone() else { return Default::default() };
    let known = ["ReplicaSet", "Job"].into_iter().find(|known| *known == kind);
    let above =
        known.and_then(|kind| facts.owners.get(&(kind, namespace.to_owned(), name.clone())));
    above.cloned().unwrap_or((kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{
        Part,
        testing::{Told, of_pod, scrapes, series},
    };

    fn lives(told: &Told) -> Vec<PodLife> {
        pod_lives(&told.0, &scrapes(3600))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    /// A pod of 2 GPUs, created at 100, last seen at `last`.
    fn pod<'a>(told: &'a mut Told, uid: &str, last: i64) -> &'a mut Told {
        told.asks(uid, 2.0, "", &[last]).says(uid, "kube_pod_created", 100.0)
    }

    fn phase<'a>(told: &'a mut Told, uid: &str, phase: &str) -> &'a mut Told {
        let labels = [("__name__", "kube_pod_status_phase"), ("phase", phase)];
        told.row(Part::Said, &[&of_pod(uid)[..], &labels].concat(), 1.0)
    }

    #[test]
    fn the_end_is_what_the_pod_says_then_its_deletion_then_the_middle_of_two_scrapes() {
        let (completed, deleted) = ("kube_pod_completion_time", "kube_pod_deletion_timestamp");
        let mut told = Told::default();
        pod(&mut told, "1", 600).says("1", completed, 500.0);
        phase(&mut told, "1", "Succeeded");
        pod(&mut told, "2", 600).says("2", completed, 500.0);
        pod(&mut told, "3", 600).says("3", deleted, 610.0);
        pod(&mut told, "4", 600).says("4", deleted, 1800.0);
        pod(&mut told, "5", 3600);
        pod(&mut told, "6", 600);
        phase(&mut told, "6", "Failed");
        let ends: Vec<End> = lives(&told).iter().map(|life| life.end).collect();
        let expected = [
            End::At(at(500)),
            // A container ended, the pod went on.
            End::About(at(630)),
            End::About(at(610)),
            // The grace period was not used up.
            End::About(at(630)),
            End::Open,
            End::Unknown,
        ];
        assert_eq!(ends, expected);
        assert!(lives(&told)[5].failed && !lives(&told)[0].failed);
    }

    #[test]
    fn one_pod_is_one_life_however_many_pieces_tell_of_it() {
        let mut told = Told::default();
        pod(&mut told, "1", 600);
        pod(&mut told, "1", 1200).says("1", "kube_pod_status_scheduled_time", 90.0);
        for seconds in [320.0, 300.0, 310.0] {
            told.says("1", "kube_pod_container_state_started", seconds);
        }
        let lives = lives(&told);
        assert_eq!(lives.len(), 1);
        assert_eq!((lives[0].gpus, lives[0].last_seen), (2, Some(at(1200))));
        assert_eq!(lives[0].started, Some(at(300)));
        assert_eq!(lives[0].scheduled, Some(at(100)), "nothing is placed before it is there");
    }

    #[test]
    fn two_containers_add_up_and_two_exporters_do_not() {
        let mut told = Told::default();
        for (container, instance) in [("a", "x"), ("a", "y"), ("b", "x")] {
            let labels =
                [("container", container), ("instance", instance), ("resource", "nvidia_com_gpu")];
            let labels = [&of_pod("1")[..], &labels].concat();
            told.series(Part::Requests, series(&labels, &[(60, 2.0), (120, 2.0)]));
        }
        assert_eq!(lives(&told)[0].gpus, 4);
    }

    #[test]
    fn without_instants_of_its_own_a_pod_came_and_was_placed_when_it_was_first_seen_so() {
        let mut told = Told::default();
        told.asks("1", 2.0, "", &[60, 120]).asks("1", 2.0, "n", &[180, 240]);
        let life = lives(&told).remove(0);
        assert_eq!((life.created, life.scheduled), (Some(at(60)), Some(at(180))));
        assert_eq!((life.node.as_deref(), life.end), (Some("n"), End::About(at(270))));
    }

    #[test]
    fn an_init_container_can_need_more() {
        let mut told = Told::default();
        pod(&mut told, "1", 600);
        let labels = [&of_pod("1")[..], &[("resource", "nvidia_com_gpu")]].concat();
        told.row(Part::InitGpus, &labels, 8.0);
        let life = lives(&told).remove(0);
        assert_eq!((life.gpus, life.need), (2, 8));
    }

    #[test]
    fn owners_are_followed_to_the_outermost() {
        let mut told = Told::default();
        let owner = |kind, name| [("owner_kind", kind), ("owner_name", name)];
        for (uid, owner) in [
            ("1", owner("ReplicaSet", "web-5f")),
            ("2", owner("Job", "nightly-1")),
            ("3", owner("Job", "alone")),
        ] {
            pod(&mut told, uid, 600);
            let name = [("__name__", "kube_pod_owner")];
            told.row(Part::Said, &[&of_pod(uid)[..], &name, &owner].concat(), 1.0);
        }
        let of = [("namespace", "ml"), ("replicaset", "web-5f")];
        told.row(Part::ReplicaSetOwner, &[&of[..], &owner("Deployment", "web")].concat(), 1.0);
        let of = [("namespace", "ml"), ("job_name", "nightly-1")];
        told.row(Part::JobOwner, &[&of[..], &owner("CronJob", "nightly")].concat(), 1.0);
        let of = [("namespace", "ml"), ("job_name", "alone")];
        told.row(Part::JobOwner, &[&of[..], &owner("<none>", "<none>")].concat(), 1.0);
        let owners: Vec<(String, String)> =
            lives(&told).into_iter().map(|life| (life.owner_kind, life.owner_name)).collect();
        let expected = [("Deployment", "web"), ("CronJob", "nightly"), ("Job", "alone")];
        assert_eq!(owners, expected.map(|(kind, name)| (kind.to_owned(), name.to_owned())));
    }
}

//! Events on pools, MachineDeployments and waiting pods: what is being made for them and when it will be
//! there. What to say is worked out purely; [`Announcer`] says it.
//!
//! A pod is told once; a pool and its MachineDeployment are told when something is done, or in `Advise`
//! would be.

use super::{
    client::Clients,
    gpu_pool::{GROUP, Mode},
    http::Shown,
    look::{Look, PoolLook, WaitingPod},
    metrics::KindResult,
};
use crate::{
    engine::{Decision, PoolReport},
    model::NodeStage,
    time::{Millis, Timestamp},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::mpsc;

/// Pods told at one look: a burst of thousands is told over several looks.
const PODS_A_LOOK: usize = 20;

/// Which cluster an object is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// Pods and nodes.
    Workload,
    /// Pools and MachineDeployments.
    Management,
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// In which cluster.
    pub place: Where,
    /// About what.
    pub regarding: ObjectReference,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub note: String,
    /// Something is not as it should be.
    pub is_warning: bool,
}

/// Remembers what was said.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// uids of waiting pods that know.
    pods: BTreeSet<String>,
    /// By pool: the last note about it.
    pools: std::collections::BTreeMap<String, String>,
}

impl Told {
    /// What is to be said now. `modes`: how far decisions about each pool reach; `raised`: pools of which
    /// replicas were really raised.
    pub fn say(
        &mut self,
        now: Timestamp,
        look: &Look,
        decision: &Decision,
        modes: &[Mode],
        raised: &BTreeSet<usize>,
    ) -> Vec<Said> {
        let mut said = Vec::new();
        let pools = look.pools.iter().zip(&decision.why).zip(modes).enumerate();
        for (place, ((pool, report), &mode)) in pools {
            if mode != Mode::Active || report.create == 0 || raised.contains(&place) {
                self.say_pool(pool, report, mode, &mut said);
            }
        }
        let waiting: BTreeSet<&str> = look.waiting.iter().map(|pod| pod.uid.as_str()).collect();
        self.pods.retain(|uid| waiting.contains(uid.as_str()));
        let news = look.waiting.iter().filter(|pod| !self.pods.contains(&pod.uid));
        let news: Vec<(&WaitingPod, String)> = news
            .filter_map(|pod| Some((pod, pod_note(now, pod, look, decision, modes)?)))
            .take(PODS_A_LOOK)
            .collect();
        for (pod, note) in news {
            self.pods.insert(pod.uid.clone());
            said.push(Said {
                place: Where::Workload,
                regarding: pod_reference(pod),
                reason: "NodeOnItsWay",
                note,
                is_warning: false,
            });
        }
        said
    }

    fn say_pool(&mut self, pool: &PoolLook, report: &PoolReport, mode: Mode, said: &mut Vec<Said>) {
        let removed = report.scale_down.nodes.len();
        let (reason, note) = match (mode, report.create, removed) {
            (Mode::Active, create @ 1.., _) => {
                ("ScaleUp", scale_up_note("Asked for", create, report))
            }
            (Mode::Active, 0, removed @ 1..) => {
                ("ScaleDown", format!("Released {removed} idle nodes"))
            }
            (Mode::Advise, create @ 1.., _) => {
                ("WouldScaleUp", scale_up_note("Would ask for", create, report))
            }
            (Mode::Advise, 0, removed @ 1..) => {
                ("WouldScaleDown", format!("Would release {removed} idle nodes"))
            }
            _ => return,
        };
        // In Advise nothing comes of it, so the same is decided again and again.
        let key = format!("{}/{}", pool.namespace, pool.name);
        if mode == Mode::Advise && self.pools.get(&key) == Some(&note) {
            return;
        }
        self.pools.insert(key, note.clone());
        let about = |regarding| Said {
            place: Where::Management,
            regarding,
            reason,
            note: note.clone(),
            is_warning: false,
        };
        said.extend(pool.exists.then(|| about(pool_reference(pool))));
        said.extend(deployment_reference(pool).map(about));
    }
}

fn scale_up_note(verb: &str, create: u32, report: &PoolReport) -> String {
    let ahead = report.guarded.allowed_nodes.min(create);
    let nodes = if create == 1 { "node" } else { "nodes" };
    let why = match (create - ahead, ahead) {
        (0, _) => "ahead of demand".to_owned(),
        (_, 0) => "for waiting pods".to_owned(),
        (firm, ahead) => format!("{firm} for waiting pods, {ahead} ahead of demand"),
    };
    format!(
        "{verb} {create} {nodes} {why}; ready in about {}",
        minutes(report.observed.lead_median)
    )
}

/// When the pod's node will be there; `None` = nothing is on its way for it.
fn pod_note(
    now: Timestamp,
    pod: &WaitingPod,
    look: &Look,
    decision: &Decision,
    modes: &[Mode],
) -> Option<String> {
    let place = pod.pool?;
    let (pool, report) = (look.snapshot.pools.get(place)?, decision.why.get(place)?);
    if *modes.get(place)? != Mode::Active {
        return None;
    }
    let lead = report.observed.lead_median;
    let coming = pool.nodes.iter().filter(|node| node.stage != NodeStage::Usable);
    let warm_up = Millis(lead.0 * 4 / 9);
    let left = coming.map(|node| {
        let whole = if node.stage == NodeStage::Warming { warm_up } else { lead };
        Millis((whole.0 - (now - node.since).0).max(30_000))
    });
    let soonest = left.min().or_else(|| (report.create > 0).then_some(lead))?;
    let name = &look.pools.get(place)?.name;
    Some(format!("A node of pool {name} is on its way, ready in about {}", minutes(soonest)))
}

fn minutes(time: Millis) -> String {
    match (time.0 + 30_000) / 60_000 {
        0 | 1 => "1 min".to_owned(),
        minutes => format!("{minutes} min"),
    }
}

fn pod_reference(pod: &WaitingPod) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.namespace.clone()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

fn pool_reference(pool: &PoolLook) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{GROUP}/v1alpha1")),
        kind: Some("GpuPool".to_owned()),
        namespace: Some(pool.namespace.clone()),
        name: Some(pool.name.clone()),
        uid: Some(pool.uid.clone()),
        ..ObjectReference::default()
    }
}

fn deployment_reference(pool: &PoolLook) -> Option<ObjectReference> {
    let meta = &pool.target.as_ref()?.deployment.meta;
    Some(ObjectReference {
        kind: Some("MachineDeployment".to_owned()),
        namespace: Some(meta.namespace.clone()),
        name: Some(meta.name.clone()),
        uid: Some(meta.uid.clone()),
        ..ObjectReference::default()
    })
}

/// Events that may wait to be published; when more come, they are dropped and counted.
const QUEUE: usize = 256;

/// Publishes Events, in a task of its own: a slow API delays what is told and not what is done. A failure is
/// counted and forgotten.
#[derive(Clone)]
pub struct Announcer {
    queue: mpsc::Sender<Said>,
    shown: Arc<Shown>,
}

/// Where Events go.
struct Recorders {
    workload: Recorder,
    management: Recorder,
    /// `apiVersion` of MachineDeployments.
    deployments: String,
}

impl Announcer {
    /// `identity`: name of this replica. Publishes for as long as this lives.
    pub fn start(
        clients: &Clients,
        identity: &str,
        deployments: String,
        shown: Arc<Shown>,
    ) -> Self {
        let reporter =
            Reporter { controller: "prewarm".to_owned(), instance: Some(identity.to_owned()) };
        let recorders = Recorders {
            workload: Recorder::new(clients.workload.clone(), reporter.clone()),
            management: Recorder::new(clients.management.clone(), reporter),
            deployments,
        };
        let (queue, said) = mpsc::channel(QUEUE);
        tokio::spawn(publish(recorders, said, Arc::clone(&shown)));
        Self { queue, shown }
    }

    /// Says it all, as soon as may be.
    pub fn say(&self, said: Vec<Said>) {
        for said in said {
            let kind = said.reason;
            if self.queue.try_send(said).is_err() {
                let label = KindResult { kind, result: "dropped" };
                self.shown.metrics.events.get_or_create(&label).inc();
            }
        }
    }
}

async fn publish(recorders: Recorders, mut queue: mpsc::Receiver<Said>, shown: Arc<Shown>) {
    while let Some(said) = queue.recv().await {
        let kind = said.reason;
        let result = match recorders.publish(said).await {
            Ok(()) => "ok",
            Err(error) => {
                tracing::warn!(%error, reason = kind, "an Event was not taken");
                "failed"
            }
        };
        shown.metrics.events.get_or_create(&KindResult { kind, result }).inc();
    }
}

impl Recorders {
    async fn publish(&self, said: Said) -> Result<(), kube::Error> {
        let mut regarding = said.regarding;
        regarding.api_version.get_or_insert_with(|| self.deployments.clone());
        let event = Event {
            type_: if said.is_warning { EventType::Warning } else { EventType::Normal },
            reason: said.reason.to_owned(),
            note: Some(said.note),
            action: said.reason.to_owned(),
            secondary: None,
        };
        let recorder = match said.place {
            Where::Workload => &self.workload,
            Where::Management => &self.management,
        };
        recorder.publish(&event, &regarding).await
    }
}

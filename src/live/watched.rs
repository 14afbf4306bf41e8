//! What is watched, in which cluster, and what becomes of it.

use super::{
    gpu_pool::{GpuPool, Mode},
    index::{Event, Kind},
    look::Autoscaler,
    objects::{self, CapiKeys, Facts},
    run::Clusters,
    watch::{Sink, Translate, watch},
};
use crate::{
    extender::Namespace,
    model::object::{Machine, MachineDeployment, MachineSet, Node, Pod, ResourceSlice},
};
use futures::StreamExt;
use k8s_openapi::api::{core::v1::ConfigMap, scheduling::v1::PriorityClass};
use kube::{
    Api, Client, ResourceExt,
    api::ApiResource,
    core::{GroupVersionKind, Object},
    runtime::{WatchStreamExt, watcher, watcher::Config},
};
use std::sync::Arc;
use tokio::{sync::watch as channel, task::JoinHandle};

/// Name of the ConfigMap (in our namespace) whose key `mode` bounds all pools: the kill switch.
pub const SWITCH: &str = "prewarm-switch";

/// The watches at work.
pub struct Watched {
    /// Ended by the sink's `stop`.
    pub tasks: Vec<JoinHandle<()>>,
    /// No pool's decisions reach further.
    pub ceiling: channel::Receiver<Mode>,
}

/// Starts all watches.
pub fn start(clusters: &Clusters, namespace: &str, sink: &Sink) -> Watched {
    let (workload, management) = (&clusters.clients.workload, &clusters.clients.management);
    let from = |client: &Client| From {
        client: client.clone(),
        keys: Arc::new(CapiKeys::new(clusters.api.group.as_str())),
        sink: sink.clone(),
    };
    let (work, manage) = (from(workload), from(management));
    let all = Config::default;
    let api = &clusters.api;
    let mut tasks = vec![
        work.pods(),
        work.nodes(),
        work.slices(),
        manage.facts(&api.scalable, all(), Kind::MachineDeployment, |one: MachineDeployment| {
            Event::MachineDeployment(Box::new(one))
        }),
        manage.facts(&api.machine_sets, all(), Kind::MachineSet, |one: MachineSet| {
            Event::MachineSet(Box::new(one))
        }),
        manage.facts(&api.machines, all(), Kind::Machine, |one: Machine| {
            Event::Machine(Box::new(one))
        }),
    ];
    let pools = Translate {
        kind: Kind::GpuPool,
        applied: Box::new(|pool| Event::Pool(Box::new(objects::pool(pool)))),
        gone: Box::new(|pool: GpuPool| gone(Kind::GpuPool, &pool)),
        may_be_absent: true,
    };
    let pools = watch(Api::<GpuPool>::all(management.clone()), all(), pools, sink.clone());
    tasks.push(tokio::spawn(pools));
    let classes = Translate {
        kind: Kind::PriorityClass,
        applied: Box::new(|class| Event::PriorityClass(objects::priority_class(class))),
        gone: Box::new(|class: PriorityClass| gone(Kind::PriorityClass, &class)),
        may_be_absent: false,
    };
    let classes = watch(Api::<PriorityClass>::all(workload.clone()), all(), classes, sink.clone());
    tasks.push(tokio::spawn(classes));
    let status = Translate {
        kind: Kind::Autoscaler,
        applied: Box::new(|map| Event::Autoscaler(objects::autoscaler(&map))),
        gone: Box::new(|_: ConfigMap| Event::Autoscaler(Autoscaler::Absent)),
        may_be_absent: false,
    };
    let maps = Api::<ConfigMap>::namespaced(workload.clone(), AUTOSCALER_NAMESPACE);
    let named = all().fields("metadata.name=cluster-autoscaler-status");
    tasks.push(tokio::spawn(watch(maps, named, status, sink.clone())));
    let (ceiling, receiver) = channel::channel(Mode::Active);
    let switch = watch_switch(management.clone(), namespace.to_owned(), ceiling, sink.clone());
    tasks.push(tokio::spawn(switch));
    Watched { tasks, ceiling: receiver }
}

/// Starts the watches that only the extender needs beside those of [`start`].
pub fn start_namespaces(client: &Client, sink: &Sink) -> JoinHandle<()> {
    let from = From { client: client.clone(), keys: Arc::default(), sink: sink.clone() };
    from.facts(&core("Namespace", "namespaces"), Config::default(), Kind::Namespace, |one| {
        Event::Namespace(Box::<Namespace>::new(one))
    })
}

/// Starts the watches of an extender without a controller.
pub fn start_extender(client: &Client, sink: &Sink) -> Vec<JoinHandle<()>> {
    let from = From { client: client.clone(), keys: Arc::default(), sink: sink.clone() };
    vec![from.pods(), from.nodes(), from.slices(), start_namespaces(client, sink)]
}

/// Where cluster-autoscaler writes its status (its flag `--namespace`).
const AUTOSCALER_NAMESPACE: &str = "kube-system";

fn core(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", kind), plural)
}

fn slices() -> ApiResource {
    let gvk = GroupVersionKind::gvk("resource.k8s.io", "v1", "ResourceSlice");
    ApiResource::from_gvk_with_plural(&gvk, "resourceslices")
}

fn gone<K: ResourceExt>(kind: Kind, object: &K) -> Event {
    let name = object.name_any();
    let key = object.namespace().map_or_else(|| name.clone(), |space| format!("{space}/{name}"));
    Event::Gone { kind, key }
}

/// One cluster and where news of it go.
struct From {
    client: Client,
    keys: Arc<CapiKeys>,
    sink: Sink,
}

impl From {
    fn pods(&self) -> JoinHandle<()> {
        let open = Config::default().fields("status.phase!=Succeeded,status.phase!=Failed");
        self.facts(&core("Pod", "pods"), open, Kind::Pod, |pod: Pod| Event::Pod(Box::new(pod)))
    }

    fn nodes(&self) -> JoinHandle<()> {
        self.facts(&core("Node", "nodes"), Config::default(), Kind::Node, |node: Node| {
            Event::Node(Box::new(node))
        })
    }

    fn slices(&self) -> JoinHandle<()> {
        let slice = |slice: ResourceSlice| Event::Slice(Box::new(slice));
        self.facts(&slices(), Config::default(), Kind::ResourceSlice, slice)
    }

    /// Watches a kind of which facts are kept.
    fn facts<F: Facts + 'static>(
        &self,
        resource: &ApiResource,
        config: Config,
        kind: Kind,
        event: fn(F) -> Event,
    ) -> JoinHandle<()> {
        let api: Api<Object<F::Spec, F::Status>> = Api::all_with(self.client.clone(), resource);
        let keys = Arc::clone(&self.keys);
        let translate = Translate {
            kind,
            applied: Box::new(move |object| event(F::facts(object, &keys))),
            gone: Box::new(move |object: Object<F::Spec, F::Status>| match kind {
                // A pod of the same name may be there already.
                Kind::Pod => Event::PodGone {
                    namespace: object.namespace().unwrap_or_default(),
                    name: object.name_any(),
                    uid: object.uid().unwrap_or_default(),
                },
                _ => gone(kind, &object),
            }),
            may_be_absent: kind == Kind::ResourceSlice,
        };
        tokio::spawn(watch(api, config, translate, self.sink.clone()))
    }
}

/// Follows the kill switch. No ConfigMap: every pool goes as far as its own mode says; one that cannot be
/// read as a mode stops all writing.
async fn watch_switch(
    client: Client,
    namespace: String,
    ceiling: channel::Sender<Mode>,
    sink: Sink,
) {
    let config = Config::default().fields(&format!("metadata.name={SWITCH}"));
    let api = Api::<ConfigMap>::namespaced(client, &namespace);
    let mut stream = watcher(api, config).default_backoff().boxed();
    loop {
        let heard = tokio::select! {
            () = sink.stop.cancelled() => return,
            heard = stream.next() => heard,
        };
        match heard {
            Some(Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map))) => {
                let text = map.data.unwrap_or_default().remove("mode").unwrap_or_default();
                let mode = serde_json::from_value(serde_json::Value::String(text.clone()));
                let mode = mode.unwrap_or_else(|_| {
                    tracing::error!(%text, "ConfigMap {SWITCH}: `mode` is none of Off, Shadow, Advise, Active: nothing is written");
                    Mode::Shadow
                });
                tracing::info!(?mode, "the switch bounds all pools");
                ceiling.send_replace(mode);
            }
            Some(Ok(watcher::Event::Delete(_))) => {
                tracing::info!("the switch is gone: pools go as far as their own mode");
                ceiling.send_replace(Mode::Active);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "the switch cannot be watched, trying again");
            }
            None => return,
        }
    }
}

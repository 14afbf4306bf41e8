//! What is in the cluster, kept up to date by reflectors.

use super::{FleetSettings, objects};
use futures::StreamExt;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    runtime::{WatchStreamExt, reflector, reflector::Store, watcher},
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is there at one instant, in the order of names.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// MachineDeployments.
    pub deployments: Vec<Arc<DynamicObject>>,
    /// MachineSets.
    pub sets: Vec<Arc<DynamicObject>>,
    /// Machines.
    pub machines: Vec<Arc<DynamicObject>>,
    /// Nodes.
    pub nodes: Vec<Arc<DynamicObject>>,
    /// Pods.
    pub pods: Vec<Arc<DynamicObject>>,
}

/// Reflectors of all kinds.
pub(super) struct View {
    stores: [Store<DynamicObject>; 5],
}

impl View {
    pub(super) async fn start(
        client: &Client,
        _settings: &FleetSettings,
        stop: &CancellationToken,
    ) -> Result<Self, kube::Error> {
        let kinds = [
            objects::deployments(),
            objects::sets(),
            objects::machines(),
            objects::nodes(),
            objects::pods(),
        ];
        let stores = kinds.map(|resource| reflect(client, resource, stop));
        for store in &stores {
            // The writer lives as long as its task.
            store.wait_until_ready().await.ok();
        }
        Ok(Self { stores })
    }

    pub(super) fn seen(&self, namespaces: &[String]) -> Seen {
        let [deployments, sets, machines, nodes, pods] = &self.stores;
        let list = |store: &Store<DynamicObject>| {
            let mut objects: Vec<Arc<DynamicObject>> = store.state();
            objects.retain(|object| {
                let namespace = object.metadata.namespace.as_ref();
                namespace.is_none_or(|namespace| namespaces.contains(namespace))
            });
            objects.sort_by_cached_key(|object| objects::key(object));
            objects
        };
        Seen {
            deployments: list(deployments),
            sets: list(sets),
            machines: list(machines),
            nodes: list(nodes),
            pods: list(pods),
        }
    }
}

fn reflect(
    client: &Client,
    resource: ApiResource,
    stop: &CancellationToken,
) -> Store<DynamicObject> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let writer = reflector::store::Writer::new(resource);
    let store = writer.as_reader();
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    let stream = stream.modify(|object| object.metadata.managed_fields = None);
    let stream = reflector(writer, stream);
    let stop = stop.clone();
    tokio::spawn(async move {
        let mut stream = std::pin::pin!(stream);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                next = stream.next() => if next.is_none() { return },
            }
        }
    });
    store
}

//! Writes statuses of GpuPools, and makes those objects that discovery found.

use super::{
    acting::Acting,
    controller::{Controller, Turn},
    gpu_pool::{GpuPool, GpuPoolStatus, Mode},
    look::{Finding, PoolLook},
    status::{Facts, status},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use std::collections::BTreeMap;

/// Remembers what was written, to write only what changed.
pub struct StatusWriter {
    client: Client,
    /// `apiVersion` of MachineDeployments.
    deployments: String,
    written: BTreeMap<String, GpuPoolStatus>,
    /// The definition of GpuPool is missing in the cluster, and that was said.
    is_told: bool,
}

impl StatusWriter {
    /// Writes to the management cluster.
    pub fn new(client: Client, deployments: String) -> Self {
        Self { client, deployments, written: BTreeMap::new(), is_told: false }
    }

    /// Writes the statuses that have changed.
    pub async fn write(&mut self, turn: &Turn, acting: &[Acting], controller: &Controller) {
        let known: Vec<String> = turn.look.pools.iter().map(key).collect();
        self.written.retain(|pool, _| known.contains(pool));
        for (place, pool) in turn.look.pools.iter().enumerate() {
            if !pool.exists {
                self.make(pool).await;
                continue;
            }
            let (Some(report), Some(acting)) = (turn.decision.why.get(place), acting.get(place))
            else {
                continue;
            };
            let about = |finding: &&Finding| finding.pool == Some(place);
            let findings: Vec<&Finding> = turn.look.findings.iter().filter(about).collect();
            let facts = Facts {
                now: turn.now,
                pool,
                report,
                autoscaler: &turn.look.autoscaler,
                findings: &findings,
                mode: turn.modes.get(place).copied().unwrap_or(Mode::Off),
                acting,
                last_decision: controller.last_decision(&known[place]),
            };
            let before = self.written.get(&known[place]);
            let new = status(&facts, before);
            if before != Some(&new) {
                self.put(pool, &known[place], new).await;
            }
        }
    }

    async fn put(&mut self, pool: &PoolLook, key: &str, new: GpuPoolStatus) {
        let api = Api::<GpuPool>::namespaced(self.client.clone(), &pool.namespace);
        let body = serde_json::json!({ "status": new });
        match api.patch_status(&pool.name, &PatchParams::default(), &Patch::Merge(body)).await {
            Ok(_) => {
                self.written.insert(key.to_owned(), new);
            }
            Err(error) => tracing::warn!(%error, pool = key, "the status was not written"),
        }
    }

    /// Makes the object of a discovered pool; it goes with its MachineDeployment.
    async fn make(&mut self, pool: &PoolLook) {
        let Some(target) = &pool.target else { return };
        let meta = &target.deployment.meta;
        let mut object = GpuPool::new(&pool.name, pool.spec.clone());
        object.metadata = ObjectMeta {
            name: Some(pool.name.clone()),
            namespace: Some(pool.namespace.clone()),
            labels: Some([("prewarm.dev/discovered".to_owned(), "true".to_owned())].into()),
            owner_references: Some(vec![OwnerReference {
                api_version: self.deployments.clone(),
                kind: "MachineDeployment".to_owned(),
                name: meta.name.clone(),
                uid: meta.uid.clone(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        };
        let api = Api::<GpuPool>::namespaced(self.client.clone(), &pool.namespace);
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => tracing::info!(pool = key(pool), "discovered: a GpuPool in Shadow was made"),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                if !self.is_told {
                    tracing::warn!(
                        "GpuPool is not defined here: run `prewarm crd | kubectl apply -f -`"
                    );
                    self.is_told = true;
                }
            }
            Err(error) => tracing::warn!(%error, pool = key(pool), "the GpuPool was not made"),
        }
    }
}

fn key(pool: &PoolLook) -> String {
    format!("{}/{}", pool.namespace, pool.name)
}

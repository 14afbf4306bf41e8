//! Writes statuses of GpuPools, and makes those objects that discovery found.
//!
//! What a status says is worked out with each turn; a task of its own writes the newest of each pool, so that
//! a slow API delays what is shown and not what is done.

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
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::watch;

/// After a failure the newest statuses are tried again so much later.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What is to be in the cluster of one pool.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    /// The object, because discovery found its pool.
    Object(Box<GpuPool>),
    /// Its status.
    Status(Box<GpuPoolStatus>),
}

/// By `namespace/name`.
type AllWanted = BTreeMap<(String, String), Wanted>;

/// Works statuses out and hands them to the task that writes.
pub struct StatusWriter {
    /// `apiVersion` of MachineDeployments.
    deployments: String,
    newest: watch::Sender<AllWanted>,
}

impl StatusWriter {
    /// Writes to the management cluster for as long as this lives.
    pub fn start(client: Client, deployments: String) -> Self {
        let (newest, wanted) = watch::channel(AllWanted::new());
        tokio::spawn(write(client, wanted));
        Self { deployments, newest }
    }

    /// What is to be shown after a turn.
    pub fn show(&self, turn: &Turn, acting: &[Acting], controller: &Controller) {
        let wanted = |(place, pool): (usize, &PoolLook)| {
            let key = (pool.namespace.clone(), pool.name.clone());
            let wanted = if pool.exists {
                let known = self.newest.borrow();
                let before = match known.get(&key) {
                    Some(Wanted::Status(before)) => Some(before.as_ref()),
                    _ => None,
                };
                Wanted::Status(Box::new(new_status(place, turn, acting, controller, before)?))
            } else {
                Wanted::Object(Box::new(self.object(pool)?))
            };
            Some((key, wanted))
        };
        let all: AllWanted = turn.look.pools.iter().enumerate().filter_map(wanted).collect();
        self.newest.send_if_modified(|before| {
            let is_news = *before != all;
            *before = all;
            is_news
        });
    }

    /// The object of a discovered pool; it goes with its MachineDeployment.
    fn object(&self, pool: &PoolLook) -> Option<GpuPool> {
        let meta = &pool.target.as_ref()?.deployment.meta;
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
        Some(object)
    }
}

fn new_status(
    place: usize,
    turn: &Turn,
    acting: &[Acting],
    controller: &Controller,
    before: Option<&GpuPoolStatus>,
) -> Option<GpuPoolStatus> {
    let pool = turn.look.pools.get(place)?;
    let about = |finding: &&Finding| finding.pool == Some(place);
    let findings: Vec<&Finding> = turn.look.findings.iter().filter(about).collect();
    let facts = Facts {
        now: turn.now,
        pool,
        report: turn.decision.why.get(place)?,
        autoscaler: &turn.look.autoscaler,
        findings: &findings,
        troubles: &turn.troubles,
        mode: turn.modes.get(place).copied().unwrap_or(Mode::Off),
        acting: acting.get(place)?,
        last_decision: controller.last_decision(&format!("{}/{}", pool.namespace, pool.name)),
    };
    Some(status(&facts, before))
}

/// Writes the newest until nobody has news any more.
async fn write(client: Client, mut newest: watch::Receiver<AllWanted>) {
    let mut written = AllWanted::new();
    let mut is_told = false;
    while newest.changed().await.is_ok() {
        loop {
            let wanted = newest.borrow_and_update().clone();
            written.retain(|key, _| wanted.contains_key(key));
            let mut has_failed = false;
            for (key, one) in &wanted {
                if written.get(key) == Some(one) {
                    continue;
                }
                match put(&client, key, one).await {
                    Ok(()) => drop(written.insert(key.clone(), one.clone())),
                    Err(error) => {
                        has_failed = true;
                        tell(key, &error, &mut is_told);
                    }
                }
            }
            if !has_failed {
                break;
            }
            tokio::time::sleep(TRY_AGAIN).await;
            if newest.has_changed().is_err() {
                return;
            }
        }
    }
}

async fn put(client: &Client, key: &(String, String), one: &Wanted) -> Result<(), kube::Error> {
    let (namespace, name) = key;
    let api = Api::<GpuPool>::namespaced(client.clone(), namespace);
    match one {
        Wanted::Status(status) => {
            let body = serde_json::json!({ "status": status });
            api.patch_status(name, &PatchParams::default(), &Patch::Merge(body)).await.map(drop)
        }
        Wanted::Object(object) => match api.create(&PostParams::default(), object).await {
            Ok(_) => {
                tracing::info!(pool = %format!("{namespace}/{name}"), "a GpuPool in Shadow was made");
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error),
        },
    }
}

/// A missing definition is told once, everything else each time.
fn tell((namespace, name): &(String, String), error: &kube::Error, is_told: &mut bool) {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            if !*is_told {
                tracing::warn!(
                    "GpuPool is not defined here: run `prewarm crd | kubectl apply -f -`"
                );
                *is_told = true;
            }
        }
        error => {
            let pool = format!("{namespace}/{name}");
            tracing::warn!(%error, %pool, "the GpuPool or its status was not written");
        }
    }
}

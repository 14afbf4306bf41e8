//! The stage of every end-to-end test: a cluster, a fleet, a controller.
//!
//! Without `KUBECONFIG` the cluster is the embedded API; with it, whatever that names: minimal CRDs are
//! installed where Cluster API is absent, everything is in namespaces of its own, and all of it is removed at
//! the end.

use axum::http::Uri;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use prewarm::{
    embedded_api::{EmbeddedApi, Faults, Options},
    fleet::{
        self, Fleet, FleetSettings, NodeTimes, autoscaler::AutoscalerSettings, crds,
        extender::ExtenderAt, objects,
    },
    live::{
        actuate::ActuationSettings,
        client::{self, Clients},
        clock::Clock,
        extender::ExtenderSettings,
        gpu_pool::{Actuation, GpuPool, GpuPoolSpec, GpuPoolStatus, Mode},
        past::PastSource,
        run::{self, Clusters, RunSettings},
    },
    time::Millis,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::OwnedMutexGuard, task::JoinHandle};
use tokio_util::sync::CancellationToken;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// On a real cluster one stage at a time is up: each has a controller that sees the whole cluster.
static TURN: LazyLock<Arc<tokio::sync::Mutex<()>>> = LazyLock::new(Arc::default);

/// Namespaces of stages begin so.
const PREFIX: &str = "prewarm-e2e-";

/// How a stage is set up.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The clock of the embedded API, the fleet and the controller runs so much faster than time. A real
    /// cluster knows one speed only.
    pub(crate) speed: f64,
    pub(crate) times: NodeTimes,
    pub(crate) label_accelerator: bool,
    /// Users by token, and what is denied to them (embedded API only).
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) denied: BTreeMap<String, Vec<prewarm::embedded_api::Denied>>,
    pub(crate) keep_finished: Millis,
    pub(crate) autoscaler: Option<AutoscalerSettings>,
    /// The scheduler asks this extender.
    pub(crate) extender: Option<ExtenderAt>,
    /// Really passing time between two steps of the fleet.
    pub(crate) step: Duration,
}

impl Setup {
    /// Minutes of nodes' lives in seconds: 60 s to register, 90 s to be Ready, 90 s for the driver.
    pub(crate) fn fast(speed: f64) -> Self {
        let times = NodeTimes {
            register: Millis::from_secs(60),
            provisioning: Millis::from_secs(90),
            warm_up: Millis::from_secs(90),
            half_at_permille: 0,
        };
        Self { speed, times, ..Self::default() }
    }

    /// Users with a token each (`<user>-token`); the stage itself is `fleet`.
    pub(crate) fn with_users(self, users: &[&str]) -> Self {
        let all = users.iter().chain([&"fleet"]);
        let tokens = all.map(|user| (format!("{user}-token"), (*user).to_owned())).collect();
        Self { tokens, ..self }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            speed: 1.0,
            times: NodeTimes {
                register: Millis::from_secs(1),
                provisioning: Millis::from_secs(2),
                warm_up: Millis::from_secs(2),
                half_at_permille: 0,
            },
            label_accelerator: true,
            tokens: BTreeMap::new(),
            denied: BTreeMap::new(),
            keep_finished: Millis::from_mins(5),
            autoscaler: None,
            extender: None,
            step: Duration::from_millis(50),
        }
    }
}

/// A cluster with a fleet.
pub(crate) struct Stage {
    pub(crate) api: Option<EmbeddedApi>,
    pub(crate) client: Client,
    pub(crate) config: Config,
    /// Of machines and pods.
    pub(crate) namespace: String,
    /// Of the controller's own objects.
    pub(crate) own: String,
    pub(crate) clock: Clock,
    /// By how many milliseconds the clocks of the embedded API and the fleet are ahead of the controller's.
    pub(crate) cluster_ahead: Arc<AtomicI64>,
    pub(crate) fleet: Fleet,
    /// Definitions that were not there before.
    installed: Vec<String>,
    turn: Option<OwnedMutexGuard<()>>,
}

/// A controller at work.
pub(crate) struct Controller {
    pub(crate) stop: CancellationToken,
    task: JoinHandle<Result<(), run::RunError>>,
    pub(crate) address: String,
    /// Of its own, so that a kill ends everything at once.
    runtime: tokio::runtime::Runtime,
}

/// What a controller is told beside the defaults.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) identity: String,
    pub(crate) elect: bool,
    pub(crate) discovery: bool,
    pub(crate) actuation: ActuationSettings,
    pub(crate) decision_log: Option<PathBuf>,
    pub(crate) past: Option<PastSource>,
    pub(crate) extender: Option<ExtenderSettings>,
    /// Where signals are read from.
    pub(crate) signals: Option<Arc<prewarm::prometheus::Client>>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            identity: "test".to_owned(),
            elect: false,
            discovery: true,
            actuation: ActuationSettings::default(),
            decision_log: None,
            past: None,
            extender: None,
            signals: None,
        }
    }
}

/// Whether the suite runs on a cluster given from outside.
pub(crate) fn on_real_cluster() -> bool {
    std::env::var_os("KUBECONFIG").is_some()
}

/// For tests that need faults or fast motion: says why they are skipped on a real cluster.
pub(crate) fn needs_embedded(test: &str) -> bool {
    if on_real_cluster() {
        println!(
            "skipped on the cluster of KUBECONFIG: {test} needs the faults of the embedded API"
        );
    }
    !on_real_cluster()
}

pub(crate) fn config_for(url: &str, token: Option<&str>) -> Config {
    let mut config = Config::new(url.parse::<Uri>().unwrap());
    config.auth_info.token = token.map(|token| token.to_owned().into());
    client::tune(&mut config);
    config
}

impl Stage {
    pub(crate) async fn start(setup: Setup) -> Self {
        // PREWARM_LOG=debug shows what the controller says.
        let filter = std::env::var("PREWARM_LOG").unwrap_or_else(|_| "off".to_owned());
        tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init().ok();
        let real = on_real_cluster();
        let clock = Clock::fast(if real { 1.0 } else { setup.speed });
        let cluster_ahead = Arc::new(AtomicI64::new(0));
        let (api, config) = if real {
            let mut config = Config::infer().await.unwrap();
            client::tune(&mut config);
            (None, config)
        } else {
            let ahead = Arc::clone(&cluster_ahead);
            let mut options = Options::new(Arc::new(move || {
                let ahead = Millis(ahead.load(Ordering::SeqCst));
                jiff::Timestamp::from_millisecond((clock.now() + ahead).0).unwrap()
            }));
            options.tokens = setup.tokens.clone();
            options.denied = setup.denied.clone();
            let api = EmbeddedApi::start(options).await.unwrap();
            // With users, the stage and its fleet are `fleet`.
            let fleet = setup.tokens.iter().find(|(_, user)| *user == "fleet");
            let token = fleet.map(|(token, _)| token.as_str());
            let config = config_for(&api.url(), token);
            (Some(api), config)
        };
        let client = Client::try_from(config.clone()).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let mut turn = None;
        if real {
            turn = Some(Arc::clone(&TURN).lock_owned().await);
            // What a stage before left that failed.
            clean_up(&client).await;
        }
        let own = format!("{name}-own");
        for namespace in [&name, &own] {
            create(
                &client,
                &core("Namespace", "namespaces"),
                "",
                fleet::jobs::namespace(namespace),
            )
            .await;
        }
        let installed = install(&client).await;
        let settings = FleetSettings {
            namespaces: vec![name.clone()],
            times: BTreeMap::new(),
            default_times: setup.times,
            label_accelerator: setup.label_accelerator,
            keep_finished: setup.keep_finished,
            autoscaler: setup.autoscaler,
            extender: setup.extender.clone(),
            now: {
                let ahead = Arc::clone(&cluster_ahead);
                Arc::new(move || clock.now() + Millis(ahead.load(Ordering::SeqCst)))
            },
            step: setup.step,
        };
        let fleet = Fleet::start(client.clone(), settings).await.unwrap();
        Self {
            api,
            client,
            config,
            namespace: name,
            own,
            clock,
            cluster_ahead,
            fleet,
            installed,
            turn,
        }
    }

    /// Faults of the embedded API.
    pub(crate) fn faults(&self) -> Faults {
        self.api.as_ref().unwrap().faults()
    }

    /// Starts a controller with the rights of the stage's own client.
    pub(crate) fn controller(&self, told: Told) -> Controller {
        self.controller_with(self.config.clone(), told)
    }

    /// Starts a controller as that user.
    pub(crate) fn controller_as(&self, user: &str, told: Told) -> Controller {
        let url = self.api.as_ref().unwrap().url();
        let config = config_for(&url, Some(&format!("{user}-token")));
        self.controller_with(config, told)
    }

    pub(crate) fn controller_with(&self, config: Config, told: Told) -> Controller {
        self.controller_of(config, None, told)
    }

    /// `workload`: where pods and nodes are, if not in the cluster of `config`.
    pub(crate) fn controller_of(
        &self,
        config: Config,
        workload: Option<Config>,
        told: Told,
    ) -> Controller {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let settings = RunSettings {
            namespace: self.own.clone(),
            identity: told.identity,
            elect: told.elect,
            discovery: told.discovery,
            listen: address.clone(),
            decision_log: told.decision_log,
            extender: told.extender,
            actuation: told.actuation,
            past: told.past,
            signals: told.signals,
            clock: self.clock,
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = runtime.spawn(async move {
            let management = Client::try_from(config).unwrap();
            let api = client::discover(&management, client::CLUSTER_API).await.unwrap();
            let is_one = workload.is_none();
            let workload =
                workload.map_or_else(|| management.clone(), |one| Client::try_from(one).unwrap());
            let clients = Clients { workload, management, is_one };
            run::run(Clusters { clients, api }, settings, stopped).await
        });
        Controller { stop, task, address, runtime }
    }

    pub(crate) fn pools(&self) -> Api<GpuPool> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn objects(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    /// A MachineDeployment of 8-GPU nodes.
    pub(crate) async fn deployment(&self, name: &str, limits: (u32, u32)) {
        let body = fleet::jobs::gpu_deployment(&self.namespace, name, 8, limits);
        create(&self.client, &objects::deployments(), &self.namespace, body).await;
    }

    /// A pool in this mode, with lead times as the fleet has them.
    pub(crate) async fn pool(&self, name: &str, mode: Mode) {
        let mut spec = GpuPoolSpec { mode, ..GpuPoolSpec::defaults() };
        spec.lead_time.provisioning = Some("2s".to_owned());
        spec.lead_time.warm_up = Some("2s".to_owned());
        self.pool_with(name, spec).await;
    }

    /// A pool in this mode of a stage that was set up by [`Setup::fast`]. Its idle nodes go after ten minutes:
    /// what a pool learns of its own would make tests long.
    pub(crate) async fn fast_pool(&self, name: &str, mode: Mode, actuation: Actuation) {
        let strategy = "reactive,10m".to_owned();
        let mut spec = GpuPoolSpec { mode, actuation, strategy, ..GpuPoolSpec::defaults() };
        spec.lead_time.provisioning = Some("90s".to_owned());
        spec.lead_time.warm_up = Some("90s".to_owned());
        self.pool_with(name, spec).await;
    }

    pub(crate) async fn pool_with(&self, name: &str, spec: GpuPoolSpec) {
        self.pools().create(&PostParams::default(), &GpuPool::new(name, spec)).await.unwrap();
    }

    pub(crate) async fn set_mode(&self, name: &str, mode: Mode) {
        let body = json!({ "spec": { "mode": mode } });
        self.pools().patch(name, &PatchParams::default(), &Patch::Merge(body)).await.unwrap();
    }

    pub(crate) async fn pod(&self, name: &str, gpus: u32, seconds: Option<f64>) {
        let body = fleet::jobs::gpu_pod(&self.namespace, name, gpus, seconds);
        create(&self.client, &objects::pods(), &self.namespace, body).await;
    }

    pub(crate) async fn annotate(&self, deployment: &str, annotations: Value) {
        let body = json!({ "metadata": { "annotations": annotations } });
        let api = self.objects(&objects::deployments());
        api.patch(deployment, &PatchParams::default(), &Patch::Merge(body)).await.unwrap();
    }

    /// The kill switch: a ConfigMap of the controller's namespace.
    pub(crate) async fn switch(&self, mode: &str) {
        let name = prewarm::live::watched::SWITCH;
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": self.own }, "data": { "mode": mode },
        });
        create(&self.client, &core("ConfigMap", "configmaps"), &self.own, map).await;
    }

    /// How many pods `train-0`, `train-1`, ... of so many run.
    pub(crate) async fn running(&self, pods: usize) -> usize {
        let mut running = 0;
        for number in 0..pods {
            running += usize::from(self.phase(&format!("train-{number}")).await == "Running");
        }
        running
    }

    /// Pods `train-0`, `train-1`, ... of eight GPUs each.
    pub(crate) async fn pods(&self, pods: usize, seconds: Option<f64>) {
        for number in 0..pods {
            self.pod(&format!("train-{number}"), 8, seconds).await;
        }
    }

    pub(crate) async fn replicas(&self, deployment: &str) -> u64 {
        let found = self.objects(&objects::deployments()).get(deployment).await.unwrap();
        found.data["spec"]["replicas"].as_u64().unwrap_or_default()
    }

    pub(crate) async fn status(&self, pool: &str) -> Option<GpuPoolStatus> {
        self.pools().get_opt(pool).await.unwrap().and_then(|pool| pool.status)
    }

    /// A condition of a pool: status and reason.
    pub(crate) async fn condition(&self, pool: &str, kind: &str) -> Option<(String, String)> {
        let status = self.status(pool).await?;
        let found = status.conditions.into_iter().find(|condition| condition.kind == kind)?;
        Some((found.status, found.reason))
    }

    pub(crate) async fn phase(&self, pod: &str) -> String {
        let found = self.objects(&objects::pods()).get_opt(pod).await.unwrap();
        let phase = found.and_then(|pod| pod.data["status"]["phase"].as_str().map(str::to_owned));
        phase.unwrap_or_else(|| "gone".to_owned())
    }

    pub(crate) async fn nodes(&self) -> Vec<DynamicObject> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &objects::nodes());
        let key = format!("{}/", self.namespace);
        let mut nodes = api.list(&ListParams::default()).await.unwrap().items;
        nodes.retain(|node| {
            objects::annotation(node, "fleet.prewarm.dev/machine")
                .is_some_and(|machine| machine.starts_with(&key))
        });
        nodes
    }

    /// Removes everything the stage made.
    pub(crate) async fn end(self) {
        self.fleet.stop().await;
        if let Some(api) = self.api {
            return api.shutdown().await.unwrap();
        }
        clean_up(&self.client).await;
        let definitions: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &crds::definitions());
        for name in &self.installed {
            gone(&definitions, name).await;
        }
        drop(self.turn);
    }
}

/// Removes the nodes, namespaces and all that is in them of every stage that ever was on a cluster.
async fn clean_up(client: &Client) {
    let all = |resource: &ApiResource| Api::<DynamicObject>::all_with(client.clone(), resource);
    let nodes = all(&objects::nodes());
    for node in nodes.list(&ListParams::default()).await.unwrap() {
        let machine = objects::annotation(&node, "fleet.prewarm.dev/machine");
        if machine.is_some_and(|machine| machine.starts_with(PREFIX)) {
            gone(&nodes, objects::name(&node)).await;
        }
    }
    let namespaces = all(&core("Namespace", "namespaces"));
    for namespace in namespaces.list(&ListParams::default()).await.unwrap() {
        let name = objects::name(&namespace);
        if !name.starts_with(PREFIX) {
            continue;
        }
        // No kubelet would confirm that they ended.
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let pods: Api<DynamicObject> = Api::namespaced_with(client.clone(), name, &objects::pods());
        pods.delete_collection(&at_once, &ListParams::default()).await.unwrap();
        gone(&namespaces, name).await;
    }
}

/// Deletes it and waits until it is gone.
async fn gone(api: &Api<DynamicObject>, name: &str) {
    api.delete(name, &DeleteParams::default()).await.ok();
    until(&format!("{name} is gone"), 60, || async { api.get_opt(name).await.unwrap().is_none() })
        .await;
}

impl Controller {
    /// As SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.runtime.shutdown_background();
    }

    /// As `kill -9` does: nothing more is written.
    pub(crate) fn kill(self) {
        self.runtime.shutdown_background();
    }

    /// HTTP status and body; 0 while nobody listens.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let (address, path) = (self.address.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || http_get(&address, &path)).await.unwrap()
    }
}

pub(crate) fn http_get(address: &str, path: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else {
        return (0, String::new());
    };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let code = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    (code, body)
}

pub(crate) fn core(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&kube::core::GroupVersionKind::gvk("", "v1", kind), plural)
}

pub(crate) async fn create(client: &Client, resource: &ApiResource, namespace: &str, body: Value) {
    let object: DynamicObject = serde_json::from_value(body).unwrap();
    let api: Api<DynamicObject> = if namespace.is_empty() {
        Api::all_with(client.clone(), resource)
    } else {
        Api::namespaced_with(client.clone(), namespace, resource)
    };
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// Our CRD, and Cluster API's where they are absent.
async fn install(client: &Client) -> Vec<String> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &crds::definitions());
    let ours = serde_json::to_value(<GpuPool as kube::CustomResourceExt>::crd()).unwrap();
    let mut installed = Vec::new();
    for definition in crds::cluster_api().into_iter().chain([ours]) {
        let object: DynamicObject = serde_json::from_value(definition).unwrap();
        let name = objects::name(&object).to_owned();
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => installed.push(name.clone()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{name}: {error}"),
        }
        until("the definition is served", 10, || async {
            let found = api.get(&name).await.unwrap();
            objects::condition(&found, "Established").is_some_and(|(status, _)| status == "True")
        })
        .await;
    }
    installed
}

/// Waits until `is_so`, at most so many seconds.
pub(crate) async fn until<F: Future<Output = bool>>(
    what: &str,
    seconds: u64,
    mut is_so: impl FnMut() -> F,
) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(
            begun.elapsed() < Duration::from_secs(seconds),
            "after {seconds} s still not: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes sure that `is_so` stays true for so many seconds.
pub(crate) async fn stays<F: Future<Output = bool>>(
    what: &str,
    seconds: u64,
    mut is_so: impl FnMut() -> F,
) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        assert!(is_so().await, "after {:?} no longer: {what}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

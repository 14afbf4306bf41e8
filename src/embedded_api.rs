//! A Kubernetes API in this process: an emulation of kube-apiserver for end-to-end tests and demonstrations.
//!
//! It speaks HTTP/1.1 on a loopback port, so that the `kube` crate, kubectl and the controller itself talk to
//! it as they do to a cluster. It was built after recorded conversations with kube-apiserver 1.36.2 and answers
//! in its words; `tests/embedded_api_recordings.rs` replays them. Nothing in it reads the system clock: time
//! comes in as a function, so that a test can run in fast motion. [`Faults`] makes it fail on order.
//!
//! | part | modules |
//! |---|---|
//! | what is stored | `store`, `history`, `resources`, `object`, `event_form` |
//! | requests | `http`, `request`, `auth`, `review`, `selectors`, `status`, `faults` |
//! | reading | `read`, `watch`, `view`, `table`, `discovery`, `openapi` |
//! | writing | `write`, `create`, `replace`, `delete`, `scale`, `pods`, `builtin`, `patch` |
//! | custom resources | `crd` |
//!
//! Not there: admission webhooks, conversion webhooks, disruption budgets, garbage collection of dependants,
//! validation of built-in kinds beyond a few rules, protobuf (which kubectl sends where it makes the object
//! itself, as in `create namespace`; `create -f` works).

mod auth;
mod builtin;
mod crd;
mod create;
mod delete;
mod discovery;
mod event_form;
mod faults;
mod history;
mod http;
mod object;
mod openapi;
mod patch;
mod pods;
mod read;
mod replace;
mod request;
mod resources;
mod review;
mod scale;
mod selectors;
mod status;
mod store;
mod table;
mod view;
mod watch;
mod write;

pub use auth::{Denied, Place};
pub use faults::{Faults, Verdict, WriteInfo};

use auth::Auth;
use axum::Router;
use http::Reply;
use jiff::Timestamp;
use resources::Registry;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::Store;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Tells what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How an API is set up.
#[derive(Clone)]
pub struct Options {
    /// User names by bearer token. Without any, everyone is `admin`.
    pub tokens: BTreeMap<String, String>,
    /// What users may not do, by user name.
    pub denied: BTreeMap<String, Vec<Denied>>,
    /// The time of creation stamps, ages and the log of writes.
    pub clock: Clock,
    /// Changes kept for watches, for each kind of object.
    pub history: usize,
    /// A deleted pod on a node stays, marked, until it is deleted with a grace period of 0 (as a kubelet does).
    /// Otherwise it goes at once.
    pub graceful_pods: bool,
}

impl Options {
    /// No tokens, nothing denied, 10,000 changes kept, pods go at once.
    pub fn new(clock: Clock) -> Self {
        let (tokens, denied) = (BTreeMap::new(), BTreeMap::new());
        Self { tokens, denied, clock, history: 10_000, graceful_pods: false }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Options").field("history", &self.history).finish_non_exhaustive()
    }
}

/// What changes: objects and the resources that CRDs add.
#[derive(Debug)]
pub(crate) struct State {
    store: Store,
    registry: Registry,
}

/// What the requests share.
pub(crate) struct Api {
    state: Arc<Mutex<State>>,
    auth: Auth,
    faults: Faults,
    clock: Clock,
    graceful_pods: bool,
    /// Ends watches and the server.
    stop: CancellationToken,
}

impl Api {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Locks, also after a panic elsewhere: every change is made in one step.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running API.
pub struct EmbeddedApi {
    api: Arc<Api>,
    address: SocketAddr,
    server: JoinHandle<io::Result<()>>,
}

impl fmt::Debug for EmbeddedApi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddedApi")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl EmbeddedApi {
    /// Starts an API on a free loopback port; it runs on the tokio runtime of the caller. The usual namespaces
    /// are there.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let store = Store::new(options.history);
        let state = Arc::new(Mutex::new(State { store, registry: Registry::with_built_ins() }));
        let api = Arc::new(Api {
            faults: Faults::new(Arc::clone(&state)),
            state,
            auth: Auth { tokens: options.tokens, denied: options.denied },
            clock: options.clock,
            graceful_pods: options.graceful_pods,
            stop: CancellationToken::new(),
        });
        add_usual_namespaces(&api);
        let router = Router::new().fallback(http::serve).with_state(Arc::clone(&api));
        let stop = api.stop.clone();
        let server = tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
        });
        Ok(Self { api, address, server })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig (YAML) for this API with a bearer token, empty for none.
    pub fn kubeconfig(&self, token: &str) -> String {
        // JSON is YAML, and quotes whatever the token holds.
        let user = if token.is_empty() { json!({}) } else { json!({"token": token}) };
        let url = self.url();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: embedded\nclusters:\n- name: embedded\n  \
             cluster:\n    server: {url}\ncontexts:\n- name: embedded\n  context:\n    cluster: embedded\n    \
             user: embedded\n    namespace: default\nusers:\n- name: embedded\n  user: {user}\n"
        )
    }

    /// Puts objects straight into the store, for clusters too large to be made by requests. Each names its
    /// `apiVersion` (the stored one) and `kind`; defaults are set, nothing is checked, and no write is recorded.
    ///
    /// # Errors
    /// The first object of an unknown kind, as text; those before it are stored.
    pub fn seed(&self, objects: impl IntoIterator<Item = Value>) -> Result<(), String> {
        let mut state = lock(&self.api.state);
        for mut object in objects {
            let known = state.registry.of_kind(&object["apiVersion"], &object["kind"]);
            let resource = known.ok_or_else(|| object.to_string())?;
            builtin::set_defaults(&resource, &mut object);
            let uid = state.store.new_uid();
            object::set_meta(&mut object, "uid", uid.into());
            object::set_meta(&mut object, "creationTimestamp", object::time(self.api.now()).into());
            if resource.namespaced && object::meta(&object, "namespace").is_empty() {
                object::set_meta(&mut object, "namespace", "default".into());
            }
            let fields = resource.fields(&object);
            state.store.put(&resource.table, object::key(&object), &mut object, fields);
        }
        Ok(())
    }

    /// The handle on faults and on the log of writes.
    pub fn faults(&self) -> Faults {
        self.api.faults.clone()
    }

    /// Ends all watches and connections, and waits until the port is closed.
    ///
    /// # Errors
    /// If the server had failed.
    pub async fn shutdown(self) -> io::Result<()> {
        self.api.stop.cancel();
        self.server.await.map_err(io::Error::other)?
    }
}

fn add_usual_namespaces(api: &Api) {
    let mut state = lock(&api.state);
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        let uid = state.store.new_uid();
        let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "uid": uid, "creationTimestamp": object::time(api.now()),
                "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        let fields = [("status.phase".to_owned(), "Active".to_owned())].into();
        let key = (String::new(), name.to_owned());
        state.store.put("namespaces", key, &mut namespace, fields);
    }
}

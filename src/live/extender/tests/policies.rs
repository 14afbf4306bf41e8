//! The policy file changes under an extender at work, as a mounted ConfigMap does: the file is a link to `..data/`,
//! `..data` a link to a folder, and a change is another target of that link.

use super::*;
use crate::{
    extender::MAX_SCORE,
    live::{
        extender::{
            feed::{KINDS, Prospects},
            keep::{self, Extender, Footing},
        },
        index::Event,
        vitals::Vitals,
        watch::Watches,
    },
    model::object::Pod,
};
use std::{fs, os::unix::fs::symlink, path::Path, time::Instant};
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

/// What a kubelet makes of a ConfigMap. `round` must be another each time.
fn mount(folder: &Path, round: u32, text: &str) {
    let data = folder.join(format!("..{round}"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("policy.yaml"), text).unwrap();
    let (link, new) = (folder.join("..data"), folder.join("..data_tmp"));
    symlink(format!("..{round}"), &new).unwrap();
    fs::rename(&new, &link).unwrap();
    let file = folder.join("policy.yaml");
    if !file.is_symlink() {
        symlink("..data/policy.yaml", &file).unwrap();
    }
    if round > 0 {
        fs::remove_dir_all(folder.join(format!("..{}", round - 1))).unwrap();
    }
}

/// An extender at work, and what it is asked.
struct Bench {
    extender: Extender,
    address: String,
    meters: Meters,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
    /// A test that fails ends as well.
    _guard: DropGuard,
}

impl Bench {
    async fn start(policy: PolicySource) -> Self {
        let (events, receiver) = mpsc::channel(100);
        let (clock, meters) = (Clock::system(), Meters::default());
        let footing = Footing {
            events: receiver,
            watches: Watches::default(),
            meters: meters.clone(),
            found: None,
            vitals: Arc::new(Vitals::new(clock)),
            clock,
        };
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let settings = ExtenderSettings {
            listen: address.clone(),
            policy,
            tls: None,
            look_every: Duration::from_millis(10),
            limits: Settings::default(),
        };
        let stop = CancellationToken::new();
        let extender = keep::start(settings, footing, stop.clone()).await.unwrap();
        let guard = stop.clone().drop_guard();
        Self { extender, address, meters, events, stop, _guard: guard }
    }

    async fn tell(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.events.send(event).await.unwrap();
        }
    }

    /// Nodes of this name with these labels and condition, pods with so many GPUs on them.
    async fn fill(&self, nodes: &[Value], pods: &[(&str, u64)]) {
        self.tell(KINDS.map(Event::Restarted)).await;
        for node in nodes {
            let object = serde_json::from_value(node.clone()).unwrap();
            let node = Node::facts(object, &CapiKeys::default());
            self.tell([Event::Node(Box::new(node))]).await;
        }
        for (nth, (node, gpus)) in pods.iter().enumerate() {
            let mut pod = Pod { node: Some((*node).into()), ..Pod::default() };
            pod.meta.name = format!("pod-{nth}");
            pod.meta.namespace = "ml".into();
            pod.requests.extended.insert("nvidia.com/gpu".into(), *gpus);
            self.tell([Event::Pod(Box::new(pod))]).await;
        }
        self.tell(KINDS.map(Event::Synced)).await;
    }

    async fn ask(&self, verb: &str, pod: &Value, names: &[&str]) -> Value {
        let body = json!({"Pod": pod, "Nodes": null, "NodeNames": names}).to_string();
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        let (_, answer) = request(&mut socket, &format!("POST /v1/{verb}"), &body).await;
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    /// Why the pod is refused by `gpu-0`; `""` = it is not.
    async fn refusal(&self, pod: &Value) -> String {
        let told = self.ask("filter", pod, &["gpu-0"]).await;
        told["FailedAndUnresolvableNodes"]["gpu-0"].as_str().unwrap_or_default().to_owned()
    }

    async fn becomes(&self, pod: &Value, refusal: &str) {
        let begun = Instant::now();
        while self.refusal(pod).await != refusal {
            assert!(begun.elapsed() < Duration::from_secs(10), "{}", self.refusal(pod).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        for task in self.extender.tasks {
            task.await.unwrap();
        }
    }
}

fn labelled(name: &str, condition: &str) -> Value {
    let mut node = node(name, &json!({}));
    let told = |kind: &str| json!({"type": kind, "status": "True"});
    node["status"]["conditions"] = json!([told("Ready"), told(condition)]);
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_policy_is_used_at_once_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    let mut round = 0;
    let mut mount = |text: &str| {
        mount(folder.path(), round, text);
        round += 1;
    };
    mount("refuseSquatters: true");
    let bench = Bench::start(PolicySource::read(&path).unwrap()).await;
    bench.fill(&[labelled("gpu-0", "XidStorm")], &[]).await;
    let mut squatter = pod();
    squatter["spec"]["containers"] = json!([{}]);
    bench.becomes(&squatter, "pod requests no GPU").await;

    mount("refuseSquatters: false");
    bench.becomes(&squatter, "").await;

    // Bad ones change nothing, are counted once, and are tried again.
    for (nth, bad) in ["refuseSquatters: perhaps", "refuseSquaters: true", "["].iter().enumerate() {
        mount(bad);
        let begun = Instant::now();
        while bench.meters.policies("refused") <= nth as u64 {
            assert!(begun.elapsed() < Duration::from_secs(10), "{bad}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((bench.meters.policies("used"), bench.meters.policies("refused")), (1, 3));
    assert_eq!(bench.refusal(&squatter).await, "");

    // The condition is of no policy before, and nothing on the Node has changed since.
    mount("refuseSquatters: false\nunhealthyConditions: [XidStorm]");
    bench.becomes(&squatter, "GPU unhealthy").await;
    mount("{}");
    bench.becomes(&pod(), "").await;
    assert_eq!(bench.refusal(&squatter).await, "pod requests no GPU");
    mount("exemptNamespaces: [ml]\nunhealthyConditions: [XidStorm]");
    bench.becomes(&squatter, "").await;
    assert_eq!(bench.meters.policies("used"), 4);
    bench.end().await;
}

/// Of two nodes the one with three GPUs free is the fuller, but a job of 3 to come could use it; the one with five has
/// one to spare. A job of one GPU goes to the latter, unless nodes come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_come_and_go_are_filled_up_as_soon_as_anybody_says_so() {
    let folder = tempfile::tempdir().unwrap();
    mount(folder.path(), 0, "prices: {A: 2}");
    let source = PolicySource::read(&folder.path().join("policy.yaml")).unwrap();
    let bench = Bench::start(source).await;
    let nodes = ["gpu-0", "gpu-1"].map(|name| node(name, &json!({})));
    let pods = [("gpu-0", 3), ("gpu-0", 2), ("gpu-1", 3)];
    bench.fill(&nodes, &pods).await;
    let first = async |name: &str| {
        let begun = Instant::now();
        loop {
            let told = bench.ask("prioritize", &pod(), &["gpu-0", "gpu-1"]).await;
            let best = |one: &&Value| one["Score"] == json!(MAX_SCORE);
            let scores = told.as_array().cloned().unwrap_or_default();
            let best: Vec<&Value> = scores.iter().filter(best).map(|one| &one["Host"]).collect();
            if best == [&json!(name)] {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{name}: {told}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    first("gpu-1").await;
    let elastic = ["gpu-0".to_owned(), "gpu-1".to_owned()].into();
    bench.extender.prospects.send_replace(Prospects { elastic, ..Prospects::default() });
    first("gpu-0").await;
    mount(folder.path(), 1, "elastic: false");
    first("gpu-1").await;
    mount(folder.path(), 2, "elastic: true");
    bench.extender.prospects.send_replace(Prospects::default());
    first("gpu-0").await;
    bench.end().await;
}

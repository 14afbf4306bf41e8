//! Replays recorded conversations with kube-apiserver 1.36.2 against the embedded API and compares the answers.
//!
//! The recordings lie in the folder that `PREWARM_FIXTURES` names (default `../shared/fixtures`); without them
//! nothing is tested. Between recorded requests the recorder did things of its own, which `hidden` repeats.
#![cfg(feature = "embedded")]
#![allow(clippy::print_stdout, reason = "a skipped test says so, a measurement is shown")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "the place of the recordings comes from the environment"
)]

#[path = "support/api.rs"]
mod support;

use prewarm::embedded_api::{Denied, EmbeddedApi, Faults, Place};
use regex::Regex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};
use support::{Answer, machine_deployment_crd, options, send};

/// Exchanges that are not emulated, and why.
const EXEMPT: &[(&str, &[usize], &str)] = &[
    ("09", &[1], "429 right after the creation of a CRD: it is served at once here"),
    ("13", &[5, 6], "disruption budgets are not looked at"),
    ("14", &[4], "429 after a restart of the server: there is no restart here"),
    ("15", &[12, 13], "they name rules of RBAC; here denials are a list"),
    ("17", &[1, 13, 14], "addresses, parts and hashes of the real server"),
    ("19", &[0, 1], "no ETag of discovery"),
    ("21", &[1], "the document of OpenAPI v2 is empty here"),
];

const ADMIN: &str = "token-of-admin";
const LIMITED: &str = "token-of-limited";
const PODS: &str = "/api/v1/namespaces/demo/pods";
const DEPLOYMENTS: &str = "/apis/cluster.x-k8s.io/v1beta2/namespaces/demo/machinedeployments";
const POOLS: &str = "/apis/prewarm.io/v1alpha1/namespaces/demo/gpupools";

struct Player {
    url: String,
    faults: Faults,
    fixtures: PathBuf,
    /// Recorded uids, generated names, tokens and revisions with what they are here.
    learned: BTreeMap<String, String>,
    /// `managedFields` have to be alike too.
    with_managers: bool,
    passed: usize,
    exempt: usize,
    failed: Vec<String>,
}

impl Player {
    fn file(&self, number: &str) -> Vec<Value> {
        let folder = fs::read_dir(&self.fixtures).unwrap().map(|entry| entry.unwrap().path());
        let file = folder.into_iter().find(|path| {
            path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{number}-"))
        });
        serde_json::from_slice(&fs::read(file.unwrap()).unwrap()).unwrap()
    }

    async fn hidden(&self, method: &str, path: &str, body: &Value) -> Value {
        let kind = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let token = format!("Bearer {ADMIN}");
        let headers =
            [("Authorization", token.as_str()), ("Content-Type", kind), ("User-Agent", "hidden/1")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = send(&self.url, method, path, &headers, &body).await;
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.json());
        answer.json()
    }

    /// What is here called what was called `recorded`.
    fn translated(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (recorded, here) in &self.learned {
            if recorded.len() >= 5 {
                text = text.replace(recorded.as_str(), here);
            } else {
                for (before, after) in [
                    ("\"resourceVersion\":\"", "\""),
                    ("resourceVersion=", "&"),
                    ("resourceVersion=", " "),
                ] {
                    let (from, to) =
                        (format!("{before}{recorded}{after}"), format!("{before}{here}{after}"));
                    text = text.replace(&from, &to);
                }
            }
        }
        text
    }

    fn learn(&mut self, recorded: &Value, here: &Value) {
        match (recorded, here) {
            (Value::Object(a), Value::Object(b)) => {
                for (key, value) in a {
                    let Some(other) = b.get(key) else { continue };
                    let is_name = key == "name" && a.contains_key("generateName");
                    if (is_name || matches!(key.as_str(), "uid" | "resourceVersion" | "continue"))
                        && let (Some(from), Some(to)) = (value.as_str(), other.as_str())
                    {
                        self.learned.insert(from.to_owned(), to.to_owned());
                    }
                    self.learn(value, other);
                }
            }
            (Value::Array(a), Value::Array(b)) => {
                a.iter().zip(b).for_each(|(a, b)| self.learn(a, b));
            }
            _ => {}
        }
    }

    async fn ask(&self, exchange: &Value) -> Answer {
        let request = &exchange["request"];
        let line = self.translated(request["line"].as_str().unwrap());
        let mut parts = line.split(' ');
        let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
        let body = match &request["body"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            body => self.translated(&body.to_string()),
        };
        let token = match exchange["user"].as_str() {
            Some("admin") => format!("Bearer {ADMIN}"),
            Some("limited") => format!("Bearer {LIMITED}"),
            _ => String::new(),
        };
        let recorded = request["headers"].as_object().unwrap();
        let wanted =
            |name: &&String| !matches!(name.as_str(), "Host" | "Connection" | "Content-Length");
        let names = recorded.keys().filter(wanted);
        let mut headers: Vec<_> =
            names.map(|name| (name.as_str(), recorded[name].as_str().unwrap())).collect();
        if !token.is_empty() {
            headers.push(("Authorization", &token));
        }
        send(&self.url, method, path, &headers, &body).await
    }

    /// Replays exchanges of a file; all that are not named in `EXEMPT` have to come out alike.
    async fn play(&mut self, number: &str, which: impl IntoIterator<Item = usize>) {
        let exchanges = self.file(number);
        for at in which {
            let Some(exchange) = exchanges.get(at) else { continue };
            if EXEMPT.iter().any(|(file, all, _)| *file == number && all.contains(&at)) {
                self.exempt += 1;
                continue;
            }
            let answer = self.ask(exchange).await;
            self.judge(number, at, exchange, &answer);
        }
    }

    fn judge(&mut self, number: &str, at: usize, exchange: &Value, answer: &Answer) {
        let response = &exchange["response"];
        let mut wrong = Vec::new();
        if response["status"] != answer.status {
            wrong.push(format!("status {} instead of {}", answer.status, response["status"]));
        }
        for name in ["Warning", "Retry-After", "Content-Type"] {
            let (expected, found) =
                (response["headers"][name].as_str(), answer.headers.get(&name.to_lowercase()));
            let is_missed = expected.is_some() && expected != found.map(String::as_str);
            if is_missed {
                wrong.push(format!("{name} {found:?} instead of {expected:?}"));
            }
        }
        let stream = response["stream"].as_array().into_iter().flatten();
        let mut recorded_lines: Vec<_> = stream.map(|line| line["event"].clone()).collect();
        if let Some(lines) = response["body"].as_str().filter(|text| text.starts_with("{\"type\""))
        {
            recorded_lines =
                lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        if !recorded_lines.is_empty() {
            self.compare_lines(&recorded_lines, &answer.lines(), &mut wrong);
        } else if response["body"].is_object() {
            let body = answer.json();
            self.learn(&response["body"], &body);
            difference(
                &self.comparable(&response["body"]),
                &self.comparable(&body),
                "",
                &mut wrong,
            );
        } else if let Some(text) = response["body"].as_str()
            && text.trim() != String::from_utf8_lossy(&answer.body).trim()
        {
            wrong.push(format!("text {:?}", String::from_utf8_lossy(&answer.body)));
        }
        self.count(number, at, &wrong);
    }

    fn count(&mut self, number: &str, at: usize, wrong: &[String]) {
        if wrong.is_empty() {
            self.passed += 1;
        } else {
            let title = self.file(number)[at]["title"].as_str().unwrap_or_default().to_owned();
            self.failed.push(format!("{number}[{at}] {title}\n    {}", wrong.join("\n    ")));
        }
    }

    /// Types and names of events; bookmarks count only where they end the initial events.
    fn compare_lines(&mut self, recorded: &[Value], here: &[Value], wrong: &mut Vec<String>) {
        let kept = |lines: &[Value]| -> Vec<Value> {
            let is_kept = |line: &&Value| {
                line["type"] != "BOOKMARK" || !line["object"]["metadata"]["annotations"].is_null()
            };
            lines.iter().filter(is_kept).cloned().collect()
        };
        let (recorded, here) = (kept(recorded), kept(here));
        self.learn(&json!(recorded), &json!(here));
        let (a, b) = (self.comparable(&json!(recorded)), self.comparable(&json!(here)));
        difference(&a, &b, "", wrong);
    }

    /// A value without what differs from run to run.
    fn comparable(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                const CHANGING: [&str; 9] = [
                    "uid",
                    "resourceVersion",
                    "creationTimestamp",
                    "deletionTimestamp",
                    "continue",
                    "lastTransitionTime",
                    "time",
                    "description",
                    "storageVersionHash",
                ];
                let kept = map.iter().filter(|(key, value)| {
                    let is_generated = *key == "name" && map.contains_key("generateName");
                    let is_left_out = *key == "managedFields" && !self.with_managers;
                    !(is_generated
                        || is_left_out
                        || value.is_null()
                        || CHANGING.contains(&key.as_str()))
                });
                Value::Object(
                    kept.map(|(key, value)| (key.clone(), self.comparable(value))).collect(),
                )
            }
            Value::Array(items) => items.iter().map(|item| self.comparable(item)).collect(),
            Value::String(text) => plain(&self.translated(text)).into(),
            other => other.clone(),
        }
    }
}

/// A message without revisions, generated names, objects and differences that Go prints.
fn plain(text: &str) -> String {
    let rules = [
        (r"\(\d+\)", "(N)"),
        (r"^\d+s$", "Ns"),
        (r"current: \d+", "current: N"),
        (r"l-0([-.])[a-z0-9]{5}", "l-0${1}xxxxx"),
        (r#"Invalid value: "\{.*\}": "#, "Invalid value: {} "),
        (r"(?s)previously negative\).*", "previously negative)"),
    ];
    rules.iter().fold(text.to_owned(), |text, (pattern, by)| {
        Regex::new(pattern).unwrap().replace_all(&text, *by).into_owned()
    })
}

fn difference(recorded: &Value, here: &Value, path: &str, wrong: &mut Vec<String>) {
    match (recorded, here) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let path = format!("{path}.{key}");
                difference(
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    &path,
                    wrong,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                difference(a, b, &format!("{path}[{at}]"), wrong);
            }
        }
        (a, b) if a != b => {
            let short = |value: &Value| value.to_string().chars().take(400).collect::<String>();
            wrong.push(format!("{path}: {} instead of {}", short(b), short(a)));
        }
        _ => {}
    }
}

fn pod(name: &str, labels: &Value, more: &Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "containers": [{"name": "main", "image": "registry.example/train:1", "resources": {
                "requests": {"cpu": "8", "memory": "32Gi"}, "limits": {"nvidia.com/gpu": "1"}}}]}});
    json_patch::merge(&mut pod, more);
    pod
}

/// What the scheduler of the recorded cluster said about every pod.
fn unschedulable() -> Value {
    json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "observedGeneration": 1, "message": "no nodes available to schedule pods", "lastProbeTime": null,
        "lastTransitionTime": "2026-11-21T07:07:30Z"}]}})
}

async fn started() -> EmbeddedApi {
    let mut options = options();
    options.tokens = [(ADMIN, "admin"), (LIMITED, "prewarm-limited")]
        .map(|(token, user)| (token.to_owned(), user.to_owned()))
        .into();
    let mut denied: Vec<_> =
        ["nodes", "pods", "configmaps", "namespaces"].map(|all| Denied::new("*", all)).into();
    denied.push(Denied::new("patch", "machinedeployments/scale"));
    denied.push(Denied::new("get", "machinedeployments/scale").at(Place::Name("other".to_owned())));
    denied.push(Denied::new("list", "machinedeployments").at(Place::ClusterScope));
    options.denied = [("prewarm-limited".to_owned(), denied)].into();
    options.graceful_pods = true;
    EmbeddedApi::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_exchanges_come_out_alike() {
    let folder = std::env::var("PREWARM_FIXTURES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures").to_owned());
    let fixtures = PathBuf::from(folder).join("apiserver");
    if !fixtures.is_dir() {
        println!("skipped: no recordings (set PREWARM_FIXTURES)");
        return;
    }
    let api = started().await;
    let (url, faults) = (api.url(), api.faults());
    let learned = BTreeMap::new();
    let mut player = Player {
        url,
        faults,
        fixtures,
        learned,
        with_managers: false,
        passed: 0,
        exempt: 0,
        failed: Vec::new(),
    };
    objects(&mut player).await;
    watches(&mut player).await;
    changes(&mut player).await;
    custom(&mut player).await;
    small_kinds(&mut player).await;
    refusals(&mut player).await;
    about_the_server(&mut player).await;
    let recorded: usize = (1..=22).map(|number| player.file(&format!("{number:02}")).len()).sum();
    let looked_at = player.passed + player.exempt + player.failed.len();
    assert_eq!(looked_at, recorded, "exchanges that were left out without a reason");
    println!("{} exchanges alike, {} exempt", player.passed, player.exempt);
    assert!(
        player.failed.is_empty(),
        "{} differ:\n{}",
        player.failed.len(),
        player.failed.join("\n")
    );
    api.shutdown().await.unwrap();
}

async fn objects(player: &mut Player) {
    let mut machines = machine_deployment_crd();
    let without_scale = json!({"metadata": {"name": "machines.cluster.x-k8s.io"}, "spec": {
        "names": {"kind": "Machine", "plural": "machines", "singular": "machine", "shortNames": ["ma"]}}});
    json_patch::merge(&mut machines, &without_scale);
    for version in machines["spec"]["versions"].as_array_mut().unwrap() {
        version["subresources"].as_object_mut().unwrap().remove("scale");
    }
    for crd in [machine_deployment_crd(), machines] {
        player
            .hidden("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd)
            .await;
    }
    let namespace = json!({"metadata": {"name": "demo"}});
    player.hidden("POST", "/api/v1/namespaces", &namespace).await;
    player.play("01", 0..2).await;
    player.hidden("PATCH", &format!("{PODS}/crud-0/status"), &unschedulable()).await;
    player.play("01", 2..17).await;
    player
        .hidden("DELETE", &format!("{PODS}?fieldSelector=metadata.name!%3Dx"), &Value::Null)
        .await;
    let named = json!({"metadata": {"generateName": "gen-", "labels": null}});
    player.hidden("POST", PODS, &pod("gen-cg8xp", &Value::Null, &named)).await;
    player.learned.remove("gen-cg8xp");
    player.hidden("PATCH", &format!("{PODS}/gen-cg8xp/status"), &unschedulable()).await;
    for at in 0..7 {
        let team = if at % 2 == 0 { "b" } else { "a" };
        let name = format!("l-{at}");
        player
            .hidden("POST", PODS, &pod(&name, &json!({"app": "train", "team": team}), &json!({})))
            .await;
    }
    for at in 0..6 {
        player.hidden("PATCH", &format!("{PODS}/l-{at}/status"), &unschedulable()).await;
    }
    player.play("02", 0..3).await;
    player.hidden("PATCH", &format!("{PODS}/l-6/status"), &unschedulable()).await;
    player.play("02", 3..11).await;
}

/// Creates, marks and deletes a pod while a watch is open.
async fn life_of_a_pod(player: &Player) {
    tokio::time::sleep(Duration::from_millis(300)).await;
    player.hidden("POST", PODS, &pod("w-0", &json!({"app": "train"}), &json!({}))).await;
    player.hidden("PATCH", &format!("{PODS}/w-0/status"), &unschedulable()).await;
    player
        .hidden("PATCH", &format!("{PODS}/w-0"), &json!({"metadata": {"labels": {"t": "1"}}}))
        .await;
    player.hidden("DELETE", &format!("{PODS}/w-0"), &Value::Null).await;
}

async fn watches(player: &mut Player) {
    let exchanges = player.file("03");
    for at in [0, 1] {
        let (answer, ()) = tokio::join!(player.ask(&exchanges[at]), life_of_a_pod(player));
        let types = |lines: &[Value]| -> Vec<String> {
            let kept = lines.iter().filter(|line| {
                line["type"] != "BOOKMARK" || !line["object"]["metadata"]["annotations"].is_null()
            });
            kept.map(|line| format!("{} {}", line["type"], line["object"]["metadata"]["name"]))
                .collect()
        };
        let recorded = exchanges[at]["response"]["stream"].as_array().unwrap();
        let recorded: Vec<_> = recorded.iter().map(|line| line["event"].clone()).collect();
        let (expected, found) = (types(&recorded), types(&answer.lines()));
        if expected == found && answer.is_complete {
            player.passed += 1;
        } else {
            player.failed.push(format!("03[{at}] {found:?} instead of {expected:?}"));
        }
    }
    player.play("03", 2..6).await;
    let exchanges = player.file("04");
    let list = player.hidden("GET", &format!("{PODS}?limit=1"), &Value::Null).await;
    let now = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    player.learned.insert("293".to_owned(), now);
    let leave_and_enter = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for team in ["b", "a"] {
            let labels = json!({"metadata": {"labels": {"team": team}}});
            player.hidden("PATCH", &format!("{PODS}/l-1"), &labels).await;
        }
    };
    let (answer, ()) = tokio::join!(player.ask(&exchanges[0]), leave_and_enter);
    player.judge("04", 0, &exchanges[0], &answer);
}

async fn changes(player: &mut Player) {
    player
        .hidden("PATCH", &format!("{PODS}/l-0"), &json!({"metadata": {"labels": {"t": "2"}}}))
        .await;
    player.play("05", 0..13).await;
    player.with_managers = true;
    player.play("06", 0..8).await;
    player.with_managers = false;
}

async fn custom(player: &mut Player) {
    player.play("07", 0..24).await;
    player.play("08", 0..6).await;
    player.play("09", 0..16).await;
    let status = json!({"status": {"warm": 2, "cost": "1.20",
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ok"}]}});
    player.hidden("PATCH", &format!("{POOLS}/a100/status"), &status).await;
    player.play("10", 0..8).await;
    for (name, metadata) in [
        ("d1", json!({})),
        ("d2", json!({"finalizers": ["prewarm.io/hold"]})),
        ("d3", json!({"labels": {"z": "1"}})),
    ] {
        let mut pool = json!({"metadata": {"name": name}, "spec": {"targetRef": {"name": "x"}}});
        json_patch::merge(&mut pool["metadata"], &metadata);
        player.hidden("POST", POOLS, &pool).await;
    }
    player.play("22", 0..12).await;
}

async fn small_kinds(player: &mut Player) {
    player.play("11", 0..10).await;
    player.play("12", 0..12).await;
    let b0 = pod("b-0", &json!({"app": "b0"}), &json!({"spec": {"schedulerName": "nobody"}}));
    player.hidden("POST", PODS, &b0).await;
    let gated = json!({"spec": {"schedulingGates": [{"name": "x.io/wait"}]}});
    player.hidden("POST", PODS, &pod("g-0", &json!({}), &gated)).await;
    player.play("13", 0..5).await;
    let running = json!({"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": null},
        {"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-21T07:07:57Z"}]}});
    player.hidden("PATCH", &format!("{PODS}/b-0/status"), &running).await;
    player.play("13", 5..11).await;
}

async fn refusals(player: &mut Player) {
    let first = player.hidden("GET", &format!("{PODS}?limit=2"), &Value::Null).await;
    let here = |field: &str| first["metadata"][field].as_str().unwrap().to_owned();
    player.learned.insert("369".to_owned(), here("resourceVersion"));
    let token = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MzY5LCJzdGFydCI6Ii9nLTBcdTAwMDAifQ";
    player.learned.insert(token.to_owned(), here("continue"));
    player
        .hidden("PATCH", &format!("{PODS}/l-6"), &json!({"metadata": {"labels": {"u": "1"}}}))
        .await;
    player.faults.compact();
    player.play("14", 0..7).await;
    for replicas in [2, 3, 4] {
        let replicas = json!({"spec": {"replicas": replicas}});
        player.hidden("PATCH", &format!("{DEPLOYMENTS}/gpu-a100/scale"), &replicas).await;
    }
    player.play("15", 0..14).await;
    for at in 0..3 {
        player.faults.too_many_requests(1);
        player.play("16", [at]).await;
    }
    player.faults.streaming_lists(false);
    player.play("20", [0]).await;
    player.faults.streaming_lists(true);
}

async fn about_the_server(player: &mut Player) {
    for (number, which) in
        [("17", vec![0, 1, 4, 7, 11, 12, 13, 14, 15]), ("19", vec![0, 1]), ("21", vec![1])]
    {
        player.play(number, which).await;
    }
    // Documents of all that is served: what is served here too has to look alike.
    for (number, at) in
        [("17", 2), ("17", 3), ("17", 5), ("17", 6), ("17", 8), ("17", 9), ("17", 10), ("18", 0)]
    {
        let exchange = player.file(number).swap_remove(at);
        let here = player.ask(&exchange).await.json();
        let mut wrong = Vec::new();
        part_of(
            &player.comparable(&exchange["response"]["body"]),
            &player.comparable(&here),
            "",
            &mut wrong,
        );
        player.count(number, at, &wrong);
    }
    let exchange = player.file("21").swap_remove(0);
    let here = player.ask(&exchange).await.json();
    let mut wrong = Vec::new();
    let schema = |document: &Value| {
        let schema = &document["components"]["schemas"]["io.prewarm.v1alpha1.GpuPool"];
        player.comparable(schema)
    };
    difference(&schema(&exchange["response"]["body"]), &schema(&here), "", &mut wrong);
    player.count("21", 0, &wrong);
}

/// Everything in `here` is in `recorded`; items of lists are found by their name.
fn part_of(recorded: &Value, here: &Value, path: &str, wrong: &mut Vec<String>) {
    let name = |item: &Value| {
        let named = ["name", "resource", "subresource", "version"].iter().map(|key| &item[key]);
        let mut named = named.chain([&item["metadata"]["name"]]).filter(|name| name.is_string());
        named.next().cloned().unwrap_or_default()
    };
    match (recorded, here) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in b {
                part_of(a.get(key).unwrap_or(&Value::Null), value, &format!("{path}.{key}"), wrong);
            }
        }
        (Value::Array(a), Value::Array(b)) if b.iter().all(Value::is_object) => {
            for item in b {
                let found =
                    a.iter().find(|other| name(other) == name(item)).unwrap_or(&Value::Null);
                part_of(found, item, &format!("{path}[{}]", name(item)), wrong);
            }
        }
        (a, b) => difference(a, b, path, wrong),
    }
}

//! Bodies that a real scheduler sent (kube-scheduler 1.36.2), and the ones it could send.

mod certificates;
mod connections;
mod explained;
mod goldens;
mod policies;
mod quiet;

use super::{
    answer::{Unreadable, filter_body, preempt_body, prioritize_body},
    *,
};
use crate::{
    extender::{ExtenderSnapshot, Policy},
    live::{clock::Clock, objects::CapiKeys, objects::Facts, testing::fixture_text},
    model::object::Node,
    time::Timestamp,
};
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

const NOW: Timestamp = Timestamp(1);

fn node(name: &str, labels: &Value) -> Value {
    let amounts = json!({"cpu": "96", "memory": "1152Gi", "nvidia.com/gpu": "8"});
    json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]},
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        },
    })
}

fn broken() -> Value {
    json!({"nvidia.com/gpu-driver-upgrade-state": "drain-required"})
}

fn snapshot(nodes: &[Value]) -> ExtenderSnapshot {
    let mut snapshot = ExtenderSnapshot::new(Policy::default());
    snapshot.is_synced = true;
    for node in nodes {
        let object = serde_json::from_value(node.clone()).unwrap();
        let node = Node::facts(object, &CapiKeys::default());
        snapshot.set_node(&seen(&node, Vec::new(), None));
    }
    snapshot
}

/// `gpu-0` is upgraded, the two others are ready.
fn three() -> ExtenderSnapshot {
    snapshot(&[node("gpu-0", &broken()), node("gpu-1", &json!({})), node("gpu-2", &json!({}))])
}

fn pod() -> Value {
    let amounts = json!({"nvidia.com/gpu": "1"});
    json!({
        "metadata": {"name": "p", "namespace": "ml"},
        "spec": {"containers": [{"resources": {"requests": amounts, "limits": amounts}}]},
    })
}

fn filter(snapshot: &ExtenderSnapshot, body: &Value) -> Value {
    let body = serde_json::to_vec(body).unwrap();
    let answer = filter_body(&body, snapshot, NOW, |_, _, _| {}).unwrap();
    serde_json::from_slice(&answer).unwrap()
}

#[test]
fn recorded_filter_requests_are_answered_in_their_form() {
    for nth in 1..=2 {
        let Some(body) = fixture_text(&format!("extender/ncc-true/v1_filter.{nth}.request.json"))
        else {
            return;
        };
        let answer = filter_body(body.as_bytes(), &three(), NOW, |_, _, _| {}).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let asked: Value = serde_json::from_str(&body).unwrap();
        let asked = asked["NodeNames"].as_array().unwrap();
        let passed: Vec<&Value> = asked.iter().filter(|name| **name != json!("gpu-0")).collect();
        assert_eq!(answer["NodeNames"], json!(passed));
        assert_eq!(answer["Nodes"], Value::Null);
        let failed = json!({"gpu-0": "GPU driver upgrade in progress"});
        let failed = if asked.contains(&json!("gpu-0")) { failed } else { json!({}) };
        assert_eq!(answer["FailedAndUnresolvableNodes"], failed);
        assert_eq!((&answer["FailedNodes"], &answer["Error"]), (&json!({}), &json!("")));
    }
}

#[test]
fn recorded_nodes_come_back_as_they_were_sent() {
    for nth in 1..=2 {
        let Some(body) = fixture_text(&format!("extender/ncc-false/v1_filter.{nth}.request.json"))
        else {
            return;
        };
        let nobody = ExtenderSnapshot::new(Policy::default());
        let answer = filter_body(body.as_bytes(), &nobody, NOW, |_, _, _| {}).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let asked: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["Nodes"]["items"], asked["Nodes"]["items"]);
        assert_eq!(answer["NodeNames"], Value::Null);
        let body = body.replace(
            "\"nvidia.com/gpu.product\":",
            "\"nvidia.com/mig.config.state\":\"failed\",\"x\":",
        );
        let answer = filter_body(body.as_bytes(), &nobody, NOW, |_, _, _| {}).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let failed = answer["FailedAndUnresolvableNodes"].as_object().unwrap().len();
        assert_eq!(failed, asked["Nodes"]["items"].as_array().unwrap().len());
        assert_eq!(answer["Nodes"]["items"], json!([]));
    }
}

#[test]
fn recorded_prioritize_requests_get_whole_numbers() {
    for form in ["ncc-true", "ncc-false"] {
        let Some(body) = fixture_text(&format!("extender/{form}/v1_prioritize.1.request.json"))
        else {
            return;
        };
        let answer = prioritize_body(body.as_bytes(), &three(), NOW).unwrap();
        let scores: Vec<Value> = serde_json::from_slice(&answer).unwrap();
        assert!(!scores.is_empty());
        for score in scores {
            assert!(score["Host"].as_str().unwrap().starts_with("gpu-"));
            assert!(score["Score"].as_u64().unwrap() <= 10);
        }
    }
}

#[test]
fn recorded_preemptions_are_echoed_by_uid() {
    for (form, key) in [("true", "NodeNameToMetaVictims"), ("false", "NodeNameToVictims")] {
        let name = format!("extender/ncc-{form}-preempt/v1_preempt.1.request.json");
        let Some(body) = fixture_text(&name) else { return };
        let asked: Value = serde_json::from_str(&body).unwrap();
        let ready = snapshot(&[
            node("gpu-0", &json!({})),
            node("gpu-1", &json!({})),
            node("gpu-2", &json!({})),
        ]);
        let answer = preempt_body(body.as_bytes(), &ready, NOW).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let victims = asked[key].as_object().unwrap();
        let kept = answer["NodeNameToMetaVictims"].as_object().unwrap();
        assert_eq!(kept.keys().collect::<Vec<_>>(), victims.keys().collect::<Vec<_>>());
        for (name, told) in victims {
            let uid = |pod: &Value| {
                let uid = if form == "true" { &pod["UID"] } else { &pod["metadata"]["uid"] };
                json!({"UID": uid})
            };
            let pods: Vec<Value> = told["Pods"].as_array().unwrap().iter().map(uid).collect();
            assert_eq!(kept[name]["Pods"], json!(pods));
            assert_eq!(kept[name]["NumPDBViolations"], told["NumPDBViolations"]);
        }
    }
}

#[test]
fn victims_on_nodes_that_refuse_anyway_are_spared() {
    let body = json!({"Pod": pod(), "NodeNameToVictims": null, "NodeNameToMetaVictims": {
        "gpu-0": {"Pods": [{"UID": "a"}], "NumPDBViolations": 0},
        "gpu-1": {"Pods": [], "NumPDBViolations": 0},
        "gpu-2": {"Pods": [{"UID": "b"}, {"UID": "c"}], "NumPDBViolations": 1},
        "ghost": {"Pods": null},
        "other": null,
    }});
    let answer = preempt_body(&serde_json::to_vec(&body).unwrap(), &three(), NOW).unwrap();
    let expected = r#"{"NodeNameToMetaVictims":{"gpu-2":{"Pods":[{"UID":"b"},{"UID":"c"}],"NumPDBViolations":1}}}"#;
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
    let none = json!({"Pod": pod(), "NodeNameToVictims": null, "NodeNameToMetaVictims": null});
    let answer = preempt_body(&serde_json::to_vec(&none).unwrap(), &three(), NOW).unwrap();
    assert_eq!(answer, br#"{"NodeNameToMetaVictims":{}}"#);
}

#[test]
fn answers_have_exactly_this_form() {
    let body = json!({"Pod": pod(), "Nodes": null, "NodeNames": ["gpu-0", "gpu-1"]});
    let body = serde_json::to_vec(&body).unwrap();
    let answer = filter_body(&body, &three(), NOW, |_, _, _| {}).unwrap();
    let expected = concat!(
        r#"{"Nodes":null,"NodeNames":["gpu-1"],"FailedNodes":{},"#,
        r#""FailedAndUnresolvableNodes":{"gpu-0":"GPU driver upgrade in progress"},"Error":""}"#
    );
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
    let answer = prioritize_body(&body, &three(), NOW).unwrap();
    let expected = r#"[{"Host":"gpu-0","Score":10},{"Host":"gpu-1","Score":10}]"#;
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
}

#[test]
fn old_spellings_nulls_and_oddities_are_read() {
    let lower = json!({"pod": pod(), "nodes": null, "nodenames": ["gpu-1"]});
    assert_eq!(filter(&three(), &lower)["NodeNames"], json!(["gpu-1"]));
    let camel = json!({"pod": pod(), "nodeNames": ["gpu-1"], "other": {"x": 1}});
    assert_eq!(filter(&three(), &camel)["NodeNames"], json!(["gpu-1"]));
    let none = json!({"Pod": pod(), "Nodes": null, "NodeNames": []});
    assert_eq!(filter(&three(), &none)["NodeNames"], json!([]));
    let no_items =
        json!({"Pod": pod(), "Nodes": {"metadata": {}, "items": null}, "NodeNames": null});
    assert_eq!(filter(&three(), &no_items)["Nodes"]["items"], json!([]));
    let no_containers = json!({"Pod": {"metadata": {"name": "p"}, "spec": {"containers": null}}, "NodeNames": ["gpu-1"]});
    let refused = json!({"gpu-1": "pod requests no GPU"});
    assert_eq!(filter(&three(), &no_containers)["FailedAndUnresolvableNodes"], refused);
    let names = json!({"Pod": pod(), "NodeNames": ["gpu-1", "gpu-1", "a\"b\\", "\u{e9}\n"]});
    assert_eq!(filter(&three(), &names)["NodeNames"], json!(["gpu-1", "a\"b\\", "\u{e9}\n"]));
}

#[test]
fn requests_that_say_too_little_are_refused() {
    let of = |body: &str| filter_body(body.as_bytes(), &three(), NOW, |_, _, _| {}).unwrap_err();
    assert!(matches!(of("{"), Unreadable::Json(_)));
    assert!(matches!(of(r#"{"NodeNames":["a"]}"#), Unreadable::NoPod));
    assert!(matches!(of(r#"{"Pod":null,"NodeNames":["a"]}"#), Unreadable::NoPod));
    assert!(matches!(of(r#"{"Pod":{"metadata":{}}}"#), Unreadable::NoNodes));
    assert!(matches!(of(r#"{"Pod":{"metadata":{}},"NodeNames":[1]}"#), Unreadable::Json(_)));
}

/// Nodes nobody knows are judged by what was sent, known ones too: nothing of it stays.
#[test]
fn nodes_sent_in_full_are_a_simulation() {
    let shared = three();
    let template = node("template", &json!({}));
    let body = json!({"Pod": pod(), "Nodes": {"items": [template, node("gpu-1", &broken())]}, "NodeNames": null});
    let answer = filter(&shared, &body);
    assert_eq!(answer["Nodes"]["items"], json!([template]));
    assert_eq!(
        answer["FailedAndUnresolvableNodes"],
        json!({"gpu-1": "GPU driver upgrade in progress"})
    );
    assert!(shared.find("template").is_none());
    let names = json!({"Pod": pod(), "NodeNames": ["gpu-1"]});
    assert_eq!(filter(&shared, &names)["NodeNames"], json!(["gpu-1"]));
}

/// The reader of what Go writes and the reader of any JSON lead to the same answers.
#[test]
fn however_it_is_written_the_answer_is_the_same() {
    let known: Vec<Value> = (0..40)
        .map(|nth| node(&format!("n{nth}"), &if nth % 3 == 0 { broken() } else { json!({}) }))
        .collect();
    let shared = snapshot(&known);
    let names: Vec<String> = (0..60).map(|nth| format!("n{}", nth * 7 % 50)).collect();
    // Long enough for several pieces.
    let sent: Vec<String> = (0..400)
        .map(|nth| {
            let mut node =
                node(&format!("n{nth}"), &if nth % 5 == 1 { broken() } else { json!({}) });
            node["status"]["images"] = json!(["x".repeat(1_000)]);
            let (meta, spec, status) = (&node["metadata"], &node["spec"], &node["status"]);
            format!(r#"{{"metadata":{meta},"spec":{spec},"status":{status}}}"#)
        })
        .collect();
    let (pod, sent, names) = (pod(), sent.join(","), json!(names));
    for (nodes, names) in [
        ("null".to_owned(), names.to_string()),
        (format!(r#"{{"metadata":{{}},"items":[{sent}]}}"#), "null".to_owned()),
    ] {
        let usual = format!(r#"{{"Pod":{pod},"Nodes":{nodes},"NodeNames":{names}}}"#);
        let other = format!(r#"{{"NodeNames":{names},"Nodes":{nodes},"Pod":{pod}}}"#);
        let [usual, other] = [usual.as_bytes(), other.as_bytes()];
        let filter = |body| filter_body(body, &shared, NOW, |_, _, _| {}).unwrap();
        assert_eq!(filter(usual), filter(other));
        let prioritize = |body| prioritize_body(body, &shared, NOW).unwrap();
        assert_eq!(prioritize(usual), prioritize(other));
    }
}

/// Five thousand names: each is answered once, in order.
#[test]
fn large_requests_are_answered() {
    let nodes: Vec<Value> = (0..50).map(|nth| node(&format!("n{nth}"), &json!({}))).collect();
    let names: Vec<String> = (0..5000).map(|nth| format!("n{nth}")).collect();
    let answer = filter(&snapshot(&nodes), &json!({"Pod": pod(), "NodeNames": names}));
    assert_eq!(answer["NodeNames"], json!(names));
}

async fn start(
    snapshot: ExtenderSnapshot,
    settings: Settings,
) -> (std::net::SocketAddr, CancellationToken, JoinHandle<()>) {
    start_with(snapshot, settings, None).await
}

async fn start_with(
    snapshot: ExtenderSnapshot,
    settings: Settings,
    tls: Option<Arc<tls::Tls>>,
) -> (std::net::SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(ArcSwap::from_pointee(snapshot));
    let pods: server::FindPod = Arc::new(|name| {
        let body = serde_json::value::to_raw_value(&pod()).unwrap();
        (name == "ml/p").then(|| Arc::new(wire::facts(&body).unwrap()))
    });
    let service = Service::new(shared, Clock::system(), Meters::default(), pods, settings);
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, Arc::new(service), tls, stop.clone()));
    (address, stop, task)
}

/// One request on an open connection; the answer's head and body.
async fn request(socket: &mut TcpStream, head: &str, body: &str) -> (String, String) {
    let text =
        format!("{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = socket.read(&mut buffer).await.unwrap();
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")
                    .map(|n| n.parse::<usize>().unwrap())
            });
            if rest.len() >= length.expect("an answer has a length") {
                return (head.to_owned(), rest.to_owned());
            }
        }
        assert!(count > 0, "closed early: {text}");
    }
}

#[tokio::test]
async fn verbs_are_served_on_one_connection_until_the_stop() {
    let (address, stop, task) = start(three(), Settings::default()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let body = json!({"Pod": pod(), "Nodes": null, "NodeNames": ["gpu-0", "gpu-1"]}).to_string();
    for path in ["/v1/filter", "/filter"] {
        let (head, answer) = request(&mut socket, &format!("POST {path}"), &body).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(!head.to_lowercase().contains("chunked"));
        assert!(answer.contains(r#""NodeNames":["gpu-1"]"#) && answer.ends_with('}'), "{answer}");
    }
    let (_, answer) = request(&mut socket, "POST /v1/prioritize", &body).await;
    assert!(answer.starts_with(r#"[{"Host":"gpu-0","Score":"#), "{answer}");
    let (head, _) = request(&mut socket, "POST /v1/filter", "{").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    let (_, told) = request(&mut socket, "GET /explain?pod=ml/p&node=gpu-0", "").await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["checks"].as_array().unwrap().len(), 10);
    assert_eq!(told["checks"][2]["refusal"], "GPU driver upgrade in progress");
    let (_, told) = request(&mut socket, "GET /explain?pod=ml/p", "").await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["passed"], 2);
    let (head, _) = request(&mut socket, "GET /explain?pod=ml/q", "").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(1), task).await.unwrap().unwrap();
}

#[tokio::test]
async fn nothing_is_answered_from_an_empty_cache() {
    let mut empty = three();
    empty.is_synced = false;
    let (address, _stop, _task) = start(empty, Settings::default()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let body = json!({"Pod": pod(), "NodeNames": ["gpu-1"]}).to_string();
    let (head, _) = request(&mut socket, "POST /v1/filter", &body).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
}

#[tokio::test]
async fn bodies_too_large_or_too_slow_are_refused() {
    let settings =
        Settings { body_limit: 100, body_within: Duration::from_millis(50), ..Settings::default() };
    let (address, _stop, _task) = start(three(), settings).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (head, _) = request(&mut socket, "POST /v1/filter", &" ".repeat(101)).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        .await
        .unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

/// Found by fuzzing.
#[test]
fn a_node_that_claims_millions_of_gpus_is_answered() {
    let body = r#"{"Pod":{"metadata":{"name":"p","uid":"u"}},"Nodes":{"metadata":{},"items":[{"metadata":{"name":"n"},"status":{"capacity":{"nvidia.com/gpu":"9000000000"},"allocatable":{"nvidia.com/gpu":"9000000000"}}}]},"NodeNames":null}"#;
    let snapshot = ExtenderSnapshot::new(Policy::default());
    assert!(filter_body(body.as_bytes(), &snapshot, Timestamp(1), |_, _, _| {}).is_ok());
    assert!(prioritize_body(body.as_bytes(), &snapshot, Timestamp(1)).is_ok());
}

//! A cluster of 5,000 nodes and 150,000 pods in the embedded API: stored, listed in pages, selected, watched.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "prints how long things take")]

#[path = "support/api.rs"]
mod support;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};
use std::time::Instant;
use support::started;

fn node(at: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n-{at}"), "labels": {"pool": "gpu"}},
        "status": {"allocatable": {"nvidia.com/gpu": "8"}, "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn pod(at: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p-{at:06}"), "labels": {"job": "train"}},
        "spec": {"nodeName": format!("n-{}", at % 5000), "containers": [{"name": "main", "image": "x:1",
            "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}, "status": {"phase": "Running"}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_cluster() {
    let api = started().await;
    let start = Instant::now();
    api.seed((0..5000).map(node).chain((0..150_000).map(pod))).unwrap();
    println!("stored in {:.1} s", start.elapsed().as_secs_f64());
    let client = Client::try_from(Config::new(api.url().parse().unwrap())).unwrap();
    let nodes: Api<Node> = Api::all(client.clone());
    assert_eq!(nodes.list_metadata(&ListParams::default()).await.unwrap().items.len(), 5000);
    let pods: Api<Pod> = Api::all(client.clone());
    let start = Instant::now();
    let on_one = ListParams::default().fields("spec.nodeName=n-7");
    assert_eq!(pods.list(&on_one).await.unwrap().items.len(), 30);
    println!("pods of one node of 150,000 in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let (mut found, mut page) = (0, ListParams::default().limit(500));
    // Ten pages of three hundred; all of them cost the time of the client more than ours.
    let mut revision = String::new();
    for _ in 0..10 {
        let list = pods.list(&page).await.unwrap();
        assert_eq!(list.metadata.remaining_item_count, Some(150_000 - found - 500));
        found += list.items.len() as i64;
        revision = list.metadata.resource_version.clone().unwrap();
        page.continue_token = list.metadata.continue_.clone();
    }
    println!("a page of 500 in {:.0} ms", start.elapsed().as_secs_f64() * 100.0);
    let in_default: Api<Pod> = Api::default_namespaced(client);
    let watch = in_default.watch(&WatchParams::default(), &revision).await.unwrap();
    let new: Pod = serde_json::from_value(pod(999_999)).unwrap();
    in_default.create(&PostParams::default(), &new).await.unwrap();
    let first = watch.boxed().try_next().await.unwrap();
    assert!(
        matches!(first, Some(WatchEvent::Added(pod)) if pod.metadata.name.as_deref() == Some("p-999999"))
    );
    api.shutdown().await.unwrap();
}

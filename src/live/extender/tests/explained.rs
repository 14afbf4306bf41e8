//! What `/explain` tells of a pod and a node: every check, and what a score rests on.

use super::{answer::explain_node, *};
use crate::{
    extender::{Seen, Taken},
    model::object::Pod,
};

fn asking() -> Pod {
    let body = serde_json::value::to_raw_value(&pod()).unwrap();
    wire::facts(&body).unwrap()
}

/// `busy` has one GPU in use, `idle` none; the broken one has no score, for nobody would ask for it.
#[test]
fn scores_are_explained_by_node() {
    let mut shared = snapshot(&[node("broken", &broken()), node("idle", &json!({}))]);
    let object = serde_json::from_value(node("busy", &json!({"nvidia.com/gpu.clique": "c.1"})));
    let busy = Node::facts(object.unwrap(), &CapiKeys::default());
    let (pod, now) = (asking(), Timestamp(1_000));
    let taken = Taken::of(&pod);
    let ready_since = Some(Timestamp::ZERO);
    let seen = seen(&busy, vec![&taken], None);
    shared.set_node(&Seen { ready_since, is_to_go: false, ..seen });
    let told = |name: &str| explain_node(&pod, name, &shared, now).unwrap();
    let busy = told("busy");
    assert_eq!((&busy["score"], &busy["scoredAmong"]), (&json!(10), &json!(2)));
    assert_eq!(busy["standing"]["clique"], "c.1");
    assert_eq!(busy["standing"]["isIdle"], false);
    assert_eq!(busy["standing"]["freeMilli"], 7_000);
    assert_eq!(busy["verdict"], "Pass");
    let idle = told("idle");
    assert_eq!((&idle["score"], &idle["standing"]["isIdle"]), (&json!(0), &json!(true)));
    assert_eq!(idle["standing"]["priceMilli"], 1_000);
    let broken = told("broken");
    assert_eq!((&broken["score"], &broken["scoredAmong"]), (&Value::Null, &json!(2)));
    assert!(explain_node(&pod, "ghost", &shared, now).is_none());
}

/// What takes long is answered apart from the rest, and the same.
#[tokio::test]
async fn a_request_of_more_than_a_mebibyte_is_answered() {
    let (address, _stop, _task) = start(three(), Settings::default()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut names: Vec<String> =
        (0..30_000).map(|nth| format!("gpu-pool-a100-md-0-{nth:05}-x7k2p-9fjq4")).collect();
    names.push("gpu-0".into());
    let body = json!({"Pod": pod(), "Nodes": null, "NodeNames": names}).to_string();
    assert!(body.len() > 1 << 20);
    let (head, told) = request(&mut socket, "POST /v1/filter", &body).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["NodeNames"].as_array().unwrap().len(), 30_000);
    let refused = json!({"gpu-0": "GPU driver upgrade in progress"});
    assert_eq!(told["FailedAndUnresolvableNodes"], refused);
}

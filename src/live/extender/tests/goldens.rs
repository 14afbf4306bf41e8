//! Every type of the protocol as Go writes it and as other clients do, and the answers to it, byte by byte.
//!
//! Source of the forms: kube-scheduler `extender/v1/types.go` (no JSON tags: capitals, and `null` for what is not
//! there), its `types_test.go` (the same all in lower case), recordings of kube-scheduler 1.36.

use super::*;

/// A pod that asks for nothing as Go writes it: `containers` is `null`.
const EMPTY_POD: &str =
    r#"{"metadata":{"name":"podA","namespace":"ml"},"spec":{"containers":null},"status":{}}"#;
const GPU_POD: &str = r#"{"metadata":{"name":"podA","namespace":"ml","uid":"u"},"spec":{"containers":[{"name":"c","resources":{"limits":{"nvidia.com/gpu":"1"},"requests":{"nvidia.com/gpu":"1"}}}]},"status":{}}"#;
/// A node without anything as Go writes it; note the capital of `Port`.
const BARE_NODE: &str = r#"{"metadata":{"name":"nodeA","creationTimestamp":null},"spec":{},"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":0}},"nodeInfo":{"machineID":"","systemUUID":"","bootID":"","kernelVersion":"","osImage":"","containerRuntimeVersion":"","kubeletVersion":"","kubeProxyVersion":"","operatingSystem":"","architecture":""}}}"#;

fn filtered(body: &str) -> String {
    let answer = filter_body(body.as_bytes(), &three(), NOW, |_, _, _| {}).unwrap();
    String::from_utf8(answer).unwrap()
}

fn prioritized(body: &str) -> String {
    String::from_utf8(prioritize_body(body.as_bytes(), &three(), NOW).unwrap()).unwrap()
}

fn preempted(body: &str) -> String {
    String::from_utf8(preempt_body(body.as_bytes(), &three(), NOW).unwrap()).unwrap()
}

/// All keys of the request's own types, in the three ways in which they are written.
#[test]
fn arguments_are_read_however_their_keys_are_written() {
    let expected = r#"{"Nodes":null,"NodeNames":["gpu-1"],"FailedNodes":{},"FailedAndUnresolvableNodes":{"gpu-0":"GPU driver upgrade in progress"},"Error":""}"#;
    let scores = r#"[{"Host":"gpu-0","Score":10},{"Host":"gpu-1","Score":10}]"#;
    let both = r#"["gpu-0","gpu-1"]"#;
    for body in [
        format!(r#"{{"Pod":{GPU_POD},"Nodes":null,"NodeNames":{both}}}"#),
        format!(r#"{{"Pod":{GPU_POD},"NodeNames":{both}}}"#),
        format!(r#"{{"NodeNames":{both},"Pod":{GPU_POD},"Nodes":null}}"#),
        format!(r#"{{"pod":{GPU_POD},"nodes":null,"nodenames":{both}}}"#),
        format!(r#"{{"pod":{GPU_POD},"nodes":null,"nodeNames":{both}}}"#),
        format!(
            "\n{{ \"Pod\": {GPU_POD}, \"Nodes\": null, \"NodeNames\": [ \"gpu-0\", \"gpu-1\" ] }}\n"
        ),
    ] {
        assert_eq!(filtered(&body), expected, "{body}");
        assert_eq!(prioritized(&body), scores, "{body}");
    }
}

#[test]
fn what_is_empty_or_null_is_answered_in_its_form() {
    let names = r#"{"Nodes":null,"NodeNames":[],"FailedNodes":{},"FailedAndUnresolvableNodes":{},"Error":""}"#;
    let nodes = r#"{"Nodes":{"metadata":{},"items":[]},"NodeNames":null,"FailedNodes":{},"FailedAndUnresolvableNodes":{},"Error":""}"#;
    for (asked, expected) in [
        (r#""Nodes":null,"NodeNames":[]"#, names),
        (r#""NodeNames":[]"#, names),
        (r#""Nodes":{"metadata":{},"items":[]},"NodeNames":null"#, nodes),
        (r#""Nodes":{"metadata":{},"items":null},"NodeNames":null"#, nodes),
        (r#""Nodes":{"metadata":{}}"#, nodes),
        (r#""nodes":{"items":[]},"nodenames":null"#, nodes),
    ] {
        let body = format!(r#"{{"Pod":{EMPTY_POD},{asked}}}"#);
        assert_eq!(filtered(&body), expected, "{asked}");
        assert_eq!(prioritized(&body), "[]", "{asked}");
    }
}

/// It goes back byte by byte, oddities included; a pod without GPUs may use it, it is no GPU node.
#[test]
fn a_bare_node_comes_back_as_it_was_sent() {
    for keys in [["Pod", "Nodes", "NodeNames"], ["pod", "nodes", "nodenames"]] {
        let [pod, nodes, names] = keys;
        let body = format!(
            r#"{{"{pod}":{EMPTY_POD},"{nodes}":{{"metadata":{{}},"items":[{BARE_NODE}]}},"{names}":null}}"#
        );
        let expected = format!(
            r#"{{"Nodes":{{"metadata":{{}},"items":[{BARE_NODE}]}},"NodeNames":null,"FailedNodes":{{}},"FailedAndUnresolvableNodes":{{}},"Error":""}}"#
        );
        assert_eq!(filtered(&body), expected);
        assert_eq!(prioritized(&body), r#"[{"Host":"nodeA","Score":10}]"#);
    }
}

/// Before anything else kube-scheduler asks about the nominated node alone.
#[test]
fn one_node_is_enough_to_ask_about() {
    let about = |name: &str| format!(r#"{{"Pod":{GPU_POD},"Nodes":null,"NodeNames":["{name}"]}}"#);
    assert!(filtered(&about("gpu-1")).contains(r#""NodeNames":["gpu-1"],"FailedNodes":{}"#));
    assert!(filtered(&about("gpu-0")).contains(r#""NodeNames":[],"FailedNodes":{}"#));
    assert!(filtered(&about("ghost")).contains(r#""NodeNames":["ghost"],"FailedNodes":{}"#));
    assert_eq!(prioritized(&about("gpu-1")), r#"[{"Host":"gpu-1","Score":10}]"#);
}

/// Go escapes what it need not; a name is a name however it is written, and is told once.
#[test]
fn escaped_names_are_names() {
    let body = format!(
        r#"{{"Pod":{GPU_POD},"Nodes":null,"NodeNames":["gpu\u002d0","gpu-0","gpu\u002d1","a\u003c\"b"]}}"#
    );
    let told: Value = serde_json::from_str(&filtered(&body)).unwrap();
    assert_eq!(told["NodeNames"], json!(["gpu-1", "a<\"b"]));
    let refused = json!({"gpu-0": "GPU driver upgrade in progress"});
    assert_eq!(told["FailedAndUnresolvableNodes"], refused);
    let body =
        format!(r#"{{"Pod":{GPU_POD},"Nodes":null,"NodeNames":["gpu\u002d1","a\u003c\"b"]}}"#);
    let told: Value = serde_json::from_str(&prioritized(&body)).unwrap();
    assert_eq!((&told[0]["Host"], &told[1]["Host"]), (&json!("gpu-1"), &json!("a<\"b")));
}

/// A template of cluster-autoscaler has a name that nobody knows. It is looked at as it was sent, scored with the
/// others, and leaves no trace: nobody waits for it, nothing is counted.
#[test]
fn template_nodes_are_judged_and_scored_without_a_trace() {
    let shared = three();
    let (template, broken) = (node("template-1", &json!({})), node("template-2", &broken()));
    let body = json!({"Pod": pod(), "Nodes": {"items": [template, broken]}, "NodeNames": null});
    let body = serde_json::to_vec(&body).unwrap();
    let mut told = 0;
    let answer = filter_body(&body, &shared, NOW, |_, _, _| told += 1).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["Nodes"]["items"], json!([template]));
    let refused = json!({"template-2": "GPU driver upgrade in progress"});
    assert_eq!(answer["FailedAndUnresolvableNodes"], refused);
    let scores = prioritize_body(&body, &shared, NOW).unwrap();
    let expected = r#"[{"Host":"template-1","Score":10},{"Host":"template-2","Score":10}]"#;
    assert_eq!(String::from_utf8(scores).unwrap(), expected);
    assert_eq!((told, shared.nodes().count()), (0, 3));
}

/// Eviction cures a reservation, so such a node is in the map of those.
#[test]
fn only_what_eviction_cures_is_in_the_first_map() {
    let mut reserved = node("gpu-2", &json!({}));
    reserved["metadata"]["annotations"] = json!({"prewarm.dev/reserved-for": "ml/train"});
    let shared = snapshot(&[node("gpu-0", &broken()), node("gpu-1", &json!({})), reserved]);
    let body = json!({"Pod": pod(), "NodeNames": ["gpu-0", "gpu-1", "gpu-2"]});
    let told = filter(&shared, &body);
    assert_eq!(told["NodeNames"], json!(["gpu-1"]));
    assert_eq!(told["FailedNodes"], json!({"gpu-2": "NVLink domain reserved"}));
    let upgraded = json!({"gpu-0": "GPU driver upgrade in progress"});
    assert_eq!(told["FailedAndUnresolvableNodes"], upgraded);
}

#[test]
fn preemptions_are_read_however_their_keys_are_written() {
    let victims = |pods: &str, uid: &str, violations: &str| {
        format!(
            r#"{{"gpu-0":{{"{pods}":[{{"{uid}":"x"}}],"{violations}":0}},"gpu-1":{{"{pods}":[{{"{uid}":"a"}},{{"{uid}":"nobody-knows"}}],"{violations}":2}}}}"#
        )
    };
    let meta = victims("Pods", "UID", "NumPDBViolations");
    let lower = victims("pods", "uid", "numpdbviolations");
    let camel = victims("pods", "uid", "numPDBViolations");
    let expected = r#"{"NodeNameToMetaVictims":{"gpu-1":{"Pods":[{"UID":"a"},{"UID":"nobody-knows"}],"NumPDBViolations":2}}}"#;
    for body in [
        format!(r#"{{"Pod":{GPU_POD},"NodeNameToVictims":null,"NodeNameToMetaVictims":{meta}}}"#),
        format!(r#"{{"Pod":{GPU_POD},"NodeNameToMetaVictims":{meta}}}"#),
        format!(r#"{{"pod":{GPU_POD},"nodenametovictims":null,"nodenametometavictims":{lower}}}"#),
        format!(r#"{{"pod":{GPU_POD},"nodeNameToVictims":null,"nodeNameToMetaVictims":{camel}}}"#),
    ] {
        assert_eq!(preempted(&body), expected, "{body}");
    }
    let full = meta.replace(r#""UID":"#, r#""metadata":{"uid":"#).replace("\"}", "\"}}");
    for (key, other) in [
        ("NodeNameToVictims", "NodeNameToMetaVictims"),
        ("nodenametovictims", "nodenametometavictims"),
    ] {
        let body = format!(r#"{{"Pod":{GPU_POD},"{key}":{full},"{other}":null}}"#);
        assert_eq!(preempted(&body), expected, "{body}");
    }
}

/// Nobody to evict, in all the ways to write it: the node is left out (kubernetes #135486).
#[test]
fn candidates_without_victims_are_left_out() {
    let none = r#"{"NodeNameToMetaVictims":{}}"#;
    for victims in [
        r#"{"gpu-1":{"Pods":[],"NumPDBViolations":0}}"#,
        r#"{"gpu-1":{"Pods":null,"NumPDBViolations":0}}"#,
        r#"{"gpu-1":{}}"#,
        r#"{"gpu-1":null}"#,
        "{}",
        "null",
    ] {
        for [first, second] in [
            ["NodeNameToVictims", "NodeNameToMetaVictims"],
            ["NodeNameToMetaVictims", "NodeNameToVictims"],
        ] {
            let body = format!(r#"{{"Pod":{GPU_POD},"{first}":{victims},"{second}":null}}"#);
            assert_eq!(preempted(&body), none, "{body}");
        }
    }
}

/// From the Namespace object to the verdict.
#[test]
fn annotations_of_namespaces_are_obeyed() {
    let key = |name: &str| format!("scheduler.alpha.kubernetes.io/{name}");
    let covers = r#"[{"key":"nvidia.com/gpu","operator":"Exists","effect":"NoSchedule"}]"#;
    let other = r#"[{"key":"other","operator":"Exists"}]"#;
    let denied = "namespace not allowed on GPU nodes";
    let malformed = "namespace has an invalid toleration annotation";
    for (name, value, permissive, strict) in [
        ("tolerationsWhitelist", "", "", ""),
        ("tolerationsWhitelist", "[]", "", ""),
        ("tolerationsWhitelist", covers, "", ""),
        ("tolerationsWhitelist", other, denied, denied),
        ("tolerationsWhitelist", "[", malformed, malformed),
        ("defaultTolerations", "", "", denied),
        ("defaultTolerations", "[]", "", denied),
        ("defaultTolerations", covers, "", ""),
        ("defaultTolerations", other, "", denied),
        ("defaultTolerations", "{}", malformed, malformed),
        ("somethingElse", "[", "", denied),
    ] {
        for (is_strict, expected) in [(false, permissive), (true, strict)] {
            let mut shared = three();
            shared.policy = Policy { is_strict, ..Policy::default() }.into();
            let metadata = json!({"name": "ml", "annotations": {key(name): value}});
            let object = json!({"metadata": metadata, "spec": {}, "status": {}});
            let object = serde_json::from_value(object).unwrap();
            shared.set_namespace(crate::extender::Namespace::facts(object, &CapiKeys::default()));
            let told = filter(&shared, &json!({"Pod": pod(), "NodeNames": ["gpu-1"]}));
            let found = told["FailedAndUnresolvableNodes"]["gpu-1"].as_str().unwrap_or_default();
            assert_eq!(found, expected, "{name}: {value:?}, strict: {is_strict}");
        }
    }
}

//! `deploy/` is current and asks for no more rights than are used, and no fewer.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use kube::CustomResourceExt;
use prewarm::live::gpu_pool::GpuPool;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};

fn manifest(name: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/manifests").join(name);
    let text = fs::read_to_string(&path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_committed_definition_is_what_prewarm_crd_prints() {
    let committed = manifest("gpupools.prewarm.dev.yaml").remove(0);
    let printed = serde_json::to_value(GpuPool::crd()).unwrap();
    // Through text, because 1.0 and 1 are the same number in YAML.
    let printed: Value =
        serde_saphyr::from_str(&serde_saphyr::to_string(&printed).unwrap()).unwrap();
    assert_eq!(committed, printed, "run: prewarm crd > deploy/manifests/gpupools.prewarm.dev.yaml");
}

/// (group, resource, verb) that the code uses.
const USED: [(&str, &str, &str); 37] = [
    ("cluster.x-k8s.io", "machinedeployments", "get"),
    ("cluster.x-k8s.io", "machinedeployments", "list"),
    ("cluster.x-k8s.io", "machinedeployments", "watch"),
    ("cluster.x-k8s.io", "machinedeployments", "patch"),
    ("cluster.x-k8s.io", "machinedeployments/scale", "get"),
    ("cluster.x-k8s.io", "machinedeployments/scale", "patch"),
    ("cluster.x-k8s.io", "machinesets", "get"),
    ("cluster.x-k8s.io", "machinesets", "list"),
    ("cluster.x-k8s.io", "machinesets", "watch"),
    ("cluster.x-k8s.io", "machines", "get"),
    ("cluster.x-k8s.io", "machines", "list"),
    ("cluster.x-k8s.io", "machines", "watch"),
    ("cluster.x-k8s.io", "machines", "patch"),
    ("prewarm.dev", "gpupools", "get"),
    ("prewarm.dev", "gpupools", "list"),
    ("prewarm.dev", "gpupools", "watch"),
    ("prewarm.dev", "gpupools", "create"),
    ("prewarm.dev", "gpupools/status", "get"),
    ("prewarm.dev", "gpupools/status", "patch"),
    ("", "pods", "get"),
    ("", "pods", "list"),
    ("", "pods", "watch"),
    ("", "pods", "patch"),
    ("", "nodes", "get"),
    ("", "nodes", "list"),
    ("", "nodes", "watch"),
    ("", "nodes", "patch"),
    ("scheduling.k8s.io", "priorityclasses", "list"),
    ("scheduling.k8s.io", "priorityclasses", "watch"),
    ("events.k8s.io", "events", "create"),
    ("events.k8s.io", "events", "patch"),
    ("", "configmaps", "get"),
    ("", "configmaps", "list"),
    ("", "configmaps", "watch"),
    ("", "configmaps", "create"),
    ("", "configmaps", "patch"),
    ("coordination.k8s.io", "leases", "update"),
];

fn granted() -> BTreeSet<(String, String, String)> {
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let documents = manifest("rbac.yaml");
    let rules = documents.iter().filter_map(|document| document["rules"].as_array()).flatten();
    let mut granted = BTreeSet::new();
    for rule in rules {
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    granted.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    granted
}

#[test]
fn what_the_code_uses_is_granted_and_nothing_dangerous_beside() {
    let granted = granted();
    for (group, resource, verb) in USED {
        let used = (group.to_owned(), resource.to_owned(), verb.to_owned());
        assert!(granted.contains(&used), "{used:?} is used and not granted");
    }
    for (group, resource, verb) in &granted {
        assert!(verb != "delete" && verb != "*" && resource != "*", "{group}/{resource}: {verb}");
        assert!(resource != "secrets", "no right on Secrets is needed");
    }
}

#[test]
fn everything_that_kustomize_is_told_of_is_there() {
    let kustomization = manifest("kustomization.yaml").remove(0);
    for name in kustomization["resources"].as_array().unwrap() {
        assert!(!manifest(name.as_str().unwrap()).is_empty());
    }
}

//! `deploy/` is current and asks for no more rights than are used, and no fewer.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use kube::CustomResourceExt;
use prewarm::live::gpu_pool::GpuPool;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};

fn manifest(name: &str) -> Vec<Value> {
    documents("manifests", name)
}

fn documents(folder: &str, name: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(folder).join(name);
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
const USED: [(&str, &str, &str); 41] = [
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
    ("", "namespaces", "list"),
    ("", "namespaces", "watch"),
    ("resource.k8s.io", "resourceslices", "list"),
    ("resource.k8s.io", "resourceslices", "watch"),
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

fn granted(documents: &[Value]) -> BTreeSet<(String, String, String)> {
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
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
    let granted = granted(&manifest("rbac.yaml"));
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

/// The sidecar lists and watches what the feed needs, and may do nothing else.
#[test]
fn the_extender_may_look_and_not_touch() {
    let all = documents("scheduler", "second-scheduler.yaml");
    let role = all
        .iter()
        .find(|one| one["kind"] == "ClusterRole" && one["metadata"]["name"] == "prewarm-extender");
    let granted = granted(std::slice::from_ref(role.unwrap()));
    for kind in prewarm::live::extender::feed::KINDS {
        let resource = format!("{}s", kind.word().to_lowercase());
        for verb in ["list", "watch"] {
            let is_it = |one: &&(String, String, String)| one.1 == resource && one.2 == verb;
            assert!(granted.iter().any(|one| is_it(&one)), "{verb} {resource}");
        }
    }
    let harmless = ["get", "list", "watch"];
    assert!(granted.iter().all(|(_, _, verb)| harmless.contains(&verb.as_str())), "{granted:?}");
}

/// Flags that do not exist keep a pod from starting.
#[test]
fn the_sidecar_is_started_with_flags_that_there_are() {
    let all = documents("scheduler", "second-scheduler.yaml");
    let deployment = all.iter().find(|one| one["kind"] == "Deployment").unwrap();
    let container = &deployment["spec"]["template"]["spec"]["initContainers"][0];
    let args: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    let policy = all.iter().find(|one| one["metadata"]["name"] == "prewarm-extender-policy");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    fs::write(&path, policy.unwrap()["data"]["policy.yaml"].as_str().unwrap()).unwrap();
    // The policy is read before the kubeconfig, which is not there.
    let own = format!("--policy={}", path.display());
    let args = args.into_iter().map(|arg| if arg.starts_with("--policy") { &own } else { arg });
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(args)
        .args(["--kubeconfig", "/does/not/exist"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("/does/not/exist") && !told.contains("policy"), "{told}");
}

/// One `kubectl apply` is enough: what is named is there, and the scheduler's own rights are Kubernetes' roles.
#[test]
fn the_second_scheduler_needs_nothing_else() {
    let all = documents("scheduler", "second-scheduler.yaml");
    let place = all.iter().position(|one| one["kind"] == "Namespace").unwrap();
    assert_eq!((place, &all[place]["metadata"]["name"]), (0, &"prewarm".into()));
    let own = manifest("namespace.yaml");
    assert_eq!(all[place], own[0], "applying both takes nothing away");
    let named = |kind: &str, name: &Value| {
        all.iter().any(|one| one["kind"] == kind && one["metadata"]["name"] == *name)
    };
    let upstream = ["system:kube-scheduler", "system:volume-scheduler"];
    let reader = "extension-apiserver-authentication-reader";
    for one in &all {
        let kind = one["kind"].as_str().unwrap();
        if kind.ends_with("RoleBinding") {
            let (role, name) = (one["roleRef"]["kind"].as_str().unwrap(), &one["roleRef"]["name"]);
            let is_upstream = upstream.contains(&name.as_str().unwrap()) || name == reader;
            assert!(is_upstream || named(role, name), "{role} {name}");
            let account = &one["subjects"][0];
            assert_eq!(account["namespace"], "prewarm");
            assert!(named("ServiceAccount", &account["name"]), "{account}");
        }
        if kind == "Role" {
            // The leader's Lease is the one thing that may be written.
            for rule in one["rules"].as_array().unwrap() {
                assert_eq!(rule["resources"], serde_json::json!(["leases"]));
            }
        }
    }
    let pod =
        &all.iter().find(|one| one["kind"] == "Deployment").unwrap()["spec"]["template"]["spec"];
    assert!(named("ServiceAccount", &pod["serviceAccountName"]));
    for volume in pod["volumes"].as_array().unwrap() {
        assert!(named("ConfigMap", &volume["configMap"]["name"]), "{volume}");
    }
    let sidecar = &pod["initContainers"][0];
    assert_eq!(sidecar["restartPolicy"], "Always");
    assert_eq!(
        sidecar["startupProbe"]["httpGet"]["path"], "/readyz",
        "first it lists, then pods come"
    );
}

/// What the scheduler must be told, in both ways to deploy it.
#[test]
fn schedulers_are_told_what_matters() {
    let second = documents("scheduler", "second-scheduler.yaml");
    let map = second.iter().find(|one| one["data"]["config.yaml"].is_string()).unwrap();
    let second: Value =
        serde_saphyr::from_str(map["data"]["config.yaml"].as_str().unwrap()).unwrap();
    let default = documents("scheduler", "default-scheduler.yaml").remove(0);
    for config in [&second, &default] {
        let extender = &config["extenders"][0];
        assert_eq!(extender["nodeCacheCapable"], true, "in-tree scores are wrong otherwise");
        assert_eq!(extender["urlPrefix"], "http://127.0.0.1:9376/v1");
        for verb in ["filter", "prioritize", "preempt"] {
            assert_eq!(extender[format!("{verb}Verb")], verb);
        }
        assert_eq!(extender["weight"], 10, "less drowns among in-tree scores");
        assert_eq!(extender["ignorable"], true, "docs/extender.md: it fails open");
        assert_eq!(extender["httpTimeout"], "200ms", "5 s by default, for every pod");
        assert!(extender["bindVerb"].is_null(), "it does not bind");
        let fit = &config["profiles"][0]["pluginConfig"][0];
        let strategy = &fit["args"]["scoringStrategy"];
        assert_eq!(
            (&fit["name"], &strategy["type"]),
            (&"NodeResourcesFit".into(), &"MostAllocated".into())
        );
        assert_eq!(strategy["resources"][0]["name"], "nvidia.com/gpu");
        let sample = [
            &config["percentageOfNodesToScore"],
            &config["profiles"][0]["percentageOfNodesToScore"],
        ];
        assert!(sample.contains(&&Value::from(100)), "it would see a sample of the nodes alone");
        for resource in extender["managedResources"].as_array().into_iter().flatten() {
            assert_ne!(resource["ignoredByScheduler"], true);
        }
    }
}

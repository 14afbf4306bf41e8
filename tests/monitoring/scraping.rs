//! Deployment, Service and `ServiceMonitor` fit together.

use super::files::{items, word, yaml};

#[test]
fn what_the_monitor_selects_is_what_listens() {
    let deployment = yaml("deploy/manifests/controller.yaml");
    let service = yaml("deploy/manifests/service.yaml");
    let monitor = yaml("deploy/monitoring/servicemonitor.yaml");
    let pod = &deployment["spec"]["template"];
    let is_within = |wanted: &serde_json::Value, labels: &serde_json::Value| {
        wanted.as_object().unwrap().iter().all(|(key, value)| labels[key.as_str()] == *value)
    };
    assert!(is_within(&service["spec"]["selector"], &pod["metadata"]["labels"]));
    assert!(is_within(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]));
    let job = word(&monitor["spec"]["jobLabel"]);
    assert_eq!(service["metadata"]["labels"][job], "prewarm");
    assert_eq!(service["metadata"]["namespace"], monitor["metadata"]["namespace"]);

    let offered = &items(&service["spec"]["ports"])[0];
    let listens = &items(&items(&pod["spec"]["containers"])[0]["ports"])[0];
    let scraped = &items(&monitor["spec"]["endpoints"])[0];
    assert_eq!(scraped["port"], offered["name"]);
    assert_eq!(offered["targetPort"], listens["name"]);
    assert_eq!(scraped["path"], "/metrics");
}

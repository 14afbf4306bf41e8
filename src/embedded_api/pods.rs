//! Binding and eviction of pods, and their priority (admission plugin `Priority`).

use super::{Reply, delete, object, status, status::ApiError, write::Change};
use serde_json::{Value, json};

/// POST of a Binding: the scheduler has decided.
pub(crate) fn bind(change: &mut Change<'_>) -> Result<Reply, ApiError> {
    let binding = change.body()?;
    let mut pod = change.current()?;
    let name = change.name().to_owned();
    let refuse =
        |why: String| Err(ApiError::conflict("pods/binding", "", "pods/binding", &name, &why));
    if let Some(node) = pod["spec"]["nodeName"].as_str() {
        return refuse(format!("pod {name} is already assigned to node {node:?}"));
    }
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    if change.call.is_dry_run() {
        return Ok(Reply::json(201, status::created()));
    }
    let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
    object::set_at(&mut pod, "spec.nodeName", node.into());
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": object::time(change.view.now)});
    set_condition(&mut pod, &condition);
    change.put(&mut pod)?;
    Ok(Reply::json(201, status::created()))
}

/// Sets the one condition of its type, as the last.
fn set_condition(pod: &mut Value, condition: &Value) {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let others = conditions.into_iter().filter(|old| old["type"] != condition["type"]);
    let conditions: Value = others.chain([condition.clone()]).collect();
    object::set_at(pod, "status.conditions", conditions);
}

/// POST of an Eviction: a delete with the grace period of the pod; disruption budgets are not looked at.
pub(crate) fn evict(change: &mut Change<'_>) -> Result<Reply, ApiError> {
    let eviction = change.body()?;
    let mut pod = change.current()?;
    let options = &eviction["deleteOptions"];
    let is_rehearsal = options["dryRun"].as_array().is_some_and(|all| all.contains(&json!("All")));
    if !is_rehearsal && !change.call.is_dry_run() {
        let condition = json!({"type": "DisruptionTarget", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": object::time(change.view.now), "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting"});
        set_condition(&mut pod, &condition);
        change.put(&mut pod)?;
        delete::evict(change, options)?;
    }
    Ok(Reply::json(201, status::created()))
}

/// Classes that every cluster has.
const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// Resolves the priority class of a new pod, or gives it the default one.
pub(crate) fn set_priority(change: &mut Change<'_>, pod: &mut Value) -> Result<(), ApiError> {
    let asked = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    if let Some((_, value)) = SYSTEM_CLASSES.iter().find(|(name, _)| *name == asked) {
        object::set_at(pod, "spec.priority", (*value).into());
        return Ok(());
    }
    let first = (String::new(), String::new());
    let classes = change.state.store.table("priorityclasses.scheduling.k8s.io").list(None, &first);
    let mut classes = classes.iter().map(|(_, stored)| stored.value());
    let class = classes.find(|class| match asked.as_str() {
        "" => class["globalDefault"] == true,
        name => object::meta(class, "name") == name,
    });
    let Some(class) = class else {
        if asked.is_empty() {
            return Ok(());
        }
        let name = object::meta(pod, "name");
        let why =
            format!("pods {name:?} is forbidden: no PriorityClass with name {asked} was found");
        return Err(ApiError::forbidden("", "pods", Some(name), why));
    };
    object::set_at(pod, "spec.priorityClassName", object::meta(&class, "name").into());
    object::set_at(pod, "spec.priority", class["value"].clone());
    object::set_at(pod, "spec.preemptionPolicy", class["preemptionPolicy"].clone());
    Ok(())
}

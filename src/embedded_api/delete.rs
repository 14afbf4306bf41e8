//! Delete: at once, after finalizers, or (pods, if asked for) after a grace period that a kubelet ends.

use super::{
    Reply, object,
    selectors::Selector,
    status::ApiError,
    write::{CRDS, Change},
};
use serde_json::{Value, json};

/// `DeleteOptions`, out of the body and the query.
struct Options {
    uid: Option<String>,
    resource_version: Option<String>,
    grace_s: Option<i64>,
    is_foreground: bool,
    is_dry_run: bool,
}

impl Options {
    fn read(change: &Change<'_>) -> Result<Self, ApiError> {
        let body = if change.call.body.is_empty() { Value::Null } else { change.body()? };
        Ok(Self::of(change, &body))
    }

    fn of(change: &Change<'_>, body: &Value) -> Self {
        let query = &change.call.query;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let policy =
            body["propagationPolicy"].as_str().unwrap_or_else(|| query.get("propagationPolicy"));
        let in_body = body["dryRun"].as_array().is_some_and(|all| all.contains(&json!("All")));
        Self {
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            grace_s: body["gracePeriodSeconds"]
                .as_i64()
                .or_else(|| query.number("gracePeriodSeconds").map(|s| s as i64)),
            is_foreground: policy == "Foreground",
            is_dry_run: in_body || change.call.is_dry_run(),
        }
    }
}

/// DELETE of one object.
pub(crate) fn one(change: &mut Change<'_>) -> Result<Reply, ApiError> {
    let options = Options::read(change)?;
    let old = change.current()?;
    check_preconditions(change, &options, &old)?;
    let resource = change.view.resource;
    let (is_gone, last) = mark_or_remove(change, &options, old)?;
    let shown = change.view.present(last);
    let returns_object = ["pods", "services", "serviceaccounts", "podtemplates", "resourcequotas"];
    if !is_gone || returns_object.contains(&resource.table.as_str()) {
        return Ok(Reply::json(200, change.view.one(change.call, shown)));
    }
    let mut details = resource.details(object::meta(&shown, "name"));
    details["uid"] = object::meta(&shown, "uid").into();
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details});
    Ok(Reply::json(200, status))
}

/// The delete that an eviction is.
pub(crate) fn evict(change: &mut Change<'_>, options: &Value) -> Result<(), ApiError> {
    let options = Options::of(change, options);
    let old = change.current()?;
    mark_or_remove(change, &options, old).map(drop)
}

/// DELETE of all that a selector selects.
pub(crate) fn collection(change: &mut Change<'_>) -> Result<Reply, ApiError> {
    let options = Options::read(change)?;
    let query = &change.call.query;
    let resource = change.view.resource;
    let selector =
        Selector::parse(resource, query.get("labelSelector"), query.get("fieldSelector"))?;
    let namespace = change.call.target.object_namespace().map(str::to_owned);
    let first = (namespace.clone().unwrap_or_default(), String::new());
    let mut found = change.state.store.table(&resource.table).list(namespace.as_deref(), &first);
    found.retain(|(key, stored)| selector.matches(key, stored));
    for (_, stored) in &found {
        mark_or_remove(change, &options, stored.value())?;
    }
    let metadata = json!({"resourceVersion": change.state.store.revision.to_string()});
    Ok(Reply::bytes(change.view.list(change.call, &found, &metadata)))
}

fn check_preconditions(
    change: &Change<'_>,
    options: &Options,
    old: &Value,
) -> Result<(), ApiError> {
    let resource = change.view.resource;
    let refuse = |why: String| {
        let (kind, group) = (resource.qualified_kind(), &resource.group);
        Err(ApiError::conflict(&kind, group, &resource.kind, object::meta(old, "name"), &why))
    };
    let (uid, revision) = (object::meta(old, "uid"), object::meta(old, "resourceVersion"));
    match (&options.uid, &options.resource_version) {
        (Some(asked), _) if asked != uid => refuse(format!(
            "the UID in the precondition ({asked}) does not match the UID in record ({uid}). The object \
             might have been deleted and then recreated"
        )),
        (_, Some(asked)) if asked != revision => refuse(format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record \
             ({revision}). The object might have been modified"
        )),
        _ => Ok(()),
    }
}

/// Whether the object is gone, and how it last was.
fn mark_or_remove(
    change: &mut Change<'_>,
    options: &Options,
    old: Value,
) -> Result<(bool, Value), ApiError> {
    let grace_s = grace(change, options, &old);
    let is_held = !object::finalizers(&old).is_empty();
    let is_marked = !object::meta(&old, "deletionTimestamp").is_empty();
    if options.is_dry_run {
        return Ok((!is_held, old));
    }
    if is_marked && (is_held || grace_s > 0) {
        return Ok((false, old));
    }
    let is_pod = change.view.resource.table == "pods";
    if !is_held && grace_s == 0 && !is_pod {
        return Ok((true, remove(change, old)));
    }
    let marked = mark(change, options, old, grace_s, is_held)?;
    if is_held || grace_s > 0 {
        return Ok((false, marked));
    }
    remove(change, marked.clone());
    Ok((true, marked))
}

/// Seconds that a pod on a node gets to end.
fn grace(change: &Change<'_>, options: &Options, old: &Value) -> i64 {
    let is_on_node = old["spec"]["nodeName"].is_string();
    let has_ended = matches!(old["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if change.view.resource.table != "pods" || !is_on_node || has_ended || !change.api.graceful_pods
    {
        return 0;
    }
    let own = old["spec"]["terminationGracePeriodSeconds"].as_i64();
    options.grace_s.or(own).unwrap_or(30).max(0)
}

fn mark(
    change: &mut Change<'_>,
    options: &Options,
    mut old: Value,
    grace_s: i64,
    is_held: bool,
) -> Result<Value, ApiError> {
    let at = change.view.now.as_second() + grace_s;
    let at = jiff::Timestamp::from_second(at).unwrap_or(change.view.now);
    object::set_meta(&mut old, "deletionTimestamp", object::time(at).into());
    object::set_meta(&mut old, "deletionGracePeriodSeconds", grace_s.into());
    if let Some(generation) = old["metadata"]["generation"].as_u64() {
        object::set_meta(&mut old, "generation", (generation + 1).into());
    }
    if options.is_foreground && is_held {
        let mut finalizers = object::finalizers(&old);
        finalizers.push("foregroundDeletion".to_owned());
        object::set_meta(&mut old, "finalizers", finalizers.into());
    }
    change.put(&mut old)?;
    Ok(old)
}

/// Takes an object out of the store, with what hangs on it: the contents of a namespace, the objects of a
/// CRD.
pub(crate) fn remove(change: &mut Change<'_>, mut last: Value) -> Value {
    let resource = change.view.resource;
    let name = object::meta(&last, "name").to_owned();
    let inside = match resource.table.as_str() {
        "namespaces" => change.state.store.inside(&name),
        CRDS => {
            let (group, plural) = (&last["spec"]["group"], &last["spec"]["names"]["plural"]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            change.state.registry.remove(&text(group), &text(plural));
            let first = (String::new(), String::new());
            let all = change.state.store.table(&name).list(None, &first);
            all.into_iter().map(|(key, _)| (name.clone(), key)).collect()
        }
        _ => Vec::new(),
    };
    for (table, key) in inside {
        if let Some(stored) = change.state.store.get(&table, &key).cloned() {
            change.state.store.remove(&table, &key, &mut stored.value(), stored.fields.clone());
        }
    }
    let fields = resource.fields(&last);
    change.state.store.remove(&resource.table, &object::key(&last), &mut last, fields);
    last
}

//! The scale subresource (autoscaling/v1 Scale): one number of the object behind it.

use super::{
    Reply, object,
    patch::{self, managed},
    request::Verb,
    resources::ScalePaths,
    status::{ApiError, Cause},
    write::Change,
};
use serde_json::{Value, json};

/// The Scale of a stored object. Zero replicas in the spec are left out, as Go does.
pub(crate) fn of(stored: &Value, paths: &ScalePaths) -> Value {
    let number = |path: &str| object::at(stored, path).and_then(Value::as_i64).unwrap_or(0);
    let fields = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
    let kept = fields
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), stored["metadata"].get(field)?.clone())));
    let metadata: serde_json::Map<String, Value> = kept.collect();
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": {"replicas": number(&paths.status)}});
    if number(&paths.spec) != 0 {
        scale["spec"]["replicas"] = number(&paths.spec).into();
    }
    let selector = paths.selector.as_ref().and_then(|path| object::at(stored, path));
    if let Some(selector) = selector {
        scale["status"]["selector"] = selector.clone();
    }
    scale
}

/// PUT and PATCH of the scale.
pub(crate) fn write(change: &mut Change<'_>) -> Result<Reply, ApiError> {
    let Some(paths) = change.view.version.scale.clone() else { return Err(change.not_found()) };
    let old = change.current()?;
    let wanted = match change.call.verb {
        Verb::Update => change.body()?,
        Verb::Patch => match patch::Kind::of(change.call, change.view.resource)? {
            patch::Kind::Apply => return apply(change, &old, &paths),
            kind => patch::apply_patch(kind, &of(&old, &paths), &change.call.body)?,
        },
        _ => return Err(ApiError::method_not_allowed()),
    };
    let replicas = replicas(change, &wanted)?;
    let mut new = old.clone();
    if let Some(schema) =
        change.view.version.schema.as_ref().filter(|_| !change.view.is_stored_version())
    {
        // The object goes through the version of the request, which need not know all of it.
        schema.prune(&mut new);
    }
    object::set_at(&mut new, &paths.spec, replicas.into());
    let revision = object::meta(&wanted, "resourceVersion");
    object::set_meta(&mut new, "resourceVersion", revision.into());
    let stored = change.replace(&old, new, managed::updated)?;
    Ok(Reply::json(200, of(&stored, &paths)))
}

fn replicas(change: &Change<'_>, scale: &Value) -> Result<i64, ApiError> {
    let wanted = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        Value::Number(number) if number.is_i64() => number.as_i64().unwrap_or(0),
        other => {
            let found = match other {
                Value::String(_) => "string",
                Value::Number(_) => "number",
                Value::Bool(_) => "bool",
                _ => "object",
            };
            return Err(ApiError::undecodable_patch(
                scale,
                &format!(
                    "json: cannot unmarshal {found} into Go struct field ScaleSpec.spec.replicas of type int32"
                ),
            ));
        }
    };
    if wanted < 0 {
        let cause = Cause::invalid(
            ".spec.replicas",
            &wanted.to_string(),
            "should be a non-negative integer",
        );
        return Err(ApiError::invalid(change.view.resource, change.name(), &[cause]));
    }
    Ok(wanted)
}

/// Server-side apply on the scale of a custom resource never works in 1.36: it conflicts, or the forced
/// object cannot be converted.
fn apply(change: &Change<'_>, old: &Value, paths: &ScalePaths) -> Result<Reply, ApiError> {
    let scale = patch::read_document(&change.call.body, &change.call.content_type)
        .map_err(ApiError::bad_request)?;
    let is_changed = object::at(old, &paths.spec) != Some(&scale["spec"]["replicas"]);
    let owner = managed::other_owner(old, &change.call.manager, &paths.spec);
    if let Some(owner) = owner.filter(|_| is_changed && !change.call.query.is_set("force")) {
        let owner = owner.printed_as("autoscaling/v1");
        let cause = Cause {
            reason: "FieldManagerConflict",
            field: ".spec.replicas".to_owned(),
            message: format!("conflict with {owner}"),
        };
        let message = format!("Apply failed with 1 conflict: {}: {}", cause.message, cause.field);
        return Err(ApiError::apply_conflict(message, &[cause]));
    }
    Err(ApiError::internal(format!(
        "failed to convert new object ({}/{}; autoscaling/v1, Kind=Scale) to proper version: request to \
         convert CR to an invalid group/version: autoscaling/v1",
        change.namespace(),
        change.name()
    )))
}

/// What is wrong with the numbers that the scale reads, before the remark that rules were not checked.
pub(crate) fn add_causes(paths: &ScalePaths, value: &Value, causes: &mut Vec<Cause>) {
    let Some(found) = object::at(value, &paths.spec).filter(|found| !found.is_i64()) else {
        return;
    };
    let (path, kind) = (&paths.spec, if found.is_string() { "string" } else { "float64" });
    let printed = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    let why = format!("{path} accessor error: {printed} is of the type {kind}, expected int64");
    let end = causes.len() - usize::from(causes.last().is_some_and(|cause| cause.field == "<nil>"));
    causes.insert(end, Cause::invalid(path.clone(), "0", &why));
}

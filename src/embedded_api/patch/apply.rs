//! Server-side apply: a manager says what it wants, the server knows who wanted what before.

use super::{
    super::{
        Reply, object,
        status::{ApiError, Cause},
        write::Change,
    },
    fields::{self, Fields, Path},
    managed::{self, Entry},
    read_document,
    shape::{List, Shape, has_key, key_of},
};
use serde_json::Value;

/// PATCH with an apply document.
pub(crate) fn apply(change: &mut Change<'_>) -> Result<Reply, ApiError> {
    if change.call.query.get("fieldManager").is_empty() {
        let why = "is required for apply patch";
        let message = format!("Required value: {why}");
        let cause = Cause { message, ..Cause::required("fieldManager") };
        let kind = "PatchOptions";
        return Err(ApiError::invalid_object(
            "PatchOptions.meta.k8s.io",
            "meta.k8s.io",
            kind,
            "",
            &[cause],
        ));
    }
    let mut wanted = read_document(&change.call.body, "application/yaml")
        .map_err(|why| ApiError::bad_request(format!("error decoding YAML: {why}")))?;
    change.check_identity(&mut wanted)?;
    refuse_unknown(change, &wanted)?;
    let wanted = change.view.store(wanted);
    let mut own = Entry::of(change, true);
    own.fields = Fields::of(managed::shape(change), &managed::manageable(&wanted), false);
    match change.current() {
        Ok(old) => onto(change, &old, &wanted, &own),
        Err(_) if change.call.target.subresource.is_none() => create(change, wanted, &own),
        Err(error) => Err(error),
    }
}

/// Apply knows only what the schema declares.
fn refuse_unknown(change: &Change<'_>, wanted: &Value) -> Result<(), ApiError> {
    let Some(schema) = &change.view.version.schema else { return Ok(()) };
    let unknown = schema.prune(&mut wanted.clone());
    let Some(first) = unknown.first() else { return Ok(()) };
    Err(ApiError::internal(format!(
        "failed to create typed patch object ({}/{}; {}, Kind={}): .{first}: field not declared in schema",
        change.namespace(),
        change.name(),
        change.view.api_version(),
        change.view.resource.kind
    )))
}

fn create(change: &mut Change<'_>, wanted: Value, own: &Entry) -> Result<Reply, ApiError> {
    if !object::meta(&wanted, "resourceVersion").is_empty() {
        return Err(change.not_found());
    }
    let mut new = wanted;
    object::remove_meta(&mut new, "managedFields");
    let created = change.insert(&mut new, |change, new| {
        let mut entries = Vec::new();
        managed::set_applied(&mut entries, own.clone(), change);
        managed::write_all(new, entries);
    })?;
    Ok(Reply::json(201, change.view.one(change.call, created)))
}

fn onto(
    change: &mut Change<'_>,
    old: &Value,
    wanted: &Value,
    own: &Entry,
) -> Result<Reply, ApiError> {
    let asked = object::meta(wanted, "resourceVersion");
    if !asked.is_empty() && asked != object::meta(old, "resourceVersion") {
        return Err(ApiError::modified(change.view.resource, change.name()));
    }
    let mut entries = managed::read_all(old);
    let conflicts = conflicts(&entries, own, old, wanted);
    if !conflicts.is_empty() {
        if !change.call.query.is_set("force") {
            return Err(refusal(&conflicts));
        }
        take_over(&mut entries, own, &conflicts);
    }
    let mut new = old.clone();
    remove_dropped(&mut new, &entries, own);
    merge(managed::shape(change), &mut new, &managed::manageable(wanted));
    managed::set_applied(&mut entries, own.clone(), change);
    let stored = change.replace(old, new, |_, _, new| managed::write_all(new, entries.clone()))?;
    Ok(Reply::json(200, change.view.one(change.call, stored)))
}

/// A field that somebody else set to something else.
struct Conflict {
    with: String,
    path: Path,
}

fn conflicts(entries: &[Entry], own: &Entry, old: &Value, wanted: &Value) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_same_manager(own)) {
        for path in own.fields.paths().into_iter().filter(|path| entry.fields.contains(path)) {
            let (before, after) = (fields::get(old, &path), fields::get(wanted, &path));
            // Items of lists are in both; only what is inside them can differ.
            let is_item = path.last().is_some_and(|key| key.starts_with("k:"));
            if !is_item && before != after {
                conflicts.push(Conflict { with: entry.printed(), path });
            }
        }
    }
    conflicts
}

fn refusal(conflicts: &[Conflict]) -> ApiError {
    let cause = |conflict: &Conflict| Cause {
        reason: "FieldManagerConflict",
        field: fields::printed(&conflict.path),
        message: format!("conflict with {}", conflict.with),
    };
    let causes: Vec<_> = conflicts.iter().map(cause).collect();
    let message = match causes.as_slice() {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
        many => {
            let mut message = format!("Apply failed with {} conflicts:", many.len());
            let mut with = "";
            for (conflict, cause) in conflicts.iter().zip(many) {
                if conflict.with != with {
                    let lead = if with.is_empty() { " " } else { "\n" };
                    message = format!("{message}{lead}conflicts with {}:", conflict.with);
                    with = &conflict.with;
                }
                message = format!("{message}\n- {}", cause.field);
            }
            message
        }
    };
    ApiError::apply_conflict(message, &causes)
}

/// With force the others lose the fields they disagree on.
fn take_over(entries: &mut [Entry], own: &Entry, conflicts: &[Conflict]) {
    for conflict in conflicts {
        let mut taken = Fields::default();
        let last = conflict
            .path
            .iter()
            .fold(&mut taken, |node, key| node.below.entry(key.clone()).or_default());
        last.is_own = true;
        for entry in entries.iter_mut().filter(|entry| !entry.is_same_manager(own)) {
            entry.fields.subtract(&taken);
        }
    }
}

/// What the manager applied before and leaves out now goes, unless somebody else has it too.
fn remove_dropped(object: &mut Value, entries: &[Entry], own: &Entry) {
    let Some(earlier) = entries.iter().find(|entry| entry.is_same_manager(own)) else { return };
    let others = || entries.iter().filter(|entry| !entry.is_same_manager(own));
    for path in earlier.fields.paths() {
        let is_kept =
            own.fields.contains(&path) || others().any(|other| other.fields.contains(&path));
        // A map of which something is still wanted stays.
        let has_more = own.fields.paths().iter().any(|more| more.starts_with(&path));
        if !is_kept && !has_more {
            fields::remove(object, &path);
        }
    }
}

/// Puts all of `wanted` into `object`.
fn merge(shape: Shape<'_>, object: &mut Value, wanted: &Value) {
    match (&mut *object, wanted) {
        (Value::Object(map), Value::Object(wanted)) if !shape.is_atomic_map() => {
            for (key, value) in wanted {
                merge(shape.field(key), map.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(items), Value::Array(wanted)) => match shape.list() {
            List::Atomic => wanted.clone_into(items),
            List::Set => {
                let new: Vec<_> =
                    wanted.iter().filter(|item| !items.contains(item)).cloned().collect();
                items.extend(new);
            }
            List::Keyed(keys) => {
                for item in wanted {
                    let key = key_of(item, &keys);
                    match items.iter_mut().find(|old| has_key(old, &key)) {
                        Some(old) => merge(shape.item(), old, item),
                        None => items.push(item.clone()),
                    }
                }
            }
        },
        (object, wanted) => *object = wanted.clone(),
    }
}

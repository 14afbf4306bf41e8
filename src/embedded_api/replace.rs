//! Update and patch: an object takes the place of what it was.

use super::{
    Reply, builtin, delete, object,
    patch::{self, managed},
    status::{ApiError, Cause},
    write::Change,
};
use serde_json::{Map, Value, json};

impl Change<'_> {
    pub(crate) fn update(&mut self) -> Result<Reply, ApiError> {
        let mut body = self.body()?;
        self.check_identity(&mut body)?;
        self.prune(&mut body, Self::refuse_undecodable)?;
        let resource = self.view.resource;
        let old = self.current()?;
        let asked = object::meta(&body, "resourceVersion");
        if asked.is_empty() && !resource.allows_blind_update() {
            let cause =
                Cause::invalid("metadata.resourceVersion", "0", "must be specified for an update");
            let (name, on) = (self.name(), resource.qualified());
            return Err(ApiError::invalid_object(
                &on,
                &resource.group,
                &resource.plural,
                name,
                &[cause],
            ));
        }
        let new = self.view.store(body);
        let stored = self.replace(&old, new, managed::updated)?;
        Ok(Reply::json(200, self.view.one(self.call, stored)))
    }

    pub(crate) fn patch(&mut self) -> Result<Reply, ApiError> {
        let kind = patch::Kind::of(self.call, self.view.resource)?;
        if kind == patch::Kind::Apply {
            return patch::apply::apply(self);
        }
        let old = self.current()?;
        let shown = self.view.present(old.clone());
        let mut patched = patch::apply_patch(kind, &shown, &self.call.body)?;
        self.check_identity(&mut patched)?;
        if let Some(why) = builtin::unreadable_time(self.view.resource, &patched) {
            return Err(ApiError::undecodable_patch(&patched, &why));
        }
        let whole = patched.clone();
        self.prune(&mut patched, |_, why| {
            ApiError::undecodable_patch(&whole, &format!("strict decoding error: {why}"))
        })?;
        let new = self.view.store(patched);
        let stored = self.replace(&old, new, managed::updated)?;
        Ok(Reply::json(200, self.view.one(self.call, stored)))
    }

    /// Puts `new` in the place of `old` (both as stored) and gives it as the client sees it.
    pub(crate) fn replace(
        &mut self,
        old: &Value,
        mut new: Value,
        manage: impl Fn(&Self, Option<&Value>, &mut Value),
    ) -> Result<Value, ApiError> {
        let resource = self.view.resource;
        self.check_preconditions(old, &new)?;
        keep_system_metadata(old, &mut new);
        match self.call.target.subresource.as_deref() {
            Some("status") => new = with_part(old, &new, "status"),
            _ if self.view.version.has_status => {
                object::replace_part(&mut new, "status", old.get("status"));
            }
            _ => {}
        }
        self.default(&mut new);
        if resource.table == "events" {
            super::event_form::set_defaults(&mut new);
        }
        self.check_finalizers(old, &new)?;
        self.validate(&new, Some(old))?;
        if resource.has_generation && spec_of(old) != spec_of(&new) {
            let generation = old["metadata"]["generation"].as_u64().unwrap_or(1) + 1;
            object::set_meta(&mut new, "generation", generation.into());
        }
        manage(self, Some(old), &mut new);
        if is_same(old, &new) {
            return Ok(self.view.present(old.clone()));
        }
        if self.call.is_dry_run() {
            return Ok(self.view.present(new));
        }
        if is_finished(&new) {
            delete::remove(self, new.clone());
            return Ok(self.view.present(new));
        }
        self.put(&mut new)?;
        Ok(self.view.present(new))
    }

    fn check_preconditions(&self, old: &Value, new: &Value) -> Result<(), ApiError> {
        let resource = self.view.resource;
        let (name, asked) = (object::meta(old, "name"), object::meta(new, "resourceVersion"));
        if !asked.is_empty() && asked != "0" && asked != object::meta(old, "resourceVersion") {
            return Err(ApiError::modified(resource, name));
        }
        let (uid, current) = (object::meta(new, "uid"), object::meta(old, "uid"));
        if !uid.is_empty() && uid != current {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {current}"
            );
            let (on, group) = (resource.qualified(), &resource.group);
            return Err(ApiError::conflict(&on, group, &resource.plural, name, &why));
        }
        Ok(())
    }

    fn check_finalizers(&self, old: &Value, new: &Value) -> Result<(), ApiError> {
        if object::meta(old, "deletionTimestamp").is_empty() {
            return Ok(());
        }
        let before = object::finalizers(old);
        let added: Vec<_> =
            object::finalizers(new).into_iter().filter(|f| !before.contains(f)).collect();
        if added.is_empty() {
            return Ok(());
        }
        let printed: Vec<_> = added.iter().map(|finalizer| format!("{finalizer:?}")).collect();
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers \
             []string{{{}}}",
            printed.join(", ")
        );
        let cause = Cause::forbidden("metadata.finalizers", &why);
        // Metadata of custom resources is validated twice.
        let causes = vec![cause; if self.view.resource.is_custom { 2 } else { 1 }];
        Err(ApiError::invalid(self.view.resource, object::meta(old, "name"), &causes))
    }
}

/// Clients cannot change these.
const SYSTEM_METADATA: [&str; 8] = [
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
    "generateName",
    "managedFields",
];

fn keep_system_metadata(old: &Value, new: &mut Value) {
    for field in SYSTEM_METADATA {
        match old["metadata"].get(field) {
            Some(value) => object::set_meta(new, field, value.clone()),
            None => object::remove_meta(new, field),
        }
    }
}

/// `old` with one part of `new`.
fn with_part(old: &Value, new: &Value, part: &str) -> Value {
    let mut mixed = old.clone();
    object::replace_part(&mut mixed, part, new.get(part));
    mixed
}

/// What the generation counts changes of.
fn spec_of(value: &Value) -> Map<String, Value> {
    let mut map = value.as_object().cloned().unwrap_or_default();
    map.retain(|key, _| !matches!(key.as_str(), "metadata" | "status"));
    map
}

/// Nothing that a client cares for has changed.
fn is_same(old: &Value, new: &Value) -> bool {
    let times_removed = |value: &Value| {
        let mut value = value.clone();
        let fields = value["metadata"]["managedFields"].as_array_mut();
        for entry in fields.into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.remove("time");
        }
        value
    };
    times_removed(old) == times_removed(new)
}

/// A deleted object whose last finalizer is gone. Nothing here collects dependants, so waiting for that
/// holds nothing up.
fn is_finished(value: &Value) -> bool {
    let finalizers = object::finalizers(value);
    !object::meta(value, "deletionTimestamp").is_empty()
        && value["metadata"]["deletionGracePeriodSeconds"] == json!(0)
        && finalizers.iter().all(|finalizer| finalizer == "foregroundDeletion")
}

//! Create, update, patch: what every change goes through before it is stored.

use super::{
    Api, Reply, State, builtin, crd, delete, lock, object,
    patch::{self, managed},
    pods,
    request::{Call, Verb},
    scale,
    status::{ApiError, Cause},
    view::View,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Carries out a write.
pub(crate) fn write(api: &Arc<Api>, call: &Call, view: &View<'_>) -> Result<Reply, ApiError> {
    let mut state = lock(&api.state);
    let mut change = Change { api, call, view, state: &mut state, warnings: Vec::new() };
    match call.target.subresource.as_deref() {
        Some("binding") if view.resource.table == "pods" => return pods::bind(&mut change),
        Some("eviction") if view.resource.table == "pods" => return pods::evict(&mut change),
        Some("scale") if view.version.scale.is_some() => return scale::write(&mut change),
        Some("status") if !view.version.has_status => return Err(change.not_found()),
        None | Some("status") => {}
        Some(_) => return Err(change.not_found()),
    }
    let mut reply = match call.verb {
        Verb::Create if call.target.name.is_none() => change.create(),
        Verb::Update => change.update(),
        Verb::Patch => change.patch(),
        Verb::Delete if call.target.subresource.is_none() => delete::one(&mut change),
        Verb::DeleteCollection if view.resource.allows_delete_collection() => {
            delete::collection(&mut change)
        }
        _ => Err(ApiError::method_not_allowed()),
    }?;
    reply.warnings.append(&mut change.warnings);
    Ok(reply)
}

/// GET of a subresource.
pub(crate) fn read_subresource(
    api: &Arc<Api>,
    call: &Call,
    view: &View<'_>,
) -> Result<Reply, ApiError> {
    let mut state = lock(&api.state);
    let change = Change { api, call, view, state: &mut state, warnings: Vec::new() };
    let stored = change.current()?;
    match call.target.subresource.as_deref() {
        Some("status") if view.version.has_status => {
            Ok(Reply::json(200, view.one(call, view.present(stored))))
        }
        Some("scale") => match &view.version.scale {
            Some(paths) => Ok(Reply::json(200, scale::of(&stored, paths))),
            None => Err(change.not_found()),
        },
        _ => Err(change.not_found()),
    }
}

/// One write on one resource, under the lock of the state.
pub(crate) struct Change<'a> {
    pub(crate) api: &'a Arc<Api>,
    pub(crate) call: &'a Call,
    pub(crate) view: &'a View<'a>,
    pub(crate) state: &'a mut State,
    pub(crate) warnings: Vec<String>,
}

impl Change<'_> {
    pub(crate) fn name(&self) -> &str {
        self.call.target.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.call.target.object_namespace().unwrap_or_default()
    }

    pub(crate) fn not_found(&self) -> ApiError {
        ApiError::not_found(self.view.resource, self.name())
    }

    /// The object as it is stored.
    pub(crate) fn current(&self) -> Result<Value, ApiError> {
        let key = (self.namespace().to_owned(), self.name().to_owned());
        let stored = self.state.store.get(&self.view.resource.table, &key);
        stored.map(|stored| stored.value()).ok_or_else(|| self.not_found())
    }

    /// The body of a POST or PUT.
    pub(crate) fn body(&self) -> Result<Value, ApiError> {
        if !matches!(self.call.content_type.as_str(), "" | "application/json" | "application/yaml")
        {
            let accepted =
                "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            return Err(ApiError::unsupported_media_type(accepted));
        }
        patch::read_document(&self.call.body, &self.call.content_type).map_err(|why| {
            let start: String = String::from_utf8_lossy(&self.call.body).chars().take(30).collect();
            ApiError::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): couldn't get version/kind; \
                 json parse error: {why} ({start} ...)",
                self.view.resource.kind
            ))
        })
    }

    /// Whether the body is what the path says; what it leaves out is filled in.
    pub(crate) fn check_identity(&self, body: &mut Value) -> Result<(), ApiError> {
        let (expected, kind) = (self.view.api_version(), &self.view.resource.kind);
        let said = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        let (found, found_kind) = (said("apiVersion"), said("kind"));
        if !found.is_empty() && found != expected {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({found}) does not match the expected API version ({expected})"
            )));
        }
        if !found_kind.is_empty() && found_kind != *kind {
            return Err(ApiError::bad_request(format!(
                "the kind in the data ({found_kind}) does not match the expected kind ({kind})"
            )));
        }
        let namespace = object::meta(body, "namespace").to_owned();
        if !namespace.is_empty() && namespace != self.namespace() {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        if self.view.resource.namespaced {
            object::set_meta(body, "namespace", self.namespace().into());
        }
        let name = object::meta(body, "name").to_owned();
        if !self.name().is_empty() {
            if !name.is_empty() && name != self.name() {
                return Err(ApiError::bad_request(format!(
                    "the name of the object ({name}) does not match the name on the URL ({})",
                    self.name()
                )));
            }
            object::set_meta(body, "name", self.name().into());
        }
        Ok(())
    }

    /// Removes unknown fields, and warns of them or refuses as `fieldValidation` says.
    fn prune(
        &mut self,
        body: &mut Value,
        refuse: impl Fn(&Self, &str) -> ApiError,
    ) -> Result<(), ApiError> {
        let unknown = match &self.view.version.schema {
            Some(schema) => schema.prune(body),
            None => prune_top_level(&self.view.resource.top_level, body),
        };
        let said: Vec<_> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
        match self.call.query.get("fieldValidation") {
            "Ignore" => {}
            "Strict" if !said.is_empty() => return Err(refuse(self, &said.join(", "))),
            _ => self.warnings.extend(said),
        }
        Ok(())
    }

    fn refuse_undecodable(&self, why: &str) -> ApiError {
        let (kind, version) = (&self.view.resource.kind, &self.view.version.name);
        ApiError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {why}"
        ))
    }

    fn create(&mut self) -> Result<Reply, ApiError> {
        let mut body = self.body()?;
        self.check_identity(&mut body)?;
        self.prune(&mut body, Self::refuse_undecodable)?;
        if !object::meta(&body, "resourceVersion").is_empty() {
            return Err(ApiError::internal(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let mut new = self.view.store(body);
        object::remove_meta(&mut new, "managedFields");
        let created = self.insert(&mut new, |change, new| managed::updated(change, None, new))?;
        Ok(Reply::json(201, self.view.one(self.call, created)))
    }

    /// Stores a new object and gives it as the client sees it.
    pub(crate) fn insert(
        &mut self,
        new: &mut Value,
        manage: impl Fn(&Self, &mut Value),
    ) -> Result<Value, ApiError> {
        let resource = self.view.resource;
        self.check_namespace_exists()?;
        let prefix = object::meta(new, "generateName").to_owned();
        if object::meta(new, "name").is_empty() && !prefix.is_empty() {
            let name = prefix + &self.state.store.new_suffix();
            object::set_meta(new, "name", name.into());
        }
        if object::meta(new, "name").is_empty() {
            let why = "name or generateName is required";
            let cause = Cause {
                message: format!("Required value: {why}"),
                ..Cause::required("metadata.name")
            };
            return Err(ApiError::invalid(resource, "", &[cause]));
        }
        let key = object::key(new);
        if self.state.store.get(&resource.table, &key).is_some() {
            return Err(ApiError::already_exists(resource, &key.1));
        }
        self.set_system_metadata(new);
        self.drop_status_of_new(new);
        self.default(new);
        if resource.table == "pods" {
            pods::set_priority(self, new)?;
        }
        builtin::set_defaults(resource, new);
        if resource.table == CRDS {
            crd::set_defaults(new);
        }
        manage(self, new);
        self.validate(new, None)?;
        if self.call.is_dry_run() {
            return Ok(self.view.present(new.clone()));
        }
        self.put(new)?;
        Ok(self.view.present(new.clone()))
    }

    fn check_namespace_exists(&self) -> Result<(), ApiError> {
        let key = (String::new(), self.namespace().to_owned());
        if key.1.is_empty() || self.state.store.get("namespaces", &key).is_some() {
            return Ok(());
        }
        let namespaces = self.state.registry.get("", "namespaces");
        Err(namespaces.map_or_else(ApiError::page_not_found, |r| ApiError::not_found(&r, &key.1)))
    }

    fn set_system_metadata(&mut self, new: &mut Value) {
        let uid = self.state.store.new_uid();
        let Some(metadata) = object::child(new, "metadata") else { return };
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
            metadata.remove(field);
        }
        for field in ["annotations", "labels"] {
            if metadata.get(field).and_then(Value::as_object).is_some_and(Map::is_empty) {
                metadata.remove(field);
            }
        }
        metadata.insert("uid".into(), uid.into());
        metadata.insert("creationTimestamp".into(), object::time(self.view.now).into());
        if self.view.resource.has_generation {
            metadata.insert("generation".into(), 1.into());
        }
    }

    /// With a status subresource a new object has no status; nodes register with one.
    fn drop_status_of_new(&self, new: &mut Value) {
        if self.view.version.has_status && self.view.resource.table != "nodes" {
            object::replace_part(new, "status", None);
        }
    }

    fn default(&self, value: &mut Value) {
        if let Some(schema) = &self.view.version.schema {
            schema.set_defaults(value);
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
        let resource = self.view.resource;
        let mut causes =
            if old.is_none() { builtin::name_causes(resource, new) } else { Vec::new() };
        if causes.is_empty() {
            causes = builtin::causes(resource, self.view.version, new, old);
        }
        if let Some(schema) = &self.view.version.schema {
            causes.extend(schema.causes(new, old));
            if let Some(paths) = &self.view.version.scale {
                scale::add_causes(paths, new, &mut causes);
            }
        }
        if resource.table == CRDS {
            causes.extend(crd::resource(new).err().into_iter().flatten());
        }
        if causes.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(resource, object::meta(new, "name"), &causes))
    }

    /// Stores an object, and lets a CRD take effect.
    pub(crate) fn put(&mut self, new: &mut Value) -> Result<(), ApiError> {
        let resource = self.view.resource;
        let fields = resource.fields(new);
        if resource.table != CRDS {
            self.state.store.put(&resource.table, object::key(new), new, fields);
            return Ok(());
        }
        let defined = crd::resource(new);
        let defined = defined
            .map_err(|causes| ApiError::invalid(resource, object::meta(new, "name"), &causes))?;
        self.state.registry.add(defined);
        // First without a status; accepting the names is a change of its own.
        crd::set_first_status(new);
        self.state.store.put(CRDS, object::key(new), new, fields.clone());
        let mut accepted = new.clone();
        crd::set_status(&mut accepted, self.view.now);
        self.state.store.put(CRDS, object::key(new), &mut accepted, fields);
        Ok(())
    }

    fn update(&mut self) -> Result<Reply, ApiError> {
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

    fn patch(&mut self) -> Result<Reply, ApiError> {
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

/// Table of the definitions.
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

fn prune_top_level(known: &[String], body: &mut Value) -> Vec<String> {
    let is_known = |key: &str| {
        matches!(key, "apiVersion" | "kind" | "metadata") || known.iter().any(|field| field == key)
    };
    let mut unknown = Vec::new();
    if let Some(map) = body.as_object_mut() {
        unknown.extend(map.keys().filter(|key| !is_known(key)).cloned());
        map.retain(|key, _| is_known(key));
    }
    unknown
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

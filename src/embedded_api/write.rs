//! Writes: what every change goes through before it is stored.

use super::{
    Api, Reply, State, builtin, crd, delete, lock, object, patch, pods,
    request::{Call, Verb},
    scale,
    status::ApiError,
    view::View,
};
use serde_json::Value;
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
    pub(crate) fn prune(
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

    pub(crate) fn refuse_undecodable(&self, why: &str) -> ApiError {
        let (kind, version) = (&self.view.resource.kind, &self.view.version.name);
        ApiError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {why}"
        ))
    }

    pub(crate) fn validate(&self, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
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

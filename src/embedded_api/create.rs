//! Create: a new object gets its name, its identity and its defaults.

use super::{
    Reply, builtin, crd, object,
    patch::managed,
    pods,
    status::{ApiError, Cause},
    write::{CRDS, Change},
};
use serde_json::{Map, Value};

impl Change<'_> {
    pub(crate) fn create(&mut self) -> Result<Reply, ApiError> {
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

    pub(crate) fn default(&self, value: &mut Value) {
        if let Some(schema) = &self.view.version.schema {
            schema.set_defaults(value);
        }
    }
}

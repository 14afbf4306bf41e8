//! Stored objects as a client asked to see them: version, whole or metadata only or as rows of a table.

use super::{
    event_form, object,
    request::{Accept, Call},
    resources::{Form, Resource, Version},
    store::{Found, Stored},
    table,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// One resource in one version, as one request sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) version: &'a Version,
    pub(crate) now: Timestamp,
}

impl View<'_> {
    pub(crate) fn api_version(&self) -> String {
        self.resource.api_version(&self.version.name)
    }

    pub(crate) fn is_stored_version(&self) -> bool {
        self.resource.storage_version == self.version.name
    }

    /// From the storage version to the one asked for.
    pub(crate) fn present(&self, mut stored: Value) -> Value {
        match (self.version.form, &self.version.schema) {
            (Form::NewEvent, _) => stored = event_form::to_new(stored),
            (Form::Same, Some(schema)) if !self.is_stored_version() => {
                drop(schema.prune(&mut stored));
            }
            (Form::Same, _) => {}
        }
        object::set_type(&mut stored, &self.api_version(), &self.resource.kind);
        stored
    }

    /// From the version of the request to the storage version.
    pub(crate) fn store(&self, mut object: Value) -> Value {
        if self.version.form == Form::NewEvent {
            object = event_form::to_core(object);
        }
        object::set_type(&mut object, &self.resource.stored_api_version(), &self.resource.kind);
        object
    }

    /// One object in the form that the client accepts.
    pub(crate) fn one(&self, call: &Call, object: Value) -> Value {
        match call.accept {
            Accept::Json => object,
            Accept::Metadata => metadata_only(&object),
            Accept::Table => table::of(
                self,
                call,
                std::slice::from_ref(&object),
                &json!({
                    "resourceVersion": object::meta(&object, "resourceVersion"),
                }),
            ),
        }
    }

    /// A list in the form that the client accepts.
    pub(crate) fn list(&self, call: &Call, found: &Found, metadata: &Value) -> Vec<u8> {
        match call.accept {
            Accept::Json => self.plain_list(found, metadata),
            Accept::Metadata => {
                let items = found.iter().map(|(_, stored)| metadata_only(&stored.value()));
                let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items.collect::<Value>()});
                list.to_string().into_bytes()
            }
            Accept::Table => {
                let items: Vec<_> = found.iter().map(|(_, s)| self.present(s.value())).collect();
                table::of(self, call, &items, metadata).to_string().into_bytes()
            }
        }
    }

    /// Joins the stored bytes where they are what the client wants.
    fn plain_list(&self, found: &Found, metadata: &Value) -> Vec<u8> {
        let (kind, api_version) = (json!(self.resource.list_kind), json!(self.api_version()));
        let mut list = format!(
            "{{\"kind\":{kind},\"apiVersion\":{api_version},\"metadata\":{metadata},\"items\":["
        )
        .into_bytes();
        for (at, (_, stored)) in found.iter().enumerate() {
            if at > 0 {
                list.push(b',');
            }
            self.add_item(&mut list, stored);
        }
        list.extend_from_slice(b"]}");
        list
    }

    fn add_item(&self, list: &mut Vec<u8>, stored: &Stored) {
        if !self.is_stored_version() || self.version.form != Form::Same {
            list.extend_from_slice(self.present(stored.value()).to_string().as_bytes());
            return;
        }
        // Items of built-in lists do not say what they are; the list does.
        let (kind, api_version) = (json!(self.resource.kind), json!(self.api_version()));
        let said = format!("{{\"apiVersion\":{api_version},\"kind\":{kind},");
        match stored.json.strip_prefix(said.as_bytes()) {
            Some(rest) if !self.resource.is_custom => {
                list.push(b'{');
                list.extend_from_slice(rest);
            }
            _ if self.resource.is_custom => list.extend_from_slice(&stored.json),
            _ => {
                let mut item = stored.value();
                object::replace_part(&mut item, "apiVersion", None);
                object::replace_part(&mut item, "kind", None);
                list.extend_from_slice(item.to_string().as_bytes());
            }
        }
    }
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

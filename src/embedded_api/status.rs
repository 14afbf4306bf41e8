//! Failures as the API tells them: `Status` objects (API conventions, "Response Status Kind"), in the words
//! and with the details of kube-apiserver 1.36.

use super::resources::Resource;
use serde_json::{Map, Value, json};

/// One reason why an object is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Cause {
    pub(crate) fn required(field: impl Into<String>) -> Self {
        let message = "Required value".to_owned();
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// `value` as it shall be printed.
    pub(crate) fn invalid(field: impl Into<String>, value: &str, why: &str) -> Self {
        let message = format!("Invalid value: {value}: {why}");
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        let message = format!("Forbidden: {why}");
        Self { reason: "FieldValueForbidden", field: field.into(), message }
    }

    fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

/// A request that failed; becomes the HTTP status and a `Status` body, or an ERROR event of a watch.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    reason: &'static str,
    message: String,
    details: Option<Value>,
    /// Seconds, for the header and the details.
    pub(crate) retry_after: Option<u64>,
    /// Token for going on with a list whose revision is forgotten.
    next: Option<String>,
    /// A body that is text instead of a `Status`.
    pub(crate) plain: bool,
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, reason, message, details: None, retry_after: None, next: None, plain: false }
    }

    fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The `Status` object.
    pub(crate) fn body(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(next) = &self.next {
            metadata.insert("continue".into(), next.as_str().into());
        }
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            body["details"] = details.clone();
        }
        body
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// Group, version or resource that is not served: no `Status`.
    pub(crate) fn page_not_found() -> Self {
        Self { plain: true, ..Self::new(404, "", "404 page not found\n") }
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::new(404, "NotFound", message).with(resource.details(name))
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with(json!({}))
    }

    pub(crate) fn not_acceptable() -> Self {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json, \
            application/yaml, application/vnd.kubernetes.protobuf";
        Self::new(406, "NotAcceptable", message).with(json!({}))
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).with(resource.details(name))
    }

    /// The resourceVersion of the request is not the current one.
    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
            and try again";
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::new(409, "Conflict", message).with(resource.details(name))
    }

    /// `on` is what stands in the message, `kind` what stands in the details.
    pub(crate) fn conflict(on: &str, group: &str, kind: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {on} {name:?}: {why}");
        Self::new(409, "Conflict", message).with(details(name, group, kind))
    }

    /// Fields that other managers have applied with other values.
    pub(crate) fn apply_conflict(message: String, causes: &[Cause]) -> Self {
        let causes: Vec<_> = causes.iter().map(Cause::json).collect();
        Self::new(409, "Conflict", message).with(json!({"causes": causes}))
    }

    pub(crate) fn gone(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A continue token whose revision is forgotten; `next` goes on with what is there now.
    pub(crate) fn expired_continue(next: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list \
            result. You can start a new list without the continue parameter, or use the continue \
            token in this response to retrieve the remainder of the results. Continuing with the \
            provided token results in an inconsistent list - objects that were created, modified, \
            or deleted between the time the first chunk was returned and now may show up in the \
            list.";
        Self { next: Some(next), ..Self::gone(message) }
    }

    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A patch of a type that no resource knows.
    pub(crate) fn unknown_patch_type() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with(json!({}))
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        // Events of both groups are validated as the older kind.
        let is_event = resource.table == "events";
        let group = if is_event { "" } else { &resource.group };
        let what = if is_event { resource.kind.clone() } else { resource.qualified_kind() };
        Self::invalid_object(&what, group, &resource.kind, name, causes)
    }

    /// `what` is what stands in the message, `kind` what stands in the details.
    pub(crate) fn invalid_object(
        what: &str,
        group: &str,
        kind: &str,
        name: &str,
        causes: &[Cause],
    ) -> Self {
        let mut all: Vec<_> =
            causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        all.dedup();
        let why = match all.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut details = details(name, group, kind);
        details["causes"] = causes.iter().map(Cause::json).collect();
        Self::new(422, "Invalid", format!("{what} {name:?} is invalid: {why}")).with(details)
    }

    /// A patched object that cannot be decoded: the whole object stands in the message.
    pub(crate) fn undecodable_patch(patched: &Value, why: &str) -> Self {
        let printed = format!("{:?}", patched.to_string());
        let cause = Cause::invalid("patch", &printed, why);
        let message = format!(" \"\" is invalid: patch: {}", cause.message);
        Self::new(422, "Invalid", message).with(json!({"causes": [cause.json()]}))
    }

    /// A JSON patch whose test fails or whose path is missing.
    pub(crate) fn patch_refused() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", message).with(json!({}))
    }

    /// What priority and fairness answers: text.
    pub(crate) fn throttled() -> Self {
        let message = "Too many requests, please try again later.\n";
        Self { plain: true, retry_after: Some(1), ..Self::new(429, "", message) }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// A streaming list on a storage without progress notifications (etcd before 3.4.25).
    pub(crate) fn no_watch_progress() -> Self {
        let message = "a watch stream was requested by the client but the required storage feature \
            RequestWatchProgress is disabled";
        Self::new(500, "InternalError", message)
    }

    /// A resourceVersion of the future.
    pub(crate) fn too_large_version(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let cause =
            json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        let error = Self::new(504, "Timeout", message)
            .with(json!({"causes": [cause], "retryAfterSeconds": 1}));
        Self { retry_after: Some(1), ..error }
    }

    pub(crate) fn forbidden(
        group: &str,
        plural: &str,
        name: Option<&str>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(403, "Forbidden", message).with(details(name.unwrap_or_default(), group, plural))
    }

    /// A failure that a test ordered.
    pub(crate) fn ordered(code: u16) -> Self {
        let reason = match code {
            403 => "Forbidden",
            409 => "Conflict",
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "InternalError",
        };
        Self::new(code, reason, "refused by a fault of the embedded API")
    }
}

/// `details` of a `Status`; empty parts are left out.
pub(crate) fn details(name: &str, group: &str, kind: &str) -> Value {
    let parts = [("name", name), ("group", group), ("kind", kind)];
    let filled = parts.into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(filled.map(|(key, value)| (key.to_owned(), value.into())).collect())
}

/// What creating a binding or an eviction answers.
pub(crate) fn created() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
}

//! The four ways to change a part of an object: JSON patch (RFC 6902), merge patch (RFC 7386), strategic
//! merge patch, and server-side apply.

pub(crate) mod apply;
pub(crate) mod fields;
pub(crate) mod managed;
pub(crate) mod shape;
mod strategic;

use super::{request::Call, resources::Resource, status::ApiError};
use json_patch::Patch;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Kind {
    /// By the content type; custom resources know no strategic merge.
    pub(crate) fn of(call: &Call, resource: &Resource) -> Result<Self, ApiError> {
        match call.content_type.as_str() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            "application/strategic-merge-patch+json" if !resource.is_custom => Ok(Self::Strategic),
            "application/strategic-merge-patch+json" => Err(ApiError::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            _ => Err(ApiError::unknown_patch_type()),
        }
    }
}

/// `object` with the patch of `body` applied.
pub(crate) fn apply_patch(kind: Kind, object: &Value, body: &[u8]) -> Result<Value, ApiError> {
    let mut patched = object.clone();
    if kind == Kind::Json {
        let patch: Patch = serde_json::from_slice(body).map_err(|_| {
            let found = if body.first() == Some(&b'[') { "array" } else { "object" };
            ApiError::bad_request(format!(
                "error decoding patch: json: cannot unmarshal {found} into Go value of type \
                 []handlers.jsonPatchOp"
            ))
        })?;
        json_patch::patch(&mut patched, &patch.0).map_err(|_| ApiError::patch_refused())?;
        return Ok(patched);
    }
    let patch: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if kind == Kind::Strategic {
        strategic::merge(&mut patched, &patch);
    } else {
        json_patch::merge(&mut patched, &patch);
    }
    Ok(patched)
}

/// A body of JSON or YAML.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read_document(body: &[u8], content_type: &str) -> Result<Value, String> {
    match serde_json::from_slice(body) {
        Ok(value) => Ok(value),
        Err(_) if content_type.ends_with("yaml") => {
            let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
            serde_saphyr::from_str(text).map_err(|error| error.to_string())
        }
        Err(error) if error.is_eof() => Err("unexpected end of JSON input".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

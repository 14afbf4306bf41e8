//! GET and lists: resourceVersion semantics, pages (API concepts, "Retrieving large results sets in chunks").

use super::{
    Api, Reply,
    history::Forgotten,
    lock,
    request::Call,
    resources::Resource,
    selectors::Selector,
    status::ApiError,
    store::{Found, Key},
    view::View,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

/// GET of one object.
pub(crate) fn get(api: &Api, call: &Call, view: &View<'_>) -> Result<Reply, ApiError> {
    let name = call.target.name.clone().unwrap_or_default();
    let key = (call.target.object_namespace().unwrap_or_default().to_owned(), name);
    let stored = lock(&api.state).store.get(&view.resource.table, &key).cloned();
    let stored = stored.ok_or_else(|| ApiError::not_found(view.resource, &key.1))?;
    Ok(Reply::json(200, view.one(call, view.present(stored.value()))))
}

/// Where a page begins.
struct Start {
    /// The revision the whole list is of; none: the current one.
    revision: Option<u64>,
    key: Key,
    is_continued: bool,
}

/// GET of many objects.
pub(crate) fn list(api: &Api, call: &Call, view: &View<'_>) -> Result<Reply, ApiError> {
    let selector = Selector::parse(
        view.resource,
        call.query.get("labelSelector"),
        call.query.get("fieldSelector"),
    )?;
    let namespace = call.target.object_namespace();
    let (found, revision) = find(api, call, view.resource, namespace)?;
    let (mut found, is_cut_short) = (found, call.query.get("resourceVersion") == "0");
    if !selector.selects_all() {
        found.retain(|(key, stored)| selector.matches(key, stored));
    }
    // A list out of the cache comes whole.
    let limit = call.query.number("limit").filter(|limit| *limit > 0 && !is_cut_short);
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), revision.to_string().into());
    if let Some(limit) = limit.filter(|limit| (found.len() as u64) > *limit) {
        let left = found.len() as u64 - limit;
        found.truncate(limit as usize);
        if let Some((last, _)) = found.last() {
            metadata.insert("continue".into(), token(revision as i64, last, namespace).into());
        }
        if selector.selects_all() {
            metadata.insert("remainingItemCount".into(), left.into());
        }
    }
    Ok(Reply::bytes(view.list(call, &found, &Value::Object(metadata))))
}

/// All objects of the namespace from the start of the page on, and the revision of the list.
fn find(
    api: &Api,
    call: &Call,
    resource: &Resource,
    namespace: Option<&str>,
) -> Result<(Found, u64), ApiError> {
    let start = start(call, namespace)?;
    let mut state = lock(&api.state);
    let current = state.store.revision;
    if let Some(asked) = start.revision.filter(|asked| *asked > current) {
        return Err(ApiError::too_large_version(asked, current));
    }
    let exact = start.is_continued || call.query.get("resourceVersionMatch") == "Exact";
    let table = state.store.table(&resource.table);
    let Some(revision) = start.revision.filter(|_| exact) else {
        return Ok((table.list(namespace, &start.key), current));
    };
    match table.list_at(revision, namespace, &start.key) {
        Ok(found) => Ok((found, revision)),
        Err(Forgotten) if start.is_continued => {
            let next = token_from(-1, &start.key, namespace);
            Err(ApiError::expired_continue(next))
        }
        Err(Forgotten) => {
            Err(ApiError::gone("The resourceVersion for the provided list is too old."))
        }
    }
}

fn start(call: &Call, namespace: Option<&str>) -> Result<Start, ApiError> {
    let first = (namespace.unwrap_or_default().to_owned(), String::new());
    let token = call.query.get("continue");
    if token.is_empty() {
        let revision = match call.query.get("resourceVersion") {
            "" | "0" => None,
            text => Some(text.parse().map_err(|_| {
                ApiError::bad_request(format!("invalid resource version {text:?}"))
            })?),
        };
        return Ok(Start { revision, key: first, is_continued: false });
    }
    let read = read_token(token, namespace).ok_or_else(|| {
        ApiError::bad_request(
            "invalid continue token: continue key is not valid: invalid character 'i' looking for \
             beginning of value",
        )
    })?;
    let (revision, key) = read;
    Ok(Start { revision: u64::try_from(revision).ok(), key, is_continued: true })
}

/// The token for what comes after `last`: as in etcd, the next possible key.
fn token(revision: i64, last: &Key, namespace: Option<&str>) -> String {
    token_from(revision, &(last.0.clone(), format!("{}\0", last.1)), namespace)
}

fn token_from(revision: i64, key: &Key, namespace: Option<&str>) -> String {
    let start = match namespace {
        Some(_) => format!("/{}", key.1),
        None => format!("{}/{}", key.0, key.1),
    };
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start});
    BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str, namespace: Option<&str>) -> Option<(i64, Key)> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let token: Value = serde_json::from_slice(&bytes).ok()?;
    let (left, name) = token["start"].as_str()?.split_once('/')?;
    Some((token["rv"].as_i64()?, (namespace.unwrap_or(left).to_owned(), name.to_owned())))
}

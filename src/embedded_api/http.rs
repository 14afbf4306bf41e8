//! From HTTP to the parts that know the answer, and back.

use super::{
    Api, discovery,
    faults::{Verdict, WriteInfo},
    lock, openapi, read,
    request::{Call, Target, Verb},
    resources::Resource,
    review,
    status::ApiError,
    view::View,
    watch, write,
};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use futures::stream;
use serde_json::Value;
use std::{io, sync::Arc};

/// The largest body that is read, as in etcd with room.
const LARGEST_BODY: usize = 3 << 20;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    content_type: &'static str,
    body: Body,
    /// Texts of Warning headers.
    pub(crate) warnings: Vec<String>,
}

impl Reply {
    fn new(code: u16, content_type: &'static str, body: Body) -> Self {
        Self { code, content_type, body, warnings: Vec::new() }
    }

    pub(crate) fn json(code: u16, value: impl Into<Value>) -> Self {
        Self::json_as("application/json", code, &value.into())
    }

    pub(crate) fn json_as(content_type: &'static str, code: u16, value: &Value) -> Self {
        Self::new(code, content_type, Body::from(format!("{value}\n")))
    }

    pub(crate) fn bytes(mut json: Vec<u8>) -> Self {
        json.push(b'\n');
        Self::new(200, "application/json", Body::from(json))
    }

    pub(crate) fn stream(body: Body) -> Self {
        Self::new(200, "application/json", body)
    }

    pub(crate) fn text(code: u16, text: impl Into<String>) -> Self {
        Self::new(code, "text/plain; charset=utf-8", Body::from(text.into()))
    }

    fn error(error: &ApiError) -> Self {
        if error.plain {
            Self::text(error.code, error.message())
        } else {
            Self::json(error.code, error.body())
        }
    }

    fn response(self) -> Response {
        let mut response = Response::new(self.body);
        *response.status_mut() =
            StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        for warning in self.warnings {
            if let Ok(value) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
                headers.append(header::WARNING, value);
            }
        }
        response
    }
}

/// Answers one request.
pub(crate) async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    tokio::time::sleep(api.faults.current_delay()).await;
    let body = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    let is_head = parts.method == Method::HEAD;
    let (reply, retry_after) = match answer(&api, &parts, body) {
        Ok(Some(reply)) => (reply, None),
        Ok(None) => return broken_connection(),
        Err(error) => (Reply::error(&error), error.retry_after),
    };
    let mut response = reply.response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if is_head {
        *response.body_mut() = Body::empty();
    }
    response
}

/// The connection ends in the middle of the answer.
fn broken_connection() -> Response {
    let broken: Result<Bytes, io::Error> = Err(io::ErrorKind::ConnectionReset.into());
    let mut response = Response::new(Body::from_stream(stream::iter([broken])));
    *response.status_mut() = StatusCode::OK;
    response
}

/// `None`: the connection breaks.
fn answer(api: &Arc<Api>, parts: &Parts, body: Bytes) -> Result<Option<Reply>, ApiError> {
    api.faults.on_request()?;
    let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let user = api.auth.user(header)?;
    let path = parts.uri.path();
    if let Some(reply) = about_the_server(api, parts, path) {
        return Ok(Some(reply));
    }
    let target = Target::parse(path).ok_or_else(ApiError::page_not_found)?;
    let (verb, mut call) = Call::new(&parts.method, &parts.uri, &parts.headers, target, user)?;
    call.body = body;
    if let Some(reply) = review::answer(api, &call)? {
        return Ok(Some(reply));
    }
    api.auth.check(&call.user, verb, &call.target)?;
    let target = &call.target;
    let resource = lock(&api.state).registry.get(&target.group, &target.plural);
    let resource = resource.ok_or_else(ApiError::page_not_found)?;
    on_resource(api, call, &resource)
}

/// Discovery, health and documents.
fn about_the_server(api: &Api, parts: &Parts, path: &str) -> Option<Reply> {
    let state = lock(&api.state);
    let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let trimmed = path.trim_matches('/');
    match trimmed {
        "healthz" | "readyz" | "livez" => Some(Reply::text(200, "ok")),
        "version" => Some(Reply::json(200, discovery::version())),
        "openapi/v2" => Some(Reply::new(200, openapi::V2_TYPE, Body::empty())),
        "openapi/v3" => {
            Some(Reply::json(200, openapi::index(&state.registry, state.store.revision)))
        }
        _ => match trimmed.strip_prefix("openapi/v3/") {
            Some(group_version) => {
                let document = openapi::document(&state.registry, group_version);
                Some(document.map_or_else(
                    || Reply::error(&ApiError::page_not_found()),
                    |document| Reply::json(200, document),
                ))
            }
            None => discovery::answer(&state.registry, trimmed, accept.unwrap_or_default()),
        },
    }
}

fn on_resource(
    api: &Arc<Api>,
    call: Call,
    resource: &Arc<Resource>,
) -> Result<Option<Reply>, ApiError> {
    let version = resource.version(&call.target.version).ok_or_else(ApiError::page_not_found)?;
    let is_in_place = resource.namespaced == call.target.object_namespace().is_some();
    let spans_namespaces = matches!(call.verb, Verb::List | Verb::Watch);
    if !(is_in_place || resource.namespaced && spans_namespaces) {
        return Err(ApiError::page_not_found());
    }
    let warning = version.deprecation.clone();
    let view = View { resource, version, now: api.now() };
    let answered = match call.verb {
        Verb::Get if call.target.subresource.is_none() => read::get(api, &call, &view).map(Some),
        Verb::List => read::list(api, &call, &view).map(Some),
        Verb::Watch => watch::start(api, call, resource, version).map(Some),
        _ => guarded_write(api, &call, &view),
    };
    // Deprecated versions say so even when they fail.
    let warn = |mut reply: Reply| {
        reply.warnings.extend(warning.clone());
        reply
    };
    match answered {
        Ok(reply) => Ok(reply.map(warn)),
        Err(error) if warning.is_some() && error.retry_after.is_none() => {
            Ok(Some(warn(Reply::error(&error))))
        }
        Err(error) => Err(error),
    }
}

/// A write, if the faults let it through.
fn guarded_write(api: &Arc<Api>, call: &Call, view: &View<'_>) -> Result<Option<Reply>, ApiError> {
    if !call.verb.is_write() {
        return write::read_subresource(api, call, view).map(Some);
    }
    let target = &call.target;
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let info = WriteInfo {
        user: call.user.clone(),
        verb: call.verb.name().to_owned(),
        group: target.group.clone(),
        resource: target.plural.clone(),
        namespace: target.object_namespace().unwrap_or_default().to_owned(),
        name: text(&target.name),
        subresource: text(&target.subresource),
        time: api.now(),
        dry_run: call.is_dry_run(),
    };
    let verdict = api.faults.on_write(&info);
    let answered = match verdict {
        Verdict::Refuse(code) => Err(ApiError::ordered(code)),
        Verdict::BreakBefore => {
            api.faults.record(info, 0);
            return Ok(None);
        }
        Verdict::Allow | Verdict::BreakAfter => write::write(api, call, view),
    };
    let code = answered.as_ref().map_or_else(|error| error.code, |reply| reply.code);
    api.faults.record(info, code);
    if verdict == Verdict::BreakAfter {
        return Ok(None);
    }
    answered.map(Some)
}

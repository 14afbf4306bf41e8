//! Watches: one JSON document a line and change (API concepts, "Efficient detection of changes").

use super::{
    Api, Reply,
    history::{Event, Forgotten},
    lock, object,
    request::{Accept, Call},
    resources::{Resource, Version},
    selectors::Selector,
    status::{ApiError, Cause},
    store::{Found, Key, Stored},
    table,
    view::{View, metadata_only},
};
use axum::body::{Body, Bytes};
use futures::stream;
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Time between looks whether a bookmark is due, and the length of a watch without `timeoutSeconds`.
const BOOKMARK_EVERY: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(30);

/// One open watch.
struct Watch {
    api: Arc<Api>,
    call: Call,
    resource: Arc<Resource>,
    version: Version,
    selector: Selector,
    namespace: Option<String>,
    /// Everything up to it has been sent.
    seen: u64,
    /// Revision of the last line that told one.
    told: u64,
    changed: watch::Receiver<u64>,
    cuts: watch::Receiver<u64>,
    end: Instant,
    bookmark_at: Instant,
    has_sent_table: bool,
    /// Lines to be sent before anything else.
    first: Option<Bytes>,
    is_over: bool,
}

/// Answers a watch; what is wrong with the request is answered plainly, what goes wrong later is an event.
pub(crate) fn start(
    api: &Arc<Api>,
    call: Call,
    resource: &Arc<Resource>,
    version: &Version,
) -> Result<Reply, ApiError> {
    let initial = call.query.is_set("sendInitialEvents");
    check_options(&call, initial)?;
    let (labels, fields) = (call.query.get("labelSelector"), call.query.get("fieldSelector"));
    let selector = Selector::parse(resource, labels, fields)?;
    if initial && !api.faults.has_streaming_lists() {
        return Ok(Reply::stream(Body::from(error_line(&ApiError::no_watch_progress()))));
    }
    let namespace = call.target.object_namespace().map(str::to_owned);
    let asked = call.query.number("resourceVersion").unwrap_or(0);
    let starts_with_state = initial || asked == 0;
    let mut state = lock(&api.state);
    let current = state.store.revision;
    let table = state.store.table(&resource.table);
    if !starts_with_state && asked < table.history.oldest() {
        let message = format!("too old resource version: {asked} ({})", table.history.oldest());
        return Ok(Reply::stream(Body::from(error_line(&ApiError::gone(message)))));
    }
    let found = if starts_with_state {
        let first = (namespace.clone().unwrap_or_default(), String::new());
        table.list(namespace.as_deref(), &first)
    } else {
        Found::new()
    };
    let changed = table.changed.subscribe();
    drop(state);
    let length = call.query.number("timeoutSeconds").map_or(LONGEST, Duration::from_secs);
    let seen = if starts_with_state { current } else { asked };
    let mut watch = Watch {
        api: Arc::clone(api),
        resource: Arc::clone(resource),
        version: version.clone(),
        selector,
        namespace,
        seen,
        told: seen,
        changed,
        cuts: api.faults.cuts(),
        end: Instant::now() + length,
        bookmark_at: Instant::now() + BOOKMARK_EVERY,
        has_sent_table: false,
        first: None,
        is_over: false,
        call,
    };
    if starts_with_state {
        watch.first = Some(watch.initial(&found, initial, current));
    }
    Ok(Reply::stream(Body::from_stream(stream::unfold(watch, Watch::next))))
}

fn check_options(call: &Call, initial: bool) -> Result<(), ApiError> {
    let is_matched = call.query.get("resourceVersionMatch") == "NotOlderThan";
    if !initial || is_matched {
        return Ok(());
    }
    let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    let cause = Cause::forbidden("resourceVersionMatch", why);
    Err(ApiError::invalid_object(
        "ListOptions.meta.k8s.io",
        "meta.k8s.io",
        "ListOptions",
        "",
        &[cause],
    ))
}

fn line(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn error_line(error: &ApiError) -> String {
    line("ERROR", &error.body())
}

impl Watch {
    /// The state as if it had just been added, and the mark that it is complete.
    fn initial(&mut self, found: &Found, with_mark: bool, current: u64) -> Bytes {
        let mut lines = String::new();
        for (key, stored) in found {
            if self.selector.matches(key, stored) {
                lines += &self.object_line("ADDED", stored.value());
            }
        }
        if with_mark && self.call.query.is_set("allowWatchBookmarks") {
            lines += &self.bookmark(current, true);
        }
        lines.into()
    }

    /// The next lines; `None` at the end.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Some((Ok(first), self));
        }
        let stop = self.api.stop.clone();
        while !self.is_over {
            self.changed.mark_unchanged();
            let lines = self.news();
            if !lines.is_empty() {
                return Some((Ok(lines.into()), self));
            }
            if let Some(line) = self.due_bookmark() {
                return Some((Ok(line.into()), self));
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                _ = self.cuts.changed() => return None,
                () = sleep_until(self.end) => return None,
                _ = self.changed.changed() => {}
                () = sleep_until(self.bookmark_at) => {}
            }
        }
        None
    }

    /// Changes since the last look.
    fn news(&mut self) -> String {
        let api = Arc::clone(&self.api);
        let mut state = lock(&api.state);
        let current = state.store.revision;
        let events: Result<Vec<Event>, Forgotten> = {
            let table = state.store.table(&self.resource.table);
            table.history.after(self.seen).map(|events| events.cloned().collect())
        };
        drop(state);
        let Ok(events) = events else {
            self.is_over = true;
            let message = format!("too old resource version: {} ({current})", self.seen);
            return error_line(&ApiError::gone(message));
        };
        self.seen = self.seen.max(current);
        let mut lines = String::new();
        for event in &events {
            if let Some((kind, mut object)) = self.as_seen(event) {
                self.told = event.revision;
                object::set_meta(&mut object, "resourceVersion", event.revision.to_string().into());
                lines += &self.object_line(kind, object);
            }
        }
        lines
    }

    /// An object that enters the selection is new for this client; one that leaves it is deleted, as it last
    /// was inside.
    fn as_seen(&self, event: &Event) -> Option<(&'static str, Value)> {
        let is_inside = |key: &Key| self.namespace.as_ref().is_none_or(|name| key.0 == *name);
        if !is_inside(&event.key) {
            return None;
        }
        let selected = |stored: &Arc<Stored>| self.selector.matches(&event.key, stored);
        let was = event.previous.as_ref().is_some_and(selected);
        let is = !event.deleted && selected(&event.object);
        match (was, is) {
            (false, true) => Some(("ADDED", event.object.value())),
            (true, true) => Some(("MODIFIED", event.object.value())),
            (true, false) if event.deleted => Some(("DELETED", event.object.value())),
            (true, false) => Some(("DELETED", event.previous.as_ref()?.value())),
            (false, false) => None,
        }
    }

    fn view(&self) -> View<'_> {
        View { resource: &self.resource, version: &self.version, now: self.api.now() }
    }

    fn object_line(&mut self, kind: &str, stored: Value) -> String {
        let is_first = !self.has_sent_table;
        self.has_sent_table = true;
        let view = self.view();
        let object = view.present(stored);
        let object = match self.call.accept {
            Accept::Json => object,
            Accept::Metadata => metadata_only(&object),
            Accept::Table => table::of_event(&view, &self.call, &object, is_first),
        };
        line(kind, &object)
    }

    /// A bookmark if the client asked for them and something changed that it does not know of.
    fn due_bookmark(&mut self) -> Option<String> {
        if Instant::now() < self.bookmark_at {
            return None;
        }
        self.bookmark_at = Instant::now() + BOOKMARK_EVERY;
        let is_asked = self.call.query.is_set("allowWatchBookmarks");
        (is_asked && self.told < self.seen).then(|| self.bookmark(self.seen, false))
    }

    fn bookmark(&mut self, revision: u64, ends_initial: bool) -> String {
        self.told = revision;
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if ends_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({"metadata": metadata});
        let view = self.view();
        let mut object = match self.call.accept {
            Accept::Json => {
                let mut object = object;
                object::set_type(&mut object, &view.api_version(), &view.resource.kind);
                object
            }
            Accept::Metadata => metadata_only(&object),
            Accept::Table => json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"], "columnDefinitions": null,
                "rows": [{"cells": [], "object": metadata_only(&object)}]}),
        };
        if self.resource.table == "pods" && self.call.accept == Accept::Json {
            object["spec"] = json!({"containers": null});
            object["status"] = json!({});
        }
        line("BOOKMARK", &object)
    }
}

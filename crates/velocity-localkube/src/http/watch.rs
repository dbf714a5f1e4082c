//! Watches: a cursor into the events of a table, turned into a stream of JSON lines.
//!
//! A watcher holds nothing but its cursor, so a slow client costs no memory; one that falls behind what is kept
//! gets a 410 and lists again.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch as signal;
use tokio::time::Instant;

use super::negotiate::{Form, form};
use super::{Call, respond};
use crate::builtin::convert::present;
use crate::kind::Endpoint;
use crate::selector::Selector;
use crate::server::Core;
use crate::status::ApiError;
use crate::store::{Change, Compacted, Event};
use crate::table::{self, RowObject};

/// Between bookmarks, as in the real server.
const BOOKMARK_INTERVAL: Duration = Duration::from_mins(1);
/// The longest a watch lasts when the client says nothing; the real server picks 30 to 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(45);
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

struct Watcher {
    core: Arc<Core>,
    endpoint: Endpoint,
    namespace: Option<String>,
    selector: Selector,
    form: Form,
    row: RowObject,
    bookmarks: bool,
    headers_sent: bool,
    cursor: u64,
    initial: Option<Bytes>,
    changes: signal::Receiver<u64>,
    closing: signal::Receiver<bool>,
    deadline: Instant,
    next_bookmark: Instant,
    finished: bool,
}

pub(super) fn watch(call: &Call) -> Result<Response, ApiError> {
    let options = &call.options;
    let streams_list = options.send_initial_events == Some(true);
    let mut fields = options.field_selector.clone();
    if let Some(name) = &call.name {
        fields = format!("metadata.name={name},{fields}");
    }
    let selector = Selector::parse(&options.label_selector, &fields, &call.endpoint)?;
    let changes = call.core.store.subscribe(&call.endpoint.kind.table);
    let timeout = options.timeout_seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let mut watcher = Watcher {
        core: Arc::clone(&call.core),
        endpoint: call.endpoint.clone(),
        namespace: call.namespace.clone(),
        selector,
        form: form(&call.parts.headers)?,
        row: options.include_object.unwrap_or(RowObject::Metadata),
        bookmarks: options.bookmarks,
        headers_sent: false,
        cursor: options.resource_version.unwrap_or(0),
        initial: None,
        changes,
        closing: call.closing.clone(),
        deadline: Instant::now() + timeout,
        next_bookmark: Instant::now() + BOOKMARK_INTERVAL,
        finished: false,
    };
    // Without a version, or with "0", a watch starts with what is there.
    if streams_list || (options.resource_version.unwrap_or(0) == 0 && options.send_initial_events.is_none()) {
        watcher.start_with_list(streams_list)?;
    } else if watcher.cursor == 0 {
        watcher.cursor = call.core.store.read(crate::store::State::revision);
    }
    let stream = futures::stream::unfold(watcher, |mut watcher| async move {
        let chunk = watcher.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), watcher))
    });
    let mut response = Response::new(Body::from_stream(stream));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Watcher {
    fn start_with_list(&mut self, mark_end: bool) -> Result<(), ApiError> {
        let wanted = self.cursor;
        let (page, revision) = self.core.store.read(|state| {
            (state.list(&self.endpoint.kind.table, self.namespace.as_deref(), None), state.revision())
        });
        if mark_end && wanted > revision {
            return Err(ApiError::future_revision(wanted, revision));
        }
        let mut lines = Vec::new();
        for object in &page.objects {
            if self.selector.matches(&object.value) {
                let shown = present(&self.endpoint, &object.value);
                self.line(&mut lines, "ADDED", shown);
            }
        }
        self.cursor = page.revision;
        if mark_end && self.bookmarks {
            self.bookmark(&mut lines, true);
        }
        self.initial = (!lines.is_empty()).then(|| Bytes::from(lines));
        Ok(())
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(initial) = self.initial.take() {
            return Some(initial);
        }
        loop {
            if self.finished {
                return None;
            }
            self.changes.borrow_and_update();
            if let Some(chunk) = self.news() {
                return Some(chunk);
            }
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() { self.finished = true },
                () = closed(&mut self.closing) => self.finished = true,
                () = tokio::time::sleep_until(self.deadline) => self.finished = true,
                () = tokio::time::sleep_until(self.next_bookmark) => {
                    self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                    if self.bookmarks {
                        let mut lines = Vec::new();
                        self.bookmark(&mut lines, false);
                        return Some(Bytes::from(lines));
                    }
                }
            }
        }
    }

    /// The events since the cursor that the client should see.
    fn news(&mut self) -> Option<Bytes> {
        let mut lines = Vec::new();
        match self.core.store.tail(&self.endpoint.kind.table, self.cursor) {
            Err(Compacted { oldest }) => {
                let error =
                    ApiError::expired(format!("too old resource version: {} ({oldest})", self.cursor));
                push(&mut lines, "ERROR", &error.body());
                self.finished = true;
            }
            Ok((events, revision)) => {
                for event in events {
                    self.tell(&mut lines, &event);
                }
                self.cursor = self.cursor.max(revision);
            }
        }
        (!lines.is_empty()).then(|| Bytes::from(lines))
    }

    fn tell(&mut self, lines: &mut Vec<u8>, event: &Event) {
        if self.namespace.as_ref().is_some_and(|namespace| *namespace != event.key.namespace) {
            return;
        }
        let was = event.previous.as_ref().is_some_and(|object| self.selector.matches(&object.value));
        let is = event.change != Change::Deleted && self.selector.matches(&event.object.value);
        let (kind, stored) = match (was, is) {
            (false, false) => return,
            (false, true) => ("ADDED", &event.object),
            (true, true) => ("MODIFIED", &event.object),
            (true, false) => ("DELETED", event.previous.as_ref().unwrap_or(&event.object)),
        };
        let mut shown = present(&self.endpoint, &stored.value);
        shown["metadata"]["resourceVersion"] = json!(event.revision.to_string());
        self.line(lines, kind, shown);
    }

    fn line(&mut self, lines: &mut Vec<u8>, kind: &str, object: Value) {
        let shown = match self.form {
            Form::Table => {
                let metadata = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
                let headers = !std::mem::replace(&mut self.headers_sent, true);
                let columns = &self.endpoint.version().columns;
                table::table(
                    columns,
                    respond::is_named(&self.endpoint),
                    &[object],
                    &metadata,
                    self.row,
                    headers,
                    jiff::Timestamp::now(),
                )
            }
            Form::PartialMetadata | Form::PartialMetadataList => table::partial_metadata(&object),
            Form::Json | Form::Yaml => object,
        };
        push(lines, kind, &shown);
    }

    fn bookmark(&self, lines: &mut Vec<u8>, end_of_list: bool) {
        let mut metadata = json!({ "resourceVersion": self.cursor.to_string(), "creationTimestamp": null });
        if end_of_list {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        let (kind, api_version) = match self.form {
            Form::PartialMetadata | Form::PartialMetadataList => {
                ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned())
            }
            _ => (self.endpoint.kind.kind.clone(), self.endpoint.api_version()),
        };
        let object = json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata });
        push(lines, "BOOKMARK", &object);
    }
}

/// Ends when the server does.
async fn closed(closing: &mut signal::Receiver<bool>) {
    // An error means that the sender is gone, and with it the server.
    let _ = closing.wait_for(|closing| *closing).await;
}

fn push(lines: &mut Vec<u8>, kind: &str, object: &Value) {
    lines.extend_from_slice(json!({ "type": kind, "object": object }).to_string().as_bytes());
    lines.push(b'\n');
}

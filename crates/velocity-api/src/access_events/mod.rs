//! Access events: who was turned away, who saw sensitive data in clear, what was done with the administrator's role.
//!
//! They are written in batches beside the requests. What is queued is bounded: when the queue is full, the request waits,
//! so call these before the answer goes out. While the database is away, what is queued is kept and tried again.

mod queue;
mod tally;
mod writer;

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;
use velocity_contract::Code;
use velocity_store::owner::OwnerPool;
use velocity_store::platform::{AccessEventKind, AccessEventRow};

use crate::database::OpenError;
pub(crate) use queue::EventCounters;
use queue::Queue;

/// Longest text of an event in bytes; what callers send may be longer.
const MAX_TEXT_BYTES: usize = 1024;
/// Most record ids or fields of one event.
const MAX_ITEMS: usize = 1000;

/// What happened. Everything may be left out (`..AccessEvent::default()`); texts are cut where they are too long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccessEvent {
    /// Who; `None` where nobody was proven.
    pub actor: Option<String>,
    /// What kind of actor, as `ActorType::name` has it.
    pub actor_type: Option<&'static str>,
    /// The strategy that proved it.
    pub strategy: Option<String>,
    /// Method and path of the request, without its query.
    pub path: String,
    /// The records that it is about, as far as they are known.
    pub record_ids: Vec<String>,
    /// The operation that was asked for.
    pub operation: Option<String>,
    /// The code of the answer: `None` where it is no error.
    pub code: Option<Code>,
    /// The layer that decided: `authentication`, `rbac`, `abac`, `crossSchema`, `rowFilter`, `fields`.
    pub layer: Option<&'static str>,
    /// The answer's detail. Of requests without a valid credential it must be one of a few constant texts: they are
    /// counted by it.
    pub detail: Option<String>,
    /// The fields that it is about.
    pub fields: Vec<String>,
    /// The request's id.
    pub request_id: String,
    /// The trace that the request belongs to; empty where there is none.
    pub trace_id: String,
    /// The client's address.
    pub ip: Option<IpAddr>,
}

/// How much is kept until it is written.
#[derive(Debug, Clone, Copy)]
pub struct AccessEventLimits {
    /// Most events in the queue. Each takes about half a KiB.
    pub queued: usize,
    /// Most different (reason, address) pairs of requests without a valid credential.
    pub counted: usize,
}

impl Default for AccessEventLimits {
    fn default() -> Self {
        Self { queued: 4096, counted: 4096 }
    }
}

/// Where the events of a process go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessEvents(Arc<Queue>);

impl AccessEvents {
    /// Starts the writer, with one connection of its own under the API's login at `url`. Must be called within a Tokio
    /// runtime.
    pub fn start(url: &str, limits: AccessEventLimits) -> Result<Self, OpenError> {
        Ok(Self(Queue::start(OwnerPool::new(url, 1)?, limits)))
    }

    /// A request was turned away: 403, or 401, of which those of one reason and address within a second are one row.
    pub async fn denied(&self, event: AccessEvent) {
        if event.code.is_some_and(|code| code.status() == 401) {
            self.0.count(event.row(AccessEventKind::Denied)).await;
        } else {
            self.0.push(event.row(AccessEventKind::Denied)).await;
        }
    }

    /// Fields of sensitive data (`fields`) are about to be shown in clear.
    pub async fn sensitive_read(&self, event: AccessEvent) {
        self.0.push(event.row(AccessEventKind::SensitiveRead)).await;
    }

    /// A request was let in because of the role `platform-admin`.
    pub async fn admin_use(&self, event: AccessEvent) {
        self.0.push(event.row(AccessEventKind::AdminUse)).await;
    }

    /// Writes what is queued and ends the writer. What the database does not take within a few seconds goes to the log.
    pub async fn drain(&self) {
        self.0.drain().await;
    }

    pub(crate) fn counters(&self) -> EventCounters {
        self.0.counters()
    }
}

impl AccessEvent {
    fn row(self, kind: AccessEventKind) -> AccessEventRow {
        let text = |text: String| Some(cut(text)).filter(|text| !text.is_empty());
        AccessEventRow {
            id: Uuid::now_v7().to_string(),
            occurred_at: Timestamp::now(),
            kind,
            count: 1,
            actor: self.actor.and_then(text),
            actor_type: self.actor_type.map(str::to_owned),
            strategy: self.strategy.and_then(text),
            path: text(self.path),
            operation: self.operation.and_then(text),
            code: self.code.map(|code| code.to_string()),
            layer: self.layer.map(str::to_owned),
            detail: self.detail.and_then(text),
            record_ids: self.record_ids.into_iter().take(MAX_ITEMS).map(cut).collect(),
            fields: self.fields.into_iter().take(MAX_ITEMS).map(cut).collect(),
            request_id: text(self.request_id),
            trace_id: text(self.trace_id),
            ip: self.ip.map(|ip| ip.to_canonical().to_string()),
        }
    }
}

/// At most so many bytes, without the null characters that Postgres cannot store.
fn cut(text: String) -> String {
    let mut text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgres_could_not_store_or_nobody_would_read_is_not_kept() {
        let event = AccessEvent {
            actor: Some("a\0b".to_owned()),
            path: "é".repeat(MAX_TEXT_BYTES),
            record_ids: vec!["x".to_owned(); MAX_ITEMS + 1],
            ip: Some("::ffff:10.0.0.1".parse().unwrap()),
            ..AccessEvent::default()
        };
        let row = event.row(AccessEventKind::Denied);
        assert_eq!(row.actor.as_deref(), Some("a\u{fffd}b"));
        assert!(row.path.as_ref().unwrap().len() <= MAX_TEXT_BYTES && row.path.unwrap().ends_with('…'));
        assert_eq!((row.record_ids.len(), row.ip.as_deref()), (MAX_ITEMS, Some("10.0.0.1")));
        assert_eq!((row.request_id, row.detail), (None, None));
    }
}

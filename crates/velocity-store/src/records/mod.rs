//! Records: read, listed, written, once or in bulk.
//!
//! Every call is one transaction under the domain's role and the caller's identity. Plain reads and writes are one
//! round trip; reads share the connections of the mux lane, writes have one to themselves.

mod bulk;
mod constraints;
mod error;
mod export;
mod guard;
mod history;
mod lane;
mod look;
mod lookup;
mod once;
mod read;
mod record;
mod role_rows;
mod session;
mod shown;
mod table;
mod write;

use std::sync::Arc;

use velocity_schema::schema::MaskKey;
use velocity_sql::query::CursorKey;

use crate::wire::{Exclusive, Mux};

pub use bulk::{Bulk, BulkFailure, BulkItem, BulkOp, BulkReport, BulkResult, ConflictRule, Outcome};
pub use error::{DeniedBy, RecordError};
pub use export::{Chunk, Export};
pub use guard::{Act, Guard, Unguarded};
pub use history::{HistoryEvent, HistoryPage};
pub use once::{IdempotencyKey, Once, StoredResponse};
pub use record::{Page, Record};
pub use session::{Origin, Session};
pub use table::Table;
pub use write::{Effect, Write, Written};

/// The records of all schemas. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Records {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mux: Mux,
    exclusive: Exclusive,
    cursor_key: CursorKey,
    mask_key: MaskKey,
    tables: table::Tables,
}

impl Records {
    /// Records behind these two lanes. Cursors are signed with `cursor_key`, values are masked under `mask_key`: the same on
    /// every replica.
    pub fn new(mux: Mux, exclusive: Exclusive, cursor_key: CursorKey, mask_key: MaskKey) -> Self {
        let tables = table::Tables::default();
        Self { shared: Arc::new(Shared { mux, exclusive, cursor_key, mask_key, tables }) }
    }

    /// The key that plans of lists and histories are made with.
    pub fn cursor_key(&self) -> &CursorKey {
        &self.shared.cursor_key
    }
}

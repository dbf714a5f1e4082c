//! An immutable snapshot of all schemas that are served.

use std::sync::Arc;

use crate::name::SchemaPath;
use crate::schema::Schema;
use crate::snapshot::Snapshot;

/// All schemas that are served at one moment. Swapped whole; a request keeps the one that it began with. A copy shares
/// all but what is changed in it, so that taking in one schema of ten thousand costs microseconds.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    by_path: Snapshot<Arc<Schema>>,
}

impl Registry {
    /// The schema at `org/app/domain/object/version`.
    pub fn find(&self, path: &str) -> Option<&Arc<Schema>> {
        self.by_path.get(path)
    }

    /// Adds or replaces a schema.
    pub fn insert(&mut self, schema: Arc<Schema>) {
        self.by_path.insert(&schema.path().to_string(), schema);
    }

    /// Takes a schema out.
    pub fn remove(&mut self, path: &SchemaPath) {
        self.by_path.remove(&path.to_string());
    }

    /// Every schema, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.by_path.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }
}

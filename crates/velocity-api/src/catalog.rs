//! What a request can find: the schemas that are served, and those that are known and not ready.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use velocity_schema::Schema;
use velocity_schema::registry::Registry;

/// Everything known at one moment. Swapped whole; a request keeps the one that it began with.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// What is provisioned.
    pub served: Registry,
    /// What is declared and not provisioned, by path, with the reason.
    pub not_ready: HashMap<String, Arc<str>>,
}

/// What there is at a path.
#[derive(Debug)]
pub enum Found<'c> {
    /// It is served.
    Served(&'c Arc<Schema>),
    /// It is declared, and not provisioned for this reason.
    NotReady(&'c Arc<str>),
    /// Nothing.
    Nothing,
}

impl Catalog {
    /// What there is at `org/app/domain/object/version`.
    pub fn find(&self, path: &str) -> Found<'_> {
        match self.served.find(path) {
            Some(schema) => Found::Served(schema),
            None => self.not_ready.get(path).map_or(Found::Nothing, Found::NotReady),
        }
    }
}

/// The current [`Catalog`]: written by the informer, read by every request without a lock.
#[derive(Debug, Clone, Default)]
pub struct CurrentCatalog(Arc<ArcSwap<Catalog>>);

impl CurrentCatalog {
    /// The catalog of this moment. Held for a request's whole life.
    pub fn load(&self) -> Guard<Arc<Catalog>> {
        self.0.load()
    }

    /// The same, to be kept across waits.
    pub fn load_full(&self) -> Arc<Catalog> {
        self.0.load_full()
    }

    /// Replaces it.
    pub fn store(&self, catalog: Catalog) {
        self.0.store(Arc::new(catalog));
    }
}

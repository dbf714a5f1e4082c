//! What a request can find: the schemas that are served, and those that are known and not ready.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use velocity_access::Bindings;
use velocity_schema::Schema;
use velocity_schema::registry::Registry;
use velocity_schema::snapshot::Snapshot;

use crate::renewal::Renewals;

/// Everything known at one moment. Swapped whole; a request keeps the one that it began with.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// What is provisioned.
    pub served: Registry,
    /// What is declared and not provisioned, by path, with the reason.
    pub not_ready: Snapshot<Arc<str>>,
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

    /// Whether another spec than the one of that hash is served at the path.
    pub(crate) fn serves_other(&self, path: &str, spec_hash: &str) -> bool {
        self.served.find(path).is_some_and(|schema| schema.hash().as_str() != spec_hash)
    }
}

/// The current [`Catalog`]: written by the informer, read by every request without a lock.
#[derive(Debug, Clone, Default)]
pub struct CurrentCatalog {
    current: Arc<ArcSwap<Catalog>>,
    bindings: Arc<ArcSwap<Bindings>>,
    renewals: Renewals,
}

impl CurrentCatalog {
    /// The catalog of this moment. Held for a request's whole life.
    pub fn load(&self) -> Guard<Arc<Catalog>> {
        self.current.load()
    }

    /// The same, to be kept across waits.
    pub fn load_full(&self) -> Arc<Catalog> {
        self.current.load_full()
    }

    /// Replaces it.
    pub fn store(&self, catalog: Catalog) {
        self.current.store(Arc::new(catalog));
    }

    /// The RoleBindings of this moment.
    pub fn bindings(&self) -> Guard<Arc<Bindings>> {
        self.bindings.load()
    }

    /// Replaces the RoleBindings.
    pub fn store_bindings(&self, bindings: Bindings) {
        self.bindings.store(Arc::new(bindings));
    }

    /// Where requests ask for a schema to be loaded anew.
    pub(crate) fn renewals(&self) -> &Renewals {
        &self.renewals
    }
}

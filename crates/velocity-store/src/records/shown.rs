//! What callers see of a table's records, kept for each view that was asked for.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use velocity_schema::Schema;
use velocity_schema::schema::{MaskKey, View};
use velocity_sql::query::ListPlan;

use crate::codec::{RowEncoder, Seen};

/// Most views kept per table. There are as many as sets of roles that fields tell apart; scopes of API keys may make more.
const VIEWS_MAX: usize = 64;

/// What a view shows of a table's records.
#[derive(Debug)]
pub(super) struct Shown {
    seen: Seen,
    /// Of rows that have every field.
    encoder: RowEncoder,
    /// What a list fetches when it is asked for no fields in particular.
    visible: Vec<usize>,
    /// Of rows that have these.
    listed: RowEncoder,
}

impl Shown {
    fn new(schema: &Schema, view: &View, key: &MaskKey) -> Self {
        let seen = Seen::new(schema, view, key);
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let visible: Vec<usize> = all.iter().copied().filter(|position| view.is_visible(*position)).collect();
        Self {
            encoder: RowEncoder::new(schema, &all, &seen),
            listed: RowEncoder::new(schema, &visible, &seen),
            visible,
            seen,
        }
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The encoder of rows that have every field.
    pub(super) fn encoder(&self) -> &RowEncoder {
        &self.encoder
    }

    /// The encoder of a plan's rows.
    pub(super) fn encoder_for(&self, schema: &Schema, plan: &ListPlan) -> RowEncoder {
        if plan.projection() == self.visible {
            self.listed.clone()
        } else {
            RowEncoder::new(schema, plan.projection(), &self.seen)
        }
    }
}

/// What each view shows.
#[derive(Debug)]
pub(super) struct ShownByView {
    key: MaskKey,
    /// Of callers without restrictions: found without a look.
    whole: Arc<Shown>,
    others: RwLock<HashMap<View, Arc<Shown>>>,
}

impl ShownByView {
    pub(super) fn new(schema: &Schema, key: &MaskKey) -> Self {
        let whole = Arc::new(Shown::new(schema, &View::whole(), key));
        Self { key: key.clone(), whole, others: RwLock::default() }
    }

    pub(super) fn of(&self, schema: &Schema, view: &View) -> Arc<Shown> {
        if view.is_whole() {
            return Arc::clone(&self.whole);
        }
        if let Some(shown) = self.others.read().unwrap_or_else(PoisonError::into_inner).get(view) {
            return Arc::clone(shown);
        }
        let shown = Arc::new(Shown::new(schema, view, &self.key));
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if others.len() >= VIEWS_MAX {
            others.clear();
        }
        others.insert(view.clone(), Arc::clone(&shown));
        shown
    }
}

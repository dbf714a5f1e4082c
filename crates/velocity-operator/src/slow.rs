//! The objects whose last attempt took too long for the quick lane: the next one is a job from its start, so that what does
//! not get a lock holds up nobody again and again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use kube::api::DynamicObject;

/// By uid.
#[derive(Debug, Default)]
pub(crate) struct Slow(Mutex<HashSet<String>>);

impl Slow {
    pub(crate) fn add(&self, object: &DynamicObject) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid(object));
    }

    pub(crate) fn forget(&self, object: &DynamicObject) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid(object));
    }

    pub(crate) fn has(&self, object: &DynamicObject) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&uid(object))
    }
}

fn uid(object: &DynamicObject) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

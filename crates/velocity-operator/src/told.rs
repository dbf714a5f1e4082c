//! What was last told of each object: a status that meets a conflict is computed again, and is no news then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::api::DynamicObject;

/// Reason and text by uid.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<HashMap<String, (String, String)>>);

impl Told {
    /// Whether it is another thing than the last.
    pub(crate) fn is_news(&self, object: &DynamicObject, reason: &str, text: &str) -> bool {
        let now = (reason.to_owned(), text.to_owned());
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(uid(object), now.clone()).is_none_or(|last| last != now)
    }

    /// All is well, or over: whatever comes next is news.
    pub(crate) fn forget(&self, object: &DynamicObject) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid(object));
    }
}

fn uid(object: &DynamicObject) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

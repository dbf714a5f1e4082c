//! The one thread that changes anything.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, mpsc};

use serde_json::{Value, json};

use super::disk::Disk;
use super::state::{Change, Event, Key, Object, State};
use super::{Expected, Job, Write, WriteError};
use crate::kind::NAMESPACES;

/// Writes that share one fsync. More would only make the first of them wait longer.
const BATCH: usize = 256;

/// The state plus what this batch has changed and not yet shown.
struct Staged<'a> {
    state: &'a RwLock<State>,
    changed: HashMap<Key, Option<Arc<Object>>>,
    events: Vec<Arc<Event>>,
    revision: u64,
}

pub(super) fn run(
    disk: &Disk,
    state: &RwLock<State>,
    queue: &mpsc::Receiver<Job>,
    heard: &mpsc::Sender<Arc<Event>>,
) {
    while let Ok(first) = queue.recv() {
        let mut jobs = vec![first];
        jobs.extend(queue.try_iter().take(BATCH - 1));
        let revision = state.read().unwrap_or_else(PoisonError::into_inner).revision();
        let mut staged = Staged { state, changed: HashMap::new(), events: Vec::new(), revision };
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push((staged.stage(job.write), job.done));
        }
        let failure = if staged.events.is_empty() { None } else { disk.commit(&staged.events).err() };
        if let Some(error) = failure {
            tracing::error!(%error, "writing the local Kubernetes store failed");
            for (answer, done) in answers {
                // Whoever asked may be gone; the answer then goes nowhere.
                let _ = done.send(answer.and(Err(WriteError::Disk(error.to_string()))));
            }
            continue;
        }
        {
            let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
            for event in staged.events {
                state.apply(Arc::clone(&event));
                // Nobody listens any more only while everything shuts down.
                let _ = heard.send(event);
            }
        }
        for (answer, done) in answers {
            let _ = done.send(answer);
        }
    }
}

impl Staged<'_> {
    fn get(&self, key: &Key) -> Option<Arc<Object>> {
        match self.changed.get(key) {
            Some(object) => object.clone(),
            None => self.state.read().unwrap_or_else(PoisonError::into_inner).get(key),
        }
    }

    fn stage(&mut self, write: Write) -> Result<Arc<Object>, WriteError> {
        let previous = self.get(&write.key);
        match (write.expected, &previous) {
            (Expected::Absent, Some(_)) => return Err(WriteError::Exists),
            (Expected::Absent, None) => self.check_namespace(&write.key)?,
            (Expected::Revision(revision), Some(found)) if found.revision == revision => {}
            (Expected::Revision(_), _) => return Err(WriteError::Changed),
        }
        let (change, mut value) = match (write.value, &previous) {
            (Some(value), None) => (Change::Added, value),
            (Some(value), Some(_)) => (Change::Modified, value),
            (None, Some(last)) => (Change::Deleted, last.value.clone()),
            (None, None) => return Err(WriteError::Changed),
        };
        self.revision += 1;
        set_revision(&mut value, self.revision);
        let object = Arc::new(Object { value, revision: self.revision });
        let after = (change != Change::Deleted).then(|| Arc::clone(&object));
        self.changed.insert(write.key.clone(), after);
        self.events.push(Arc::new(Event {
            revision: self.revision,
            key: write.key,
            change,
            object: Arc::clone(&object),
            previous,
        }));
        Ok(object)
    }

    fn check_namespace(&self, key: &Key) -> Result<(), WriteError> {
        if key.namespace.is_empty() {
            return Ok(());
        }
        let namespace =
            Key { table: NAMESPACES.to_owned(), namespace: String::new(), name: key.namespace.clone() };
        match self.get(&namespace) {
            None => Err(WriteError::NamespaceMissing),
            Some(found) if !found.value["metadata"]["deletionTimestamp"].is_null() => {
                Err(WriteError::NamespaceTerminating)
            }
            Some(_) => Ok(()),
        }
    }
}

fn set_revision(value: &mut Value, revision: u64) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), json!(revision.to_string()));
    }
}

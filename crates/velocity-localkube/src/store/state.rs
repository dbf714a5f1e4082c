//! What is in memory: every object, and per table the last events.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::{Compacted, Tail};

/// Where an object lives. `table` is `group/plural` of its storage; cluster-scoped objects have no namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) table: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// An object at a revision. The value carries the revision in `metadata.resourceVersion` too.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) value: Value,
    pub(crate) revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) change: Change,
    /// The object after the change; after a deletion, its last state at the deletion's revision.
    pub(crate) object: Arc<Object>,
    pub(crate) previous: Option<Arc<Object>>,
}

/// Objects of one table at one revision, in key order.
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) revision: u64,
}

type Objects = BTreeMap<(String, String), Arc<Object>>;

pub(super) struct Table {
    objects: Objects,
    events: VecDeque<Arc<Event>>,
    /// The revision of the newest event that is no longer kept.
    compacted: u64,
    pub(super) signal: watch::Sender<u64>,
}

/// All tables at one revision.
pub(crate) struct State {
    tables: HashMap<String, Table>,
    revision: u64,
    /// Nothing before this revision is known: the process started then.
    start: u64,
    history: usize,
    dependents: HashMap<String, BTreeSet<Key>>,
    by_uid: HashMap<String, Key>,
}

/// The uids in an object's `metadata.ownerReferences`.
pub(crate) fn owners(value: &Value) -> impl Iterator<Item = &str> {
    value["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["uid"].as_str())
}

fn uid_of(value: &Value) -> Option<&str> {
    value["metadata"]["uid"].as_str()
}

impl State {
    pub(super) fn new(revision: u64, history: usize) -> Self {
        Self {
            tables: HashMap::new(),
            revision,
            start: revision,
            history,
            dependents: HashMap::new(),
            by_uid: HashMap::new(),
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn table_mut(&mut self, table: &str) -> &mut Table {
        let start = self.start;
        self.tables.entry(table.to_owned()).or_insert_with(|| Table {
            objects: Objects::new(),
            events: VecDeque::new(),
            compacted: start,
            signal: watch::Sender::new(start),
        })
    }

    /// Puts an object that was read from disk: no event.
    pub(super) fn load(&mut self, key: &Key, object: Arc<Object>) {
        self.index(key, None, Some(&object.value));
        self.table_mut(&key.table).objects.insert((key.namespace.clone(), key.name.clone()), object);
    }

    pub(super) fn apply(&mut self, event: Arc<Event>) {
        let key = event.key.clone();
        let after = (event.change != Change::Deleted).then_some(&event.object);
        self.index(
            &key,
            event.previous.as_deref().map(|object| &object.value),
            after.map(|object| &object.value),
        );
        self.revision = event.revision;
        let history = self.history;
        let after = after.cloned();
        let table = self.table_mut(&key.table);
        let place = (key.namespace, key.name);
        match after {
            Some(object) => table.objects.insert(place, object),
            None => table.objects.remove(&place),
        };
        let revision = event.revision;
        table.events.push_back(event);
        while table.events.len() > history {
            if let Some(old) = table.events.pop_front() {
                table.compacted = old.revision;
            }
        }
        table.signal.send_replace(revision);
    }

    fn index(&mut self, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        if let Some(uid) = before.and_then(uid_of) {
            self.by_uid.remove(uid);
        }
        if let Some(uid) = after.and_then(uid_of) {
            self.by_uid.insert(uid.to_owned(), key.clone());
        }
        for uid in before.into_iter().flat_map(owners) {
            if let Some(keys) = self.dependents.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        for uid in after.into_iter().flat_map(owners) {
            self.dependents.entry(uid.to_owned()).or_default().insert(key.clone());
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        // The tuple key needs owned strings; two short allocations per get are not worth a borrowed-key trait.
        self.tables.get(&key.table)?.objects.get(&(key.namespace.clone(), key.name.clone())).cloned()
    }

    /// The objects that name `uid` as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Every owner's uid that some object names.
    pub(crate) fn owner_uids(&self) -> Vec<String> {
        self.dependents.keys().cloned().collect()
    }

    /// Where the object with this uid is, if it exists.
    pub(crate) fn find_uid(&self, uid: &str) -> Option<&Key> {
        self.by_uid.get(uid)
    }

    /// Every object that waits for its deletion.
    pub(crate) fn deleting(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        for (table, content) in &self.tables {
            for ((namespace, name), object) in &content.objects {
                if !object.value["metadata"]["deletionTimestamp"].is_null() {
                    let (table, namespace, name) = (table.clone(), namespace.clone(), name.clone());
                    keys.push(Key { table, namespace, name });
                }
            }
        }
        keys
    }

    /// Every key in a namespace, over all tables.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        let mut keys = Vec::new();
        for (table, content) in &self.tables {
            let from = (namespace.to_owned(), String::new());
            keys.extend(content.objects.range(from..).take_while(|((place, _), _)| place == namespace).map(
                |((namespace, name), _)| Key {
                    table: table.clone(),
                    namespace: namespace.clone(),
                    name: name.clone(),
                },
            ));
        }
        keys
    }

    /// Objects of `table` (in one namespace if given) after the key `after`, as they are now.
    pub(crate) fn list(
        &self,
        table: &str,
        namespace: Option<&str>,
        after: Option<&(String, String)>,
    ) -> Page {
        let objects = self
            .tables
            .get(table)
            .map(|table| select(&table.objects, namespace, after).cloned().collect())
            .unwrap_or_default();
        Page { objects, revision: self.revision }
    }

    /// Like [`State::list`] at an older revision, by undoing the events since.
    pub(crate) fn list_at(
        &self,
        table: &str,
        namespace: Option<&str>,
        after: Option<&(String, String)>,
        revision: u64,
    ) -> Result<Page, Compacted> {
        let Some(content) = self.tables.get(table) else {
            return Ok(Page { objects: Vec::new(), revision });
        };
        if revision < content.compacted {
            return Err(Compacted { oldest: content.compacted });
        }
        let mut objects = content.objects.clone();
        for event in content.events.iter().rev().take_while(|event| event.revision > revision) {
            let place = (event.key.namespace.clone(), event.key.name.clone());
            match &event.previous {
                Some(previous) => objects.insert(place, Arc::clone(previous)),
                None => objects.remove(&place),
            };
        }
        let objects = select(&objects, namespace, after).cloned().collect();
        Ok(Page { objects, revision })
    }

    pub(super) fn tail(&self, table: &str, after: u64) -> Tail {
        let Some(content) = self.tables.get(table) else {
            return if after < self.start {
                Err(Compacted { oldest: self.start })
            } else {
                Ok((Vec::new(), self.revision))
            };
        };
        if after < content.compacted {
            return Err(Compacted { oldest: content.compacted });
        }
        let from = content.events.partition_point(|event| event.revision <= after);
        Ok((content.events.range(from..).cloned().collect(), self.revision))
    }
}

fn select<'a>(
    objects: &'a Objects,
    namespace: Option<&'a str>,
    after: Option<&(String, String)>,
) -> impl Iterator<Item = &'a Arc<Object>> {
    let from = match (after, namespace) {
        (Some(after), _) => Bound::Excluded(after.clone()),
        (None, Some(namespace)) => Bound::Included((namespace.to_owned(), String::new())),
        (None, None) => Bound::Unbounded,
    };
    objects
        .range((from, Bound::Unbounded))
        .take_while(move |((place, _), _)| namespace.is_none_or(|namespace| place == namespace))
        .map(|(_, object)| object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(revision: u64, name: &str, before: Option<u64>, deleted: bool) -> Arc<Event> {
        let object = |revision| Arc::new(Object { value: json!({"at": revision}), revision });
        Arc::new(Event {
            revision,
            key: Key { table: "t".into(), namespace: "n".into(), name: name.into() },
            change: match (before, deleted) {
                (_, true) => Change::Deleted,
                (None, _) => Change::Added,
                _ => Change::Modified,
            },
            object: object(revision),
            previous: before.map(object),
        })
    }

    fn revisions(page: &Page) -> Vec<u64> {
        page.objects.iter().map(|object| object.revision).collect()
    }

    #[test]
    fn an_older_revision_lists_what_was_there_then() {
        let mut state = State::new(0, 10);
        for event in [
            event(1, "a", None, false),
            event(2, "b", None, false),
            event(3, "a", Some(1), false),
            event(4, "b", Some(2), true),
        ] {
            state.apply(event);
        }
        assert_eq!(revisions(&state.list("t", Some("n"), None)), [3]);
        assert_eq!(revisions(&state.list_at("t", None, None, 3).unwrap()), [3, 2]);
        assert_eq!(revisions(&state.list_at("t", None, None, 2).unwrap()), [1, 2]);
        assert_eq!(revisions(&state.list_at("t", None, None, 0).unwrap()), Vec::<u64>::new());
    }

    #[test]
    fn events_beyond_the_history_are_compacted() {
        let mut state = State::new(0, 2);
        for revision in 1..=4 {
            state.apply(event(revision, "a", (revision > 1).then(|| revision - 1), false));
        }
        assert_eq!(state.tail("t", 1).unwrap_err(), Compacted { oldest: 2 });
        let (events, revision) = state.tail("t", 2).unwrap();
        assert_eq!(events.iter().map(|event| event.revision).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(revision, 4);
    }
}

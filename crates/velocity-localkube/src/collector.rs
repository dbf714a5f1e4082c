//! What goes after something went: dependents of deleted owners, the contents of deleted namespaces.
//!
//! One thread that hears of every change. It only ever writes what is due in the state it reads, so hearing of a
//! change twice, or late, does no harm.

use std::sync::Arc;
use std::sync::mpsc;

use serde_json::{Value, json};

use crate::http::write::{FOREGROUND, ORPHAN};
use crate::kind::NAMESPACES;
use crate::store::{Change, Event, Expected, Key, Object, Store, WeakStore, Write};

/// Rounds in which one object is tried when others keep changing it.
const ATTEMPTS: usize = 20;

pub(crate) fn start(store: &Store, events: mpsc::Receiver<Arc<Event>>) -> std::io::Result<()> {
    let weak = store.downgrade();
    std::thread::Builder::new().name("localkube-collector".to_owned()).spawn(move || run(&weak, &events))?;
    Ok(())
}

fn run(weak: &WeakStore, events: &mpsc::Receiver<Arc<Event>>) {
    if let Some(store) = weak.upgrade() {
        catch_up(&store);
    }
    while let Ok(event) = events.recv() {
        let Some(store) = weak.upgrade() else { return };
        hear(&store, &event);
    }
}

/// What an earlier process did not get to.
fn catch_up(store: &Store) {
    let missing: Vec<String> = store
        .read(|state| state.owner_uids().into_iter().filter(|uid| state.find_uid(uid).is_none()).collect());
    for uid in missing {
        collect_dependents(store, &uid);
    }
    let everything = store.read(crate::store::State::deleting);
    for key in everything {
        settle(store, &key);
    }
}

fn hear(store: &Store, event: &Event) {
    let metadata = &event.object.value["metadata"];
    if event.change == Change::Deleted {
        collect_dependents(store, metadata["uid"].as_str().unwrap_or_default());
        // An owner may have waited for this one.
        for uid in crate::store::owners(&event.object.value) {
            let waiting = store.read(|state| state.find_uid(uid).cloned());
            if let Some(key) = waiting {
                settle(store, &key);
            }
        }
        if !event.key.namespace.is_empty() {
            settle(store, &namespace_key(&event.key.namespace));
        }
    } else if !metadata["deletionTimestamp"].is_null() {
        settle(store, &event.key);
    } else {
        let dangling = store
            .read(|state| crate::store::owners(&event.object.value).any(|uid| state.find_uid(uid).is_none()));
        if dangling {
            delete_if_orphaned(store, &event.key);
        }
    }
}

fn namespace_key(name: &str) -> Key {
    Key { table: NAMESPACES.to_owned(), namespace: String::new(), name: name.to_owned() }
}

/// Does for an object that waits for its deletion what is ours to do.
fn settle(store: &Store, key: &Key) {
    let Some(object) = store.get(key) else { return };
    if object.value["metadata"]["deletionTimestamp"].is_null() {
        return;
    }
    let has = |name: &str| {
        object.value["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|list| list.iter().any(|one| one == name))
    };
    let uid = object.value["metadata"]["uid"].as_str().unwrap_or_default();
    if has(ORPHAN) {
        for dependent in store.read(|state| state.dependents(uid)) {
            change(store, &dependent, |value| drop_owner(value, uid));
        }
        change(store, key, |value| drop_finalizer(value, ORPHAN));
    } else if has(FOREGROUND) {
        let mut blocked = false;
        for dependent in store.read(|state| state.dependents(uid)) {
            blocked |= blocks(store, &dependent, uid);
            delete(store, &dependent);
        }
        if !blocked || store.read(|state| state.dependents(uid)).is_empty() {
            change(store, key, |value| drop_finalizer(value, FOREGROUND));
        }
    } else if key.table == NAMESPACES {
        empty_namespace(store, key);
    }
}

fn blocks(store: &Store, dependent: &Key, uid: &str) -> bool {
    let Some(object) = store.get(dependent) else { return false };
    object.value["metadata"]["ownerReferences"].as_array().is_some_and(|list| {
        list.iter().any(|owner| owner["uid"] == uid && owner["blockOwnerDeletion"] == true)
    })
}

fn empty_namespace(store: &Store, key: &Key) {
    for content in store.read(|state| state.in_namespace(&key.name)) {
        delete(store, &content);
    }
    if store.read(|state| state.in_namespace(&key.name)).is_empty() {
        let is_free =
            |object: &Object| object.value["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        if let Some(object) = store.get(key).filter(|object| is_free(object)) {
            let expected = Expected::Revision(object.revision);
            // Lost against another change: that change is heard of, too.
            let _ = store.write_blocking(Write { key: key.clone(), expected, value: None });
        }
    }
}

fn collect_dependents(store: &Store, uid: &str) {
    for dependent in store.read(|state| state.dependents(uid)) {
        delete_if_orphaned(store, &dependent);
    }
}

/// Deletes an object all of whose owners are gone; forgets those that are gone of several.
fn delete_if_orphaned(store: &Store, key: &Key) {
    let Some(object) = store.get(key) else { return };
    let (gone, left): (Vec<String>, Vec<String>) = store.read(|state| {
        crate::store::owners(&object.value).map(str::to_owned).partition(|uid| state.find_uid(uid).is_none())
    });
    if left.is_empty() && !gone.is_empty() {
        delete(store, key);
    } else {
        for uid in gone {
            change(store, key, |value| drop_owner(value, &uid));
        }
    }
}

fn delete(store: &Store, key: &Key) {
    for _ in 0..ATTEMPTS {
        let Some(object) = store.get(key) else { return };
        let held = object.value["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        let value = if held {
            if !object.value["metadata"]["deletionTimestamp"].is_null() {
                return;
            }
            let mut value = object.value.clone();
            value["metadata"]["deletionTimestamp"] = json!(crate::clock::now());
            value["metadata"]["deletionGracePeriodSeconds"] = json!(0);
            Some(value)
        } else {
            None
        };
        if store
            .write_blocking(Write { key: key.clone(), expected: Expected::Revision(object.revision), value })
            .is_ok()
        {
            return;
        }
    }
}

/// Applies `edit` to the object; removes it if that was what it waited for.
fn change(store: &Store, key: &Key, edit: impl Fn(&mut Value)) {
    for _ in 0..ATTEMPTS {
        let Some(object) = store.get(key) else { return };
        let mut value = object.value.clone();
        edit(&mut value);
        if value == object.value {
            return;
        }
        let metadata = &value["metadata"];
        let free = metadata["finalizers"].as_array().is_none_or(Vec::is_empty);
        let gone = free && !metadata["deletionTimestamp"].is_null() && key.table != NAMESPACES;
        let write = Write {
            key: key.clone(),
            expected: Expected::Revision(object.revision),
            value: (!gone).then_some(value),
        };
        if store.write_blocking(write).is_ok() {
            return;
        }
    }
}

fn drop_finalizer(value: &mut Value, name: &str) {
    retain(&mut value["metadata"], "finalizers", |one| one != name);
}

fn drop_owner(value: &mut Value, uid: &str) {
    retain(&mut value["metadata"], "ownerReferences", |owner| owner["uid"] != uid);
}

fn retain(metadata: &mut Value, field: &str, keep: impl Fn(&Value) -> bool) {
    let Some(list) = metadata.get_mut(field).and_then(Value::as_array_mut) else { return };
    list.retain(keep);
    if list.is_empty()
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.remove(field);
    }
}

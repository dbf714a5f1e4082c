//! What an update or an apply does to the managers of an object's fields.

use serde_json::{Value, json};

use super::check::check;
use super::managed::{self, Entry, Managed, ManagerId, Operation};
use super::path::Step;
use super::set::Set;
use super::typed::{self, Comparison};
use crate::schema::Schema;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// More updaters than this are merged into one, the oldest first.
const MAX_UPDATERS: usize = 10;

/// Why an apply was refused.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// The configuration does not fit the schema.
    Untyped(String),
    /// It changes fields of other managers: path and manager as shown.
    Conflicts {
        message: String,
        causes: Vec<Value>,
    },
    ManagedFieldsSet,
    UnreadableManagers,
}

/// One request's view on field management.
pub(crate) struct FieldManager<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) api_version: &'a str,
    pub(crate) subresource: &'a str,
    /// Fields that this request cannot change and must not come to own.
    pub(crate) ignored: Set,
    pub(crate) now: &'a str,
    /// What a new object has before its creator sets anything.
    pub(crate) empty: Value,
}

fn take_managed_fields(object: &mut Value) -> Value {
    object
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .and_then(|metadata| metadata.remove("managedFields"))
        .unwrap_or(Value::Null)
}

fn put_managed_fields(object: &mut Value, managed: &Managed) {
    if !managed.is_empty() && object["metadata"].is_object() {
        object["metadata"]["managedFields"] = managed::encode(managed);
    }
}

/// Identity and bookkeeping are nobody's fields.
fn strip(set: &Set) -> Set {
    let mut stripped = Set::of_fields(&["apiVersion", "kind", "metadata"]);
    for field in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        stripped.insert(&[Step::field("metadata"), Step::field(field)]);
    }
    set.difference(&stripped)
}

impl FieldManager<'_> {
    /// Sets `new`'s managed fields after an update by `manager`; `live` is `None` on create.
    pub(crate) fn update(&self, live: Option<&Value>, new: &mut Value, manager: &str) {
        let asked = take_managed_fields(new);
        let stored = live.map_or(&Value::Null, |live| &live["metadata"]["managedFields"]);
        let managed = if !self.subresource.is_empty() {
            managed::decode(stored).unwrap_or_default()
        } else if managed::is_reset(&asked) {
            Managed::new()
        } else {
            match managed::decode(&asked) {
                Some(asked) if !asked.is_empty() => asked,
                _ => managed::decode(stored).unwrap_or_default(),
            }
        };
        if managed.is_empty() && live.is_some() {
            // Tracking starts at creation or with the first apply.
            return;
        }
        let id = ManagerId::new(manager, Operation::Update, self.api_version, self.subresource);
        let managed = cap(self.updated(live, new, managed, id));
        put_managed_fields(new, &managed);
    }

    fn updated(&self, live: Option<&Value>, new: &Value, mut managed: Managed, id: ManagerId) -> Managed {
        let mut old = live.cloned().unwrap_or_else(|| self.empty.clone());
        take_managed_fields(&mut old);
        let comparison = Comparison::of(Some(self.schema), &old, new).without(&self.ignored);
        let taken = comparison.modified.union(&comparison.added);
        for entry in managed.values_mut() {
            entry.set = entry.set.difference(&taken).difference(&comparison.removed);
        }
        let mine = strip(&taken.recursive_difference(&self.ignored));
        if !mine.is_empty() {
            let before = managed.remove(&id).map(|entry| entry.set).unwrap_or_default();
            let entry = Entry {
                set: mine.union(&before),
                api_version: self.api_version.to_owned(),
                time: Some(self.now.to_owned()),
            };
            managed.insert(id, entry);
        }
        managed.retain(|_, entry| !entry.set.is_empty());
        managed
    }

    /// The object after `config` was applied by `manager`; `live` is `None` if there is none yet.
    pub(crate) fn apply(
        &self,
        live: Option<&Value>,
        config: &Value,
        manager: &str,
        force: bool,
    ) -> Result<Value, ApplyError> {
        if !config["metadata"]["managedFields"].is_null() {
            return Err(ApplyError::ManagedFieldsSet);
        }
        if let Some(fault) = check(Some(self.schema), config, &mut Vec::new()) {
            return Err(ApplyError::Untyped(fault));
        }
        let mut old = live.cloned().unwrap_or_else(|| json!({}));
        let stored = take_managed_fields(&mut old);
        let mut managed = managed::decode(&stored).ok_or(ApplyError::UnreadableManagers)?;
        if managed.is_empty() && live.is_some() {
            let id =
                ManagerId::new("before-first-apply", Operation::Update, self.api_version, self.subresource);
            managed = self.updated(None, &old, managed, id);
        }
        let id = ManagerId::new(manager, Operation::Apply, self.api_version, self.subresource);
        let force = force || self.may_take_over(manager, &old, config, &managed, &id);
        let (mut merged, managed) = self.applied(&old, config, managed, &id, force)?;
        if manager == "kubectl" && !merged["metadata"]["annotations"][LAST_APPLIED].is_null() {
            merged["metadata"]["annotations"][LAST_APPLIED] = json!(last_applied_text(config));
        }
        put_managed_fields(&mut merged, &managed);
        Ok(merged)
    }

    fn applied(
        &self,
        live: &Value,
        config: &Value,
        mut managed: Managed,
        id: &ManagerId,
        force: bool,
    ) -> Result<(Value, Managed), ApplyError> {
        let schema = Some(self.schema);
        let merged = typed::merge(schema, Some(live), Some(config)).unwrap_or_else(|| json!({}));
        let last = managed.get(id).cloned();
        let set = typed::field_set(schema, config).recursive_difference(&self.ignored);
        let mine = Entry { set, api_version: self.api_version.to_owned(), time: Some(self.now.to_owned()) };
        managed.insert(id.clone(), mine);
        let pruned = match &last {
            Some(last) if !last.set.is_empty() => self.prune(&merged, &last.set, &managed),
            _ => merged,
        };
        let comparison = Comparison::of(schema, live, &pruned).without(&self.ignored);
        let taken = comparison.modified.union(&comparison.added);
        let mut conflicts = Vec::new();
        for (other, entry) in managed.iter_mut().filter(|(other, _)| *other != id) {
            let overlap = entry.set.intersection(&taken);
            if !overlap.is_empty() {
                conflicts.extend(overlap.paths().into_iter().map(|path| (other.clone(), path)));
            }
            entry.set = entry.set.difference(&overlap).difference(&comparison.removed);
        }
        if !force && !conflicts.is_empty() {
            return Err(conflict_error(&conflicts));
        }
        if let Some(entry) = managed.get_mut(id) {
            entry.set = strip(&entry.set);
            // An apply that changes nothing keeps its time.
            if pruned == *live {
                match last {
                    Some(last) if last.set == entry.set => entry.time = last.time,
                    Some(_) => {}
                    // As in the real server, who joins without a change joins at no time.
                    None => entry.time = None,
                }
            }
        }
        managed.retain(|_, entry| !entry.set.is_empty());
        Ok((pruned, managed))
    }

    /// Removes what the manager applied last time, not this time, and nobody else has.
    fn prune(&self, merged: &Value, last: &Set, managed: &Managed) -> Value {
        let schema = Some(self.schema);
        let named = |set: &Set| set.with_named_fields(schema);
        let removed =
            |value: &Value, gone: &Set| typed::remove(schema, value, gone).unwrap_or_else(|| json!({}));
        let pruned = removed(merged, &named(last));
        let owned = managed.values().fold(Set::default(), |all, entry| all.union(&entry.set));
        let everything = named(&typed::field_set(schema, merged));
        let left = named(&typed::field_set(schema, &pruned));
        let pruned = removed(merged, &everything.difference(&left.union(&named(&owned))));
        let left = named(&typed::field_set(schema, &pruned));
        removed(merged, &everything.difference(&left).intersection(&named(last)))
    }

    /// `kubectl apply --server-side` may take over what `kubectl apply` set before, as its annotation tells.
    fn may_take_over(
        &self,
        manager: &str,
        live: &Value,
        config: &Value,
        managed: &Managed,
        id: &ManagerId,
    ) -> bool {
        let annotation = live["metadata"]["annotations"][LAST_APPLIED].as_str();
        let last = annotation.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let (true, Some(last)) = (manager == "kubectl", last) else { return false };
        if last["apiVersion"] != self.api_version {
            return false;
        }
        let schema = Some(self.schema);
        let comparison = Comparison::of(schema, &last, live);
        let allowed = typed::field_set(schema, &last)
            .difference(&comparison.modified)
            .difference(&comparison.added)
            .difference(&comparison.removed);
        let merged = typed::merge(schema, Some(live), Some(config)).unwrap_or_else(|| json!({}));
        let changes = Comparison::of(schema, live, &merged).without(&self.ignored);
        let taken = changes.modified.union(&changes.added);
        managed
            .iter()
            .filter(|(other, _)| *other != id)
            .all(|(_, entry)| entry.set.intersection(&taken).paths().iter().all(|path| allowed.has(path)))
    }
}

fn last_applied_text(config: &Value) -> String {
    let mut config = config.clone();
    if let Some(annotations) = config["metadata"]["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    format!("{config}\n")
}

fn describe(id: &ManagerId) -> String {
    let mut text = json!(id.name).to_string();
    if !id.subresource.is_empty() {
        text = format!("{text} with subresource {}", json!(id.subresource));
    }
    if id.operation == Operation::Update { format!("{text} using {}", id.api_version) } else { text }
}

fn conflict_error(conflicts: &[(ManagerId, Vec<Step>)]) -> ApplyError {
    let path = |steps: &[Step]| steps.iter().map(ToString::to_string).collect::<String>();
    let causes = conflicts
        .iter()
        .map(|(id, steps)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {}", describe(id)),
                "field": path(steps),
            })
        })
        .collect();
    let message = if let [(id, steps)] = conflicts {
        format!("Apply failed with 1 conflict: conflict with {}: {}", describe(id), path(steps))
    } else {
        let mut lines = Vec::new();
        let mut last: Option<&ManagerId> = None;
        for (id, steps) in conflicts {
            if last != Some(id) {
                lines.push(format!("conflicts with {}:", describe(id)));
                last = Some(id);
            }
            lines.push(format!("- {}", path(steps)));
        }
        format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
    };
    ApplyError::Conflicts { message, causes }
}

/// Merges the oldest updaters of one API version while there are too many.
fn cap(mut managed: Managed) -> Managed {
    let mut updaters: Vec<(Option<String>, ManagerId)> = managed
        .iter()
        .filter(|(id, _)| id.operation == Operation::Update)
        .map(|(id, entry)| (entry.time.clone(), id.clone()))
        .collect();
    let mut excess = updaters.len().saturating_sub(MAX_UPDATERS);
    updaters.sort();
    let mut first: Option<ManagerId> = None;
    for (_, id) in updaters {
        if excess == 0 {
            break;
        }
        let bucket = ManagerId::new("ancient-changes", Operation::Update, &id.api_version, "");
        let Some(before) = first.as_ref().filter(|first| first.api_version == id.api_version) else {
            first = Some(id);
            continue;
        };
        let (earlier, later) =
            (managed.remove(&bucket).or_else(|| managed.remove(before)), managed.remove(&id));
        if let (Some(earlier), Some(later)) = (earlier, later) {
            managed.insert(bucket, Entry { set: earlier.set.union(&later.set), ..later });
            excess -= 1;
        }
    }
    managed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        Schema::parse(
            &json!({"type": "object", "properties": {
                "apiVersion": {"type": "string"}, "kind": {"type": "string"},
                "metadata": crate::builtin::object_meta(),
                "spec": {"type": "object", "properties": {
                    "a": {"type": "string"}, "b": {"type": "string"},
                    "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "integer"}}}},
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
                }}
            }}),
            "s",
        )
        .unwrap()
    }

    fn manager(schema: &Schema) -> FieldManager<'_> {
        FieldManager {
            schema,
            api_version: "x/v1",
            subresource: "",
            ignored: Set::default(),
            now: "2026-01-01T00:00:00Z",
            empty: json!({}),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "tests pass literals")]
    fn object(spec: Value) -> Value {
        json!({"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "n"}, "spec": spec})
    }

    fn apply(live: Option<&Value>, who: &str, spec: Value, force: bool) -> Result<Value, ApplyError> {
        let schema = schema();
        manager(&schema).apply(live, &object(spec), who, force)
    }

    #[test]
    fn what_is_no_longer_applied_goes_unless_another_has_it() {
        let one = apply(None, "one", json!({"a": "1", "b": "1", "tags": ["x", "y"]}), false).unwrap();
        let two = apply(Some(&one), "two", json!({"b": "1", "tags": ["y"]}), false).unwrap();
        let less = apply(Some(&two), "one", json!({"tags": ["z"]}), false).unwrap();
        assert_eq!(less["spec"], json!({"b": "1", "tags": ["y", "z"]}));
    }

    #[test]
    fn list_items_merge_by_key_and_keep_their_order() {
        let one = apply(None, "one", json!({"list": [{"name": "p", "v": 1}, {"name": "q", "v": 1}]}), false)
            .unwrap();
        let two = apply(Some(&one), "two", json!({"list": [{"name": "r", "v": 2}]}), false).unwrap();
        assert_eq!(
            two["spec"]["list"],
            json!([{"name": "p", "v": 1}, {"name": "q", "v": 1}, {"name": "r", "v": 2}])
        );
        let fewer = apply(Some(&two), "one", json!({"list": [{"name": "q", "v": 1}]}), false).unwrap();
        assert_eq!(fewer["spec"]["list"], json!([{"name": "q", "v": 1}, {"name": "r", "v": 2}]));
    }

    #[test]
    fn a_changed_value_of_another_manager_is_a_conflict_unless_forced() {
        let one = apply(None, "one", json!({"a": "1"}), false).unwrap();
        let Err(ApplyError::Conflicts { message, causes }) =
            apply(Some(&one), "two", json!({"a": "2"}), false)
        else {
            panic!("no conflict");
        };
        assert_eq!(message, "Apply failed with 1 conflict: conflict with \"one\": .spec.a");
        assert_eq!(causes[0]["field"], ".spec.a");
        let forced = apply(Some(&one), "two", json!({"a": "2"}), true).unwrap();
        assert_eq!(forced["spec"]["a"], "2");
        let owners: Vec<&Value> = forced["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| &entry["manager"])
            .collect();
        assert_eq!(owners, ["two"]);
    }

    #[test]
    fn an_update_takes_the_fields_that_it_changes() {
        let schema = schema();
        let one = apply(None, "one", json!({"a": "1", "b": "1"}), false).unwrap();
        let mut new = one.clone();
        new["spec"]["a"] = json!("2");
        manager(&schema).update(Some(&one), &mut new, "editor");
        let entries = new["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries[0]["fieldsV1"], json!({"f:spec": {"f:b": {}}}));
        assert_eq!(entries[1]["manager"], "editor");
        assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:a": {}}}));
    }

    #[test]
    fn undeclared_fields_and_doubled_items_cannot_be_applied() {
        for (spec, expected) in [
            (json!({"nope": 1}), ".spec.nope: field not declared in schema"),
            (
                json!({"list": [{"name": "p"}, {"name": "p"}]}),
                ".spec.list: duplicate entries for key [name=\"p\"]",
            ),
            (json!({"tags": ["x", "x"]}), ".spec.tags: duplicate entries for key [=\"x\"]"),
            (json!({"list": {}}), ".spec.list: expected list, got &{map[]}"),
            (
                json!({"list": [{"name": "p", "v": "x"}]}),
                ".spec.list[name=\"p\"].v: expected numeric (int or float), got string",
            ),
        ] {
            let Err(ApplyError::Untyped(fault)) = apply(None, "one", spec, false) else { panic!("accepted") };
            assert_eq!(fault, expected);
        }
    }

    #[test]
    fn many_updaters_are_merged_into_one() {
        let schema = schema();
        let mut live = object(json!({"a": "0"}));
        manager(&schema).update(None, &mut live, "creator");
        for round in 0..15 {
            let mut new = live.clone();
            new["metadata"]["labels"][format!("l{round}")] = json!("x");
            manager(&schema).update(Some(&live), &mut new, &format!("m{round}"));
            live = new;
        }
        let entries = live["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), MAX_UPDATERS);
        assert!(entries.iter().any(|entry| entry["manager"] == "ancient-changes"));
    }
}

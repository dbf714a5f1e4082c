//! Which schema is served at which path: a pure function of the objects seen and the specs loaded.
//!
//! The store says what is provisioned; `status.specHash` says it too, a moment later, and the operator may have died in
//! between. So a spec that was loaded counts until Kubernetes has caught up with it, whatever older hash is still told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value as Json;
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_schema::{Schema, SchemaPath};

use crate::catalog::Catalog;

/// `namespace/name` of an object.
pub(crate) type ObjectKey = String;

/// A provisioned spec that has to be loaded, because no object has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) object: ObjectKey,
    pub(crate) path: String,
    pub(crate) hash: String,
}

/// All SchemaDefinitions, and the catalog that follows from them.
#[derive(Default)]
pub(crate) struct SchemaIndex {
    objects: HashMap<ObjectKey, Entry>,
    claims: HashMap<String, BTreeSet<ObjectKey>>,
    catalog: Catalog,
    broken: usize,
    changes: Changes,
}

/// What has become of the catalog since somebody asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Whether anything has.
    pub(crate) any: bool,
    /// What is not served any more.
    pub(crate) gone: Vec<SchemaPath>,
}

struct Entry {
    /// Which text of the spec `wanted` was made of: a status-only change does not parse again.
    revision: Option<(String, i64)>,
    path: Option<SchemaPath>,
    created: String,
    /// `status.specHash`.
    provisioned: Option<String>,
    wanted: Result<Arc<Schema>, Arc<str>>,
    serving: Option<Arc<Schema>>,
    /// The hash in the status over which the store knew better when `serving` was loaded.
    ahead_of: Option<String>,
    seen: bool,
}

impl SchemaIndex {
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// How many objects do not parse or validate.
    pub(crate) fn broken(&self) -> usize {
        self.broken
    }

    /// What has changed since it was last asked.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Why the object does not parse or validate.
    pub(crate) fn problem(&self, key: &str) -> Option<&str> {
        self.objects.get(key)?.wanted.as_ref().err().map(AsRef::as_ref)
    }

    /// A list begins: what it does not name is gone at its end.
    pub(crate) fn begin_list(&mut self) {
        self.objects.values_mut().for_each(|entry| entry.seen = false);
    }

    pub(crate) fn end_list(&mut self) {
        let gone: Vec<ObjectKey> =
            self.objects.iter().filter(|(_, e)| !e.seen).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.delete(&key);
        }
    }

    /// Takes note of an object. Gives the spec that has to be loaded before it can be served as provisioned.
    pub(crate) fn apply(&mut self, object: &DynamicObject) -> Option<Load> {
        let key = key_of(object);
        let before = self.take(&key);
        let entry = Entry::of(object, before.as_ref());
        self.broken += usize::from(entry.wanted.is_err());
        let claimed_before = before.and_then(|entry| entry.path);
        let load = entry.load(&key);
        let path = entry.path.clone();
        self.objects.insert(key.clone(), entry);
        if let Some(old) = claimed_before.filter(|old| Some(old) != path.as_ref()) {
            self.release(&old, &key);
        }
        if let Some(path) = path {
            self.claims.entry(path.to_string()).or_default().insert(key);
            self.publish(&path);
        }
        load
    }

    /// Forgets an object.
    pub(crate) fn delete(&mut self, key: &str) {
        if let Some(path) = self.take(key).and_then(|entry| entry.path) {
            self.release(&path, key);
        }
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        let entry = self.objects.remove(key)?;
        self.broken -= usize::from(entry.wanted.is_err());
        Some(entry)
    }

    /// A load came back, perhaps with another spec than the status has told of. `false` when it is of no use any more,
    /// because the object has changed since.
    pub(crate) fn loaded(&mut self, load: &Load, schema: Arc<Schema>) -> bool {
        let Some(entry) = self.objects.get_mut(&load.object).filter(|entry| entry.awaits(&load.hash)) else {
            return false;
        };
        entry.take_stored(schema);
        if let Some(path) = entry.path.clone() {
            self.publish(&path);
        }
        true
    }

    /// What the store has at a path. It counts, whatever Kubernetes has told so far.
    pub(crate) fn renewed(&mut self, schema: Arc<Schema>) {
        let path = schema.path().clone();
        let winner = self.winner(&path.to_string()).map(|(key, _)| key.clone());
        let entry = winner.and_then(|key| self.objects.get_mut(&key));
        if let Some(entry) = entry.filter(|entry| entry.provisioned.is_some()) {
            entry.take_stored(schema);
            self.publish(&path);
        }
    }

    /// Whether a load is still of use.
    pub(crate) fn awaits(&self, load: &Load) -> bool {
        self.objects.get(&load.object).is_some_and(|entry| entry.awaits(&load.hash))
    }

    fn release(&mut self, path: &SchemaPath, key: &str) {
        let text = path.to_string();
        if let Some(claims) = self.claims.get_mut(&text) {
            claims.remove(key);
            if claims.is_empty() {
                self.claims.remove(&text);
            }
        }
        self.publish(path);
    }

    /// Brings one path of the catalog up to date; the others stay as they are.
    fn publish(&mut self, path: &SchemaPath) {
        let text = path.to_string();
        let (schema, reason) = match self.winner(&text) {
            Some((_, Entry { serving: Some(schema), .. })) => (Some(Arc::clone(schema)), None),
            Some((_, entry)) => (None, Some(entry.reason())),
            None => (None, None),
        };
        let served = self.catalog.served.find(&text);
        let is_gone = served.is_some() && schema.is_none();
        let is_new = schema.as_ref().is_some_and(|schema| !served.is_some_and(|s| Arc::ptr_eq(s, schema)));
        let other_reason = self.catalog.not_ready.get(&text) != reason.as_ref();
        if is_gone {
            self.catalog.served.remove(path);
            self.changes.gone.push(path.clone());
        }
        if let Some(schema) = schema.filter(|_| is_new) {
            self.catalog.served.insert(schema);
        }
        match reason {
            _ if !other_reason => {}
            Some(reason) => self.catalog.not_ready.insert(&text, reason),
            None => {
                self.catalog.not_ready.remove(&text);
            }
        }
        self.changes.any |= is_gone || is_new || other_reason;
    }

    /// Two objects may claim one path; the operator provisions one of them, and that one counts.
    fn winner(&self, path: &str) -> Option<(&ObjectKey, &Entry)> {
        let keys = self.claims.get(path).into_iter().flatten();
        let entries = keys.filter_map(|key| self.objects.get(key).map(|entry| (key, entry)));
        entries.min_by_key(|(key, e)| (e.serving.is_none(), e.provisioned.is_none(), &e.created, *key))
    }
}

impl Entry {
    fn of(object: &DynamicObject, before: Option<&Self>) -> Self {
        let spec = object.data.get("spec").unwrap_or(&Json::Null);
        let revision = object.uid().zip(object.metadata.generation);
        let unchanged = before.filter(|before| revision.is_some() && before.revision == revision);
        let wanted = match unchanged {
            Some(before) => before.wanted.clone(),
            None => parse(spec, object),
        };
        let path =
            wanted.as_ref().map_or_else(|_| claimed_path(spec, object), |schema| Some(schema.path().clone()));
        let provisioned = object.data.pointer("/status/specHash").and_then(Json::as_str).map(str::to_owned);
        let has = |schema: &&Arc<Schema>| Some(schema.hash().as_str()) == provisioned.as_deref();
        let same_path = before.filter(|before| before.path == path);
        let served = same_path.and_then(|before| before.serving.as_ref());
        let outrun = same_path.and_then(|before| before.ahead_of.as_ref());
        let serving = provisioned.as_ref().and_then(|_| match outrun {
            // The status may be on its way to what is served, or beyond it: the store will tell.
            Some(_) => served.cloned(),
            // Without what is provisioned at hand, what was served before is nearer to it than nothing.
            None => wanted.as_ref().ok().filter(has).or_else(|| served.filter(has)).or(served).cloned(),
        });
        let ahead_of = outrun.filter(|hash| Some(*hash) == provisioned.as_ref()).cloned();
        let created = object.creation_timestamp().map_or_else(String::new, |time| time.0.to_string());
        Self { revision, path, created, provisioned, wanted, serving, ahead_of, seen: true }
    }

    fn awaits(&self, hash: &str) -> bool {
        self.provisioned.as_deref() == Some(hash)
            && self.ahead_of.as_deref() != Some(hash)
            && self.serving.as_ref().is_none_or(|schema| schema.hash().as_str() != hash)
    }

    /// Serves what the store has.
    fn take_stored(&mut self, stored: Arc<Schema>) {
        let told = self.provisioned.as_deref() == Some(stored.hash().as_str());
        self.ahead_of = if told { None } else { self.provisioned.clone() };
        // The same schema is not kept twice.
        let wanted = self.wanted.as_ref().ok().filter(|wanted| wanted.hash() == stored.hash()).cloned();
        self.serving = Some(wanted.unwrap_or(stored));
    }

    fn load(&self, key: &str) -> Option<Load> {
        let (hash, path) = (self.provisioned.as_ref()?, self.path.as_ref()?);
        self.awaits(hash).then(|| Load { object: key.to_owned(), path: path.to_string(), hash: hash.clone() })
    }

    fn reason(&self) -> Arc<str> {
        match (&self.wanted, &self.provisioned) {
            (Err(problem), None) => Arc::from(format!("its SchemaDefinition is not valid: {problem}")),
            (Ok(_), None) => Arc::from("its table is being provisioned"),
            (_, Some(_)) => Arc::from("what is provisioned is being loaded"),
        }
    }
}

pub(crate) fn key_of(object: &DynamicObject) -> ObjectKey {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn parse(spec: &Json, object: &DynamicObject) -> Result<Arc<Schema>, Arc<str>> {
    let parsed = SchemaDefinitionSpec::from_json(spec).and_then(|spec| Schema::parse(&spec));
    let schema = parsed.map_err(|violations| Arc::from(violations.to_string()))?;
    let (namespace, expected) = (object.namespace().unwrap_or_default(), schema.path().namespace());
    if namespace == expected {
        Ok(Arc::new(schema))
    } else {
        Err(Arc::from(format!("it is in the namespace `{namespace}` and must be in `{expected}`")))
    }
}

/// The path that a spec claims which is otherwise not valid, if it may.
fn claimed_path(spec: &Json, object: &DynamicObject) -> Option<SchemaPath> {
    let part = |name: &str| spec.get(name).and_then(Json::as_str);
    let parts = ["org", "app", "domain", "object", "version"].map(part);
    let path: Vec<&str> = parts.into_iter().collect::<Option<_>>()?;
    let path: SchemaPath = path.join("/").parse().ok()?;
    (object.namespace()? == path.namespace()).then_some(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::Found;

    const PATH: &str = "acme/shop/sales/order/v1";

    fn spec(fields: &[&str]) -> Json {
        let fields: Vec<Json> = fields.iter().map(|name| json!({ "name": name, "type": "string" })).collect();
        json!({ "org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1", "fields": fields })
    }

    fn hash(spec: &Json) -> String {
        SchemaDefinitionSpec::from_json(spec).unwrap().hash().as_str().to_owned()
    }

    fn object(name: &str, generation: i64, spec: &Json, provisioned: Option<&str>) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "velocity.sh/v1", "kind": "SchemaDefinition",
            "metadata": { "name": name, "namespace": "acme-shop-sales", "uid": name, "generation": generation,
                "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": spec,
            "status": provisioned.map(|hash| json!({ "specHash": hash })),
        }))
        .unwrap()
    }

    fn served(index: &SchemaIndex) -> Option<String> {
        match index.catalog().find(PATH) {
            Found::Served(schema) => Some(schema.hash().as_str().to_owned()),
            Found::NotReady(_) | Found::Nothing => None,
        }
    }

    fn schema(spec: &Json) -> Arc<Schema> {
        Arc::new(Schema::parse(&SchemaDefinitionSpec::from_json(spec).unwrap()).unwrap())
    }

    #[test]
    fn a_schema_is_served_once_its_spec_is_the_provisioned_one() {
        let (mut index, spec) = (SchemaIndex::default(), spec(&["a"]));
        assert_eq!(index.apply(&object("order", 1, &spec, None)), None);
        assert!(
            matches!(index.catalog().find(PATH), Found::NotReady(reason) if reason.contains("provisioned"))
        );
        assert_eq!(index.apply(&object("order", 1, &spec, Some(&hash(&spec)))), None);
        assert_eq!(served(&index), Some(hash(&spec)));
    }

    #[test]
    fn a_changed_spec_goes_on_serving_the_old_shape_until_it_is_provisioned() {
        let (mut index, old, new) = (SchemaIndex::default(), spec(&["a"]), spec(&["a", "b"]));
        index.apply(&object("order", 1, &old, Some(&hash(&old))));
        assert_eq!(index.apply(&object("order", 2, &new, Some(&hash(&old)))), None);
        assert_eq!(served(&index), Some(hash(&old)));
        assert_eq!(index.apply(&object("order", 2, &new, Some(&hash(&new)))), None);
        assert_eq!(served(&index), Some(hash(&new)));
    }

    #[test]
    fn after_a_restart_the_provisioned_spec_is_loaded() {
        let (mut index, old, new) = (SchemaIndex::default(), spec(&["a"]), spec(&["a", "b"]));
        let load = index.apply(&object("order", 2, &new, Some(&hash(&old)))).unwrap();
        assert_eq!((load.path.as_str(), &load.hash), (PATH, &hash(&old)));
        assert!(matches!(index.catalog().find(PATH), Found::NotReady(_)));
        assert!(index.loaded(&load, schema(&old)));
        assert_eq!(served(&index), Some(hash(&old)));
        assert!(!index.awaits(&load));
    }

    #[test]
    fn what_the_store_has_counts_until_kubernetes_has_caught_up() {
        let (mut index, one, two, three) = (SchemaIndex::default(), spec(&["a"]), spec(&["b"]), spec(&["c"]));
        let state = |spec: &Json, told: &Json| object("order", 1, spec, Some(&hash(told)));
        index.apply(&state(&one, &one));
        index.renewed(schema(&three));
        assert_eq!(served(&index), Some(hash(&three)));
        // Events that were under way when the store was asked.
        assert_eq!(index.apply(&state(&one, &one)), None);
        assert_eq!(served(&index), Some(hash(&three)));
        let load = index.apply(&state(&two, &two)).unwrap();
        assert_eq!(served(&index), Some(hash(&three)), "not the spec in between");
        assert!(index.loaded(&load, schema(&three)) && !index.awaits(&load));
        assert_eq!(served(&index), Some(hash(&three)));
        assert_eq!(index.apply(&state(&three, &three)), None);
        assert_eq!(served(&index), Some(hash(&three)));
        // From here on the status counts again.
        assert_eq!(index.apply(&state(&one, &one)), None);
        assert_eq!(served(&index), Some(hash(&one)));
    }

    #[test]
    fn a_status_that_was_never_written_is_made_up_for_by_the_store() {
        let (mut index, old, new) = (SchemaIndex::default(), spec(&["a"]), spec(&["a", "b"]));
        let load = index.apply(&object("order", 2, &new, Some(&hash(&old)))).unwrap();
        assert!(index.loaded(&load, schema(&new)));
        assert_eq!(served(&index), Some(hash(&new)));
        assert!(!index.awaits(&load), "the older spec is not asked for any more");
        assert_eq!(index.apply(&object("order", 2, &new, Some(&hash(&old)))), None);
    }

    #[test]
    fn what_is_renewed_needs_an_object_with_a_status() {
        let (mut index, spec) = (SchemaIndex::default(), spec(&["a"]));
        index.renewed(schema(&spec));
        assert!(matches!(index.catalog().find(PATH), Found::Nothing));
        index.apply(&object("order", 1, &spec, None));
        index.renewed(schema(&spec));
        assert!(matches!(index.catalog().find(PATH), Found::NotReady(_)));
    }

    #[test]
    fn only_what_changes_is_told() {
        let (mut index, spec) = (SchemaIndex::default(), spec(&["a"]));
        index.apply(&object("order", 1, &spec, Some(&hash(&spec))));
        assert_eq!(index.take_changes(), Changes { any: true, gone: Vec::new() });
        index.apply(&object("order", 1, &spec, Some(&hash(&spec))));
        assert_eq!(index.take_changes(), Changes::default());
        index.delete("acme-shop-sales/order");
        let gone = vec![PATH.parse().unwrap()];
        assert_eq!(index.take_changes(), Changes { any: true, gone });
    }

    #[test]
    fn a_load_that_comes_too_late_changes_nothing() {
        let (mut index, old, new) = (SchemaIndex::default(), spec(&["a"]), spec(&["a", "b"]));
        let load = index.apply(&object("order", 2, &new, Some(&hash(&old)))).unwrap();
        index.apply(&object("order", 2, &new, Some(&hash(&new))));
        assert!(!index.loaded(&load, schema(&old)));
        assert_eq!(served(&index), Some(hash(&new)));
        index.delete("acme-shop-sales/order");
        assert!(!index.loaded(&load, schema(&old)));
        assert_eq!(served(&index), None);
    }

    #[test]
    fn an_object_that_breaks_hurts_only_itself_and_goes_on_serving_what_is_provisioned() {
        let (mut index, good) = (SchemaIndex::default(), spec(&["a"]));
        index.apply(&object("order", 1, &good, Some(&hash(&good))));
        let mut bad = spec(&["a"]);
        bad["fields"] = json!("none");
        assert_eq!(index.apply(&object("order", 2, &bad, Some(&hash(&good)))), None);
        assert_eq!((served(&index), index.broken()), (Some(hash(&good)), 1));
        assert!(index.problem("acme-shop-sales/order").unwrap().contains("fields"));
        let strange: DynamicObject =
            serde_json::from_value(json!({ "metadata": { "name": "x", "namespace": "n" }, "spec": 7 }))
                .unwrap();
        assert_eq!(index.apply(&strange), None);
        assert_eq!(index.broken(), 2);
    }

    #[test]
    fn a_broken_object_after_a_restart_is_served_as_it_was_provisioned() {
        let (mut index, good) = (SchemaIndex::default(), spec(&["a"]));
        let mut bad = spec(&["a"]);
        bad["fields"][0]["type"] = json!("text");
        let load = index.apply(&object("order", 2, &bad, Some(&hash(&good)))).unwrap();
        assert!(index.loaded(&load, schema(&good)));
        assert_eq!(served(&index), Some(hash(&good)));
    }

    #[test]
    fn a_schema_in_anothers_namespace_is_not_served() {
        let (mut index, spec) = (SchemaIndex::default(), spec(&["a"]));
        let mut stray = object("order", 1, &spec, Some(&hash(&spec)));
        stray.metadata.namespace = Some("mallory-shop-sales".into());
        assert_eq!(index.apply(&stray), None);
        assert!(matches!(index.catalog().find(PATH), Found::Nothing));
        assert!(index.problem("mallory-shop-sales/order").unwrap().contains("acme-shop-sales"));
    }

    #[test]
    fn a_second_claim_on_a_path_does_not_displace_the_provisioned_one() {
        let (mut index, spec, other) = (SchemaIndex::default(), spec(&["a"]), spec(&["b"]));
        index.apply(&object("order", 1, &spec, Some(&hash(&spec))));
        index.apply(&object("a-thief", 1, &other, None));
        assert_eq!(served(&index), Some(hash(&spec)));
        index.delete("acme-shop-sales/order");
        assert!(matches!(index.catalog().find(PATH), Found::NotReady(_)));
    }

    #[test]
    fn what_a_new_list_does_not_name_is_gone() {
        let (mut index, spec) = (SchemaIndex::default(), spec(&["a"]));
        index.apply(&object("order", 1, &spec, Some(&hash(&spec))));
        index.begin_list();
        assert_eq!(served(&index), Some(hash(&spec)));
        index.end_list();
        assert!(matches!(index.catalog().find(PATH), Found::Nothing));
    }

    #[test]
    fn a_status_that_loses_its_hash_is_not_ready_any_more() {
        let (mut index, spec) = (SchemaIndex::default(), spec(&["a"]));
        index.apply(&object("order", 1, &spec, Some(&hash(&spec))));
        index.apply(&object("order", 1, &spec, None));
        assert!(matches!(index.catalog().find(PATH), Found::NotReady(_)));
    }
}

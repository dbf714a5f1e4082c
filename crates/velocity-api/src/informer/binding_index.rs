//! Which RoleBindings count: a pure function of the objects seen. One that is not valid, or no longer is, gives nothing,
//! whatever it gave before; the others are as they were.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value as Json;
use velocity_access::Bindings;
use velocity_contract::role_binding::RoleBindingSpec;

/// Namespace and name.
pub(crate) type BindingName = (String, String);

/// All RoleBindings.
#[derive(Default)]
pub(crate) struct BindingIndex {
    objects: BTreeMap<BindingName, Entry>,
    changed: bool,
}

struct Entry {
    spec: Json,
    parsed: Result<RoleBindingSpec, String>,
    seen: bool,
}

/// What counts, and what does not.
pub(crate) struct Built {
    pub(crate) bindings: Bindings,
    /// Why each of the others gives nothing.
    pub(crate) problems: BTreeMap<BindingName, String>,
}

impl BindingIndex {
    pub(crate) fn begin_list(&mut self) {
        self.objects.values_mut().for_each(|entry| entry.seen = false);
    }

    pub(crate) fn end_list(&mut self) {
        let before = self.objects.len();
        self.objects.retain(|_, entry| entry.seen);
        // A first list with nothing in it is news too.
        self.changed |= before == 0 || self.objects.len() != before;
    }

    pub(crate) fn apply(&mut self, object: &DynamicObject) {
        let spec = object.data.get("spec").unwrap_or(&Json::Null);
        match self.objects.get_mut(&name_of(object)) {
            Some(entry) if entry.spec == *spec => entry.seen = true,
            _ => {
                let parsed = serde_json::from_value(spec.clone()).map_err(|error| format!("spec: {error}"));
                self.objects.insert(name_of(object), Entry { spec: spec.clone(), parsed, seen: true });
                self.changed = true;
            }
        }
    }

    pub(crate) fn delete(&mut self, object: &DynamicObject) {
        self.changed |= self.objects.remove(&name_of(object)).is_some();
    }

    /// What there is now, if it is something else than the last time.
    pub(crate) fn take_changed(&mut self) -> Option<Built> {
        std::mem::take(&mut self.changed).then(|| self.build())
    }

    fn build(&self) -> Built {
        let readable = self.objects.iter().filter_map(|((namespace, name), entry)| {
            entry.parsed.as_ref().ok().map(|spec| (namespace.as_str(), name.as_str(), spec))
        });
        let (bindings, refused) = Bindings::build(readable);
        let refused = refused.into_iter().map(|(namespace, name, why)| ((namespace, name), why.to_string()));
        let unreadable = self.objects.iter().filter_map(|(name, entry)| {
            entry.parsed.as_ref().err().map(|error| (name.clone(), error.clone()))
        });
        Built { bindings, problems: unreadable.chain(refused).collect() }
    }
}

/// What of `now` was not a problem `before`, or another one.
pub(crate) fn news<'a>(
    before: &BTreeMap<BindingName, String>,
    now: &'a BTreeMap<BindingName, String>,
) -> BTreeSet<(&'a BindingName, &'a str)> {
    now.iter()
        .filter(|(name, why)| before.get(*name) != Some(*why))
        .map(|(name, why)| (name, why.as_str()))
        .collect()
}

fn name_of(object: &DynamicObject) -> BindingName {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, spec: &Json) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "acme-shop-sales" }, "spec": spec, "status": { "phase": "Ready" }
        }))
        .unwrap()
    }

    fn good() -> Json {
        json!({ "actor": "ravi", "roles": ["writer"] })
    }

    #[test]
    fn a_bad_binding_hurts_only_itself() {
        let mut index = BindingIndex::default();
        index.apply(&object("good", &good()));
        index.apply(&object("admin", &json!({ "actor": "ravi", "roles": ["platform-admin"] })));
        index.apply(&object("shape", &json!({ "actor": 7 })));
        index.apply(&object("nothing", &Json::Null));
        let built = index.take_changed().unwrap();
        assert_eq!(built.bindings.len(), 1);
        let names: Vec<&str> = built.problems.keys().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["admin", "nothing", "shape"]);
    }

    #[test]
    fn a_binding_that_breaks_gives_nothing_any_more() {
        let mut index = BindingIndex::default();
        index.apply(&object("b", &good()));
        assert_eq!(index.take_changed().unwrap().bindings.len(), 1);
        index.apply(&object("b", &json!({ "actor": "ravi", "roles": ["writer"], "until": "tomorrow" })));
        let built = index.take_changed().unwrap();
        assert!(built.bindings.is_empty());
        assert!(built.problems.values().next().unwrap().contains("until"));
    }

    #[test]
    fn a_status_is_no_news_and_what_a_new_list_leaves_out_is_gone() {
        let mut index = BindingIndex::default();
        index.begin_list();
        index.end_list();
        assert!(
            index.take_changed().is_some_and(|built| built.bindings.is_empty()),
            "an empty list is an answer"
        );
        index.apply(&object("b", &good()));
        assert!(index.take_changed().is_some());
        index.apply(&object("b", &good()));
        assert!(index.take_changed().is_none());
        index.begin_list();
        index.end_list();
        assert!(index.take_changed().unwrap().bindings.is_empty());
    }

    #[test]
    fn only_a_new_problem_is_news() {
        let problem = |why: &str| BTreeMap::from([(("n".to_owned(), "b".to_owned()), why.to_owned())]);
        assert_eq!(news(&problem("x"), &problem("x")).len(), 0);
        assert_eq!(news(&problem("x"), &problem("y")).len(), 1);
        assert_eq!(news(&BTreeMap::new(), &problem("y")).len(), 1);
    }
}

//! Which strategies run. A strategy that is broken does not run, whatever it was before: its last good form may be the
//! one that its owner has just withdrawn.

use std::collections::HashMap;
use std::sync::Arc;

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value as Json;
use velocity_access::{AuthStrategy, Authenticator, Context};
use velocity_contract::auth_strategy::AuthStrategySpec;
use velocity_schema::schema::StrategyRef;

use crate::strategies::RunningStrategies;

/// All AuthStrategies.
#[derive(Default)]
pub(crate) struct StrategyIndex {
    objects: HashMap<StrategyRef, Entry>,
}

struct Entry {
    spec: Json,
    running: Result<Arc<Authenticator>, String>,
    seen: bool,
}

impl StrategyIndex {
    pub(crate) fn running(&self) -> RunningStrategies {
        let running = |(name, entry): (&StrategyRef, &Entry)| {
            entry.running.as_ref().ok().map(|running| (name.clone(), Arc::clone(running)))
        };
        self.objects.iter().filter_map(running).collect()
    }

    pub(crate) fn broken(&self) -> usize {
        self.objects.values().filter(|entry| entry.running.is_err()).count()
    }

    /// Why the strategy does not run.
    pub(crate) fn problem(&self, name: &StrategyRef) -> Option<&str> {
        self.objects.get(name)?.running.as_ref().err().map(String::as_str)
    }

    pub(crate) fn begin_list(&mut self) {
        self.objects.values_mut().for_each(|entry| entry.seen = false);
    }

    pub(crate) fn end_list(&mut self) {
        self.objects.retain(|_, entry| entry.seen);
    }

    /// Starts the strategy anew when its spec changed; else it keeps its caches and keys.
    pub(crate) fn apply(&mut self, object: &DynamicObject) {
        let spec = object.data.get("spec").unwrap_or(&Json::Null);
        let name = name_of(object);
        match self.objects.get_mut(&name) {
            Some(entry) if entry.spec == *spec => entry.seen = true,
            _ => {
                let running = start(&name, spec).map(Arc::new);
                self.objects.insert(name, Entry { spec: spec.clone(), running, seen: true });
            }
        }
    }

    pub(crate) fn delete(&mut self, object: &DynamicObject) {
        self.objects.remove(&name_of(object));
    }
}

pub(crate) fn name_of(object: &DynamicObject) -> StrategyRef {
    StrategyRef { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

fn start(name: &StrategyRef, spec: &Json) -> Result<Authenticator, String> {
    let spec: AuthStrategySpec = serde_json::from_value(spec.clone()).map_err(|error| error.to_string())?;
    let strategy = AuthStrategy::parse(&spec).map_err(|violations| violations.to_string())?;
    let started = Authenticator::start(&name.to_string(), strategy, Context::default());
    started.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use velocity_access::DevKey;

    use super::*;

    fn object(spec: &Json) -> DynamicObject {
        serde_json::from_value(
            json!({ "metadata": { "name": "dev", "namespace": "platform" }, "spec": spec }),
        )
        .unwrap()
    }

    fn dev_spec() -> Json {
        serde_json::to_value(DevKey::generate().unwrap().strategy()).unwrap()
    }

    fn running(index: &StrategyIndex) -> Option<Arc<Authenticator>> {
        index.running().into_values().next()
    }

    #[tokio::test]
    async fn a_strategy_keeps_running_until_its_spec_changes() {
        let (mut index, spec) = (StrategyIndex::default(), dev_spec());
        index.apply(&object(&spec));
        let first = running(&index).unwrap();
        index.apply(&object(&spec));
        assert!(Arc::ptr_eq(&first, &running(&index).unwrap()));
        index.apply(&object(&dev_spec()));
        assert!(!Arc::ptr_eq(&first, &running(&index).unwrap()));
    }

    #[tokio::test]
    async fn a_strategy_that_breaks_lets_nobody_in_any_more() {
        let mut index = StrategyIndex::default();
        index.apply(&object(&dev_spec()));
        index.apply(&object(&json!({ "type": "jwt" })));
        assert!(running(&index).is_none());
        assert_eq!(index.broken(), 1);
        assert!(index.problem(&name_of(&object(&json!({})))).unwrap().contains("jwt"));
    }

    #[tokio::test]
    async fn a_strategy_that_is_deleted_or_missing_in_a_new_list_is_gone() {
        let (mut index, spec) = (StrategyIndex::default(), dev_spec());
        index.apply(&object(&spec));
        index.delete(&object(&spec));
        assert!(running(&index).is_none());
        index.apply(&object(&spec));
        index.begin_list();
        index.end_list();
        assert!(running(&index).is_none());
    }
}

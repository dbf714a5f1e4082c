//! When there may be something to do for an object. Pure.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;

use kube::api::DynamicObject;
use kube::runtime::watcher::Event;

use crate::finalizers;

/// What was seen last of each object, by uid.
#[derive(Debug, Default)]
pub(crate) struct Occasions {
    seen: HashMap<String, Seen>,
    /// Those of a list that is not complete yet.
    listed: HashMap<String, Seen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    asked: u64,
    /// Whether it carries the operator's finalizer.
    is_ours: bool,
}

impl Seen {
    fn of(object: &DynamicObject) -> Self {
        Self { asked: asked(object), is_ours: finalizers::is_on(object) }
    }
}

impl Occasions {
    /// The object, where it is to be looked at. What the operator itself writes, the status and its finalizer, is no reason;
    /// that someone has taken the finalizer away is one.
    pub(crate) fn find(&mut self, event: Event<DynamicObject>) -> Option<DynamicObject> {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitDone => self.seen = mem::take(&mut self.listed),
            Event::Delete(object) => {
                self.seen.remove(&uid(&object));
            }
            Event::InitApply(object) => {
                let now = Seen::of(&object);
                self.listed.insert(uid(&object), now);
                return is_occasion(self.seen.get(&uid(&object)).copied(), now).then_some(object);
            }
            Event::Apply(object) => {
                let now = Seen::of(&object);
                return is_occasion(self.seen.insert(uid(&object), now), now).then_some(object);
            }
        }
        None
    }
}

fn is_occasion(before: Option<Seen>, now: Seen) -> bool {
    before.is_none_or(|before| before.asked != now.asked || before.is_ours && !now.is_ours)
}

/// Changes with the spec, any annotation, a deletion, and the finalizers of others.
fn asked(object: &DynamicObject) -> u64 {
    let metadata = &object.metadata;
    let others: Vec<&String> = finalizers::others(object).collect();
    let mut hasher = DefaultHasher::new();
    (metadata.generation, &metadata.annotations, metadata.deletion_timestamp.is_some(), others)
        .hash(&mut hasher);
    hasher.finish()
}

fn uid(object: &DynamicObject) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn object(metadata: &Json) -> DynamicObject {
        let mut object = json!({"apiVersion": "velocity.sh/v1", "kind": "SchemaDefinition",
            "metadata": {"uid": "1", "generation": 1}});
        for (key, value) in metadata.as_object().unwrap() {
            object["metadata"][key] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    /// Which of these states of one object, one after the other, are occasions.
    fn occasions(states: &[Json]) -> Vec<bool> {
        let mut occasions = Occasions::default();
        states.iter().map(|state| occasions.find(Event::Apply(object(state))).is_some()).collect()
    }

    #[test]
    fn a_spec_an_annotation_a_deletion_and_the_finalizer_of_another_are_occasions() {
        for changed in [
            json!({"generation": 2}),
            json!({"annotations": {"velocity.sh/reconcile-at": "2026-01-01T00:00:00Z"}}),
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            json!({"finalizers": ["another/one"]}),
            json!({"uid": "2"}),
        ] {
            assert_eq!(
                occasions(&[json!({}), changed.clone(), changed.clone()]),
                [true, true, false],
                "{changed}"
            );
        }
    }

    #[test]
    fn what_the_operator_writes_is_no_occasion_and_its_finalizer_taken_away_is_one() {
        let (bare, ours) = (json!({}), json!({"finalizers": ["velocity.sh/operator"]}));
        let mut status = object(&ours);
        status.data = json!({"status": {"phase": "Ready"}});
        let mut of_one = Occasions::default();
        assert!(of_one.find(Event::Apply(object(&bare))).is_some());
        assert!(of_one.find(Event::Apply(object(&ours))).is_none());
        assert!(of_one.find(Event::Apply(status)).is_none());
        assert_eq!(occasions(&[ours.clone(), bare, ours]), [true, true, false]);
    }

    #[test]
    fn a_list_made_anew_is_no_occasion_for_what_was_seen_and_forgets_what_is_gone() {
        let (first, second) = (object(&json!({})), object(&json!({"uid": "2"})));
        let mut occasions = Occasions::default();
        let mut list = |objects: &[&DynamicObject]| {
            let events = objects.iter().map(|object| Event::InitApply((*object).clone()));
            let all = [Event::Init].into_iter().chain(events).chain([Event::InitDone]);
            all.filter_map(|event| occasions.find(event)).count()
        };
        assert_eq!(list(&[&first]), 1);
        assert_eq!(list(&[&first, &second]), 1);
        assert_eq!(list(&[&second]), 0);
        assert_eq!(occasions.seen.len(), 1);
        assert!(occasions.find(Event::Delete(second)).is_none());
        assert!(occasions.seen.is_empty());
    }
}

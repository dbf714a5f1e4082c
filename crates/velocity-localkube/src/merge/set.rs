//! Sets of field paths.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Step;
use crate::schema::Schema;

/// A trie of paths: a path is in the set if its last step is a member where it leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Set {
    members: BTreeSet<Step>,
    children: BTreeMap<Step, Set>,
}

impl Set {
    /// The set of these top-level fields.
    pub(crate) fn of_fields(names: &[&str]) -> Self {
        Self { members: names.iter().map(|name| Step::field(name)).collect(), children: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, path: &[Step]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    pub(crate) fn has_member(&self, step: &Step) -> bool {
        self.members.contains(step)
    }

    pub(crate) fn child(&self, step: &Step) -> Option<&Self> {
        self.children.get(step)
    }

    pub(crate) fn has(&self, path: &[Step]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self.children.get(first).is_some_and(|child| child.has(rest)),
        }
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.members.extend(other.members.iter().cloned());
        for (step, child) in &other.children {
            let merged = match result.children.get(step) {
                Some(mine) => mine.union(child),
                None => child.clone(),
            };
            result.children.insert(step.clone(), merged);
        }
        result
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let members = self.members.intersection(&other.members).cloned().collect();
        let children = self
            .children
            .iter()
            .filter_map(|(step, child)| {
                let both = child.intersection(other.children.get(step)?);
                (!both.is_empty()).then(|| (step.clone(), both))
            })
            .collect();
        Self { members, children }
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        let members = self.members.difference(&other.members).cloned().collect();
        let children = self.filter_children(|step, child| match other.children.get(step) {
            Some(theirs) => child.difference(theirs),
            None => child.clone(),
        });
        Self { members, children }
    }

    /// Like [`Set::difference`], and what lies below a member of `other` goes too.
    pub(crate) fn recursive_difference(&self, other: &Self) -> Self {
        let members = self.members.difference(&other.members).cloned().collect();
        let children = self.filter_children(|step, child| {
            if other.members.contains(step) {
                return Self::default();
            }
            match other.children.get(step) {
                Some(theirs) => child.recursive_difference(theirs),
                None => child.clone(),
            }
        });
        Self { members, children }
    }

    fn filter_children(&self, map: impl Fn(&Step, &Self) -> Self) -> BTreeMap<Step, Self> {
        self.children
            .iter()
            .map(|(step, child)| (step.clone(), map(step, child)))
            .filter(|(_, child)| !child.is_empty())
            .collect()
    }

    /// Adds the declared fields on the way to each path as members: they go when all below them goes.
    pub(crate) fn with_named_fields(&self, schema: Option<&Schema>) -> Self {
        let mut members = self.members.clone();
        let mut children = BTreeMap::new();
        for (step, child) in &self.children {
            let below = match (step, schema) {
                (Step::Field(name), Some(schema)) => {
                    if schema.properties.contains_key(name) {
                        members.insert(step.clone());
                    }
                    schema.member(name)
                }
                (Step::Key(_) | Step::Value(_), Some(schema)) => schema.items.as_deref(),
                _ => None,
            };
            children.insert(step.clone(), child.with_named_fields(below));
        }
        Self { members, children }
    }

    /// Every path, in order.
    pub(crate) fn paths(&self) -> Vec<Vec<Step>> {
        let mut all = Vec::new();
        self.collect(&mut Vec::new(), &mut all);
        all
    }

    fn collect(&self, prefix: &mut Vec<Step>, all: &mut Vec<Vec<Step>>) {
        for member in &self.members {
            prefix.push(member.clone());
            all.push(prefix.clone());
            prefix.pop();
        }
        for (step, child) in &self.children {
            prefix.push(step.clone());
            child.collect(prefix, all);
            prefix.pop();
        }
    }

    /// The FieldsV1 form.
    pub(crate) fn encode(&self) -> Value {
        Value::Object(self.encode_map())
    }

    fn encode_map(&self) -> Map<String, Value> {
        let steps: BTreeSet<&Step> = self.members.iter().chain(self.children.keys()).collect();
        let mut map = Map::new();
        for step in steps {
            let mut below = self.children.get(step).map(Self::encode_map).unwrap_or_default();
            if !below.is_empty() && self.members.contains(step) {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(step.encode(), Value::Object(below));
        }
        map
    }

    /// Reads FieldsV1; `None` if it is not that.
    pub(crate) fn decode(fields: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (key, below) in fields.as_object()? {
            if key == "." {
                continue;
            }
            let step = Step::decode(key)?;
            let object = below.as_object()?;
            if object.is_empty() || object.contains_key(".") {
                set.members.insert(step.clone());
            }
            if object.keys().any(|key| key != ".") {
                set.children.insert(step, Self::decode(below)?);
            }
        }
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Set;

    #[test]
    fn fields_v1_survives_a_round_trip() {
        let fields = json!({
            "f:spec": {"f:a": {}, "f:list": {".": {}, "k:{\"name\":\"x\"}": {".": {}, "f:name": {}}, "v:3": {}}},
            "f:metadata": {"f:labels": {".": {}, "f:l": {}}}
        });
        assert_eq!(Set::decode(&fields).unwrap().encode(), fields);
    }

    #[test]
    fn differences_drop_what_becomes_empty() {
        let set = |value| Set::decode(&value).unwrap();
        let all = set(json!({"f:a": {".": {}, "f:b": {}}, "f:c": {"f:d": {}}}));
        let some = set(json!({"f:c": {"f:d": {}}}));
        assert_eq!(all.difference(&some), set(json!({"f:a": {".": {}, "f:b": {}}})));
        assert_eq!(all.recursive_difference(&Set::of_fields(&["a"])), some);
        assert_eq!(all.intersection(&some), some);
    }
}

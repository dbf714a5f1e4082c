//! Values seen through their schema: which paths they have, how two differ, how two merge.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::Step;
use super::set::Set;
use crate::schema::{ListType, Schema, Type};

/// The schema of a node; `None` where nothing is declared: maps merge there, lists do not.
pub(super) type Typed<'a> = Option<&'a Schema>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Map,
    List,
    Scalar,
}

fn shape(schema: Typed<'_>, value: Option<&Value>) -> Shape {
    match schema {
        Some(Schema { int_or_string: true, .. }) => Shape::Scalar,
        Some(Schema { kind: Some(Type::Object), .. }) => Shape::Map,
        Some(Schema { kind: Some(Type::Array), .. }) => Shape::List,
        Some(Schema { kind: Some(_), .. }) => Shape::Scalar,
        _ => match value {
            Some(Value::Array(_)) => Shape::List,
            Some(Value::Object(_) | Value::Null) | None => Shape::Map,
            Some(_) => Shape::Scalar,
        },
    }
}

fn is_atomic(schema: Typed<'_>, shape: Shape) -> bool {
    match shape {
        Shape::Scalar => true,
        Shape::Map => schema.is_some_and(|schema| schema.atomic_map),
        Shape::List => schema.is_none_or(|schema| schema.list_type == ListType::Atomic),
    }
}

pub(super) fn member<'a>(schema: Typed<'a>, name: &str) -> Typed<'a> {
    schema.and_then(|schema| schema.member(name))
}

fn items(schema: Typed<'_>) -> Typed<'_> {
    schema.and_then(|schema| schema.items.as_deref())
}

fn map_of(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn list_of(value: Option<&Value>) -> Option<&Vec<Value>> {
    value.and_then(Value::as_array)
}

/// How an item of an associative list is named; `None` if it cannot be.
pub(super) fn item_step(schema: &Schema, item: &Value) -> Option<Step> {
    if schema.list_type == ListType::Set {
        return (!item.is_object() && !item.is_array() && !item.is_null()).then(|| Step::value(item));
    }
    let object = item.as_object()?;
    let mut keys = BTreeMap::new();
    for name in &schema.list_map_keys {
        let default = || schema.items.as_ref()?.properties.get(name)?.default.as_ref();
        if let Some(value) = object.get(name).or_else(default) {
            keys.insert(name.as_str(), value);
        }
    }
    (!keys.is_empty()).then(|| Step::key(&keys))
}

/// Items by name in order of first appearance. Items that share a name are together.
fn by_step<'a>(schema: Typed<'_>, list: Option<&'a Vec<Value>>) -> Vec<(Step, Vec<&'a Value>)> {
    let (Some(schema), Some(list)) = (schema, list) else { return Vec::new() };
    let mut named: Vec<(Step, Vec<&Value>)> = Vec::new();
    for item in list {
        let Some(step) = item_step(schema, item) else { continue };
        match named.iter_mut().find(|(one, _)| *one == step) {
            Some((_, items)) => items.push(item),
            None => named.push((step, vec![item])),
        }
    }
    named
}

/// The paths that a value sets.
pub(super) fn field_set(schema: Typed<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    add_fields(schema, value, &mut Vec::new(), &mut set);
    set
}

fn add_fields(schema: Typed<'_>, value: &Value, path: &mut Vec<Step>, set: &mut Set) {
    let shape = shape(schema, Some(value));
    if is_atomic(schema, shape) {
        set.insert(path);
        return;
    }
    match shape {
        Shape::Map => {
            for (name, below) in map_of(Some(value)).into_iter().flatten() {
                path.push(Step::field(name));
                add_fields(member(schema, name), below, path, set);
                let declared = schema.is_some_and(|schema| schema.properties.contains_key(name));
                if below.is_null() || below.as_object().is_some_and(Map::is_empty) || !declared {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Shape::List => {
            for (step, found) in by_step(schema, list_of(Some(value))) {
                path.push(step);
                if let [one] = found.as_slice() {
                    add_fields(items(schema), one, path, set);
                }
                set.insert(path);
                path.pop();
            }
        }
        Shape::Scalar => {}
    }
}

/// How a new value differs from an old one.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: Set,
    pub(super) modified: Set,
    pub(super) added: Set,
}

impl Comparison {
    pub(super) fn of(schema: Typed<'_>, old: &Value, new: &Value) -> Self {
        let mut comparison = Self::default();
        comparison.node(schema, Some(old), Some(new), &mut Vec::new());
        comparison
    }

    /// Without what lies in `ignored`.
    pub(super) fn without(self, ignored: &Set) -> Self {
        Self {
            removed: self.removed.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            added: self.added.recursive_difference(ignored),
        }
    }

    fn node(&mut self, schema: Typed<'_>, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<Step>) {
        let (before, after) = (shape(schema, old), shape(schema, new));
        let is_leaf = if new.is_none() || new.is_some_and(Value::is_null) && old.is_some() {
            self.shaped(before, schema, old, new, path)
        } else if old.is_none_or(Value::is_null) || before == after {
            self.shaped(after, schema, old, new, path)
        } else {
            self.shaped(before, schema, old, new, path);
            self.shaped(after, schema, old, new, path)
        };
        if !is_leaf {
            match (old, new) {
                (None, _) => self.added.insert(path),
                (_, None) => self.removed.insert(path),
                _ => {}
            }
        }
    }

    /// Compares as `shape`; true if the node is a leaf.
    fn shaped(
        &mut self,
        shape: Shape,
        schema: Typed<'_>,
        old: Option<&Value>,
        new: Option<&Value>,
        path: &mut Vec<Step>,
    ) -> bool {
        let is_empty = |value: Option<&Value>| match shape {
            Shape::Map => map_of(value).is_none_or(Map::is_empty),
            Shape::List => list_of(value).is_none_or(Vec::is_empty),
            Shape::Scalar => true,
        };
        if is_atomic(schema, shape) || (is_empty(old) && is_empty(new)) {
            match (old, new) {
                (None, _) => self.added.insert(path),
                (_, None) => self.removed.insert(path),
                (Some(old), Some(new)) if old != new => self.modified.insert(path),
                _ => {}
            }
            return true;
        }
        match shape {
            Shape::Map => self.maps(schema, map_of(old), map_of(new), path),
            Shape::List => self.lists(schema, list_of(old), list_of(new), path),
            Shape::Scalar => {}
        }
        false
    }

    fn maps(
        &mut self,
        schema: Typed<'_>,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
        path: &mut Vec<Step>,
    ) {
        let names: std::collections::BTreeSet<&String> =
            old.into_iter().flat_map(Map::keys).chain(new.into_iter().flat_map(Map::keys)).collect();
        for name in names {
            path.push(Step::field(name));
            let (before, after) = (old.and_then(|map| map.get(name)), new.and_then(|map| map.get(name)));
            self.node(member(schema, name), before, after, path);
            path.pop();
        }
    }

    fn lists(
        &mut self,
        schema: Typed<'_>,
        old: Option<&Vec<Value>>,
        new: Option<&Vec<Value>>,
        path: &mut Vec<Step>,
    ) {
        let (old, new) = (by_step(schema, old), by_step(schema, new));
        let find = |list: &[(Step, Vec<&Value>)], step: &Step| -> Vec<Value> {
            list.iter()
                .find(|(one, _)| one == step)
                .map(|(_, items)| items.iter().map(|&item| item.clone()).collect())
                .unwrap_or_default()
        };
        let only_new = new.iter().filter(|(step, _)| old.iter().all(|(one, _)| one != step));
        for (step, _) in old.iter().chain(only_new) {
            path.push(step.clone());
            let (before, after) = (find(&old, step), find(&new, step));
            match (before.as_slice(), after.as_slice()) {
                ([] | [_], [] | [_]) => self.node(items(schema), before.first(), after.first(), path),
                ([_, _, ..], [_, _, ..]) => {
                    if before != after {
                        self.modified.insert(path);
                    }
                }
                ([_, _, ..], rest) => {
                    if let [one] = rest {
                        self.node(items(schema), None, Some(one), path);
                    }
                    self.removed.insert(path);
                }
                (rest, _) => {
                    if let [one] = rest {
                        self.node(items(schema), Some(one), None, path);
                    }
                    self.added.insert(path);
                }
            }
            path.pop();
        }
    }
}

/// `config` laid over `live`.
pub(super) fn merge(schema: Typed<'_>, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
    let shape = shape(schema, config.filter(|value| !value.is_null()).or(live));
    let leaf = || config.or(live).cloned();
    match shape {
        _ if is_atomic(schema, shape) => leaf(),
        Shape::Scalar => leaf(),
        Shape::Map => {
            let (old, new) = (map_of(live), map_of(config));
            if old.is_none_or(Map::is_empty) && new.is_none_or(Map::is_empty) {
                return leaf();
            }
            let mut merged = Map::new();
            for name in old.into_iter().flat_map(Map::keys).chain(new.into_iter().flat_map(Map::keys)) {
                if merged.contains_key(name) {
                    continue;
                }
                let (before, after) = (old.and_then(|map| map.get(name)), new.and_then(|map| map.get(name)));
                if let Some(value) = merge(member(schema, name), before, after) {
                    merged.insert(name.clone(), value);
                }
            }
            (!merged.is_empty()).then_some(Value::Object(merged))
        }
        Shape::List => {
            let (old, new) = (list_of(live), list_of(config));
            if old.is_none_or(Vec::is_empty) && new.is_none_or(Vec::is_empty) {
                return leaf();
            }
            let merged = merge_lists(schema, old, new);
            (!merged.is_empty()).then_some(Value::Array(merged))
        }
    }
}

/// Keeps the live order for items that only live has, and the applied order for those applied.
fn merge_lists(schema: Typed<'_>, live: Option<&Vec<Value>>, config: Option<&Vec<Value>>) -> Vec<Value> {
    let left: Vec<(Step, &Value)> = steps(schema, live);
    let right: Vec<(Step, &Value)> = steps(schema, config);
    let in_left =
        |step: &Step| left.iter().filter(|(one, _)| one == step).map(|(_, value)| *value).collect::<Vec<_>>();
    let in_right = |step: &Step| right.iter().find(|(one, _)| one == step).map(|(_, value)| *value);
    let mut shared = right.iter().map(|(step, _)| step).filter(|step| !in_left(step).is_empty());
    let mut next_shared = shared.next();
    let mut done: Vec<&Step> = Vec::new();
    let mut merged = Vec::new();
    let take_right = |step: &Step| {
        // Live items that share a name are not merged with the applied one.
        let before = match in_left(step).as_slice() {
            [one] => Some(*one),
            _ => None,
        };
        merge(items(schema), before, in_right(step))
    };
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() {
            let step = &left[l].0;
            if *step == right[r].0 {
                merged.extend(take_right(step));
                done.push(step);
                l += 1;
                r += 1;
                next_shared = shared.next();
                continue;
            }
            if in_right(step).is_some() && next_shared.is_some_and(|next| next != step) {
                l += 1;
                continue;
            }
        }
        if l < left.len() {
            let step = &left[l].0;
            if in_right(step).is_none() {
                merged.extend(merge(items(schema), Some(left[l].1), None));
                l += 1;
                continue;
            }
            if done.contains(&step) {
                l += 1;
            }
        }
        if r < right.len() {
            let step = &right[r].0;
            merged.extend(take_right(step));
            done.push(step);
            r += 1;
            if next_shared == Some(step) {
                next_shared = shared.next();
            }
        }
    }
    merged
}

fn steps<'a>(schema: Typed<'_>, list: Option<&'a Vec<Value>>) -> Vec<(Step, &'a Value)> {
    let (Some(schema), Some(list)) = (schema, list) else { return Vec::new() };
    list.iter().filter_map(|item| Some((item_step(schema, item)?, item))).collect()
}

/// `value` without the paths in `gone`.
pub(super) fn remove(schema: Typed<'_>, value: &Value, gone: &Set) -> Option<Value> {
    let shape = shape(schema, Some(value));
    match shape {
        Shape::Scalar => Some(value.clone()),
        Shape::List => {
            let list = list_of(Some(value))?;
            let schema = schema.filter(|_| !is_atomic(schema, shape))?;
            let kept: Vec<Value> = list
                .iter()
                .filter_map(|item| {
                    let Some(step) = item_step(schema, item) else { return Some(item.clone()) };
                    if gone.has_member(&step) {
                        return None;
                    }
                    match gone.child(&step) {
                        Some(below) if !below.is_empty() => {
                            Some(remove(items(Some(schema)), item, below).unwrap_or(Value::Null))
                        }
                        _ => Some(item.clone()),
                    }
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Shape::Map => {
            let map = map_of(Some(value))?;
            if is_atomic(schema, shape) {
                return None;
            }
            let mut kept = Map::new();
            for (name, below) in map {
                let step = Step::field(name);
                if gone.has_member(&step) {
                    continue;
                }
                let left = match gone.child(&step) {
                    Some(set) if !set.is_empty() => {
                        remove(member(schema, name), below, set).unwrap_or(Value::Null)
                    }
                    _ => below.clone(),
                };
                kept.insert(name.clone(), left);
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
    }
}

//! From a template and a value to text.

use std::cmp::Ordering;

use super::{Comparison, Part, Step};
use crate::output::json::Json;

pub(super) fn render(parts: &[Part], value: &Json, out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(steps) => {
                let found: Vec<String> = walk(steps, value).into_iter().map(Json::cell).collect();
                out.push_str(&found.join(" "));
            }
            Part::Range(list, body) => {
                for item in walk(list, value) {
                    render(body, item, out);
                }
            }
        }
    }
}

fn walk<'a>(steps: &[Step], value: &'a Json) -> Vec<&'a Json> {
    steps
        .iter()
        .fold(vec![value], |values, step| values.into_iter().flat_map(|value| take(step, value)).collect())
}

fn take<'a>(step: &Step, value: &'a Json) -> Vec<&'a Json> {
    match (step, value) {
        (Step::Member(name), value) => value.member(name).into_iter().collect(),
        (Step::Anywhere(name), value) => anywhere(name, value),
        (Step::All, Json::Array(items)) => items.iter().collect(),
        (Step::All, Json::Object(members)) => members.iter().map(|(_, value)| value).collect(),
        (Step::Index(positions), Json::Array(items)) => {
            positions.iter().filter_map(|position| items.get(place(*position, items.len())?)).collect()
        }
        (Step::Slice(from, to), Json::Array(items)) => {
            let bound = |at: i64| place(at, items.len()).unwrap_or(0).min(items.len());
            let from = from.map_or(0, bound);
            let to = to.map_or(items.len(), bound);
            items.get(from..to).unwrap_or_default().iter().collect()
        }
        (Step::Filter(path, condition), Json::Array(items)) => {
            items.iter().filter(|item| holds(path, condition.as_ref(), item)).collect()
        }
        _ => Vec::new(),
    }
}

/// A position from the start, or from the end where it is negative.
fn place(position: i64, length: usize) -> Option<usize> {
    match usize::try_from(position) {
        Ok(position) => Some(position),
        Err(_) => length.checked_sub(usize::try_from(position.unsigned_abs()).ok()?),
    }
}

fn anywhere<'a>(name: &str, value: &'a Json) -> Vec<&'a Json> {
    match value {
        Json::Object(members) => members
            .iter()
            .flat_map(|(key, value)| {
                let own = (key == name).then_some(value);
                own.into_iter().chain(anywhere(name, value))
            })
            .collect(),
        Json::Array(items) => items.iter().flat_map(|item| anywhere(name, item)).collect(),
        _ => Vec::new(),
    }
}

fn holds(path: &[Step], condition: Option<&(Comparison, Json)>, item: &Json) -> bool {
    let found = walk(path, item);
    let Some((comparison, literal)) = condition else { return !found.is_empty() };
    found.into_iter().any(|value| {
        let order = order(value, literal);
        match comparison {
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::NotEqual => order != Some(Ordering::Equal),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    })
}

fn order(left: &Json, right: &Json) -> Option<Ordering> {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => {
            let exact = |text: &str| velocity_schema::decimal::parse(text).ok();
            Some(exact(left)?.cmp(&exact(right)?))
        }
        (Json::String(left), Json::String(right)) => Some(left.cmp(right)),
        (left, right) => (left == right).then_some(Ordering::Equal),
    }
}

//! Whether a page can be read off an index, in order, without passing over what does not fit.

use std::collections::HashSet;

use velocity_schema::Schema;
use velocity_schema::field::FieldType;

use super::condition::Condition;
use super::plan::SortKey;
use crate::ddl;

/// Whether some index has all records that fit in one stretch, in the order wanted.
pub(super) fn in_order(schema: &Schema, conditions: &[Condition], keys: &[SortKey]) -> bool {
    let pinned: HashSet<usize> =
        conditions.iter().filter(|condition| condition.pins()).map(Condition::position).collect();
    if pinned.contains(&0) || pinned.iter().any(|at| schema.fields().get(*at).is_some_and(|f| f.unique)) {
        return true;
    }
    // What is the same in all records does not order them.
    let keys: Vec<SortKey> = keys.iter().copied().filter(|key| !pinned.contains(&key.position)).collect();
    let bounded = |condition: &&Condition| {
        condition.bounds() && keys.first().is_some_and(|key| key.position == condition.position())
    };
    if !conditions.iter().filter(|condition| !condition.pins()).all(|condition| bounded(&condition)) {
        return false;
    }
    indexes(schema).iter().any(|index| serves(index, &pinned, &keys))
}

/// The indexes that a schema brings, without partial ones.
fn indexes(schema: &Schema) -> Vec<Vec<SortKey>> {
    let ascending = |position| SortKey { position, descending: false };
    let mut all = vec![vec![ascending(0)]];
    for (position, field) in schema.fields().iter().enumerate().skip(1) {
        let ordered =
            !matches!(field.kind, FieldType::Json | FieldType::Array { .. } | FieldType::Bytes { .. });
        if ordered && !field.unique && (field.filterable || field.sortable) {
            all.push(vec![ascending(position), ascending(0)]);
        }
    }
    for fields in ddl::unique_fields(schema) {
        all.push(fields.iter().filter_map(|name| schema.position(name.as_str())).map(ascending).collect());
    }
    for index in schema.indexes().iter().filter(|index| index.condition.is_none()) {
        let keys = index.keys.iter().filter_map(|key| {
            Some(SortKey { position: schema.position(key.field.as_str())?, descending: key.descending })
        });
        all.push(keys.collect());
    }
    all
}

/// Whether the index begins with all that is pinned and goes on in the order of `keys`, forwards or backwards. The id
/// behind the last key may be missing: ties are sorted as they come.
fn serves(index: &[SortKey], pinned: &HashSet<usize>, keys: &[SortKey]) -> bool {
    let Some((head, rest)) = index.split_at_checked(pinned.len()) else { return false };
    if !head.iter().all(|key| pinned.contains(&key.position)) {
        return false;
    }
    let wanted = match keys {
        [others @ .., SortKey { position: 0, .. }] if !others.is_empty() && rest.len() < keys.len() => others,
        keys => keys,
    };
    let backwards =
        wanted.first().zip(rest.first()).is_some_and(|(key, has)| key.descending != has.descending);
    wanted.len() <= rest.len()
        && wanted
            .iter()
            .zip(rest)
            .all(|(key, has)| key.position == has.position && key.descending == (has.descending != backwards))
}

#[cfg(test)]
mod tests {
    use velocity_schema::spec::SchemaDefinitionSpec;

    use super::*;
    use crate::query::{CursorKey, ListPlan, ListRequest, Reading};

    fn is_light(pairs: &[(&str, &str)]) -> bool {
        let spec = serde_json::json!({
            "org": "a", "app": "b", "domain": "c", "object": "order", "version": "v1",
            "fields": [
                {"name": "status", "type": "string", "filterable": true, "sortable": true},
                {"name": "amount", "type": "number", "filterable": true, "sortable": true},
                {"name": "code", "type": "string", "unique": true, "filterable": true},
                {"name": "extra", "type": "json", "filterable": true},
                {"name": "created_at", "type": "timestamp", "filterable": true, "sortable": true},
            ],
            "indexes": [{"fields": ["status", "-created_at"]}],
        });
        let schema = Schema::parse(&SchemaDefinitionSpec::from_json(&spec).unwrap()).unwrap();
        let request = ListRequest::parse(pairs.iter().copied()).unwrap();
        ListPlan::plan(&schema, &request, &CursorKey::new([0; 32]), &Reading::whole()).unwrap().is_light()
    }

    #[test]
    fn pages_in_the_order_of_an_index_are_light() {
        for pairs in [
            &[][..],
            &[("sort", "amount")],
            &[("sort", "-amount")],
            &[("filter[status]", "x")],
            &[("filter[status][isNull]", "true"), ("sort", "-id")],
            &[("filter[amount][gt]", "5"), ("filter[amount][lt]", "7"), ("sort", "-amount")],
            &[("filter[status]", "x"), ("sort", "-created_at")],
            &[("filter[status]", "x"), ("sort", "created_at")],
            &[("sort", "status,-created_at")],
            &[("filter[code]", "x"), ("filter[extra.a]", "y"), ("sort", "amount")],
            &[("filter[id]", "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f"), ("filter[status][like]", "%")],
        ] {
            assert!(is_light(pairs), "{pairs:?}");
        }
    }

    #[test]
    fn pages_that_have_to_look_for_what_fits_are_not() {
        for pairs in [
            &[("limit", "101")][..],
            &[("count", "estimated")],
            &[("filter[amount][gt]", "5")],
            &[("filter[status]", "x"), ("sort", "amount")],
            &[("filter[status]", "x"), ("filter[amount]", "5")],
            &[("filter[status][like]", "x%"), ("sort", "status")],
            &[("filter[status][in]", "x,y")],
            &[("filter[extra.a]", "y")],
            &[("sort", "status,created_at")],
            &[("sort", "amount,status")],
            &[("sort", "amount,-id")],
        ] {
            assert!(!is_light(pairs), "{pairs:?}");
        }
    }
}

use velocity_schema::cel::compile_filter;
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_schema::{Field, Schema};

use super::*;
use crate::ident::Ident;

fn fields() -> Vec<Field> {
    let spec = serde_json::json!({
        "org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
        "fields": [
            {"name": "region", "type": "string"},
            {"name": "status", "type": "enum", "enum": ["draft", "approved"]},
            {"name": "amount", "type": "number"},
            {"name": "quantity", "type": "integer"},
            {"name": "active", "type": "boolean"},
            {"name": "due", "type": "timestamp"},
            {"name": "day", "type": "date"},
            {"name": "opens", "type": "time"},
            {"name": "address", "type": "json"},
            {"name": "owner", "type": "uuid"},
            {"name": "digest", "type": "bytes"},
            {"name": "tags", "type": "array", "items": "string"},
            {"name": "sizes", "type": "array", "items": "integer"},
        ],
    });
    let spec = SchemaDefinitionSpec::from_json(&spec).unwrap();
    Schema::parse(&spec).unwrap().fields().to_vec()
}

fn sql(filter: &str) -> Fragment {
    let filter = compile_filter(filter, &fields(), true).unwrap();
    to_sql(&filter, &|name| Fragment::ident(&Ident::from(name)))
}

#[test]
fn filters_have_the_expected_sql() {
    let filters = [
        "record.region == actor.attributes.region",
        "record.owner == actor.id",
        "record.region in actor.attributes.regions",
        "record.amount <= actor.attributes.limit",
        "'manager' in actor.roles || record.active",
        "!('admin' in actor.roles)",
        "actor.type == 'user' && actor.attributes.senior",
        "record.status != 'approved' || has(record.region)",
        "record.status in ['draft', 'approved']",
        "record.region < 'it\\'s'",
        "record.amount > 0",
        "record.amount > 0.5 && record.quantity > 5 && record.quantity > 0.5",
        "record.quantity * 2 + 1 > record.amount",
        "record.quantity / record.quantity == 1 && record.quantity % 2 == 0",
        "record.due > timestamp('2024-01-01T00:00:00+01:00')",
        "record.due + duration('1h') > timestamp('2024-01-01T00:00:00Z')",
        "record.due - record.due < duration('1h30m')",
        "record.due.getHours() >= 8 && record.day.getMonth() == 0 && record.opens < time('09:00')",
        "record.day - date('2024-01-01') > duration('24h') && date(record.due) == record.day",
        "record.address.city == 'Köln' && record.address.floor > 2",
        "has(record.address.city) && record.address.old == null",
        "record.address.lines[0] == record.address['a b']",
        "'x' in record.address.lines || 5 in record.address.sizes",
        "'red' in record.tags && record.region in record.tags && record.tags[0] == 'x'",
        "2 in record.sizes && 2.5 in record.sizes",
        "record.region.startsWith('E%') && record.region.endsWith('_') && record.region.contains('\\\\')",
        "size(record.region) > 2 && size(record.tags) > 1 && record.region.lowerAscii() == 'eu'",
        "record.region + '-' + record.status == 'EU-draft'",
        "record.digest == b'\\x01' && size(record.digest) == 1",
        "(record.active ? record.amount : record.quantity) > 1",
        "record.owner in ['0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f']",
        "record.created_at > record.due && record.version > 1 && record.created_by == actor.id",
    ];
    let shown: Vec<String> =
        filters.iter().map(|filter| format!("{filter}\n  {}\n", sql(filter).inline())).collect();
    insta::assert_snapshot!(shown.concat());
}

#[test]
fn texts_of_a_filter_never_become_sql() {
    let attack = "record.region == '\\'; drop table x; --' || record.address['\\')::text; --'] == 'x'";
    let inline = sql(attack).inline();
    assert!(inline.contains("'''; drop table x; --'::text"), "{inline}");
    assert!(inline.contains("-> ''')::text; --'::text"), "{inline}");
    let rendered = sql(attack).render();
    assert!(!rendered.sql.contains("drop") && rendered.binds.len() == 4, "{}", rendered.sql);
}

#[test]
fn nothing_of_the_actor_is_asked_outside_of_a_sub_select() {
    for filter in
        ["record.region == actor.attributes.a.b", "record.region in actor.roles", "actor.id != record.region"]
    {
        let inline = sql(filter).inline();
        let outside: String = inline.split("(select ").next().unwrap_or_default().to_owned();
        assert!(!outside.contains("current_setting"), "{inline}");
        assert_eq!(inline.matches("(select ").count(), 1, "{inline}");
    }
}

//! Who sees and sets which field.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schema(rules: &serde_json::Value) -> Schema {
    let spec = json!({"org": "a", "app": "b", "domain": "c", "object": "order", "version": "v1",
        "fields": [{"name": "one", "type": "string"}, {"name": "two", "type": "string"}, {"name": "three", "type": "string"}],
        "access": {"fieldAccess": rules}});
    Schema::from_json(&spec).unwrap_or_else(|e| panic!("{e}")).1
}

/// What holders of these roles see and set of the fields `one` to `three`.
fn rights(schema: &Schema, roles: &[&str]) -> String {
    let holds = |role: &str| roles.contains(&role);
    let (view, write) = (schema.view(&holds), schema.write_rights(&holds));
    let of = |name: &str| {
        let position = schema.position(name).unwrap();
        format!("{:?}{}", view.sight(position), if write.allows(position) { "+" } else { "-" })
    };
    ["one", "two", "three"].map(of).join(" ")
}

#[test]
fn a_field_is_seen_and_set_by_those_who_hold_one_of_its_roles() {
    let schema = schema(&json!([
        {"field": "one", "read": ["a", "b"], "write": ["b"]},
        {"field": "two", "read": ["b"], "masking": {"strategy": "redact"}},
        {"field": "three", "write": []},
    ]));
    assert_eq!(rights(&schema, &[]), "Hidden- Masked+ Clear-");
    assert_eq!(rights(&schema, &["x", "a"]), "Clear- Masked+ Clear-");
    assert_eq!(rights(&schema, &["b"]), "Clear+ Clear+ Clear-");
    assert_eq!(rights(&schema, &["platform-admin"]), "Clear+ Clear+ Clear+");
}

#[test]
fn a_list_of_no_roles_is_for_administrators_only() {
    let schema = schema(&json!([{"field": "one", "read": [], "write": []},
        {"field": "two", "read": [], "masking": {"strategy": "hash"}}]));
    assert_eq!(rights(&schema, &["a", "*", ""]), "Hidden- Masked+ Clear+");
    assert_eq!(rights(&schema, &["platform-admin"]), "Clear+ Clear+ Clear+");
}

#[test]
fn views_that_show_the_same_are_equal() {
    let open = schema(&json!([]));
    let closed = schema(&json!([{"field": "one", "read": ["a"]}]));
    assert_eq!(open.view(&|_| false), View::whole());
    assert_eq!(closed.view(&|role| role == "a"), View::whole());
    assert_eq!(closed.view(&|_| false), closed.view(&|role| role == "b"));
    assert_ne!(closed.view(&|_| false), View::whole());
    assert_eq!(View::whole().narrowed(&closed, |_| true), View::whole());
    let one = closed.position("one").unwrap();
    assert_eq!(View::whole().narrowed(&closed, |position| position != one).sight(one), Sight::Hidden);
    assert_eq!(closed.write_rights(&|_| false), WriteRights::all());
}

#[test]
fn narrowing_leaves_what_a_record_is_told_by() {
    let schema = schema(&json!([{"field": "two", "read": ["a"], "masking": {"strategy": "redact"}}]));
    let two = schema.position("two").unwrap();
    let view = schema.view(&|_| false).narrowed(&schema, |position| position == two);
    let seen: Vec<&str> = (0..schema.fields().len())
        .filter(|position| view.is_visible(*position))
        .map(|position| schema.fields()[position].name.as_str())
        .collect();
    assert_eq!(seen, ["id", "two", "version"]);
    assert_eq!(view.sight(two), Sight::Masked, "narrowing never shows more");
    let rights = WriteRights::all().narrowed(&schema, |_| false);
    let set: Vec<&str> = (0..schema.fields().len())
        .filter(|position| rights.allows(*position))
        .map(|position| schema.fields()[position].name.as_str())
        .collect();
    assert_eq!(set, ["id", "version", "created_at", "created_by", "updated_at", "updated_by"]);
    assert!(!rights.is_all() && WriteRights::all().narrowed(&schema, |_| true).is_all());
}

#[test]
fn of_a_field_that_is_not_there_a_restricted_caller_sees_and_sets_nothing() {
    let schema = schema(&json!([{"field": "one", "read": [], "write": []}]));
    let (view, rights) = (schema.view(&|_| false), schema.write_rights(&|_| false));
    assert_eq!(view.sight(1_000), Sight::Hidden);
    assert!(!view.is_clear(1_000) && !rights.allows(1_000));
}

#[cfg(feature = "removable-layers")]
#[test]
fn lifting_one_sight_leaves_the_other() {
    let schema = schema(&json!([{"field": "one", "read": []},
        {"field": "two", "read": [], "masking": {"strategy": "redact"}}]));
    let view = schema.view(&|_| false);
    let sights = |view: &View| ["one", "two", "three"].map(|name| view.sight(schema.position(name).unwrap()));
    assert_eq!(sights(&view.lifting(Sight::Hidden)), [Sight::Clear, Sight::Masked, Sight::Clear]);
    assert_eq!(sights(&view.lifting(Sight::Masked)), [Sight::Hidden, Sight::Clear, Sight::Clear]);
    assert_eq!(view.lifting(Sight::Hidden).lifting(Sight::Masked), View::whole());
}

/// One of four roles by its number.
const ROLES: [&str; 4] = ["a", "b", "c", "d"];

fn some_roles() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(ROLES.to_vec(), 0..=4)
}

proptest! {
    /// The definition, field by field, against the view of the whole record; more roles never show less.
    #[test]
    fn a_view_is_what_the_rules_say_of_each_field(
        rules in prop::collection::vec((prop::option::of(some_roles()), prop::option::of(some_roles()), any::<bool>()), 3),
        held in some_roles(),
        more in some_roles(),
    ) {
        let entries: Vec<serde_json::Value> = rules.iter().zip(["one", "two", "three"])
            .filter(|((read, write, _), _)| read.is_some() || write.is_some())
            .map(|((read, write, masked), field)| {
                let masking = (*masked && read.is_some()).then(|| json!({"strategy": "redact"}));
                json!({"field": field, "read": read, "write": write, "masking": masking})
            })
            .collect();
        let schema = schema(&json!(entries));
        let holds = |role: &str| held.contains(&role);
        let (view, write) = (schema.view(&holds), schema.write_rights(&holds));
        let all = |role: &str| held.contains(&role) || more.contains(&role);
        let (wider, wider_write) = (schema.view(&all), schema.write_rights(&all));
        for ((read, set, masked), name) in rules.iter().zip(["one", "two", "three"]) {
            let position = schema.position(name).unwrap();
            let any = |roles: &Option<Vec<&str>>| roles.as_ref().is_none_or(|roles| roles.iter().any(|role| held.contains(role)));
            let expected = match (any(read), *masked) {
                (true, _) => Sight::Clear,
                (false, true) => Sight::Masked,
                (false, false) => Sight::Hidden,
            };
            prop_assert_eq!(view.sight(position), expected);
            prop_assert_eq!(write.allows(position), any(set));
            prop_assert!(wider.sight(position) <= view.sight(position));
            prop_assert!(wider_write.allows(position) || !write.allows(position));
        }
    }
}

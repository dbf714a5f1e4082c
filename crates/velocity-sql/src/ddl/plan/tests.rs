use serde_json::{Value as Json, json};
use velocity_schema::Schema;

use super::*;
use crate::ddl::columns::foreign_keys;
use crate::ddl::live::{LiveColumn, LiveTable, Target};
use crate::ddl::{HIDDEN_COLUMNS, IndexKind, grants, policies, triggers, wanted_indexes};
use crate::sql_type::column_type;

const MONTH: (i32, u32) = (2026, 11);

fn order() -> Json {
    json!({"org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
        "fields": [
            {"name": "code", "type": "string", "required": true, "maxLength": 40, "unique": true},
            {"name": "amount", "type": "number", "min": 0, "filterable": true},
            {"name": "status", "type": "enum", "enum": ["draft", "done"], "default": "draft"},
            {"name": "customer", "type": "uuid", "ref": {"object": "customer", "version": "v1"}},
        ],
        "indexes": [{"fields": ["status", "-created_at"]}],
        "access": {"roles": {"read": ["reader"]}}})
}

fn schema(spec: &Json) -> Schema {
    Schema::from_json(spec).unwrap_or_else(|e| panic!("{e}")).1
}

/// The spec after a change of one of its parts.
fn changed(change: impl FnOnce(&mut Json)) -> Schema {
    let mut spec = order();
    change(&mut spec);
    schema(&spec)
}

/// What the catalog has once a schema is provisioned.
fn provisioned(schema: &Schema) -> Live {
    let mut live = crate::ddl::provisioned(schema, MONTH);
    live.targets = targets();
    live
}

fn targets() -> std::collections::BTreeMap<String, Target> {
    let customer = Target {
        columns: [("id".to_owned(), "uuid".to_owned()), ("name".to_owned(), "text".to_owned())].into(),
        unique: ["id".to_owned()].into(),
    };
    let state =
        Target { columns: [("id".to_owned(), "text".to_owned())].into(), unique: ["id".to_owned()].into() };
    [("acme__shop__sales.customer_v1".to_owned(), customer), ("acme__shop__sales.state_v1".to_owned(), state)]
        .into()
}

fn table(live: &mut Live) -> &mut LiveTable {
    live.table.as_mut().unwrap()
}

/// One line a step: what, how, under which lock.
fn shown(steps: &[Step]) -> String {
    let line = |step: &Step| {
        let alone = if step.alone { ", alone" } else { "" };
        format!("{} [{}, {}{alone}]", step.summary, step.class.as_str(), step.lock)
    };
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn blocked(wanted: &Schema, live: &Live) -> String {
    let plan = plan(wanted, live, MONTH);
    assert!(plan.steps.is_empty(), "nothing of a blocked plan is applied: {:#?}", plan.steps);
    for step in &plan.blocked {
        assert!(
            !step.sql.is_empty() && step.reason.as_ref().is_some_and(|reason| !reason.is_empty()),
            "{step:#?}"
        );
    }
    shown(&plan.blocked)
}

#[track_caller]
fn applied(wanted: &Schema, live: &Live) -> Vec<Step> {
    let plan = plan(wanted, live, MONTH);
    assert!(plan.blocked.is_empty(), "{:#?}", plan.blocked);
    plan.steps
}

#[test]
fn where_nothing_is_everything_is_created_grants_last() {
    let plan = plan(&schema(&order()), &Live { targets: targets(), ..Live::default() }, MONTH);
    assert!(plan.creates_table && plan.blocked.is_empty() && plan.waiting.is_empty());
    insta::assert_snapshot!(shown(&plan.steps), @r"
    create role acme__shop__sales [safe, NONE]
    create schema acme__shop__sales [safe, NONE]
    create table acme__shop__sales.order_v1 [safe, NONE]
    create the event table order_v1_history [safe, NONE]
    create partition order_v1_history_2026_11 [safe, SHARE UPDATE EXCLUSIVE]
    create partition order_v1_history_2026_12 [safe, SHARE UPDATE EXCLUSIVE]
    create partition order_v1_history_2027_01 [safe, SHARE UPDATE EXCLUSIVE]
    index code [safe, NONE]
    index amount [safe, NONE]
    index customer [safe, NONE]
    index status, -created_at [safe, NONE]
    add foreign key customer to acme__shop__sales.customer_v1 [safe, SHARE ROW EXCLUSIVE]
    write function order_v1_before_write [safe, NONE]
    write function order_v1_after_write [safe, NONE]
    create trigger velocity_before [safe, SHARE ROW EXCLUSIVE]
    create trigger velocity_insert [safe, SHARE ROW EXCLUSIVE]
    create trigger velocity_update [safe, SHARE ROW EXCLUSIVE]
    create trigger velocity_delete [safe, SHARE ROW EXCLUSIVE]
    create trigger velocity_truncate [safe, SHARE ROW EXCLUSIVE]
    enable row-level security on acme__shop__sales.order_v1 [safe, ACCESS EXCLUSIVE]
    enable row-level security on acme__shop__sales.order_v1_history [safe, ACCESS EXCLUSIVE]
    create policy velocity_select [safe, ACCESS EXCLUSIVE]
    create policy velocity_insert [safe, ACCESS EXCLUSIVE]
    create policy velocity_update [safe, ACCESS EXCLUSIVE]
    create policy velocity_select of the history [safe, ACCESS EXCLUSIVE]
    grant the domain's role its rights [safe, NONE]
    ");
}

#[test]
fn what_is_provisioned_needs_nothing() {
    let schema = schema(&order());
    let plan = plan(&schema, &provisioned(&schema), MONTH);
    assert!(plan.is_empty() && plan.waiting.is_empty(), "{plan:#?}");
}

#[test]
fn additions_are_safe() {
    let live = provisioned(&schema(&order()));
    let wanted = changed(|spec| {
        let fields = spec["fields"].as_array_mut().unwrap();
        fields.push(json!({"name": "note", "type": "string", "maxLength": 9}));
        fields.push(json!({"name": "level", "type": "integer", "required": true, "default": 1}));
        fields
            .push(json!({"name": "second", "type": "uuid", "ref": {"object": "customer", "version": "v1"}}));
        fields.push(json!({"name": "tags", "type": "array", "items": "string", "filterable": true}));
        spec["indexes"].as_array_mut().unwrap().push(json!({"fields": ["code", "amount"]}));
    });
    let steps = applied(&wanted, &live);
    insta::assert_snapshot!(shown(&steps), @r"
    add column note (text) [safe, ACCESS EXCLUSIVE]
    validate note_maxLength_check [safe, SHARE UPDATE EXCLUSIVE]
    add column level (bigint) [safe, ACCESS EXCLUSIVE]
    add column second (uuid) [safe, ACCESS EXCLUSIVE]
    add column tags (text[]) [safe, ACCESS EXCLUSIVE]
    validate tags_items_check [safe, SHARE UPDATE EXCLUSIVE]
    build index on second [safe, SHARE UPDATE EXCLUSIVE, alone]
    build index on tags [safe, SHARE UPDATE EXCLUSIVE, alone]
    build index on code, amount [safe, SHARE UPDATE EXCLUSIVE, alone]
    add foreign key second to acme__shop__sales.customer_v1 [safe, SHARE ROW EXCLUSIVE]
    validate order_v1-second_fkey [safe, SHARE UPDATE EXCLUSIVE]
    write function order_v1_before_write [safe, NONE]
    write function order_v1_after_write [safe, NONE]
    grant the domain's role its rights [safe, NONE]
    ");
    let sql: Vec<&str> = steps.iter().map(|step| step.sql.as_str()).collect();
    assert!(
        sql[0]
            .contains("add constraint \"note_maxLength_check\" check (char_length(\"note\") <= 9) not valid"),
        "{}",
        sql[0]
    );
    assert!(sql.iter().any(|sql| sql.starts_with("create index concurrently")));
}

#[test]
fn a_table_without_rows_takes_more() {
    let mut live = provisioned(&schema(&order()));
    table(&mut live).has_rows = false;
    let wanted = changed(|spec| {
        spec["fields"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "note", "type": "string", "required": true, "unique": true}));
    });
    insta::assert_snapshot!(shown(&applied(&wanted, &live)), @r"
    add column note (text) [safe, ACCESS EXCLUSIVE]
    add unique constraint on note [safe, ACCESS EXCLUSIVE]
    write function order_v1_before_write [safe, NONE]
    write function order_v1_after_write [safe, NONE]
    grant the domain's role its rights [safe, NONE]
    ");
}

#[test]
fn every_other_change_is_blocked_with_its_class_lock_sql_and_reason() {
    let live = provisioned(&schema(&order()));
    let field = |index: usize, key: &'static str, value: Json| {
        move |spec: &mut Json| spec["fields"][index][key] = value
    };
    let mut all = Vec::new();
    let mut note = |what: &str, wanted: &Schema| all.push(format!("{what}:\n{}", blocked(wanted, &live)));
    note("type", &changed(field(1, "precision", json!(20))));
    note("required", &changed(field(1, "required", json!(true))));
    note("optional", &changed(field(0, "required", json!(false))));
    note("check added", &changed(field(1, "max", json!(9))));
    note("check changed", &changed(field(0, "maxLength", json!(41))));
    note(
        "check dropped",
        &changed(|spec| drop(spec["fields"][0].as_object_mut().unwrap().remove("maxLength"))),
    );
    note("enum", &changed(field(2, "enum", json!(["draft", "done", "gone"]))));
    note("unique", &changed(field(2, "unique", json!(true))));
    note("not unique", &changed(field(0, "unique", json!(false))));
    note(
        "target",
        &changed(field(3, "ref", json!({"object": "customer", "version": "v1", "field": "name"}))),
    );
    note("no reference", &changed(|spec| drop(spec["fields"][3].as_object_mut().unwrap().remove("ref"))));
    note("dropped", &changed(|spec| drop(spec["fields"].as_array_mut().unwrap().remove(1))));
    note(
        "renamed",
        &changed(|spec| {
            spec["fields"][1]["name"] = json!("total");
            spec["fields"][1]["renamedFrom"] = json!("amount");
        }),
    );
    note(
        "required without a default",
        &changed(|spec| {
            spec["fields"]
                .as_array_mut()
                .unwrap()
                .push(json!({"name": "note", "type": "string", "required": true}));
        }),
    );
    note(
        "a reference that values could break",
        &changed(|spec| {
            spec["fields"][2]["ref"] = json!({"object": "state", "version": "v1"});
        }),
    );
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn a_blocked_change_keeps_back_the_safe_ones_beside_it_and_upkeep_goes_on() {
    let mut live = provisioned(&schema(&order()));
    let wanted = changed(|spec| {
        spec["fields"][1]["precision"] = json!(20);
        spec["fields"].as_array_mut().unwrap().push(json!({"name": "note", "type": "string"}));
    });
    let before = plan(&wanted, &live, MONTH);
    assert!(before.steps.is_empty());
    live.partitions.clear();
    let after = plan(&wanted, &live, MONTH);
    assert_eq!(shown(&after.steps).lines().count(), 3, "{}", shown(&after.steps));
    assert!(after.steps.iter().all(|step| step.summary.starts_with("create partition")));
    assert_eq!(before.hash(), after.hash(), "an approval outlives the turn of the month");
}

#[test]
fn the_hash_names_exactly_one_change() {
    let live = provisioned(&schema(&order()));
    let hash = |precision: u32| {
        plan(&changed(|spec| spec["fields"][1]["precision"] = json!(precision)), &live, MONTH).hash()
    };
    assert_eq!(hash(20), hash(20));
    assert_ne!(hash(20), hash(21));
    assert!(hash(20).starts_with("sha256:") && hash(20).len() == 71);
}

#[test]
fn what_people_made_by_hand_is_left_alone() {
    let wanted = schema(&order());
    let mut live = provisioned(&wanted);
    let table = table(&mut live);
    table.indexes.insert("fast".into(), true);
    table.indexes.insert("order_v1_amount_idx".into(), true);
    table.indexes.insert("order_v10-code_key".into(), false);
    table.constraints.insert("amount_max_check".into(), "CHECK ((amount < 5))".into());
    table
        .constraints
        .insert("order_v1_customer_fkey".into(), "FOREIGN KEY (customer) REFERENCES x(id)".into());
    table.triggers.insert("mine".into());
    table.policies.insert("mine".into());
    assert!(plan(&wanted, &live, MONTH).is_empty());
}

#[test]
fn checks_of_fields_whose_names_begin_alike_are_told_apart() {
    let fields = |names: &[&str]| -> Vec<Json> {
        names.iter().map(|name| json!({"name": name, "type": "integer", "min": 1, "max": 2})).collect()
    };
    let names = ["a", "a_a", "a_min", "min", "a_a_a", "A_b"];
    let wanted = changed(|spec| {
        spec["indexes"] = json!([]);
        spec["fields"] = json!(fields(&names));
    });
    let live = provisioned(&wanted);
    assert!(plan(&wanted, &live, MONTH).is_empty(), "{:#?}", plan(&wanted, &live, MONTH).blocked);
    let without = changed(|spec| {
        spec["indexes"] = json!([]);
        spec["fields"] = json!(fields(&names));
        spec["fields"][1].as_object_mut().unwrap().remove("min");
    });
    assert_eq!(blocked(&without, &live), "drop check a_a_min_check [safe, ACCESS EXCLUSIVE]");
}

#[test]
fn names_that_are_cut_are_recognised() {
    let long = |end: char| format!("{}{end}", "f".repeat(62));
    let spec = |max: bool, index: bool| {
        changed(|spec| {
            spec["indexes"] = json!([]);
            spec["object"] = json!("o".repeat(63));
            spec["fields"] = json!([
                {"name": long('a'), "type": "string", "unique": true},
                {"name": long('b'), "type": "string", "filterable": index},
            ]);
            if max {
                spec["fields"][1]["maxLength"] = json!(3);
            }
        })
    };
    let full = spec(true, true);
    let live = provisioned(&full);
    assert!(plan(&full, &live, MONTH).is_empty());
    assert!(blocked(&spec(false, true), &live).starts_with("drop check ffff"));
    assert!(shown(&applied(&spec(true, false), &live)).starts_with("drop index oooo"));
    let not_unique = changed(|spec| {
        spec["indexes"] = json!([]);
        spec["object"] = json!("o".repeat(63));
        spec["fields"] = json!([
            {"name": long('a'), "type": "string"},
            {"name": long('b'), "type": "string", "filterable": true, "maxLength": 3},
        ]);
    });
    assert!(blocked(&not_unique, &live).starts_with("drop unique constraint oooo"));
}

#[test]
fn defaults_change_and_indexes_go_at_once() {
    let live = provisioned(&schema(&order()));
    let other = changed(|spec| spec["fields"][2]["default"] = json!("done"));
    insta::assert_snapshot!(shown(&applied(&other, &live)), @"set the default of status [safe, ACCESS EXCLUSIVE]");
    let none = changed(|spec| drop(spec["fields"][2].as_object_mut().unwrap().remove("default")));
    insta::assert_snapshot!(shown(&applied(&none, &live)), @"drop the default of status [safe, ACCESS EXCLUSIVE]");
    let unindexed = changed(|spec| {
        spec["indexes"] = json!([]);
        spec["fields"][1]["filterable"] = json!(false);
    });
    insta::assert_snapshot!(shown(&applied(&unindexed, &live)), @r"
    drop index order_v1-amount_idx [safe, SHARE UPDATE EXCLUSIVE, alone]
    drop index order_v1-status-desc:created_at_index [safe, SHARE UPDATE EXCLUSIVE, alone]
    ");
}

#[test]
fn an_unfinished_index_is_dropped_and_built_again() {
    let wanted = schema(&order());
    let mut live = provisioned(&wanted);
    table(&mut live).indexes.insert("order_v1-amount_idx".into(), false);
    insta::assert_snapshot!(shown(&applied(&wanted, &live)), @r"
    drop the unfinished index on amount [safe, SHARE UPDATE EXCLUSIVE, alone]
    build index on amount [safe, SHARE UPDATE EXCLUSIVE, alone]
    ");
}

#[test]
fn roles_and_filters_replace_policies() {
    let live = provisioned(&schema(&order()));
    let wanted = changed(|spec| {
        spec["access"] = json!({"roles": {"read": ["reader", "manager"]},
            "rowFilter": [{"role": "manager", "condition": "record.status == 'done'"}]});
    });
    let steps = applied(&wanted, &live);
    insta::assert_snapshot!(shown(&steps), @"replace policy velocity_select [safe, ACCESS EXCLUSIVE]");
    assert!(steps.iter().all(|step| step.sql.starts_with("drop policy")), "never without one in between");
}

#[test]
fn guards_that_were_taken_away_come_back() {
    let wanted = schema(&order());
    let mut live = provisioned(&wanted);
    let table = table(&mut live);
    table.row_security = false;
    table.triggers.remove("velocity_before");
    table.policies.remove("velocity_select");
    live.functions.clear();
    live.grants = None;
    insta::assert_snapshot!(shown(&applied(&wanted, &live)), @r"
    write function order_v1_before_write [safe, NONE]
    write function order_v1_after_write [safe, NONE]
    create trigger velocity_before [safe, SHARE ROW EXCLUSIVE]
    enable row-level security on acme__shop__sales.order_v1 [safe, ACCESS EXCLUSIVE]
    create policy velocity_select [safe, ACCESS EXCLUSIVE]
    grant the domain's role its rights [safe, NONE]
    ");
}

#[test]
fn a_reference_without_its_target_waits_and_is_added_later() {
    let wanted = schema(&order());
    let plan = plan(&wanted, &Live::default(), MONTH);
    assert_eq!(
        plan.waiting,
        [Waiting { field: "customer".into(), target: "acme__shop__sales.customer_v1".into() }]
    );
    assert!(plan.steps.iter().all(|step| !step.sql.contains("foreign key")));
    let mut live = provisioned(&wanted);
    let table = table(&mut live);
    table.constraints.remove("order_v1-customer_fkey");
    assert_eq!(
        blocked(&wanted, &live),
        "add foreign key customer to acme__shop__sales.customer_v1 [needsData, SHARE ROW EXCLUSIVE]"
    );
    self::table(&mut live).empty_columns.insert("customer".into());
    insta::assert_snapshot!(shown(&applied(&wanted, &live)), @r"
    add foreign key customer to acme__shop__sales.customer_v1 [safe, SHARE ROW EXCLUSIVE]
    validate order_v1-customer_fkey [safe, SHARE UPDATE EXCLUSIVE]
    ");
}

#[test]
fn a_target_that_no_foreign_key_can_point_to_blocks_with_the_way_out() {
    for (reference, kind, expected) in [
        (json!({"object": "customer", "version": "v1", "field": "nick"}), "string", "has no field `nick`"),
        (
            json!({"object": "customer", "version": "v1"}),
            "string",
            "`id` of acme__shop__sales.customer_v1 is uuid, this field is text",
        ),
        (
            json!({"object": "customer", "version": "v1", "field": "name"}),
            "string",
            "is not unique; declare it `unique: true` there",
        ),
    ] {
        let wanted =
            changed(|spec| spec["fields"][3] = json!({"name": "customer", "type": kind, "ref": reference}));
        let plan = plan(&wanted, &Live { targets: targets(), ..Live::default() }, MONTH);
        let reason = plan.blocked[0].reason.as_deref().unwrap();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn constraints_whose_check_was_cut_short_are_checked() {
    let wanted = schema(&order());
    let mut live = provisioned(&wanted);
    for name in ["code_maxLength_check", "order_v1-customer_fkey"] {
        table(&mut live).constraints.get_mut(name).unwrap().push_str(" NOT VALID");
    }
    insta::assert_snapshot!(shown(&applied(&wanted, &live)), @r"
    validate code_maxLength_check [safe, SHARE UPDATE EXCLUSIVE]
    validate order_v1-customer_fkey [safe, SHARE UPDATE EXCLUSIVE]
    ");
}

#[test]
fn partitions_are_made_ahead_over_the_turn_of_the_year() {
    let wanted = schema(&order());
    let mut live = provisioned(&wanted);
    live.partitions.clear();
    let names: Vec<String> = applied(&wanted, &live).into_iter().map(|step| step.summary).collect();
    assert_eq!(
        names,
        ["2026_11", "2026_12", "2027_01"].map(|month| format!("create partition order_v1_history_{month}"))
    );
    assert_eq!(history::months_from((2026, 1)), [(2026, 1), (2026, 2), (2026, 3)]);
    assert_eq!(history::months_from((2026, 12)), [(2026, 12), (2027, 1), (2027, 2)]);
    live.default_months.insert((2026, 11));
    assert_eq!(applied(&wanted, &live).len(), 2, "a month that the default partition has begun stays there");
}

#[test]
fn quotes_in_names_and_values_stay_inside_them() {
    let wanted = changed(|spec| {
        spec["indexes"] = json!([]);
        spec["fields"] = json!([{"name": "kind", "type": "enum", "enum": ["it's", "a\\'; drop table x; --", "\"", "ü"],
            "default": "a\\'; drop table x; --"}]);
    });
    let plan = plan(&wanted, &Live::default(), MONTH);
    insta::assert_snapshot!(
        plan.steps.iter().find(|step| step.summary.starts_with("create table")).unwrap().sql
    );
}

mod search;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use velocity_schema::Schema;

use super::*;
use crate::ddl::history;
use crate::ddl::live::{LiveColumn, LiveTable, Target};
use crate::ddl::step::{Finding, How, Otherwise};

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

/// One line a step: when, what, how, under which lock.
fn shown(steps: &[Step]) -> String {
    let line = |step: &Step| {
        let how = match &step.how {
            How::Transaction => "",
            How::Alone => ", alone",
            How::Batches { silent: true, .. } => ", silent batches",
            How::Batches { silent: false, .. } => ", batches",
        };
        let check = match step.check.as_ref().map(|check| check.otherwise) {
            None => "",
            Some(Otherwise::Block) => ", or blocked",
            Some(Otherwise::Breaking) => ", or breaking",
            Some(Otherwise::Skip) => ", or left out",
        };
        let refused = if step.refused { ", refused" } else { "" };
        let stage = format!("{:?}", step.stage).to_lowercase();
        format!("{stage}: {} [{}, {}{how}{check}{refused}]", step.summary, step.class.as_str(), step.lock)
    };
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What keeps a plan from being applied, one line each.
#[track_caller]
fn blocked(wanted: &Schema, live: &Live) -> String {
    match plan(wanted, live, MONTH).decide(&BTreeMap::new(), &Approval::default()) {
        Decision::Apply(plan) => panic!("nothing is blocked: {:#?}", plan.steps),
        Decision::Blocked { upkeep, pending, .. } => {
            assert!(upkeep.steps.is_empty(), "nothing of a blocked plan is applied: {:#?}", upkeep.steps);
            for step in &pending {
                assert!(
                    !step.sql.is_empty() && step.reason.as_ref().is_some_and(|r| !r.is_empty()),
                    "{step:#?}"
                );
            }
            shown(&pending)
        }
    }
}

/// The steps of a plan that is applied at once, when no row is in its way.
#[track_caller]
fn applied(wanted: &Schema, live: &Live) -> Vec<Step> {
    match plan(wanted, live, MONTH).decide(&BTreeMap::new(), &Approval::default()) {
        Decision::Apply(plan) => plan.steps,
        Decision::Blocked { pending, .. } => panic!("blocked: {pending:#?}"),
    }
}

#[test]
fn where_nothing_is_everything_is_created_grants_last() {
    let plan = plan(&schema(&order()), &Live { targets: targets(), ..Live::default() }, MONTH);
    assert!(plan.creates_table && plan.waiting.is_empty());
    insta::assert_snapshot!(shown(&plan.steps));
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
    insta::assert_snapshot!(shown(&steps));
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
    insta::assert_snapshot!(shown(&applied(&wanted, &live)));
}

#[test]
fn every_change_has_its_steps() {
    let live = provisioned(&schema(&order()));
    let field = |index: usize, key: &'static str, value: Json| {
        move |spec: &mut Json| spec["fields"][index][key] = value
    };
    let mut all = Vec::new();
    let mut note = |what: &str, wanted: &Schema| {
        all.push(format!("{what}:\n{}", shown(&plan(wanted, &live, MONTH).steps)));
    };
    note("wider number", &changed(field(1, "precision", json!(20))));
    note("narrower number", &changed(field(1, "precision", json!(10))));
    note(
        "another scale",
        &changed(|spec| {
            spec["fields"][1]["precision"] = json!(20);
            spec["fields"][1]["scale"] = json!(4);
        }),
    );
    note(
        "text to number",
        &changed(|spec| {
            spec["fields"][0] = json!({"name": "code", "type": "integer", "required": true, "unique": true});
        }),
    );
    note(
        "no way from text to json array",
        &changed(|spec| {
            spec["fields"][0] = json!({"name": "code", "type": "array", "items": "string"});
        }),
    );
    note("required", &changed(field(1, "required", json!(true))));
    note(
        "required with a default",
        &changed(|spec| {
            spec["fields"][1]["required"] = json!(true);
            spec["fields"][1]["default"] = json!(1);
        }),
    );
    note("optional", &changed(field(0, "required", json!(false))));
    note("check added", &changed(field(1, "max", json!(9))));
    note("check wider", &changed(field(0, "maxLength", json!(41))));
    note("check narrower", &changed(field(0, "maxLength", json!(39))));
    note(
        "check dropped",
        &changed(|spec| drop(spec["fields"][0].as_object_mut().unwrap().remove("maxLength"))),
    );
    note("enum value added", &changed(field(2, "enum", json!(["draft", "done", "new"]))));
    note("enum value removed", &changed(field(2, "enum", json!(["draft"]))));
    note(
        "enum to string",
        &changed(|spec| spec["fields"][2] = json!({"name": "status", "type": "string", "default": "draft"})),
    );
    note(
        "unique added",
        &changed(|spec| spec["uniqueConstraints"] = json!([{"fields": ["code", "status"]}])),
    );
    note("unique dropped", &changed(field(0, "unique", json!(false))));
    note(
        "reference dropped",
        &changed(|spec| drop(spec["fields"][3].as_object_mut().unwrap().remove("ref"))),
    );
    note(
        "reference added",
        &changed(|spec| spec["fields"][0]["ref"] = json!({"object": "state", "version": "v1"})),
    );
    note("field dropped", &changed(|spec| drop(spec["fields"].as_array_mut().unwrap().remove(1))));
    note(
        "field renamed",
        &changed(|spec| {
            spec["fields"][0]["name"] = json!("number");
            spec["fields"][0]["renamedFrom"] = json!("code");
        }),
    );
    note(
        "field renamed and its check narrower",
        &changed(|spec| {
            spec["fields"][0]["name"] = json!("number");
            spec["fields"][0]["renamedFrom"] = json!("code");
            spec["fields"][0]["maxLength"] = json!(39);
        }),
    );
    note(
        "field renamed and its type changed",
        &changed(|spec| {
            spec["fields"][0] = json!({"name": "number", "renamedFrom": "code", "type": "integer", "required": true, "unique": true});
        }),
    );
    note(
        "primary key",
        &changed(|spec| spec["fields"].as_array_mut().unwrap().push(json!({"name": "id", "type": "string"}))),
    );
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn a_blocked_change_keeps_back_the_safe_ones_beside_it_and_upkeep_goes_on() {
    let mut live = provisioned(&schema(&order()));
    let wanted = changed(|spec| {
        spec["fields"].as_array_mut().unwrap().remove(1);
        spec["fields"].as_array_mut().unwrap().push(json!({"name": "note", "type": "string"}));
    });
    let before = plan(&wanted, &live, MONTH);
    live.partitions.clear();
    let after = plan(&wanted, &live, MONTH);
    assert_eq!(before.hash(), after.hash(), "an approval outlives the turn of the month");
    let Decision::Blocked { upkeep, approvable, .. } = after.decide(&BTreeMap::new(), &Approval::default())
    else {
        panic!("a dropped field blocks");
    };
    assert!(approvable);
    assert_eq!(upkeep.steps.len(), 3, "{}", shown(&upkeep.steps));
    assert!(upkeep.steps.iter().all(|step| step.summary.starts_with("create partition")));
}

#[test]
fn an_approval_is_for_exactly_one_plan_and_what_is_left_of_it() {
    let live = provisioned(&schema(&order()));
    let wanted = changed(|spec| drop(spec["fields"].as_array_mut().unwrap().remove(1)));
    let of = || plan(&wanted, &live, MONTH);
    let decide = |approval: &Approval| matches!(of().decide(&BTreeMap::new(), approval), Decision::Apply(_));
    assert!(!decide(&Approval::default()));
    assert!(!decide(&Approval { named: Some("sha256:00".into()), ..Approval::default() }));
    assert!(decide(&Approval { named: Some(of().hash()), ..Approval::default() }));
    let breaking = of().steps.into_iter().filter(|step| step.class == super::super::step::Class::Breaking);
    let begun = breaking.map(|step| step.sql).collect();
    assert!(decide(&Approval { named: None, begun }));
}

#[test]
fn rows_in_the_way_block_whatever_was_approved_and_say_which() {
    let live = provisioned(&schema(&order()));
    let wanted = changed(|spec| spec["fields"][1]["required"] = json!(true));
    let plan = plan(&wanted, &live, MONTH);
    let index = plan.steps.iter().position(|step| step.check.is_some()).unwrap();
    let findings = BTreeMap::from([(
        index,
        Finding { count: 17, samples: vec!["a".into(), "b (deleted)".into(), "c".into()] },
    )]);
    let approval = Approval { named: Some(plan.hash()), ..Approval::default() };
    let Decision::Blocked { pending, approvable, .. } = plan.decide(&findings, &approval) else {
        panic!("17 rows")
    };
    assert!(!approvable);
    let reason =
        pending.iter().find_map(|step| step.reason.clone().filter(|reason| reason.contains("17"))).unwrap();
    assert_eq!(
        reason,
        "17 records have no value for amount, for example a, b (deleted), c; give them one, or keep the field optional"
    );
}

#[test]
fn an_enum_value_in_use_is_breaking_and_goes_only_for_what_comes() {
    let live = provisioned(&schema(&order()));
    let wanted = changed(|spec| spec["fields"][2]["enum"] = json!(["draft"]));
    let plan = || plan(&wanted, &live, MONTH);
    let findings: BTreeMap<usize, Finding> = plan()
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.check.is_some())
        .map(|(index, _)| (index, Finding { count: 2, samples: vec!["a".into(), "b".into()] }))
        .collect();
    assert!(!findings.is_empty());
    let Decision::Blocked { pending, approvable, hash, .. } = plan().decide(&findings, &Approval::default())
    else {
        panic!("in use")
    };
    assert!(approvable && pending.iter().any(|step| step.class == super::super::step::Class::Breaking));
    let Decision::Apply(applied) =
        plan().decide(&findings, &Approval { named: Some(hash), ..Approval::default() })
    else {
        panic!("approved")
    };
    assert!(
        applied.steps.iter().all(|step| !step.summary.starts_with("validate")),
        "{}",
        shown(&applied.steps)
    );
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
    table.triggers.insert("mine".into(), true);
    table.policies.insert("mine".into(), false);
    table.columns.insert("mine".into(), LiveColumn { sql_type: "text".into(), not_null: false });
    table.foreign_grantees.insert("reporting".into());
    let plan = plan(&wanted, &live, MONTH);
    assert!(plan.is_empty(), "{}", shown(&plan.steps));
    insta::assert_snapshot!(shown(&plan.foreign));
    assert_eq!(plan.clone().removing_foreign().steps.len(), plan.foreign.len());
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
    assert!(plan(&wanted, &live, MONTH).is_empty(), "{:#?}", plan(&wanted, &live, MONTH).steps);
    let without = changed(|spec| {
        spec["indexes"] = json!([]);
        spec["fields"] = json!(fields(&names));
        spec["fields"][1].as_object_mut().unwrap().remove("min");
    });
    assert!(
        shown(&applied(&without, &live))
            .contains("switch: drop check a_a_min_check [safe, ACCESS EXCLUSIVE]")
    );
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
    assert!(shown(&applied(&spec(false, true), &live)).contains("switch: drop check ffff"));
    assert!(shown(&applied(&spec(true, false), &live)).contains("finish: drop index oooo"));
    let not_unique = changed(|spec| {
        spec["indexes"] = json!([]);
        spec["object"] = json!("o".repeat(63));
        spec["fields"] = json!([
            {"name": long('a'), "type": "string"},
            {"name": long('b'), "type": "string", "filterable": true, "maxLength": 3},
        ]);
    });
    assert!(shown(&applied(&not_unique, &live)).contains("switch: drop unique constraint oooo"));
}

#[test]
fn defaults_change_and_indexes_go_at_once() {
    let live = provisioned(&schema(&order()));
    let other = changed(|spec| spec["fields"][2]["default"] = json!("done"));
    insta::assert_snapshot!(shown(&applied(&other, &live)));
    let none = changed(|spec| drop(spec["fields"][2].as_object_mut().unwrap().remove("default")));
    insta::assert_snapshot!(shown(&applied(&none, &live)));
    let unindexed = changed(|spec| {
        spec["indexes"] = json!([]);
        spec["fields"][1]["filterable"] = json!(false);
    });
    insta::assert_snapshot!(shown(&applied(&unindexed, &live)));
}

#[test]
fn an_unfinished_index_is_dropped_and_built_again() {
    let wanted = schema(&order());
    let mut live = provisioned(&wanted);
    table(&mut live).indexes.insert("order_v1-amount_idx".into(), false);
    insta::assert_snapshot!(shown(&applied(&wanted, &live)));
}

#[test]
fn roles_and_filters_replace_policies() {
    let live = provisioned(&schema(&order()));
    let wanted = changed(|spec| {
        spec["access"] = json!({"roles": {"read": ["reader", "manager"]},
            "rowFilter": [{"role": "manager", "condition": "record.status == 'done'"}]});
    });
    let steps = applied(&wanted, &live);
    insta::assert_snapshot!(shown(&steps));
    assert!(steps.iter().any(|step| step.sql.starts_with("drop policy")), "never without one in between");
}

#[test]
fn guards_that_were_taken_away_come_back() {
    let wanted = schema(&order());
    let mut live = provisioned(&wanted);
    let table = table(&mut live);
    table.row_security = false;
    table.triggers.remove("velocity_before");
    table.policies.remove("velocity_select");
    table.comments.remove("table");
    live.functions.clear();
    insta::assert_snapshot!(shown(&applied(&wanted, &live)));
}

#[test]
fn a_reference_without_its_target_waits_and_is_added_later() {
    let wanted = schema(&order());
    let plan = plan(&wanted, &Live::default(), MONTH);
    assert!(plan.steps.iter().all(|step| !step.summary.starts_with("serve")), "it is not served yet");
    assert_eq!(
        plan.waiting,
        [Waiting { field: "customer".into(), target: "acme__shop__sales.customer_v1".into() }]
    );
    assert!(plan.steps.iter().all(|step| !step.sql.contains("foreign key")));
    let mut live = provisioned(&wanted);
    let table = table(&mut live);
    table.constraints.remove("order_v1-customer_fkey");
    insta::assert_snapshot!(shown(&applied(&wanted, &live)));
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
        let reason =
            plan.steps.iter().find(|step| step.refused).and_then(|step| step.reason.clone()).unwrap();
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
    insta::assert_snapshot!(shown(&applied(&wanted, &live)));
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

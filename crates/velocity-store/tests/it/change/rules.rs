//! Rules of fields: presence, bounds, values, uniqueness, defaults, and who sees what.

use super::world::World;

async fn with(domain: &str, field: &str, values: &str) -> World {
    let world = World::new(domain).await;
    world.begin(&world.item(&[field], "")).await;
    let sql = format!(
        "insert into {} (id, v) select md5(i::text)::uuid, {values} from generate_series(1, 30) i",
        world.table()
    );
    world.write(&sql).await;
    world.write(&format!("update {} set deleted_at = now() where id = md5('3')::uuid", world.table())).await;
    world
}

#[tokio::test]
async fn required_waits_until_every_record_has_a_value() {
    let world = with("required", "{name: v, type: string}", "case when i > 2 then 'x' end").await;
    let wanted = world.item(&["{name: v, type: string, required: true}"], "");
    let blocked = world.blocked(&wanted).await;
    assert!(
        !blocked.approvable && blocked.reasons().contains("2 records have no value for v"),
        "{}",
        blocked.reasons()
    );
    world.write(&format!("update {} set v = 'now' where v is null", world.table())).await;
    world.to(&wanted).await;
    world.writes_work().await;
    world.to(&world.item(&["{name: v, type: string}"], "")).await;
}

#[tokio::test]
async fn required_with_a_default_gives_it_to_those_without_each_with_an_event() {
    let world = with("required-default", "{name: v, type: string}", "case when i > 5 then 'x' end").await;
    let events = world.events().await;
    world.to(&world.item(&["{name: v, type: string, required: true, default: none}"], "")).await;
    assert_eq!(world.one(&format!("select count(*) from {} where v = 'none'", world.table())).await, "5");
    let after = world.events().await;
    assert_eq!(after[..events.len()], events[..]);
    // The deleted one among the five has none: deleted records do not change.
    assert_eq!(after.len(), events.len() + 4);
    assert!(after[events.len()..].iter().all(|event| event["actor"] == "velocity-operator"
        && event["operation"] == "UPDATE"
        && event["changed"] == serde_json::json!(["v"])));
    world.writes_work().await;
}

#[tokio::test]
async fn bounds_are_widened_at_once_and_narrowed_once_the_data_fits() {
    let world = with("bounds", "{name: v, type: integer, min: 0, max: 50}", "i").await;
    world.to(&world.item(&["{name: v, type: integer, min: -5, max: 60}"], "")).await;
    let narrow = world.item(&["{name: v, type: integer, min: 1, max: 29}"], "");
    let blocked = world.blocked(&narrow).await;
    assert!(
        !blocked.approvable && blocked.reasons().contains("1 record has a value of v that breaks its `max`"),
        "{}",
        blocked.reasons()
    );
    world.write(&format!("update {} set v = 29 where v = 30", world.table())).await;
    world.to(&narrow).await;
    assert!(world.api(&format!("update {} set v = 30", world.table())).await.is_err());
    world.to(&world.item(&["{name: v, type: integer}"], "")).await;
    world.to(&narrow).await;
    world.writes_work().await;
}

#[tokio::test]
async fn lengths_sizes_and_items_change() {
    let world = World::new("lengths").await;
    let fields = |n: u32| {
        [
            format!("{{name: v, type: string, minLength: 1, maxLength: {n}, filterable: true}}"),
            format!("{{name: l, type: array, items: string, minItems: 1, maxItems: {n}}}"),
            format!("{{name: b, type: bytes, maxSize: {n}}}"),
            format!("{{name: m, type: number, precision: 20, scale: 10, max: {n}}}"),
        ]
    };
    let item = |n: u32| {
        let all = fields(n);
        world.item(&all.each_ref().map(String::as_str), "")
    };
    world.begin(&item(5)).await;
    world
        .write(&format!(
            "insert into {} (id, v, l, b, m) values (md5('1')::uuid, 'abc', array['a','b'], '\\x0102', 1.5)",
            world.table()
        ))
        .await;
    for n in [7, 5, 3, 2000, 4] {
        world.to(&item(n)).await;
    }
    let blocked = world.blocked(&item(1)).await;
    assert_eq!(blocked.reasons().matches("1 record has a value").count(), 4, "{}", blocked.reasons());
    world.writes_work().await;
}

#[tokio::test]
async fn values_of_an_enum_come_at_once_and_go_when_nobody_has_them_or_it_is_approved() {
    let field = |values: &str| format!("{{name: v, type: enum, enum: [{values}], filterable: true}}");
    let world = with("enums", &field("a, b, c"), "case i % 3 when 0 then 'a' else 'b' end").await;
    world.to(&world.item(&[&field("a, b, c, \"it's\"")], "")).await;
    world.to(&world.item(&[&field("b, a")], "")).await;
    let shrunk = world.item(&[&field("a")], "");
    let blocked = world.blocked(&shrunk).await;
    assert!(
        blocked.approvable
            && blocked.reasons().contains("20 records have a value of v that breaks its `enum`"),
        "{}",
        blocked.reasons()
    );
    let approval = velocity_sql::ddl::Approval { named: Some(blocked.hash), ..Default::default() };
    world.reconcile(&shrunk, approval).await;
    // Records keep what they have; what is written has to fit.
    assert_eq!(world.one(&format!("select count(*) from {} where v = 'b'", world.table())).await, "20");
    assert!(world.api(&format!("update {} set v = 'b' where v = 'a'", world.table())).await.is_err());
    let left = world.plan(&shrunk).await;
    assert!(left.steps.iter().all(|step| step.check.is_some()), "{left:#?}");
    world.to(&world.item(&[&field("a, b")], "")).await;
    world
        .write(&format!("update {} set deleted_at = null where deleted_at is not null", world.table()))
        .await;
    world.write(&format!("update {} set v = 'a'", world.table())).await;
    world.to(&shrunk).await;
    world.to(&world.item(&["{name: v, type: string, filterable: true}"], "")).await;
    world.to(&world.item(&[&field("a, z")], "")).await;
    world.writes_work().await;
}

#[tokio::test]
async fn unique_waits_until_no_value_is_there_twice() {
    let world = with("uniques", "{name: v, type: integer, filterable: true}", "i / 2").await;
    let wanted = world.item(&["{name: v, type: integer, unique: true}"], "");
    let blocked = world.blocked(&wanted).await;
    assert!(
        !blocked.approvable && blocked.reasons().contains("28 records share their value of v"),
        "{}",
        blocked.reasons()
    );
    world
        .write(&format!("update {} set deleted_at = null where deleted_at is not null", world.table()))
        .await;
    world.write(&format!("with n as (select id, row_number() over () as n from {0}) update {0} t set v = n.n from n where n.id = t.id", world.table())).await;
    world.to(&wanted).await;
    world.writes_work().await;
    world
        .to(&world.item(
            &["{name: v, type: integer, filterable: true}"],
            "uniqueConstraints: [{fields: [v, updated_at]}]",
        ))
        .await;
    world.to(&world.item(&["{name: v, type: integer}"], "")).await;
}

#[tokio::test]
async fn defaults_indexes_filters_and_roles_change_without_a_look_at_the_rows() {
    let world = with("defaults", "{name: v, type: string, default: a}", "'x'").await;
    let access = |roles: &str, filter: &str| {
        format!(
            "access: {{roles: {{create: [writer], read: [{roles}], update: [writer], delete: [writer], restore: [writer], history: [{roles}]}}, rowFilter: [{filter}]}}"
        )
    };
    let events = world.events().await;
    for (field, rest) in [
        ("{name: v, type: string, default: b}", String::new()),
        (
            "{name: v, type: string}",
            "indexes: [{fields: [v, -updated_at]}, {fields: [-v], where: 'record.v > \"a\"'}]".to_owned(),
        ),
        (
            "{name: v, type: string, sortable: true}",
            "indexes: [{fields: [-v], where: 'record.v > \"b\"'}]".to_owned(),
        ),
        (
            "{name: v, type: string, immutable: true}",
            access("reader, writer", "{role: reader, condition: 'record.v == actor.id'}"),
        ),
        (
            "{name: v, type: string}",
            access(
                "writer, other",
                "{role: other, condition: 'record.v == \"it''s\"'}, {role: '*', condition: 'record.version > 0'}",
            ),
        ),
        ("{name: v, type: string}", access("writer", "")),
    ] {
        world.to(&world.item(&[field], &rest)).await;
        assert_eq!(world.events().await, events);
    }
    world.writes_work().await;
}

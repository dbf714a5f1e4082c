//! Fields that come, go, are renamed and come back.

use super::world::World;

const A: &str = "{name: a, type: string, maxLength: 9, filterable: true}";
const N: &str = "{name: num, type: integer, min: 0}";

async fn filled(domain: &str, fields: &[&str]) -> World {
    let world = World::new(domain).await;
    world.begin(&world.item(fields, "")).await;
    world
        .write(&format!(
            "insert into {} (id, a, num) select md5(i::text)::uuid, 'a' || i, i from generate_series(1, 20) i",
            world.table()
        ))
        .await;
    world.write(&format!("update {} set deleted_at = now() where num <= 3", world.table())).await;
    world
}

#[tokio::test]
async fn fields_of_all_kinds_are_added_to_rows() {
    let world = filled("adds", &[A, N]).await;
    let before = world.rows(&format!("select id, a, num from {} order by id", world.table())).await;
    let wanted = world.item(
        &[
            A,
            N,
            "{name: s, type: string, minLength: 1, maxLength: 5, default: hi, required: true, sortable: true}",
            "{name: e, type: enum, enum: [x, \"it's\"], default: \"it's\", filterable: true}",
            "{name: m, type: number, precision: 7, scale: 3, min: -1, max: 12.5, default: 1.5}",
            "{name: j, type: json, filterable: true}",
            "{name: l, type: array, items: string, maxItems: 3, filterable: true}",
            "{name: u, type: uuid, unique: true}",
            "{name: data, type: bytes, maxSize: 3}",
            "{name: t, type: timestamp, filterable: true}",
        ],
        "indexes: [{fields: [e, -num], where: 'record.num > 3'}]\nuniqueConstraints: [{fields: [u, e]}]",
    );
    world.to(&wanted).await;
    assert_eq!(world.rows(&format!("select id, a, num from {} order by id", world.table())).await, before);
    assert_eq!(
        world.one(&format!("select count(*) from {} where s = 'hi' and m = 1.5", world.table())).await,
        "20"
    );
    world.history_is_sound().await;
    world.writes_work().await;
}

#[tokio::test]
async fn a_required_field_without_a_default_waits_for_an_empty_table() {
    let world = filled("required-new", &[A, N]).await;
    let wanted = world.item(&[A, N, "{name: r, type: string, required: true, maxLength: 3}"], "");
    let blocked = world.blocked(&wanted).await;
    assert!(
        !blocked.approvable && blocked.reasons().contains("20 records would have no value for r"),
        "{}",
        blocked.reasons()
    );
    world.write(&format!("delete from {}", world.table())).await;
    world.to(&wanted).await;
}

#[tokio::test]
async fn a_field_is_renamed_with_everything_that_is_named_after_it() {
    let fields = [
        "{name: a, type: string, maxLength: 9, unique: true}",
        "{name: num, type: number, min: 0, max: 100, filterable: true, required: true, default: 3}",
        "{name: g, type: array, items: integer, maxItems: 2, filterable: true}",
    ];
    let rest = |a: &str, n: &str| {
        format!("indexes: [{{fields: [{n}, -{a}], where: 'record.{n} > 1'}}]\nuniqueConstraints: [{{fields: [{n}, {a}]}}]
access: {{roles: {{create: [writer], read: [writer, reader], update: [writer], delete: [writer], restore: [writer]}}, rowFilter: [{{role: reader, condition: 'record.{n} > 2'}}]}}")
    };
    let world = World::new("renames").await;
    world.begin(&world.item(&fields, &rest("a", "num"))).await;
    world.write(&format!("insert into {} (id, a, num) select md5(i::text)::uuid, 'a' || i, i from generate_series(1, 20) i", world.table())).await;
    let (rows, events) = (
        world.rows(&format!("select id, a, num from {} order by id", world.table())).await,
        world.events().await,
    );
    let renamed = [
        "{name: title, renamedFrom: a, type: string, maxLength: 9, unique: true}",
        "{name: level, renamedFrom: num, type: number, min: 0, max: 100, filterable: true, required: true, default: 3}",
        "{name: g2, renamedFrom: g, type: array, items: integer, maxItems: 2, filterable: true}",
    ];
    let plan = world.to(&world.item(&renamed, &rest("title", "level"))).await;
    assert!(
        plan.steps.iter().all(|step| !step.summary.contains("build")),
        "nothing is built anew: {:#?}",
        plan.steps
    );
    assert_eq!(
        world.rows(&format!("select id, title as a, level as num from {} order by id", world.table())).await,
        rows
    );
    assert_eq!(world.events().await, events);
    assert_eq!(world.one("select string_agg(format('%s>%s', field, became), ' ' order by id) from platform.field_changes").await, "a>title num>level g>g2");
    world.writes_work().await;
}

#[tokio::test]
async fn two_fields_swap_their_names_through_a_third_and_back() {
    let world = filled("swaps", &[A, N]).await;
    let rows = world.rows(&format!("select id, a, num from {} order by id", world.table())).await;
    world.to(&world.item(&[&A.replace("{name: a,", "{name: x, renamedFrom: a,"), N], "")).await;
    world.to(&world.item(&[&A.replace("{name: a,", "{name: data, renamedFrom: x,"), N], "")).await;
    world.to(&world.item(&[&A.replace("{name: a,", "{name: a, renamedFrom: data,"), N], "")).await;
    assert_eq!(world.rows(&format!("select id, a, num from {} order by id", world.table())).await, rows);
    world.writes_work().await;
}

#[tokio::test]
async fn a_dropped_field_goes_to_the_trash_when_approved_and_comes_back_with_its_values() {
    let world = filled("drops", &[A, N]).await;
    let rows = world.rows(&format!("select id, a, num from {} order by id", world.table())).await;
    let less = world.item(&[N], "");
    let blocked = world.approved(&less).await;
    assert!(blocked.reasons().contains("declare the field again"), "{}", blocked.reasons());
    world.writes_work().await;
    world.to(&world.item(&[A, N], "")).await;
    let again = world.rows(&format!("select id, a, num from {} order by id", world.table())).await;
    assert_eq!(again.iter().filter(|row| rows.contains(row)).count(), 20, "{again:#?}");
    world.writes_work().await;
}

#[tokio::test]
async fn a_dropped_field_that_was_required_and_unique_comes_back_with_its_rules() {
    let a = "{name: a, type: string, required: true, unique: true, maxLength: 9}";
    let world = filled("drops-required", &[a, N]).await;
    world.approved(&world.item(&[N], "")).await;
    world.to(&world.item(&[a, N], "")).await;
    world.approved(&world.item(&[N], "")).await;
    world.write(&format!("insert into {} (id, num) values (md5('new')::uuid, 1)", world.table())).await;
    let blocked = world.blocked(&world.item(&[a, N], "")).await;
    assert!(
        blocked.reasons().contains("1 record has no value for a")
            || blocked.reasons().contains("no value for a"),
        "{}",
        blocked.reasons()
    );
    world.to(&world.item(&["{name: a, type: string, unique: true, maxLength: 9}", N], "")).await;
}

#[tokio::test]
async fn a_field_dropped_and_declared_with_another_type_is_a_new_one() {
    let world = filled("drops-typed", &[A, N]).await;
    world.approved(&world.item(&[N], "")).await;
    world.to(&world.item(&["{name: a, type: integer, filterable: true}", N], "")).await;
    assert_eq!(world.one(&format!("select count(*) from {} where a is not null", world.table())).await, "0");
    world.approved(&world.item(&[N], "")).await;
    // The latest of the same type comes back.
    world.to(&world.item(&[A, N], "")).await;
    assert_eq!(world.one(&format!("select count(*) from {} where a is not null", world.table())).await, "20");
    world.writes_work().await;
}

#[tokio::test]
async fn a_field_is_renamed_onto_the_name_of_one_in_the_trash() {
    let world = filled("renames-trash", &[A, N]).await;
    world.approved(&world.item(&[N], "")).await;
    world.to(&world.item(&["{name: a, renamedFrom: num, type: integer, min: 0}"], "")).await;
    assert_eq!(world.one(&format!("select sum(a) from {}", world.table())).await, "210");
    world.writes_work().await;
}

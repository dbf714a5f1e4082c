//! Fields that get another type: in place, or through a shadow column.

use super::world::World;

async fn with(domain: &str, field: &str, values: &str) -> World {
    let world = World::new(domain).await;
    world.begin(&world.item(&[field], "")).await;
    let sql = format!(
        "insert into {} (id, v) select md5(i::text)::uuid, case when i % 7 > 0 then {values} end from generate_series(1, 60) i",
        world.table()
    );
    world.write(&sql).await;
    world.write(&format!("update {} set deleted_at = now() where id = md5('3')::uuid", world.table())).await;
    world
}

async fn values(world: &World, expression: &str) -> Vec<serde_json::Value> {
    world.rows(&format!("select id, ({expression})::text as v from {} order by id", world.table())).await
}

#[tokio::test]
async fn a_number_is_widened_in_place() {
    let world = with(
        "widens",
        "{name: v, type: number, precision: 6, scale: 2, min: 0, filterable: true, default: 1}",
        "i",
    )
    .await;
    let (before, events) = (values(&world, "v").await, world.events().await);
    let wide = world.item(
        &["{name: v, type: number, precision: 12, scale: 2, min: 0, filterable: true, default: 1}"],
        "",
    );
    let plan = world.to(&wide).await;
    assert!(
        plan.steps.iter().all(|step| !step.summary.contains("shadow") && !step.summary.contains("build")),
        "{:#?}",
        plan.steps
    );
    assert_eq!(values(&world, "v").await, before);
    assert_eq!(world.events().await, events);
    world.writes_work().await;
}

#[tokio::test]
async fn a_number_is_widened_in_place_and_renamed_under_a_partial_index_and_a_row_filter() {
    let rest = |v: &str| {
        format!("indexes: [{{fields: [-{v}], where: 'record.{v} > 3'}}]
access: {{roles: {{create: [writer], read: [writer, reader], update: [writer], delete: [writer], restore: [writer]}}, rowFilter: [{{role: reader, condition: 'record.{v} > 2'}}]}}")
    };
    let world = World::new("widens-renamed").await;
    world.begin(&world.item(&["{name: v, type: number, precision: 6, scale: 2, max: 99}"], &rest("v"))).await;
    world
        .write(&format!(
            "insert into {} (id, v) select md5(i::text)::uuid, i from generate_series(1, 60) i",
            world.table()
        ))
        .await;
    world
        .to(&world
            .item(&["{name: w, renamedFrom: v, type: number, precision: 12, scale: 2, max: 99}"], &rest("w")))
        .await;
    assert_eq!(values(&world, "sum(w) over ()").await[0]["v"], "1830.00");
    world.writes_work().await;
}

#[tokio::test]
async fn a_finer_scale_is_safe_and_a_coarser_one_looks_at_the_data() {
    let world =
        with("scales", "{name: v, type: number, precision: 8, scale: 2, unique: true}", "i / 4.0").await;
    let before = values(&world, "v::float8").await;
    world.to(&world.item(&["{name: v, type: number, precision: 12, scale: 4, unique: true}"], "")).await;
    assert_eq!(values(&world, "v::float8").await, before);
    world.writes_work().await;
    let blocked = world
        .blocked(&world.item(&["{name: v, type: number, precision: 12, scale: 1, unique: true}"], ""))
        .await;
    assert!(
        !blocked.approvable && blocked.reasons().contains("that is no numeric(12,1)"),
        "{}",
        blocked.reasons()
    );
    world
        .write(&format!("update {} set deleted_at = null where deleted_at is not null", world.table()))
        .await;
    world.write(&format!("update {} set v = trunc(v)*1000 + extract(microseconds from created_at)::bigint % 1000 + version where v <> trunc(v)", world.table())).await;
    let mut rounded = world.item(&["{name: v, type: number, precision: 12, scale: 1}"], "");
    world.to(&rounded).await;
    rounded = world.item(&["{name: v, type: number, precision: 14, scale: 0}"], "");
    world.to(&rounded).await;
    world.writes_work().await;
}

#[tokio::test]
async fn every_way_from_text_and_back_is_breaking_and_keeps_the_values() {
    for (n, (kind, text)) in [
        ("integer", "i::text"),
        ("number", "(i / 4.0)::numeric(9,2)::text"),
        ("boolean", "(i % 2 = 0)::text"),
        ("date", "('2026-01-01'::date + i)::text"),
        ("time", "('10:00:00'::time + i * interval '1 second')::text"),
        (
            "timestamp",
            "to_char('2026-01-01'::timestamp + i * interval '1 minute', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        ),
        ("uuid", "md5(i::text)::uuid::text"),
        ("json", "i::text"),
    ]
    .into_iter()
    .enumerate()
    {
        let world = with(&format!("from-text-{n}"), "{name: v, type: string, filterable: true}", text).await;
        let (before, events) = (values(&world, "v").await, world.events().await);
        let typed = world.item(&[&format!("{{name: v, type: {kind}, filterable: true}}")], "");
        let blocked = world.approved(&typed).await;
        assert!(blocked.reasons().contains("another type"), "{}", blocked.reasons());
        let sql = format!(
            "select count(*) from {} where (v is null) <> (get_byte(decode(md5(id::text), 'hex'), 0) < 0)",
            world.table()
        );
        assert_eq!(world.one(&sql).await, "8", "{kind}: nulls stay nulls");
        assert_eq!(world.events().await, events, "{kind}");
        world.writes_work().await;
        if kind != "json" {
            world.approved(&world.item(&["{name: v, type: string, filterable: true}"], "")).await;
            assert_eq!(values(&world, "v").await, before, "{kind}");
            world.writes_work().await;
        }
    }
}

#[tokio::test]
async fn texts_that_are_no_numbers_block_the_change_until_they_are() {
    let world =
        with("not-numbers", "{name: v, type: string}", "case when i = 5 then 'five' else i::text end").await;
    let wanted = world.item(&["{name: v, type: integer, min: 0}"], "");
    let blocked = world.blocked(&wanted).await;
    assert!(
        !blocked.approvable && blocked.reasons().contains("1 record has a value of v that is no bigint"),
        "{}",
        blocked.reasons()
    );
    world.write(&format!("update {} set v = '5' where v = 'five'", world.table())).await;
    world.approved(&wanted).await;
    world.writes_work().await;
}

#[tokio::test]
async fn dates_and_instants_become_each_other() {
    let world = with(
        "dates",
        "{name: v, type: date, sortable: true, default: \"2026-01-01\"}",
        "'2026-01-01'::date + i",
    )
    .await;
    let before = values(&world, "v").await;
    world
        .approved(
            &world
                .item(&["{name: v, type: timestamp, sortable: true, default: \"2026-01-01T00:00:00Z\"}"], ""),
        )
        .await;
    world.writes_work().await;
    world
        .approved(&world.item(&["{name: v, type: date, sortable: true, default: \"2026-01-01\"}"], ""))
        .await;
    assert_eq!(values(&world, "v").await, before);
}

#[tokio::test]
async fn there_is_no_way_from_bytes_to_json_and_no_approval_helps() {
    let world = with("no-way", "{name: v, type: bytes}", "'\\x00'::bytea").await;
    let blocked = world.blocked(&world.item(&["{name: v, type: json}"], "")).await;
    assert!(!blocked.approvable && blocked.reasons().contains("no faithful way"), "{}", blocked.reasons());
    let blocked =
        world.blocked(&world.item(&["{name: id, type: string}", "{name: v, type: bytes}"], "")).await;
    assert!(!blocked.approvable && blocked.reasons().contains("type of a key"), "{}", blocked.reasons());
}

#[tokio::test]
async fn a_field_is_converted_while_renamed_required_unique_filtered_and_indexed() {
    let rest = |v: &str, three: &str| {
        format!("indexes: [{{fields: [-{v}, w], where: 'record.{v} != {three} && record.w > 1'}}]
uniqueConstraints: [{{fields: [w, {v}]}}]
access: {{roles: {{create: [writer], read: [writer, reader], update: [writer], delete: [writer], restore: [writer]}}, rowFilter: [{{role: reader, condition: 'record.{v} != {three}'}}]}}")
    };
    let w = "{name: w, type: integer, filterable: true}";
    let world = World::new("all-at-once").await;
    world
        .begin(&world.item(
            &["{name: v, type: string, maxLength: 9, required: true, unique: true, default: \"0\"}", w],
            &rest("v", "\"3\""),
        ))
        .await;
    world
        .write(&format!(
            "insert into {} (id, v, w) select md5(i::text)::uuid, i, i from generate_series(1, 60) i",
            world.table()
        ))
        .await;
    world.write(&format!("update {} set deleted_at = now() where w = 7", world.table())).await;
    let events = world.events().await;
    let wanted = world.item(&["{name: code, renamedFrom: v, type: integer, min: 0, max: 100, required: true, unique: true, default: 0}", w], &rest("code", "3"));
    world.approved(&wanted).await;
    assert_eq!(values(&world, "sum(code) over ()").await[0]["v"], "1830");
    assert_eq!(world.events().await, events);
    world.writes_work().await;
    // And back, under its old name.
    world.approved(&world.item(&["{name: v, renamedFrom: code, type: string, maxLength: 9, required: true, unique: true, default: \"0\"}", w], &rest("v", "\"3\""))).await;
    assert_eq!(values(&world, "sum(v::int) over ()").await[0]["v"], "1830");
    world.writes_work().await;
}

#[tokio::test]
async fn two_fields_are_converted_at_once_and_in_the_other_direction() {
    let world = World::new("two-at-once").await;
    world
        .begin(&world.item(
            &["{name: v, type: string, filterable: true}", "{name: w, type: integer, unique: true}"],
            "",
        ))
        .await;
    world
        .write(&format!(
            "insert into {} (id, v, w) select md5(i::text)::uuid, i, i from generate_series(1, 60) i",
            world.table()
        ))
        .await;
    world
        .approved(&world.item(
            &["{name: v, type: integer, filterable: true}", "{name: w, type: string, unique: true}"],
            "",
        ))
        .await;
    world.writes_work().await;
    world
        .approved(&world.item(
            &["{name: v, type: string, filterable: true}", "{name: w, type: integer, unique: true}"],
            "",
        ))
        .await;
    assert_eq!(world.one(&format!("select count(*) from {} where v = w::text", world.table())).await, "60");
}

//! References between tables that change.

use velocity_sql::ddl::Approval;

use super::world::World;

const OWNER: &[&str] = &[
    "{name: code, type: string, unique: true}",
    "{name: num, type: integer, unique: true}",
    "{name: parent, type: uuid, ref: {object: owner, version: v1}}",
];

async fn world(domain: &str, fields: &[&str]) -> World {
    let world = World::new(domain).await;
    world.make(&world.object("owner", OWNER, "")).await;
    world.begin(&world.item(fields, "")).await;
    let schema = world.pg_schema();
    world.write(&format!("insert into {schema}.owner_v1 (id, code, num) select md5(i::text)::uuid, 'c' || i, i from generate_series(1, 9) i")).await;
    world.write(&format!("insert into {} (id, v) select md5(i::text)::uuid, md5((i % 9 + 1)::text)::uuid from generate_series(1, 30) i", world.table())).await;
    world
}

#[tokio::test]
async fn a_reference_is_enforced_once_its_values_have_records_and_let_go_again() {
    let world = world("refs", &["{name: v, type: uuid}"]).await;
    world
        .write(&format!("update {} set v = md5('nobody')::uuid where id = md5('1')::uuid", world.table()))
        .await;
    let wanted = world.item(&["{name: v, type: uuid, ref: {object: owner, version: v1}}"], "");
    let blocked = world.blocked(&wanted).await;
    assert!(
        !blocked.approvable && blocked.reasons().contains("1 record has a value of v that"),
        "{}",
        blocked.reasons()
    );
    world.write(&format!("update {} set v = null where id = md5('1')::uuid", world.table())).await;
    world.to(&wanted).await;
    assert!(world.api(&format!("update {} set v = md5('nobody')::uuid", world.table())).await.is_err());
    world.writes_work().await;
    world
        .to(&world.item(&["{name: w, renamedFrom: v, type: uuid, ref: {object: owner, version: v1}}"], ""))
        .await;
    world.writes_work().await;
    world
        .to(&world.item(&["{name: w, type: uuid, ref: {object: owner, version: v1, enforce: false}}"], ""))
        .await;
    world.to(&world.item(&["{name: w, type: uuid, ref: {object: owner, version: v1}}"], "")).await;
    world.approved(&world.item(&["{name: x, type: string}"], "")).await;
    world.approved(&world.item(&["{name: w, type: uuid, ref: {object: owner, version: v1}}"], "")).await;
    world.writes_work().await;
}

#[tokio::test]
async fn a_reference_to_itself_comes_is_renamed_and_converted() {
    let world = world("self-refs", &["{name: v, type: string}", "{name: id, type: uuid}"]).await;
    world
        .approved(
            &world.item(&["{name: v, type: uuid, ref: {object: item, version: v1, enforce: false}}"], ""),
        )
        .await;
    world.write(&format!("update {} set v = id", world.table())).await;
    world.to(&world.item(&["{name: v, type: uuid, ref: {object: item, version: v1}}"], "")).await;
    world
        .to(&world.item(&["{name: up, renamedFrom: v, type: uuid, ref: {object: item, version: v1}}"], ""))
        .await;
    world.approved(&world.item(&["{name: v, renamedFrom: up, type: string}"], "")).await;
    world.approved(&world.item(&["{name: v, type: uuid, ref: {object: item, version: v1}}"], "")).await;
    assert_eq!(world.one(&format!("select count(*) from {} where v = id", world.table())).await, "30");
    world.writes_work().await;
}

#[tokio::test]
async fn a_converted_field_gets_its_reference_with_the_new_type_and_another_target() {
    let world = world("typed-refs", &["{name: v, type: uuid, ref: {object: owner, version: v1}}"]).await;
    let text = world.item(&["{name: v, type: string}"], "");
    world.approved(&text).await;
    world.write(&format!("update {} set v = 'c1'", world.table())).await;
    world
        .to(&world.item(&["{name: v, type: string, ref: {object: owner, version: v1, field: code}}"], ""))
        .await;
    let unfit = world.item(&["{name: v, type: string, ref: {object: owner, version: v1, field: num}}"], "");
    let blocked = world.blocked(&unfit).await;
    assert!(
        !blocked.approvable && blocked.reasons().contains("give both the same type"),
        "{}",
        blocked.reasons()
    );
    world.to(&text).await;
    world.write(&format!("update {} set v = '2'", world.table())).await;
    world
        .approved(
            &world.item(&["{name: v, type: integer, ref: {object: owner, version: v1, field: num}}"], ""),
        )
        .await;
    world.writes_work().await;
    assert!(world.api(&format!("update {} set v = 10", world.table())).await.is_err());
}

#[tokio::test]
async fn what_others_point_to_stays_until_they_let_go() {
    let world = world("targets", &["{name: v, type: uuid, ref: {object: owner, version: v1}}"]).await;
    let reference = world.object(
        "other",
        &["{name: owner, type: string, ref: {object: owner, version: v1, field: code}}"],
        "",
    );
    world.make(&reference).await;
    for (fields, named) in [
        (&["{name: code, type: string}", OWNER[1], OWNER[2]][..], "drop those references first"),
        (&["{name: code, type: integer, unique: true}", OWNER[1], OWNER[2]], "enforce: false"),
        (
            &["{name: codes, renamedFrom: code, type: string, unique: true}", OWNER[1], OWNER[2]],
            "enforce: false",
        ),
        (&[OWNER[1], OWNER[2]], "drop those references first"),
    ] {
        let blocked = world.blocked(&world.object("owner", fields, "")).await;
        assert!(!blocked.approvable && blocked.reasons().contains(named), "{}", blocked.reasons());
    }
    // A bound that nobody points to may change.
    world
        .reconcile(
            &world.object(
                "owner",
                &["{name: code, type: string, unique: true, maxLength: 99}", OWNER[1], OWNER[2]],
                "",
            ),
            Approval::default(),
        )
        .await;
}

#[tokio::test]
async fn a_target_that_comes_later_leaves_the_table_as_it_is_until_then() {
    let world = World::new("late-refs").await;
    world.begin(&world.item(&["{name: v, type: uuid}"], "")).await;
    world.write(&format!("insert into {} (id, v) values (md5('1')::uuid, null)", world.table())).await;
    let before = world.shown().await;
    let wanted = world.item(
        &["{name: v, type: uuid, ref: {object: owner, version: v1}}", "{name: w, type: string, default: x}"],
        "",
    );
    world.reconcile(&wanted, Approval::default()).await;
    assert_eq!(world.shown().await, before);
    world.make(&world.object("owner", OWNER, "")).await;
    world.to(&wanted).await;
    world.writes_work().await;
}

#[tokio::test]
async fn a_reference_to_a_field_of_its_own_follows_it_through_names_and_types() {
    let world = World::new("own-fields").await;
    let up = |target: &str, kind: &str| {
        format!("{{name: up, type: {kind}, ref: {{object: item, version: v1, field: {target}}}}}")
    };
    world.begin(&world.item(&["{name: code, type: string, unique: true}", &up("code", "string")], "")).await;
    world
        .write(&format!(
            "insert into {} (id, code, up) select md5(i::text)::uuid, i, i from generate_series(1, 9) i",
            world.table()
        ))
        .await;
    world
        .to(&world.item(
            &["{name: number, renamedFrom: code, type: string, unique: true}", &up("number", "string")],
            "",
        ))
        .await;
    world.writes_work().await;
    world
        .approved(&world.item(&["{name: number, type: integer, unique: true}", &up("number", "integer")], ""))
        .await;
    world.writes_work().await;
    world
        .approved(&world.item(
            &["{name: code, renamedFrom: number, type: string, unique: true}", &up("code", "string")],
            "",
        ))
        .await;
    assert!(world.api(&format!("update {} set up = 'nobody'", world.table())).await.is_err());
    world.write(&format!("update {} set up = null where code = '1'", world.table())).await;
    world.approved(&world.item(&["{name: up, type: string}"], "")).await;
    world.to(&world.item(&["{name: code, type: string, unique: true}", &up("code", "string")], "")).await;
    world.writes_work().await;
}

#[tokio::test]
async fn a_field_from_the_trash_that_is_required_gets_its_default_without_events() {
    let world = World::new("restored-default").await;
    let (v, w) = ("{name: v, type: string, required: true, default: none}", "{name: w, type: integer}");
    world.begin(&world.item(&[v, w], "")).await;
    world
        .write(&format!(
            "insert into {} (id, v) select md5(i::text)::uuid, i from generate_series(1, 9) i",
            world.table()
        ))
        .await;
    world.approved(&world.item(&[w], "")).await;
    world.write(&format!("insert into {} (id) values (md5('new')::uuid)", world.table())).await;
    let events = world.events().await;
    world.to(&world.item(&[v, w], "")).await;
    assert_eq!(world.one(&format!("select count(*) from {} where v = 'none'", world.table())).await, "1");
    assert_eq!(world.events().await, events);
    world.writes_work().await;
}

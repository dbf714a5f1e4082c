//! Search that comes, changes its tier, language and fields, and goes, under a table with rows.

use velocity_sql::ddl::How;

use super::world::World;

const FIELDS: [&str; 3] =
    ["{name: a, type: string}", "{name: b, type: enum, enum: [left, right]}", "{name: num, type: integer}"];

async fn filled(domain: &str, search: &str) -> World {
    let world = World::new(domain).await;
    world.begin(&world.item(&FIELDS, search)).await;
    world
        .write(&format!(
            "insert into {} (id, a, num) select md5(i::text)::uuid, 'text ' || i, i from generate_series(1, 50) i",
            world.table()
        ))
        .await;
    world
}

#[tokio::test]
async fn tiers_languages_and_fields_change_online_and_leave_a_table_as_new() {
    let world = filled("search-tiers", "").await;
    for search in [
        "search: {tier: 1, fields: [a, b]}",
        "search: {tier: 2, fields: [a, b]}",
        "search: {tier: 2, fields: [a, b], language: english}",
        "search: {tier: 2, fields: [b], language: english}",
        "search: {tier: 1, fields: [b]}",
        "search: {tier: 1, fields: [b, a]}",
        "",
    ] {
        let plan = world.to(&world.item(&FIELDS, search)).await;
        let indexes = plan.steps.iter().filter(|step| step.sql.contains("index concurrently"));
        assert!(
            indexes.clone().count() > 0 && indexes.clone().all(|step| step.how == How::Alone),
            "{search}: {plan:#?}"
        );
    }
    world.history_is_sound().await;
    world.writes_work().await;
}

#[tokio::test]
async fn a_searched_field_is_renamed_dropped_and_becomes_a_text() {
    for (domain, tier) in [("search-fields-1", 1), ("search-fields-2", 2)] {
        let world = filled(domain, &format!("search: {{tier: {tier}, fields: [a, b]}}")).await;
        // Built again, an index has another number.
        let indexes = "select string_agg(oid::text, ' ' order by oid) from pg_class where relname ~ '^item_v1-.*_(pieces|words)'";
        let before = world.one(indexes).await;
        let renamed = ["{name: text, type: string, renamedFrom: a}", FIELDS[1], FIELDS[2]];
        world.to(&world.item(&renamed, &format!("search: {{tier: {tier}, fields: [text, b]}}"))).await;
        assert_eq!(world.one(indexes).await, before, "tier {tier}");
        let texts = ["{name: text, type: string}", "{name: num, type: string}"];
        world.approved(&world.item(&texts, &format!("search: {{tier: {tier}, fields: [text, num]}}"))).await;
        world.writes_work().await;
    }
}

#[tokio::test]
async fn an_extension_that_people_made_elsewhere_is_used_where_it_is() {
    let world = World::new("search-elsewhere").await;
    world.sql("create schema \"their own\"; create extension pg_trgm with schema \"their own\"").await;
    world.begin(&world.item(&FIELDS, "search: {tier: 1, fields: [a]}")).await;
    world.begin(&world.item(&FIELDS, "search: {tier: 1, fields: [a, b]}")).await;
    let made = "select string_agg(indexdef, ' ') from pg_indexes where indexname ~ '_pieces$'";
    assert_eq!(world.one(made).await.matches("\"their own\".gin_trgm_ops").count(), 2);
}

#[tokio::test]
async fn tier_1_waits_where_the_extension_cannot_be_made_and_tier_2_does_not() {
    let world = filled("search-without", "").await;
    world
        .sql("create role search_without_extensions nologin; alter schema platform owner to search_without_extensions")
        .await;
    let wanted = world.item(&FIELDS, "search: {tier: 1, fields: [a]}");
    let blocked = world.blocked(&wanted).await;
    assert!(!blocked.approvable && blocked.reasons().contains("use tier 2"), "{}", blocked.reasons());
    world.begin(&world.item(&FIELDS, "search: {tier: 2, fields: [a]}")).await;
    world.sql("create extension pg_trgm").await;
    world.begin(&wanted).await;
    world.sql("alter schema platform owner to current_user; drop role search_without_extensions").await;
}

//! What hands changed in the database is found, and mended.

use velocity_sql::ddl::{Approval, Decision};
use velocity_store::ddl::probe;

use super::world::World;

const FIELDS: &[&str] = &[
    "{name: v, type: string, maxLength: 9, unique: true}",
    "{name: w, type: integer, min: 0, filterable: true, required: true, default: 4}",
    "{name: m, type: number, precision: 10, scale: 2}",
    "{name: up, type: uuid, ref: {object: item, version: v1}}",
    "{name: j, type: json, filterable: true}",
];
const REST: &str = "indexes: [{fields: [w, -v], where: 'record.w > 3'}]";

async fn world(domain: &str) -> World {
    let world = World::new(domain).await;
    world.begin(&world.item(FIELDS, REST)).await;
    world
        .write(&format!(
            "insert into {} (id, v, w) select md5(i::text)::uuid, i, i from generate_series(1, 9) i",
            world.table()
        ))
        .await;
    world
}

#[tokio::test]
async fn whatever_is_taken_or_bent_by_hand_is_mended() {
    let world = world("drift").await;
    let schema = world.item(FIELDS, REST);
    let (table, history, pg_schema) = (world.table(), world.history(), world.pg_schema());
    for harm in [
        format!("alter table {table} drop constraint \"v_maxLength_check\""),
        format!(
            "alter table {table} drop constraint \"v_maxLength_check\", add constraint \"v_maxLength_check\" check (char_length(v) <= 10)"
        ),
        format!(
            "alter table {table} drop constraint w_min_check, add constraint w_min_check check (w >= 0) not valid"
        ),
        format!("alter table {table} drop constraint \"item_v1-v_key\""),
        format!("drop index {pg_schema}.\"item_v1-w_idx\""),
        format!(
            "drop index {pg_schema}.\"item_v1-w_idx\"; create index \"item_v1-w_idx\" on {table} (w desc)"
        ),
        format!("drop index {pg_schema}.\"item_v1-j_gin\""),
        format!("alter table {table} drop constraint \"item_v1-up_fkey\""),
        format!(
            "alter table {table} drop constraint \"item_v1-up_fkey\", add constraint \"item_v1-up_fkey\" foreign key (up) references {table} (id) on delete cascade"
        ),
        format!("alter table {table} drop constraint item_v1_pkey cascade"),
        format!("alter table {table} alter w drop not null"),
        format!("alter table {table} alter v set not null"),
        format!("alter table {table} alter w set default 5"),
        format!("alter table {table} alter w drop default"),
        format!("alter table {table} alter v set default 'x'"),
        format!("alter table {table} disable row level security"),
        format!("alter table {history} disable row level security"),
        format!("drop policy velocity_update on {table}"),
        format!("alter policy velocity_select on {table} using (true)"),
        format!("create policy all_of_it on {table} using (true)"),
        format!("grant delete on {table} to {pg_schema}"),
        format!("revoke select on {table} from {pg_schema}; revoke select (v) on {table} from {pg_schema}"),
        format!("grant update on {history} to velocity_api"),
        format!("grant select on {table} to public"),
        format!("drop trigger velocity_before on {table}"),
        format!("alter table {table} disable trigger velocity_insert"),
        format!(
            "drop trigger velocity_update on {table}; create trigger velocity_update after update on {table} for each row when (false) execute function {pg_schema}.item_v1_after_write()"
        ),
        format!(
            "create or replace function {pg_schema}.item_v1_after_write() returns trigger language plpgsql as 'begin return null; end'"
        ),
        format!("drop function {pg_schema}.item_v1_before_write() cascade"),
        format!("drop index {pg_schema}.item_v1_history_order"),
        format!("alter table {table} alter m type numeric(12,2)"),
        format!("alter table {table} alter m type numeric(10,3)"),
        format!("comment on column {table}.m is null"),
        format!("comment on table {table} is null"),
        format!("alter index {pg_schema}.\"item_v1-w_idx\" rename to renamed"),
        format!("alter table {table} rename constraint w_min_check to renamed"),
    ] {
        world.sql(&harm).await;
        assert!(!world.plan(&schema).await.removing_foreign().is_empty(), "not seen: {harm}");
        println!("{harm}"); // seen only where the test fails
        fix(&world, &schema, false).await;
        world.is_as_new(&schema).await;
    }
    world.writes_work().await;
}

/// As `velocity drift --fix` would: what is foreign goes too, with an approval where one is needed. Whether one was is given.
async fn fix(world: &World, schema: &velocity_schema::Schema, _approval: bool) -> bool {
    let mut owner = world.database.owner().await;
    let mut approved = false;
    for _ in 0..5 {
        let plan = world.plan(schema).await.removing_foreign();
        if plan.is_empty() {
            return approved;
        }
        let hash = plan.hash();
        let findings = probe(&mut owner, &plan).await.unwrap_or_else(|e| panic!("{e:?}"));
        let plan = match plan.clone().decide(&findings, &Approval::default()) {
            Decision::Apply(plan) => plan,
            Decision::Blocked { pending, .. } => {
                approved = true;
                match plan.decide(&findings, &Approval { named: Some(hash), ..Approval::default() }) {
                    Decision::Apply(plan) => plan,
                    Decision::Blocked { .. } => panic!("{pending:#?}"),
                }
            }
        };
        let path = schema.path().to_string();
        let change = crate::planned::change(&plan, &path);
        velocity_store::ddl::apply(&mut owner, &change).await.unwrap_or_else(|e| panic!("{e:?}"));
    }
    panic!("it does not come to an end");
}

#[tokio::test]
async fn what_is_foreign_is_left_alone_and_removed_when_asked() {
    let world = world("foreign").await;
    let schema = world.item(FIELDS, REST);
    let (table, history, pg_schema) = (world.table(), world.history(), world.pg_schema());
    world.sql("create role stranger; create function public.nothing() returns trigger language plpgsql as 'begin return new; end'").await;
    for (made, approval) in [
        (format!("alter table {table} add column \"by hand\" text default 'x'"), true),
        (format!("alter table {table} add column _new_thing text"), true),
        (format!("create index \"by-hand\" on {table} (w, v)"), false),
        (format!("create index by_hand on {table} (lower(v)) where w > 2"), false),
        (format!("alter table {table} add constraint \"Odd\" check (w < 1000)"), false),
        (format!("alter table {table} add constraint odd unique (w, v)"), false),
        (format!("alter table {table} add constraint odd foreign key (up) references {table} (id)"), false),
        (
            format!(
                "create trigger \"Odd\" before update on {table} for each row execute function public.nothing()"
            ),
            false,
        ),
        (
            format!(
                "create trigger odd after insert on {history} for each row execute function public.nothing()"
            ),
            false,
        ),
        (
            format!(
                "grant select on {table}, {history} to stranger; grant update (v) on {table} to stranger"
            ),
            false,
        ),
        (format!("create policy odd on {table} to stranger using (true)"), false),
        (format!("alter table {history} add column odd text"), true),
    ] {
        println!("{made}"); // seen only where the test fails
        world.sql(&made).await;
        let plan = world.plan(&schema).await;
        assert!(plan.is_empty() && !plan.foreign.is_empty(), "{made}: {plan:#?}");
        world.writes_work().await;
        assert_eq!(fix(&world, &schema, approval).await, approval, "{made}");
        world.is_as_new(&schema).await;
        assert_eq!(world.one(&format!("select count(*) from pg_attribute where attrelid = '{table}'::regclass and attname like '%hand' and attname not like '\\_trash%'")).await, "0");
    }
    world.sql(&format!("drop function public.nothing() cascade; drop owned by stranger; drop role stranger; select '{pg_schema}'")).await;
    world.writes_work().await;
}

#[tokio::test]
async fn a_column_dropped_by_hand_is_made_again_and_its_values_are_gone() {
    let world = world("dropped").await;
    let schema = world.item(FIELDS, REST);
    world.sql(&format!("alter table {} drop column v cascade", world.table())).await;
    world.to(&schema).await;
    world.sql(&format!("alter table {} drop column w cascade", world.table())).await;
    world.to(&schema).await;
    world.writes_work().await;
    world.sql(&format!("alter table {} drop column _head_hash", world.table())).await;
    let blocked = world.blocked(&schema).await;
    assert!(blocked.reasons().contains("restore the table from a backup"), "{}", blocked.reasons());
}

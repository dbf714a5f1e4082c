//! Names as long as they can be, minds changed half-way, and changes that lean on each other.

use velocity_schema::Schema;
use velocity_sql::ddl::{Approval, Decision, Plan, Stage};

use super::world::World;
use crate::planned::{change, decide};

const MANY: usize = 9;

/// 63 bytes that differ at the end only.
fn long(last: char) -> String {
    format!("{}{last}", "x".repeat(62))
}

async fn fill(world: &World, columns: &str, values: &str) {
    let sql = format!(
        "insert into {} (id, {columns}) select md5(i::text)::uuid, {values} from generate_series(1, {MANY}) i",
        world.table()
    );
    world.write(&sql).await;
}

/// The plan's first so many steps, approved; the rest never happens, as if killed.
async fn part(world: &mut World, schema: &Schema, steps: usize) -> usize {
    let plan = world.plan(schema).await;
    let approval = Approval { named: Some(plan.hash()), ..Approval::default() };
    let mut owner = world.database.owner().await;
    let Decision::Apply(mut plan) = decide(&mut owner, schema, crate::planned::MONTH, &approval).await else {
        panic!("it is approved")
    };
    let all = plan.of(Stage::Prepare).count();
    plan.steps.truncate(steps.min(all));
    let path = schema.path().to_string();
    velocity_store::ddl::apply(&mut owner, &change(&plan, &path)).await.unwrap_or_else(|e| panic!("{e:?}"));
    all
}

#[tokio::test]
async fn names_as_long_as_they_can_be_change_like_others() {
    let (a, b, c) = (long('a'), long('b'), long('c'));
    let world = World::new("long").await;
    let rest = |one: &str, other: &str| {
        format!(
            "indexes: [{{fields: [{one}, -{other}], where: 'record.{one} != null'}}]\nuniqueConstraints: [{{fields: [{one}, {other}]}}]"
        )
    };
    world
        .begin(&world.item(
            &[
                &format!("{{name: {a}, type: string, maxLength: 9, unique: true}}"),
                &format!("{{name: {b}, type: string, filterable: true, default: \"1\"}}"),
            ],
            &rest(&a, &b),
        ))
        .await;
    fill(&world, &format!("{a}, {b}"), "i, i").await;
    // Checks changed, types changed, renamed: all at once, with every name cut.
    world
        .approved(&world.item(
            &[
                &format!("{{name: {a}, type: string, maxLength: 7, unique: true}}"),
                &format!(
                    "{{name: {b}, type: integer, filterable: true, required: true, min: 0, default: 1}}"
                ),
            ],
            &rest(&a, &b),
        ))
        .await;
    world.writes_work().await;
    world
        .approved(&world.item(
            &[
                &format!("{{name: {c}, renamedFrom: {a}, type: integer, min: 0, unique: true}}"),
                &format!("{{name: {b}, type: string, filterable: true, maxLength: 5}}"),
            ],
            &rest(&c, &b),
        ))
        .await;
    world.writes_work().await;
    world
        .approved(&world.item(&[&format!("{{name: {b}, type: string, filterable: true, maxLength: 6}}")], ""))
        .await;
    world
        .to(&world.item(
            &[
                &format!("{{name: {c}, type: integer, min: 0, unique: true}}"),
                &format!("{{name: {b}, type: string, filterable: true, maxLength: 5}}"),
            ],
            &rest(&c, &b),
        ))
        .await;
    assert_eq!(world.one(&format!("select sum({c}) from {}", world.table())).await, "45");
    world.writes_work().await;
}

#[tokio::test]
async fn a_long_object_with_reserved_names_changes_like_others() {
    let world = World::new("words").await;
    let spec = |fields: &[&str], rest: &str| world.object(&format!("{}a", "x".repeat(62)), fields, rest);
    let first = spec(
        &[
            "{name: select, type: string, unique: true}",
            "{name: new, type: integer, filterable: true}",
            "{name: record_id, type: string, maxLength: 5}",
        ],
        "",
    );
    world.begin(&first).await;
    let names = velocity_sql::TableNames::of(first.path());
    world
        .write(&format!(
            "insert into {} (id, \"select\", new) values (md5('1')::uuid, '7', 7)",
            names.table_sql().inline()
        ))
        .await;
    world
        .approved(&spec(
            &[
                "{name: from, renamedFrom: select, type: integer, unique: true}",
                "{name: old, renamedFrom: new, type: string, filterable: true}",
                "{name: record_id, type: string, maxLength: 6}",
            ],
            "indexes: [{fields: [-old, from]}]",
        ))
        .await;
    world
        .approved(&spec(
            &[
                "{name: user, renamedFrom: from, type: string, unique: true}",
                "{name: record_id, type: string}",
            ],
            "",
        ))
        .await;
    assert_eq!(world.one(&format!("select \"user\" from {}", names.table_sql().inline())).await, "7");
}

#[tokio::test]
async fn two_hundred_fields_change_at_once() {
    let world = World::new("wide").await;
    let fields = |change: bool| -> Vec<String> {
        (0..200)
            .map(|n| match (n % 5, change) {
                (0, false) => format!("{{name: f{n}, type: string, maxLength: 9, default: \"{n}\"}}"),
                (0, true) => {
                    format!("{{name: g{n}, renamedFrom: f{n}, type: string, maxLength: 8, default: \"{n}\"}}")
                }
                (1, false) => format!("{{name: f{n}, type: string, default: \"{n}\"}}"),
                (1, true) => format!("{{name: f{n}, type: integer, min: 0, default: {n}}}"),
                (2, true) => format!("{{name: f{n}, type: number, precision: 22, min: 0}}"),
                (2, false) => format!("{{name: f{n}, type: number, min: 0}}"),
                (3, true) => format!("{{name: n{n}, type: date}}"),
                _ => format!("{{name: f{n}, type: boolean, filterable: {}}}", n < 30),
            })
            .collect()
    };
    let item = |change| {
        let all = fields(change);
        world.item(&all.iter().map(String::as_str).collect::<Vec<_>>(), "")
    };
    world.begin(&item(false)).await;
    fill(&world, "f2", "i").await;
    world.approved(&item(true)).await;
    world.writes_work().await;
    assert_eq!(
        world
            .one(&format!("select count(*) from {} where g0 = '0' and f1 = 1 and f2 > 0", world.table()))
            .await,
        MANY.to_string()
    );
    let state = format!(
        "select count(*) from {} h, jsonb_object_keys(state) k where version > 1 group by seq limit 1",
        world.history()
    );
    assert_eq!(world.one(&state).await, "206");
}

/// From `a` to `b` so far as each step of it, and from there to `a`, to `b`, and to a third.
async fn minds_changed(domain: &str, a: &str, b: &str, third: &str, values: &str) {
    let mut steps = 0;
    loop {
        let mut all = 0;
        for (n, end) in [a, b, third].into_iter().enumerate() {
            let mut world = World::new(&format!("{domain}-{steps}-{n}")).await;
            let item = |field: &str| world.item(&[field, "{name: w, type: integer}"], "");
            let (first, second, end) = (item(a), item(b), item(end));
            world.begin(&first).await;
            fill(&world, "v, w", &format!("{values}, i")).await;
            let events = world.events().await;
            all = part(&mut world, &second, steps).await;
            // Traffic goes on under the old spec.
            world.writes_work().await;
            let blocked = match world.reconcile(&end, Approval::default()).await {
                Decision::Apply(_) => None,
                Decision::Blocked { hash, approvable, pending, .. } => {
                    assert!(approvable, "{pending:#?}");
                    Some(hash)
                }
            };
            if blocked.is_some() {
                assert!(matches!(
                    world.reconcile(&end, Approval { named: blocked, ..Approval::default() }).await,
                    Decision::Apply(_)
                ));
            }
            world.is_as_new(&end).await;
            world.writes_work().await;
            assert_eq!(world.events().await[..events.len()], events[..]);
        }
        if steps >= all {
            return;
        }
        steps += 3;
    }
}

#[tokio::test]
async fn a_conversion_given_up_half_way_leaves_nothing_behind() {
    minds_changed(
        "minds",
        "{name: v, type: string, unique: true}",
        "{name: v, type: integer, unique: true, required: true, min: 0}",
        "{name: v, type: number, precision: 30, scale: 3, filterable: true}",
        "i",
    )
    .await;
}

#[tokio::test]
async fn a_safe_change_given_up_half_way_leaves_nothing_behind() {
    minds_changed(
        "minds-safe",
        "{name: v, type: string, maxLength: 9}",
        "{name: v, type: string, maxLength: 7, minLength: 1, unique: true, required: true, default: z}",
        "{name: x, renamedFrom: v, type: string, maxLength: 8, filterable: true}",
        "i",
    )
    .await;
}

#[tokio::test]
async fn renamed_then_restored_then_converted_back_and_forth() {
    let world = World::new("to-and-fro").await;
    let v = "{name: v, type: string, filterable: true}";
    world.begin(&world.item(&[v, "{name: w, type: integer}"], "")).await;
    fill(&world, "v, w", "i, i").await;
    // Dropped, then another field gets the name, is dropped too, and the first comes back with the type.
    world.approved(&world.item(&["{name: w, type: integer}"], "")).await;
    world.to(&world.item(&["{name: v, renamedFrom: w, type: integer}"], "")).await;
    world.approved(&world.item(&["{name: x, type: string}"], "")).await;
    world.to(&world.item(&[v, "{name: x, type: string}"], "")).await;
    assert_eq!(
        world.one(&format!("select string_agg(v, ' ' order by v) from {}", world.table())).await,
        "1 2 3 4 5 6 7 8 9"
    );
    world
        .to(&world.item(
            &["{name: z, renamedFrom: v, type: string, filterable: true}", "{name: x, type: string}"],
            "",
        ))
        .await;
    for kind in ["integer", "string", "json", "string", "number", "integer"] {
        let wanted = world
            .item(&[&format!("{{name: z, type: {kind}, filterable: true}}"), "{name: x, type: string}"], "");
        if kind == "string"
            && world.one(&format!("select pg_typeof(z) from {} limit 1", world.table())).await == "jsonb"
        {
            assert!(!world.blocked(&wanted).await.approvable);
            world.approved(&world.item(&["{name: x, type: string}"], "")).await;
            world
                .to(&world
                    .item(&["{name: z, type: string, filterable: true}", "{name: x, type: string}"], ""))
                .await;
            // What went to the trash when the type changed does not come back by itself.
            world.write(&format!("update {} set z = version", world.table())).await;
            continue;
        }
        world.approved(&wanted).await;
        world.writes_work().await;
    }
}

#[tokio::test]
async fn a_rename_and_a_restore_and_a_drop_meet_in_one_change() {
    let world = World::new("meet").await;
    let (a, b, c) = (
        "{name: a, type: string, unique: true}",
        "{name: b, type: string, filterable: true}",
        "{name: c, type: string}",
    );
    world.begin(&world.item(&[a, b, c], "")).await;
    fill(&world, "a, b, c", "'a' || i, 'b' || i, 'c' || i").await;
    world.approved(&world.item(&[b, c], "")).await;
    // `a` comes back, `b` is renamed, `c` goes.
    world.approved(&world.item(&[a, "{name: d, renamedFrom: b, type: string, filterable: true}"], "")).await;
    assert_eq!(
        world.one(&format!("select count(*) from {} where a like 'a%' and d like 'b%'", world.table())).await,
        MANY.to_string()
    );
    world.writes_work().await;
}

#[tokio::test]
async fn an_approval_is_for_one_plan_and_not_for_what_came_after() {
    let world = World::new("approvals").await;
    world.begin(&world.item(&["{name: v, type: string}", "{name: w, type: integer}"], "")).await;
    fill(&world, "v, w", "i, i").await;
    let blocked = world.blocked(&world.item(&["{name: v, type: string}"], "")).await;
    let other = world.item(&["{name: w, type: integer}"], "");
    let decision =
        world.reconcile(&other, Approval { named: Some(blocked.hash), ..Approval::default() }).await;
    assert!(matches!(decision, Decision::Blocked { .. }), "{decision:?}");
    let _: Plan = world.plan(&other).await;
}

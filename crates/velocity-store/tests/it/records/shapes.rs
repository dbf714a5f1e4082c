//! The shape function: it costs nothing, and without it nothing runs.

use std::fmt::Write as _;

use tokio_postgres::{Client, SimpleQueryMessage};
use velocity_sql::query::{
    Existing, HistoryPlan, HistoryRequest, ListPlan, ListRequest, OnConflict, Reading, Shape, TableSql,
};
use velocity_sql::{Rendered, SqlType};
use velocity_store::records::{RecordError, Write};

use super::world::{World, full};

const FILTERED: &str = r"
org: acme
app: tests
domain: shapes
object: thing
version: v1
fields:
  - {name: name, type: string, required: true, maxLength: 40, filterable: true, sortable: true}
  - {name: region, type: string, filterable: true}
  - {name: amount, type: number, precision: 18, scale: 2, filterable: true, sortable: true}
  - {name: code, type: string, unique: true}
  - {name: tags, type: array, items: string, filterable: true}
access:
  roles: {create: [writer], read: [writer], update: [writer], delete: [writer], restore: [writer], history: [writer]}
  rowFilter:
    - {role: writer, condition: record.region == actor.attributes.region}
";

/// A session as a request has it.
async fn as_request(world: &World) -> Client {
    let client = world.database.client("velocity_api").await;
    let settings = r#"set role "acme__tests__shapes"; set velocity.actor = 'ravi'; set velocity.roles = 'writer';
        set velocity.attributes = '{"region": "west"}'"#;
    client.batch_execute(settings).await.unwrap();
    client
}

/// Every kind of statement that there is for a table: its text, and the types of what is bound.
fn statements(world: &World) -> Vec<(String, Vec<SqlType>)> {
    let table = TableSql::new(&world.schema);
    let shapes = [
        table.read(),
        table.insert(),
        table.update(&[2], Existing::Any),
        table.update(&[1, 2], Existing::Version),
        table.replace(&[]),
        table.delete(Existing::Any),
        table.delete(Existing::Version),
        table.undelete(Existing::Any),
        table.undelete(Existing::Version),
        table.read_deleted(),
        table.insert_many(&OnConflict::Fail),
        table.insert_many(&OnConflict::Skip(vec![vec![0], vec![4]])),
        table.insert_many(&OnConflict::Update(vec![0])),
    ];
    let of_shape = |Shape { sql, slots }: Shape| (sql, slots.into_iter().map(|(_, kind)| kind).collect());
    let of_rendered =
        |Rendered { sql, binds }: Rendered| (sql, binds.iter().map(|bind| bind.sql_type).collect());
    let list = |pairs: &[(&str, &str)]| {
        let request = ListRequest::parse(pairs.iter().copied()).unwrap();
        ListPlan::plan(&world.schema, &request, world.records.cursor_key(), &Reading::whole()).unwrap()
    };
    let id = world.id("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f");
    let page = HistoryPlan::plan(
        &world.schema,
        &id,
        &HistoryRequest::default(),
        world.records.cursor_key(),
        &Reading::whole(),
    )
    .unwrap();
    let rendered = [
        list(&[]).render(&table),
        list(&[("filter[name]", "a"), ("sort", "-amount"), ("limit", "20")]).render(&table),
        list(&[("filter[tags][contains]", "a")]).render_all(&table),
        list(&[("count", "exact"), ("filter[amount][gt]", "3")]).render_count(&table).unwrap(),
        list(&[("count", "estimated"), ("filter[amount][gt]", "3")]).render_count(&table).unwrap(),
        page.render(&table),
        HistoryPlan::render_changes(&table),
    ];
    shapes.into_iter().map(of_shape).chain(rendered.into_iter().map(of_rendered)).collect()
}

/// The plan of a statement for any values, as text with its costs.
async fn plan(client: &Client, sql: &str, types: &[SqlType]) -> String {
    let names: Vec<&str> = types.iter().map(|kind| kind.sql()).collect();
    let declared = if names.is_empty() { String::new() } else { format!("({})", names.join(", ")) };
    let values = vec!["null"; names.len()].join(", ");
    let call = if names.is_empty() { String::new() } else { format!("({values})") };
    client.batch_execute(&format!("prepare s{declared} as {sql}")).await.unwrap();
    let mut plan = String::new();
    for message in client.simple_query(&format!("explain (verbose, costs) execute s{call}")).await.unwrap() {
        if let SimpleQueryMessage::Row(row) = message {
            writeln!(plan, "{}", row.get(0).unwrap()).unwrap();
        }
    }
    client.batch_execute("deallocate s").await.unwrap();
    plan
}

#[tokio::test]
async fn plans_and_their_costs_are_the_same_as_without_it() {
    let world = World::new(FILTERED).await;
    let owner = world.database.owner().await;
    let fill = "begin; set local velocity.actor = 'me'; \
        insert into acme__tests__shapes.thing_v1 (id, name, region, amount) \
        select gen_random_uuid(), 'n' || n, case when n % 2 = 0 then 'west' else 'east' end, n from generate_series(1, 3000) n; \
        commit; analyze acme__tests__shapes.thing_v1";
    owner.batch_execute(fill).await.unwrap();
    let client = as_request(&world).await;
    let names = velocity_sql::TableNames::of(world.schema.path());
    let function = format!(
        "{}.{}()",
        names.schema.quoted(),
        names.shape_function(world.schema.hash().as_str()).quoted()
    );
    for mode in ["force_generic_plan", "force_custom_plan"] {
        client.batch_execute(&format!("set plan_cache_mode = {mode}")).await.unwrap();
        for (sql, types) in statements(&world) {
            let without = sql.replace(&function, "true");
            assert_ne!(sql, without);
            let (with, without) = (plan(&client, &sql, &types).await, plan(&client, &without, &types).await);
            assert_eq!(with, without, "{sql}");
            assert!(!with.contains("_is_"), "{with}");
        }
    }
    client.batch_execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    let (sql, types) = statements(&world).swap_remove(0);
    let read = plan(&client, &sql, &types).await;
    assert!(read.contains("thing_v1_pkey") && read.contains("region"), "an index and the row filter: {read}");
}

/// With a plan for any values and one for each: neither outlives the function.
#[tokio::test]
async fn no_prepared_statement_runs_without_it() {
    let world = World::new(FILTERED).await;
    let owner = world.database.owner().await;
    let names = velocity_sql::TableNames::of(world.schema.path());
    let function = names.shape_function(world.schema.hash().as_str()).quoted();
    for mode in ["force_generic_plan", "force_custom_plan"] {
        let client = as_request(&world).await;
        client.batch_execute(&format!("set plan_cache_mode = {mode}")).await.unwrap();
        let mut prepared = Vec::new();
        for (at, (sql, types)) in statements(&world).into_iter().enumerate() {
            let names: Vec<&str> = types.iter().map(|kind| kind.sql()).collect();
            let declared = if names.is_empty() { String::new() } else { format!("({})", names.join(", ")) };
            client.batch_execute(&format!("prepare s{at}{declared} as {sql}")).await.unwrap();
            let values = vec!["null"; names.len()].join(", ");
            let call = if names.is_empty() { String::new() } else { format!("({values})") };
            // Planned once, so that there is a plan to outlive the function.
            client.batch_execute(&format!("explain execute s{at}{call}")).await.unwrap();
            prepared.push(format!("execute s{at}{call}"));
        }
        let rename = format!("alter function acme__tests__shapes.{function}() rename to aside");
        let drop = format!("drop function acme__tests__shapes.{function}()");
        owner.batch_execute(if mode.contains("custom") { &drop } else { &rename }).await.unwrap();
        for call in &prepared {
            let code = client.batch_execute(call).await.unwrap_err().code().unwrap().code().to_owned();
            assert_eq!(code, "42883", "{mode}: {call}");
        }
        if mode.contains("generic") {
            let back = format!("alter function acme__tests__shapes.aside() rename to {function}");
            owner.batch_execute(&back).await.unwrap();
        }
    }
}

#[tokio::test]
async fn without_it_every_call_says_that_the_shape_has_changed_and_leaves_nothing() {
    let world = World::new(super::world::THING).await;
    let id = world.made(full()).await;
    let owner = world.database.owner().await;
    let names = velocity_sql::TableNames::of(world.schema.path());
    let function = names.shape_function(world.schema.hash().as_str()).quoted();
    owner
        .batch_execute(&format!(
            "alter function acme__tests__records.{function}() rename to thing_v1_is_0123456789ab"
        ))
        .await
        .unwrap();
    let body = serde_json::json!({ "name": "b" });
    let errors: Vec<RecordError> = vec![
        world.read(&id).await.unwrap_err(),
        world.create(body.clone()).await.unwrap_err(),
        world.patch(&id, body.clone()).await.unwrap_err(),
        world.replace(&id, body).await.unwrap_err(),
        world.delete(&id, None).await.unwrap_err(),
        world.delete(&id, Some(1)).await.unwrap_err(),
        world.undelete(&id).await.unwrap_err(),
        world.history(&id).await.unwrap_err(),
        world.records.list(&world.session, &world.table, &world.plan(&[])).await.unwrap_err(),
        world.write(Write::Undelete { id: id.clone() }).await.unwrap_err(),
    ];
    for error in errors {
        let changed = matches!(&error, RecordError::ShapeChanged { spec_hash, .. } if spec_hash == world.schema.hash().as_str());
        assert!(changed, "{error:?}");
    }
    let events: i64 = owner
        .query_one("select count(*) from acme__tests__records.thing_v1_history", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(events, 1);
}

/// A type that changed behind our back: its bytes are never taken for another type's.
#[tokio::test]
async fn a_column_of_another_type_is_never_read_as_the_declared_one() {
    let world = World::new(super::world::THING).await;
    let id = world.made(full()).await;
    assert!(world.read(&id).await.is_ok(), "the statement is prepared");
    let owner = world.database.owner().await;
    let change = "alter table acme__tests__records.thing_v1 alter column note type bigint using length(note)";
    owner.batch_execute(change).await.unwrap();
    for error in [
        world.read(&id).await.unwrap_err(),
        world.records.list(&world.session, &world.table, &world.plan(&[])).await.unwrap_err(),
    ] {
        assert!(matches!(error, RecordError::ShapeChanged { .. }), "{error:?}");
    }
}

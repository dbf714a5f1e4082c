//! Schemas change under their rows: from the decision to what is in the table afterwards.

use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_sql::ddl::{Approval, Decision, delete_plan};
use velocity_store::ddl::{apply, read};
use velocity_testkit::{PLATFORM, TestDatabase, evolve, provision, schema};

use crate::planned::{MONTH, change, decide, plan};

const TABLE: &str = "any__changes__test.item_v1";
const HISTORY: &str = "any__changes__test.item_v1_history";

const FIRST: &str = r"
org: any
app: changes
domain: test
object: item
version: v1
fields:
  - {name: title, type: string, required: true, maxLength: 40, filterable: true}
  - {name: price, type: string}
  - {name: note, type: string, maxLength: 20, unique: true}
access: {roles: {create: [writer], read: [writer], update: [writer]}}
";

async fn first() -> (TestDatabase, Client) {
    let database = TestDatabase::create_from(&PLATFORM).await;
    provision(&database, &schema(FIRST)).await;
    let owner = database.owner().await;
    write(
        &owner,
        &format!("insert into {TABLE} (id, title, price, note) select gen_random_uuid(), 't' || n, n::text, 'n' || n from generate_series(1, 5000) n"),
    )
    .await;
    (database, owner)
}

async fn write(owner: &Client, sql: &str) {
    owner.batch_execute(&format!("begin; set local velocity.actor = 'me'; {sql}; commit")).await.unwrap();
}

async fn count(owner: &Client, sql: &str) -> i64 {
    owner.query_one(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}")).get(0)
}

/// Applies a change that has to be approved, with an approval.
async fn approved(database: &TestDatabase, owner: &Client, wanted: &Schema) {
    let Decision::Blocked { hash, approvable, pending, .. } =
        evolve(database, wanted, Approval::default()).await.unwrap()
    else {
        panic!("it needs an approval");
    };
    assert!(approvable, "{pending:#?}");
    let approval = Approval { named: Some(hash), ..Approval::default() };
    let decision = evolve(database, wanted, approval).await.unwrap();
    assert!(matches!(decision, Decision::Apply(_)), "{decision:#?}");
    assert!(plan(owner, wanted).await.is_empty(), "{:#?}", plan(owner, wanted).await);
}

#[tokio::test]
async fn a_renamed_field_keeps_its_values_its_rules_and_its_tags() {
    let (database, owner) = first().await;
    let wanted = FIRST
        .replace("{name: note,", "{name: remark, renamedFrom: note,")
        .replace("{name: title,", "{name: heading, renamedFrom: title,");
    let wanted = schema(&wanted);
    assert!(matches!(evolve(&database, &wanted, Approval::default()).await.unwrap(), Decision::Apply(_)));
    assert!(plan(&owner, &wanted).await.is_empty(), "{:#?}", plan(&owner, &wanted).await);
    let table = read(&owner, &wanted).await.unwrap().table.unwrap();
    assert!(table.altered.is_empty(), "{:?}", table.altered);
    assert_eq!(
        count(&owner, &format!("select count(*) from {TABLE} where heading like 't%' and remark like 'n%'"))
            .await,
        5_000
    );
    let log = "select string_agg(field || '>' || became || ' ' || seq, ', ' order by field) from platform.field_changes";
    let log: String = owner.query_one(log, &[]).await.unwrap().get(0);
    assert_eq!(log, "note>remark 5000, title>heading 5000");
    let error = owner
        .batch_execute(&format!(
            "begin; set local velocity.actor = 'me'; update {TABLE} set remark = 'n2' where remark = 'n1'"
        ))
        .await
        .unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23505");
}

#[tokio::test]
async fn another_type_is_filled_in_silently_and_writers_go_on() {
    let (database, owner) = first().await;
    let wanted = schema(
        &FIRST.replace("{name: price, type: string}", "{name: price, type: integer, filterable: true}"),
    );
    let before = count(&owner, &format!("select count(*) from {HISTORY}")).await;
    approved(&database, &owner, &wanted).await;
    assert_eq!(count(&owner, &format!("select sum(price)::bigint from {TABLE}")).await, 5_000 * 5_001 / 2);
    assert_eq!(
        count(&owner, &format!("select count(*) from {HISTORY}")).await,
        before,
        "the values are what they were"
    );
    assert_eq!(count(&owner, &format!("select max(version) from {TABLE}")).await, 1);
    assert_eq!(count(&owner, "select count(*) from platform.backfills").await, 0);
    write(&owner, &format!("update {TABLE} set price = price + 1 where title = 't1'")).await;
    let changed = format!("select changed, state from {HISTORY} where version = 2");
    let event = owner.query_one(&changed, &[]).await.unwrap();
    assert_eq!(event.get::<_, Vec<String>>(0), ["price"]);
    let state: serde_json::Value = event.get(1);
    assert!(state.as_object().unwrap().keys().all(|key| !key.starts_with('_')), "{state}");
}

#[tokio::test]
async fn a_dropped_field_comes_back_with_its_values() {
    let (database, owner) = first().await;
    let without = schema(&FIRST.replace("  - {name: note, type: string, maxLength: 20, unique: true}\n", ""));
    approved(&database, &owner, &without).await;
    write(&owner, &format!("insert into {TABLE} (id, title) values (gen_random_uuid(), 'new')")).await;
    write(&owner, &format!("update {TABLE} set price = '0' where title = 't1'")).await;
    let state: serde_json::Value =
        owner.query_one(&format!("select state from {HISTORY} where version = 2"), &[]).await.unwrap().get(0);
    assert!(state.as_object().unwrap().keys().all(|key| !key.starts_with('_') && key != "note"), "{state}");

    let wanted = schema(FIRST);
    let decision = evolve(&database, &wanted, Approval::default()).await.unwrap();
    assert!(matches!(decision, Decision::Apply(_)), "{decision:#?}");
    assert!(plan(&owner, &wanted).await.is_empty(), "{:#?}", plan(&owner, &wanted).await);
    assert_eq!(count(&owner, &format!("select count(*) from {TABLE} where note like 'n%'")).await, 5_000);
    assert_eq!(count(&owner, "select count(*) from platform.trash").await, 0);
}

#[tokio::test]
async fn a_deleted_schema_comes_back_when_it_is_applied_again() {
    let (database, mut owner) = first().await;
    let wanted = schema(FIRST);
    let away = delete_plan(wanted.path(), &read(&owner, &wanted).await.unwrap());
    let Decision::Blocked { hash, approvable, .. } = away.clone().decide(&[].into(), &Approval::default())
    else {
        panic!("it is not applied unasked: {away:#?}");
    };
    assert!(approvable);
    let approval = Approval { named: Some(hash), ..Approval::default() };
    let Decision::Apply(away) = away.decide(&[].into(), &approval) else { panic!("it was approved") };
    apply(&mut owner, &change(&away, &wanted.path().to_string())).await.unwrap();
    let live = read(&owner, &wanted).await.unwrap();
    assert!(live.table.is_none() && live.trashed_table.is_some());

    provision(&database, &wanted).await;
    assert_eq!(count(&owner, &format!("select count(*) from {TABLE}")).await, 5_000);
    assert!(plan(&owner, &wanted).await.is_empty(), "{:#?}", plan(&owner, &wanted).await);
    write(&owner, &format!("update {TABLE} set note = null where title = 't1'")).await;
    assert_eq!(count(&owner, &format!("select count(*) from {HISTORY} where version = 2")).await, 1);
    assert_eq!(count(&owner, "select count(*) from platform.trash").await, 0);
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_the_change_goes_on_once_it_does() {
    let (database, mut owner) = first().await;
    let wanted = schema(&FIRST.replace("maxLength: 40", "maxLength: 4"));
    let Decision::Blocked { pending, approvable, .. } =
        decide(&mut owner, &wanted, MONTH, &Approval::default()).await
    else {
        panic!("4001 titles are longer");
    };
    assert!(!approvable);
    let reasons: Vec<&str> = pending.iter().filter_map(|step| step.reason.as_deref()).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("4001 records ")), "{reasons:?}");
    write(&owner, &format!("update {TABLE} set title = left(title, 4)")).await;
    let decision = evolve(&database, &wanted, Approval::default()).await.unwrap();
    assert!(matches!(decision, Decision::Apply(_)), "{decision:#?}");
    assert!(plan(&owner, &wanted).await.is_empty());
}

//! Row filters attacked as SQL: whatever the statement, Postgres shows and takes only what the roles may see and write.

use tokio_postgres::Client;
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

use crate::actor::{self, code};

const DOMAIN: &str = "any__filters__test";
const TABLE: &str = "any__filters__test.deal_v1";

const DEAL: &str = r#"
org: any
app: filters
domain: test
object: deal
version: v1
fields:
  - {name: id, type: string}
  - {name: region, type: string, filterable: true}
  - {name: team, type: string, filterable: true}
  - {name: secret, type: boolean, default: false}
access:
  roles:
    create: [seller, importer]
    read: [auditor, region-reader, team-reader]
    update: [seller]
    delete: [seller]
    restore: [seller]
    history: [auditor]
  rowFilter:
    - {role: "*", condition: "record.secret == false || actor.attributes.cleared == 'yes'"}
    - {role: region-reader, condition: "record.region == actor.attributes.region"}
    - {role: team-reader, condition: "record.team == actor.attributes.team"}
    - {role: seller, condition: "record.region == actor.attributes.region"}
"#;

async fn world() -> (TestDatabase, Client) {
    let database = TestDatabase::create_from(&PLATFORM).await;
    provision(&database, &schema(DEAL)).await;
    let owner = database.owner().await;
    let sql = format!(
        "begin; set local velocity.actor = 'me'; insert into {TABLE} (id, region, team, secret) values
           ('1', 'west', 'red', false), ('2', 'east', 'red', false), ('3', 'west', 'blue', false),
           ('4', 'west', 'red', true), ('5', null, null, false), ('6', 'east', 'blue', null); commit"
    );
    owner.batch_execute(&sql).await.unwrap();
    let api = database.client("velocity_api").await;
    (database, api)
}

async fn seen(api: &Client, roles: &str, attributes: &str) -> String {
    let sql = format!("select string_agg(id, ' ' order by id) from {TABLE}");
    let rows = actor::run(api, DOMAIN, roles, attributes, &sql).await.unwrap();
    rows[0].get::<_, Option<String>>(0).unwrap_or_default()
}

async fn outcome(api: &Client, roles: &str, attributes: &str, sql: &str) -> String {
    let sql = sql.replace("deal", TABLE);
    code(actor::run(api, DOMAIN, roles, attributes, &sql).await)
}

#[tokio::test]
async fn filters_of_several_roles_are_joined_by_or_and_those_of_everyone_by_and() {
    let (_database, api) = world().await;
    assert_eq!(seen(&api, "auditor", "{}").await, "1 2 3 5", "unknown is not false: 6 is hidden");
    assert_eq!(seen(&api, "auditor", r#"{"cleared":"yes"}"#).await, "1 2 3 4 5 6");
    assert_eq!(seen(&api, "region-reader", r#"{"region":"west"}"#).await, "1 3");
    assert_eq!(seen(&api, "team-reader", r#"{"team":"red"}"#).await, "1 2");
    let both = r#"{"region":"west","team":"red"}"#;
    assert_eq!(seen(&api, "region-reader,team-reader", both).await, "1 2 3");
    assert_eq!(
        seen(&api, "region-reader,auditor", both).await,
        "1 2 3 5",
        "a role without a filter sees all"
    );
    assert_eq!(seen(&api, "region-reader,team-reader", r#"{"team":"red"}"#).await, "1 2");
    assert_eq!(seen(&api, "importer", "{}").await, "1 2 3 5", "who may create reads what the write returns");
    assert_eq!(seen(&api, "platform-admin", "{}").await, "1 2 3 4 5 6");
}

#[tokio::test]
async fn roles_and_attributes_that_try_to_be_something_else_see_nothing_more() {
    let (_database, api) = world().await;
    for roles in [
        "*",
        "region-reader ",
        " region-reader",
        "AUDITOR",
        "{auditor}",
        "auditor\n",
        "'",
        "\"auditor\"",
        ",,",
        "platform-admin\u{200b}",
    ] {
        assert_eq!(seen(&api, roles, r#"{"region":"west"}"#).await, "", "{roles:?}");
    }
    for attributes in [
        r#"{"region":"' or true --"}"#,
        r#"{"region":["west"]}"#,
        r#"{"region":true}"#,
        r#"{"region":{"a":"west"}}"#,
        "{}",
    ] {
        assert_eq!(seen(&api, "region-reader", attributes).await, "", "{attributes}");
    }
}

#[tokio::test]
async fn an_insert_outside_the_filter_is_refused() {
    let (_database, api) = world().await;
    let west = r#"{"region":"west"}"#;
    let insert = |values: &str| format!("insert into deal (id, region, secret) values {values}");
    assert_eq!(outcome(&api, "seller", west, &insert("('7', 'west', false)")).await, "no error");
    for values in [
        "('8', 'east', false)",
        "('8', null, false)",
        "('8', 'west', true)",
        "('8', 'west', null)",
        "('8', 'west', false), ('9', 'east', false)",
    ] {
        assert_eq!(outcome(&api, "seller", west, &insert(values)).await, "42501", "{values}");
    }
    for roles in ["auditor", "region-reader", ""] {
        assert_eq!(outcome(&api, roles, west, &insert("('8', 'west', false)")).await, "42501", "{roles}");
    }
    assert_eq!(seen(&api, "platform-admin", "{}").await, "1 2 3 4 5 6 7");
}

#[tokio::test]
async fn an_update_moves_no_row_out_of_the_filter_and_reaches_none_outside() {
    let (database, api) = world().await;
    let west = r#"{"region":"west"}"#;
    for set in ["region = 'east'", "region = null", "secret = true", "secret = null"] {
        let sql = format!("update deal set {set} where id = '1'");
        assert_eq!(outcome(&api, "seller", west, &sql).await, "42501", "{set}");
    }
    // Rows outside are not there, whatever the statement says about them.
    for sql in [
        "update deal set team = 'mine' where id in ('2', '4', '5', '6')",
        "update deal set region = 'west', team = 'mine' where region is distinct from 'west'",
        "update deal set deleted_at = now() where id = '2'",
        "with x as (update deal set team = 'mine' where id = '2' returning 1) select count(*) from x",
    ] {
        assert_eq!(outcome(&api, "seller", west, sql).await, "no error", "{sql}");
    }
    let owner = database.owner().await;
    let changed: i64 = owner
        .query_one(&format!("select count(*) from {TABLE} where version > 1 or team = 'mine'"), &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(changed, 0);
    assert_eq!(outcome(&api, "seller", west, "update deal set team = 'mine'").await, "no error");
    let rows =
        owner.query(&format!("select id from {TABLE} where team = 'mine' order by id"), &[]).await.unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, ["1", "3"]);
    assert_eq!(outcome(&api, "auditor", "{}", "update deal set team = 'x' where id = '1'").await, "no error");
    assert_eq!(outcome(&api, "seller", west, "delete from deal").await, "42501");
}

#[tokio::test]
async fn a_hidden_row_is_not_told_by_errors_functions_or_plans() {
    let (_database, api) = world().await;
    let west = r#"{"region":"west"}"#;
    // A function in the condition runs after the filter: it never sees a value that is hidden.
    let probe =
        "select id from deal where case when region = 'east' then 1 / (length(id) - 1) = 0 else true end";
    assert_eq!(outcome(&api, "region-reader", west, probe).await, "no error");
    let cast = "select id from deal where team = 'red' and (id || 'x')::int > 0";
    assert_eq!(outcome(&api, "stranger", west, cast).await, "no error");
    assert_eq!(outcome(&api, "region-reader", west, "select pg_relation_size('deal'), (select count(*) from pg_stats where tablename = 'deal_v1' and most_common_vals is not null)").await, "no error");
}

const LOG: &str = r#"
org: any
app: filters
domain: test
object: log
version: v1
fields:
  - {name: id, type: string}
  - {name: record_id, type: string}
  - {name: actor, type: string}
  - {name: "n", type: string}
  - {name: region, type: string}
  - {name: parent, type: string, ref: {object: log, version: v1}}
access:
  roles: {create: [writer], read: [reader], update: [writer], delete: [writer], history: [reader]}
  rowFilter:
    - {role: reader, condition: "record.region == actor.attributes.region"}
"#;

#[tokio::test]
async fn fields_that_are_named_like_the_platforms_own_columns_open_no_history() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    provision(&database, &schema(LOG)).await;
    let api = database.client("velocity_api").await;
    let insert = "insert into any__filters__test.log_v1 (id, record_id, actor, n, region) values
        ('a', 'a', 'someone else', 'x', 'west'), ('b', 'a', 'ravi', 'x', 'east')";
    actor::run(&api, DOMAIN, "writer", "{}", insert).await.unwrap();
    let history =
        "select record_id, actor, state ->> 'n', state ->> 'actor' from any__filters__test.log_v1_history";
    let rows = actor::run(&api, DOMAIN, "reader", r#"{"region":"west"}"#, history).await.unwrap();
    assert_eq!(rows.len(), 1, "the history of the one record that is seen");
    let texts: Vec<&str> = (0..4).map(|column| rows[0].get(column)).collect();
    assert_eq!(texts, ["a", "ravi", "x", "someone else"], "the event has the actor and the whole state");
    assert!(actor::run(&api, DOMAIN, "reader", r#"{"region":"north"}"#, history).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_record_that_points_to_itself_can_be_deleted_and_one_that_others_point_to_cannot() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    provision(&database, &schema(LOG)).await;
    let api = database.client("velocity_api").await;
    let insert =
        "insert into any__filters__test.log_v1 (id, parent) values ('root', 'root'), ('leaf', 'root')";
    actor::run(&api, DOMAIN, "writer", "{}", insert).await.unwrap();
    let delete =
        |id: &str| format!("update any__filters__test.log_v1 set deleted_at = now() where id = '{id}'");
    assert_eq!(code(actor::run(&api, DOMAIN, "writer", "{}", &delete("root")).await), "VL003");
    assert_eq!(code(actor::run(&api, DOMAIN, "writer", "{}", &delete("leaf")).await), "no error");
    assert_eq!(code(actor::run(&api, DOMAIN, "writer", "{}", &delete("root")).await), "no error");
}

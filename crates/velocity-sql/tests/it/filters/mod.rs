//! CEL and SQL give the same answer: random filters over random records, and row filters as real policies.

mod conditions;
mod random;

use tokio_postgres::{Client, SimpleQueryMessage};
use velocity_schema::cel::{ActorView, Filter, compile_filter};
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_schema::{Field, Schema, Value};
use velocity_sql::condition::to_sql;
use velocity_sql::sql_type::column_type;
use velocity_sql::{Fragment, Ident, SqlType};
use velocity_testkit::TestDatabase;

use random::{Generator, Random};

const RECORDS: usize = 120;
/// Filters of one round trip. With 120 records that is 7,200 cases.
const BATCH: usize = 60;
const BATCHES: u64 = 40;

fn fields() -> Vec<Field> {
    let spec = serde_json::json!({
        "org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
        "fields": [
            {"name": "region", "type": "string"},
            {"name": "note", "type": "string"},
            {"name": "status", "type": "enum", "enum": ["draft", "approved", "shipped"]},
            {"name": "amount", "type": "number"},
            {"name": "rate", "type": "number", "precision": 30, "scale": 10},
            {"name": "quantity", "type": "integer"},
            {"name": "stock", "type": "integer"},
            {"name": "active", "type": "boolean"},
            {"name": "due", "type": "timestamp"},
            {"name": "sent", "type": "timestamp"},
            {"name": "day", "type": "date"},
            {"name": "opens", "type": "time"},
            {"name": "doc", "type": "json"},
            {"name": "owner", "type": "uuid"},
            {"name": "digest", "type": "bytes"},
            {"name": "tags", "type": "array", "items": "string"},
            {"name": "sizes", "type": "array", "items": "integer"},
            {"name": "prices", "type": "array", "items": "number"},
            {"name": "moments", "type": "array", "items": "timestamp"},
        ],
    });
    let spec = SchemaDefinitionSpec::from_json(&spec).unwrap();
    Schema::parse(&spec).unwrap().fields().to_vec()
}

/// An actor as the settings have it.
struct Actor {
    id: &'static str,
    kind: &'static str,
    roles: &'static [&'static str],
    attributes: &'static str,
}

const ACTORS: [Actor; 4] = [
    Actor {
        id: "ada",
        kind: "user",
        roles: &["admin", "reader"],
        attributes: r#"{"region":"EU","limit":10.50,"flag":true,"list":["EU","a",7,null,10.5,"é"],"owner":"0190C8A5-7b1e-7c3a-9f00-1a2b3c4d5e6f"}"#,
    },
    Actor {
        id: "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f",
        kind: "apiKey",
        roles: &[],
        attributes: r#"{"region":5,"limit":"x","flag":null,"list":"EU","owner":"nobody"}"#,
    },
    Actor { id: "it's", kind: "system", roles: &["EU"], attributes: "{}" },
    // A transaction without an identity.
    Actor { id: "", kind: "", roles: &[], attributes: "" },
];

async fn act_as(client: &Client, actor: &Actor) {
    let sql = "select set_config('velocity.actor', $1, true), set_config('velocity.actor_type', $2, true), \
               set_config('velocity.roles', $3, true), set_config('velocity.attributes', $4, true)";
    client.execute(sql, &[&actor.id, &actor.kind, &actor.roles.join(","), &actor.attributes]).await.unwrap();
}

fn literal(field: &Field, value: &Value) -> String {
    Fragment::bind(SqlType::of(&field.kind), value.clone()).inline()
}

async fn table(client: &Client, fields: &[Field], records: &[Vec<Value>]) {
    // An order of texts that is not the code points', so that the filters have to bring theirs along.
    let other_order = "select exists (select from pg_collation where collname = 'und-x-icu')";
    let has_icu: bool = client.query_one(other_order, &[]).await.unwrap().get(0);
    let column = |field: &Field| {
        let is_text = matches!(SqlType::of(&field.kind), SqlType::Text | SqlType::TextArray);
        let collation = if is_text && has_icu { " collate \"und-x-icu\"" } else { "" };
        format!("{} {}{collation}", Ident::from(&field.name), column_type(&field.kind))
    };
    let columns: Vec<String> = fields.iter().map(column).collect();
    client.batch_execute(&format!("create table t (n int, {})", columns.join(", "))).await.unwrap();
    let rows: Vec<String> = records
        .iter()
        .enumerate()
        .map(|(n, record)| {
            let values: Vec<String> = fields.iter().zip(record).map(|(f, v)| literal(f, v)).collect();
            format!("({n}, {})", values.join(", "))
        })
        .collect();
    client.batch_execute(&format!("insert into t values {}", rows.join(", "))).await.unwrap();
}

fn sql_of(filter: &Filter) -> String {
    to_sql(filter, &|name| Fragment::ident(&Ident::from(name))).inline()
}

fn filters(generator: &mut Generator, fields: &[Field], count: usize, with_actor: bool) -> Vec<Filter> {
    let mut made = Vec::new();
    let mut refused = 0;
    while made.len() < count {
        match compile_filter(&generator.boolean(4), fields, with_actor) {
            Ok(filter) => made.push(filter),
            Err(_) => refused += 1,
        }
        assert!(refused < count * 4 + 20, "the generator makes too much that does not compile");
    }
    made
}

/// Postgres' answers to the filters, record by record; `None` is null.
async fn answers(client: &Client, filters: &[Filter]) -> Vec<Vec<Option<bool>>> {
    let columns: Vec<String> = filters.iter().map(sql_of).collect();
    let sql = format!("select {} from t order by n", columns.join(", "));
    let messages = match client.simple_query(&sql).await {
        Ok(messages) => messages,
        Err(error) => {
            // One of them fails; which one?
            for filter in filters {
                client.batch_execute("rollback; begin").await.unwrap();
                let one = format!("select {} from t", sql_of(filter));
                if let Err(error) = client.simple_query(&one).await {
                    panic!("{}\n{}\n{:?}", filter.source(), sql_of(filter), error.as_db_error());
                }
            }
            panic!("{error:?}");
        }
    };
    let row = |row: &tokio_postgres::SimpleQueryRow| {
        (0..filters.len()).map(|at| row.get(at).map(|text| text == "t")).collect()
    };
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(found) => Some(row(found)),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn cel_and_sql_agree_on_random_filters_and_records() {
    let database = TestDatabase::create().await;
    let client = database.owner().await;
    let fields = fields();
    let mut random = Random::new(0x5eed);
    let records: Vec<Vec<Value>> = (0..RECORDS)
        .map(|_| fields.iter().map(|field| random::value(&mut random, &field.kind)).collect())
        .collect();
    table(&client, &fields, &records).await;

    let (mut cases, mut unknown, mut truths) = (0_u64, 0_u64, 0_u64);
    for batch in 0..BATCHES {
        let actor = &ACTORS[usize::try_from(batch).unwrap() % ACTORS.len()];
        let roles: Vec<String> = actor.roles.iter().map(|role| (*role).to_owned()).collect();
        let view =
            ActorView { id: actor.id, actor_type: actor.kind, roles: &roles, attributes: actor.attributes };
        let filters = filters(&mut Generator::new(batch), &fields, BATCH, true);

        client.batch_execute("begin").await.unwrap();
        act_as(&client, actor).await;
        let answers = answers(&client, &filters).await;
        client.batch_execute("rollback").await.unwrap();

        assert_eq!(answers.len(), RECORDS);
        for (record, row) in records.iter().zip(&answers) {
            for (filter, answer) in filters.iter().zip(row) {
                let truth = filter.truth(record, Some(view)).unwrap();
                assert_eq!(
                    truth,
                    *answer,
                    "CEL (left) and SQL (right)\n{}\n{}\nactor {}\n{:?}",
                    filter.source(),
                    sql_of(filter),
                    actor.id,
                    named(&fields, record, filter.source()),
                );
                cases += 1;
                unknown += u64::from(truth.is_none());
                truths += u64::from(truth == Some(true));
            }
        }
    }
    // The agreement would mean little if all answers were the same.
    assert!(cases > 250_000, "{cases}");
    for some in [unknown, truths, cases - unknown - truths] {
        assert!(some > cases / 10, "{unknown} unknown and {truths} true of {cases}");
    }
}

/// The fields that the filter names, for a message.
fn named<'a>(fields: &'a [Field], record: &'a [Value], source: &str) -> Vec<(&'a str, &'a Value)> {
    fields
        .iter()
        .zip(record)
        .map(|(field, value)| (field.name.as_str(), value))
        .filter(|(name, _)| source.contains(&format!("record.{name}")))
        .collect()
}

#[tokio::test]
async fn a_filter_without_an_actor_can_be_the_predicate_of_an_index() {
    let database = TestDatabase::create().await;
    let client = database.owner().await;
    let fields = fields();
    table(&client, &fields, &[vec![Value::Null; fields.len()]]).await;
    for filter in filters(&mut Generator::without_actor(7), &fields, 150, false) {
        assert!(!filter.uses_actor());
        let sql = format!("begin; create index on t (n) where {}; rollback", sql_of(&filter));
        if let Err(error) = client.batch_execute(&sql).await {
            panic!("{}\n{}\n{:?}", filter.source(), sql_of(&filter), error.as_db_error());
        }
    }
}

#[tokio::test]
async fn binds_and_literals_give_the_same_rows() {
    let database = TestDatabase::create().await;
    let client = database.owner().await;
    let fields = fields();
    let mut random = Random::new(11);
    let records: Vec<Vec<Value>> = (0..40)
        .map(|_| fields.iter().map(|field| random::value(&mut random, &field.kind)).collect())
        .collect();
    table(&client, &fields, &records).await;
    for filter in filters(&mut Generator::new(99), &fields, 100, true) {
        let rendered = to_sql(&filter, &|name| Fragment::ident(&Ident::from(name))).render();
        let types: Vec<_> = rendered
            .binds
            .iter()
            .map(|bind| tokio_postgres::types::Type::from_oid(bind.sql_type.oid()).unwrap())
            .collect();
        let sql = format!("select n from t where {}", rendered.sql);
        // Postgres takes every bind with its declared type; nothing is left to be inferred.
        let statement = client.prepare_typed(&sql, &types).await;
        assert!(statement.is_ok(), "{}\n{sql}\n{statement:?}", filter.source());
        assert_eq!(statement.unwrap().params(), types, "{}", filter.source());
    }
}

#[tokio::test]
async fn a_row_filter_as_a_policy_shows_what_cel_lets_through_and_nothing_to_nobody() {
    let database = TestDatabase::create().await;
    let owner = database.owner().await;
    let fields = fields();
    let mut random = Random::new(3);
    let records: Vec<Vec<Value>> = (0..60)
        .map(|_| fields.iter().map(|field| random::value(&mut random, &field.kind)).collect())
        .collect();
    table(&owner, &fields, &records).await;
    owner
        .batch_execute("alter table t enable row level security; grant select on t to velocity_api; create index on t (region)")
        .await
        .unwrap();
    let api = database.client("velocity_api").await;
    for source in [
        "record.region == actor.attributes.region",
        "record.region in actor.attributes.list",
        "record.owner == actor.id || 'admin' in actor.roles",
        "!('admin' in actor.roles)",
        "record.status != 'draft' && actor.type == 'user'",
        "record.amount <= actor.attributes.limit",
        "actor.attributes.region != record.region",
    ] {
        let filter = compile_filter(source, &fields, true).unwrap();
        let policy =
            format!("drop policy if exists p on t; create policy p on t using ({})", sql_of(&filter));
        owner.batch_execute(&policy).await.unwrap();
        for actor in &ACTORS {
            let roles: Vec<String> = actor.roles.iter().map(|role| (*role).to_owned()).collect();
            let view = ActorView {
                id: actor.id,
                actor_type: actor.kind,
                roles: &roles,
                attributes: actor.attributes,
            };
            let expected: Vec<i32> = records
                .iter()
                .zip(0..)
                .filter(|(record, _)| filter.evaluate(record, Some(view)).unwrap())
                .map(|(_, n)| n)
                .collect();
            api.batch_execute("begin").await.unwrap();
            act_as(&api, actor).await;
            let rows = api.query("select n from t order by n", &[]).await.unwrap();
            api.batch_execute("rollback").await.unwrap();
            let seen: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(seen, expected, "{source} as {}", actor.id);
            if actor.id.is_empty() {
                assert!(seen.is_empty(), "{source}");
            }
        }
        // After the first transaction the settings are empty, not null; before it they are not there at all.
        assert!(api.query("select n from t", &[]).await.unwrap().is_empty(), "{source}");
        let fresh = database.client("velocity_api").await;
        assert!(fresh.query("select n from t", &[]).await.unwrap().is_empty(), "{source}");
    }
}

#[tokio::test]
async fn what_asks_about_the_actor_is_evaluated_once_and_uses_an_index() {
    let database = TestDatabase::create().await;
    let owner = database.owner().await;
    let fields = fields();
    table(&owner, &fields, &[vec![Value::Null; fields.len()]]).await;
    let filter = compile_filter("record.region == actor.attributes.region", &fields, true).unwrap();
    owner
        .batch_execute(&format!(
            "create index by_region on t (region); alter table t enable row level security; \
             grant select on t to velocity_api; create policy p on t using ({})",
            sql_of(&filter)
        ))
        .await
        .unwrap();
    let api = database.client("velocity_api").await;
    api.batch_execute("set enable_seqscan = off; set enable_bitmapscan = off").await.unwrap();
    let plan: Vec<String> = api
        .query("explain (costs off) select n from t", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get::<_, String>(0))
        .collect();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Scan using by_region") && plan.contains("InitPlan"), "{plan}");
    assert!(plan.contains("Index Cond"), "{plan}");
}

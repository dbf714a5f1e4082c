//! Conditions on requests (`access.abac`): the API and Postgres give the same answer, so that a record that a list leaves
//! out is one that a read by id refuses.

use velocity_schema::Value;
use velocity_schema::cel::{ActorView, Condition, RequestView, compile_condition};
use velocity_sql::condition::condition_to_sql;
use velocity_sql::{Fragment, Ident};
use velocity_testkit::TestDatabase;

use super::random::{self, Generator, Random};
use super::{ACTORS, act_as, fields, table};

/// What a condition may ask of the request, beside the record and the actor.
const ABOUT_REQUESTS: [&str; 10] = [
    "request.time > record.due",
    "request.time - record.due < duration('26280h')",
    "request.time.getHours() >= 8",
    "request.operation == 'read'",
    "request.operation in ['export', 'history']",
    "request.ip == actor.attributes.region",
    "request.ip != '192.0.2.7'",
    "request.ip.startsWith('192.') && record.region != 'EU'",
    "has(request.ip)",
    "[request.ip, request.operation] == [record.region, 'read']",
];

const REQUESTS: [RequestView<'static>; 2] = [
    RequestView { time: 1_779_177_600_250_001, operation: "read", ip: Some("192.0.2.7") },
    RequestView { time: -3_600_000_000, operation: "export", ip: None },
];

/// Conditions on a record and a request, of random parts.
fn conditions() -> Vec<Condition> {
    let fields = fields();
    let mut generator = Generator::new(0xabac);
    let mut made = Vec::new();
    for round in 0.. {
        let about = ABOUT_REQUESTS[round % ABOUT_REQUESTS.len()];
        let part = generator.boolean(2);
        let source = match round % 4 {
            0 => format!("({part}) || {about}"),
            1 => format!("!({about}) || ({part})"),
            2 => format!("({about}) == ({part})"),
            _ => format!("({part}) ? ({about}) : record.active"),
        };
        let made_here = compile_condition(&source, &fields, true).ok();
        made.extend(made_here.filter(|condition| condition.is_in_sql() && condition.uses_request()));
        if made.len() == 120 {
            break;
        }
        assert!(round < 2_000, "too much does not compile: {}", made.len());
    }
    made
}

#[tokio::test]
async fn conditions_let_through_in_lists_what_they_let_through_one_by_one() {
    let database = TestDatabase::create().await;
    let client = database.owner().await;
    let fields = fields();
    let mut random = Random::new(0xabac);
    let records: Vec<Vec<Value>> = (0..40)
        .map(|_| fields.iter().map(|field| random::value(&mut random, &field.kind)).collect())
        .collect();
    table(&client, &fields, &records).await;
    let (mut cases, mut allowed) = (0, 0);
    for (actor, request) in ACTORS[..3].iter().flat_map(|actor| REQUESTS.map(|request| (actor, request))) {
        let roles: Vec<String> = actor.roles.iter().map(|role| (*role).to_owned()).collect();
        let view =
            ActorView { id: actor.id, actor_type: actor.kind, roles: &roles, attributes: actor.attributes };
        client.batch_execute("begin").await.unwrap();
        act_as(&client, actor).await;
        for condition in conditions() {
            let columns = |name: &velocity_schema::FieldName| Fragment::ident(&Ident::from(name));
            let sql = condition_to_sql(&condition, &columns, view, request).inline();
            let rows = client.query(&format!("select n from t where {sql} order by n"), &[]).await;
            let rows = rows.unwrap_or_else(|error| panic!("{}\n{sql}\n{error:?}", condition.source()));
            let seen: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
            let one_by_one: Vec<i32> = records
                .iter()
                .zip(0..)
                .filter(|(record, _)| condition.evaluate(Some(record), view, request).unwrap())
                .map(|(_, n)| n)
                .collect();
            assert_eq!(one_by_one, seen, "{}\n{sql}\nactor {}", condition.source(), actor.id);
            cases += records.len();
            allowed += seen.len();
        }
        client.batch_execute("rollback").await.unwrap();
    }
    assert!(allowed > cases / 10 && allowed < cases * 9 / 10, "{allowed} of {cases}: the answers say little");
}

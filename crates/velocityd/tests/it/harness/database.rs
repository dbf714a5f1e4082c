//! A look into the database behind everything's back.

use tokio_postgres::{Client, NoTls};

use super::server::Server;

impl Server {
    /// A client that is logged in as the owner.
    pub(crate) async fn sql(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.endpoints().postgres, NoTls).await.unwrap();
        // Its errors reach whoever uses the client.
        tokio::spawn(async move { drop(connection.await) });
        client
    }
}

/// A single number.
pub(crate) async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Checks that every record of a table has as many events as its version says, each chained to the one before, and that
/// its head is the last one's hash. How many records and events there are.
pub(crate) async fn untampered(client: &Client, table: &str) -> (i64, i64) {
    untampered_in(client, table, &format!("{table}_history")).await
}

/// The same where the name of the event table is another one, as it is when names are cut.
pub(crate) async fn untampered_in(client: &Client, table: &str, history: &str) -> (i64, i64) {
    let (found, records, events) = tampering(client, table, history).await;
    assert_eq!(
        found,
        (0, 0),
        "{table}: events that are forged, cut off or doubled; records that their events do not tell"
    );
    (records, events)
}

/// How many events do not fit and how many records do not, and how many there are of both; all of it as of one moment,
/// since somebody may be writing.
pub(crate) async fn tampering(client: &Client, table: &str, history: &str) -> ((i64, i64), i64, i64) {
    let sql = format!(
        "select
           (select count(*) from (
              select hash = platform.event_hash('{table}', prev_hash, record_id, version, occurred_at, operation, actor,
                  actor_type, strategy, request_id, trace_id, reason, changed, state::text) as genuine,
                prev_hash is not distinct from lag(hash) over (partition by record_id order by version) as chained,
                version = row_number() over (partition by record_id order by version) as counted
              from {history}) event
            where (genuine and chained and counted) is not true),
           (select count(*) from {table} record
            full join (select distinct on (record_id) record_id, version, hash from {history}
                       order by record_id, version desc) event on event.record_id = record.id::text
            where (event.version = record.version and event.hash = record._head_hash) is not true),
           (select count(*) from {table}),
           (select count(*) from {history})"
    );
    let row = client.query_one(&sql, &[]).await.unwrap();
    ((row.get(0), row.get(1)), row.get(2), row.get(3))
}

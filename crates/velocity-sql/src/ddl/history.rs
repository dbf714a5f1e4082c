//! The event table of a schema, partitioned by month.

use crate::frag;
use crate::fragment::Fragment;
use crate::ident::{Ident, quote_literal};
use crate::names::TableNames;

/// The columns of an event table, with their types as the catalog shows them, and whether they are never null.
pub(super) const COLUMNS: [(&str, &str, bool); 16] = [
    ("seq", "bigint", true),
    ("xid", "xid8", true),
    ("occurred_at", "timestamp with time zone", true),
    ("record_id", "text", true),
    ("version", "bigint", true),
    ("operation", "text", true),
    ("actor", "text", true),
    ("actor_type", "text", false),
    ("strategy", "text", false),
    ("request_id", "text", false),
    ("trace_id", "text", false),
    ("reason", "text", false),
    ("changed", "text[]", false),
    ("state", "jsonb", false),
    ("prev_hash", "bytea", false),
    ("hash", "bytea", true),
];

/// The indexes of an event table, with the statements that make them.
pub(super) fn indexes(names: &TableNames) -> [(Ident, String); 2] {
    let make = |suffix: &str, columns: &'static str| {
        let name = Ident::fitted(&format!("{}_{suffix}", names.history.as_str()));
        let sql = frag!["create index if not exists ", &name, " on ", names.history_sql(), columns].inline();
        (name, sql)
    };
    [make("record", " (record_id, version desc)"), make("order", " (seq)")]
}

/// The event table, its sequence, its indexes and its default partition. Columns as the ledger's design has them.
pub(super) fn create_history(names: &TableNames) -> String {
    let table = || names.history_sql();
    let sequence = Fragment::column(&names.schema, &names.sequence).inline();
    let default_partition = Fragment::column(&names.schema, &default_partition(names));
    let [(_, by_record), (_, by_seq)] = indexes(names);
    let columns = format!(
        " (
  seq bigint not null default nextval({}::regclass),
  xid xid8 not null default pg_current_xact_id(),
  occurred_at timestamp with time zone not null,
  record_id text collate \"C\" not null,
  version bigint not null,
  operation text not null,
  actor text not null,
  actor_type text,
  strategy text,
  request_id text,
  trace_id text,
  reason text,
  changed text[],
  state jsonb,
  prev_hash bytea,
  hash bytea not null
) partition by range (occurred_at);
",
        quote_literal(&sequence)
    );
    frag![
        "create sequence if not exists ",
        Fragment::column(&names.schema, &names.sequence),
        ";\ncreate table ",
        table()
    ]
    .inline()
        + &columns
        + &frag!["create table ", default_partition, " partition of ", table(), " default;\n",].inline()
        + &format!("{by_record};\n{by_seq};\n")
        + &frag![
            "alter sequence ",
            Fragment::column(&names.schema, &names.sequence),
            " owned by ",
            table(),
            ".seq",
        ]
        .inline()
}

/// A month's partition: its name and the statement that makes it. Months are of UTC.
pub fn partition_for(names: &TableNames, year: i32, month: u32) -> (Ident, String) {
    let name = Ident::fitted(&format!("{}_{year:04}_{month:02}", names.history.as_str()));
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let sql = frag![
        "create table if not exists ",
        Fragment::column(&names.schema, &name),
        " partition of ",
        names.history_sql(),
    ]
    .inline()
        + &format!(
            " for values from ('{year:04}-{month:02}-01 00:00:00+00') to ('{next_year:04}-{next_month:02}-01 00:00:00+00')"
        );
    (name, sql)
}

/// The months whose partitions a table needs in a month: it and the two after it, so that an operator that is down for a
/// month delays nothing.
pub(super) fn months_from((year, month): (i32, u32)) -> [(i32, u32); 3] {
    [0, 1, 2].map(|ahead| {
        let index = month.saturating_sub(1) + ahead;
        (year + i32::from(index >= 12), index % 12 + 1)
    })
}

/// The partition of a history that takes what no month's partition does.
pub fn default_partition(names: &TableNames) -> Ident {
    Ident::fitted(&format!("{}_default", names.history.as_str()))
}

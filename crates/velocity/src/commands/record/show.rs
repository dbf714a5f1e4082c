//! Records as people read them.

use crate::failure::{Failure, Outcome};
use crate::output::format::Format;
use crate::output::json::Json;
use crate::output::table::Table;
use crate::server::{Reply, Schema};
use crate::session::Session;

/// Fields that the platform keeps, which only `-o wide` shows in tables.
const KEPT_BY_PLATFORM: [&str; 4] = ["created_at", "created_by", "updated_at", "updated_by"];

/// Says what became of a record, or shows it in the form that was asked for.
pub(super) fn written(session: &Session, schema: &Schema, reply: &Reply, what: &str) -> Outcome {
    let record = reply.data()?;
    if session.out.format.is_some() {
        return one(session, schema, &record);
    }
    let id = record.member("id").map(Json::cell).unwrap_or_default();
    let version = record.member("version").map(Json::cell).unwrap_or_default();
    session.out.said(&format!("{} {id} {what} (version {version})", schema.object()))
}

/// One record: field by field, unless another form was asked for.
pub(super) fn one(session: &Session, schema: &Schema, record: &Json) -> Outcome {
    match &session.out.format {
        Some(format) if format.is_structured() => session.out.value(record),
        Some(Format::Name) => session.out.line(&name(schema, record)),
        Some(_) => session.out.table(&table(session, std::slice::from_ref(record))),
        None => {
            let Json::Object(members) = record else { return Err(no_record()) };
            let mut table = Table::pairs();
            for (field, value) in members {
                table.row([field.clone(), value.cell()]);
            }
            session.out.table(&table)
        }
    }
}

/// `purchase-order/PO-1`.
pub(super) fn name(schema: &Schema, record: &Json) -> String {
    format!("{}/{}", schema.object(), record.member("id").map(Json::cell).unwrap_or_default())
}

/// Records under the names of their fields.
pub(super) fn table(session: &Session, records: &[Json]) -> Table {
    let Some(Json::Object(first)) = records.first() else { return Table::default() };
    let wide = session.out.is_wide();
    let shown: Vec<&str> = first
        .iter()
        .map(|(field, _)| field.as_str())
        .filter(|field| wide || !KEPT_BY_PLATFORM.contains(field))
        .collect();
    let mut table = Table::new(shown.iter().map(|field| field.to_uppercase()));
    for record in records {
        table.row(shown.iter().map(|field| record.member(field).map(Json::cell).unwrap_or_default()));
    }
    table
}

fn no_record() -> Failure {
    Failure::failed("the server's answer is no record")
}

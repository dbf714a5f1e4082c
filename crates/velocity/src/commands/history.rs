//! `velocity history`.

use velocity_contract::history::HistoryEvent;
use velocity_contract::page::Page;

use crate::failure::{Failure, Outcome};
use crate::output::json::Json;
use crate::output::table::Table;
use crate::server::{Request, Schema, segment};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schema of the record: org/app/domain/object/version, or just the object where that is unambiguous
    schema: String,
    /// Id of the record
    id: String,
    /// Show at most this many events
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "all")]
    limit: usize,
    /// Show all events
    #[arg(long)]
    all: bool,
}

/// The most events that a page has.
const PAGE_MAX: usize = 1000;

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let route = schema.route(&format!("{}/history", segment(&args.id)));
    let mut wanted = if args.all { usize::MAX } else { args.limit };
    let (mut cursor, mut events, mut raw) = (None::<String>, Vec::new(), Vec::new());
    while wanted > 0 {
        let mut request = Request::get(route.clone()).query("limit", wanted.min(PAGE_MAX).to_string());
        if let Some(cursor) = &cursor {
            request = request.query("cursor", cursor.clone());
        }
        let reply = server.send(&request).await?;
        let page: Page<HistoryEvent> = serde_json::from_slice(&reply.body)
            .map_err(|error| Failure::failed(format!("the events cannot be read: {error}")))?;
        if session.out.is_structured()
            && let Json::Array(items) = reply.data()?
        {
            raw.extend(items);
        }
        wanted = wanted.saturating_sub(page.data.len());
        cursor = page.pagination.next_cursor;
        let empty = page.data.is_empty();
        events.extend(page.data);
        if cursor.is_none() || empty {
            break;
        }
    }
    if session.out.is_structured() {
        return session.out.value(&Json::Array(raw));
    }
    show(session, &events)?;
    if cursor.is_some() && !args.all {
        session.out.note("there are more: --all shows them");
    }
    Ok(())
}

fn show(session: &Session, events: &[HistoryEvent]) -> Outcome {
    let wide = session.out.is_wide();
    let mut header = vec!["AT", "VERSION", "OPERATION", "ACTOR", "CHANGED", "REASON"];
    if wide {
        header.extend(["SEQ", "REQUEST", "HASH"]);
    }
    let mut table = Table::new(header);
    for event in events {
        let mut row = vec![
            event.at.clone(),
            event.version.to_string(),
            event.operation.clone(),
            event.actor.clone(),
            event.changed.join(","),
            event.reason.clone().unwrap_or_default(),
        ];
        if wide {
            row.extend([
                event.seq.to_string(),
                event.request_id.clone().unwrap_or_default(),
                event.hash.clone(),
            ]);
        }
        table.row(row);
    }
    session.out.table(&table)
}

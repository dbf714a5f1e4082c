//! `velocity version`.

use serde_json::json;
use velocity_contract::listing::ServerVersion;

use crate::failure::{Failure, Outcome};
use crate::output::table::Table;
use crate::server::Request;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask the server
    #[arg(long)]
    client: bool,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let client = env!("CARGO_PKG_VERSION");
    // A server that is not there is no reason to hide the version of what is.
    let server = if args.client || session.context().is_err() { None } else { Some(ask(session).await) };
    if session.out.is_structured() {
        let server = server
            .and_then(Result::ok)
            .map(|version| json!({ "name": version.name, "version": version.version }));
        return session
            .out
            .serialized(&json!({ "client": { "name": "velocity", "version": client }, "server": server }));
    }
    let mut table = Table::pairs();
    table.row(["client", &format!("velocity {client}")]);
    match server {
        None => {}
        Some(Ok(version)) => table.row(["server", &format!("{} {}", version.name, version.version)]),
        Some(Err(failure)) => table.row(["server", failure.message()]),
    }
    session.out.table(&table)
}

/// The server's version.
pub(super) async fn ask(session: &Session) -> Outcome<ServerVersion> {
    let reply = session.server()?.send(&Request::get("/version")).await?;
    serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::failed(format!("the server's version cannot be read: {error}")))
}

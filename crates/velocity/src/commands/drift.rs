//! `velocity drift`: what hands have changed in the database, and having it repaired.

mod fix;

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use velocity_access::parse_duration;
use velocity_contract::drift::SchemaDrift;
use velocity_contract::page::Data;

use crate::failure::{Failure, Outcome};
use crate::output::operations::{Detail, listed};
use crate::output::style::Color;
use crate::server::{Request, Schema, Server};
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 no drift, 1 drift was found; with --fix 0 when all of it is repaired, 1 when some waits for an approval.\n\
                  The operator repairs what is its own and safe by itself, within its regular looks or at `velocity reconcile`.\n\
                  What it did not make it leaves alone until --fix. The role platform-admin is needed."
)]
pub(crate) struct Args {
    /// Schema; without it all that are served
    schema: Option<String>,
    /// Have it repaired: what is missing comes back, what is foreign is removed
    #[arg(long)]
    fix: bool,
    /// Do not ask
    #[arg(short, long, requires = "fix")]
    yes: bool,
    /// How long to wait at most for a repair: 30s, 5m
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = timeout, requires = "fix")]
    timeout: Duration,
}

fn timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome<ExitCode> {
    let server = session.server()?;
    let path = match &args.schema {
        Some(text) => Some(Schema::resolve(server, text).await?.path.to_string()),
        None => None,
    };
    let all = look(server, path.as_deref()).await?;
    let checked = all.len();
    let drifted: Vec<SchemaDrift> = all.into_iter().filter(|drift| !drift.is_none()).collect();
    if session.out.is_structured() && !args.fix {
        session.out.serialized(&drifted)?;
    } else if !session.out.is_structured() {
        session.out.text(&page(session.out.color, &drifted))?;
    }
    if drifted.is_empty() {
        if !session.out.is_structured() {
            let plural = if checked == 1 { "schema is" } else { "schemas are" };
            session.out.said(&format!("{checked} {plural} in the database as declared"))?;
        } else if args.fix {
            session.out.serialized(&drifted)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.fix { fix::all(session, args, &drifted).await } else { Ok(ExitCode::FAILURE) }
}

/// What the server finds.
async fn look(server: &Server, path: Option<&str>) -> Outcome<Vec<SchemaDrift>> {
    let mut request = Request::get("/platform/drift");
    if let Some(path) = path {
        request = request.query("schema", path);
    }
    let reply = server.send(&request).await?;
    let body: Data<Vec<SchemaDrift>> = serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::failed(format!("the server's answer cannot be read: {error}")))?;
    Ok(body.data)
}

fn page(color: Color, drifted: &[SchemaDrift]) -> String {
    let mut page = String::new();
    for (position, drift) in drifted.iter().enumerate() {
        if position > 0 {
            page.push('\n');
        }
        let _ =
            writeln!(page, "{}  {}  {}", color.bold(&drift.path), drift.table, color.dim(&drift.plan_hash));
        if !drift.operations.is_empty() {
            page.push_str("  Missing or changed; this brings it back:\n");
            page.push_str(&listed(color, &drift.operations, "    ", Detail::Full));
        }
        if !drift.foreign.is_empty() {
            page.push_str("  Foreign; this removes it:\n");
            page.push_str(&listed(color, &drift.foreign, "    ", Detail::Full));
        }
    }
    page
}

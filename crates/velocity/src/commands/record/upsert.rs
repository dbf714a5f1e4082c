//! `velocity record upsert`.

use http::{Method, StatusCode};

use super::body::BodyArgs;
use super::{new_key, show};
use crate::failure::{Failure, Outcome};
use crate::output::json::Json;
use crate::server::{Request, Schema, segment};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schema of the record
    schema: String,
    /// Its id; without it the id in the fields
    id: Option<String>,
    #[command(flatten)]
    body: BodyArgs,
    /// Only if the record is at this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let body = args.body.read(server, &schema, args.id.as_deref()).await?;
    let id = match body.member("id") {
        Some(Json::Null) | None => {
            return Err(Failure::usage("an upsert needs to know which record is meant")
                .with_help("give its id after the schema, or --set id=…"));
        }
        Some(id) => id.cell(),
    };
    let request = Request::new(Method::PUT, schema.route(&segment(&id)))
        .header("idempotency-key", Some(new_key()))
        .header("if-match", args.if_version.map(|version| format!("\"{version}\"")))
        .header("x-reason", args.body.reason.clone())
        .json(body.to_string());
    let reply = server.send(&request).await?;
    let what = if reply.status == StatusCode::CREATED { "created" } else { "replaced" };
    show::written(session, &schema, &reply, what)
}

//! `velocity record update`.

use http::Method;

use super::body::BodyArgs;
use super::{new_key, show};
use crate::failure::Outcome;
use crate::server::{Request, Schema, segment};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schema of the record
    schema: String,
    /// Its id
    id: String,
    #[command(flatten)]
    body: BodyArgs,
    /// Only if the record is at this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let body = args.body.read(server, &schema, None).await?;
    let request = Request::new(Method::PATCH, schema.route(&segment(&args.id)))
        .header("idempotency-key", Some(new_key()))
        .header("if-match", args.if_version.map(|version| format!("\"{version}\"")))
        .header("x-reason", args.body.reason.clone())
        .body(body.to_string(), "application/merge-patch+json");
    show::written(session, &schema, &server.send(&request).await?, "updated")
}

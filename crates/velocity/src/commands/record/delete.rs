//! `velocity record delete`.

use http::Method;

use super::new_key;
use crate::failure::Outcome;
use crate::server::{Request, Schema, segment};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schema of the record
    schema: String,
    /// Its id
    id: String,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only if the record is at this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let request = Request::new(Method::DELETE, schema.route(&segment(&args.id)))
        .header("idempotency-key", Some(new_key()))
        .header("if-match", args.if_version.map(|version| format!("\"{version}\"")))
        .header("x-reason", args.reason.clone());
    server.send(&request).await?;
    session.out.said(&format!("{} {} deleted", schema.object(), args.id))
}

//! `velocity record undelete`.

use http::Method;

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
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let request = Request::new(Method::POST, schema.route(&format!("{}/undelete", segment(&args.id))))
        .header("idempotency-key", Some(new_key()))
        .header("x-reason", args.reason.clone());
    show::written(session, &schema, &server.send(&request).await?, "undeleted")
}

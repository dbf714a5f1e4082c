//! `velocity record create`.

use http::Method;

use super::body::BodyArgs;
use super::{new_key, show};
use crate::failure::Outcome;
use crate::server::{Request, Schema};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schema of the record
    schema: String,
    /// Its id, where the schema does not make ids
    id: Option<String>,
    #[command(flatten)]
    body: BodyArgs,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let body = args.body.read(server, &schema, args.id.as_deref()).await?;
    let request = Request::new(Method::POST, schema.endpoint())
        .header("idempotency-key", Some(new_key()))
        .header("x-reason", args.body.reason.clone())
        .json(body.to_string());
    show::written(session, &schema, &server.send(&request).await?, "created")
}

//! `velocity record get`.

use super::show;
use crate::failure::Outcome;
use crate::server::{Request, Schema, segment};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schema of the record
    schema: String,
    /// Its id
    id: String,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let reply = server.send(&Request::get(schema.route(&segment(&args.id)))).await?;
    show::one(session, &schema, &reply.data()?)
}

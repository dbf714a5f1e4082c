//! `velocity api-key revoke`.

use super::route;
use crate::failure::Outcome;
use crate::server::Request;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Id of the key, as `velocity api-key list` shows it
    id: String,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    session.server()?.send(&Request::new(http::Method::DELETE, route(&args.id))).await?;
    session.out.said(&format!("key {} revoked", args.id))
}

//! `velocity api-key rotate`.

use velocity_contract::administration::ApiKeyRotation;

use super::create::lifetime;
use super::{route, show};
use crate::commands::options;
use crate::failure::{Failure, Outcome};
use crate::server::Request;
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Both keys work until the overlap is over. The new key is printed this once; -o name prints it alone, for scripts."
)]
pub(crate) struct Args {
    /// Id of the key, as `velocity api-key list` shows it
    id: String,
    /// How long the old key goes on working: 0s ends it at once
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = overlap)]
    overlap: String,
    /// How long the new key is valid: 12h, 90d [default: as long as the old one was to be]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<String>,
}

fn overlap(text: &str) -> Result<String, String> {
    options::duration(text).map(|_| text.to_owned())
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let body = ApiKeyRotation { overlap: Some(args.overlap.clone()), expires_in: args.expires.clone() };
    let body = serde_json::to_string(&body)
        .map_err(|error| Failure::failed(format!("the request cannot be written: {error}")))?;
    let request = Request::new(http::Method::POST, format!("{}/rotate", route(&args.id))).json(body);
    let reply = session.server()?.send(&request).await?;
    show::made(session, &reply)
}

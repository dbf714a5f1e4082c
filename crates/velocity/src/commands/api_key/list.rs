//! `velocity api-key list`.

use velocity_contract::administration::{ApiKey, ApiKeyStatus};
use velocity_contract::page::Data;

use super::{KEYS, show};
use crate::failure::{Failure, Outcome};
use crate::output::format::Format;
use crate::output::json::Json;
use crate::server::Request;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those of this actor
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Also those that work no more
    #[arg(short, long)]
    all: bool,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let reply = session.server()?.send(&Request::get(KEYS)).await?;
    let body: Data<Vec<ApiKey>> = serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::failed(format!("the server's list of keys cannot be read: {error}")))?;
    let is_meant = |key: &ApiKey| {
        let works = matches!(key.status, ApiKeyStatus::Active | ApiKeyStatus::Rotated);
        (args.all || works) && args.actor.as_ref().is_none_or(|actor| *actor == key.actor)
    };
    if session.out.is_structured() {
        // As the server has them, members included that this program does not know.
        let whole = reply.data()?;
        let items = whole.as_array().unwrap_or_default();
        let meant = items.iter().zip(&body.data).filter(|(_, key)| is_meant(key));
        return session.out.value(&Json::Array(meant.map(|(item, _)| item.clone()).collect()));
    }
    let keys: Vec<ApiKey> = body.data.into_iter().filter(is_meant).collect();
    if session.out.format == Some(Format::Name) {
        return keys.iter().try_for_each(|key| session.out.line(&key.id));
    }
    if keys.is_empty() {
        session.out.note("there is no such key");
        return Ok(());
    }
    session.out.table(&show::table(session, &keys))
}

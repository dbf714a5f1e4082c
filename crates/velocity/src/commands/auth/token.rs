//! `velocity auth token`: a token signed by the key that `velocityd dev` keeps beside its config.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use velocity_access::{DevKey, parse_duration};

use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// The key's file, in the folder of the config.
const KEY_FILE: &str = "dev-key.pem";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who the token is for
    #[arg(long, value_name = "NAME")]
    actor: String,
    /// Roles that it carries, separated by commas
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Attributes that it carries; true, false and numbers keep their type
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, Value)>,
    /// How long it is good for: 30m, 1h, 7d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
    expires: Duration,
}

fn attribute(text: &str) -> Result<(String, Value), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write it as NAME=VALUE")?;
    // `region=west` is a text, `level=3` and `active=true` are what they look like, `teams=["a"]` is a list.
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

fn lifetime(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let config = session.config()?;
    let path = config.path.with_file_name(KEY_FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!("there is no development key: {} cannot be read ({error})", path.display()))
            .with_help("`velocityd dev` makes one beside its config; run this in the same folder, or name the config with --config DIR/config.yaml")
    })?;
    let key =
        DevKey::from_pem(&text).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let attributes: Map<String, Value> = args.attributes.iter().cloned().collect();
    let token = key
        .mint(&args.actor, &args.roles, &attributes, Timestamp::now(), args.expires)
        .map_err(|error| Failure::failed(error.to_string()))?;
    session.out.line(&token)
}

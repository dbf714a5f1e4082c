//! `velocity context add`.

use std::path::PathBuf;

use crate::config::{Context, Oidc};
use crate::failure::{Failure, Outcome};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name
    name: String,
    /// Base URL of the HTTP API, such as https://velocity.example.com
    #[arg(long, value_name = "URL")]
    server: String,
    /// Kubeconfig for resources [default: kubectl's]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    kube_context: Option<String>,
    /// Bearer token; other users of this machine may see it in the process list: prefer --token-file
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with = "token_file",
        env = "VELOCITY_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// File that holds the bearer token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File that holds an API key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token", "token_file", "oidc_issuer"])]
    api_key_file: Option<PathBuf>,
    /// Issuer of the OpenID Connect provider to sign in at
    #[arg(long, value_name = "URL", requires = "oidc_client_id", conflicts_with = "token")]
    oidc_issuer: Option<String>,
    /// Client id at the provider
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,
    /// Make it the current context
    #[arg(long = "use")]
    select: bool,
}

pub(super) fn run(session: &Session, args: Args) -> Outcome {
    let url: reqwest::Url = args.server.parse().map_err(|error| {
        Failure::usage(format!("`{}` is no URL: {error}", args.server))
            .with_help("write it out: https://host or http://127.0.0.1:8080")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::usage(format!("`{}` is no http or https URL", args.server)));
    }
    // A later run may stand in another folder.
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let context = Context {
        name: args.name,
        server: args.server,
        kubeconfig: args.kubeconfig.map(absolute),
        kube_context: args.kube_context,
        token: args.token,
        token_file: args.token_file.map(absolute),
        api_key_file: args.api_key_file.map(absolute),
        oidc: args.oidc_issuer.zip(args.oidc_client_id).map(|(issuer, client_id)| Oidc { issuer, client_id }),
    };
    let name = context.name.clone();
    let mut config = session.config()?.clone();
    config.contexts.retain(|other| other.name != name);
    config.contexts.push(context);
    if args.select || config.contexts.len() == 1 {
        config.current_context = Some(name.clone());
    }
    config.save()?;
    let current =
        if config.current_context.as_deref() == Some(&*name) { ", now the current context" } else { "" };
    session.out.said(&format!("context {name} written to {}{current}", config.path.display()))
}

//! `velocity auth login`: signs in on a device without a browser, at the server or at the context's own provider.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use http::Method;
use velocity_contract::auth::{DeviceLogin, DeviceProgress, DeviceRequest, DeviceStatus};
use velocity_contract::page::Data;

use crate::config::{Oidc, private_file};
use crate::failure::{Exit, Failure, Outcome};
use crate::server::{Request, Server};
use crate::session::Session;
use crate::sign_in::{Pace, Prompt, Provider};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Shows an address and a code: open the one in any browser, on any machine, and type the other. What comes of it is kept in the \
                  context's tokenFile, readable by you only. A context with `oidc: {issuer, clientId}` signs in there, and its token is \
                  renewed by itself; any other at the server, by its oidc strategy."
)]
pub(crate) struct Args {
    /// AuthStrategy to sign in with: NAMESPACE/NAME [default: the one that decides at the server]
    #[arg(long, value_name = "STRATEGY")]
    strategy: Option<String>,
    /// Open the address in this machine's browser, on a terminal
    #[arg(long)]
    browser: bool,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let context = session.context()?;
    if context.token.is_some() || context.api_key_file.is_some() {
        let message = format!(
            "context `{}` has a credential of its own, which a sign-in would not change",
            context.name
        );
        return Err(Failure::usage(message)
            .with_help("make another one: `velocity context add NAME --server URL --use`, then sign in"));
    }
    let file = session.config()?.sign_in_file(context);
    if let Some(oidc) = &context.oidc {
        if args.strategy.is_some() {
            return Err(Failure::usage(
                "--strategy is for signing in at the server, but the context names a provider",
            ));
        }
        return at_provider(session, args, oidc, &file).await;
    }
    at_server(session, args, &file).await
}

async fn at_provider(session: &Session, args: &Args, oidc: &Oidc, file: &Path) -> Outcome {
    let tokens = Provider::find(oidc).await?.sign_in(|prompt| show(prompt, args.browser)).await?;
    tokens.write(file)?;
    let end = if tokens.refresh_token.is_some() {
        ", renewed by itself".to_owned()
    } else {
        tokens.end().map_or_else(String::new, |end| format!(" until {end}"))
    };
    let who = tokens.subject().unwrap_or_else(|| "somebody".to_owned());
    session.out.said(&format!("signed in as {who}{end}"))
}

async fn at_server(session: &Session, args: &Args, file: &Path) -> Outcome {
    let server = session.server_without_credential()?;
    let start = DeviceRequest { device_code: None, strategy: args.strategy.clone() };
    let login: DeviceLogin = ask(&server, &start).await?;
    show(
        &Prompt {
            uri: login.verification_uri,
            whole_uri: login.verification_uri_complete,
            code: login.user_code,
        },
        args.browser,
    )?;
    let question = DeviceRequest { device_code: Some(login.device_code), strategy: None };
    let progress = wait(&server, &question, Pace::new(login.interval, login.expires_in)).await?;
    let Some(token) = progress.token else {
        return Err(Failure::failed("the server says that you are signed in, and gives no session"));
    };
    private_file::write(file, &token)
        .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", file.display())))?;
    remember(session, file.to_owned())?;
    let who = progress.actor.unwrap_or_else(|| "somebody".to_owned());
    let end = progress.expires_at.map_or_else(String::new, |end| format!(" until {end}"));
    session.out.said(&format!("signed in as {who}{end}"))
}

/// Asks until somebody has signed in.
async fn wait(server: &Server, question: &DeviceRequest, mut pace: Pace) -> Outcome<DeviceProgress> {
    loop {
        pace.wait().await?;
        match ask::<DeviceProgress>(server, question).await {
            Ok(progress) => match progress.status {
                DeviceStatus::Complete => return Ok(progress),
                DeviceStatus::Pending => {}
                DeviceStatus::SlowDown => pace.slow_down(),
            },
            // A server that is away for a moment is no reason to begin again.
            Err(failure) if failure.exit() == Some(Exit::Unavailable) => pace.slow_down(),
            Err(failure) => return Err(failure),
        }
    }
}

async fn ask<T: serde::de::DeserializeOwned>(server: &Server, body: &DeviceRequest) -> Outcome<T> {
    let body = serde_json::to_string(body)
        .map_err(|error| Failure::failed(format!("the request cannot be written: {error}")))?;
    let reply = server.send(&Request::new(Method::POST, "/auth/device").json(body)).await?;
    serde_json::from_slice::<Data<T>>(&reply.body)
        .map(|body| body.data)
        .map_err(|_| Failure::failed("the server's answer about the sign-in cannot be read"))
}

/// The context knows from now on where its session is.
fn remember(session: &Session, file: PathBuf) -> Outcome {
    let name = session.context()?.name.clone();
    let mut config = session.config()?.clone();
    let Some(context) = config.contexts.iter_mut().find(|context| context.name == name) else {
        return Ok(());
    };
    if context.token_file.is_some() {
        return Ok(());
    }
    context.token_file = Some(std::path::absolute(&file).unwrap_or(file));
    config.save()
}

/// Tells the person what to do, on stderr: the results are not theirs to wait for.
fn show(prompt: &Prompt, browser: bool) -> Outcome {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let uri = plain(&prompt.uri);
    let mut text = format!("To sign in, open {uri} and enter the code\n\n    {}\n\n", plain(&prompt.code));
    if let Some(whole) = &prompt.whole_uri {
        let _ = writeln!(text, "or open {}", plain(whole));
    }
    std::io::stderr().write_all(text.as_bytes())?;
    if browser && std::io::stderr().is_terminal() {
        open(&plain(prompt.whole_uri.as_ref().unwrap_or(&prompt.uri)));
    }
    Ok(())
}

/// Opens a page in the browser, if there is one; the address is on the screen anyway.
fn open(address: &str) {
    // Anything else could be a program to start.
    let is_page = address.parse::<reqwest::Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_page {
        return;
    }
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let _ = std::process::Command::new(opener)
        .arg(address)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
}

//! How long a start takes, and a new schema.

use std::path::Path;
use std::time::Instant;

use crate::args::Args;
use crate::cli;
use crate::figures::Start;
use crate::http::{Connection, request};
use crate::latency::median;
use crate::schemas::{definition, endpoint, namespace};
use crate::server::{Server, folder};

const STARTS: usize = 3;
const APPLIES: usize = 5;

/// Starts a server on an empty folder, then on the same again, and applies new schemas.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Start> {
    let temporary = folder()?;
    let dir = temporary.path().join("start");
    let started = Instant::now();
    let server = Server::start(args, &dir).await?;
    let first = started.elapsed().as_secs_f64();
    let mut applies = Vec::new();
    for number in 0..APPLIES {
        applies.push(apply(args, &server, temporary.path(), number).await?);
    }
    server.stop().await?;
    let mut again = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let server = Server::start(args, &dir).await?;
        again.push(started.elapsed().as_secs_f64());
        server.stop().await?;
    }
    let figures = Start { first, again: median(again), apply_to_create: median(applies) };
    eprintln!("{figures:?}");
    Ok(figures)
}

/// Seconds from the start of `velocity apply --wait` to the answer to the first POST.
async fn apply(args: &Args, server: &Server, dir: &Path, number: usize) -> anyhow::Result<f64> {
    let file = dir.join(format!("schema-{number}.json"));
    std::fs::write(&file, definition(&namespace("start"), "start", number).to_string())?;
    let token =
        cli::run(args, &server.config(), ["auth", "token", "--actor", "bench", "--roles", "writer"]).await?;
    let mut connection = Connection::open(server.api()?).await?;
    let body = br#"{"name":"first","amount":1.25}"#;
    let post = request("POST", &endpoint("start", number), &token, Some(("application/json", body)));
    let started = Instant::now();
    cli::run(args, &server.config(), ["apply".as_ref(), "-f".as_ref(), file.as_os_str(), "--wait".as_ref()])
        .await?;
    connection.expect(&post, 201).await?;
    Ok(started.elapsed().as_secs_f64())
}

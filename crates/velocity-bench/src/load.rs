//! Load: connections that each send one request after another.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::LocalSet;

use crate::args::Operation;
use crate::http::Connection;
use crate::latency::Latencies;
use crate::orders::Orders;
use crate::process::Cpu;
use crate::server::Server;

/// What a run has come to.
pub(crate) struct Run {
    pub(crate) per_second: f64,
    pub(crate) latencies: Latencies,
    /// Of the server: its own and Postgres'.
    pub(crate) cpu: Cpu,
    /// Of this process, in microseconds.
    pub(crate) own_cpu: f64,
}

/// Sends requests of a kind for that long on that many connections. Every answer must be the right one.
pub(crate) async fn run(
    server: &Server,
    orders: &Rc<Orders>,
    operation: Operation,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Run> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(server.api()?).await?);
    }
    let (cpu, own) = (server.cpu()?, Cpu::of(std::process::id())?.own);
    let started = Instant::now();
    let end = started + time;
    let tasks = LocalSet::new();
    let running: Vec<_> = open
        .into_iter()
        .map(|connection| tasks.spawn_local(caller(connection, Rc::clone(orders), operation, end)))
        .collect();
    let mut latencies = Latencies::default();
    tasks
        .run_until(async {
            for caller in running {
                latencies.append(caller.await.context("a caller panicked")??);
            }
            anyhow::Ok(())
        })
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    let per_second = latencies.len() as f64 / seconds;
    Ok(Run {
        per_second,
        latencies,
        cpu: server.cpu()?.since(cpu),
        own_cpu: Cpu::of(std::process::id())?.own - own,
    })
}

async fn caller(
    mut connection: Connection,
    orders: Rc<Orders>,
    operation: Operation,
    end: Instant,
) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::default();
    let mut now = Instant::now();
    while now < end {
        let (request, status) = orders.next(operation);
        let sent = Instant::now();
        connection.expect(&request, status).await?;
        now = Instant::now();
        latencies.push(now - sent);
    }
    Ok(latencies)
}

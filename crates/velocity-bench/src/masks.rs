//! What rights cost: GET of the same records for a caller who sees everything, and for one with a row filter and three masks.
//! In turn, so that what else the machine does hits both, and the median of each.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value as Json;

use crate::args::{Args, Operation};
use crate::capture;
use crate::compare::WARM_UP;
use crate::figures::Masks;
use crate::http::Connection;
use crate::latency::median;
use crate::load::{self, Run};
use crate::orders::{Caller, Orders};
use crate::server::{Server, folder};

/// The access block in the place of the other part's.
const ACCESS: &str = r#"  access:
    roles:
      create: [loader]
      read: [auditor, clerk]
    rowFilter:
      - role: clerk
        condition: "record.region == actor.attributes.region"
    fieldAccess:
      - { field: carrier, read: [auditor], masking: { strategy: partial } }
      - { field: reference, read: [auditor], masking: { strategy: hash } }
      - { field: amount, read: [auditor], masking: { strategy: range, rangeSize: 1000 } }
"#;
/// An id that both see.
const SEEN: u64 = 2;

/// On all numbers of connections.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Vec<Masks>> {
    let temporary = folder()?;
    let server = Server::start(args, &temporary.path().join("masks")).await?;
    eprintln!("filling a table with {} rows", args.rows);
    let orders = Orders::set_up(args, &server, Some(ACCESS)).await?;
    let whole = Rc::new(orders.called_by(args, &server, Caller::Auditor).await?);
    let masked = Rc::new(orders);
    check(&server, &whole, &masked).await?;
    let owner = capture::owner(&server).await?;
    owner.batch_execute("vacuum analyze").await?;
    let mut all = Vec::new();
    for connections in &args.connections {
        all.push(measure(args, &server, &whole, &masked, *connections).await?);
    }
    server.stop().await?;
    Ok(all)
}

/// A figure says nothing unless one sees what the other does not.
async fn check(server: &Server, whole: &Orders, masked: &Orders) -> anyhow::Result<()> {
    let mut connection = Connection::open(server.api()?).await?;
    let mut record = async |orders: &Orders| -> anyhow::Result<Json> {
        let body = connection.expect(&orders.read(SEEN), 200).await?;
        let mut answer: Json = serde_json::from_slice(body)?;
        Ok(answer["data"].take())
    };
    let (clear, left) = (record(whole).await?, record(masked).await?);
    for (name, value) in clear.as_object().context("a record")? {
        let is_masked = matches!(name.as_str(), "carrier" | "reference" | "amount");
        ensure!(is_masked == (left[name] != *value), "`{name}` is {} and {value}", left[name]);
    }
    Ok(())
}

async fn measure(
    args: &Args,
    server: &Server,
    whole: &Rc<Orders>,
    masked: &Rc<Orders>,
    connections: usize,
) -> anyhow::Result<Masks> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for orders in [whole, masked] {
        load::run(server, orders, Operation::Read, connections, WARM_UP).await?;
    }
    for _ in 0..args.rounds {
        let time = Duration::from_secs(args.seconds);
        without.push(load::run(server, whole, Operation::Read, connections, time).await?);
        with.push(load::run(server, masked, Operation::Read, connections, time).await?);
    }
    let per_second = |runs: &[Run]| median(runs.iter().map(|run| run.per_second));
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    let per_request = |runs: &[Run], micros: fn(&Run) -> f64| {
        median(runs.iter().map(|run| micros(run) / run.latencies.len().max(1) as f64))
    };
    let figures = Masks {
        connections,
        without_per_second: per_second(&without),
        with_per_second: per_second(&with),
        ratio: per_second(&with) / per_second(&without),
        without_api_cpu_us: per_request(&without, |run| run.cpu.own),
        with_api_cpu_us: per_request(&with, |run| run.cpu.own),
        without_postgres_cpu_us: per_request(&without, |run| run.cpu.below),
        with_postgres_cpu_us: per_request(&with, |run| run.cpu.below),
    };
    eprintln!("{}", figures.line());
    Ok(figures)
}

//! Requests beside pgbench: in turn, so that what else the machine does hits both, and the median of each.

use std::rc::Rc;
use std::time::Duration;

use crate::args::{Args, Operation};
use crate::capture;
use crate::figures::Requests;
use crate::latency::median;
use crate::load;
use crate::orders::Orders;
use crate::pgbench::Script;
use crate::server::{Server, folder};

/// Enough for statements to be prepared on every connection, and pages to be in memory.
pub(crate) const WARM_UP: Duration = Duration::from_millis(1500);

/// All kinds of requests on all numbers of connections.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Vec<Requests>> {
    let temporary = folder()?;
    let dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().join("requests"));
    let server = Server::start(args, &dir).await?;
    eprintln!("filling a table with {} rows", args.rows);
    let orders = Rc::new(Orders::set_up(args, &server, None).await?);
    let owner = capture::owner(&server).await?;
    owner.batch_execute("vacuum analyze").await?;
    let transactions = capture::transactions(&server, &orders, &args.operations).await?;
    let mut all = Vec::new();
    let mut round = 0;
    for (operation, transaction) in args.operations.iter().zip(&transactions) {
        let script = Script::new(transaction, &orders, *operation)?;
        for connections in &args.connections {
            owner.batch_execute("checkpoint").await?;
            let cell = Cell { args, server: &server, orders: &orders, script: &script };
            all.push(cell.measure(*operation, *connections, &mut round).await?);
        }
    }
    server.stop().await?;
    Ok(all)
}

struct Cell<'a> {
    args: &'a Args,
    server: &'a Server,
    orders: &'a Rc<Orders>,
    script: &'a Script,
}

impl Cell<'_> {
    async fn measure(
        &self,
        operation: Operation,
        connections: usize,
        round: &mut usize,
    ) -> anyhow::Result<Requests> {
        let Self { args, server, orders, script } = self;
        load::run(server, orders, operation, connections, WARM_UP).await?;
        let (mut runs, mut pgbench) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            let time = Duration::from_secs(args.seconds);
            runs.push(load::run(server, orders, operation, connections, time).await?);
            *round += 1;
            pgbench.push(script.run(args, server, connections, args.seconds, *round).await?);
        }
        let mut percentile =
            |share| median(runs.iter_mut().map(|run: &mut load::Run| run.latencies.percentile_ms(share)));
        let (p50_ms, p99_ms) = (percentile(0.5), percentile(0.99));
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
        let per_request = |micros: fn(&load::Run) -> f64| {
            median(runs.iter().map(|run| micros(run) / run.latencies.len().max(1) as f64))
        };
        let per_second = median(runs.iter().map(|run| run.per_second));
        let pgbench_per_second = median(pgbench.iter().map(|run| run.per_second));
        let figures = Requests {
            operation,
            connections,
            per_second,
            p50_ms,
            p99_ms,
            pgbench_per_second,
            ratio: per_second / pgbench_per_second,
            pgbench_cpu_us: median(pgbench.iter().map(|run| run.cpu_us)),
            api_cpu_us: per_request(|run| run.cpu.own),
            postgres_cpu_us: per_request(|run| run.cpu.below),
            client_cpu_us: per_request(|run| run.own_cpu),
        };
        eprintln!("{}", figures.line());
        Ok(figures)
    }
}

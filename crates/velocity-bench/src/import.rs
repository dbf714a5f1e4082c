//! `velocity record import` of the flights, end to end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::args::Args;
use crate::cli;
use crate::figures::Import;
use crate::process::memory_mib;
use crate::server::{Server, folder};

/// The tables that flights point to; they are imported first.
const TARGETS: [&str; 3] = ["airlines", "airports", "planes"];
const LOOK: Duration = Duration::from_millis(50);

/// Imports the flights into a fresh server.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Import> {
    let data = args.flights.join("data");
    let Some(file) = find(&data, "flights") else {
        return Ok(missing(format!(
            "{} holds no flights.csv.gz; scripts/nycflights-data.sh fetches it",
            data.display()
        )));
    };
    let temporary = folder()?;
    let server = Server::start(args, &temporary.path().join("import")).await?;
    cli::run(
        args,
        &server.config(),
        ["apply".as_ref(), "-f".as_ref(), args.flights.as_os_str(), "--wait".as_ref()],
    )
    .await?;
    for table in TARGETS {
        let file = find(&data, table).with_context(|| format!("{} holds no {table}", data.display()))?;
        import(args, &server, table, &file).await?;
    }
    let cpu = server.cpu()?;
    let started = Instant::now();
    let (rows, cli_peak_mib) = import(args, &server, "flights", &file).await?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = server.cpu()?.since(cpu);
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 rows")]
    let count = rows as f64;
    let figures = Import {
        missing: None,
        rows,
        seconds,
        per_second: count / seconds,
        cli_peak_mib,
        server_peak_mib: server.memory_mib("VmHWM")?,
        server_cpu_us: cpu.own / count,
        postgres_cpu_us: cpu.below / count,
    };
    eprintln!("import: {rows} rows in {seconds:.1} s, {:.0} rows/s", figures.per_second);
    server.stop().await?;
    Ok(figures)
}

/// How many rows were imported, and the most memory that the CLI took.
async fn import(args: &Args, server: &Server, table: &str, file: &Path) -> anyhow::Result<(u64, f64)> {
    let arguments = ["record", "import", table, "--null", "NA", "-f"].map(std::ffi::OsStr::new);
    let mut child =
        cli::command(args, &server.config(), arguments.into_iter().chain([file.as_os_str()])).spawn()?;
    let pid = child.id().context("the import ended at once")?;
    let mut peak: f64 = 0.0;
    while child.try_wait()?.is_none() {
        // At its very end a process has no memory any more.
        peak = peak.max(memory_mib(pid, "VmHWM").unwrap_or(0.0));
        tokio::time::sleep(LOOK).await;
    }
    let output = child.wait_with_output().await?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the import of {table} failed: {said}");
    let rows = imported(&said)
        .with_context(|| format!("the import of {table} did not say how many rows: {said}"))?;
    Ok((rows, peak))
}

/// Reads `imported 336776, skipped 0, rejected 0`.
fn imported(said: &str) -> Option<u64> {
    let (_, rest) = said.rsplit_once("imported ")?;
    rest.split(',').next()?.trim().parse().ok()
}

fn find(data: &Path, table: &str) -> Option<PathBuf> {
    ["csv.gz", "csv"].iter().map(|ending| data.join(format!("{table}.{ending}"))).find(|path| path.is_file())
}

fn missing(why: String) -> Import {
    Import {
        missing: Some(why),
        rows: 0,
        seconds: 0.0,
        per_second: 0.0,
        cli_peak_mib: 0.0,
        server_peak_mib: 0.0,
        server_cpu_us: 0.0,
        postgres_cpu_us: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_the_last_line() {
        assert_eq!(imported("…\nimported 12, skipped 0, rejected 0\n"), Some(12));
        assert_eq!(imported("rejected"), None);
    }
}

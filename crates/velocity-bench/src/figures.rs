//! What was measured, as it is written to the JSON file.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::args::{Args, Operation};

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) machine: Machine,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) requests: Vec<Requests>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) masks: Vec<Masks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) import: Option<Import>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<Start>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schemas: Option<Schemas>,
}

/// Where it ran.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    /// Of one minute, before the bench began: above 0 the machine was not its own.
    pub(crate) load_before: String,
    pub(crate) pgbench: String,
    pub(crate) velocityd_mb: f64,
    pub(crate) velocity_mb: f64,
}

/// One kind of request on some connections, beside pgbench on as many.
#[derive(Debug, Serialize)]
pub(crate) struct Requests {
    pub(crate) operation: Operation,
    pub(crate) connections: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) pgbench_per_second: f64,
    /// Of the two: 1 is as fast as pgbench.
    pub(crate) ratio: f64,
    /// Processor time of a transaction, Postgres' and pgbench's own.
    pub(crate) pgbench_cpu_us: f64,
    /// Processor time per request.
    pub(crate) api_cpu_us: f64,
    pub(crate) postgres_cpu_us: f64,
    pub(crate) client_cpu_us: f64,
}

impl Requests {
    /// For who watches.
    pub(crate) fn line(&self) -> String {
        format!(
            "{:?} on {}: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms; pgbench {:.0}/s, ratio {:.2}, CPU {:.0} us; CPU api {:.0} us, postgres {:.0} us, client {:.0} us",
            self.operation,
            self.connections,
            self.per_second,
            self.p50_ms,
            self.p99_ms,
            self.pgbench_per_second,
            self.ratio,
            self.pgbench_cpu_us,
            self.api_cpu_us,
            self.postgres_cpu_us,
            self.client_cpu_us
        )
    }
}

/// GET on some connections for two callers: one without restrictions, one with a row filter and three masks.
#[derive(Debug, Serialize)]
pub(crate) struct Masks {
    pub(crate) connections: usize,
    pub(crate) without_per_second: f64,
    pub(crate) with_per_second: f64,
    /// Of the two: 1 is as fast with as without.
    pub(crate) ratio: f64,
    /// Processor time per request.
    pub(crate) without_api_cpu_us: f64,
    pub(crate) with_api_cpu_us: f64,
    pub(crate) without_postgres_cpu_us: f64,
    pub(crate) with_postgres_cpu_us: f64,
}

impl Masks {
    /// For who watches.
    pub(crate) fn line(&self) -> String {
        format!(
            "GET on {}: {:.0}/s, with a row filter and three masks {:.0}/s, ratio {:.2}; CPU api {:.0} us, {:.0} us, postgres {:.0} us, {:.0} us",
            self.connections,
            self.without_per_second,
            self.with_per_second,
            self.ratio,
            self.without_api_cpu_us,
            self.with_api_cpu_us,
            self.without_postgres_cpu_us,
            self.with_postgres_cpu_us
        )
    }
}

/// `velocity record import` of the flights.
#[derive(Debug, Serialize)]
pub(crate) struct Import {
    /// Why nothing was measured.
    pub(crate) missing: Option<String>,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    pub(crate) cli_peak_mib: f64,
    pub(crate) server_peak_mib: f64,
    pub(crate) server_cpu_us: f64,
    pub(crate) postgres_cpu_us: f64,
}

/// How long one waits, in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Start {
    /// Of `velocityd dev` on a folder without anything.
    pub(crate) first: f64,
    /// On a folder with a schema in it.
    pub(crate) again: f64,
    /// From `velocity apply --wait` to the answer to the first POST.
    pub(crate) apply_to_create: f64,
}

/// Many schemas, with API and operator as processes of their own.
#[derive(Debug, Serialize)]
pub(crate) struct Schemas {
    pub(crate) count: usize,
    /// From the first one's request until all were Ready.
    pub(crate) ready_s: f64,
    /// Until the API served the last one.
    pub(crate) served_s: f64,
    pub(crate) operator_cpu_ms: f64,
    pub(crate) changes: usize,
    /// From the start of `velocity apply` to the first answer that has the new field.
    pub(crate) change_p50_ms: f64,
    pub(crate) change_p99_ms: f64,
    pub(crate) change_max_ms: f64,
    pub(crate) api_of_one_mib: f64,
    pub(crate) api_of_all_mib: f64,
    pub(crate) operator_of_one_mib: f64,
    pub(crate) operator_of_all_mib: f64,
    pub(crate) idle_s: f64,
    /// Calls a minute while nothing happens.
    pub(crate) operator_calls: f64,
    pub(crate) api_calls: f64,
    /// Processor time a minute while nothing happens, in milliseconds.
    pub(crate) operator_idle_cpu_ms: f64,
    pub(crate) api_idle_cpu_ms: f64,
}

impl Figures {
    pub(crate) fn of_this_machine(args: &Args) -> anyhow::Result<Self> {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let pgbench = Command::new(&args.pgbench).arg("--version").output();
        let machine = Machine {
            cpu: model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load_before: load.split(' ').next().unwrap_or_default().to_owned(),
            pgbench: pgbench
                .map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
                .unwrap_or_default(),
            velocityd_mb: megabytes(&args.bin_dir.join("velocityd"))?,
            velocity_mb: megabytes(&args.bin_dir.join("velocity"))?,
        };
        Ok(Self {
            machine,
            requests: Vec::new(),
            masks: Vec::new(),
            import: None,
            start: None,
            schemas: None,
        })
    }
}

fn megabytes(path: &Path) -> anyhow::Result<f64> {
    let metadata = std::fs::metadata(path);
    let metadata =
        metadata.map_err(|error| anyhow::anyhow!("{}: {error}; build it first", path.display()))?;
    #[expect(clippy::cast_precision_loss, reason = "a file of less than 2^52 bytes")]
    Ok(metadata.len() as f64 / 1e6)
}

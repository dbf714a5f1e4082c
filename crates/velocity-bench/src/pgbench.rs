//! The same transaction through pgbench: pipelined, prepared, under the same role.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use tokio::process::Command;
use tokio_postgres::config::Host;

use crate::args::{Args, Operation};
use crate::capture::Transaction;
use crate::orders::{Orders, Varying};
use crate::process::Cpu;
use crate::server::Server;

/// What a run of pgbench has come to.
pub(crate) struct Baseline {
    pub(crate) per_second: f64,
    /// Processor time of a transaction in microseconds, Postgres' and pgbench's.
    pub(crate) cpu_us: f64,
}

/// A script with what it needs.
pub(crate) struct Script {
    text: String,
    /// Values of the script's variables.
    variables: Vec<(String, String)>,
    /// The role of the transaction.
    role: String,
}

impl Script {
    /// The script of a captured transaction.
    pub(crate) fn new(
        transaction: &Transaction,
        orders: &Orders,
        operation: Operation,
    ) -> anyhow::Result<Self> {
        let role = transaction
            .statements
            .first()
            .and_then(|settings| settings.parameters.first().cloned().flatten());
        let mut script = Self {
            text: orders.pgbench_values(operation) + "\\startpipeline\n",
            variables: vec![("n".to_owned(), "0".to_owned())],
            role: role.context("the first statement sets no role")?,
        };
        for (at, statement) in transaction.statements.iter().enumerate() {
            let mut names = Vec::with_capacity(statement.parameters.len());
            for (number, value) in (1..).zip(&statement.parameters) {
                names.push(match value.as_deref() {
                    None => "null".to_owned(),
                    // pgbench has no empty variables.
                    Some("") => "''".to_owned(),
                    Some(value) => script.name(value, &transaction.varying, format!("s{at}p{number}")),
                });
            }
            writeln!(script.text, "{};", with_parameters(&statement.sql, &names).replace('\n', " "))?;
        }
        script.text.push_str("\\endpipeline\n");
        Ok(script)
    }

    /// The variable that stands for a value: one that the script sets anew each time, or a fixed one with that name.
    fn name(&mut self, value: &str, varying: &Varying, fixed: String) -> String {
        let name = match value.parse::<u64>() {
            Ok(number) if number == varying.id => ":id".to_owned(),
            Ok(number) if number == varying.customer => ":customer".to_owned(),
            Ok(number) if number == varying.quantity => ":quantity".to_owned(),
            _ => format!(":{fixed}"),
        };
        if name[1..] == fixed {
            self.variables.push((fixed, value.to_owned()));
        }
        name
    }

    /// Runs it for that long.
    pub(crate) async fn run(
        &self,
        args: &Args,
        server: &Server,
        clients: usize,
        seconds: u64,
        round: usize,
    ) -> anyhow::Result<Baseline> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &self.text)?;
        let mut command = self.command(args, server, file.path())?;
        command.args([
            "-c",
            &clients.to_string(),
            "-j",
            &clients.min(2).to_string(),
            "-T",
            &seconds.to_string(),
        ]);
        command.args(["-D", &format!("round={round}")]);
        let before = Cpu::of(std::process::id())?.below;
        let output =
            command.output().await.with_context(|| format!("{} cannot be run", args.pgbench.display()))?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() && stdout.contains("number of failed transactions: 0 "),
            "pgbench failed: {stdout} {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.text
        );
        // The server is below this process too, and idle otherwise.
        let cpu = Cpu::of(std::process::id())?.below - before;
        let figure =
            |line| figure(&stdout, line).with_context(|| format!("pgbench said no figure: {stdout}"));
        Ok(Baseline {
            per_second: figure("tps = ")?,
            cpu_us: cpu / figure("number of transactions actually processed: ")?,
        })
    }

    /// The role is set from the start: pgbench prepares at once, and the login itself may not even look into the
    /// domain's schema. The transaction sets it again, as every request does.
    fn command(&self, args: &Args, server: &Server, file: &Path) -> anyhow::Result<Command> {
        let postgres = server.postgres()?;
        let host = match postgres.get_hosts().first().context("the URL of Postgres names no host")? {
            Host::Unix(path) => path.display().to_string(),
            Host::Tcp(name) => name.clone(),
        };
        let port = postgres.get_ports().first().copied().unwrap_or(5432).to_string();
        let mut command = Command::new(&args.pgbench);
        command.env("PGOPTIONS", format!("-c role={}", self.role));
        command
            .args(["-n", "-M", "prepared", "-h", &host, "-p", &port, "-U", "velocity_api", "-f"])
            .arg(file);
        for (name, value) in &self.variables {
            command.args(["-D", &format!("{name}={value}")]);
        }
        command.arg(postgres.get_dbname().context("the URL of Postgres names no database")?);
        command.kill_on_drop(true);
        Ok(command)
    }
}

/// The text with a name in place of each `$n`.
fn with_parameters(sql: &str, names: &[String]) -> String {
    let mut pieces = sql.split('$');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let name = piece[..end].parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?));
        if let Some(name) = name {
            text.push_str(name);
        } else {
            text.push('$');
            text.push_str(&piece[..end]);
        }
        text.push_str(&piece[end..]);
    }
    text
}

/// The number behind the words at the start of a line.
fn figure(output: &str, words: &str) -> Option<f64> {
    output.lines().find_map(|line| line.strip_prefix(words)?.split([' ', '/']).next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_names() {
        let names: Vec<String> = (1..=11).map(|n| format!(":p{n}")).collect();
        assert_eq!(
            with_parameters("select $1, $11::text, '$', $99", &names),
            "select :p1, :p11::text, '$', $99"
        );
    }

    #[test]
    fn figures_are_read_from_pgbenchs_words() {
        let said = "transactions: 7/9\ntps = 12.5 (without initial connection time)\n";
        assert_eq!(figure(said, "tps = "), Some(12.5));
        assert_eq!(figure(said, "transactions: "), Some(7.0));
        assert_eq!(figure(said, "latency"), None);
    }
}

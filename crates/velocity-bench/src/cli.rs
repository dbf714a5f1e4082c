//! The CLI, run as a person would.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::args::Args;

/// A command of the CLI with a configuration file, not started yet.
pub(crate) fn command<I, S>(args: &Args, config: &Path, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(args.bin_dir.join("velocity"));
    command.arg("--config").arg(config).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command; what it prints, or an error with what it printed.
pub(crate) async fn run<I, S>(args: &Args, config: &Path, arguments: I) -> anyhow::Result<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = command(args, config, arguments);
    let output = command.output().await.context("velocity cannot be started; build it first")?;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        let line: Vec<_> = command.as_std().get_args().map(OsStr::to_string_lossy).collect();
        bail!(
            "velocity {} ended with {}: {stdout} {}",
            line.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(stdout)
}

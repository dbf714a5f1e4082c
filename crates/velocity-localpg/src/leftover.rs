//! The server of a process that was killed.
//!
//! The caller holds the lock on the folder, so any server that runs on it has lost its owner: it is ended, and
//! the files by which Postgres would recognise it are removed. Postgres alone is too careful here: it refuses
//! to start when a process of the same user has the old server's number, which in a container is the rule.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::Error;
use crate::layout::{Layout, remove_if_there};
use crate::options::{Options, Progress};
use crate::pid_file::PidFile;

/// What a server is sent at which age of the wait. A fast shutdown may have a checkpoint to write.
const FOR_A_SERVER: [(Duration, Signal); 3] = [
    (Duration::ZERO, Signal::SIGINT),
    (Duration::from_secs(10), Signal::SIGQUIT),
    (Duration::from_secs(15), Signal::SIGKILL),
];
/// The same for backends that have lost their server, which may be in a long statement.
const FOR_BACKENDS: [(Duration, Signal); 2] =
    [(Duration::ZERO, Signal::SIGQUIT), (Duration::from_secs(3), Signal::SIGKILL)];
const GIVE_UP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// Ends what still runs on the cluster and removes its traces.
pub(crate) fn clear(layout: &Layout, options: &Options) -> Result<(), Error> {
    let data = layout.data();
    let server = PidFile::read(&data).map(|file| Pid::from_raw(file.pid));
    let begin = Instant::now();
    let mut sent = None;
    loop {
        let running = running(&data, server);
        let Some(&first) = running.first() else { break };
        let age = begin.elapsed();
        if age > GIVE_UP {
            return Err(Error::WillNotStop { pid: first.as_raw() });
        }
        // A server ends its backends itself; one that loses a backend to a signal takes it for a crash.
        let has_server = Some(first) == server;
        let (addressees, signal) = if has_server {
            (&running[..1], due(&FOR_A_SERVER, age))
        } else {
            (&running[..], due(&FOR_BACKENDS, age))
        };
        if sent.is_none() {
            options.progress.report(Progress::StoppingLeftover);
            tracing::info!(pid = first.as_raw(), "ending the Postgres of a process that was killed");
        }
        if sent != Some((has_server, signal)) {
            sent = Some((has_server, signal));
            for &pid in addressees {
                send(pid, signal);
            }
        }
        thread::sleep(POLL);
    }
    if can_tell() {
        remove_if_there(&data.join("postmaster.pid"))?;
    }
    layout.remove_stale_sockets()
}

fn due(steps: &[(Duration, Signal)], age: Duration) -> Signal {
    steps.iter().rev().find(|(from, _)| age >= *from).map_or(Signal::SIGKILL, |(_, signal)| *signal)
}

fn send(pid: Pid, signal: Signal) {
    match kill(pid, signal) {
        // Gone is what was wanted; what cannot be signalled shows as not going away.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => tracing::warn!(pid = pid.as_raw(), error = %errno, "could not signal"),
    }
}

/// Whether [`running`] sees all processes of a cluster, backends included, so that none is none.
fn can_tell() -> bool {
    cfg!(target_os = "linux")
}

/// The Postgres processes that work in this cluster, the server first if it is among them.
fn running(data: &Path, server: Option<Pid>) -> Vec<Pid> {
    if can_tell() {
        working_in(data, server)
    } else {
        server.filter(|&pid| names_cluster(pid, data)).into_iter().collect()
    }
}

/// All processes of a cluster have it as their working directory. A shell there is none of our business.
fn working_in(data: &Path, server: Option<Pid>) -> Vec<Pid> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    let Some(cluster) = identity(data) else { return Vec::new() };
    let mut found: Vec<Pid> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            let ours = matches!(name.trim(), "postgres" | "postmaster")
                && identity(&entry.path().join("cwd")) == Some(cluster);
            ours.then(|| Pid::from_raw(pid))
        })
        .collect();
    found.sort_by_key(|pid| Some(*pid) != server);
    found
}

/// Whether the process of that number is a Postgres on this cluster, by its command line.
fn names_cluster(pid: Pid, data: &Path) -> bool {
    let command_line = Command::new("/bin/ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    command_line.contains("postgres") && command_line.contains(&data.display().to_string())
}

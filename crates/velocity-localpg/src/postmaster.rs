//! The running server: started, watched, signalled and waited for.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::error::Error;
use crate::layout::Layout;
use crate::lifeline;
use crate::log_file::LogFile;
use crate::options::{Durability, Options};
use crate::pid_file::PidFile;
use crate::settings;

/// Crash recovery replays up to `max_wal_size`; this is several times what that takes on a slow disk.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// A fast shutdown writes what is in memory; past this the server is told to quit, and then killed.
const STOPS_WITHIN: Duration = Duration::from_secs(20);
const QUITS_WITHIN: Duration = Duration::from_secs(5);

/// Small against the 100 ms that a start takes, large against the microseconds that a look costs.
const POLL: Duration = Duration::from_millis(2);

pub(crate) struct Postmaster {
    pid: u32,
    ended: watch::Receiver<Option<ExitStatus>>,
    shutdown: Signal,
}

impl Postmaster {
    /// Starts the server and waits until it takes connections.
    pub(crate) fn start(layout: &Layout, binaries: &Binaries, options: &Options) -> Result<Self, Error> {
        let (log, log_output) = LogFile::open(layout.log())?;
        let second_handle = log_output.try_clone().map_err(Error::io("open", log.path()))?;
        let shutdown = match options.durability {
            Durability::Full => Signal::SIGINT,
            Durability::None => Signal::SIGQUIT,
        };
        let program = binaries.postgres();
        let mut command = layout.account.command(&program);
        command
            .args(settings::arguments(
                &layout.data(),
                &layout.socket_dir,
                options.durability,
                &options.settings,
            ))
            .stdout(log_output)
            .stderr(second_handle);
        lifeline::tie(&mut command, shutdown);
        let (pid, ended) =
            spawn(command, layout.account.clone(), shutdown).map_err(Error::io("run", &program))?;
        let server = Self { pid, ended, shutdown };
        server.await_ready(&layout.data(), &log)?;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells when the server has ended, by whatever cause.
    pub(crate) fn ended(&self) -> watch::Receiver<Option<ExitStatus>> {
        self.ended.clone()
    }

    /// Kills the server without any shutdown, as a crash would, and waits until it is gone.
    pub(crate) fn kill(&self) -> Result<(), Error> {
        self.end_by(&[(Signal::SIGKILL, QUITS_WITHIN)])
    }

    /// Stops the server: rolls back what is open, disconnects everyone, writes a checkpoint.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        self.end_by(&[
            (self.shutdown, STOPS_WITHIN),
            (Signal::SIGQUIT, QUITS_WITHIN),
            (Signal::SIGKILL, QUITS_WITHIN),
        ])
    }

    /// Sends one signal after the other, each when the one before has had its time.
    fn end_by(&self, steps: &[(Signal, Duration)]) -> Result<(), Error> {
        for &(signal, patience) in steps {
            if self.exit_status().is_none() {
                self.signal(signal);
            }
            let begin = Instant::now();
            loop {
                if self.exit_status().is_some() {
                    return Ok(());
                }
                if begin.elapsed() > patience {
                    break;
                }
                thread::sleep(POLL);
            }
            tracing::warn!(pid = self.pid, signal = signal.as_str(), "Postgres did not stop");
        }
        Err(Error::WillNotStop { pid: self.raw_pid() })
    }

    fn exit_status(&self) -> Option<ExitStatus> {
        *self.ended.borrow()
    }

    fn raw_pid(&self) -> i32 {
        i32::try_from(self.pid).unwrap_or(i32::MAX)
    }

    fn signal(&self, signal: Signal) {
        match kill(Pid::from_raw(self.raw_pid()), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => tracing::warn!(pid = self.pid, error = %errno, "could not signal Postgres"),
        }
    }

    fn await_ready(&self, data: &Path, log: &LogFile) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.exit_status() {
                return Err(Error::DidNotStart { status, log: log.path().to_owned(), tail: log.tail() });
            }
            // A file of an earlier server has another number.
            if PidFile::read(data).is_some_and(|file| file.ready && file.pid == self.raw_pid()) {
                return Ok(());
            }
            if begin.elapsed() > READY_WITHIN {
                return Err(Error::NotReady {
                    seconds: READY_WITHIN.as_secs(),
                    log: log.path().to_owned(),
                    tail: log.tail(),
                });
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "Postgres goes on running");
        }
    }
}

/// Starts the command from a thread that lives as long as its process: the kernel ties the process to the
/// thread, and a thread of a runtime may end at any time.
fn spawn(
    mut command: Command,
    account: Account,
    shutdown: Signal,
) -> io::Result<(u32, watch::Receiver<Option<ExitStatus>>)> {
    let (started, start) = mpsc::channel();
    let (ended, receiver) = watch::channel(None);
    thread::Builder::new().name("postgres".to_owned()).spawn(move || {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return drop(started.send(Err(error))),
        };
        // Holds copies of the log file that nobody else needs.
        drop(command);
        let watcher = lifeline::watch_over(&account, child.id(), shutdown);
        drop(started.send(Ok(child.id())));
        let status = child.wait().unwrap_or_default();
        drop(watcher);
        ended.send_replace(Some(status));
    })?;
    let pid = start.recv().map_err(io::Error::other)??;
    Ok((pid, receiver))
}

//! Children end when this process does, also when it is killed.
//!
//! Linux tells a child itself. Elsewhere a shell holds the reading end of a pipe and signals the server when
//! the writing end goes away with this process.

use std::io;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::account::Account;

/// Makes the kernel send `signal` to the command's process when the *thread* that starts it ends.
///
/// The change of user, which would undo the request, comes before: the standard library does it before it
/// runs the closure.
#[cfg(target_os = "linux")]
pub(crate) fn tie(command: &mut Command, signal: Signal) {
    use std::os::unix::process::CommandExt as _;

    use nix::errno::Errno;
    use nix::sys::prctl::set_pdeathsig;
    use nix::unistd::{Pid, getpid, getppid};

    let parent: Pid = getpid();
    let request = move || {
        set_pdeathsig(signal)?;
        // Our parent may have gone before the request was made; nobody would tell us then.
        if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    #[expect(unsafe_code, reason = "two system calls, no allocation: fine between fork and exec")]
    // SAFETY: the closure only makes async-signal-safe calls and allocates nothing.
    unsafe {
        command.pre_exec(request);
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tie(_command: &mut Command, _signal: Signal) {}

/// What, beside [`tie`], has to be kept for as long as the process runs.
pub(crate) fn watch_over(account: &Account, pid: u32, signal: Signal) -> Option<Watcher> {
    if cfg!(target_os = "linux") {
        return None;
    }
    Watcher::start(account, pid, signal)
        .inspect_err(|error| tracing::warn!(%error, "Postgres will outlive this process if it is killed"))
        .ok()
}

/// A shell that signals a process once this process has gone. Dropped, it does nothing any more.
pub(crate) struct Watcher(Child);

impl Watcher {
    fn start(account: &Account, pid: u32, signal: Signal) -> io::Result<Self> {
        let name = signal.as_str().trim_start_matches("SIG");
        account
            .command("/bin/sh")
            .args(["-c", "read -r _; kill -s \"$2\" \"$1\"", "sh", &pid.to_string(), name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may have ended already; either way it is reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn the_watcher_signals_the_process_when_its_pipe_closes() {
        // Not SIGINT: a test run in the background of a shell has that ignored, and `sleep` with it.
        let account = Account::choose(std::path::Path::new("/nonexistent")).unwrap();
        let mut child = account.command("/bin/sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
        let mut watcher = Watcher::start(&account, child.id(), Signal::SIGTERM).unwrap();

        drop(watcher.0.stdin.take());

        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
    }

    #[test]
    fn the_watcher_leaves_the_process_alone_when_the_watch_is_over() {
        let account = Account::choose(std::path::Path::new("/nonexistent")).unwrap();
        let mut child = account.command("/bin/sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
        drop(Watcher::start(&account, child.id(), Signal::SIGTERM).unwrap());

        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

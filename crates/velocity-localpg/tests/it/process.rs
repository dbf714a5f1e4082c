//! A process of its own that holds a server: this test binary, started again.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use velocity_localpg::{Durability, LocalPostgres, Options};

use crate::folder::{Folder, options};

const DATA_DIR: &str = "LOCALPG_TEST_DATA_DIR";

/// Not a test: what [`Holder`] runs. It says `ready PID URL` or `failed REASON`, and stops when its input ends.
#[tokio::test]
#[ignore = "run by other tests, in a process of its own"]
async fn hold_a_server() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else { return };
    // As in the product, where a killed process makes the kernel ask for an orderly shutdown.
    let options = Options { durability: Durability::Full, ..options(data_dir.into()) };
    match LocalPostgres::start(options).await {
        Ok(postgres) => {
            println!("\nready {} {}", postgres.pid().unwrap(), postgres.url("velocity_owner", "postgres"));
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            postgres.stop().await.unwrap();
        }
        Err(error) => println!("\nfailed {error}"),
    }
}

pub(crate) struct Holder {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
    _program: Folder,
}

/// A server in another process.
pub(crate) struct Held {
    pub(crate) server: i32,
    pub(crate) url: String,
}

impl Holder {
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::spawn(data_dir, None)
    }

    /// The same, as an ordinary user. For root only.
    pub(crate) fn start_as(user: &str, data_dir: &Path) -> Self {
        Self::spawn(data_dir, Some(user))
    }

    fn spawn(data_dir: &Path, user: Option<&str>) -> Self {
        let folder = Folder::new();
        let program = folder.path().join("holder");
        install(&std::env::current_exe().unwrap(), &program);
        let mut command = match user {
            Some(user) => as_user(user, &program),
            None => Command::new(&program),
        };
        let mut process = command
            .args(["--exact", "process::hold_a_server", "--ignored", "--nocapture"])
            .env(DATA_DIR, data_dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines, _program: folder }
    }

    /// Waits for the server, or for the reason why there is none.
    pub(crate) fn outcome(&mut self) -> Result<Held, String> {
        let mut seen = String::new();
        loop {
            let begin = seen.len();
            assert!(self.lines.read_line(&mut seen).unwrap() > 0, "it ended: {seen}");
            let line = seen[begin..].trim();
            if let Some(reason) = line.strip_prefix("failed ") {
                return Err(reason.to_owned());
            }
            if let Some((pid, url)) = line.strip_prefix("ready ").and_then(|rest| rest.split_once(' ')) {
                return Ok(Held { server: pid.parse().unwrap(), url: url.to_owned() });
            }
        }
    }

    pub(crate) fn ready(&mut self) -> Held {
        self.outcome().unwrap()
    }

    /// Kills the process itself, with no chance to stop its server.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Lets it stop its server and end.
    pub(crate) fn finish(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Copies a program to where any user can run it. Another process does it: a file that this one has open for
/// writing cannot be run, and its forks for other tests have it open too.
pub(crate) fn install(source: &Path, program: &Path) {
    let copy = Command::new("install").args(["-m", "755"]).arg(source).arg(program).status().unwrap();
    assert!(copy.success());
}

/// A command that runs as `user`, in the groups of that user alone.
pub(crate) fn as_user(user: &str, program: &Path) -> Command {
    use std::os::unix::process::CommandExt as _;
    let user = nix::unistd::User::from_name(user).unwrap().unwrap();
    let mut command = Command::new(program);
    command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    command
}

/// Waits for the process to be gone, or dead and not yet collected by its new parent.
pub(crate) fn assert_ends(pid: i32) {
    let begin = Instant::now();
    while is_alive(pid) {
        assert!(begin.elapsed() < Duration::from_secs(30), "process {pid} goes on");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let dead = fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')));
    !dead && kill(Pid::from_raw(pid), None::<Signal>).is_ok()
}

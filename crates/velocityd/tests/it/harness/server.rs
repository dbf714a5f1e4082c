//! A running `velocityd dev`.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::programs::velocityd;
use super::{PATIENCE, Scratch};

/// `endpoints.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoints {
    pub(crate) api: String,
    pub(crate) kubernetes: String,
    pub(crate) metrics: String,
    pub(crate) postgres: String,
    pub(crate) pid: u32,
}

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launch {
    /// An ordinary user to run it as; only root can ask for that.
    pub(crate) user: Option<&'static str>,
    /// Where the API listens; a free port when not given.
    pub(crate) listen: Option<String>,
    /// The data folder's name.
    pub(crate) data: Option<String>,
    /// A Postgres to use in place of a private one.
    pub(crate) database_url: Option<String>,
}

impl Launch {
    /// The command on a data folder, on free ports.
    pub(crate) fn command(&self, data: &Path) -> Command {
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).arg("--clear-groups").arg(velocityd());
                command
            }
            None => Command::new(velocityd()),
        };
        command.arg("dev").arg("--data-dir").arg(data);
        command.arg("--listen").arg(self.listen.as_deref().unwrap_or("127.0.0.1:0"));
        if let Some(url) = &self.database_url {
            command.args(["--database-url", url]);
        }
        command.current_dir("/").env_remove("RUST_LOG").stdin(Stdio::null());
        for name in ["VELOCITY_DATA_DIR", "VELOCITY_LISTEN", "VELOCITY_DATABASE_URL", "VELOCITY_LOG_FORMAT"] {
            command.env_remove(name);
        }
        command
    }
}

/// A `velocityd dev` on a folder of its own.
pub(crate) struct Server {
    child: Option<Child>,
    endpoints: Endpoints,
    launch: Launch,
    // After the child: the folder goes once nobody writes to it.
    scratch: Scratch,
}

impl Server {
    /// The server that tests share which need nothing but a running one. Each has a domain of its own on it.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Server> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    pub(crate) async fn start() -> Self {
        Self::start_as(Launch::default()).await
    }

    pub(crate) async fn start_as(launch: Launch) -> Self {
        let scratch = Scratch::new();
        if let Some(user) = launch.user {
            // An ordinary user makes the data folder in one that is theirs.
            std::fs::create_dir(scratch.path().join("home")).unwrap();
            let owner = nix::unistd::User::from_name(user).unwrap().unwrap();
            nix::unistd::chown(&scratch.path().join("home"), Some(owner.uid), None).unwrap();
        }
        let endpoints = Endpoints {
            api: String::new(),
            kubernetes: String::new(),
            metrics: String::new(),
            postgres: String::new(),
            pid: 0,
        };
        let mut server = Self { child: None, endpoints, launch, scratch };
        server.start_again().await;
        server
    }

    /// One whose parts somebody else runs: only the way to it.
    pub(crate) fn of(endpoints: Endpoints, scratch: Scratch) -> Self {
        Self { child: None, endpoints, launch: Launch::default(), scratch }
    }

    /// Starts it on its folder, after [`Self::kill`] or [`Self::stop`].
    pub(crate) async fn start_again(&mut self) {
        self.begin();
        self.ready().await;
    }

    /// From now on it listens where it listens now, so that who talks to it finds it again after a restart.
    pub(crate) fn stay(&mut self) {
        self.launch.listen = self.endpoints.api.strip_prefix("http://").map(str::to_owned);
    }

    /// Starts it and waits for nothing.
    pub(crate) fn begin(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        // What a killed one left would be taken for the new one's.
        let _ = std::fs::remove_file(self.data().join("endpoints.json"));
        let log =
            |name| File::options().create(true).append(true).open(self.scratch.path().join(name)).unwrap();
        let mut command = self.launch.command(&self.data());
        let child = command.stdout(log("out")).stderr(log("err")).spawn().unwrap();
        self.scratch.holds(Some(child.id()));
        self.child = Some(child);
    }

    /// Waits until it serves.
    pub(crate) async fn ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let path = self.data().join("endpoints.json");
        loop {
            if let Ok(text) = std::fs::read_to_string(&path) {
                self.endpoints = serde_json::from_str(&text).unwrap();
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "velocityd ended with {ended:?}: {}", self.stderr());
            assert!(Instant::now() < deadline, "velocityd does not get ready: {}", self.stderr());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it without any warning, as a crash does.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let status = self.ended().await;
        assert_eq!(status.signal(), Some(9));
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.ended().await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.process(), signal).unwrap();
    }

    fn process(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.as_ref().unwrap().id()).unwrap())
    }

    /// Waits for its end, however it comes.
    pub(crate) async fn forget(&mut self) {
        self.ended().await;
    }

    async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let mut child = self.child.take().unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child = Some(child);
                panic!("velocityd does not stop: {}", self.stderr());
            }
            sleep(Duration::from_millis(10)).await;
        };
        self.scratch.holds(None);
        status
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        let within = if self.launch.user.is_some() { "home" } else { "" };
        self.scratch.path().join(within).join(self.launch.data.as_deref().unwrap_or("data"))
    }

    /// A folder for a test's own files.
    pub(crate) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// What was printed so far, in all runs.
    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("out")).unwrap()
    }

    /// What was logged so far, in all runs.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("err")).unwrap()
    }

    /// The process id of the private Postgres.
    pub(crate) fn postgres_pid(&self) -> Pid {
        let text = std::fs::read_to_string(self.data().join("postgres/data/postmaster.pid")).unwrap();
        Pid::from_raw(text.lines().next().unwrap().trim().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "velocityd said:\n{}",
                std::fs::read_to_string(self.scratch.path().join("err")).unwrap_or_default()
            );
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            self.scratch.holds(None);
        }
    }
}

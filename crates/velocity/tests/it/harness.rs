//! A home of its own for each test, and runs of the binary in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use velocity_localkube::LocalKube;

use crate::fake_api::FakeApi;

/// A folder that is home and current folder at once.
pub(crate) struct Home {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Everything as one text, for snapshots.
    pub(crate) fn all(&self) -> String {
        format!("exit {}\n-- stdout\n{}-- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    /// Stdout of a run that went well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.all());
        self.stdout
    }

    pub(crate) fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A home whose context is that server.
    pub(crate) fn at(api: &FakeApi) -> Self {
        let home = Self::new();
        let server = format!(
            "currentContext: test\ncontexts:\n  - {{name: test, server: '{}', token: t0ken}}\n",
            api.url()
        );
        home.write(".velocity/config.yaml", &server);
        home
    }

    /// A home whose context is that server and that Kubernetes API.
    pub(crate) fn with_cluster(api: &FakeApi, cluster: &TestCluster) -> Self {
        let home = Self::at(api);
        home.write("kubeconfig", &cluster.kubeconfig);
        let kubeconfig = home.path("kubeconfig");
        let config = format!(
            "currentContext: test\ncontexts:\n  - {{name: test, server: '{}', token: t0ken, kubeconfig: '{}'}}\n",
            api.url(),
            kubeconfig.display()
        );
        home.write(".velocity/config.yaml", &config);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_velocity"));
        command
            .args(words(line))
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command line; words are separated by spaces, quotes keep them together.
    pub(crate) fn run(&self, line: &str) -> Run {
        self.command(line).output().unwrap().into()
    }

    pub(crate) fn run_with_env(&self, line: &str, name: &str, value: &str) -> Run {
        self.command(line).env(name, value).output().unwrap().into()
    }

    pub(crate) fn run_with_input(&self, line: &str, input: &[u8]) -> Run {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // A program that ends before it has read everything is what some tests are about.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().unwrap().into()
        })
    }

    pub(crate) fn start(&self, line: &str) -> Child {
        self.command(line).spawn().unwrap()
    }

    /// Hides what differs from run to run.
    pub(crate) fn steady(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "HOME")
    }
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A Kubernetes API on a port of its own, with our CRDs.
pub(crate) struct TestCluster {
    pub(crate) kubeconfig: String,
    url: String,
    runtime: tokio::runtime::Runtime,
    _folder: TempDir,
}

impl TestCluster {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let crds = velocity_contract::crd::all().into_iter().map(|(_, crd)| crd).collect();
        let url = runtime.block_on(async {
            let kube = LocalKube::open(&folder.path().join("kube.redb"), crds).unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { kube.serve(listener, None, std::future::pending()).await });
            url
        });
        Self { kubeconfig: velocity_localkube::kubeconfig(&url, None), url, runtime, _folder: folder }
    }

    /// Plays the operator: writes a status.
    pub(crate) fn set_status(&self, path: &str, status: &serde_json::Value) {
        let url = format!("{}{path}/status?fieldManager=operator", self.url);
        let body = serde_json::json!({ "status": status }).to_string();
        let reply = self.runtime.block_on(async {
            let request =
                reqwest::Client::new().patch(url).header("content-type", "application/merge-patch+json");
            request.body(body).send().await.unwrap()
        });
        assert!(reply.status().is_success(), "{:?}", reply.status());
    }

    pub(crate) fn get(&self, path: &str) -> Option<serde_json::Value> {
        let url = format!("{}{path}", self.url);
        self.runtime.block_on(async {
            let reply = reqwest::get(url).await.unwrap();
            if reply.status().is_success() { Some(reply.json().await.unwrap()) } else { None }
        })
    }
}

/// Waits for something that another process brings about.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what} never happened");
}

/// The path of a fixture beside the tests.
pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

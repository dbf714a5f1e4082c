//! The `velocity` command line.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use super::programs::{project, velocity};
use super::server::Server;

/// The command line on a server, in the project's root.
pub(crate) struct Cli {
    config: Option<PathBuf>,
    home: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Server {
    /// As the administrator of the server's own configuration.
    pub(crate) fn cli(&self) -> Cli {
        Cli { config: Some(self.data().join("config.yaml")), home: self.folder().to_owned() }
    }

    /// As somebody else.
    pub(crate) fn cli_as(&self, name: &str, token: &str) -> Cli {
        let config = std::fs::read_to_string(self.data().join("config.yaml")).unwrap();
        let kept: Vec<&str> =
            config.lines().filter(|line| !line.trim_start().starts_with("token:")).collect();
        let path = self.folder().join(format!("config-{name}.yaml"));
        std::fs::write(&path, format!("{}\n    token: {token}\n", kept.join("\n"))).unwrap();
        Cli { config: Some(path), home: self.folder().to_owned() }
    }
}

impl Server {
    /// With an API key instead of a token.
    pub(crate) fn cli_with_key(&self, name: &str, key: &str) -> Cli {
        let file = self.folder().join(format!("key-{name}"));
        std::fs::write(&file, key).unwrap();
        self.cli_in(name, &format!("apiKeyFile: {}", file.display()))
    }

    /// In a folder of its own, with this for a credential.
    pub(crate) fn cli_in(&self, name: &str, credential: &str) -> Cli {
        let home = self.folder().join(format!("home-{name}"));
        std::fs::create_dir(&home).unwrap();
        let path = home.join("config.yaml");
        let api = &self.endpoints().api;
        std::fs::write(
            &path,
            format!("currentContext: own\ncontexts:\n  - name: own\n    server: {api}\n    {credential}\n"),
        )
        .unwrap();
        Cli { config: Some(path), home }
    }
}

impl Cli {
    /// The command, with nothing of the environment that could change it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(velocity());
        command.args(arguments).current_dir(project()).env("HOME", &self.home).env_remove("VELOCITY_CONFIG");
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().await.unwrap())
    }

    /// Runs a command that reads `input`.
    pub(crate) async fn run_on(&self, input: &str, arguments: &[&str]) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that fails early reads no further.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        Ran::of(child.wait_with_output().await.unwrap())
    }

    /// Starts a command and lets it run.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }
}

impl Ran {
    pub(crate) fn of(output: std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed; it must have gone well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What it said on standard error; it must have ended with this code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self.stderr
    }
}

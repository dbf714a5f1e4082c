//! A temporary folder, and a server in it, that go away also when this process is killed.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Remembers the last process that it is told, and at the end of its input, which is the end of this process at the
/// latest, kills it and removes the folder. A Postgres in there may just be ending too, hence the repetition.
const JANITOR: &str = r#"
    pid=
    while read -r line; do pid=$line; done
    [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null
    n=0
    until rm -rf -- "$1" 2>/dev/null || [ $n -ge 200 ]; do n=$((n+1)); sleep 0.05; done
"#;

/// The folder.
pub(crate) struct Scratch {
    path: PathBuf,
    janitor: Child,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let path = tempfile::Builder::new().prefix("velocityd-test-").tempdir().unwrap().keep();
        // As root, Postgres runs as another user, who must be able to pass.
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let janitor = Command::new("/bin/sh")
            .args(["-c", JANITOR, "sh"])
            .arg(&path)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { path, janitor }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A process that must not outlive the folder; `None` once it has ended.
    pub(crate) fn holds(&mut self, pid: Option<u32>) {
        let line = pid.map_or_else(String::new, |pid| pid.to_string());
        writeln!(self.janitor.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The janitor does it, now: `wait` closes its input first.
        let _ = self.janitor.wait();
    }
}

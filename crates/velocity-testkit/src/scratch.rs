//! A temporary folder that goes away also when this process is killed.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Waits for the end of this process, seen as the end of its input, and removes the folder. The Postgres in there
/// may just be ending too, hence the repetition.
const JANITOR: &str =
    r#"read -r _; n=0; until rm -rf -- "$1" 2>/dev/null || [ $n -ge 100 ]; do n=$((n+1)); sleep 0.1; done"#;

pub(crate) struct Scratch {
    path: PathBuf,
    janitor: Child,
}

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        let path = tempfile::Builder::new().prefix("velocity-test-").tempdir()?.keep();
        // As root, Postgres runs as another user, who must be able to pass.
        fs::set_permissions(&path, Permissions::from_mode(0o711))?;
        let janitor = Command::new("/bin/sh")
            .args(["-c", JANITOR, "sh"])
            .arg(&path)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { path, janitor })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The janitor does it, now: `wait` closes its input first.
        let _ = self.janitor.wait();
    }
}

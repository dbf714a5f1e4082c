//! The operating system user that runs Postgres, which refuses to run as root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User, getegid, geteuid};

use crate::error::Error;

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) name: String,
    /// This process is root and starts Postgres as another user.
    pub(crate) drops_root: bool,
}

impl Account {
    /// Who is to run the cluster at `data`: this user, or for root its present owner, `postgres` or `nobody`.
    pub(crate) fn choose(data: &Path) -> Result<Self, Error> {
        let owner = fs::metadata(data).ok().map(|m| (m.uid(), m.gid()));
        let me = geteuid();
        if !me.is_root() {
            return match owner {
                Some((owner, _)) if owner != me.as_raw() => {
                    Err(Error::OwnedByOther { path: data.to_owned(), owner, me: me.as_raw() })
                }
                _ => Ok(Self { uid: me, gid: getegid(), name: name_of(me), drops_root: false }),
            };
        }
        if let Some((uid, gid)) = owner.filter(|(uid, _)| *uid != 0) {
            let uid = Uid::from_raw(uid);
            return Ok(Self { uid, gid: Gid::from_raw(gid), name: name_of(uid), drops_root: true });
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map(|user| Self { uid: user.uid, gid: user.gid, name: user.name, drops_root: true })
            .ok_or(Error::NoAccount)
    }

    /// A command run as this user, in a process group of its own so that Ctrl-C in a terminal is left to this
    /// process, and with nothing of our environment: variables such as `PGDATA` change what Postgres does.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C"), ("TZ", "UTC")])
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null());
        if self.drops_root {
            command.gid(self.gid.as_raw()).uid(self.uid.as_raw());
        }
        command
    }

    /// The first folder on the way to `path`, itself included, that this user may not enter.
    ///
    /// The kernel is asked, by a process of that user: mode bits alone do not tell (ACLs, mounts).
    pub(crate) fn barred_from(&self, path: &Path) -> Option<PathBuf> {
        if !self.drops_root || self.enters(path) {
            return None;
        }
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        ancestors.into_iter().find(|dir| !self.enters(dir)).map(Path::to_owned)
    }

    fn enters(&self, dir: &Path) -> bool {
        self.command("/bin/sh")
            .args(["-c", "cd -- \"$1\"", "sh"])
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

fn name_of(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

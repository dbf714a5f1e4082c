//! The folders of one private Postgres, and the lock on them.
//!
//! ```text
//! DATA_DIR/lock          held while a process uses the folder
//! DATA_DIR/postgres.log
//! DATA_DIR/data          the cluster, or a link to it (see below)
//! DATA_DIR/socket        0700: whoever may enter may log in
//! DATA_DIR/socket-dir    where the socket is instead when that path is too long for one
//! ```
//!
//! As root, `DATA_DIR` stays root's and the account that runs Postgres only passes through it, so that it can
//! plant nothing there for root to follow; `data` and `socket` are that account's. Where it cannot even pass
//! (a folder below `/root`), both are kept under `/var/lib/velocity`, and `data` is a link to there.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, fchown, mkdtemp};

use crate::account::Account;
use crate::error::Error;

/// Where clusters go whose data directory the account cannot reach; only root comes here.
const STATE_DIR: &str = "/var/lib/velocity";

/// A socket's path has at most 103 bytes on macOS (107 on Linux), `/.s.PGSQL.5432` and the final zero included.
const LONGEST_SOCKET_DIR: usize = 103 - "/.s.PGSQL.5432".len();

pub(crate) struct Layout {
    /// The caller's data directory, absolute.
    pub(crate) root: PathBuf,
    /// Where `data` and `socket` really are: `root`, except below folders that bar the account.
    home: PathBuf,
    pub(crate) account: Account,
    pub(crate) socket_dir: PathBuf,
    /// Releases the folder when dropped, and with the process at the latest.
    _lock: File,
}

impl Layout {
    pub(crate) fn prepare(data_dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(data_dir).map_err(Error::io("create the data directory", data_dir))?;
        let root = data_dir.canonicalize().map_err(Error::io("resolve", data_dir))?;
        let account = Account::choose(&root.join("data"))?;
        close_to_others(&root, &account)?;
        let lock = lock(&root)?;
        let home = home(&root, &account)?;
        let socket_dir = socket_dir(&root, &home, &account)?;
        Ok(Self { root, home, account, socket_dir, _lock: lock })
    }

    /// The cluster.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Where a cluster is made before it gets its name.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.home.join("data.unfinished")
    }

    /// The folder that holds `data` and `unfinished`.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// A sentence for the person who looks for the data, when it is not where they said.
    pub(crate) fn notice(&self) -> Option<String> {
        (self.home != self.root).then(|| {
            format!(
                "Postgres runs as the user `{}`, who cannot enter {}; its data is in {}",
                self.account.name,
                self.root.display(),
                self.data().display()
            )
        })
    }

    /// Removes socket files that a killed server left: Postgres would take a process that has its number now
    /// for the owner. Call only when no server runs here.
    pub(crate) fn remove_stale_sockets(&self) -> Result<(), Error> {
        for name in [".s.PGSQL.5432", ".s.PGSQL.5432.lock"] {
            remove_if_there(&self.socket_dir.join(name))?;
        }
        Ok(())
    }
}

impl Drop for Layout {
    /// Removes a socket folder that lies elsewhere; the next start makes another.
    fn drop(&mut self) {
        if self.socket_dir.parent() != Some(&self.home) && fs::remove_dir(&self.socket_dir).is_ok() {
            // Without the folder the record only names a place that anyone may take.
            let _ = fs::remove_file(self.root.join(SOCKET_RECORD));
        }
    }
}

/// Makes `path` a folder that the account alone may use.
pub(crate) fn make_private(path: &Path, account: &Account) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("create", path)(error)),
    }
    let dir = open_dir(path)?;
    let owner = dir.metadata().map_err(Error::io("read", path))?.uid();
    if owner != account.uid.as_raw() {
        // Root's own, just made or left by a start that was interrupted here; never somebody else's.
        if !account.drops_root || owner != 0 {
            return Err(Error::Tampered {
                path: path.to_owned(),
                reason: format!("it belongs to the user with id {owner}, not to `{}`", account.name),
            });
        }
        give(&dir, path, account.uid, account.gid)?;
    }
    dir.set_permissions(Permissions::from_mode(0o700)).map_err(Error::io("set the mode of", path))
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn open_dir(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY).bits())
        .open(path)
        .map_err(Error::io("open the folder", path))
}

fn give(dir: &File, path: &Path, uid: Uid, gid: Gid) -> Result<(), Error> {
    fchown(dir, Some(uid), Some(gid)).map_err(|errno| Error::io("change the owner of", path)(errno.into()))
}

/// As root: root's, and passable for the account's group. Else, or when the account already owns it: private.
fn close_to_others(root: &Path, account: &Account) -> Result<(), Error> {
    let dir = open_dir(root)?;
    let owner = dir.metadata().map_err(Error::io("read", root))?.uid();
    let mode = if account.drops_root && owner != account.uid.as_raw() {
        give(&dir, root, Uid::from_raw(0), account.gid)?;
        0o710
    } else {
        0o700
    };
    dir.set_permissions(Permissions::from_mode(mode)).map_err(Error::io("set the mode of", root))
}

/// Much longer than any fork takes to become a program of its own.
const LOCK_LINGERS: Duration = Duration::from_millis(500);

fn lock(root: &Path) -> Result<File, Error> {
    let path = root.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path)
        .map_err(Error::io("open", &path))?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A process that was forked while the lock was held shares it until it runs its own program.
            Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_LINGERS => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { data_dir: root.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
    }
}

fn home(root: &Path, account: &Account) -> Result<PathBuf, Error> {
    let data = root.join("data");
    let home = match fs::read_link(&data) {
        Ok(target) => {
            let home = target.parent().map(Path::to_owned).unwrap_or_default();
            if home.parent() != Some(Path::new(STATE_DIR)) {
                let reason = format!("it is a link to {}, which is not below {STATE_DIR}", target.display());
                return Err(Error::Tampered { path: data, reason });
            }
            home
        }
        // Not a link (EINVAL) or not there.
        Err(_) => match account.barred_from(root) {
            None => root.to_owned(),
            Some(blocked_by) if data.exists() => return Err(not_reachable(account, root, blocked_by)),
            Some(_) => elsewhere(&data, account)?,
        },
    };
    match account.barred_from(&home) {
        None => Ok(home),
        Some(blocked_by) => Err(not_reachable(account, &home, blocked_by)),
    }
}

fn not_reachable(account: &Account, path: &Path, blocked_by: PathBuf) -> Error {
    Error::NotReachable { account: account.name.clone(), path: path.to_owned(), blocked_by }
}

/// Makes a home under [`STATE_DIR`] and links `data` to the cluster-to-be.
fn elsewhere(data: &Path, account: &Account) -> Result<PathBuf, Error> {
    let state_dir = Path::new(STATE_DIR);
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(state_dir)
        .map_err(Error::io("create", state_dir))?;
    // Explicitly, since the umask of a careful root would bar the account here too.
    fs::set_permissions(state_dir, Permissions::from_mode(0o755))
        .map_err(Error::io("set the mode of", state_dir))?;
    let home = temporary_dir(state_dir, "postgres-")?;
    close_to_others(&home, account)?;
    symlink(home.join("data"), data).map_err(Error::io("create the link", data))?;
    Ok(home)
}

const SOCKET_RECORD: &str = "socket-dir";

fn socket_dir(root: &Path, home: &Path, account: &Account) -> Result<PathBuf, Error> {
    let usual = home.join("socket");
    if can_name_a_socket(&usual) {
        make_private(&usual, account)?;
        return Ok(usual);
    }
    let record = root.join(SOCKET_RECORD);
    if let Some(dir) = recorded_socket_dir(&record, account) {
        return Ok(dir);
    }
    let dir = temporary_dir(short_base(account), "velocity-")?;
    make_private(&dir, account)?;
    // The record of an earlier boot may still be there; a link in its place is never written through.
    remove_if_there(&record)?;
    fs::write(&record, dir.as_os_str().as_bytes()).map_err(Error::io("write", &record))?;
    Ok(dir)
}

/// Short enough, and such that a libpq URL (commas separate hosts) and a Postgres setting can say it.
fn can_name_a_socket(dir: &Path) -> bool {
    dir.as_os_str().len() <= LONGEST_SOCKET_DIR
        && dir.to_str().is_some_and(|text| !text.contains(|c: char| c == ',' || c.is_control()))
}

/// The folder that an earlier start made, if it is still what that start made it.
fn recorded_socket_dir(record: &Path, account: &Account) -> Option<PathBuf> {
    let dir = PathBuf::from(fs::read_to_string(record).ok()?);
    let found = fs::symlink_metadata(&dir).ok()?;
    let ours = dir.parent() == Some(short_base(account))
        && found.is_dir()
        && found.uid() == account.uid.as_raw()
        && found.mode() & 0o7777 == 0o700;
    (ours && can_name_a_socket(&dir)).then_some(dir)
}

/// A short folder where this account may make others: the one of its login session, else `/tmp`.
fn short_base(account: &Account) -> &'static Path {
    static SESSION: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let session = SESSION.get_or_init(|| PathBuf::from(format!("/run/user/{}", Uid::effective())));
    let usable = !account.drops_root
        && fs::symlink_metadata(session)
            .is_ok_and(|m| m.is_dir() && m.uid() == account.uid.as_raw() && m.mode() & 0o300 == 0o300);
    if usable { session } else { Path::new("/tmp") }
}

fn temporary_dir(base: &Path, prefix: &str) -> Result<PathBuf, Error> {
    mkdtemp(&base.join(format!("{prefix}XXXXXX")))
        .map_err(|errno| Error::io("create a folder in", base)(io::Error::from(errno)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_a_url_or_the_system_cannot_name_is_not_used_for_the_socket() {
        assert!(can_name_a_socket(Path::new("/home/a b/it's \"here\"/socket")));
        assert!(!can_name_a_socket(Path::new("/a,b/socket")));
        assert!(!can_name_a_socket(Path::new("/a\nb/socket")));
        assert!(!can_name_a_socket(&Path::new("/").join("x".repeat(LONGEST_SOCKET_DIR))));
        assert!(!can_name_a_socket(Path::new(std::ffi::OsStr::from_bytes(b"/\xff/socket"))));
    }

    #[test]
    fn a_socket_folder_that_others_may_enter_is_not_taken_up_again() {
        let account = Account { drops_root: false, ..Account::choose(Path::new("/nonexistent")).unwrap() };
        let account = Account { uid: Uid::effective(), ..account };
        let dir = temporary_dir(short_base(&account), "velocity-").unwrap();
        let record_dir = tempfile::tempdir().unwrap();
        let record = record_dir.path().join(SOCKET_RECORD);
        fs::write(&record, dir.as_os_str().as_bytes()).unwrap();

        assert_eq!(recorded_socket_dir(&record, &account).as_deref(), Some(dir.as_path()));
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(recorded_socket_dir(&record, &account), None);

        fs::remove_dir(&dir).unwrap();
        symlink("/", &dir).unwrap();
        assert_eq!(recorded_socket_dir(&record, &account), None);
        fs::remove_file(&dir).unwrap();
    }
}

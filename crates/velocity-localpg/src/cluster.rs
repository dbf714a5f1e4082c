//! Making a cluster, whole or not at all.

use std::fs::{self, File};
use std::path::Path;
use std::process::Output;

use nix::sys::signal::Signal;

use crate::binaries::Binaries;
use crate::error::Error;
use crate::layout::{Layout, make_private};
use crate::lifeline;
use crate::options::{Durability, Options, Progress};

/// Character classes to try, best first; `C` alone knows no letters beyond ASCII. Sorting is always by code
/// point, so that no update of the system can break an index.
const CHARACTER_TYPES: [&str; 3] = ["C.UTF-8", "en_US.UTF-8", "C"];

/// The major version of the cluster, when there is one.
pub(crate) fn major(data: &Path) -> Result<Option<u32>, Error> {
    let path = data.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Runs `initdb` unless the cluster is there.
///
/// It works beside the final name, which the result gets when it is complete and on disk: whatever has the
/// name is a whole cluster.
pub(crate) fn ensure(layout: &Layout, binaries: &Binaries, options: &Options) -> Result<(), Error> {
    let data = layout.data();
    if data.exists() {
        return Ok(());
    }
    options.progress.report(Progress::Initialising);
    tracing::debug!(path = %data.display(), version = %binaries.version, "making a cluster");
    let unfinished = layout.unfinished();
    let mut failure = None;
    for character_type in CHARACTER_TYPES {
        remove(&unfinished)?;
        make_private(&unfinished, &layout.account)?;
        let output = initdb(layout, binaries, options, character_type)?;
        if output.status.success() {
            if options.durability == Durability::Full {
                flush(&unfinished)?;
            }
            fs::rename(&unfinished, &data).map_err(Error::io("name the new cluster", &data))?;
            let home = File::open(layout.home()).map_err(Error::io("open", layout.home()))?;
            return home.sync_all().map_err(Error::io("write to disk", layout.home()));
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        let locale_is_missing = said.contains("locale");
        failure.get_or_insert(Error::Initdb { status: output.status, output: said });
        if !locale_is_missing {
            break;
        }
    }
    remove(&unfinished)?;
    Err(failure.unwrap_or(Error::Interrupted))
}

fn initdb(
    layout: &Layout,
    binaries: &Binaries,
    options: &Options,
    character_type: &str,
) -> Result<Output, Error> {
    let program = binaries.initdb();
    let mut command = layout.account.command(&program);
    command.arg("-D").arg(layout.unfinished()).args([
        "--username",
        &options.superuser,
        "--encoding=UTF8",
        "--locale=C",
        &format!("--lc-ctype={character_type}"),
        "--data-checksums",
        "--auth-local=trust",
        "--auth-host=reject",
    ]);
    if CAN_FLUSH_AT_ONCE || options.durability == Durability::None {
        command.arg("--no-sync");
    }
    // Without this process nobody would use the result.
    lifeline::tie(&mut command, Signal::SIGKILL);
    command.output().map_err(Error::io("run", &program))
}

/// One system call for a whole file system. `initdb` asks for each of a thousand files, which takes seconds.
const CAN_FLUSH_AT_ONCE: bool = cfg!(target_os = "linux");

#[cfg(target_os = "linux")]
fn flush(cluster: &Path) -> Result<(), Error> {
    let dir = File::open(cluster).map_err(Error::io("open", cluster))?;
    nix::unistd::syncfs(&dir).map_err(|errno| Error::io("write to disk", cluster)(errno.into()))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape as on Linux")]
fn flush(_cluster: &Path) -> Result<(), Error> {
    Ok(())
}

fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

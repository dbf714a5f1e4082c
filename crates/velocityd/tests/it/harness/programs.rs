//! Where the binaries and the project are.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The server, built by cargo for these tests.
pub(crate) fn velocityd() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_velocityd"))
}

/// The command line, which belongs to another crate: cargo does not build it for these tests.
pub(crate) fn velocity() -> &'static Path {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = velocityd().with_file_name("velocity");
        assert!(path.is_file(), "{} is missing; build it first: cargo build -p velocity", path.display());
        path
    });
    &FOUND
}

/// The root of the project.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// kubectl, where it is installed. Says loudly what is skipped where it is not.
pub(crate) fn kubectl() -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("kubectl"))
        .find(|path| path.is_file());
    if found.is_none() {
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        eprintln!("SKIPPED: kubectl is not installed; {name} did not check what it shows");
    }
    found
}

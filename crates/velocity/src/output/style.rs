//! Colours, on a terminal only.

use anstream::{AutoStream, ColorChoice};

/// Whether a stream shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Color(bool);

/// Whether stdout does: a terminal, and neither `NO_COLOR` nor `TERM=dumb`.
pub(crate) fn for_stdout() -> Color {
    Color(AutoStream::choice(&std::io::stdout()) != ColorChoice::Never)
}

/// Whether stderr does.
pub(crate) fn for_stderr() -> Color {
    Color(AutoStream::choice(&std::io::stderr()) != ColorChoice::Never)
}

/// No colours, for tests.
#[cfg(test)]
pub(crate) fn none() -> Color {
    Color(false)
}

impl Color {
    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// A word that says how something is, in the colour that people expect.
    pub(crate) fn state(self, word: &str) -> String {
        match word {
            "Ready" | "True" | "ready" | "ok" => self.paint("32", word),
            "Failed" | "failed" | "unreachable" | "not ready" => self.paint("31", word),
            "Provisioning" | "Terminating" | "Blocked" | "Drifted" => self.paint("33", word),
            _ => word.to_owned(),
        }
    }
}

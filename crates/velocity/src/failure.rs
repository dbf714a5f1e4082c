//! How a command ends when it does not end well: an exit code, a sentence, and the way out.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::output::style::Color;

/// The exit codes, as documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything that has no code of its own.
    Failed = 1,
    /// The command line, or what it names, makes no sense.
    Usage = 2,
    /// What was asked for is not there.
    NotFound = 3,
    /// The caller may not.
    Denied = 4,
    /// Somebody else was there first.
    Conflict = 5,
    /// Nobody answers, or not now.
    Unavailable = 6,
}

impl Exit {
    /// The code that an HTTP status of an error means.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Denied,
            404 | 410 => Self::NotFound,
            409 | 422 => Self::Conflict,
            429 | 502..=504 => Self::Unavailable,
            _ => Self::Failed,
        }
    }
}

/// What a command gives.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not do what it should.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Option<Exit>,
    message: String,
    details: Vec<String>,
    help: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit: Some(exit), message: message.into(), details: Vec::new(), help: None }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// A failure whose story is on the screen already.
    pub(crate) fn told() -> Self {
        Self::failed("")
    }

    /// What to do about it.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// One line each, below the sentence.
    pub(crate) fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// Puts what was being done before the sentence.
    pub(crate) fn while_doing(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The same with another code, for commands whose codes are their own.
    pub(crate) fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = self.exit.map(|_| exit);
        self
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        self.exit
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether it says what to do.
    pub(crate) fn has_help(&self) -> bool {
        self.help.is_some()
    }

    /// The sentence and its details, for tests.
    #[cfg(test)]
    pub(crate) fn all(&self) -> String {
        format!("{}\n{}", self.message, self.details.join("\n"))
    }

    /// Tells the person, and gives the process its code.
    pub(crate) fn report(&self, color: Color) -> ExitCode {
        // The reader of our output went away, as `| head` does: that is no failure.
        let Some(exit) = self.exit else { return ExitCode::SUCCESS };
        if !self.message.is_empty() {
            let mut text = format!("{}: {}\n", color.red("error"), self.message);
            for detail in &self.details {
                let _ = writeln!(text, "  {detail}");
            }
            if let Some(help) = &self.help {
                let _ = writeln!(text, "{}: {help}", color.cyan("help"));
            }
            // When stderr is closed there is nobody left to tell.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        }
        ExitCode::from(exit as u8)
    }
}

/// For what is written to stdout.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { exit: None, message: String::new(), details: Vec::new(), help: None };
        }
        Self::failed(format!("the output cannot be written: {error}"))
    }
}

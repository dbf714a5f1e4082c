//! What commands print.

pub(crate) mod ask;
pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod jsonpath;
pub(crate) mod operations;
pub(crate) mod progress;
pub(crate) mod style;
pub(crate) mod table;
mod yaml;

use std::io::Write;

use format::Format;
use json::Json;
use style::Color;
use table::Table;

use crate::failure::Outcome;

/// Where results go and in which form.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    /// The form that was asked for.
    pub(crate) format: Option<Format>,
    /// Results only.
    pub(crate) quiet: bool,
    /// For stdout.
    pub(crate) color: Color,
}

impl Out {
    pub(crate) fn new(format: Option<Format>, quiet: bool) -> Self {
        Self { format, quiet, color: style::for_stdout() }
    }

    /// Whether the answer is for a program.
    pub(crate) fn is_structured(&self) -> bool {
        self.format.as_ref().is_some_and(Format::is_structured)
    }

    pub(crate) fn is_wide(&self) -> bool {
        self.format == Some(Format::Wide)
    }

    /// Writes text as it is.
    #[expect(clippy::unused_self, reason = "whoever writes holds the one thing that may")]
    pub(crate) fn text(&self, text: &str) -> Outcome {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Writes one line.
    pub(crate) fn line(&self, line: &str) -> Outcome {
        self.text(&format!("{line}\n"))
    }

    /// Writes a line that says what was done, unless only results are wanted.
    pub(crate) fn said(&self, line: &str) -> Outcome {
        if self.quiet { Ok(()) } else { self.line(line) }
    }

    /// Writes a line for people, beside the results.
    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            // When stderr is closed there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    pub(crate) fn table(&self, table: &Table) -> Outcome {
        self.text(&table.render())
    }

    /// Writes a value in the structured form that was asked for; JSON where none was.
    pub(crate) fn value(&self, value: &Json) -> Outcome {
        match &self.format {
            Some(Format::Yaml) => self.text(&yaml::render(value)),
            Some(Format::JsonPath(template)) => {
                let text = template.render(value);
                if text.ends_with('\n') { self.text(&text) } else { self.line(&text) }
            }
            _ => self.line(&value.pretty()),
        }
    }

    /// Writes a value that serde knows.
    pub(crate) fn serialized<T: serde::Serialize>(&self, value: &T) -> Outcome {
        self.value(&Json::of(value)?)
    }
}

//! Questions, on a terminal only.

use std::io::{IsTerminal, Write};

use crate::failure::Outcome;

/// Whether there is a person to ask.
pub(crate) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks, and takes only a clear yes for one.
pub(crate) fn yes(question: &str) -> Outcome<bool> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Yes", " YES "].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "yeah", "1", "yes please"].into_iter().any(is_yes));
    }
}

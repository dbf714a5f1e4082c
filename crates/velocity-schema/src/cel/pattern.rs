//! Patterns of `matches`: compiled when the rule is, and matched byte by byte so that the budget can stop them.
//!
//! A lazy DFA is fast as long as its states are known and slow where each byte makes a new one (`[01]*1[01]{100}`), so
//! both are paid for: each byte, and each transition that has to be computed.

use std::collections::HashSet;
use std::error::Error;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Input, MatchKind};

use super::EvaluationError;
use super::eval::budget::Budget;

/// Longest pattern in bytes: a thousand Unicode classes take noticeable time to compile.
const TEXT_MAX: usize = 1_000;
/// Most bytes of a compiled pattern.
const COMPILED_MAX: usize = 128 * 1024;
/// Bytes of states that are remembered while an expression runs.
const CACHE_BYTES: usize = 128 * 1024;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    dfa: DFA,
    states: u64,
}

impl Pattern {
    /// Compiles a pattern of the linear-time dialect, or says what is wrong with it.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        if source.len() > TEXT_MAX {
            return Err(format!("has more than {TEXT_MAX} bytes"));
        }
        let config =
            thompson::Config::new().nfa_size_limit(Some(COMPILED_MAX)).which_captures(WhichCaptures::None);
        let nfa = thompson::Compiler::new().configure(config).build(source).map_err(|e| explain(&e))?;
        let states = nfa.states().len() as u64;
        let config = Config::new()
            .match_kind(MatchKind::All)
            .cache_capacity(CACHE_BYTES)
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder()
            .configure(config)
            .build_from_nfa(nfa)
            .map_err(|_| "has `\\b`, which knows ASCII only here; write `(?-u:\\b)`".to_owned())?;
        Ok(Self { source: source.to_owned(), dfa, states })
    }

    /// The text that it was compiled from.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The price of matching a text of that many bytes: some hundred transitions are computed, the others are known.
    pub(super) fn price(&self, bytes: u64) -> u64 {
        self.miss().saturating_mul(bytes.min(200) + 2).saturating_add(bytes / 2)
    }

    /// The price of computing a transition.
    fn miss(&self) -> u64 {
        1 + self.states / 16
    }
}

fn explain(error: &thompson::BuildError) -> String {
    if error.size_limit().is_some() {
        return "is too large once compiled; use smaller repetitions".into();
    }
    let text = error
        .source()
        .and_then(Error::source)
        .or(error.source())
        .map_or_else(|| error.to_string(), ToString::to_string);
    let line = text.lines().last().unwrap_or_default().trim();
    format!("is not a regular expression: {}", line.trim_start_matches("error: "))
}

/// What one evaluation remembers about a pattern.
pub(super) struct Matcher<'a> {
    pattern: &'a Pattern,
    cache: Cache,
    /// The transitions that have been computed since the cache was last cleared.
    known: HashSet<(LazyStateID, u8)>,
    cleared: usize,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(pattern: &'a Pattern) -> Self {
        Self { pattern, cache: pattern.dfa.create_cache(), known: HashSet::new(), cleared: 0 }
    }

    /// Whether it is for this very pattern.
    pub(super) fn is_for(&self, pattern: &Pattern) -> bool {
        std::ptr::eq(self.pattern, pattern)
    }

    /// Whether the pattern is found anywhere in the text.
    pub(super) fn is_match(&mut self, text: &str, budget: &mut Budget) -> Result<bool, EvaluationError> {
        let dfa = &self.pattern.dfa;
        let stopped = |_| EvaluationError::Failed("the pattern cannot be matched".into());
        budget.spend(self.pattern.miss())?;
        let mut state = dfa
            .start_state_forward(&mut self.cache, &Input::new(text))
            .map_err(|_| EvaluationError::Failed("the pattern cannot be matched".into()))?;
        for (at, byte) in text.bytes().enumerate() {
            if at % 2 == 0 {
                budget.spend(1)?;
            }
            self.pay_if_new(state, byte, budget)?;
            state = dfa.next_state(&mut self.cache, state, byte).map_err(stopped)?;
            if state.is_match() {
                return Ok(true);
            }
            if state.is_dead() {
                return Ok(false);
            }
        }
        budget.spend(self.pattern.miss())?;
        let end = dfa.next_eoi_state(&mut self.cache, state).map_err(stopped)?;
        Ok(end.is_match())
    }

    fn pay_if_new(
        &mut self,
        state: LazyStateID,
        byte: u8,
        budget: &mut Budget,
    ) -> Result<(), EvaluationError> {
        if self.cleared != self.cache.clear_count() {
            self.cleared = self.cache.clear_count();
            self.known.clear();
        }
        let class = self.pattern.dfa.byte_classes().get(byte);
        if self.known.insert((state, class)) { budget.spend(self.pattern.miss()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::parse(pattern).unwrap();
        Matcher::new(&pattern).is_match(text, &mut Budget::of(u64::MAX, u64::MAX)).unwrap()
    }

    #[test]
    fn a_pattern_that_makes_a_state_of_every_byte_is_stopped() {
        let pattern = Pattern::parse("[01]*1[01]{100}x").unwrap();
        let mut seed = 1_u64;
        let text: String = (0..1_000_000)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if seed >> 63 == 0 { '0' } else { '1' }
            })
            .collect();
        let mut budget = Budget::of(100_000, u64::MAX);
        assert_eq!(Matcher::new(&pattern).is_match(&text, &mut budget), Err(EvaluationError::BudgetExceeded));
    }

    #[test]
    fn patterns_that_would_eat_memory_or_time_are_refused() {
        for pattern in
            ["(a{1000}){1000}", "((\\pL{100}){100}){100}", "(", &"\\pL".repeat(400), "a{99999999}", "\\bx"]
        {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        assert!(
            matches("(?-u:\\b)x", "a x") && matches("", "") && matches("a$", "ba") && !matches("^a", "ba")
        );
    }

    proptest! {
        #[test]
        fn a_text_matches_where_the_regex_crate_says_so(
            pattern in "\\^?([ab.]|\\[a-cé\\]|\\(a\\|b\\)|\\\\d|é|\\(\\?i\\)a){1,5}[*+?]?\\$?", text in "[abcé1AB\\n]{0,12}",
        ) {
            let theirs = regex::Regex::new(&pattern).unwrap();
            prop_assert_eq!(matches(&pattern, &text), theirs.is_match(&text));
        }
    }
}

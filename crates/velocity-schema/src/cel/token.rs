//! The tokens of an expression and the bounds that are checked before any parser sees it.
//!
//! The parser and everything after it recurse over the expression. These bounds, checked in one loop, are what keeps
//! that recursion shallow; see [`super::parse`] for the stack that they are proven against.

use super::{ExpressionError, NESTING_MAX, SOURCE_MAX};

/// Most tokens: a list of a thousand codes and some conditions fit.
const TOKENS_MAX: usize = 4_096;
/// Most operators, selections, calls and indexes in a row without a bracket, `,`, `&&` or `||`.
const CHAIN_MAX: u32 = 64;
/// Most `? :` in a row.
const CONDITIONALS_MAX: u32 = 16;

/// What a token is, as far as the bounds and the error messages need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Word,
    Number,
    Literal,
    Symbol,
}

/// A token and where it stands, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Symbols of two characters; each other symbol is one.
const PAIRS: [&str; 6] = ["==", "!=", "<=", ">=", "&&", "||"];
const SINGLES: &str = "<>+-*/%!.,:?()[]{}";

/// The tokens of the expression, or the bound that it breaks.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, ExpressionError> {
    if source.len() > SOURCE_MAX {
        return Err(ExpressionError::at(
            source,
            0,
            format!("an expression has at most {SOURCE_MAX} bytes, this one has {}", source.len()),
        ));
    }
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = skip_blank(source, at) {
        let token = token(source, next)?;
        if found.len() == TOKENS_MAX {
            return Err(ExpressionError::at(
                source,
                next,
                format!("an expression has at most {TOKENS_MAX} tokens; split it into several rules"),
            ));
        }
        at = token.end;
        found.push(token);
    }
    if found.is_empty() {
        return Err(ExpressionError::at(source, 0, "the expression is empty"));
    }
    check_shape(source, &found)?;
    Ok(found)
}

fn skip_blank(source: &str, mut at: usize) -> Option<usize> {
    loop {
        let rest = source.get(at..)?;
        let trimmed = rest.trim_start_matches(['\t', ' ', '\r', '\n', '\u{c}']);
        at += rest.len() - trimmed.len();
        if trimmed.starts_with("//") {
            at += trimmed.find('\n').unwrap_or(trimmed.len());
        } else {
            return (!trimmed.is_empty()).then_some(at);
        }
    }
}

fn token(source: &str, start: usize) -> Result<Token, ExpressionError> {
    let rest = &source[start..];
    let made = |kind, length: usize| Ok(Token { kind, start, end: start + length });
    let word = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let first = rest.as_bytes().first().copied().unwrap_or(b' ');
    if let Some(quoted) = quoted_length(source, start)? {
        return made(TokenKind::Literal, quoted);
    }
    if first.is_ascii_digit() || (first == b'.' && rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit)) {
        return made(TokenKind::Number, number_length(rest));
    }
    if word > 0 {
        return made(TokenKind::Word, word);
    }
    if PAIRS.iter().any(|pair| rest.starts_with(pair)) {
        return made(TokenKind::Symbol, 2);
    }
    if SINGLES.as_bytes().contains(&first) {
        return made(TokenKind::Symbol, 1);
    }
    let unknown = rest.chars().next().unwrap_or(' ');
    let hint = match unknown {
        '=' => "; equality is `==`",
        '&' => "; and is `&&`",
        '|' => "; or is `||`",
        '`' => "; a key with special characters is `x['key']`",
        _ => "",
    };
    Err(ExpressionError::at(source, start, format!("`{}` has no meaning here{hint}", unknown.escape_debug())))
}

fn number_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let sign_of_exponent = matches!(byte, b'+' | b'-')
            && matches!(bytes.get(at.wrapping_sub(1)), Some(b'e' | b'E'))
            && !rest.starts_with("0x");
        let point = *byte == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !(byte.is_ascii_alphanumeric() || sign_of_exponent || point) {
            break;
        }
        at += 1;
    }
    at
}

/// The length of the string or bytes literal that starts here, prefix and quotes included.
fn quoted_length(source: &str, start: usize) -> Result<Option<usize>, ExpressionError> {
    let rest = &source[start..];
    let prefix = rest.bytes().take_while(|b| matches!(b, b'r' | b'R' | b'b' | b'B')).count();
    let Some(quote) = rest.as_bytes().get(prefix).filter(|b| matches!(b, b'"' | b'\'')) else {
        return Ok(None);
    };
    if prefix > 2 {
        return Ok(None);
    }
    let raw = rest[..prefix].contains(['r', 'R']);
    let one = char::from(*quote).to_string();
    let triple = one.repeat(3);
    let long = rest[prefix..].starts_with(&triple);
    let end = if long { triple.as_str() } else { one.as_str() };
    let mut at = prefix + end.len();
    loop {
        let tail = rest.get(at..).unwrap_or_default();
        if tail.starts_with(end) {
            return Ok(Some(at + end.len()));
        }
        match tail.chars().next() {
            Some('\\') if !raw => at += 1 + tail[1..].chars().next().map_or(0, char::len_utf8),
            Some('\n' | '\r') if !long => break,
            Some(other) => at += other.len_utf8(),
            None => break,
        }
    }
    Err(ExpressionError::at(source, start, "this text has no closing quote"))
}

/// An open bracket and what has been counted in it.
struct Open {
    start: usize,
    close: &'static str,
    chain: u32,
    conditionals: u32,
}

fn check_shape(source: &str, tokens: &[Token]) -> Result<(), ExpressionError> {
    let mut open = vec![Open { start: 0, close: "", chain: 0, conditionals: 0 }];
    for token in tokens {
        let text = &source[token.start..token.end];
        let is_operator = token.kind == TokenKind::Symbol || text == "in";
        let depth = open.len();
        let Some(level) = open.last_mut() else { break };
        match text {
            _ if !is_operator => {}
            "(" | "[" | "{" => {
                level.chain += 1;
                if depth > NESTING_MAX {
                    let message = format!("brackets nest at most {NESTING_MAX} deep");
                    return Err(ExpressionError::at(source, token.start, message));
                }
                let close = if text == "(" {
                    ")"
                } else if text == "[" {
                    "]"
                } else {
                    "}"
                };
                open.push(Open { start: token.start, close, chain: 0, conditionals: 0 });
            }
            ")" | "]" | "}" => {
                if level.close != text {
                    return Err(ExpressionError::at(
                        source,
                        token.start,
                        format!("this `{text}` closes nothing"),
                    ));
                }
                open.pop();
            }
            "," => (level.chain, level.conditionals) = (0, 0),
            "&&" | "||" | ":" => level.chain = 0,
            "?" => (level.chain, level.conditionals) = (0, level.conditionals + 1),
            _ => level.chain += 1,
        }
        if open.last().is_some_and(|level| level.chain > CHAIN_MAX || level.conditionals > CONDITIONALS_MAX) {
            let message = format!(
                "at most {CHAIN_MAX} operators stand in a row, and {CONDITIONALS_MAX} `? :`; split the expression"
            );
            return Err(ExpressionError::at(source, token.start, message));
        }
    }
    match open.last() {
        Some(level) if open.len() > 1 => {
            let bracket = &source[level.start..=level.start];
            Err(ExpressionError::at(source, level.start, format!("this `{bracket}` is never closed")))
        }
        _ => Ok(()),
    }
}

/// Where the token after `offset` starts: the name after a `.`.
pub(super) fn after(tokens: &[Token], offset: usize) -> usize {
    tokens.get(tokens.partition_point(|token| token.start <= offset)).map_or(offset, |token| token.start)
}

/// Where the token before `offset` starts: the name before a `(`.
pub(super) fn before(tokens: &[Token], offset: usize) -> usize {
    let index = tokens.partition_point(|token| token.start < offset);
    index.checked_sub(1).and_then(|index| tokens.get(index)).map_or(offset, |token| token.start)
}

/// The token that starts at `offset`.
pub(super) fn at(tokens: &[Token], offset: usize) -> Option<&Token> {
    let index = tokens.partition_point(|token| token.start < offset);
    tokens.get(index).filter(|token| token.start == offset)
}

//! From text to a template.

use super::{Comparison, Part, Step};
use crate::output::json::Json;

/// Parses a whole template. Without any brace the text is one path, as kubectl takes it.
pub(super) fn template(text: &str) -> Result<Vec<Part>, String> {
    if !text.contains('{') {
        return Ok(vec![Part::Path(path(text)?)]);
    }
    // Each open `{range}` keeps what stood before it.
    let mut open: Vec<(Vec<Step>, Vec<Part>)> = Vec::new();
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        if start > 0 {
            parts.push(Part::Text(rest[..start].to_owned()));
        }
        let inside = &rest[start + 1..];
        let end = closing(inside, '}').ok_or_else(|| format!("`{{{inside}` is never closed"))?;
        let expression = inside[..end].trim();
        rest = &inside[end + 1..];
        if let Some(list) = expression.strip_prefix("range ") {
            open.push((path(list)?, std::mem::take(&mut parts)));
        } else if expression == "end" {
            let (list, before) = open.pop().ok_or("{end} without {range …}")?;
            let body = std::mem::replace(&mut parts, before);
            parts.push(Part::Range(list, body));
        } else if expression.starts_with(['"', '\'']) {
            parts.push(Part::Text(literal_text(expression)?));
        } else {
            parts.push(Part::Path(path(expression)?));
        }
    }
    if !open.is_empty() {
        return Err("{range …} without {end}".to_owned());
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

/// The position of the first `close` outside quotes.
fn closing(text: &str, close: char) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            _ if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if c == close => return Some(at),
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(_) | None => {}
        }
    }
    None
}

/// A path: `.a.b[0]`, with or without `$` or `@` in front.
fn path(text: &str) -> Result<Vec<Step>, String> {
    let text = text.trim();
    let mut rest = text.strip_prefix(['$', '@']).unwrap_or(text);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            let (name, after) = name(after);
            steps.push(Step::Anywhere(name));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = bracket(after).ok_or_else(|| format!("`[{after}` is no closed […]"))?;
            steps.push(subscript(after[..end].trim())?);
            rest = &after[end + 1..];
        } else if let Some(after) = rest.strip_prefix('.') {
            let (name, after) = name(after);
            match name.as_str() {
                "*" => steps.push(Step::All),
                // `{.}` is the value itself.
                "" => {}
                _ => steps.push(Step::Member(name)),
            }
            rest = after;
        } else {
            return Err(format!("`{text}` is no path: it begins with a dot, such as {{.metadata.name}}"));
        }
    }
    Ok(steps)
}

/// The position of the `]` that ends a subscript; a filter may hold brackets of its own.
fn bracket(text: &str) -> Option<usize> {
    if text.starts_with("?(") {
        return closing(text, ')').filter(|end| text[end + 1..].starts_with(']')).map(|end| end + 1);
    }
    closing(text, ']')
}

/// A member's name up to the next step; a backslash keeps the character after it.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => name.extend(characters.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[at..]),
            c => name.push(c),
        }
    }
    (name, "")
}

fn subscript(text: &str) -> Result<Step, String> {
    let number = |text: &str| {
        text.trim().parse::<i64>().map_err(|_| format!("`{text}` in […] is no number, 'name', * or ?(…)"))
    };
    if text == "*" {
        return Ok(Step::All);
    }
    if text.starts_with(['"', '\'']) {
        return literal_text(text).map(Step::Member);
    }
    if let Some(condition) = text.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return filter(condition);
    }
    if let Some((from, to)) = text.split_once(':') {
        let bound = |text: &str| if text.trim().is_empty() { Ok(None) } else { number(text).map(Some) };
        return Ok(Step::Slice(bound(from)?, bound(to)?));
    }
    text.split(',').map(number).collect::<Result<_, _>>().map(Step::Index)
}

fn filter(text: &str) -> Result<Step, String> {
    const OPERATORS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let found = OPERATORS
        .iter()
        .filter_map(|(sign, comparison)| text.find(sign).map(|at| (at, *sign, *comparison)))
        .min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())));
    let Some((at, sign, comparison)) = found else { return Ok(Step::Filter(path(text)?, None)) };
    let right = text[at + sign.len()..].trim();
    let literal = if right.starts_with(['"', '\'']) {
        Json::String(literal_text(right)?)
    } else {
        Json::parse(right)
            .map_err(|_| format!("`{right}` is no value: quote texts, as in @.type==\"Ready\""))?
    };
    Ok(Step::Filter(path(&text[..at])?, Some((comparison, literal))))
}

/// A quoted text with its escapes resolved.
fn literal_text(text: &str) -> Result<String, String> {
    let quote = &text[..1];
    let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).filter(|_| text.len() > 1);
    let inner = inner.ok_or_else(|| format!("`{text}` has no closing quote"))?;
    let mut out = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match (c, characters.clone().next()) {
            ('\\', Some(next)) => {
                characters.next();
                out.push(match next {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}
